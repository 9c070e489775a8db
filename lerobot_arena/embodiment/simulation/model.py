# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo model: the SO-101 on a table with a cube, a tray and two cameras.

The arm is MuJoCo Menagerie's robotstudio_so101 (Apache-2.0), as the so101-nexus wheel ships it.
"""

from math import pi
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.embodiment.simulation.engine import mujoco
from lerobot_arena.embodiment.simulation.layout import (
    CUBE_SIDE_M,
    TRAY_FLOOR_M,
    TRAY_INSIDE_M,
    TRAY_WALL_HEIGHT_M,
    TRAY_WALL_M,
)
from lerobot_arena.embodiment.simulation.meshes import so101_folder, so101_meshes

CAMERAS = ("front", "wrist")
TIMESTEP_S = 0.005
_FRONT_POSITION = (0.58, 0.0, 0.46)
_FRONT_TARGET = (0.14, 0.0, 0.045)
_FRONT_FOVY_DEG = 40.0
_CUBE_MASS_KG = 0.02
_GREY, _RED, _BLUE = (0.62, 0.60, 0.56, 1.0), (0.85, 0.12, 0.1, 1.0), (0.1, 0.3, 0.75, 1.0)


def build_model(robot: RobotSpec) -> Any:
    """The compiled mujoco.MjModel. Raises InvalidInput when `robot` is not an SO-101, Unavailable without MuJoCo."""
    mj = mujoco()
    folder = so101_folder()
    meshes = {f"assets/{name}": content for name, content in so101_meshes(folder).items()}
    spec = mj.MjSpec.from_string((folder / "so101.xml").read_text(), assets=meshes)
    spec.option.timestep = TIMESTEP_S
    for camera in spec.cameras:
        if camera.name == "wrist_cam":
            camera.name = "wrist"
            # Menagerie mounts it head down, seen the way the gripper reaches.
            camera.alt.euler = (*camera.alt.euler[:2], pi)
    _set_look(mj, spec, robot)
    _add_table(mj, spec)
    _add_cube(mj, spec)
    _add_tray(mj, spec)
    model = spec.compile()
    _check_robot(mj, model, robot)
    return model


def _check_robot(mj: Any, model: Any, robot: RobotSpec) -> None:
    simulated = [model.actuator(index).name for index in range(model.nu)]
    if sorted(simulated) != sorted(robot.joint_names):
        raise InvalidInput(
            f"The simulator is an SO-101 with the joints {', '.join(simulated)}; robot {robot.name!r} has "
            f"{', '.join(robot.joint_names)}. Use --robot so101, or another backend for this arm."
        )
    if unknown := set(robot.camera_names) - set(CAMERAS):
        raise InvalidInput(
            f"The simulator has the cameras {', '.join(CAMERAS)}, not {', '.join(sorted(unknown))}."
        )


def _set_look(mj: Any, spec: Any, robot: RobotSpec) -> None:
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    spec.visual.global_.offwidth = max([640, *(camera.width for camera in robot.cameras)])
    spec.visual.global_.offheight = max([480, *(camera.height for camera in robot.cameras)])
    spec.visual.headlight.ambient = (0.45, 0.45, 0.45)
    spec.visual.headlight.diffuse = (0.25, 0.25, 0.25)
    spec.visual.headlight.specular = (0.05, 0.05, 0.05)
    spec.add_texture(
        name="sky", type=mj.mjtTexture.mjTEXTURE_SKYBOX, builtin=mj.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=(0.75, 0.82, 0.9), rgb2=(0.35, 0.42, 0.5), width=64, height=384,
    )  # fmt: skip
    spec.worldbody.add_light(
        name="lamp", type=mj.mjtLightType.mjLIGHT_DIRECTIONAL, pos=(0.3, 0.2, 1.5), dir=(-0.15, -0.25, -1.0),
        diffuse=(0.5, 0.5, 0.5), specular=(0.1, 0.1, 0.1), castshadow=False,
    )  # fmt: skip
    spec.worldbody.add_camera(
        name="front",
        pos=_FRONT_POSITION,
        fovy=_FRONT_FOVY_DEG,
        xyaxes=_look_at(_FRONT_POSITION, _FRONT_TARGET),
    )


def _look_at(position: tuple[float, float, float], target: tuple[float, float, float]) -> list[float]:
    """Right and up axes of a camera at `position` that sees `target` upright."""
    back = np.subtract(position, target)
    right = np.cross((0.0, 0.0, 1.0), back)
    up = np.cross(back, right)
    return [*(right / np.linalg.norm(right)), *(up / np.linalg.norm(up))]


def _add_table(mj: Any, spec: Any) -> None:
    spec.worldbody.add_geom(
        name="table",
        type=mj.mjtGeom.mjGEOM_PLANE,
        size=(0.8, 0.8, 0.1),
        rgba=_GREY,
        friction=(1.0, 0.005, 0.0001),
    )


def _add_cube(mj: Any, spec: Any) -> None:
    half = CUBE_SIDE_M / 2
    cube = spec.worldbody.add_body(name="cube", pos=(0.2, 0.0, half))
    cube.add_freejoint(name="cube")
    # Six friction dimensions stop the cube from spinning between two point-like jaw tips.
    cube.add_geom(
        name="cube", type=mj.mjtGeom.mjGEOM_BOX, size=(half, half, half), mass=_CUBE_MASS_KG, rgba=_RED,
        condim=6, friction=(1.0, 0.01, 0.001),
    )  # fmt: skip


def _add_tray(mj: Any, spec: Any) -> None:
    """A shallow box fixed to the table; a mocap body, so that an episode can put it elsewhere."""
    tray = spec.worldbody.add_body(name="tray", pos=(0.2, 0.15, 0.0), mocap=True)
    inside, wall, height = TRAY_INSIDE_M / 2, TRAY_WALL_M / 2, TRAY_WALL_HEIGHT_M / 2
    outside = inside + 2 * wall
    boxes = {
        "tray_floor": ((0, 0, TRAY_FLOOR_M / 2), (inside, inside, TRAY_FLOOR_M / 2)),
        "tray_left": ((0, inside + wall, height), (outside, wall, height)),
        "tray_right": ((0, -inside - wall, height), (outside, wall, height)),
        "tray_far": ((inside + wall, 0, height), (wall, inside, height)),
        "tray_near": ((-inside - wall, 0, height), (wall, inside, height)),
    }
    for name, (position, size) in boxes.items():
        tray.add_geom(name=name, type=mj.mjtGeom.mjGEOM_BOX, pos=position, size=size, rgba=_BLUE)
