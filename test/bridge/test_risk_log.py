# SPDX-License-Identifier: Apache-2.0
"""The risk log: which cycles it keeps, how it is asked, and that it neither grows for ever nor delays anybody."""

import asyncio
import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from lerobot_arena.bridge.risk_event import failure_type, outcome_of, risk_event
from lerobot_arena.bridge.risk_store import RiskFilter, RiskStore
from lerobot_arena.core.clock import NS
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.risk import RULES, RiskLevel, RiskWindow
from lerobot_arena.core.session import RUNNING
from lerobot_arena.core.verdict import Decision, Outcome, Verdict
from lerobot_arena.platform.storage.database import open_engine
from lerobot_arena.testing.bridge_rig import Rig, open_rig

P, C, R, F = Decision
# Fields of DAM's risk event.
EVENT_KEYS = {
    "event_id", "timestamp", "cycle_id", "trace_id", "risk_level", "outcome", "was_clamped", "was_rejected",
    "fallback_triggered", "guard_results", "latency_ms", "perf", "mcap_filename", "failure_type",
    "failure_guard_names", "failure_layers", "failure_decisions", "failure_reasons", "failure_tuple", "observation",
    "action", "hardware",
}  # fmt: skip
CSV_HEADER = (
    "event_id,timestamp,cycle_id,trace_id,risk_level,outcome,was_clamped,was_rejected,fallback_triggered,"
    "total_latency_ms"
)


def push(rig: Rig, *decisions: Decision, layer: str = "L1", arm: str = "arm", **changes: Any) -> None:
    """Cycles of a running arm, a second apart on both clocks."""
    for decision in decisions:
        rig.clock.advance(1.0)
        guard = replace(rig.fake.guards[arm], state=RUNNING, session_id="s", task="default")
        number = int(rig.clock.steady_ns() / NS)
        record = rig.fake.cycle(guard, number, decision, layer=layer)
        rig.services.feed.push(arm, replace(record, **changes))


async def events(rig: Rig, **params: Any) -> list[dict[str, Any]]:
    """Oldest first."""
    await rig.services.risk_log.flush()
    answer = await rig.http.get("/api/risk-log", params=params)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["count"] == len(body["events"])
    newest_first = [event["event_id"] for event in body["events"]]
    assert newest_first == sorted(newest_first, reverse=True)
    return list(reversed(body["events"]))


async def test_kept_are_interventions_and_changes_of_the_risk(rig: Rig) -> None:
    push(rig, P, P, C, P, P, R, P, P, F, P)
    kept = await events(rig)
    assert [event["outcome"] for event in kept] == ["clamp", "pass", "reject", "pass", "reject", "pass"]
    levels = ["ELEVATED", "NORMAL", "CRITICAL", "NORMAL", "EMERGENCY", "NORMAL"]
    assert [event["risk_level"] for event in kept] == levels
    assert kept[0].keys() >= EVENT_KEYS
    clamp, reject = kept[0], kept[2]
    assert (clamp["was_clamped"], clamp["was_rejected"], clamp["fallback_triggered"]) == (True, False, None)
    assert reject["fallback_triggered"] == "hold_position"
    assert reject["failure_guard_names"] == ["position_limits"] and reject["failure_layers"] == ["L1"]
    assert reject["failure_tuple"]["schema"] == "dam.failure_tuple.v1"
    assert kept[1]["failure_type"] is None and kept[1]["failure_tuple"] is None
    assert reject["observation"]["joint_names"][0] == "shoulder_pan" and reject["latency_ms"]["total"] == 0.4
    one = await rig.http.get(f"/api/risk-log/{reject['event_id']}")
    assert one.json() == reject
    assert (await rig.http.get("/api/risk-log/4711")).status_code == 404
    for wrong in ("x", "1.5", str(2**70)):
        assert (await rig.http.get(f"/api/risk-log/{wrong}")).status_code == 422


