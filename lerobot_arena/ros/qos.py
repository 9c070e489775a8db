# SPDX-License-Identifier: Apache-2.0
"""Named QoS profiles. Sensors best effort (matches any publisher), commands reliable, state latched."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(reliability: ReliabilityPolicy, durability: DurabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability
    )


SENSOR = _profile(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, 5)
CAMERA_SUBSCRIBER = _profile(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, 1)
COMMAND = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 1)
STREAM = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 10)
LATCHED = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 1)
EVENT = STREAM
# Offers and candidates of many peers come in bursts.
SIGNAL = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 500)
