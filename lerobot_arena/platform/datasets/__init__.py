# SPDX-License-Identifier: Apache-2.0
"""Uploaded videos of people and robots at work."""
