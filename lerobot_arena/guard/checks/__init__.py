# SPDX-License-Identifier: Apache-2.0
"""One file per check, one line each in table.py."""
