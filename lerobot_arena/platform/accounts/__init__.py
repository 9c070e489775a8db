# SPDX-License-Identifier: Apache-2.0
"""Users, their passwords, logins and API tokens."""
