# SPDX-License-Identifier: Apache-2.0
"""REST, WebSocket and the page: what clients see of the arms, and the only process with a database."""
