# SPDX-License-Identifier: Apache-2.0
"""What our code adds between an observation and its guarded command, beside the raw two-hop rclpy round trip.

The inference process is real, its policy computes nothing (replay), a 640×480 camera and joints flow. The guard's
share is its whole cycle with a command, on its own code. Network compute and the wait for the tick are left out.
"""

import tempfile
from pathlib import Path

import numpy as np
import rclpy
from floors import init_ros, two_hops
from report import percentiles_ms, show
from stage import Stage, replay_file

from lerobot_arena.testing.guard_world import GuardWorld

ROUNDS = 300


def guard_cycles(count: int) -> list[float]:
    """Seconds of `count` guard cycles that each send a command."""
    world = GuardWorld()
    world.start()
    totals = []
    for _ in range(count):
        record = world.step()
        totals.append(next(stage.p50_ms for stage in record.stages if stage.name == "total") / 1e3)
    return totals


def main() -> None:
    init_ros()
    floor_s = two_hops(ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        path = replay_file(Path(folder), delay_ms=0.0, cameras=("front",))
        with Stage(path, 1) as stage:
            stage.run_paced(20, 0.02)
            actor = stage.actors[0]
            actor.round_trips_s.clear()
            actor.chunks.clear()
            stage.run_paced(ROUNDS, 0.02)
            asked_s = list(actor.round_trips_s)
            network_s = [chunk.stage_ms.get("network", 0.0) / 1e3 for chunk in actor.chunks]
            inside_s = [chunk.stage_ms.get("total", 0.0) / 1e3 for chunk in actor.chunks]
    rclpy.shutdown()
    guard_s = guard_cycles(ROUNDS)
    ours_s = np.array(inside_s) - np.array(network_s) + np.array(guard_s)
    floor = float(np.median(floor_s))
    parts = {
        "raw rclpy: there and back (floor)": floor_s,
        "request → chunk, over DDS": asked_s,
        "… of it inside the inference process": inside_s,
        "guard cycle with a command": guard_s,
        "our code: inference − network + guard": ours_s.tolist(),
    }
    rows = [
        {"what": name, **percentiles_ms(times), "p50_of_floor": float(np.median(times)) / floor}
        for name, times in parts.items()
    ]
    show("Our share of the loop's latency", rows, ["Goal: the last row's p50 ≤ the floor's."])


if __name__ == "__main__":
    main()
