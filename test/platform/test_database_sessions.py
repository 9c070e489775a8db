# SPDX-License-Identifier: Apache-2.0
"""Wanted sessions survive a restart, in either database."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from lerobot_arena.bridge.store import SessionRecord, SessionStore
from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.session import SessionWanted

WANTED = SessionWanted(
    "s",
    "arm",
    "/p",
    workspace_id="w",
    camera_names=("front",),
    camera_topics=("/rooms/w/sZ2dfront",),
    joint_output_topic="/rooms/w/out",
    rate_hz=30.0,
    joint_names=("a", "b"),
)
RECORD = SessionRecord(WANTED, "org/name", "http://localhost:8000", 5.0, {"unit": "degrees"})


def test_what_was_written_is_read_back_whole(engine: Engine) -> None:
    store = SessionStore(engine)
    assert store.load() == (0, [])
    store.insert(RECORD, 7)
    assert store.load() == (7, [RECORD])
    store.delete("s", 8)
    store.delete("s", 9)
    assert store.load() == (9, [])
    store.insert(RECORD, 10)


def test_a_conflict_changes_nothing(engine: Engine) -> None:
    store = SessionStore(engine)
    store.insert(RECORD, 7)
    with pytest.raises(Conflict, match="already exists"):
        store.insert(replace(RECORD, policy_reference="other"), 8)
    with pytest.raises(Conflict, match="room"):
        store.insert(replace(RECORD, wanted=replace(WANTED, session_id="t")), 8)
    assert store.load() == (7, [RECORD])


def test_one_session_of_an_arm_is_selected(engine: Engine) -> None:
    store = SessionStore(engine)
    for name in "abc":
        wanted = SessionWanted(name, "arm" if name != "c" else "other", "/p", is_selected=name == "c")
        store.insert(SessionRecord(wanted, "p"), 1)
    for chosen in "ab":
        store.select(chosen, ["a", "b"], 2)
        selected = [record.wanted.session_id for record in store.load()[1] if record.wanted.is_selected]
        assert selected == [chosen, "c"]