async def test_filters_combine(rig: Rig) -> None:
    push(rig, C, P, R, F, P)
    push(rig, R, layer="L0")
    push(rig, R, layer="L3")
    every = await events(rig)
    assert [event["outcome"] for event in await events(rig, outcome="reject")] == ["reject"] * 4
    assert await events(rig, rejected_only=True) == await events(rig, outcome="reject")
    assert await events(rig, clamped_only=True) == await events(rig, outcome="clamp")
    assert {event["risk_level"] for event in await events(rig, min_risk_level="CRITICAL")} <= {
        "CRITICAL",
        "EMERGENCY",
    }
    assert len(await events(rig, min_risk_level="NORMAL")) == len(every)
    middle = every[2]["timestamp"]
    assert await events(rig, since=middle) == every[2:]
    assert await events(rig, until=middle) == every[:3]
    assert await events(rig, since=middle, until=middle) == [every[2]]
    combined = await events(rig, since=middle, outcome="reject", min_risk_level="EMERGENCY")
    assert [event["risk_level"] for event in combined] == ["EMERGENCY"]
    kinds = [event["failure_type"] for event in await events(rig, outcome="reject")]
    assert kinds == ["guard_triggered", "guard_triggered", "ood_only", "hardware_triggered"]
    assert len(await events(rig, failure_type="ood_only")) == 1
    assert await events(rig, limit=2) == every[-2:]
    assert await events(rig, arm="other") == await events(rig, session_id="other") == []


@pytest.mark.parametrize(
    "query",
    [
        "outcome=maybe", "outcome=REJECT", "min_risk_level=HIGH", "min_risk_level=critical", "limit=0", "limit=5001",
        "limit=x", "since=x", "since=nan", "until=inf", "since=5&until=4", "rejected_only=perhaps",
        "rejected_only=true&clamped_only=true", "outcome=pass&rejected_only=true", "failure_type=other",
    ],
)  # fmt: skip
async def test_filters_that_mean_nothing_are_422(rig: Rig, query: str) -> None:
    paths = ["", "/stats", "/export/json", "/export/csv"]
    for path in paths if "limit" not in query else [""]:
        assert (await rig.http.get(f"/api/risk-log{path}?{query}")).status_code == 422


async def test_statistics(rig: Rig) -> None:
    empty = (await rig.http.get("/api/risk-log/stats")).json()
    assert empty == {
        "total": 0,
        "rejected": 0,
        "clamped": 0,
        "by_risk_level": {"NORMAL": 0, "ELEVATED": 0, "CRITICAL": 0, "EMERGENCY": 0},
        "avg_latency_ms": None,
        "dropped": 0,
    }
    push(rig, C, P, R, F)
    await rig.services.risk_log.flush()
    stats = (await rig.http.get("/api/risk-log/stats")).json()
    assert (stats["total"], stats["rejected"], stats["clamped"]) == (4, 2, 1)
    assert stats["by_risk_level"] == {"NORMAL": 1, "ELEVATED": 1, "CRITICAL": 1, "EMERGENCY": 1}
    assert stats["avg_latency_ms"] == pytest.approx(0.4)
    assert (await rig.http.get("/api/risk-log/stats?outcome=clamp")).json()["total"] == 1


async def test_exports_hold_every_event_and_a_number_json_cannot_say(rig: Rig) -> None:
    for kind, nothing in (("json", "[]"), ("csv", CSV_HEADER)):
        assert (await rig.http.get(f"/api/risk-log/export/{kind}")).text.strip() == nothing
    push(rig, *([C] * 1100), proposed=(float("nan"),) * 6)
    await rig.services.risk_log.flush()
    answer = await rig.http.get("/api/risk-log/export/json")
    assert answer.headers["content-disposition"] == 'attachment; filename="risk_log.json"'
    listed = answer.json()
    assert [event["event_id"] for event in listed] == list(range(1, 1101))
    assert listed[0]["action"]["proposed"] == [None] * 6
    answer = await rig.http.get("/api/risk-log/export/csv?outcome=clamp")
    assert answer.headers["content-disposition"] == 'attachment; filename="risk_log.csv"'
    assert answer.text.splitlines()[0] == CSV_HEADER
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 1100 and rows[7]["cycle_id"] == str(listed[7]["cycle_id"])
    assert (rows[0]["total_latency_ms"], rows[0]["fallback_triggered"]) == ("0.4", "")
    cleared = await rig.http.post("/api/risk-log/clear")
    assert cleared.json() == {"cleared": 1100}
    push(rig, R)
    assert [event["event_id"] for event in await events(rig)] == [1101], "no id is given out twice"


async def test_it_survives_a_restart_and_writes_what_waits_at_the_end(data_dir: Path) -> None:
    async with open_rig(data_dir) as rig:
        push(rig, R, C)
    async with open_rig(data_dir) as rig:
        assert [event["outcome"] for event in await events(rig)] == ["reject", "clamp"]


