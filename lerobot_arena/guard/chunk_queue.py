# SPDX-License-Identifier: Apache-2.0
"""Action chunks as a playable plan: which to take, where to begin in it, and when to ask for the next.

Step i of a chunk is meant for i·dt after its observation. A chunk that arrives late has missed steps:
min(estimated from its age, actually played by the arm meanwhile) of them are dropped. An arm that held while the
policy was thinking has missed nothing and begins at step 0. (LeRobot's real-time chunking drops by the estimate
alone, and jumps when that is wrong: lerobot#4223.)
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from types import MappingProxyType

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import NS, seconds_between
from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import Score
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.limiter import Vector

_LATENCIES = 8
_OPEN_REQUESTS = 16
_PLAYED_CYCLES = 4096
_SHORTEST_RETRY_S = 0.25
# A plan says nothing about now when the arm held for much of it.
_FOLLOWED = 0.8
# Before anything is known of a policy's speed: it may be slow, and asking again costs it another inference.
_FIRST_RETRY_S, _LONGEST_FIRST_RETRY_S = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One accepted chunk. `origin_ns` is when its row 0 plays, `observed_ns` when it was seen; both steady.

    `replace_ns` is when the policy means to have been asked again: execute_steps after the arrival.
    """

    rows: tuple[Vector, ...]
    dt_s: float
    origin_ns: int
    observed_ns: int
    replace_ns: int

    @property
    def end_ns(self) -> int:
        return self.origin_ns + round(len(self.rows) * self.dt_s * NS)

    def at(self, now_ns: int) -> Vector | None:
        """The action of this instant by linear interpolation between steps; None past the last one."""
        # A chunk may arrive after the cycle took its `now_ns`: then it begins now.
        place = max(0.0, seconds_between(self.origin_ns, now_ns) / self.dt_s)
        index = int(place)
        if index >= len(self.rows):
            return None
        row = self.rows[index]
        share = place - index
        if share < 1e-9 or index + 1 == len(self.rows):
            return row
        return tuple(a + share * (b - a) for a, b in zip(row, self.rows[index + 1]))


