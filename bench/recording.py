# SPDX-License-Identifier: Apache-2.0
"""Recording two 640×480 cameras at 30 fps and an arm's topics: messages lost, CPU beside a floor, memory, kills.

`python bench/recording.py [--seconds 600] [--raw] [--kills 50]`

The floor hears the same messages at the same time: bare raw subscriptions in one thread, the same JPEG, and the bare
`mcap` writer, without queue, rotation, sync or index of its own.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from report import percentiles_ms, show

from lerobot_arena.ros.dds import apply_profile

DOMAIN = "75"
CAMERAS = ("front", "wrist")
IMAGE, CYCLE = "sensor_msgs/msg/Image", "lerobot_arena/msg/Cycle"
IMAGE_TOPICS = {name: f"/arm/cameras/{name}/image_raw" for name in CAMERAS}
# topic → type, all at 50 Hz
SMALL = {
    "/arm/dam/cycle": CYCLE,
    "/arm/dam/obs": "lerobot_arena/msg/GuardObservation",
    "/arm/dam/action": "lerobot_arena/msg/GuardAction",
    **{f"/arm/dam/L{layer}": "lerobot_arena/msg/GuardLayer" for layer in range(4)},
    "/arm/command": "lerobot_arena/msg/JointCommand",
    "/arm/joint_states": "sensor_msgs/msg/JointState",
}
SETTLE_S = 3.0


def publish(seconds: float) -> None:
    """The arm: publishes for `seconds` once both sides listen, and prints how many of each topic."""
    import numpy as np
    import rclpy

    from lerobot_arena.ros import convert, qos
    from lerobot_arena.ros.host import init_ros
    from lerobot_arena.ros.message_types import message_class

    init_ros()
    node = rclpy.create_node("bench_arm")
    images = {
        topic: node.create_publisher(convert.Image, topic, qos.SENSOR) for topic in IMAGE_TOPICS.values()
    }
    small = {
        topic: node.create_publisher(message_class(name), topic, qos.STREAM) for topic, name in SMALL.items()
    }
    everybody = [*images.values(), *small.values()]
    while any(publisher.get_subscription_count() < 2 for publisher in everybody):
        time.sleep(0.1)
    time.sleep(SETTLE_S)
    rng = np.random.default_rng(0)
    scene = np.add.outer(np.arange(480), np.arange(640))[..., None] * [1, 2, 3] // 8
    frames = []
    for _ in range(30):  # smooth with a camera's noise: about 45 kB as JPEG
        noisy = (scene + rng.normal(0, 3, (480, 640, 3))).clip(0, 255).astype(np.uint8)
        frame = convert.Image(height=480, width=640, encoding="rgb8", step=1920)
        frame.data = array("B", noisy.tobytes())
        frames.append(frame)
    six = array("d", [0.1] * 6)
    messages: dict[str, Any] = {topic: message_class(name)() for topic, name in SMALL.items()}
    messages["/arm/joint_states"].position = six
    for field in ("measured", "proposed", "executed"):
        setattr(messages["/arm/dam/cycle"], field, six)
    counts = dict.fromkeys([*images, *small], 0)
    begin = time.monotonic()
    tick = 0
    while (now := time.monotonic() - begin) < seconds:
        messages["/arm/dam/cycle"].cycle_id = tick
        for topic, publisher in small.items():
            publisher.publish(messages[topic])
            counts[topic] += 1
        for topic, publisher in images.items():
            while counts[topic] <= now * 30:
                publisher.publish(frames[counts[topic] % len(frames)])
                counts[topic] += 1
        tick += 1
        time.sleep(max(0.0, begin + tick / 50 - time.monotonic()))
    time.sleep(1.0)
    print(json.dumps(counts), flush=True)
    rclpy.try_shutdown()


def floor(folder: Path, *, is_raw: bool) -> None:
    """Bare subscriptions and the bare writer; ends at SIGINT."""
    import rclpy
    from mcap.writer import Writer
    from rclpy.qos import QoSProfile

    from lerobot_arena.recording.images import jpeg_twin
    from lerobot_arena.recording.schemas import definition_of
    from lerobot_arena.ros import qos
    from lerobot_arena.ros.host import init_ros, quiet_executor
    from lerobot_arena.ros.message_types import message_class

    ending: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: ending.append(number))
    init_ros()
    node = rclpy.create_node("bench_floor")
    with open(folder / "floor.mcap", "wb") as file:
        writer = Writer(file)
        writer.start("ros2", "floor")

        def follow(topic: str, type_name: str, profile: QoSProfile) -> None:
            is_packed = type_name == IMAGE and not is_raw
            definition = definition_of("sensor_msgs/msg/CompressedImage" if is_packed else type_name)
            schema = writer.register_schema(definition.type_name, "ros2msg", definition.text.encode())
            channel = writer.register_channel(topic, "cdr", schema)

            def take(raw: bytes) -> None:
                now = time.time_ns()
                writer.add_message(channel, now, (jpeg_twin(raw, 90) or raw) if is_packed else raw, now)

            node.create_subscription(message_class(type_name), topic, take, profile, raw=True)

        for topic in IMAGE_TOPICS.values():
            follow(topic, IMAGE, qos.SENSOR)
        for topic, type_name in SMALL.items():
            follow(topic, type_name, QoSProfile(depth=100))
        executor = quiet_executor()
        executor.add_node(node)
        while not ending:
            executor.spin_once(timeout_sec=0.2)
        writer.finish()
    rclpy.try_shutdown()


def _begin(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)


def _start_recording() -> None:
    import rclpy

    from lerobot_arena.ros import convert
    from lerobot_arena.ros.host import init_ros

    init_ros()
    node = rclpy.create_node("bench")
    client = node.create_client(convert.Trigger, "/arm/recorder/start")
    assert client.wait_for_service(30.0), "the recorder is not there"
    answer = client.call_async(convert.Trigger.Request())
    rclpy.spin_until_future_complete(node, answer, timeout_sec=15.0)
    assert answer.result().success, answer.result().message
    rclpy.try_shutdown()


def measure(seconds: float, *, is_raw: bool) -> None:
    """Run the arm, the recorder and the floor at once."""
    import psutil

    with tempfile.TemporaryDirectory() as folder:
        params = [
            f"folder:={folder}/ours",
            "images:=all",
            "min_free_mb:=1",
            f"image_format:={'raw' if is_raw else 'jpeg'}",
        ]
        ours = _begin(
            "-m", "lerobot_arena.recording.node", "--ros-args", "-r", "__ns:=/arm",
            *(part for value in params for part in ("-p", value)),
        )  # fmt: skip
        bare = _begin(__file__, "floor", folder, *(["--raw"] if is_raw else []))
        arm = _begin(__file__, "publish", str(seconds))
        _start_recording()
        watched = {"recorder": psutil.Process(ours.pid), "floor": psutil.Process(bare.pid)}
        time.sleep(SETTLE_S)
        before = {name: process.cpu_times() for name, process in watched.items()}
        memory: list[float] = []
        while arm.poll() is None:
            memory.append(watched["recorder"].memory_info().rss / 1e6)
            time.sleep(1.0)
        used = {
            name: (t := process.cpu_times()).user + t.system - before[name].user - before[name].system
            for name, process in watched.items()
        }
        assert arm.stdout is not None
        sent = json.loads(arm.stdout.read().splitlines()[-1])
        for process in (ours, bare):
            process.send_signal(signal.SIGINT)
            process.wait(60)
        _report(Path(folder), sent, used, memory, seconds)


def _report(
    folder: Path, sent: dict[str, int], used: dict[str, float], memory: list[float], seconds: float
) -> None:
    from lerobot_arena.recording.file_info import read_info
    from lerobot_arena.recording.names import session_files, session_folders

    (session,) = session_folders(folder / "ours")
    summaries = [read_info(path) for path in session_files(session)]
    aliases = {topic: f"/arm/dam/images/{name}" for name, topic in IMAGE_TOPICS.items()}

    def recorded(topic: str) -> int:
        return sum(
            t.count
            for s in summaries
            for (name, _), t in s.info.topics.items()
            if name == aliases.get(topic, topic)
        )

    bare = {name: topic.count for (name, _), topic in read_info(folder / "floor.mcap").info.topics.items()}
    size = sum(path.stat().st_size for path in session_files(session))
    quarter = max(len(memory) // 4, 1)
    early, late = sorted(memory[quarter : 2 * quarter] or memory), sorted(memory[-quarter:])
    rows = [
        {
            "who": name,
            "cpu_s": used[name],
            "cpu_percent": 100 * used[name] / seconds,
            "lost_images": sum(sent[topic] - count(topic) for topic in IMAGE_TOPICS.values()),
            "lost_others": sum(sent[topic] - count(topic) for topic in SMALL),
            "mb": bytes_written / 1e6,
        }
        for name, count, bytes_written in (
            ("recorder", recorded, size),
            ("floor", lambda topic: bare.get(topic, 0), (folder / "floor.mcap").stat().st_size),
        )
    ]
    drops = summaries[-1].notes.get("drops") or "nothing"
    ratio = used["recorder"] / used["floor"]
    show(
        f"Recording {seconds:g} s: {sum(sent.values())} messages of {len(sent)} topics",
        rows,
        [
            f"CPU {ratio:.2f} × the floor; the recorder says it dropped {drops}",
            f"memory: median {early[len(early) // 2]:.0f} MB in the second quarter, "
            f"{late[len(late) // 2]:.0f} MB in the last",
        ],
    )


CHILD = """
import sys, time
from pathlib import Path
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.recording.disk import RealDisk
from lerobot_arena.recording.params import RecorderParams
from lerobot_arena.recording.recorder import Recorder
from lerobot_arena.recording.thread import RecorderThread
from lerobot_arena.testing.cdr_messages import cycle, image
from lerobot_arena.testing.recording_rig import CYCLES, FRONT
recorder = Recorder(RecorderParams(min_free_mb=0, rotate_s=0.9, images="all"), Path(sys.argv[1]), RealDisk(),
                    arm="arm", clock=SystemClock())
