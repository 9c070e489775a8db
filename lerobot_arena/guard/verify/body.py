# SPDX-License-Identifier: Apache-2.0
"""Boundaries of the arm's body and of the task, each tried alone with numbers of verify's own (K1 to K9).

They are on no list of faults; they are here so that each check of the table is seen to do its work on this arm.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import acos, dist, hypot
from typing import Any

import numpy as np

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.boundary import Node
from lerobot_arena.guard.checks.protocol import TABLE, Geometry, Pose
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.verify.asking import said, until_held
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject
from lerobot_arena.guard.verify.world import GuardWorld

_TRIED = 3000
_TOO_DEEP_M = -0.004


def _geometry(subject: Subject, claims: Claims, node: Node) -> Geometry | None:
    """The arm's geometry; without one, a boundary that needs it has to refuse the start."""
    if subject.model.geometry is not None:
        return subject.model.geometry
    answer = subject.world(config=subject.guarded_only_by(node)).arm.start()
    because = subject.model.no_geometry_because
    claims.that(
        not answer.success,
        f"without a model ({because}) a start under it is refused",
        "started without a model",
    )
    return None


def _driven(subject: Subject, node: Node, goal: Sequence[float], *, seconds: float = 3.0) -> GuardWorld:
    """A run under this node alone, whose policy wants to be at `goal` at once."""
    plan = np.tile(np.array(goal), (30, 1))
    world = subject.world(lambda measured: plan, config=subject.guarded_only_by(node))
    world.arm.start()
    world.step(subject.cycles(seconds))
    return world


def _away(subject: Subject, share: float) -> Vector:
    """A posture with the joints of the arm so far from home, away from the nearer end of each range."""
    goal = list(subject.home)
    for index, joint in enumerate(subject.robot.joints):
        side = 1.0 if goal[index] <= (joint.lower_rad + joint.upper_rad) / 2 else -1.0
        goal[index] += side * share * subject.spans[index]
    return tuple(goal)


def _poses(world: GuardWorld, geometry: Geometry) -> Iterator[Pose]:
    return (geometry.pose(command.positions) for command in world.commands)


def workspace(subject: Subject, claims: Claims) -> None:
    for callback in ("workspace_box", "task_workspace"):
        node = Node(callback, params={"lower_m": [-0.1] * 3, "upper_m": [0.1] * 3})
        geometry = _geometry(subject, claims, node)
        if geometry is None:
            continue
        centre = geometry.pose(subject.home).position_m
        lower, upper = [v - 0.03 for v in centre], [v + 0.03 for v in centre]
        box = Node(callback, params={"lower_m": lower, "upper_m": upper})
        world = _driven(subject, box, _away(subject, 0.2))
        out = max(
            max(a - p, p - b)
            for pose in _poses(world, geometry)
            for p, a, b in zip(pose.position_m, lower, upper)
        )
        claims.that(
            out <= 1e-6, f"{callback}: never out of the box", f"{callback}: {1e3 * out:.0f} mm out of the box"
        )
        claims.kept_limits(world)


def keep_out(subject: Subject, claims: Claims) -> None:
    goal = _away(subject, 0.15)
    geometry = _geometry(subject, claims, Node("keep_out_sphere", params={"centre_m": [0.0] * 3}))
    if geometry is None:
        return
    here, there = (geometry.pose(joints).position_m for joints in (subject.home, goal))
    radius = 0.6 * dist(here, there)
    world = _driven(
        subject, Node("keep_out_sphere", params={"centre_m": list(there), "radius_m": radius}), goal
    )
    nearest = min(dist(pose.position_m, there) for pose in _poses(world, geometry))
    claims.that(
        nearest >= radius - 1e-6,
        f"no nearer than {1e3 * nearest:.0f} mm to the centre",
        f"{1e3 * (radius - nearest):.0f} mm inside",
    )
    claims.kept_limits(world)


