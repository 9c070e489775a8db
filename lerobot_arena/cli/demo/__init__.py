# SPDX-License-Identifier: Apache-2.0
"""`arena demo`: the simulated arm and the demo policy, episode after episode, driven as any client would."""
