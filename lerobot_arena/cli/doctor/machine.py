# SPDX-License-Identifier: Apache-2.0
"""Python, ports, disk, clock, optional parts: the machine without ROS."""

import ctypes
import os
import platform
import shutil
import socket
import sys
import time
from importlib.metadata import PackageNotFoundError, version

from lerobot_arena.cli.client import ask
from lerobot_arena.cli.doctor.finding import Context, Finding, fail, ok, warn
from lerobot_arena.core.errors import ArenaError

OLDEST_PYTHON = (3, 12)
_LEAST_FREE_GB = 1.0
_ROOMY_GB = 10.0
_CLOCK_LOOK_S = 0.4
_WORST_DRIFT_PPM = 2000.0
_NOT_SYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)

# Package → (the extra that brings it, what it is for, whether the demo needs it).
EXTRAS = {
    "mujoco": ("sim", "the simulated arm", True),
    "onnxruntime": ("sim", "the demo policy and exported policies", True),
    "lerobot": ("lerobot", "LeRobot checkpoints, real LeRobot arms, export and training", False),
}


def python(context: Context) -> list[Finding]:
    """The interpreter the processes would run in."""
    found = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return [
            fail(
                "python",
                found,
                why="LeRobot and ROS 2 Jazzy need 3.12.",
                remedy="Install Python 3.12 or newer.",
            )
        ]
    return [ok("python", found)]


def port(context: Context) -> list[Finding]:
    """Whether the bridge could listen, or already does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", context.port))
            return [ok("port", f"{context.port} is free")]
        except OSError as error:
            reason = error.strerror or str(error)
    if is_bridge(context.url):
        return [ok("port", f"an arena is running at {context.url}")]
    return [
        fail(
            "port",
            f"{context.port} is taken by something else ({reason})",
            why="The bridge listens there.",
            remedy=f"Choose another with --port, or see who has it: `ss -ltnp 'sport = :{context.port}'`.",
        )
    ]


def is_bridge(url: str) -> bool:
    """Whether an arena bridge answers there."""
    try:
        return "active_sessions" in ask(url, lambda arena: arena.health())
    except ArenaError:
        return False


def disk(context: Context) -> list[Finding]:
    """Room and permission where data goes."""
    folder = context.data_dir
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        return [
            fail(
                "disk",
                f"{existing} is not writable",
                why="The database, logs and recordings go there.",
                remedy="Set ARENA_DATA_DIR to a folder of yours.",
            )
        ]
    free_gb = shutil.disk_usage(existing).free / 1e9
    what = f"{free_gb:.1f} GB free in {folder}"
    remedy = "Free some space, or set ARENA_DATA_DIR to a larger disk."
    if free_gb < _LEAST_FREE_GB:
        return [fail("disk", what, why="Logs and the database may not be written.", remedy=remedy)]
    if free_gb < _ROOMY_GB:
        return [warn("disk", what, why="A LeRobot installation takes 6 GB, recordings more.", remedy=remedy)]
    return [ok("disk", what)]


def clock(context: Context) -> list[Finding]:
    """Whether wall and steady clock agree, and whether the wall clock is kept right."""
    steady, wall = time.monotonic_ns(), time.time_ns()
    time.sleep(_CLOCK_LOOK_S)
    steady, wall = time.monotonic_ns() - steady, time.time_ns() - wall
    return clock_findings(drift_ppm=(wall - steady) / steady * 1e6, is_synchronised=_is_synchronised())


def clock_findings(*, drift_ppm: float, is_synchronised: bool | None) -> list[Finding]:
    """What two clocks and the kernel's opinion mean."""
    if abs(drift_ppm) > _WORST_DRIFT_PPM:
        return [
            fail(
                "clock",
                f"the wall clock runs {drift_ppm:+.0f} ppm off the steady one",
                why="Stamps of images and joints would not belong together.",
                remedy="Let it settle: something is stepping or slewing the clock now (see `timedatectl`).",
            )
        ]
    if is_synchronised is False:
        return [
            warn(
                "clock",
                "the wall clock is not synchronised",
                why="Only recordings and several machines care; control uses the steady clock.",
                remedy="Start an NTP client (`timedatectl set-ntp true`) when several machines take part.",
            )
        ]
    return [ok("clock", f"steady and wall clock agree ({drift_ppm:+.0f} ppm)")]


def _is_synchronised() -> bool | None:
    """The kernel's word, None when it has none to say."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    return None if state < 0 else state != _NOT_SYNCHRONISED


def extras(context: Context) -> list[Finding]:
    """Optional parts."""
    findings = []
    for package, (extra, purpose, needed_by_demo) in EXTRAS.items():
        try:
            findings.append(ok(package, version(package)))
        except PackageNotFoundError:
            remedy = f"`pip install 'lerobot_arena[{extra}]'`, or `make demo` in a checkout."
            say = fail if needed_by_demo else warn
            findings.append(say(package, "not installed", why=f"It is for {purpose}.", remedy=remedy))
    return findings
