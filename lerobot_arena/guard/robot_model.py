# SPDX-License-Identifier: Apache-2.0
"""A robot's shape from its MJCF or URDF: where its tool is, and which parts are how near to each other or the table.

A part is a body of the model, as the convex hulls of what is seen of it (or of its collision shapes, where nothing of
it is seen). MuJoCo does the kinematics and the distances; nothing is simulated. A model may lie in a package, which
is found, not imported.
"""

import importlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.core.robot import JointSpec, ModelSpec, RobotSpec
from lerobot_arena.guard.checks.protocol import TABLE, WIDEST_MARGIN_M, Pose
from lerobot_arena.guard.limiter import Vector

_HULL_VERTICES = 96
_REMEMBERED = 64
_POSES_TRIED = 200
_BITS = 31
# Pairs nearer than the first wherever the joints are, and pairs whose gap is always about the same, are built so.
_TOUCHING_M, _SAME_M = 1e-3, 2e-3
_REMEDY = "`pip install 'lerobot_arena[sim]'`"


def geometry_of(robot: RobotSpec) -> "RobotModel":
    """The geometry of `robot`, for one thread.

    Raises Unavailable naming what to install, InvalidInput naming what in the robot file or the model is wrong.
    """
    if robot.model is None:
        raise InvalidInput(
            f"the robot file of {robot.name!r} has no `model`: name an MJCF and its end_effector there"
        )
    return RobotModel(robot, robot.model)


def opening_of(robot: RobotSpec) -> Vector:
    """Per joint 1 or -1 by which way a gripper opens, 0 for the others; for Body.opening."""
    scales = [joint.scale for joint in robot.joints]
    return tuple((1.0 if s.upper_rad > s.lower_rad else -1.0) if s.is_gripper else 0.0 for s in scales)


class RobotModel:
    """`Geometry` of one arm: joint vectors are radians in the robot's order. Not thread-safe."""

    def __init__(self, robot: RobotSpec, wanted: ModelSpec) -> None:
        self._mj = mujoco = _mujoco()
        try:
            self._model = _compile(mujoco, _file_of(wanted.mjcf), wanted.table_height_m)
        except ValueError as error:
            raise InvalidInput(f"the model {wanted.mjcf} of {robot.name!r} is no MJCF: {error}") from error
        self._data = mujoco.MjData(self._model)
        joints = [_joint_of(mujoco, self._model, joint, wanted.mjcf) for joint in robot.joints]
        self._address = np.array([int(self._model.jnt_qposadr[index]) for index in joints])
        self._tool = _Tool(mujoco, self._model, self._data, wanted)
        self.moves_tool = tuple(
            bool(self._model.jnt_bodyid[index] in self._tool.ancestors) for index in joints
        )
        self._body_of = [int(body) for body in self._model.geom_bodyid]
        self._ignored: set[tuple[int, int]] = _neighbours(self._model)
        self._poses: dict[Vector, Pose] = {}
        self._gaps: dict[Vector, Mapping[tuple[str, str], float]] = {}
        self._skip_ignored()
        self._learn_what_is_always_near(robot)

    def pose(self, joints_rad: Vector) -> Pose:
        """Where the end effector is and where it points, in the base frame."""
        found = self._poses.get(joints_rad)
        if found is None:
            self._place(joints_rad)
            found = _remember(self._poses, joints_rad, self._tool.pose())
        return found

    def near(self, joints_rad: Vector) -> Mapping[tuple[str, str], float]:
        """Pairs of parts, or TABLE and a part, nearer than WIDEST_MARGIN_M → gap in m, negative when they overlap."""
        found = self._gaps.get(joints_rad)
        if found is None:
            self._place(joints_rad)
            gaps = {(self._name(a), self._name(b)): gap for (a, b), gap in self._near_bodies().items()}
            found = _remember(self._gaps, joints_rad, gaps)
        return found

    def _place(self, joints_rad: Sequence[float]) -> None:
        self._data.qpos[self._address] = joints_rad
        self._mj.mj_kinematics(self._model, self._data)

    def _near_bodies(self) -> dict[tuple[int, int], float]:
        """Smallest gap per pair of bodies, of those near each other as the arm is placed now."""
        self._mj.mj_collision(self._model, self._data)
        gaps: dict[tuple[int, int], float] = {}
        if not self._data.ncon:
            return gaps
        contacts = self._data.contact
        for (one, other), gap in zip(contacts.geom.tolist(), contacts.dist.tolist()):
            a, b = self._body_of[one], self._body_of[other]
            if gap != gap:
                raise ValueError("The arm's model has no solution: a gap is not a number.")
            pair = (a, b) if a < b else (b, a)
            if pair not in self._ignored and gap < gaps.get(pair, WIDEST_MARGIN_M):
                gaps[pair] = gap
        return gaps

    def _name(self, body: int) -> str:
        return TABLE if body == 0 else str(self._model.body(body).name)

    def _learn_what_is_always_near(self, robot: RobotSpec) -> None:
        """Pairs that overlap wherever the joints are, or whose gap no joint changes, do not count."""
        lower = [joint.lower_rad for joint in robot.joints]
        upper = [joint.upper_rad for joint in robot.joints]
        seen: dict[tuple[int, int], list[float]] = {}
        for joints in np.random.default_rng(0).uniform(lower, upper, (_POSES_TRIED, len(lower))):
            self._place(joints)
            for pair, gap in self._near_bodies().items():
                seen.setdefault(pair, []).append(gap)
        for pair, gaps in seen.items():
            is_built_so = max(gaps) <= _TOUCHING_M or max(gaps) - min(gaps) <= _SAME_M
            if len(gaps) == _POSES_TRIED and is_built_so:
                self._ignored.add(pair)
        self._skip_ignored()

    def _skip_ignored(self) -> None:
        """Spare MuJoCo the pairs that do not count: it matches a geom's contype with the other's conaffinity."""
        count = self._model.nbody
        if count > _BITS:
            return
        for geom, body in enumerate(self._body_of):
            others = [
                b for b in range(count) if (min(body, b), max(body, b)) not in self._ignored and b != body
            ]
            self._model.geom_contype[geom] = 1 << body
            self._model.geom_conaffinity[geom] = sum(1 << other for other in others)


