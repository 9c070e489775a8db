# SPDX-License-Identifier: Apache-2.0
"""Prove an installation: another process of this Python sends a Cycle over DDS, and this one receives it."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.node import Node

import lerobot_arena
from lerobot_arena.msg import Cycle, GuardVerdict

TOPIC = "exchange_message"
TIMEOUT_S = 60.0


def send() -> None:
    """Publish until killed."""
    rclpy.init()
    node = Node("exchange_sender")
    publisher = node.create_publisher(Cycle, TOPIC, 10)
    while True:
        publisher.publish(Cycle(cycle_id=7, measured=[0.5, -0.5], verdicts=[GuardVerdict(check="finite")]))
        time.sleep(0.1)


def receive() -> int:
    """Start a sender, wait for one whole message; the exit code."""
    sender = subprocess.Popen([sys.executable, __file__, "send"])
    try:
        rclpy.init()
        node, received = Node("exchange_receiver"), []
        append: Callable[[Any], None] = received.append
        node.create_subscription(Cycle, TOPIC, append, 10)
        deadline = time.monotonic() + TIMEOUT_S
        while not received and time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.2)
    finally:
        sender.kill()
        sender.wait()
    if not received:
        print(f"No Cycle came through within {TIMEOUT_S:g} s.", file=sys.stderr)
        return 1
    cycle = received[0]
    assert (cycle.cycle_id, list(cycle.measured), cycle.verdicts[0].check) == (7, [0.5, -0.5], "finite")
    print(f"Two processes exchanged a Cycle with {lerobot_arena.__file__}")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["send"]:
        send()
    sys.exit(receive())
