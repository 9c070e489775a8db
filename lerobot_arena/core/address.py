# SPDX-License-Identifier: Apache-2.0
"""Where a bridge is, and what says so."""

DEFAULT_PORT = 8001
URL_VARIABLE = "ARENA_URL"
PORT_VARIABLE = "ARENA_BRIDGE_PORT"
TOKEN_VARIABLE = "ARENA_TOKEN"