def tilted(subject: Subject, claims: Claims) -> None:
    geometry = _geometry(subject, claims, Node("tilt", params={"direction": [0.0, 0.0, 1.0]}))
    if geometry is None:
        return
    up = geometry.pose(subject.home).up
    world = _driven(
        subject, Node("tilt", params={"direction": list(up), "max_tilt_rad": 0.1}), _away(subject, 0.2)
    )
    worst = max(acos(min(1.0, sum(a * b for a, b in zip(pose.up, up)))) for pose in _poses(world, geometry))
    claims.that(
        worst <= 0.1 + 1e-4,
        f"tilted by {worst:.3f} rad at most, 0.1 allowed",
        f"tilted by {worst:.3f} rad, 0.1 allowed",
    )
    claims.kept_limits(world)


def tool_speed(subject: Subject, claims: Claims) -> None:
    node = Node("end_effector_speed", params={"max_speed_m_s": 0.1})
    geometry = _geometry(subject, claims, node)
    if geometry is None:
        return
    world = _driven(subject, node, _away(subject, 0.2), seconds=1.5)
    fastest = (
        max(dist(a.position_m, b.position_m) for a, b in pairwise(_poses(world, geometry)))
        / world.arm.period_s
    )
    claims.that(
        0.0 < fastest <= 0.1001, f"{fastest:.3f} m/s at most, 0.1 allowed", f"{fastest:.3f} m/s, 0.1 allowed"
    )
    claims.kept_limits(world)


def _colliding(subject: Subject, geometry: Geometry, *, with_table: bool) -> list[Vector]:
    """Postures that lie deep in a collision of this kind."""
    lower = [joint.lower_rad for joint in subject.robot.joints]
    upper = [joint.upper_rad for joint in subject.robot.joints]
    found: list[Vector] = []
    for joints in np.random.default_rng(1).uniform(lower, upper, (_TRIED, len(lower))):
        posture = tuple(joints.tolist())
        kinds = {(pair[0] == TABLE) for pair, gap in geometry.near(posture).items() if gap < _TOO_DEEP_M}
        if with_table in kinds:
            found.append(posture)
        if len(found) == 4:
            break
    return found


def _collides(subject: Subject, claims: Claims, node: Node, *, with_table: bool) -> None:
    geometry = _geometry(subject, claims, node)
    if geometry is None:
        return
    goals = _colliding(subject, geometry, with_table=with_table)
    if not goals:
        claims.that(True, f"no posture of {_TRIED} in this robot's limits is in such a collision")
    for goal in goals:
        world = _driven(subject, node, goal, seconds=4.0)
        gaps = [
            gap
            for command in world.commands
            for pair, gap in geometry.near(command.positions).items()
            if (pair[0] == TABLE) == with_table
        ]
        nearest = min(gaps, default=1.0)
        claims.that(
            nearest >= -1e-6,
            "sent into it, no command was in collision",
            f"a command was {-1e3 * nearest:.1f} mm deep in it",
        )
        claims.kept_limits(world)


def touches_itself(subject: Subject, claims: Claims) -> None:
    _collides(subject, claims, Node("self_collision", params={"margin_m": 0.002}), with_table=False)


def touches_table(subject: Subject, claims: Claims) -> None:
    _collides(subject, claims, Node("table_clearance", params={"margin_m": 0.0}), with_table=True)


def too_fast_for_the_task(subject: Subject, claims: Claims) -> None:
    for key in ("max_norm", "max_joint_speed"):
        world = subject.world(
            subject.towards(0.2, 0.2), config=subject.guarded_only_by(Node("task_speed", params={key: 0.05}))
        )
        world.arm.start()
        world.step(2)
        record = until_held(world, subject.cycles(1.0))
        claims.that(
            record.decision is Decision.REJECT, f"{key}: {record.reason}", f"{key}: {record.decision.name}"
        )
        steps = [
            [(b - a) / world.arm.period_s for a, b in zip(x.positions, y.positions)]
            for x, y in pairwise(world.commands)
        ]
        fastest = max(
            (hypot(*step) if key == "max_norm" else max(map(abs, step)) for step in steps), default=0.0
        )
        claims.that(fastest <= 0.0501, f"{fastest:.3g} rad/s at most", f"{fastest:.3g} rad/s, 0.05 allowed")


