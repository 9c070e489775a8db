# SPDX-License-Identifier: Apache-2.0
"""The local profile on the wire: raw frames between two processes, loopback only, and a killed process's remains."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lerobot_arena.ros.dds import SHM_FOLDER, remove_dead_segments

pytestmark = pytest.mark.ros

_FRAMES = 100
_PUBLISH = f"""
import array, sys, time, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("publisher")
publisher = node.create_publisher(Image, "image_raw", qos_profile_sensor_data)
image = Image(width=640, height=480, step=1920, encoding="rgb8")
image.data = array.array("B", bytes(640 * 480 * 3))
print("up", flush=True)
while publisher.get_subscription_count() == 0:
    time.sleep(0.05)  # how often it looks
time.sleep(0.5)  # the other side knows of the match a moment later
for _ in range({_FRAMES}):
    publisher.publish(image)
    time.sleep(0.05)  # a camera at 20 Hz
sys.stdin.read()
"""
_SUBSCRIBE = f"""
import time, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("subscriber")
sizes = []
node.create_subscription(Image, "image_raw", lambda raw: sizes.append(len(raw)), qos_profile_sensor_data, raw=True)
last, end = 0, time.monotonic() + 60
while len(sizes) < {_FRAMES} and time.monotonic() < end:
    before = len(sizes)
    rclpy.spin_once(node, timeout_sec=1.0)
    if before and len(sizes) == before:
        break
assert all(size > 640 * 480 * 3 for size in sizes)
print(len(sizes), flush=True)
"""


@contextmanager
def _process(code: str) -> Iterator[subprocess.Popen[str]]:
    """A real process that has said its first line when `code` prints one; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _open_files(pid: int) -> set[str]:
    return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}


def _segment_locks(pid: int) -> set[Path]:
    """The lock files of the segments this process owns (it also holds those of its ports)."""
    pattern = re.compile(re.escape(f"{SHM_FOLDER}/") + r"fastrtps_[0-9a-f]{16}_el")
    return {Path(name) for name in _open_files(pid) if pattern.fullmatch(name)}


def _bound_udp_addresses(pid: int) -> set[str]:
    """Hex `address:port` of every UDP socket the process holds (/proc/net/udp: address in host byte order)."""
    sockets = {
        name.removeprefix("socket:[").removesuffix("]") for name in _open_files(pid) if "socket:" in name
    }
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[9] in sockets}


@pytest.mark.usefixtures("ros_domain")
def test_raw_vga_frames_arrive_with_sensor_qos() -> None:
    with _process(_SUBSCRIBE) as subscriber, _process(_PUBLISH):
        output, _ = subscriber.communicate(timeout=100)
    # Best effort may lose some on a busy machine; with sockets' default buffers a tenth arrives.
    assert int(output) >= 0.6 * _FRAMES


def test_every_socket_that_receives_is_on_loopback(ros_domain: int) -> None:
    with _process(_PUBLISH) as publisher:
        assert publisher.stdout is not None and publisher.stdout.readline() == "up\n"
        addresses = _bound_udp_addresses(publisher.pid)
    # Ports of this domain receive (7400 + 250·domain, RTPS 2.5 §9.6.2.3); what is bound elsewhere only sends.
    receiving = {
        address.split(":")[0]
        for address in addresses
        if 7400 + 250 * ros_domain <= int(address.split(":")[1], 16) < 7650 + 250 * ros_domain
    }
    assert receiving == {"0100007F"}


@pytest.mark.usefixtures("ros_domain")
def test_a_killed_process_leaves_a_segment_that_is_removed_and_a_living_one_keeps_its_own() -> None:
    with _process(_PUBLISH) as doomed, _process(_PUBLISH) as living:
        for process in (doomed, living):
            assert process.stdout is not None and process.stdout.readline() == "up\n"
        dead, alive = _segment_locks(doomed.pid), _segment_locks(living.pid)
        assert dead and alive
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()
        assert all(lock.exists() for lock in dead)
        time.sleep(1.1)  # real files: an unlocked one this young could belong to a process just starting
        remove_dead_segments()
        assert not any(lock.exists() or lock.with_name(lock.name[:-3]).exists() for lock in dead)
        assert all(lock.exists() and lock.with_name(lock.name[:-3]).exists() for lock in alive)
