# SPDX-License-Identifier: Apache-2.0
"""Rendering, and what the cameras of a running arm really deliver."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from lerobot_arena.cli.doctor.finding import Context, Finding, fail, ok, warn
from lerobot_arena.cli.doctor.machine import is_bridge
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.robot import RobotSpec, load_robot

_WORST_LOSS = 0.05
_LEAST_RATE = 0.8
# Runs in a process of its own: a GL driver that fails takes its process with it.
_RENDER = """
import time, mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light pos="0 0 2"/>'
    '<geom type="sphere" size=".2" rgba="1 0 0 1"/></worldbody></mujoco>')
data = mujoco.MjData(model); mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 96, 128)
renderer.update_scene(data); renderer.render()
begin = time.perf_counter()
renderer.update_scene(data); image = renderer.render()
print(int(image.max()), (time.perf_counter() - begin) * 1e3)
"""


def rendering(context: Context) -> list[Finding]:
    """A real picture by the GL backend the simulator would use."""
    if importlib.util.find_spec("mujoco") is None:
        return [warn("gl", "not tried", why="mujoco is not installed.", remedy="See the finding for sim.")]
    tried = []
    for backend in [context.environment.get("MUJOCO_GL") or "egl", "osmesa"]:
        done = subprocess.run(
            [sys.executable, "-c", _RENDER],
            env={**context.environment, "MUJOCO_GL": backend},
            capture_output=True,
            text=True,
            timeout=60.0,
            check=False,
        )
        if done.returncode == 0 and float(done.stdout.split()[0]) > 0:
            return [ok("gl", f"{backend} renders (a sphere in {float(done.stdout.split()[1]):.1f} ms)")]
        tried.append(backend)
    return [
        fail(
            "gl",
            f"no picture from {' or '.join(dict.fromkeys(tried))}",
            why="The simulated cameras need it.",
            remedy="`apt-get install libegl1 libgl1-mesa-dri` (or libosmesa6).",
        )
    ]


def loss(context: Context) -> list[Finding]:
    """Frames lost per camera of the running arm, measured on its topics."""
    if not is_bridge(context.url):
        return [ok("cameras", f"nothing is running at {context.url}: loss was not measured")]
    probe = [sys.executable, "-m", "lerobot_arena.ros.probe", "cameras", f"/{context.arm}/cameras/"]
    done = subprocess.run(
        [*probe, "--seconds", str(context.camera_seconds)],
        env={**context.environment},
        capture_output=True,
        text=True,
        timeout=30.0 + context.camera_seconds,
        check=False,
    )
    if done.returncode:
        why = "The camera topics could not be read."
        return [
            fail(
                "cameras",
                done.stderr.strip()[-200:] or "the probe failed",
                why=why,
                remedy="See `ros` above.",
            )
        ]
    try:
        robot = load_robot(context.robot)
    except ArenaError:
        robot = None
    return loss_findings(json.loads(done.stdout.strip().splitlines()[-1]), robot)


def loss_findings(measured: Mapping[str, Mapping[str, Any]], robot: RobotSpec | None) -> list[Finding]:
    """What counts and rates per topic mean; `robot` says which rate was promised."""
    if not measured:
        return [
            warn(
                "cameras",
                "the arm publishes no camera topic here",
                why="Policies need pictures.",
                remedy="Use the same ROS_DOMAIN_ID as the running arena, and look at its log.",
            )
        ]
    promised = {camera.name: camera.rate_hz for camera in robot.cameras} if robot else {}
    return [_camera_finding(topic, counts, promised) for topic, counts in sorted(measured.items())]


def _camera_finding(topic: str, counts: Mapping[str, Any], promised: Mapping[str, float]) -> Finding:
    name = topic.split("/cameras/", 1)[-1].split("/")[0]
    received, lost = int(counts["received"]), int(counts["lost"])
    check = f"camera {name}"
    if received == 0:
        return fail(
            check, "no frame", why="The topic exists, but nothing comes.", remedy="Look at the driver's log."
        )
    rate_hz = received / float(counts["seconds"])
    share = lost / (received + lost)
    text = f"{rate_hz:.1f} Hz, {lost} of {received + lost} frames lost ({share:.0%})"
    if share > _WORST_LOSS:
        return warn(
            check,
            text,
            why="The shared-memory segment is the publisher's: a foreign driver without our profile loses raw frames.",
            remedy="Start the camera driver with FASTRTPS_DEFAULT_PROFILES_FILE set (config/dds/local.xml), or publish "
            "CompressedImage.",
        )
    wanted = promised.get(name, 0.0)
    if wanted and rate_hz < _LEAST_RATE * wanted:
        remedy = "Close other programs, or lower the camera's rate_hz in the robot file."
        return warn(
            check, f"{text}; the robot file promises {wanted:g} Hz", why="A busy machine.", remedy=remedy
        )
    return ok(check, text)
