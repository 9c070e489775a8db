# SPDX-License-Identifier: Apache-2.0
"""One file per surface; each has a `router` and is named in app.py's table."""
