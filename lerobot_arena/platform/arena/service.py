# SPDX-License-Identifier: Apache-2.0
"""The arena of browser runs: launching, steering, voting, and what a voter may know when. Blocking."""

import secrets
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lerobot_arena.core.addresses import network_of
from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import Forbidden, InvalidInput, NotFound
from lerobot_arena.core.principal import SESSIONS_OPERATE
from lerobot_arena.platform.arena.matchup import (
    BROWSER,
    FAILED,
    MEMBER,
    OPEN_S,
    PHYSICAL,
    READY,
    SIDES,
    STRANGER,
    UNLOCK_S,
    Matchup,
    Side,
    check_vote,
    draw_pair,
    network_key,
    voter_key,
)
from lerobot_arena.platform.arena.store import ArenaStore
from lerobot_arena.platform.catalog.item import ACTIVE, POLICY, ROBOT, Item
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.catalog.stage import newest_stage

ACTIONS = (
    *(f"{way}-{what}" for way in ("forward", "backward", "left", "right") for what in ("press", "release")),
    "reset",
)
CONTROL = "runrobot:control"
_DAY_S = 86_400.0
_PRUNE_S = 3_600.0
_MOST_POLICIES = 1000


@dataclass(frozen=True, slots=True)
class Voter:
    """Who votes: a user by name, anybody else by address and browser. `operates`: a user who may move robots."""

    user: str | None = None
    address: str = ""
    agent: str = ""
    operates: bool = False

    @property
    def kind(self) -> str:
        """How many of its votes count."""
        return STRANGER if self.user is None else MEMBER