class _Tool:
    """The site or body that is the end effector."""

    def __init__(self, mj: Any, model: Any, data: Any, wanted: ModelSpec) -> None:
        site = mj.mj_name2id(model, mj.mjtObj.mjOBJ_SITE, wanted.end_effector)
        body = mj.mj_name2id(model, mj.mjtObj.mjOBJ_BODY, wanted.end_effector)
        if site < 0 and body < 0:
            sites = ", ".join(model.site(index).name for index in range(model.nsite)) or "none"
            raise InvalidInput(
                f"the model {wanted.mjcf} has no site or body {wanted.end_effector!r}; its sites: {sites}"
            )
        self._position = data.site_xpos[site] if site >= 0 else data.xpos[body]
        self._matrix = data.site_xmat[site] if site >= 0 else data.xmat[body]
        length = float(np.linalg.norm(wanted.tool_axis))
        self._axis = [value / length for value in wanted.tool_axis]
        above = int(model.site_bodyid[site]) if site >= 0 else body
        self.ancestors = {0}
        while above:
            self.ancestors.add(above)
            above = int(model.body_parentid[above])

    def pose(self) -> Pose:
        x, y, z = self._position.tolist()
        a, b, c, d, e, f, g, h, i = self._matrix.tolist()
        u, v, w = self._axis
        up = (a * u + b * v + c * w, d * u + e * v + f * w, g * u + h * v + i * w)
        return Pose((x, y, z), up)


def _remember[T](known: dict[Vector, T], joints_rad: Vector, answer: T) -> T:
    if len(known) >= _REMEMBERED:
        del known[next(iter(known))]
    known[joints_rad] = answer
    return answer


def _mujoco() -> Any:
    """The module. It fixes its OpenGL at import: the usual one, which others here may want, or none where it lacks."""
    if importlib.util.find_spec("mujoco") is None:
        raise Unavailable(f"the geometry needs MuJoCo, which is not installed: {_REMEDY}")
    chosen = os.environ.get("MUJOCO_GL")
    problem = ""
    try:
        for backend in (chosen or "egl", "disable"):
            os.environ["MUJOCO_GL"] = backend
            try:
                return importlib.import_module("mujoco")
            except (
                Exception
            ) as error:  # a missing library fails as ImportError, AttributeError or RuntimeError
                problem = str(error)
    finally:
        if chosen is None:
            del os.environ["MUJOCO_GL"]
        else:
            os.environ["MUJOCO_GL"] = chosen
    raise Unavailable(f"the geometry needs MuJoCo, which cannot start: {problem}")


