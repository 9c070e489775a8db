# SPDX-License-Identifier: Apache-2.0
"""What is on offer: the names that the ROS graph has, and for a while those it had."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Change:
    """Names to withdraw first, then names with their types to offer."""

    withdrawn: tuple[str, ...] = ()
    offered: Mapping[str, str] = field(default_factory=dict)


class Offer:
    """Name → type. A name stays `linger_s` after it was last seen, so that a restarted process loses no watcher."""

    def __init__(self, linger_s: float) -> None:
        self._linger_s = linger_s
        self._types: dict[str, str] = {}
        self._seen_s: dict[str, float] = {}

    @property
    def types(self) -> Mapping[str, str]:
        """What is on offer."""
        return self._types

    def update(self, found: Mapping[str, str], now_s: float) -> Change:
        """Take what the graph has now, and return what changes. A name whose type changed is withdrawn and offered."""
        gone = [
            name
            for name, type_name in self._types.items()
            if found.get(name, type_name) != type_name
            or (name not in found and now_s - self._seen_s[name] > self._linger_s)
        ]
        for name in gone:
            del self._types[name]
            del self._seen_s[name]
        new = {name: type_name for name, type_name in found.items() if name not in self._types}
        self._types |= new
        self._seen_s |= dict.fromkeys(found, now_s)
        return Change(tuple(gone), new)

    def forget(self, name: str) -> None:
        """What could not be offered after all."""
        self._types.pop(name, None)
        self._seen_s.pop(name, None)
