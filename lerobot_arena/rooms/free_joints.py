# SPDX-License-Identifier: Apache-2.0
"""Joints of a room that no session gave names to, and what else an entry of an update may carry. Pure."""

from collections.abc import Mapping
from typing import Any

from lerobot_arena.rooms.joint_payload import JointPayloadError

WIDEST = 360.0
_MOST_EXTRAS = 8
_LONGEST_TEXT = 64


class FreeJoints:
    """Any name as it is said; values within the protocol's ±360."""

    joint_names: tuple[str, ...] = ()
    unit = "a room without a unit"

    def name_of(self, name: str) -> str:
        """The name itself."""
        return name

    def range_of(self, _name: str) -> tuple[float, float]:
        """Lowest and highest value."""
        return -WIDEST, WIDEST


def extras(payload: Any) -> dict[str, dict[str, Any]]:
    """What entries carry besides name and value, by the name they were said with; `speed` for one.

    Passed through, so it has to be small and flat. Raises JointPayloadError.
    """
    if not isinstance(payload, list):
        return {}
    return {entry["name"]: _extra(entry) for entry in payload if len(entry) > 2}


def _extra(entry: Mapping[str, Any]) -> dict[str, Any]:
    more = {name: value for name, value in entry.items() if name not in {"name", "value"}}
    if len(more) > _MOST_EXTRAS:
        raise JointPayloadError("joint_entry", f"An entry may carry {_MOST_EXTRAS} further fields.")
    for name, value in more.items():
        is_small = value is None or isinstance(value, bool | int | float)
        is_short = isinstance(value, str) and len(value) <= _LONGEST_TEXT
        if len(name) > _LONGEST_TEXT or not (is_small or is_short):
            raise JointPayloadError(
                "joint_entry",
                f"Field {name[:40]!r} of an entry must be a number, a truth value or a short text.",
            )
    return more
