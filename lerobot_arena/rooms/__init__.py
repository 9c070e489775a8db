# SPDX-License-Identifier: Apache-2.0
"""Rooms of clients: joint payloads so far; the room server follows."""
