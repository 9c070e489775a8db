# SPDX-License-Identifier: Apache-2.0
"""The bridge's other stores keep what they are given, in either database."""

import math
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from lerobot_arena.bridge.config_store import ConfigStore
from lerobot_arena.bridge.recorder_event import RecorderNews
from lerobot_arena.bridge.recording_store import RecordingStore, Stat
from lerobot_arena.bridge.risk_store import RiskFilter, RiskStore
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.recording.index import FileIndex, Span
from lerobot_arena.recording.status import ERROR, Event

ALL = RiskFilter()
LARGEST = 2**63 - 1
# Whatever a string may hold, as far as it is one.
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "timestamp": 1_700_000_000.25 + number,
        "arm": "arm",
        "session_id": "s",
        "risk_level": "ELEVATED",
        "outcome": "clamp",
        "failure_type": None,
        "latency_ms": {"total": float(number)},
        "cycle_id": number,
        **changes,
    }


def config(version: int, *names: str) -> GuardConfig:
    return GuardConfig(
        version,
        tuple(BoundaryWanted(name, 2**31 - 1, '{"text": "ü\\u0000"}') for name in names),
        tuple(TaskWanted(name, "{}") for name in reversed(names)),
    )


def test_boundaries_and_tasks_come_back_in_their_order(engine: Engine) -> None:
    store = ConfigStore(engine)
    assert store.load() is None
    store.note_version(3)
    assert store.load() == GuardConfig(3)
    for wanted in (config(LARGEST - 1, "b", "a", "c" * 64), config(LARGEST, "a", "b")):
        store.write(wanted)
        assert store.load() == wanted


def test_risk_events_are_filtered_counted_and_cleared(engine: Engine) -> None:
    store = RiskStore(engine)
    assert store.stats(ALL)["avg_latency_ms"] is None and store.clear() == 0
    reject = {"outcome": "reject", "risk_level": "CRITICAL", "failure_type": "guard_triggered"}
    store.insert([event(1), event(2, **reject), event(3, arm="a" * 256, session_id="t" * 64)])
    newest = store.newest(ALL, 2)
    assert [found["cycle_id"] for found in newest] == [3, 2]
    assert store.get(newest[0]["event_id"]) == newest[0] and store.get(2**31 - 1) is None
    for wanted, numbers in (
        (RiskFilter(since=1_700_000_002.25), [2, 3]),
        (RiskFilter(until=1_700_000_002.25), [1, 2]),
        (RiskFilter(min_risk=RiskLevel.CRITICAL), [2]),
        (RiskFilter(outcome="reject", failure_type="guard_triggered"), [2]),
        (RiskFilter(arm="a" * 256, session_id="t" * 64), [3]),
    ):
        assert [found["cycle_id"] for found in store.each(wanted)] == numbers
    stats = store.stats(ALL)
    assert (stats["total"], stats["rejected"], stats["clamped"], stats["avg_latency_ms"]) == (3, 1, 2, 2.0)
    assert stats["by_risk_level"] == {"NORMAL": 0, "ELEVATED": 2, "CRITICAL": 1, "EMERGENCY": 0}
    before = newest[0]["event_id"]
    assert store.clear() == 3
    store.insert([event(4)])
    (found,) = store.newest(ALL, 9)
    assert found["event_id"] > before


def test_risk_events_are_pruned_by_number_and_age(engine: Engine) -> None:
    store = RiskStore(engine)
    store.insert([event(number) for number in range(10)])
    store.prune(max_events=4, oldest=0.0)
    assert [found["cycle_id"] for found in store.each(ALL)] == [6, 7, 8, 9]
    store.prune(max_events=4, oldest=event(8)["timestamp"])
    assert [found["cycle_id"] for found in store.each(ALL)] == [8, 9]


def test_a_recorders_events_are_kept_once(engine: Engine) -> None:
    store = RiskStore(engine)
    told = [Event(number, 5.0 + number, ERROR, "s", "full") for number in (1, 2, LARGEST)]
    assert store.insert_news(RecorderNews("arm", "b" * 64, tuple(told[:2]))) == 2
    assert store.insert_news(RecorderNews("arm", "b" * 64, tuple(told))) == 1
    assert store.insert_news(RecorderNews("arm", "other", tuple(told[:1]))) == 1
    assert store.stats(ALL)["total"] == 4 and store.stats(ALL)["avg_latency_ms"] is None


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(session_id="\0", said="\0")
@example(session_id="s" * 65, said="")
@given(session_id=WORDS, said=WORDS)
def test_what_a_recorder_says_is_kept_whatever_it_says(engine: Engine, session_id: str, said: str) -> None:
    """Its status comes over ROS from anybody; one odd name must not hold up the log."""
    store = RiskStore(engine)
    store.clear()
    news = RecorderNews("arm", f"boot{hash((session_id, said))}", (Event(1, 5.0, ERROR, session_id, said),))
    assert store.insert_news(news) == 1
    assert store.newest(ALL, 1)[0]["failure_reasons"] == [said]


def test_an_index_of_a_recording_comes_back_whole_and_grows(engine: Engine) -> None:
    store = RecordingStore(engine)
    path = "s/" + "f" * 590
    stat = Stat(LARGEST, LARGEST, LARGEST)
    spans = [
        Span(number * 2**40, 2**40, True, 1, LARGEST, 3, 2, 1, 1, 0, LARGEST, 5, 2, True, {1: 7})
        for number in range(3)
    ]
    index = FileIndex(
        spans[:1], {1: ("/arm/joint_states", "sensor_msgs/msg/JointState")}, {"session": {"a": "ü"}}
    )
    store.save(path, stat, index, first_new=0)
    assert store.load(path) == (stat, index)
    index.spans, index.position = spans, LARGEST
    store.save(path, stat, index, first_new=1)
    loaded = store.load(path)
    assert loaded is not None and loaded[1].spans == spans and loaded[1].position == LARGEST
    ((name, (found, totals)),) = store.listed().items()
    assert (name, found, totals.cycles) == (path, stat, 9)
    store.save(path, Stat(1, 1, 1), FileIndex(), first_new=0)
    assert store.load(path) == (Stat(1, 1, 1), FileIndex())
    store.forget({path, "none"})
    assert store.load(path) is None and store.listed() == {}
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM recording_spans")) == 0


def test_times_keep_their_microseconds(engine: Engine) -> None:
    at = 1_795_338_069.852738
    store = RiskStore(engine)
    store.insert([event(1, timestamp=at)])
    with engine.connect() as connection:
        kept = connection.scalar(text("SELECT timestamp FROM risk_events"))
    assert math.isclose(kept, at, rel_tol=0, abs_tol=1e-6)
