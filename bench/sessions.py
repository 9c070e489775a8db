# SPDX-License-Identifier: Apache-2.0
"""1, 2, 4, 8 sessions on one policy: what each gets, what it costs, and what the bare policy could give at most."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from floors import init_ros
from report import show
from stage import Stage, replay_file

from lerobot_arena.core.robot import load_robot
from lerobot_arena.inference.manifest import write_manifest
from lerobot_arena.inference.policies.table import BATCHES
from lerobot_arena.testing.act_checkpoint import write_act_checkpoint

SECONDS = 6.0
SIZE = (96, 96, 3)
COUNTS = (1, 2, 4, 8)


def row(
    name: str,
    path: str,
    sessions: int,
    *,
    size: tuple[int, int, int] = (480, 640, 3),
    max_batch: int = 1,
) -> dict[str, Any]:
    with Stage(path, sessions, size=size, params=[f"max_batch:={max_batch}"]) as stage:
        stage.run(1.0)
        begin, cpu_begin_s = time.monotonic(), stage.policy_cpu_s()
        stage.run(SECONDS)
        took_s, cpu_s = time.monotonic() - begin, stage.policy_cpu_s() - cpu_begin_s
        counts = [len(actor.round_trips_s) for actor in stage.actors]
        latest = np.concatenate([actor.round_trips_s for actor in stage.actors]) * 1e3
        memory = stage.memory_mb()
    return {
        "policy": name,
        "sessions": sessions,
        "chunks_per_s": sum(counts) / took_s,
        "policy_cpu_ms_per_chunk": cpu_s / sum(counts) * 1e3,
        "least_served_per_s": min(counts) / took_s,
        "most_served_per_s": max(counts) / took_s,
        "p50_ms": float(np.median(latest)),
        "p99_ms": float(np.percentile(latest, 99)),
        "memory_mb": memory,
    }


def checkpoint(folder: Path) -> str:
    """A LeRobot ACT of the demo's size with random weights, for LeRobot's own torch."""
    path = write_act_checkpoint(folder / "act", size=SIZE[0], chunk=50, dim=128)
    joints = list(load_robot("so101").joint_names)
    write_manifest(path, {"joint_names": joints, "unit": "normalized", "fps": 30.0})
    return str(path)


def main() -> None:
    init_ros()
    rows = [row("demo (ONNX int8)", "demo", sessions) for sessions in COUNTS]
    with tempfile.TemporaryDirectory() as folder:
        slow = replay_file(Path(folder), delay_ms=300.0, cameras=("front",))
        rows += [row("takes 300 ms", slow, sessions) for sessions in (1, 3)]
        act = checkpoint(Path(folder))
        # Beside each other in time, so that whatever else the machine does hits both.
        pairs = [
            [
                row(f"ACT in torch, {how}", act, sessions, size=SIZE, max_batch=batch)
                for how, batch in (("one by one", 1), ("together", BATCHES["lerobot", "act"]))
            ]
            for sessions in COUNTS
        ]
    rclpy.shutdown()
    rows += [one for pair in pairs for one in pair]
    gains = ", ".join(
        f"{single['sessions']}: {together['chunks_per_s'] / single['chunks_per_s']:.2f} × the chunks, "
        f"{together['policy_cpu_ms_per_chunk'] / single['policy_cpu_ms_per_chunk']:.2f} × the policy's CPU time of each"
        for single, together in pairs
    )
    notes = [
        f"Eight sessions together get {rows[3]['chunks_per_s'] / rows[0]['chunks_per_s']:.2f} × what one gets alone.",
        "Exported graphs have a batch of one, so their sessions are served in turn.",
        f"A LeRobot ACT answers whoever waits in one call; sessions and its gain over one by one: {gains}.",
        "One session never waits with another: its gain is the machine's noise. CPU time leaves out other processes.",
        "A 50-step chunk at 30 Hz lasts 1.67 s: a session needs 0.6 chunks/s to keep its control rate.",
    ]
    show("Sessions on one policy", rows, notes)


if __name__ == "__main__":
    main()
