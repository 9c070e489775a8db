# SPDX-License-Identifier: Apache-2.0
"""Launching, steering and voting over a real catalog and database, with a clock that is moved."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.platform.arena.leaderboard import Leaderboard, table_of
from lerobot_arena.platform.arena.matchup import BROWSER, OPEN_S, PHYSICAL, SIDES, UNLOCK_S
from lerobot_arena.platform.arena.service import ACTIONS, Arena, Voter
from lerobot_arena.platform.arena.store import ArenaStore
from lerobot_arena.platform.arena.trials import Run, Trials, new_side
from lerobot_arena.platform.catalog.item import POLICY, ROBOT, SCENE, Item
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.storage.database import open_engine

ANNA = Voter(user="anna")
STRANGER = Voter(address="203.0.113.9", agent="Firefox")


@dataclass
class World:
    shelf: Shelf
    arena: Arena
    board: Leaderboard
    store: ArenaStore
    clock: ManualClock

    def now(self) -> float:
        return self.clock.wall_ns() / 1e9

    def publish(self, *slugs: str, scene: str = "lab/park", status: str = "active") -> None:
        for slug in slugs:
            facts = {"defaultRobotRef": "lab/pony", "defaultSceneRef": scene, "controlSpec": {"version": 1}}
            self.shelf.put(
                Item(kind=POLICY, owner="lab", slug=slug, title=slug.upper(), status=status, facts=facts)
            )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    engine, clock = open_engine(f"sqlite:///{tmp_path / 'arena.db'}"), ManualClock()
    shelf, store = Shelf(engine), ArenaStore(engine)
    shelf.put(Item(kind=ROBOT, owner="lab", slug="pony", title="Pony"))
    shelf.put(Item(kind=SCENE, owner="lab", slug="park", title="Park"))
    shelf.put(Item(kind=SCENE, owner="lab", slug="moon", title="Moon"))
    arena = Arena(shelf, store, secret=b"s", clock=clock, seed=1)
    yield World(shelf, arena, Leaderboard(store, list, clock), store, clock)
    engine.dispose()


def test_nothing_to_compare_is_said(world: World) -> None:
    world.publish("a")
    world.publish("b", scene="lab/moon")
    world.publish("c", status="processing")
    with pytest.raises(InvalidInput, match="publish another"):
        world.arena.launch()


def test_both_sides_share_robot_and_scene_and_are_named_by_content(world: World) -> None:
    world.publish("a", "b")
    world.publish("c", "d", scene="lab/moon")
    for _ in range(30):
        matchup = world.arena.launch()
        assert {matchup.left.policy, matchup.right.policy} in ({"lab/a", "lab/b"}, {"lab/c", "lab/d"})
        assert matchup.left.content == world.shelf.get(POLICY, matchup.left.policy).content
        assert len(matchup.robot_content) == len(matchup.scene_content) == 64
    assert world.arena.get(matchup.id) == matchup


def test_a_vote_waits_for_the_unlock_which_a_late_pane_pushes_back(world: World) -> None:
    world.publish("a", "b")
    matchup = world.arena.launch()
    world.clock.advance(UNLOCK_S - 1)
    _, side = world.arena.open_side(matchup.id, matchup.right.simulation)
    assert side == "right"
    world.clock.advance(2)
    with pytest.raises(InvalidInput, match="Watch both"):
        world.arena.vote(matchup.id, "left", ANNA)
    world.clock.advance(UNLOCK_S)
    assert not world.arena.may_know(matchup.id, ANNA)
    world.arena.vote(matchup.id, "left", ANNA)
    assert world.arena.may_know(matchup.id, ANNA) and not world.arena.may_know(matchup.id, STRANGER)
    with pytest.raises(InvalidInput, match="already"):
        world.arena.vote(matchup.id, "right", ANNA)
    world.arena.vote(matchup.id, "both_bad", STRANGER)


def test_a_matchup_closes_a_day_after_its_launch(world: World) -> None:
    world.publish("a", "b")
    matchup = world.arena.launch()
    world.clock.advance(OPEN_S[BROWSER] - 1)
    world.arena.vote(matchup.id, "left", ANNA)
    world.clock.advance(1)
    with pytest.raises(InvalidInput, match="closed"):
        world.arena.vote(matchup.id, "left", STRANGER)


def test_what_nobody_voted_on_in_its_day_is_forgotten(world: World) -> None:
    world.publish("a", "b")
    voted, idle = world.arena.launch(), world.arena.launch()
    world.clock.advance(UNLOCK_S)
    world.arena.vote(voted.id, "left", ANNA)
    world.clock.advance(OPEN_S[BROWSER])
    fresh = world.arena.launch()
    for kept in (voted, fresh):
        assert world.arena.get(kept.id).id == kept.id
    with pytest.raises(NotFound):
        world.arena.get(idle.id)


def test_a_download_tells_the_sides_of_closed_matchups_only(world: World) -> None:
    world.publish("a", "b")
    matchups = [world.arena.launch() for _ in range(20)]
    assert {matchup.left.policy for matchup in matchups} == {"lab/a", "lab/b"}
    world.clock.advance(UNLOCK_S)
    for matchup in matchups:
        world.arena.vote(matchup.id, "left", ANNA)
    open_ones = list(world.store.trials(world.now()))
    assert {(trial.matchup, trial.left, trial.evidence) for trial in open_ones} == {("", "lab/a", "")}
    assert all(trial.left_content == world.shelf.get(POLICY, "lab/a").content for trial in open_ones)
    world.clock.advance(OPEN_S[BROWSER])
    closed = {trial.matchup: trial for trial in world.store.trials(world.now())}
    for matchup in matchups:
        trial = closed[matchup.id]
        assert (trial.left, trial.winner) == (matchup.left.policy, "left")
    assert table_of(open_ones, []) == table_of(closed.values(), []), "it is the same table"


def test_a_trial_is_in_the_table_when_nobody_can_vote_on_it_any_more(world: World) -> None:
    trials, olga = Trials(world.store, clock=world.clock), Voter(user="olga", operates=True)
    matchup = trials.begin(new_side("demo", ""), new_side("hold", ""), robot="so101", robot_content="")
    for side in SIDES:
        trials.note_run(matchup.id, side, Run(f"sess_{side}", "pick seed 1", "c"))
    world.arena.vote(matchup.id, "left", olga)
    assert not world.board.refresh().standings.rows and world.board.due_in_s == OPEN_S[PHYSICAL]
    assert world.arena.is_secret("sess_left", ANNA) and not world.arena.is_secret("sess_left", olga)
    world.clock.advance(OPEN_S[PHYSICAL])
    assert world.board.due_in_s == 0.0 and not world.arena.is_secret("sess_left", ANNA)
    assert world.board.refresh().standings.rows[0].policy == "demo" and world.board.due_in_s is None


def test_what_does_not_exist_is_refused(world: World) -> None:
    world.publish("a", "b")
    matchup = world.arena.launch()
    with pytest.raises(NotFound):
        world.arena.get("matchup_no")
    with pytest.raises(InvalidInput, match="no matchup"):
        world.arena.vote("matchup_no", "left", ANNA)
    with pytest.raises(NotFound):
        world.arena.open_side(matchup.id, "sim_no")
    with pytest.raises(InvalidInput):
        world.arena.control(matchup.id, "left", "jump")


def test_controls_say_which_simulation_and_in_which_order(world: World) -> None:
    world.publish("a", "b")
    matchup = world.arena.launch()
    payloads = [world.arena.control(matchup.id, "left", action)[1] for action in ACTIONS]
    assert {payload["simulationId"] for payload in payloads} == {matchup.left.simulation}
    sequences = [payload["seq"] for payload in payloads]
    assert sequences == sorted(set(sequences)) and len(ACTIONS) == 9  # type: ignore[type-var]


def test_the_table_follows_the_votes_when_it_is_refreshed(world: World) -> None:
    world.publish("a", "b")
    assert world.board.refresh().updated_at is None
    for number in range(30):
        matchup = world.arena.launch()
        world.clock.advance(60)
        better = "left" if matchup.left.policy == "lab/a" else "right"
        world.arena.vote(matchup.id, better, Voter(user=f"v{number}"))
    assert not world.board.table.standings.rows
    table = world.board.refresh()
    assert table.standings.winner == "lab/a" and table.updated_at is not None
    assert table.wins["lab/a"]["lab/b"] == 30 and table.wins["lab/b"]["lab/a"] == 0
    assert table == world.board.refresh(), "the same votes give the same table"
