# SPDX-License-Identifier: Apache-2.0
"""The fault list, tried on a guard with the user's own configuration, in memory and without hardware."""