def _file_of(mjcf: str) -> Path:
    package, colon, inside = mjcf.partition(":")
    if not colon:
        path = Path(mjcf)
    else:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or spec.origin is None:
            raise Unavailable(
                f"the robot's model is in the package {package}, which is not installed: {_REMEDY}"
            )
        folder = Path(spec.origin).resolve().parent
        path = (folder / inside).resolve()
        if not path.is_relative_to(folder):
            raise InvalidInput(f"the model {mjcf} lies outside its package")
    if not path.is_file():
        raise InvalidInput(f"there is no model {path}")
    return path


def _compile(mj: Any, path: Path, table_height_m: float) -> Any:
    """The model with one solid shape per seen geom, a table, and contacts from WIDEST_MARGIN_M on."""
    spec = _shapes(mj, path)
    _keep_hulls(mj, spec, _shapes(mj, path).compile())
    table = spec.worldbody.add_geom(type=mj.mjtGeom.mjGEOM_PLANE, size=(0, 0, 1), pos=(0, 0, table_height_m))
    table.contype = table.conaffinity = 1
    model = spec.compile()
    # It would keep every mesh file in memory, decoded: ten times what is left here.
    mj.mj_clearCache(mj.mj_getCache())
    model.opt.enableflags |= mj.mjtEnableBit.mjENBL_OVERRIDE
    model.opt.o_margin = WIDEST_MARGIN_M
    return model


def _shapes(mj: Any, path: Path) -> Any:
    """What of a model says where its parts are and how they look."""
    spec = mj.MjSpec.from_file(str(path))
    spec.compiler.fusestatic = False  # a URDF's base and tool frame would go up in their neighbours
    used = set()
    for body in spec.bodies:
        geoms = list(body.geoms)
        seen = [geom for geom in geoms if not geom.contype and not geom.conaffinity]
        for geom in geoms:
            if seen and geom not in seen or not body.id:
                spec.delete(geom)
            else:
                geom.contype = geom.conaffinity = 1
                used.add(geom.meshname)
    # The meshes nobody needs would take most of the time.
    for mesh in list(spec.meshes):
        mesh.name = mesh.name or Path(mesh.file).stem
        mesh.maxhullvert = _HULL_VERTICES
        if mesh.name not in used:
            spec.delete(mesh)
    # What only a simulation needs may refer to what is gone now.
    for kind in (spec.sensors, spec.keys, spec.pairs, spec.equalities, spec.actuators, spec.tendons):
        for element in list(kind):
            spec.delete(element)
    return spec


def _keep_hulls(mj: Any, spec: Any, full: Any) -> None:
    """Leave of each mesh the corners of its hull, as `full` has them compiled: they are all that distances need."""
    rotation = np.zeros(9)
    for mesh in spec.meshes:
        index = int(full.mesh(mesh.name).id)
        graph = full.mesh_graph[full.mesh_graphadr[index] :]
        count = int(graph[0])
        corners = full.mesh_vert[full.mesh_vertadr[index] + graph[2 + count : 2 + 2 * count]].astype(float)
        # The compiler has scaled the mesh, and moved it to where its mass is.
        mj.mju_quat2Mat(rotation, full.mesh_quat[index])
        mesh.uservert = (corners @ rotation.reshape(3, 3).T + full.mesh_pos[index]).ravel()
        mesh.file, mesh.scale, mesh.refpos, mesh.refquat = "", (1, 1, 1), (0, 0, 0), (1, 0, 0, 0)


def _joint_of(mj: Any, model: Any, joint: JointSpec, mjcf: str) -> int:
    """Index of the robot's joint in the model, by name or alias."""
    for name in (joint.name, *joint.aliases):
        index = int(mj.mj_name2id(model, mj.mjtObj.mjOBJ_JOINT, name))
        if index >= 0:
            break
    else:
        names = ", ".join(model.joint(index).name for index in range(model.njnt)) or "none"
        raise InvalidInput(f"the model {mjcf} has no joint {joint.name!r}; its joints: {names}")
    if model.jnt_type[index] != mj.mjtJoint.mjJNT_HINGE:
        raise InvalidInput(
            f"joint {joint.name!r} of the model {mjcf} does not turn, so radians mean nothing on it"
        )
    return index


def _neighbours(model: Any) -> set[tuple[int, int]]:
    """Pairs of bodies with at most one joint between them: MuJoCo leaves them out too, but not next to a fixed base."""
    weld = [int(index) for index in model.body_weldid]
    above = [weld[int(model.body_parentid[index])] for index in weld]
    # The table is welded to the base as well, and is no neighbour of what stands on it.
    bodies = range(1, model.nbody)
    return {
        (a, b)
        for a in bodies
        for b in bodies
        if a < b and (weld[a] == weld[b] or above[a] == weld[b] or above[b] == weld[a])
    }
