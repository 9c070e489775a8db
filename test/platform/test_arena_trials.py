# SPDX-License-Identifier: Apache-2.0
"""Physical trials in the database, the names of what they compare, and their votes as a download."""

import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from lerobot_arena.bridge.store import SessionRecord
from lerobot_arena.bridge.trial_policies import checkpoints_of, policy_name, policy_title
from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.platform.arena.ballots import Trial
from lerobot_arena.platform.arena.download import Download, lines, read_download
from lerobot_arena.platform.arena.matchup import FAILED, READY, STARTING
from lerobot_arena.platform.arena.ratings import WINNERS
from lerobot_arena.platform.arena.store import ArenaStore
from lerobot_arena.platform.arena.trials import Run, Trials, new_side
from lerobot_arena.platform.catalog.item import CHECKPOINT, Item
from lerobot_arena.platform.catalog.item import FAILED as ITEM_FAILED
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.storage.database import open_engine

NAMES = ("catalog:a/one", "catalog:a/two")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_engine(f"sqlite:///{tmp_path / 'arena.db'}")


@pytest.fixture
def store(engine: Engine) -> ArenaStore:
    return ArenaStore(engine)


@pytest.fixture
def trials(store: ArenaStore) -> Trials:
    return Trials(store, clock=ManualClock())


def begin(trials: Trials) -> str:
    left, right = (new_side(name, name.title()) for name in NAMES)
    return trials.begin(left, right, robot="so101", robot_content="r").id


def test_both_sides_have_to_run(trials: Trials, store: ArenaStore) -> None:
    key = begin(trials)
    half = trials.note_run(key, "right", Run("sess_2", "pick seed 1", "b"))
    assert (half.state, half.unlock_at) == (STARTING, None)
    assert trials.note_run(key, "right", Run("sess_2", "pick seed 1", "b")).state == STARTING
    whole = trials.note_run(key, "left", Run("sess_1", "pick seed 1", "a"))
    assert whole.state == READY and whole.unlock_at is not None
    assert whole == store.get(key)
    assert whole.evidence == "left:sess_1 right:sess_2" and (whole.left.content, whole.right.content) == (
        "a",
        "b",
    )


def test_what_nobody_runs_any_more_has_failed(trials: Trials, store: ArenaStore) -> None:
    ready, left_behind = begin(trials), begin(trials)
    for side in ("left", "right"):
        trials.note_run(ready, side, Run("sess", "pick seed 1", "a"))
    trials.note_recording(left_behind, "left", "sess_3")
    assert trials.fail_unfinished("The server was started again. " * 50) == {"sess_3"}
    assert store.get(ready).state == READY
    failed = store.get(left_behind)
    assert failed.state == FAILED and failed.error.startswith("The server") and len(failed.error) == 500


def test_pairs_are_drawn_or_named(trials: Trials) -> None:
    assert {trials.sides_of(NAMES, seed) for seed in range(9)} == {NAMES, NAMES[::-1]}
    assert set(trials.draw(NAMES, None)) == set(NAMES)
    assert trials.draw([*NAMES, "demo"], 5) == trials.draw([*NAMES, "demo"], 5)
    for pair in (lambda: trials.sides_of(("demo", "demo"), 1), lambda: trials.draw(["demo"], 1)):
        with pytest.raises(InvalidInput):
            pair()
    with pytest.raises(InvalidInput, match="itself"):
        trials.begin(new_side("demo", "Demo"), new_side("demo", "Demo"), robot="", robot_content="")


def record(reference: str, path: str = "/data/x", revision: str = "") -> SessionRecord:
    return SessionRecord(SessionWanted("s", "arm", path, revision=revision), reference)


def test_names_are_the_same_each_time_and_tell_no_folder() -> None:
    assert policy_name(record("catalog:a/one@3", "/data/checkpoints/1", "3")) == "catalog:a/one"
    assert policy_name(record("demo", "demo")) == "demo"
    assert policy_name(record("org/act@main", "/data/hub/1", "c0ffee")) == "org/act"
    first = policy_name(record("/home/anna/run1/pretrained_model", "/home/anna/run1/pretrained_model"))
    second = policy_name(record("run2/pretrained_model", "/home/anna/run2/pretrained_model"))
    assert first != second and first.startswith("local:pretrained_model-") and "anna" not in first


def test_checkpoints_go_by_their_titles(engine: Engine) -> None:
    shelf = Shelf(engine)
    shelf.put(Item(kind=CHECKPOINT, owner="a", slug="one", title="The first"))
    shelf.put(Item(kind=CHECKPOINT, owner="a", slug="bad", title="Bad", status=ITEM_FAILED))
    assert checkpoints_of(shelf) == ["catalog:a/one"]
    assert policy_title(shelf, record("catalog:a/one")) == "The first"
    assert policy_title(shelf, record("catalog:a/gone")) == "a/gone"


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
TRIAL = st.builds(
    Trial,
    **{field.name: TEXT for field in fields(Trial) if field.name not in {"winner", "at"}},
    winner=st.sampled_from(WINNERS),
    at=st.floats(0, 1e10),
)


@given(st.dictionaries(TEXT, TEXT, max_size=4), st.lists(TRIAL, max_size=5))
def test_a_download_is_read_as_it_was_written(titles: dict[str, str], votes: list[Trial]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.jsonl")
        path.write_bytes(b"".join(lines(Download(titles, votes))))
        assert read_download(path) == Download(titles, votes)
