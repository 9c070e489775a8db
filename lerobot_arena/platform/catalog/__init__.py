# SPDX-License-Identifier: Apache-2.0
"""What is published: policies, robots and scenes; how they are checked, and how a policy runs without a browser."""
