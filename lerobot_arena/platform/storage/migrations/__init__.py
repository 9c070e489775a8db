# SPDX-License-Identifier: Apache-2.0
"""Alembic's scripts; bridge/store.py runs them at start."""