async def test_it_is_written_by_itself(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    push(rig, R)
    async with asyncio.timeout(5):
        while (await rig.http.get("/api/risk-log")).json()["count"] == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_sensor_that_is_off_all_night_is_one_event(rig: Rig) -> None:
    for _ in range(50):
        push(rig, F, state="idle")
    assert len(await events(rig)) == 1
    push(rig, F)
    push(rig, F, F, state="stopped")
    assert [event["state"] for event in await events(rig)] == ["idle", "running", "stopped"]


async def test_retention_by_count_and_age(data_dir: Path) -> None:
    async with open_rig(data_dir, risk_log_max_events=10, risk_log_max_age_days=1.0) as rig:
        push(rig, R)
        await rig.services.risk_log.flush()
        rig.clock.advance(2 * 86_400.0)
        push(rig, *([C] * 600))
        await rig.services.risk_log.flush()
        push(rig, *([C] * 5))
        kept = await events(rig, limit=5000)
        assert len(kept) == 15 and all(event["outcome"] == "clamp" for event in kept)


async def test_a_full_disk_loses_events_counts_them_and_nothing_else(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    def full(*_: Any) -> None:
        raise OperationalError("INSERT", {}, OSError("disk full"))

    monkeypatch.setattr(rig.services.risk_store, "insert", full)
    push(rig, R, C)
    await rig.services.risk_log.flush()
    monkeypatch.undo()
    push(rig, F)
    assert [event["risk_level"] for event in await events(rig)] == ["EMERGENCY"]
    assert (await rig.http.get("/api/risk-log/stats")).json()["dropped"] == 2


async def test_cycles_that_are_none_and_floods_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lerobot_arena.bridge.risk_log._MOST_WAITING", 10)
    rig.services.feed.push("arm", b"garbage")
    push(rig, *([C] * 25))
    assert len(await events(rig)) == 10
    assert rig.services.risk_log.dropped == 15


# What an event says


@pytest.mark.parametrize(("decision", "outcome"), [(P, "pass"), (C, "clamp"), (R, "reject"), (F, "reject")])
def test_a_fault_counts_as_reject(decision: Decision, outcome: str) -> None:
    assert outcome_of(decision) == outcome


@pytest.mark.parametrize(
    ("verdicts", "kind"),
    [
        ((), None),
        (((P, "L0"), (P, "L3")), None),
        (((R, "L0"), (P, "L3")), "ood_only"),
        (((C, "L0"),), "ood_only"),
        (((R, "L0"), (R, "L1")), "guard_triggered"),
        (((R, "L2"),), "guard_triggered"),
        (((R, "L1"), (F, "L3")), "hardware_triggered"),
        # Warnings do not make a refusal what it is.
        (((C, "L3"), (R, "L1")), "guard_triggered"),
        (((C, "L1"), (R, "L0")), "ood_only"),
    ],
)
def test_failure_types(verdicts: tuple[tuple[Decision, str], ...], kind: str | None) -> None:
    assert failure_type([Verdict(decision, layer, "c") for decision, layer in verdicts]) == kind


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(Decision)), max_size=60), st.floats(0.01, 5.0))
def test_the_level_of_an_event_is_that_of_the_one_risk_function(
    decisions: list[Decision], step_s: float
) -> None:
    """What the guard says live, what the log keeps, and what a recording read again would give are one."""
    live, again, kept = RiskWindow(), RiskWindow(), []
    for number, decision in enumerate(decisions):
        steady_ns = round(number * step_s * NS)
        level = live.add(decision, steady_ns=steady_ns)
        record = CycleRecord(
            number, decision, Outcome.NONE, 0, RUNNING, "radians", ("a",), risk=level, steady_ns=steady_ns
        )
        kept.append(risk_event(record, "arm", mcap_filename="f.mcap"))
        assert kept[-1]["trace_id"] == f"mcap:f.mcap:{number}"
    for event, decision in zip(kept, decisions, strict=True):
        assert event["risk_level"] == again.add(decision, steady_ns=event["steady_ns"]).name
    assert RULES.window_s > 0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'arena.db'}")
    yield made
    made.dispose()


def test_an_export_goes_on_while_events_come_and_go(engine: Engine) -> None:
    store = RiskStore(engine)
    record = CycleRecord(1, C, Outcome.ADJUSTED, 5 * NS, RUNNING, "radians", ("a",), risk=RiskLevel.ELEVATED)
    store.insert([risk_event(record, "arm")] * 1200)
    each = store.each(RiskFilter())
    first = [next(each) for _ in range(500)]
    store.prune(max_events=400, oldest=0.0)
    store.insert([risk_event(record, "arm")] * 3)
    rest = [event["event_id"] for event in each]
    assert first[-1]["event_id"] == 500 and rest == list(range(801, 1204))
