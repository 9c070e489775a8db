# SPDX-License-Identifier: Apache-2.0
"""The waist: values and rules every area shares. Standard library and numpy only; imports no other area."""
