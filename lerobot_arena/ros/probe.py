# SPDX-License-Identifier: Apache-2.0
"""Measures the middleware itself, for `arena doctor`: a camera frame's round trip, and what camera topics deliver.

A program of its own (`python -m lerobot_arena.ros.probe …`), so that the doctor needs no rclpy; prints one JSON line.
"""

import argparse
import json
import struct
import sys
import time
from array import array
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from lerobot_arena.ros import qos
from lerobot_arena.ros.convert import CompressedImage, Image
from lerobot_arena.ros.host import init_ros

WIDTH, HEIGHT = 640, 480
_TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}


def stamp_ns_in(raw: bytes) -> int:
    """Capture stamp of a serialised message that begins with a std_msgs/Header, without parsing the rest.

    CDR: four bytes of encapsulation, whose second tells the byte order, then int32 sec and uint32 nanosec.
    """
    sec, nanosec = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    return int(sec) * 1_000_000_000 + int(nanosec)


def _spin(node: Any, done: Callable[[], bool], timeout_s: float) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    deadline = time.monotonic() + timeout_s
    while not done() and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()


def echo(name: str, timeout_s: float) -> None:
    """Send every frame on `<name>/there` back on `<name>/back`, byte for byte."""
    node = rclpy.create_node("arena_doctor_echo")
    back = node.create_publisher(Image, f"{name}/back", qos.SENSOR)
    node.create_subscription(Image, f"{name}/there", back.publish, qos.SENSOR, raw=True)
    print("{}", flush=True)
    _spin(node, lambda: False, timeout_s)


def ping(name: str, count: int, rate_hz: float) -> dict[str, Any]:
    """Send `count` raw 640×480 frames to an `echo` and time their return."""
    node = rclpy.create_node("arena_doctor_ping")
    times_ms: list[float] = []
    sent_at: dict[int, float] = {}

    def returned(raw: bytes) -> None:
        if (begin := sent_at.pop(stamp_ns_in(raw), None)) is not None:
            times_ms.append((time.perf_counter() - begin) * 1e3)

    there = node.create_publisher(Image, f"{name}/there", qos.SENSOR)
    node.create_subscription(Image, f"{name}/back", returned, qos.SENSOR, raw=True)
    _spin(
        node, lambda: there.get_subscription_count() > 0 and node.count_publishers(f"{name}/back") > 0, 10.0
    )
    _spin(node, lambda: False, 0.5)  # the two ends match one after the other
    frame = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=WIDTH * 3)
    frame.data = array("B", bytes(WIDTH * HEIGHT * 3))
    for number in range(1, count + 1):
        frame.header.stamp.sec = number
        sent_at[number * 1_000_000_000] = time.perf_counter()
        there.publish(frame)
        _spin(node, lambda: False, 1.0 / rate_hz)
    _spin(node, lambda: not sent_at, 0.5)
    times_ms.sort()
    median = times_ms[len(times_ms) // 2] if times_ms else None
    return {"sent": count, "returned": len(times_ms), "p50_ms": median}


def cameras(prefix: str, seconds: float) -> dict[str, dict[str, Any]]:
    """Frames and their stamps on every image topic under `prefix` for `seconds`."""
    node = rclpy.create_node("arena_doctor_cameras")
    stamps: dict[str, list[int]] = {}

    def follow(topic: str, kind: Any) -> None:
        taken = stamps.setdefault(topic, [])
        node.create_subscription(
            kind, topic, lambda raw: taken.append(stamp_ns_in(raw)), qos.CAMERA_SUBSCRIBER, raw=True
        )

    _spin(node, lambda: False, 1.5)  # discovery
    for topic, types in node.get_topic_names_and_types():
        if topic.startswith(prefix) and types[0] in _TYPES and node.count_publishers(topic):
            follow(topic, _TYPES[types[0]])
    _spin(node, lambda: False, seconds if stamps else 0.0)
    return {topic: loss(taken) | {"seconds": seconds} for topic, taken in stamps.items()}


def loss(stamps_ns: list[int]) -> dict[str, Any]:
    """Frames received and missed: gaps in the publisher's own stamps, in units of their median distance."""
    gaps = [later - earlier for earlier, later in pairwise(stamps_ns) if later > earlier]
    if not gaps:
        return {"received": len(stamps_ns), "lost": 0, "rate_hz": 0.0}
    median = sorted(gaps)[len(gaps) // 2]
    lost = sum(max(round(gap / median) - 1, 0) for gap in gaps)
    return {"received": len(stamps_ns), "lost": lost, "rate_hz": round(1e9 / median, 1)}


def main(arguments: list[str]) -> None:
    """Run one probe and print its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("probe", choices=("echo", "ping", "cameras"))
    parser.add_argument("name")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rate-hz", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    init_ros()
    if options.probe == "echo":
        echo(options.name, options.seconds)
    elif options.probe == "ping":
        print(json.dumps(ping(options.name, options.count, options.rate_hz)), flush=True)
    else:
        print(json.dumps(cameras(options.name, options.seconds)), flush=True)
    rclpy.try_shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
