# SPDX-License-Identifier: Apache-2.0
"""Who meets whom, who may vote when, and what a flood of votes changes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from lerobot_arena.core.addresses import network_of
from lerobot_arena.core.errors import InvalidInput, NotFound, TooMany
from lerobot_arena.platform.arena import store as arena_store
from lerobot_arena.platform.arena.ballots import Ballot, counted
from lerobot_arena.platform.arena.leaderboard import table_of
from lerobot_arena.platform.arena.matchup import (
    BROWSER,
    COUNTED_PER_PAIR,
    MEMBER,
    OPEN_S,
    PHYSICAL,
    READY,
    STRANGER,
    VOTES_A_DAY,
    Matchup,
    Side,
    check_vote,
    draw_pair,
    network_key,
    voter_key,
)
from lerobot_arena.platform.arena.ratings import LEFT, RIGHT
from lerobot_arena.platform.arena.store import ArenaStore
from lerobot_arena.platform.storage.database import open_engine

NOW = 1_800_000_000.0


def matchup(number: int = 0, left: str = "lab/a", right: str = "lab/b") -> Matchup:
    return Matchup(
        id=f"matchup_{number}",
        left=Side(left, "A", f"sim_{number}l", "a" * 64),
        right=Side(right, "B", f"sim_{number}r", "b" * 64),
        robot="lab/robot",
        scene="lab/scene",
        robot_content="c" * 64,
        scene_content="d" * 64,
        created_at=NOW,
        state=READY,
        unlock_at=NOW + 10,
        ready=frozenset({"left", "right"}),
    )


@pytest.fixture
def store(engine: Engine) -> ArenaStore:
    return ArenaStore(engine)


def test_a_matchup_comes_back_as_it_was(store: ArenaStore) -> None:
    store.save(matchup())
    assert store.get("matchup_0") == matchup()
    store.save(replace(matchup(), state="failed", error="no browser", ready=frozenset()))
    assert store.get("matchup_0").error == "no browser"
    with pytest.raises(NotFound):
        store.get("matchup_1")


def test_a_vote_needs_both_sides_running_and_some_watching() -> None:
    open_at: dict[str, Any] = {"now": NOW + 10, "has_voted": False, "votes_today": 0}
    check_vote(matchup(), LEFT, **open_at)
    with pytest.raises(InvalidInput, match="one of left"):
        check_vote(matchup(), "nobody", **open_at)
    with pytest.raises(InvalidInput, match="starting"):
        check_vote(replace(matchup(), state="starting", unlock_at=None), LEFT, **open_at)
    with pytest.raises(InvalidInput, match="4 s more"):
        check_vote(matchup(), LEFT, **{**open_at, "now": NOW + 6})
    with pytest.raises(InvalidInput, match="closed"):
        check_vote(matchup(), LEFT, **{**open_at, "now": NOW + OPEN_S[BROWSER]})
    with pytest.raises(InvalidInput, match="already"):
        check_vote(matchup(), LEFT, **{**open_at, "has_voted": True})
    with pytest.raises(TooMany):
        check_vote(matchup(), LEFT, **{**open_at, "votes_today": VOTES_A_DAY})


def test_one_voter_has_one_vote_on_a_matchup(store: ArenaStore) -> None:
    store.save(matchup())
    store.vote("matchup_0", "voter", STRANGER, winner=LEFT, at=NOW)
    assert store.has_voted("matchup_0", "voter") and not store.has_voted("matchup_0", "other")
    with pytest.raises(InvalidInput, match="already"):
        store.vote("matchup_0", "voter", STRANGER, winner=RIGHT, at=NOW)
    assert [trial.winner for trial in store.trials(NOW)] == [LEFT]
    assert store.votes_since("voter", NOW) == 1 and store.votes_since("voter", NOW + 1) == 0


def test_no_address_is_ever_stored(store: ArenaStore) -> None:
    key = voter_key(b"secret", user=None, address="203.0.113.77", agent="Firefox")
    store.save(matchup())
    network = network_key(b"secret", "203.0.113.77")
    store.vote("matchup_0", key, STRANGER, network=network, winner=LEFT, at=NOW)
    with store._open() as db:  # what is on the disk, whatever the classes say
        rows = str([tuple(row) for row in db.execute(text("select * from votes"))])
    assert "203.0.113" not in rows and "Firefox" not in rows and network in rows
    assert network != network_key(b"other", "203.0.113.77")
    assert key != voter_key(b"other", user=None, address="203.0.113.77", agent="Firefox")
    assert key != voter_key(b"secret", user="203.0.113.77", address="", agent="Firefox")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> ArenaStore:
    """A hundred people, each with an account or a connection of their own; three of four prefer lab/a."""
    store = ArenaStore(open_engine(f"sqlite:///{tmp_path_factory.mktemp('honest') / 'arena.db'}"))
    for number in range(100):
        store.save(matchup(number))
        winner, is_user = LEFT if number % 4 else RIGHT, number % 2
        at, network = NOW + number, "" if is_user else f"n{number}"
        kind = MEMBER if is_user else STRANGER
        store.vote(f"matchup_{number}", f"v{number}", kind, network=network, winner=winner, at=at)
    return store


def bot(count: int, agents: int) -> list[Ballot]:
    """Votes for lab/b from one IPv6 network, under so many names and addresses."""
    ballots = []
    for number in range(count):
        address = f"2001:db8:0:7::{number + 1:x}"
        name = voter_key(b"s", user=None, address=address, agent=f"agent {number % agents}")
        network = network_key(b"s", network_of(address))
        ballots.append(Ballot(BROWSER, "lab/a", "lab/b", RIGHT, name, STRANGER, network, NOW + 1000 + number))
    return ballots


@pytest.mark.parametrize("agents", [1, 60, 120, 500])
def test_a_bot_changes_nothing_under_any_number_of_names(honest: ArenaStore, agents: int) -> None:
    before = table_of(honest.ballots(NOW), []).standings
    assert before.winner == "lab/a"
    table = table_of([*honest.ballots(NOW), *bot(500, agents)], [])
    assert sum(row.counted_votes for row in table.standings.rows) == 2 * (100 + COUNTED_PER_PAIR[STRANGER])
    assert table.standings.winner == before.winner
    for now, then in zip(table.standings.rows, before.rows, strict=True):
        assert now.policy == then.policy and abs(now.rating - then.rating) < 10
    assert table.updated_at == NOW + 1000, "of the last vote that counts"


def test_a_bot_that_comes_back_each_day_is_one_voter(honest: ArenaStore) -> None:
    days = [replace(ballot, at=ballot.at + 86_400 * day) for day, ballot in enumerate(bot(40, 40))]
    table = table_of([*honest.ballots(NOW), *days], []).standings
    before = table_of(honest.ballots(NOW), []).standings
    reach = {row.policy: (row.high or 0) - (row.low or 0) for row in table.rows}
    assert all(reach[row.policy] > (row.high or 0) - (row.low or 0) for row in before.rows)


def test_votes_of_before_networks_were_noted_count_by_voter() -> None:
    old = [replace(ballot, network="") for ballot in bot(20, 20)]
    assert len(list(counted(old))) == 20


def test_every_vote_is_kept_and_comes_page_by_page(
    store: ArenaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arena_store, "_PAGE", 7)
    store.save(matchup())
    for number in range(30):
        # At the same moment, so that a page ends among equals.
        store.vote("matchup_0", f"v{number:02}", STRANGER, winner=LEFT, at=NOW + number // 10)
    closed = NOW + OPEN_S[BROWSER]
    assert [trial.voter for trial in store.trials(closed)] == [f"v{number:02}" for number in range(30)]
    assert [ballot.voter for ballot in store.ballots(closed)] == [f"v{number:02}" for number in range(30)]


def test_every_physical_trial_counts_once_it_is_closed(store: ArenaStore) -> None:
    for number in range(30):
        store.save(replace(matchup(number), kind=PHYSICAL))
        store.vote(f"matchup_{number}", "lab", MEMBER, winner=LEFT, at=NOW, evidence="rec_1,rec_2")
    closes_at = NOW + 10 + OPEN_S[PHYSICAL]
    early = closes_at - 1
    assert not list(store.ballots(early)) and not list(store.trials(early)) and not store.told_policies(early)
    assert store.next_told_at(early) == closes_at and store.next_told_at(closes_at) is None
    assert len(list(counted(store.ballots(closes_at)))) == 30
    assert next(store.trials(closes_at)).evidence == "rec_1,rec_2"
    assert store.told_policies(closes_at) == {"lab/a", "lab/b"}


def test_the_recording_of_a_trial_is_known(store: ArenaStore) -> None:
    store.save(replace(matchup(), kind=PHYSICAL, left=replace(matchup().left, recording="sess_1")))
    found = store.of_recording("sess_1")
    assert found is not None and found.id == "matchup_0"
    assert store.of_recording("sess_2") is None


def test_a_pair_is_never_a_policy_with_itself_and_sides_are_even() -> None:
    random = np.random.default_rng(0)
    pairs = [draw_pair(["a", "b", "c"], {}, random) for _ in range(600)]
    assert all(left != right for left, right in pairs)
    assert 150 < sum(left == "a" for left, _ in pairs) < 250
    with pytest.raises(InvalidInput, match="two active policies"):
        draw_pair(["a"], {}, random)


def test_a_new_policy_is_seen_more_often_than_an_old_one() -> None:
    random = np.random.default_rng(0)
    games = {"a": 400, "b": 400, "c": 400}
    drawn = [draw_pair(["a", "b", "c", "new"], games, random) for _ in range(300)]
    assert sum("new" in pair for pair in drawn) > 250


def test_games_count_both_sides(store: ArenaStore) -> None:
    store.save(matchup(1))
    store.save(matchup(2, "lab/b", "lab/c"))
    assert store.games() == {"lab/a": 1, "lab/b": 2, "lab/c": 1}
