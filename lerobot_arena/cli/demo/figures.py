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
        "stages": _stages(inference.get("stages")),
        "seconds": round(seconds, 2),
    }


def _decisions(counts: Any) -> dict[str, int]:
    if isinstance(counts, Mapping):
        return {str(name).lower(): int(count) for name, count in counts.items()}
    return {name: int(count) for name, count in zip(DECISIONS, counts or (0, 0, 0, 0), strict=True)}


def _stages(stages: Any) -> dict[str, dict[str, float]]:
    if not isinstance(stages, Mapping):
        return {}
    wanted = (("p50", "p50_ms"), ("p95", "p95_ms"), ("p99", "p99_ms"))
    return {
        name: {short: round(float(stage.get(short, stage.get(long, 0.0))), 3) for short, long in wanted}
        for name, stage in stages.items()
    }
