# SPDX-License-Identifier: Apache-2.0
"""Observation → action chunk: policies in killable child processes, and the node that serves them."""