def gripper_disobeys(subject: Subject, claims: Claims) -> None:
    grippers = [i for i, joint in enumerate(subject.robot.joints) if joint.scale.is_gripper]
    if not grippers:
        claims.that(True, "this robot file names no gripper")
        return
    index = grippers[0]
    goal = _away(subject, 0.05)
    begin = subject.home[index]
    rules: dict[str, Any] = {"none": (False, False), "open": (True, False), "close": (False, True)}
    for rule, (may_open, may_close) in rules.items():
        for way, may in ((1.0, may_open), (-1.0, may_close)):
            joint = subject.robot.joints[index]
            opens = 1.0 if joint.scale.upper_rad > joint.scale.lower_rad else -1.0
            wanted = list(goal)
            wanted[index] = joint.upper_rad if way * opens > 0 else joint.lower_rad
            world = _driven(
                subject, Node("gripper_rule", params={"allowed_command": rule}), wanted, seconds=1.0
            )
            moved = abs(world.commands[-1].positions[index] - begin) > 1e-9 if world.commands else False
            what = f"{'open' if way > 0 else 'close'} under {rule}"
            claims.that(
                moved == may,
                f"{what}: {'done' if moved else 'suppressed'}",
                f"{what}: {'done' if moved else 'suppressed'}",
            )
            others = world.commands[-1].positions[0] if world.commands else subject.home[0]
            claims.that(others != subject.home[0], "the arm goes on", "the arm was frozen with it")


def jerky(subject: Subject, claims: Claims) -> None:
    world = _driven(subject, Node("jerk", params={"rise_time_s": 0.5}), _away(subject, 0.2), seconds=1.0)
    rate_hz = subject.params.control_rate_hz
    path = np.array([subject.home, *(command.positions for command in world.commands)])
    gains = np.diff(np.abs(np.diff(path, axis=0)), axis=0, prepend=np.zeros((1, path.shape[1]))) * rate_hz**2
    gains = np.maximum(gains, 0.0)  # braking is free, and so is its end
    limits = np.array([joint.max_acceleration_rad_s2 for joint in subject.robot.joints])
    growth = float(np.max(np.diff(gains, axis=0, prepend=np.zeros((1, path.shape[1]))) / limits)) * rate_hz
    claims.that(
        growth <= 2.02,
        f"acceleration grows over {1 / max(growth, 1e-9):.2g} s",
        f"acceleration grows within {1 / growth:.2g} s, not 0.5 s",
    )
    claims.that(said(world, "", Decision.CLAMP), "CLAMP is reported")
    claims.kept_limits(world)


ROWS = (
    FaultRow(
        "K1",
        "out of the workspace",
        "shortened (workspace_box) or rejected (task_workspace)",
        workspace,
        ("workspace_box", "task_workspace"),
    ),
    FaultRow("K2", "into a keep-out sphere", "shortened before it", keep_out, ("keep_out_sphere",)),
    FaultRow("K3", "the tool tilts too far", "shortened before it", tilted, ("tilt",)),
    FaultRow(
        "K4", "the tool moves too fast", "the whole step is shortened", tool_speed, ("end_effector_speed",)
    ),
    FaultRow("K5", "the arm would touch itself", "shortened before it", touches_itself, ("self_collision",)),
    FaultRow(
        "K6", "the arm would touch the table", "shortened before it", touches_table, ("table_clearance",)
    ),
    FaultRow("K7", "faster than the task allows", "REJECT", too_fast_for_the_task, ("task_speed",)),
    FaultRow(
        "K8",
        "the gripper does what the task forbids",
        "suppressed; the arm goes on",
        gripper_disobeys,
        ("gripper_rule",),
    ),
    FaultRow("K9", "too jerky", "softened", jerky, ("jerk",)),
)
