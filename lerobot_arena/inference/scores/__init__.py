# SPDX-License-Identifier: Apache-2.0
"""Numbers about an observation that only its pixels can give: is it like the training data, does the camera see.

They are computed in the inference process from the very observation a chunk was computed from, and travel with that
chunk, so that their age is its age. The guard only compares numbers with thresholds.
"""
