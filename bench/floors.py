# SPDX-License-Identifier: Apache-2.0
"""The floors: what rclpy itself takes on this machine, without any of our code in the way."""

import itertools
import subprocess
import sys
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from lerobot_arena.ros.host import init_ros

ECHO = """
import rclpy
from sensor_msgs.msg import JointState
from lerobot_arena.ros.host import init_ros
init_ros()
node = rclpy.create_node("bench_echo")
back = node.create_publisher(JointState, "/bench/back", 1)
node.create_subscription(JointState, "/bench/there", back.publish, 1)
rclpy.spin(node)
"""


def joint_state() -> Any:
    """Six named joints, as an arm sends them."""
    return JointState(name=[f"joint_{i}" for i in range(6)], position=[0.0] * 6)


def two_hops(rounds: int, pause_s: float = 0.005) -> list[float]:
    """Seconds of `rounds` round trips to an echoing process and back (two hops)."""
    echo = subprocess.Popen([sys.executable, "-c", ECHO])
    node = rclpy.create_node("bench_two_hops")
    arrived: list[float] = []
    node.create_subscription(
        JointState, "/bench/back", lambda _: arrived.append(time.perf_counter()), QoSProfile(depth=1)
    )
    there = node.create_publisher(JointState, "/bench/there", QoSProfile(depth=1))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        wait_until(
            executor, lambda: there.get_subscription_count() > 0 and node.count_publishers("/bench/back") > 0
        )
        seconds = []
        for _ in range(rounds):
            arrived.clear()
            begin = time.perf_counter()
            there.publish(joint_state())
            wait_until(executor, lambda: bool(arrived))
            seconds.append(arrived[0] - begin)
            time.sleep(pause_s)
        return seconds
    finally:
        echo.kill()
        echo.wait()
        executor.shutdown()
        node.destroy_node()


def wait_until(executor: SingleThreadedExecutor, done: Any, timeout_s: float = 20.0) -> None:
    """Spin until `done()`; raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("The other side did not answer.")
        executor.spin_once(timeout_sec=0.1)


def timer_jitter(rate_hz: float, seconds: float) -> list[float]:
    """|actual − nominal| of each period of a bare rclpy timer, in seconds."""
    node = rclpy.create_node("bench_timer")
    ticks: list[float] = []
    node.create_timer(1.0 / rate_hz, lambda: ticks.append(time.perf_counter()))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    node.destroy_node()
    return [abs(later - earlier - 1.0 / rate_hz) for earlier, later in itertools.pairwise(ticks)]


__all__ = ["init_ros", "joint_state", "timer_jitter", "two_hops", "wait_until"]
