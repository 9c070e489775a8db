# SPDX-License-Identifier: Apache-2.0
"""A process that floods or answers a guard: `python chunk_source.py answer|flood [SECONDS]`. Killed by its test."""

import sys
import time
from typing import Any

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.core.robot import load_robot

NAMES = load_robot("so101").joint_names
UNIT = "normalized"
AHEAD_S = 1.3


def chunk(request: ChunkRequest, number: int, speed: float) -> ActionChunk:
    """A slow motion of two joints about the middle of their range."""
    seconds = time.monotonic() + np.arange(40)[:, None] / 30
    actions = speed * np.sin(seconds) * np.array([1, 1, 0, 0, 0, 0]) + np.array([0, 0, 0, 0, 0, 5.0])
    return ActionChunk(
        actions, NAMES, UNIT, 1 / 30, "demo", request.epoch, request.sequence, number, execute_steps=10
    )


def answer(node: Any) -> None:
    """Answers every request until it is killed."""
    import rclpy

    from lerobot_arena.ros import convert, qos

    publisher = node.create_publisher(convert.own.ActionChunk, "/arm/action_chunk", qos.STREAM)
    count = 0

    def on_request(message: Any) -> None:
        nonlocal count
        count += 1
        request = convert.from_msg(ChunkRequest, message)
        publisher.publish(convert.chunk_to_msg(chunk(request, count, 10.0)))

    node.create_subscription(convert.own.ChunkRequest, "/arm/chunk_request", on_request, qos.STREAM)
    print("ready", flush=True)
    rclpy.spin(node)


def flood(node: Any, seconds: float) -> None:
    """As many chunks of no run as fit into the time, 10 000 a second at most; prints how many that were."""
    from lerobot_arena.ros import convert, qos

    publisher = node.create_publisher(convert.own.ActionChunk, "/arm/action_chunk", qos.STREAM)
    message = convert.chunk_to_msg(chunk(ChunkRequest("demo", 1, 1, reset=False), 1, 90.0))
    time.sleep(1.0)  # discovery
    print("ready", flush=True)
    begin = time.monotonic()
    count = 0
    while (passed_s := time.monotonic() - begin) < seconds:
        if count < 10_000 * passed_s:
            publisher.publish(message)
            count += 1
    print(f"{count / seconds:.0f} per second", flush=True)


def main() -> None:
    """Entry."""
    import rclpy

    rclpy.init()
    node = rclpy.create_node("chunk_source")
    if sys.argv[1] == "answer":
        answer(node)
    else:
        flood(node, float(sys.argv[2]))


if __name__ == "__main__":
    main()
