# SPDX-License-Identifier: Apache-2.0
"""ROS, messages, DDS: found, in force, and tried with real frames between two real processes."""

import importlib.util
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from lerobot_arena.bringup import BringupOptions, process_table
from lerobot_arena.cli.doctor.finding import Context, Finding, fail, ok, warn
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.ros import dds

_FRAMES = 60
_LEAST_SHARE = 0.95
_SLOW_MS = 25.0


def ros(context: Context) -> list[Finding]:
    """Which ROS 2 is found, and whether two of them are mixed."""
    spec = importlib.util.find_spec("rclpy")
    if spec is None or spec.origin is None:
        return [
            fail(
                "ros",
                "rclpy is not found",
                why="Every process but the command line speaks ROS 2.",
                remedy="Source ROS 2 (`source /opt/ros/jazzy/setup.bash`), or on x86-64 Linux let `make demo` install "
                "the wheels.",
            )
        ]
    prefix = prefix_of(Path(spec.origin))
    return [ros_finding(prefix, context.environment, python_prefix=Path(sys.prefix))]


def prefix_of(module: Path) -> Path:
    """The ROS prefix a module lies under: the parent that has share/rclpy."""
    return next((parent for parent in module.parents if (parent / "share" / "rclpy").is_dir()), module.parent)


def ros_finding(prefix: Path, environment: Mapping[str, str], *, python_prefix: Path) -> Finding:
    """Sourced or wheels, never both."""
    is_wheel = prefix == python_prefix
    distro = environment.get("ROS_DISTRO")
    text = f"rclpy {_package_version(prefix / 'share' / 'rclpy' / 'package.xml')} in {prefix}"
    if is_wheel and distro:
        return fail(
            "ros",
            f"{text}, while {distro} is sourced",
            why="PyPI wheels and a sourced ROS 2 load each other's libraries and crash.",
            remedy="Use a shell without ROS sourced, or a venv made with --system-site-packages and no wheels "
            "(scripts/setup_ros_jazzy.sh).",
        )
    return ok("ros", f"{text} ({'PyPI wheels' if is_wheel else distro or 'sourced'})")


def _package_version(manifest: Path) -> str:
    try:
        return ElementTree.parse(manifest).getroot().findtext("version") or "?"
    except (OSError, ElementTree.ParseError):
        return "of unknown version"


def messages(context: Context) -> list[Finding]:
    """Whether this package's messages are built and load."""
    code = "from lerobot_arena.msg import Cycle; Cycle.__class__.__import_type_support__()"
    done = _run_python(context, "-c", code, timeout_s=30.0)
    if done.returncode == 0:
        return [ok("messages", "built, and they load")]
    return [
        fail(
            "messages",
            f"lerobot_arena.msg does not load: {_last_line(done.stderr)}",
            why="Guard, inference and bridge talk in these messages.",
            remedy="Build them: `pip install --no-build-isolation -e .` in a checkout, or colcon build and source it.",
        )
    ]


def profile(context: Context) -> list[Finding]:
    """Which DDS and which profile the processes get."""
    rmw = context.environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if rmw != "rmw_fastrtps_cpp":
        return [
            warn(
                "dds",
                f"{rmw} is chosen",
                why="The shipped profiles are for Fast DDS; camera topics of 640×480 may lose frames elsewhere.",
                remedy="Unset RMW_IMPLEMENTATION, or see below whether the round trip is complete.",
            )
        ]
    try:
        chosen = dds.apply_profile(dict(context.environment))
    except ArenaError as error:
        return [
            fail(
                "dds", str(error), why="Fast DDS would silently use its defaults.", remedy="See the message."
            )
        ]
    if chosen.kind == dds.OWN:
        remedy = (
            f"Compare with {dds.profile_path(dds.LOCAL)}, or unset {' and '.join(dds.PROFILE_VARIABLES)}."
        )
        return [
            warn("dds", f"your own profile {chosen.path}", why="It may lack a large segment.", remedy=remedy)
        ]
    return [ok("dds", f"Fast DDS with the {chosen.kind} profile {chosen.path}")]


def shared_memory(context: Context) -> list[Finding]:
    """Room in /dev/shm for one arm's processes, after what dead ones left is gone."""
    removed = dds.remove_dead_segments()
    count = len(process_table(BringupOptions()))
    try:
        dds.check_shm(count)
    except ArenaError as error:
        why = "A process without a segment falls back silently and loses camera frames."
        return [fail("shm", str(error), why=why, remedy="See the message.")]
    figures = os.statvfs(dds.SHM_FOLDER)
    text = f"{figures.f_bavail * figures.f_frsize / 1e6:.0f} MB free in {dds.SHM_FOLDER}"
    if removed.count:
        text += f"; removed {removed.count} segments of dead processes ({removed.size_bytes / 1e6:.0f} MB)"
    return [ok("shm", text)]


def round_trip(context: Context) -> list[Finding]:
    """Raw 640×480 frames through another process and back, as cameras send them."""
    if importlib.util.find_spec("rclpy") is None:
        return [warn("round trip", "not tried", why="rclpy is missing.", remedy="See above.")]
    name = f"/arena_doctor/p{os.getpid()}"
    probe = [sys.executable, "-m", "lerobot_arena.ros.probe"]
    environment = {**context.environment}
    with subprocess.Popen(
        [*probe, "echo", name], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as echo:
        try:
            done = subprocess.run(
                [*probe, "ping", name, "--count", str(_FRAMES)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=40.0,
                check=False,
            )
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess([], 1, "", "no end within 40 s")
        finally:
            echo.kill()
    if done.returncode:
        why = "Two processes on this machine cannot exchange messages."
        return [fail("round trip", _last_line(done.stderr), why=why, remedy="See the findings above.")]
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return [round_trip_finding(answer["sent"], answer["returned"], answer["p50_ms"])]


def round_trip_finding(sent: int, returned: int, p50_ms: float | None) -> Finding:
    """What a count and a median mean."""
    text = f"{returned} of {sent} frames of 640×480 went to another process and back"
    if returned < _LEAST_SHARE * sent:
        return fail(
            "round trip",
            text,
            why="Policies would see old pictures, and the guard would stop for stale observations.",
            remedy="Use the shipped DDS profile (unset your own), free /dev/shm, and close other heavy programs.",
        )
    text += f", {p50_ms:.1f} ms there and back (median)"
    if p50_ms is not None and p50_ms > _SLOW_MS:
        return warn("round trip", text, why="A busy machine.", remedy="Close other programs.")
    return ok("round trip", text)


def _run_python(context: Context, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**context.environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
