# SPDX-License-Identifier: Apache-2.0
"""What can answer an observation with an action chunk; `table.py` lists the kinds."""
