# SPDX-License-Identifier: Apache-2.0
"""Who meets whom, who may vote when, and what a flood of votes changes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from lerobot_arena.core.errors import InvalidInput, NotFound, TooMany
from lerobot_arena.platform.arena.matchup import (
    COUNTED_PER_PAIR,
    MEMBER,
    PHYSICAL,
    READY,
    STRANGER,
    VOTES_A_DAY,
    Matchup,
    Side,
    check_vote,
    draw_pair,
    voter_key,
)
from lerobot_arena.platform.arena.ratings import LEFT, RIGHT, rate
from lerobot_arena.platform.arena.store import ArenaStore, counted
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
def store(tmp_path: Path) -> Iterator[ArenaStore]:
    engine = open_engine(f"sqlite:///{tmp_path / 'arena.db'}")
    yield ArenaStore(engine)
    engine.dispose()


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
    assert [trial.winner for trial in store.trials()] == [LEFT]
    assert store.votes_since("voter", NOW) == 1 and store.votes_since("voter", NOW + 1) == 0


def test_no_address_is_ever_stored(store: ArenaStore, tmp_path: Path) -> None:
    key = voter_key(b"secret", user=None, address="203.0.113.77", agent="Firefox")
    store.save(matchup())
    store.vote("matchup_0", key, STRANGER, winner=LEFT, at=NOW)
    with store._open() as db:  # what is on the disk, whatever the classes say
        rows = str([tuple(row) for row in db.execute(text("select * from votes"))])
    assert "203.0.113" not in rows and "Firefox" not in rows
    assert key != voter_key(b"other", user=None, address="203.0.113.77", agent="Firefox")
    assert key != voter_key(b"secret", user="203.0.113.77", address="", agent="Firefox")


def test_a_bot_that_votes_for_itself_changes_nothing(store: ArenaStore) -> None:
    for number in range(100):
        store.save(matchup(number))
        store.vote(
            f"matchup_{number}", f"v{number}", MEMBER, winner=LEFT if number % 4 else RIGHT, at=NOW + number
        )
    before = rate(counted(store.trials()))
    assert before.winner == "lab/a"
    for number in range(1000, 1500):
        store.save(matchup(number))
        store.vote(f"matchup_{number}", "bot", STRANGER, winner=RIGHT, at=NOW + number)
    votes = counted(store.trials())
    assert len(votes) == 100 + COUNTED_PER_PAIR[STRANGER]
    after = rate(votes)
    assert after.winner == before.winner
    assert abs(after.rows[0].rating - before.rows[0].rating) < 10
    assert len(store.trials()) == 600, "nothing that was accepted is lost"


def test_every_physical_trial_counts(store: ArenaStore) -> None:
    for number in range(30):
        store.save(replace(matchup(number), kind=PHYSICAL))
        store.vote(f"matchup_{number}", "lab", MEMBER, winner=LEFT, at=NOW, evidence="rec_1,rec_2")
    assert len(counted(store.trials())) == 30
    assert store.trials()[0].evidence == "rec_1,rec_2"


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
