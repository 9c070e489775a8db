# SPDX-License-Identifier: Apache-2.0
"""Robot file and policy, and whether they fit: names, sizes, unit, cameras, statistics, rate. Loads no network."""

from pathlib import Path

from lerobot_arena.bringup import find_robot
from lerobot_arena.cli.doctor.finding import Context, Finding, fail, ok, warn
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.core.units import describe_unit

_RATE_TOLERANCE = 0.9


def robot(context: Context) -> list[Finding]:
    """The robot file."""
    try:
        spec = load_robot(find_robot(context.robot, context.data_dir))
    except ArenaError as error:
        why = "Limits and units come from it; without them nothing may move."
        return [fail("robot", str(error), why=why, remedy="`arena robot list`, `arena robot add --help`.")]
    cameras = ", ".join(f"{c.name} {c.width}×{c.height}@{c.rate_hz:g}" for c in spec.cameras) or "no camera"
    text = f"{spec.name}: {len(spec.joints)} joints, {cameras}"
    if not spec.is_calibrated:
        remedy = "Calibrate with LeRobot, then `arena robot add`."
        return [
            fail("robot", f"{text}; not calibrated", why="LeRobot's units mean nothing on it.", remedy=remedy)
        ]
    return [ok("robot", text)]


def policy(context: Context) -> list[Finding]:
    """The policy given with --policy, against the robot."""
    if not context.policy:
        return []
    from lerobot_arena.inference.inspect import inspect_policy

    spec = load_robot(find_robot(context.robot, context.data_dir))
    path = context.policy if context.policy == "demo" else str(Path(context.policy).expanduser().absolute())
    wanted = SessionWanted("doctor", context.arm, path, camera_names=spec.camera_names)
    try:
        manifest = inspect_policy(path, wanted=wanted, robot=spec)
    except ArenaError as error:
        return [
            fail("policy", str(error), why="A session with it would be refused.", remedy="See the message.")
        ]
    unit = describe_unit(manifest.unit)
    text = f"{manifest.policy_type} ({manifest.kind}), {len(manifest.joint_names)} joints in {unit}"
    findings = [ok("policy", f"{text}, {manifest.fps:g} Hz, chunks of {manifest.chunk_size}")]
    for camera in manifest.cameras:
        findings.append(camera_finding(camera.name, (camera.width, camera.height), manifest.fps, spec))
    return findings


def camera_finding(name: str, size: tuple[int, int], fps: float, spec: RobotSpec) -> Finding:
    """Whether the robot has the camera a policy was trained with, at that size and rate."""
    check = f"policy camera {name}"
    mine = next((camera for camera in spec.cameras if camera.name == name), None)
    if mine is None:
        return fail(
            check,
            f"robot {spec.name!r} has no camera {name!r}; it has {', '.join(spec.camera_names) or 'none'}",
            why="The policy cannot see without it.",
            remedy=f"Add it: `arena robot add … --camera {name}=0:{size[0]}x{size[1]}@30`.",
        )
    if (mine.width, mine.height) != size:
        return fail(
            check,
            f"the robot's is {mine.width}×{mine.height}, the policy takes {size[0]}×{size[1]}",
            why="Nothing is resized that the checkpoint does not declare.",
            remedy=f"Open the camera at {size[0]}×{size[1]}.",
        )
    if mine.rate_hz < _RATE_TOLERANCE * fps:
        remedy = f"Open the camera at {fps:g} fps if it can."
        return warn(
            check, f"{mine.rate_hz:g} Hz for a policy of {fps:g} Hz", why="It sees late.", remedy=remedy
        )
    return ok(check, f"{size[0]}×{size[1]} at {mine.rate_hz:g} Hz")