class Arena:
    """All matchups. Only what can run in a browser is matched; both sides run on the same robot and scene."""

    def __init__(
        self, shelf: Shelf, store: ArenaStore, *, secret: bytes, clock: Clock, seed: int | None = None
    ) -> None:
        self._shelf, self._store, self._secret, self._clock = shelf, store, secret, clock
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._sequence = 0
        self._prune_at = 0.0

    def launch(self) -> Matchup:
        """A new blind matchup. Raises InvalidInput when no two policies can be compared."""
        pools, now = self._pools(), self._now()
        with self._lock:
            if now >= self._prune_at:
                self._store.prune(now - OPEN_S[BROWSER])
                self._prune_at = now + _PRUNE_S
            games = self._store.games()
            place = self._draw_place({key: len(pool) for key, pool in pools.items()})
            pool = {policy.ref: policy for policy in pools[place]}
            left, right = draw_pair(list(pool), games, self._random)
        robot, stage = self._shelf.get(ROBOT, place[0]), newest_stage(self._shelf, place[1])
        matchup = Matchup(
            id=f"matchup_{secrets.token_hex(8)}",
            left=_side(pool[left]),
            right=_side(pool[right]),
            robot=robot.ref,
            scene=stage.scene.ref,
            robot_content=robot.content,
            scene_content=stage.content,
            created_at=now,
            state=READY,
            unlock_at=now + UNLOCK_S,
        )
        self._store.save(matchup)
        return matchup

    def get(self, matchup_id: str) -> Matchup:
        """One matchup. Raises NotFound."""
        return self._store.get(matchup_id)

    def open_side(self, matchup_id: str, simulation: str) -> tuple[Matchup, str]:
        """A pane's page was loaded. The matchup and the side. Raises NotFound."""
        with self._lock:
            matchup, side = self.find_side(matchup_id, simulation)
            matchup = matchup.opened(side, self._now())
            self._store.save(matchup)
            return matchup, side

    def find_side(self, matchup_id: str, simulation: str) -> tuple[Matchup, str]:
        """Whose pane this is. Raises NotFound."""
        matchup = self._store.get(matchup_id)
        for side in SIDES if matchup.kind == BROWSER else ():
            if matchup.side(side).simulation == simulation:
                return matchup, side
        raise NotFound(f"Matchup {matchup_id} has no simulation {simulation[:60]!r}.")

    def control(self, matchup_id: str, side: str, action: str) -> tuple[Matchup, dict[str, object]]:
        """The message that the page has to post into a pane. Raises NotFound, InvalidInput."""
        if side not in SIDES or action not in ACTIONS:
            raise InvalidInput(f"side is one of {', '.join(SIDES)}, action one of {', '.join(ACTIONS)}.")
        matchup = self._store.get(matchup_id)
        if matchup.kind != BROWSER:
            raise InvalidInput(f"Matchup {matchup.id} runs on a robot, where its policies alone steer.")
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
        simulation = matchup.side(side).simulation
        return matchup, {
            "type": CONTROL,
            "version": 1,
            "matchupId": matchup.id,
            "simulationId": simulation,
            "action": action,
            "seq": sequence,
        }

    def vote(self, matchup_id: str, winner: str, voter: Voter) -> Matchup:
        """Take a vote; one on a physical trial names its recordings.

        Raises InvalidInput saying why it cannot be, also for a matchup that does not exist; Forbidden for a physical
        one, when the voter may not operate robots.
        """
        try:
            matchup = self._store.get(matchup_id)
        except NotFound as error:
            raise InvalidInput(str(error)) from error
        if matchup.kind == PHYSICAL and not voter.operates:
            raise Forbidden(
                f"Runs of a robot are judged by accounts with the scope {SESSIONS_OPERATE}: log in as one."
            )
        key, now = self._key(voter), self._now()
        check_vote(
            matchup,
            winner,
            now=now,
            has_voted=self._store.has_voted(matchup_id, key),
            votes_today=self._store.votes_since(key, now - _DAY_S),
        )
        # Addresses and browsers are easily made up; the network is what costs something.
        network = network_key(self._secret, network_of(voter.address)) if voter.user is None else ""
        self._store.vote(
            matchup_id, key, voter.kind, network=network, winner=winner, at=now, evidence=matchup.evidence
        )
        return matchup

    def may_know(self, matchup_id: str, voter: Voter) -> bool:
        """Names are shown to those who have voted, and to nobody before."""
        return self._store.has_voted(matchup_id, self._key(voter))

    def is_secret(self, recording: str, voter: Voter) -> bool:
        """Whoever may still vote on a trial must not learn from its recording what ran."""
        matchup = self._store.of_recording(recording)
        if matchup is None or matchup.state == FAILED or self._now() >= matchup.closes_at:
            return False
        return not self.may_know(matchup.id, voter)

    def _key(self, voter: Voter) -> str:
        return voter_key(self._secret, user=voter.user, address=voter.address, agent=voter.agent)

    def _now(self) -> float:
        return self._clock.wall_ns() / 1e9

    def _pools(self) -> dict[tuple[str, str], Sequence[Item]]:
        """Policies that run in a browser as published, by the robot and scene they run on; pools of two and more."""
        pools: dict[tuple[str, str], list[Item]] = defaultdict(list)
        for policy in self._shelf.list(POLICY, limit=_MOST_POLICIES):
            robot, scene = policy.facts.get("defaultRobotRef"), policy.facts.get("defaultSceneRef")
            if policy.status == ACTIVE and policy.facts.get("controlSpec") and robot and scene:
                pools[robot, scene].append(policy)
        return {place: pool for place, pool in pools.items() if len(pool) > 1}

    def _draw_place(self, sizes: dict[tuple[str, str], int]) -> tuple[str, str]:
        if not sizes:
            raise InvalidInput(
                "No two active policies share a default robot and scene, so there is nothing to compare yet: publish "
                "another policy."
            )
        places = sorted(sizes)
        # By the number of pairs, so that every pair of policies is equally likely at first.
        weights = np.array([sizes[place] * (sizes[place] - 1) for place in places], dtype=float)
        return places[int(self._random.choice(len(places), p=weights / weights.sum()))]


def _side(policy: Item) -> Side:
    return Side(policy.ref, policy.title, f"sim_{secrets.token_hex(8)}", policy.content)
