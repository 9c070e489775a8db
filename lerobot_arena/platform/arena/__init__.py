# SPDX-License-Identifier: Apache-2.0
"""Blind comparisons of policies, and what follows from them."""
