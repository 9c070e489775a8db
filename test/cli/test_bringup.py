# SPDX-License-Identifier: Apache-2.0
"""The table of processes: what it starts agrees with what the areas declare."""

import ast
import importlib
import inspect
import json
import sys
from pathlib import Path

import pytest

import lerobot_arena
from lerobot_arena.bringup import (
    BACKENDS,
    BringupOptions,
    ProcessSpec,
    data_folder,
    find_robot,
    prepare_environment,
    process_table,
)
from lerobot_arena.cli import up
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import param_infos, params_from_mapping

EVERYTHING = BringupOptions(robot_config="robot.json", seed=3, policy_roots=("/a", "/b"), foxglove=True)
PARAMS = {
    "embodiment": "lerobot_arena.embodiment.params:EmbodimentParams",
    "inference": "lerobot_arena.inference.params:InferenceParams",
    "guard": "lerobot_arena.guard.params:GuardParams",
    "bridge": "lerobot_arena.bridge.params:BridgeParams",
    "recording": "lerobot_arena.recording.params:RecorderParams",
    "inspection": "lerobot_arena.inspection.params:InspectionParams",
    "rooms": "lerobot_arena.rooms.params:MediaParams",
}


@pytest.mark.parametrize("spec", process_table(EVERYTHING), ids=lambda spec: spec.name)
def test_every_parameter_of_the_table_is_one_the_node_declares(spec: ProcessSpec) -> None:
    module, _, name = PARAMS[spec.area].partition(":")
    params_from_mapping(getattr(importlib.import_module(module), name), spec.params)


@pytest.mark.parametrize("spec", process_table(EVERYTHING), ids=lambda spec: spec.name)
def test_every_row_is_a_node_that_is_there(spec: ProcessSpec) -> None:
    file = Path(lerobot_arena.__file__).parents[1] / f"{spec.module.replace('.', '/')}.py"
    assert file.is_file()
    setup = (Path(lerobot_arena.__file__).parents[1] / "setup.py").read_text()
    assert f'"{spec.executable} = {spec.module}:main"' in setup, "ros2 launch starts this program"


def test_names_are_unique_and_the_driver_of_the_arm_is_stopped_last() -> None:
    table = process_table(BringupOptions())
    assert len({spec.name for spec in table}) == len(table)
    order = [spec.name for spec in sorted(table, key=lambda spec: -spec.rank)]
    assert order[0] == "bridge" and order[1] == "inference" and order[-1] == "embodiment"


def test_foxglove_is_served_only_when_asked_for() -> None:
    assert "foxglove" not in {spec.name for spec in process_table(BringupOptions())}
    served = {spec.name: spec for spec in process_table(BringupOptions(foxglove=True, foxglove_port=8750))}
    assert served["foxglove"].params["port"] == 8750 and served["foxglove"].rank == served["bridge"].rank


def test_a_real_arms_driver_is_not_started_again_unasked() -> None:
    """LeRobot cuts the torque while it connects: somebody has to hold the arm."""
    without = {
        backend: [
            spec.name for spec in process_table(BringupOptions(backend=backend)) if spec.no_restart_because
        ]
        for backend in BACKENDS
    }
    assert without == {"mujoco": [], "lerobot": ["embodiment"], "topics": []}


def test_choices_are_those_of_the_areas() -> None:
    from lerobot_arena.embodiment.params import EmbodimentParams
    from lerobot_arena.ros import dds

    assert param_infos(EmbodimentParams)["backend"][1].choices == BACKENDS
    assert tuple(up.Backend) == BACKENDS
    assert set(up.DdsProfile) == {dds.LOCAL, dds.NETWORK}


def test_a_value_that_looks_like_a_number_stays_text() -> None:
    spec = ProcessSpec(
        "x", "guard", 0, "arm", {"robot": "123", "roots": ("1", "b c"), "virtual": True, "rate": 2.5}
    )
    arguments = spec.ros_arguments(BringupOptions())
    for expected in (
        'robot:="123"',
        'roots:=["1", "b c"]',
        "virtual:=true",
        "rate:=2.5",
        "use_sim_time:=false",
    ):
        assert expected in arguments
        assert arguments[arguments.index(expected) - 1] == "-p"


