# SPDX-License-Identifier: Apache-2.0
"""One frame per camera and one joint state that belong together, or the reason why there are none. Pure.

Ages run from receipt on the steady clock. Capture stamps are compared only when every source is declared to share a
clock (and stamps its messages); elsewhere receipt times stand in for them.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lerobot_arena.core.clock import NS, seconds_between

MAX_ITEMS = 256


@dataclass(frozen=True, slots=True)
class SyncRules:
    """Bounds in seconds. `prefer_newest` takes each source's latest item; else what was captured together.

    Sources that stream at different delays fit best by capture time; a room whose sender only reports changes has
    its latest value valid until the next, however old its stamp.
    """

    stale_s: float = 0.5
    skew_s: float = 0.1
    future_s: float = 0.1
    history_s: float = 0.4
    shares_clock: bool = False
    prefer_newest: bool = False


@dataclass(frozen=True, slots=True)
class Item[T]:
    """A message with its capture stamp (0: not stamped) and its receipt on our steady clock."""

    stamp_ns: int
    receipt_ns: int
    payload: T


@dataclass(frozen=True, slots=True)
class Match[T]:
    """Items that belong together, by source; `skew_s` is their largest distance in time."""

    items: Mapping[str, Item[T]]
    skew_s: float

    @property
    def receipt_ns(self) -> int:
        return min(item.receipt_ns for item in self.items.values())

    @property
    def stamp_ns(self) -> int:
        return min(item.stamp_ns for item in self.items.values())


@dataclass(frozen=True, slots=True)
class Miss:
    """No usable observation, and why."""

    reason: str


class _Source[T]:
    def __init__(self) -> None:
        self.items: deque[Item[T]] = deque(maxlen=MAX_ITEMS)
        self.refusal = ""

    def nearest(self, target_ns: int, by_stamp: bool) -> Item[T]:
        return min(self.items, key=lambda item: abs(_time(item, by_stamp) - target_ns))


def _time(item: Item[object], by_stamp: bool) -> int:
    return item.stamp_ns if by_stamp else item.receipt_ns


class Synchroniser[T]:
    """The latest items of each named source, and the choice among them. Not thread-safe: its owner locks."""

    def __init__(self, sources: Sequence[str], rules: SyncRules) -> None:
        self.rules = rules
        self._sources: dict[str, _Source[T]] = {name: _Source() for name in sources}

    def add(self, source: str, item: Item[T], *, wall_ns: int) -> str:
        """Keep an item. Returns why it was refused, empty when it was kept; unknown sources are refused too."""
        found = self._sources.get(source)
        if found is None:
            return f"{source} is not a source of this session"
        found.refusal = self._refusal(source, item, wall_ns)
        if found.refusal:
            return found.refusal
        items = found.items
        if self.rules.shares_clock and items and item.stamp_ns < items[-1].stamp_ns:
            items.clear()  # the source's clock went back: its history orders nothing any more
        items.append(item)
        oldest_ns = item.receipt_ns - round(self.rules.history_s * NS)
        while items[0].receipt_ns < oldest_ns:
            items.popleft()
        return ""

    def refuse(self, source: str, reason: str) -> None:
        """Note that a message of `source` was unusable; a later miss says so."""
        if source in self._sources:
            self._sources[source].refusal = reason

    def clear(self) -> None:
        """Forget all items."""
        for source in self._sources.values():
            source.items.clear()

    def _refusal(self, source: str, item: Item[T], wall_ns: int) -> str:
        if not self.rules.shares_clock or item.stamp_ns == 0:
            return ""
        ahead_s = seconds_between(wall_ns, item.stamp_ns)
        if ahead_s > self.rules.future_s:
            return f"{source} is stamped {ahead_s:.3f} s in the future, though it shares this machine's clock"
        if -ahead_s > self.rules.stale_s + self.rules.history_s:
            return f"{source} was captured {-ahead_s:.3f} s before it arrived"
        return ""

    def observe(self, now_ns: int, *, count: int = 1, dt_s: float = 0.0) -> list[Match[T]] | Miss:
        """The newest match, preceded by `count` − 1 earlier ones `dt_s` apart; or a Miss."""
        for name, source in self._sources.items():
            if miss := self._unusable(name, source, now_ns):
                return miss
        by_stamp = self.rules.shares_clock and all(s.items[-1].stamp_ns for s in self._sources.values())
        latest = {name: source.items[-1] for name, source in self._sources.items()}
        anchor_ns = min(_time(item, by_stamp) for item in latest.values())
        if self.rules.prefer_newest:
            newest = _match(latest, by_stamp)
        else:
            newest = self._at(anchor_ns, by_stamp)
        if newest.skew_s > self.rules.skew_s:
            return Miss(_skewed(newest, by_stamp, self.rules.skew_s))
        step_ns = round(dt_s * NS)
        earlier = [self._at(anchor_ns - step_ns * back, by_stamp) for back in range(count - 1, 0, -1)]
        return [*earlier, newest]

    def _unusable(self, name: str, source: _Source[T], now_ns: int) -> Miss | None:
        why = f" ({source.refusal})" if source.refusal else ""
        if not source.items:
            return Miss(f"nothing from {name} yet{why}")
        age_s = seconds_between(source.items[-1].receipt_ns, now_ns)
        if age_s > self.rules.stale_s:
            return Miss(
                f"{name} is stale: its latest is {age_s:.2f} s old, limit {self.rules.stale_s:g} s{why}"
            )
        return None

    def _at(self, target_ns: int, by_stamp: bool) -> Match[T]:
        return _match({n: s.nearest(target_ns, by_stamp) for n, s in self._sources.items()}, by_stamp)


def _match[T](items: Mapping[str, Item[T]], by_stamp: bool) -> Match[T]:
    times = [_time(item, by_stamp) for item in items.values()]
    return Match(items, seconds_between(min(times), max(times)))


def _skewed[T](match: Match[T], by_stamp: bool, limit_s: float) -> str:
    first = min(match.items, key=lambda name: _time(match.items[name], by_stamp))
    last = max(match.items, key=lambda name: _time(match.items[name], by_stamp))
    what = "captured" if by_stamp else "received"
    return f"{last} was {what} {match.skew_s:.3f} s after {first}, limit {limit_s:g} s"
