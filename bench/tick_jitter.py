# SPDX-License-Identifier: Apache-2.0
"""Jitter of the guard's control tick beside a bare rclpy timer's, at 50 Hz, one after the other on the same machine.

The guard's loop does its whole cycle in each tick (a policy, every check, a command), in a process whose main thread
spins rclpy with a 100 Hz joint topic, as the guard node's does.
"""

import itertools
import sys
import time

import rclpy
from floors import init_ros, joint_state, timer_jitter
from report import percentiles_ms, show
from sensor_msgs.msg import JointState

from lerobot_arena.guard.pacing import Pacer, Tick
from lerobot_arena.ros.host import quiet_executor
from lerobot_arena.testing.guard_world import GuardWorld

RATE_HZ = 50.0


def guard_jitter(seconds: float) -> list[float]:
    """|actual − nominal| of each period of the guard's loop."""
    world = GuardWorld()
    world.start()
    ticks: list[float] = []

    def work(_: Tick) -> None:
        ticks.append(time.perf_counter())
        world.step()

    node = rclpy.create_node("bench_guard")
    publisher = node.create_publisher(JointState, "/bench/busy", 5)
    node.create_subscription(JointState, "/bench/busy", lambda _: None, 5)
    node.create_timer(0.01, lambda: publisher.publish(joint_state()))
    executor = quiet_executor()
    executor.add_node(node)
    died: list[str] = []
    pacer = Pacer(work, period_s=lambda: 1 / RATE_HZ, name="bench-control", on_death=died.append)
    pacer.begin()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    pacer.end()
    executor.shutdown()
    node.destroy_node()
    if died:
        raise RuntimeError(died[0])
    return [abs(b - a - 1 / RATE_HZ) for a, b in itertools.pairwise(ticks)]


def main() -> None:
    seconds = 5.0 if "--quick" in sys.argv else 20.0
    init_ros()
    floor_s = timer_jitter(RATE_HZ, seconds)
    ours_s = guard_jitter(seconds)
    again_s = timer_jitter(RATE_HZ, seconds)
    rclpy.shutdown()
    floor = percentiles_ms([*floor_s, *again_s])
    ours = percentiles_ms(ours_s)
    rows = [
        {"what": "bare rclpy timer (floor)", **floor, "p99_of_floor": 1.0},
        {"what": "guard's control tick", **ours, "p99_of_floor": ours["p99_ms"] / floor["p99_ms"]},
    ]
    show("Jitter of a 50 Hz tick", rows, ["Goal: p99 ≤ 1.5 × the floor's."])


if __name__ == "__main__":
    main()
