# SPDX-License-Identifier: Apache-2.0
"""What recorders say of their disks is in the risk log, once."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from lerobot_arena.bridge.recorder_event import recorder_news
from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.status import ERROR, OK, WARN
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_fake_recorder import SESSION_ID
from lerobot_arena.testing.bridge_rig import Rig, open_rig


def say(rig: Rig, *said: tuple[int, str], arm: str = "arm", boot_id: str = "boot") -> None:
    """A recorder says it now, and publishes twice."""
    for level, text in said:
        at_unix = rig.clock.wall_ns() / 1e9
        rig.fake.recorders.say(arm, level, text, at_unix=at_unix, boot_id=boot_id)
    rig.fake.report()
    rig.fake.report()


async def events(rig: Rig, **params: Any) -> list[dict[str, Any]]:
    """Oldest first."""
    await rig.services.risk_log.flush()
    answer = await rig.http.get("/api/risk-log", params=params)
    assert answer.status_code == 200, answer.text
    return list(reversed(answer.json()["events"]))


async def reasons(rig: Rig) -> list[str]:
    return [event["reason"] for event in await events(rig, failure_type="recorder")]


async def test_an_event_has_the_shape_of_every_other(rig: Rig) -> None:
    rig.services.feed.push("arm", rig.fake.cycle(rig.fake.guards["arm"], 7, Decision.REJECT))
    rig.fake.recorders.recordings["arm"] = SESSION_ID
    say(rig, (ERROR, "The disk is full."), (WARN, "A file was repaired."), (OK, "Recording again."))
    cycle, full, repaired, again = await events(rig)
    assert full.keys() >= cycle.keys()
    for part in ("observation", "action", "perf"):
        assert full[part].keys() == cycle[part].keys()
    levels = [event["risk_level"] for event in (full, repaired, again)]
    assert levels == ["CRITICAL", "ELEVATED", "NORMAL"]
    assert {event["outcome"] for event in (full, repaired, again)} == {"pass"}
    assert (full["failure_type"], full["reason"], full["guard_results"]) == (
        "recorder",
        "The disk is full.",
        [],
    )
    assert (full["arm"], full["recording"], full["trace_id"]) == ("arm", SESSION_ID, "recorder:boot:1")
    assert (await rig.http.get(f"/api/risk-log/{full['event_id']}")).json() == full
    stats = (await rig.http.get("/api/risk-log/stats")).json()
    assert (stats["total"], stats["rejected"], stats["by_risk_level"]["ELEVATED"]) == (4, 1, 1)
    assert stats["avg_latency_ms"] == pytest.approx(cycle["latency_ms"]["total"]), "no cycle took no time"
    only = (await rig.http.get("/api/risk-log/stats", params={"failure_type": "recorder"})).json()
    assert (only["total"], only["avg_latency_ms"]) == (3, None)
    assert (await rig.http.get("/api/risk-log/export/json")).json()[1] == full
    rows = list(csv.DictReader(io.StringIO((await rig.http.get("/api/risk-log/export/csv")).text)))
    assert (rows[1]["risk_level"], rows[1]["outcome"], rows[1]["total_latency_ms"]) == (
        "CRITICAL",
        "pass",
        "",
    )


async def test_each_is_kept_once_and_every_process_counts_anew(data_dir: Path) -> None:
    fake = FakeArms(arms=("left", "right"))
    async with open_rig(data_dir, fake) as rig:
        say(rig, (ERROR, "a"), arm="left", boot_id="1")
        say(rig, (ERROR, "b"), arm="right", boot_id="2")
        assert await reasons(rig) == ["a", "b"]
        say(rig, (OK, "c"), arm="left", boot_id="1")
        assert await reasons(rig) == ["a", "b", "c"]
    async with open_rig(data_dir, fake) as rig:
        rig.fake.report()
        assert await reasons(rig) == ["a", "b", "c"]
        say(rig, (WARN, "d"), arm="left", boot_id="3")
        assert await reasons(rig) == ["a", "b", "c", "d"]
        assert [event["reason"] for event in await events(rig, arm="right")] == ["b"]
        await rig.http.post("/api/risk-log/clear")
    async with open_rig(data_dir, fake) as rig:
        rig.fake.report()
        assert await reasons(rig) == [], "what was cleared does not come back"


async def test_what_the_full_disk_refuses_is_written_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OperationalError("INSERT", {}, OSError("disk full"))

    monkeypatch.setattr(rig.services.risk_store, "insert_news", full)
    say(rig, (ERROR, "The disk is full."))
    assert await reasons(rig) == []
    say(rig, (OK, "Recording again."), boot_id="next")
    monkeypatch.undo()
    assert await reasons(rig) == ["The disk is full.", "Recording again."]


GOOD = {"number": 1, "at_unix": 1.0, "level": 2, "session_id": "", "text": "x"}


@pytest.mark.parametrize(
    "status",
    [
        "", "[]", "7", "{}", '{"boot_id": "b"}', '{"boot_id": "", "events": []}', '{"boot_id": "b", "events": 7}',
        '{"boot_id": "b", "events": [7]}', json.dumps({"boot_id": "b" * 65, "events": [GOOD]}),
        json.dumps({"boot_id": "b", "events": [{**GOOD, "number": "one"}]}),
        json.dumps({"boot_id": "b", "events": [{**GOOD, "number": 1e30}]}),
        json.dumps({"boot_id": "b", "events": [{**GOOD, "number": 0}]}),
    ],
)  # fmt: skip
async def test_a_status_that_is_none_is_passed_over(rig: Rig, status: str) -> None:
    with pytest.raises(ValueError):
        recorder_news("arm", status)
    rig.services.board.on_recorder("arm", status)
    say(rig, (ERROR, "real"))
    assert await reasons(rig) == ["real"]