thread = RecorderThread(recorder, print)
thread.begin()
thread.call(recorder.start, 10.0)
frame, number = image(320, 240), 0
while True:
    recorder.take(CYCLES, cycle(number, stamp_ns=time.time_ns()))
    if number % 10 == 0:
        recorder.take(FRONT, frame)
    print(number, flush=True)
    number += 1
    time.sleep(0.003)
"""


def kills(count: int) -> None:
    """Kill a recorder `count` times at random moments, repair, and see what is missing."""
    import random

    from lerobot_arena.recording.names import session_files
    from lerobot_arena.recording.repair import repair_all
    from lerobot_arena.recording.salvage import has_index
    from lerobot_arena.testing.recording_rig import cycle_ids

    rng, lost_s, opened, files = random.Random(0), [], 0, 0
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            child = _begin("-c", CHILD, folder)
            assert child.stdout is not None
            child.stdout.readline()
            sent_at, end = {0: time.monotonic()}, time.monotonic() + rng.uniform(0.0, 3.0)
            while time.monotonic() < end:
                sent_at[int(child.stdout.readline())] = time.monotonic()
            child.kill()
            killed = time.monotonic()
            child.wait()
            repair_all(Path(folder))
            found = [path for session in Path(folder).iterdir() for path in session_files(session)]
            ids = [cycle_id for path in found for cycle_id in cycle_ids(path)]
            assert ids == list(range(len(ids))), "cycles are missing in the middle"
            files, opened = files + len(found), opened + sum(map(has_index, found))
            lost_s.append(max(killed - sent_at.get(len(ids), killed), 0.0))
    show(
        f"{count} SIGKILLs at random moments",
        [{"files": files, "open_with_index": opened, **percentiles_ms(lost_s)}],
        ["p50 … max: age of the oldest cycle that was lost, when the process was killed"],
    )


def main() -> None:
    """Everything, or one part in a process of its own."""
    os.environ["ROS_DOMAIN_ID"] = os.environ.get("ROS_DOMAIN_ID") or DOMAIN
    apply_profile(os.environ)
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part == "publish":
        publish(float(sys.argv[2]))
    elif part == "floor":
        floor(Path(sys.argv[2]), is_raw="--raw" in sys.argv)
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--seconds", type=float, default=60.0)
        parser.add_argument("--raw", action="store_true", help="keep the pictures as they are")
        parser.add_argument("--kills", type=int, default=50)
        parser.add_argument("--json", action="store_true")
        options = parser.parse_args()
        if options.seconds:
            measure(options.seconds, is_raw=options.raw)
        if options.kills:
            kills(options.kills)


if __name__ == "__main__":
    main()
