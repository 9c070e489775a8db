# SPDX-License-Identifier: Apache-2.0
"""`arena doctor`: every check looks at one thing and says what is wrong, why it matters and what to do.

One more check is one function and one line in `table.py`.
"""
