# SPDX-License-Identifier: Apache-2.0
"""A simulated SO-101 at a table: scene, cameras, the pick-and-place task with its referee, and a scripted expert."""
