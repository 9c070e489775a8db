# SPDX-License-Identifier: Apache-2.0
"""Where the platform keeps things: the database."""
