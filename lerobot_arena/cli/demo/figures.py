# SPDX-License-Identifier: Apache-2.0
"""The last line of `arena demo --json`: what a run did, in figures."""

from collections.abc import Mapping
from typing import Any

from lerobot_arena.cli.demo.episodes import EpisodeLoop

DECISIONS = ("pass", "clamp", "reject", "fault")


def figures(loop: EpisodeLoop, status: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
    """Episodes and successes as the demo saw them; everything else as the bridge counted the session."""
    stats = status.get("stats") or {}
    inference = status.get("inference_stats") or {}
    return {
        "episodes": loop.episodes,
        "successes": loop.successes,
        "interruptions": loop.interruptions,
        "cycles": int(stats.get("cycles", 0)),
        "late_cycles": int(stats.get("late_cycles", 0)),
        "commands": int(stats.get("commands_sent", 0)),
        "decisions": _decisions(stats.get("decisions")),
        "inferences": int(stats.get("inference_count", 0)),
        "misses": int(stats.get("misses", 0)),
        "errors": int(stats.get("errors", 0)),
        "stages": _stages("inference", inference.get("stages"))
        | _stages("guard", inference.get("guard_stages")),
        "seconds": round(seconds, 2),
    }


def _decisions(counts: Any) -> dict[str, int]:
    found = {str(name).lower(): int(count) for name, count in (counts or {}).items()}
    return {name: found.get(name, 0) for name in DECISIONS}


def _stages(process: str, stages: Any) -> dict[str, dict[str, float]]:
    """Percentiles in ms as `process.stage`: several processes have a `queue` and a `total`."""
    return {
        f"{process}.{name}": {key: round(float(stage[key]), 3) for key in ("p50", "p95", "p99")}
        for name, stage in (stages or {}).items()
    }
