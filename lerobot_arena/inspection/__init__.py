# SPDX-License-Identifier: Apache-2.0
"""Looking at a running arm: a Foxglove server that reads only what somebody watches, and boundaries as markers."""
