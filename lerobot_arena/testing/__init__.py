# SPDX-License-Identifier: Apache-2.0
"""Fakes at borders this project does not own. Real code runs up to that border."""
