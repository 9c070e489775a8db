# SPDX-License-Identifier: Apache-2.0
"""The boundaries in force as shapes in the arm's base frame."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.params import params_from_mapping
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.shape import BOX, SPHERE, TEXT, Shape
from lerobot_arena.guard.boundary import Boundary, Node, boundary_from_json
from lerobot_arena.guard.checks.table import CHECKS

Colour = tuple[float, float, float, float]
Point = tuple[float, float, float]

_WORKSPACE: Colour = (0.2, 0.8, 0.3, 0.12)
_TASK: Colour = (0.2, 0.5, 1.0, 0.12)
_ZONE: Colour = (1.0, 0.8, 0.1, 0.15)
_KEEP_OUT: Colour = (1.0, 0.15, 0.1, 0.35)
_TABLE: Colour = (0.6, 0.6, 0.65, 0.35)
_LETTERS: Colour = (1.0, 1.0, 1.0, 0.9)
_LETTER_M = 0.02
_TABLE_SIDE_M, _TABLE_THICKNESS_M = 1.2, 0.002


def shapes_of(
    config: GuardConfig, active: Sequence[str], *, robot: RobotSpec | None = None
) -> tuple[Shape, ...]:
    """What the active boundaries of `config` allow and forbid in space, each with its name beside it.

    Every node of a list or graph is drawn, whichever is active. Names that the configuration does not have, and
    boundaries without a place, give nothing. Raises InvalidInput on a boundary that is none.
    """
    texts = {boundary.name: boundary.config for boundary in config.boundaries}
    boundaries = [boundary_from_json(texts[name]) for name in active if name in texts]
    return tuple(
        shape
        for boundary in boundaries
        for node in boundary.nodes
        if (draw := _DRAWN.get(node.callback)) is not None
        for shape in draw(_params(node), _name_of(boundary, node), robot)
    )


def _params(node: Node) -> Any:
    return params_from_mapping(CHECKS.load(node.callback).params_type, node.params)


def _name_of(boundary: Boundary, node: Node) -> str:
    return boundary.name if len(boundary.nodes) == 1 else f"{boundary.name}.{node.node_id}"


def _box(lower_m: Sequence[float], upper_m: Sequence[float], name: str, colour: Colour) -> list[Shape]:
    if not lower_m:
        return []
    (ax, ay, az), (bx, by, bz) = lower_m, upper_m
    centre = (ax + bx) / 2, (ay + by) / 2, (az + bz) / 2
    size = bx - ax, by - ay, bz - az
    return [Shape(BOX, name, centre, size, colour), _label(name, (centre[0], centre[1], bz))]


def _label(name: str, top_m: Point) -> Shape:
    at = top_m[0], top_m[1], top_m[2] + _LETTER_M
    return Shape(TEXT, name, at, (0.0, 0.0, _LETTER_M), _LETTERS, name)


def _workspace(params: Any, name: str, robot: RobotSpec | None) -> list[Shape]:
    return _box(params.lower_m, params.upper_m, name, _WORKSPACE)


def _task_workspace(params: Any, name: str, robot: RobotSpec | None) -> list[Shape]:
    return _box(params.lower_m, params.upper_m, name, _TASK)


def _gripper_zone(params: Any, name: str, robot: RobotSpec | None) -> list[Shape]:
    return _box(params.zone_lower_m, params.zone_upper_m, name, _ZONE)


def _sphere(params: Any, name: str, robot: RobotSpec | None) -> list[Shape]:
    x, y, z = params.centre_m
    across = 2 * params.radius_m
    return [
        Shape(SPHERE, name, (x, y, z), (across, across, across), _KEEP_OUT),
        _label(name, (x, y, z + params.radius_m)),
    ]


def _table(params: Any, name: str, robot: RobotSpec | None) -> list[Shape]:
    """The lowest place a part may be: the table's top and the margin above it."""
    if robot is None or robot.model is None:
        return []
    top = robot.model.table_height_m + params.margin_m
    size = _TABLE_SIDE_M, _TABLE_SIDE_M, _TABLE_THICKNESS_M
    return [Shape(BOX, name, (0.0, 0.0, top - _TABLE_THICKNESS_M / 2), size, _TABLE)]


_DRAWN: Mapping[str, Callable[[Any, str, RobotSpec | None], list[Shape]]] = {
    "workspace_box": _workspace,
    "task_workspace": _task_workspace,
    "keep_out_sphere": _sphere,
    "gripper_rule": _gripper_zone,
    "table_clearance": _table,
}