def test_a_parameter_file_comes_before_the_tables_values_so_that_options_win(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("{}")
    arguments = process_table(BringupOptions(params_file=str(file)))[0].ros_arguments(
        BringupOptions(params_file=str(file))
    )
    assert arguments.index("--params-file") < arguments.index("-p")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"backend": "isaac"}, "mujoco"),
        ({"arm": "my arm"}, "namespace"),
        ({"port": 0}, "1 to 65535"),
        ({"foxglove_port": 65536}, "1 to 65535"),
        ({"foxglove": True, "foxglove_port": 8001}, "both"),
        ({"log_level": "loud"}, "debug"),
        ({"params_file": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
def test_wrong_options_are_refused_with_what_is_right(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        BringupOptions(**wrong)  # type: ignore[arg-type]


def test_the_data_folder_is_the_variable_or_the_users_own() -> None:
    assert data_folder({"ARENA_DATA_DIR": "/data"}) == Path("/data")
    assert data_folder({"XDG_DATA_HOME": "/x"}) == Path("/x/lerobot_arena")
    assert data_folder({}) == Path.home() / ".local/share/lerobot_arena"


def test_an_added_robot_is_found_by_name_and_a_path_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "robots").mkdir()
    (tmp_path / "robots" / "left.yaml").write_text("name: left")
    assert find_robot("left", tmp_path) == str(tmp_path / "robots" / "left.yaml")
    assert find_robot("so101", tmp_path) == "so101"
    assert find_robot("./left", tmp_path) == "./left"


def test_the_environment_names_the_dds_profile_the_ament_prefix_and_the_data(tmp_path: Path) -> None:
    environment = {"ARENA_DATA_DIR": str(tmp_path), "AMENT_PREFIX_PATH": "/opt/ros/jazzy"}
    profile = prepare_environment(environment, processes=1)
    assert environment["FASTRTPS_DEFAULT_PROFILES_FILE"] == str(profile.path)
    assert environment["AMENT_PREFIX_PATH"].split(":") == ["/opt/ros/jazzy", sys.prefix]
    before = dict(environment)
    prepare_environment(environment, processes=1)
    assert environment == before, "preparing twice adds nothing"
    json.dumps(environment)


def test_a_profile_of_the_users_own_stays(tmp_path: Path) -> None:
    own = tmp_path / "mine.xml"
    own.write_text("<profiles/>")
    environment = {"ARENA_DATA_DIR": str(tmp_path), "FASTRTPS_DEFAULT_PROFILES_FILE": str(own)}
    assert prepare_environment(environment, processes=1).path == own
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in environment


@pytest.mark.ros
@pytest.mark.parametrize("area", sorted(PARAMS))
def test_no_node_takes_a_name_that_rclpy_uses_itself(area: str) -> None:
    """`self._clock = …` in a node replaces rclpy's own, and its timers fail later with an unrelated message."""
    import rclpy.lifecycle.node
    import rclpy.node

    def assigned(tree: ast.AST) -> set[str]:
        found = (
            target
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        )
        return {
            target.attr
            for target in found
            if isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Name)
            and target.value.id == "self"
        }

    theirs = set[str]()
    for module in (rclpy.node, rclpy.lifecycle.node):
        theirs |= assigned(ast.parse(inspect.getsource(module)))
    source = Path(lerobot_arena.__file__).parent / area / "node.py"
    nodes = [
        part
        for part in ast.parse(source.read_text()).body
        if isinstance(part, ast.ClassDef) and any("ArenaNode" in ast.unparse(base) for base in part.bases)
    ]
    assert nodes, "no ArenaNode in this file"
    for node in nodes:
        assert assigned(node) & theirs == set()
