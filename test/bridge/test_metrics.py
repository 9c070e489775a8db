# SPDX-License-Identifier: Apache-2.0
"""/metrics as Prometheus reads it."""

from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_rig import Rig, open_rig


async def samples(rig: Rig) -> dict[tuple[str, ...], float]:
    """(name, label value …) → value."""
    answer = await rig.http.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_a_run_shows_in_the_figures(rig: Rig) -> None:
    await rig.create()
    found = await samples(rig)
    assert found["arena_state", "arm", "idle"] == 1 and found["arena_state", "arm", "running"] == 0
    assert found["arena_sessions", "ready"] == 1 and found["arena_watchers",] == 0
    await rig.start()
    for _ in range(7):
        rig.fake.beat()
    guard = rig.fake.guards["arm"]
    rig.fake.guards["arm"] = replace(guard, risk=RiskLevel.CRITICAL, late_cycles=2, decisions=(5, 1, 1, 0))
    rig.fake.report()
    found = await samples(rig)
    assert found["arena_cycles_total", "arm"] == found["arena_commands_total", "arm"] == 7
    assert found["arena_late_cycles_total", "arm"] == 2 and found["arena_risk_level", "arm"] == 2
    assert [found["arena_decisions_total", "arm", name] for name in ("PASS", "CLAMP", "REJECT", "FAULT")] == [
        5,
        1,
        1,
        0,
    ]
    assert found["arena_state", "arm", "running"] == 1 and found["arena_sessions", "running"] == 1
    assert found["arena_stage_seconds", "arm", "0.5", "total"] == 0.0003
    version = rig.services.config.config.version
    assert found["arena_config_version", "arm"] == found["arena_config_version", ""] == version
    assert found["arena_dropped", "events"] == 0
    rig.clock.advance(10.0)
    found = await samples(rig)
    assert found["arena_guard_up", "arm"] == 0 and found["arena_state", "arm", "stopped"] == 1


async def test_two_apps_of_one_process_do_not_share_figures(data_dir: Path) -> None:
    async with (
        open_rig(data_dir / "a", FakeArms(("left",))) as a,
        open_rig(data_dir / "b", FakeArms(())) as b,
    ):
        assert ("arena_guard_up", "left") in await samples(a)
        assert not [key for key in await samples(b) if "left" in key]
