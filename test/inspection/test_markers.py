# SPDX-License-Identifier: Apache-2.0
"""What is drawn of boundaries."""

import json
from typing import Any

import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.shape import BOX, SPHERE, TEXT
from lerobot_arena.guard.checks.table import CHECKS
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.inspection.markers import shapes_of

BOX_PARAMS = {"lower_m": [0.0, -1.0, 0.0], "upper_m": [1.0, 1.0, 0.5]}


def config(name: str, *nodes: dict[str, Any], **more: Any) -> GuardConfig:
    text = json.dumps({"name": name, "nodes": list(nodes), **more})
    return GuardConfig(1, (BoundaryWanted(name, 1, text),))


def test_a_workspace_is_a_box_with_its_name_on_top() -> None:
    box, label = shapes_of(config("cell", {"callback": "workspace_box", "params": BOX_PARAMS}), ["cell"])
    assert (box.kind, box.centre_m, box.size_m) == (BOX, (0.5, 0.0, 0.25), (1.0, 2.0, 0.5))
    assert (label.kind, label.text, label.group) == (TEXT, "cell", "cell") and label.centre_m[2] > 0.5


def test_a_keep_out_is_a_sphere_of_its_diameter() -> None:
    node = {"callback": "keep_out_sphere", "params": {"centre_m": [0.1, 0.2, 0.3], "radius_m": 0.05}}
    sphere, label = shapes_of(config("lamp", node), ["lamp"])
    assert (sphere.kind, sphere.centre_m, sphere.size_m) == (SPHERE, (0.1, 0.2, 0.3), (0.1, 0.1, 0.1))
    assert label.centre_m[2] > 0.35


def test_the_table_is_where_the_robot_file_has_it_with_the_margin_above() -> None:
    found = config("table", {"callback": "table_clearance", "params": {"margin_m": 0.01}})
    (table,) = shapes_of(found, ["table"], robot=load_robot("so101"))
    assert table.centre_m[2] + table.size_m[2] / 2 == pytest.approx(0.01)
    assert shapes_of(found, ["table"]) == (), "without a model nobody knows where the table is"


def test_a_gripper_rule_without_a_zone_has_no_place() -> None:
    zone = {"zone_lower_m": BOX_PARAMS["lower_m"], "zone_upper_m": BOX_PARAMS["upper_m"]}
    nodes = [{"callback": "gripper_rule", "params": params} for params in ({}, zone)]
    assert shapes_of(config("grip", nodes[0]), ["grip"]) == ()
    assert [shape.kind for shape in shapes_of(config("grip", nodes[1]), ["grip"])] == [BOX, TEXT]


def test_every_node_of_a_list_is_drawn_under_its_own_name() -> None:
    nodes = [
        {
            "callback": "task_workspace",
            "node_id": name,
            "params": BOX_PARAMS,
            "enter_when": {"elapsed_s": 1.0},
        }
        for name in ("reach", "place")
    ]
    shapes = shapes_of(config("job", *nodes, type="list"), ["job"])
    assert [shape.text for shape in shapes if shape.kind == TEXT] == ["job.reach", "job.place"]


def test_only_what_is_active_is_drawn() -> None:
    found = shipped_config()
    everything = [boundary.name for boundary in found.boundaries]
    assert shapes_of(found, []) == () and shapes_of(found, ["no such boundary"]) == ()
    groups = {shape.group for shape in shapes_of(found, everything, robot=load_robot("so101"))}
    assert groups == {"workspace", "table"}


def test_a_boundary_that_is_none_is_named() -> None:
    with pytest.raises(InvalidInput, match="no_such_check"):
        shapes_of(config("bad", {"callback": "no_such_check"}), ["bad"])


def test_every_check_that_has_a_place_is_drawn() -> None:
    from lerobot_arena.core.params import param_infos
    from lerobot_arena.inspection.markers import _DRAWN

    placed = {
        name
        for name in CHECKS
        for key, (_, info) in param_infos(CHECKS.load(name).params_type).items()
        if info.length == 3 and key.endswith("_m")
    }
    assert placed <= _DRAWN.keys()