def disagreement(old: Plan, new: Plan, spans: Vector, now_ns: int) -> float | None:
    """How far two plans are apart where both say something of the future: root mean square, as a share of the spans.

    None when they have no common future. NaN and infinity in a plan come out as such.
    """
    total, steps = 0.0, 0
    begin = max(0, ceil(seconds_between(new.origin_ns, now_ns) / new.dt_s))
    for index in range(begin, len(new.rows)):
        before = old.at(new.origin_ns + round(index * new.dt_s * NS))
        if before is None:
            break
        for a, b, span in zip(before, new.rows[index], spans):
            share = (b - a) / span
            total += share * share
        steps += 1
    return sqrt(total / (steps * len(spans))) if steps else None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is due now; `action` is None when nothing is."""

    action: Vector | None
    age_s: float = 0.0
    steps_left: int = 0


class ChunkQueue:
    """The plan of one run (one epoch). Chunks come from the ROS thread, everything else from the control thread."""

    def __init__(
        self, space: JointSpace, *, session_id: str, epoch: int, period_s: float, action_timeout_s: float
    ) -> None:
        self._space = space
        self._session_id, self._epoch = session_id, epoch
        self._period_s, self._action_timeout_s = period_s, action_timeout_s
        self._lock = threading.Lock()
        self._plan: Plan | None = None
        self._played: deque[tuple[int, float]] = deque(maxlen=_PLAYED_CYCLES)
        self._latencies_s: deque[float] = deque(maxlen=_LATENCIES)
        self._open: dict[int, int] = {}
        self._asked_ns = 0
        self._is_waiting = False
        self._requests = 0
        self._sequence = 0
        self.accepted = 0
        self.accepted_ns = 0
        self.refused = 0
        self.refusal = ""
        self.overlap: float | None = None
        self.scores: Mapping[str, Score] = MappingProxyType({})

    @property
    def latency_s(self) -> float:
        """Longest of the latest round trips from request to chunk; 0 before the first."""
        return max(self._latencies_s, default=0.0)

    def scores_age_s(self, now_ns: int) -> float:
        """Age of the observation the scores were computed from; negative before the first chunk."""
        plan = self._plan
        return max(0.0, seconds_between(plan.observed_ns, now_ns)) if plan is not None else -1.0

    @property
    def capacity(self) -> int:
        """Control steps of the whole present plan."""
        plan = self._plan
        return round(len(plan.rows) * plan.dt_s / self._period_s) if plan is not None else 0

    def offer(self, chunk: ActionChunk, now_ns: int) -> bool:
        """Take a chunk that arrived now in place of the old plan, or count it as refused and keep why."""
        try:
            self._check_addressing(chunk)
            rows = self._space.rows(chunk)
        except InvalidInput as error:
            self.refuse(str(error))
            return False
        plan = self._planned(chunk, rows, now_ns)
        overlap = self._overlap(plan, now_ns)
        with self._lock:
            self.overlap = overlap
            self._take(chunk, plan, now_ns)
        return True

    def refuse(self, problem: str) -> None:
        """Count a chunk that is no use, and keep why."""
        self.refused += 1
        self.refusal = problem

    def _check_addressing(self, chunk: ActionChunk) -> None:
        if (chunk.session_id, chunk.epoch) != (self._session_id, self._epoch):
            raise InvalidInput(
                f"The action chunk belongs to epoch {chunk.epoch} of session {chunk.session_id!r}, not to this run."
            )
        if not 1 <= chunk.request_sequence <= self._requests:
            raise InvalidInput(
                f"The action chunk answers request {chunk.request_sequence}, which nobody made."
            )
        if chunk.sequence <= self._sequence:
            raise InvalidInput(f"The action chunk {chunk.sequence} came after chunk {self._sequence}.")

    def _planned(self, chunk: ActionChunk, rows: tuple[Vector, ...], now_ns: int) -> Plan:
        observed_ns = now_ns - round(chunk.observation_age_s * NS)
        with self._lock:
            missed_s = min(chunk.observation_age_s, self._played_since(observed_ns))
        steps = min(chunk.execute_steps or len(rows), len(rows))
        return Plan(
            rows,
            chunk.dt_s,
            now_ns - round(missed_s * NS),
            observed_ns,
            now_ns + round(steps * chunk.dt_s * NS),
        )

    def _overlap(self, plan: Plan, now_ns: int) -> float | None:
        """How far `plan` is from the present one; None when there is none, or the arm did not follow it."""
        old = self._plan
        with self._lock:
            played_s = self._played_since(self.accepted_ns)
        if old is None or played_s < _FOLLOWED * seconds_between(self.accepted_ns, now_ns) - self._period_s:
            return None
        # Without the lock, for which the control thread waits.
        return disagreement(old, plan, self._space.spans, now_ns)

    def _take(self, chunk: ActionChunk, plan: Plan, now_ns: int) -> None:
        self._plan = plan
        self._sequence = chunk.sequence
        self.accepted += 1
        self.scores = {score.name: score for score in chunk.scores}
        self.accepted_ns = now_ns
        self.refusal = ""
        self._is_waiting = False
        asked_ns = self._open.pop(chunk.request_sequence, None)
        if asked_ns is not None:
            self._latencies_s.append(seconds_between(asked_ns, now_ns))
        self._open = {sequence: t for sequence, t in self._open.items() if sequence > chunk.request_sequence}

    def _played_since(self, instant_ns: int) -> float:
        total = 0.0
        for when_ns, played_s in reversed(self._played):
            if when_ns < instant_ns:
                break
            total += played_s
        return total

    def due(self, now_ns: int) -> Proposal:
        """The action of this cycle."""
        plan = self._plan
        action = plan.at(now_ns) if plan is not None else None
        if plan is None or action is None:
            return Proposal(None)
        left_s = seconds_between(now_ns, plan.end_ns)
        age_s = max(0.0, seconds_between(plan.observed_ns, now_ns))
        return Proposal(action, age_s, int(left_s / self._period_s))

    def played(self, now_ns: int, dt_s: float) -> None:
        """A command made from the plan left: `dt_s` of it count as consumed."""
        with self._lock:
            self._played.append((now_ns, dt_s))

    def clear(self) -> None:
        """Forget the plan; the next cycle asks for another."""
        with self._lock:
            self._plan = None
            self._is_waiting = False

    def request(self, now_ns: int) -> ChunkRequest | None:
        """The request to send now, if one is: in time for the next chunk to arrive when this one has been played.

        One that gets no answer is repeated after twice the usual round trip, at first with growing patience.
        """
        with self._lock:
            if self._is_waiting:
                if seconds_between(self._asked_ns, now_ns) < self._patience_s():
                    return None
            elif self._plan is not None and now_ns < self._ask_at_ns(self._plan):
                return None
            self._requests += 1
            self._is_waiting = True
            self._asked_ns = now_ns
            self._open[self._requests] = now_ns
            while len(self._open) > _OPEN_REQUESTS:
                del self._open[next(iter(self._open))]
            return ChunkRequest(self._session_id, self._epoch, self._requests, reset=self.accepted == 0)

    def _patience_s(self) -> float:
        if self._latencies_s:
            return max(_SHORTEST_RETRY_S, 2.0 * self.latency_s)
        return min(_FIRST_RETRY_S * 2.0 ** min(self._requests - 1, 8), _LONGEST_FIRST_RETRY_S)

    def _ask_at_ns(self, plan: Plan) -> int:
        usable_ns = min(
            plan.replace_ns,
            plan.observed_ns + round(self._action_timeout_s * NS),
            plan.end_ns,
        )
        return usable_ns - round((self.latency_s + 2.0 * self._period_s) * NS)
