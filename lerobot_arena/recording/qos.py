# SPDX-License-Identifier: Apache-2.0
"""Offered QoS as rosbag2 writes it: a YAML list in a channel's metadata, a list of mappings in metadata.yaml."""

from dataclasses import dataclass

from lerobot_arena.core.clock import NS

# rmw's infinite duration, as rosbag2 writes it
INFINITE_NS = 9_223_372_036_854_775_807
_KEEP = frozenset(("keep_last", "keep_all", "system_default", "unknown"))


@dataclass(frozen=True, slots=True)
class OfferedQos:
    """What one publisher offers; words are rmw's, in lower case."""

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "unknown"
    depth: int = 0
    deadline_ns: int = INFINITE_NS
    lifespan_ns: int = INFINITE_NS
    liveliness: str = "automatic"
    lease_ns: int = INFINITE_NS


LATCHED = OfferedQos(durability="transient_local")


def _duration(name: str, duration_ns: int) -> str:
    return f"  {name}:\n    sec: {duration_ns // NS}\n    nsec: {duration_ns % NS}\n"


def qos_yaml(profiles: tuple[OfferedQos, ...]) -> str:
    """The profiles as rosbag2 ≥ Jazzy (metadata version 9) writes them into a channel; empty without any."""
    return "".join(
        f"- history: {qos.history if qos.history in _KEEP else 'unknown'}\n  depth: {qos.depth}\n"
        f"  reliability: {qos.reliability}\n  durability: {qos.durability}\n"
        + _duration("deadline", qos.deadline_ns)
        + _duration("lifespan", qos.lifespan_ns)
        + f"  liveliness: {qos.liveliness}\n"
        + _duration("liveliness_lease_duration", qos.lease_ns)
        + "  avoid_ros_namespace_conventions: false\n"
        for qos in profiles
    ).rstrip("\n")
