# SPDX-License-Identifier: Apache-2.0
"""Physical trials as matchups: two policies on one robot, one after the other. bridge/trials.py runs them. Blocking."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.arena.matchup import (
    FAILED,
    PHYSICAL,
    READY,
    SIDES,
    STARTING,
    Matchup,
    Side,
    draw_pair,
)
from lerobot_arena.platform.arena.store import ArenaStore

_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Run:
    """How one side's run went: what was recorded, which scene it began in, and the sha256 of the policy."""

    recording: str
    scene: str
    content: str


class Trials:
    """Each is changed by the one task that runs it, until it is ready or has failed."""

    def __init__(self, store: ArenaStore, *, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def draw(self, policies: Sequence[str], seed: int | None) -> tuple[str, str]:
        """(left, right) of these policies, rarely seen ones more often. Raises InvalidInput for fewer than two."""
        return draw_pair(policies, self._store.games(), np.random.default_rng(seed))

    @staticmethod
    def sides_of(policies: tuple[str, str], seed: int | None) -> tuple[str, str]:
        """(left, right) of two that were named. Raises InvalidInput for a policy against itself."""
        first, second = policies
        if first == second:
            raise InvalidInput(_itself(first))
        return (first, second) if np.random.default_rng(seed).random() < 0.5 else (second, first)

    def begin(self, left: Side, right: Side, *, robot: str, robot_content: str) -> Matchup:
        """A matchup that may not be voted on yet. Raises InvalidInput for a policy against itself."""
        if left.policy == right.policy:
            raise InvalidInput(_itself(left.policy))
        matchup = Matchup(
            id=f"matchup_{secrets.token_hex(8)}",
            left=left,
            right=right,
            robot=robot,
            scene="",
            robot_content=robot_content,
            scene_content="",
            created_at=self._now(),
            state=STARTING,
            kind=PHYSICAL,
        )
        self._store.save(matchup)
        return matchup

    def note_recording(self, matchup_id: str, name: str, recording: str) -> None:
        """A side is being recorded from now on."""
        before = self._store.get(matchup_id)
        self._store.save(before.with_side(name, replace(before.side(name), recording=recording)))

    def note_run(self, matchup_id: str, name: str, run: Run) -> Matchup:
        """A side has run; once both have, the matchup may be voted on."""
        before = self._store.get(matchup_id)
        side = replace(before.side(name), recording=run.recording, content=run.content)
        ready = before.ready | {name}
        is_whole = ready == set(SIDES)
        matchup = replace(
            before.with_side(name, side),
            ready=ready,
            scene=run.scene,
            scene_content=hashlib.sha256(run.scene.encode()).hexdigest(),
            state=READY if is_whole else before.state,
            unlock_at=self._now() if is_whole else None,
        )
        self._store.save(matchup)
        return matchup

    def fail(self, matchup_id: str, reason: str) -> None:
        """It will never be voted on."""
        before = self._store.get(matchup_id)
        self._store.save(replace(before, state=FAILED, unlock_at=None, error=reason[:_LONGEST_ERROR]))

    def fail_unfinished(self, reason: str) -> set[str]:
        """Those that nobody runs any more. Returns their recordings: one of them may go on."""
        left = self._store.of_state(PHYSICAL, STARTING)
        for matchup in left:
            self.fail(matchup.id, reason)
        return {matchup.side(name).recording for matchup in left for name in SIDES} - {""}

    def _now(self) -> float:
        return self._clock.wall_ns() / 1e9


def _itself(policy: str) -> str:
    return f"{policy[:200]} cannot be compared with itself: name two policies."


def new_side(policy: str, title: str) -> Side:
    """A side whose policy has not run yet."""
    return Side(policy, title, f"sim_{secrets.token_hex(8)}", "")
