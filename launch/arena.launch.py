# SPDX-License-Identifier: Apache-2.0
"""One arm with everything it needs, from the table in lerobot_arena/bringup.py.

ros2 launch lerobot_arena arena.launch.py                          a simulated SO-101; nothing moves
ros2 launch lerobot_arena arena.launch.py session:=demo policy_path:=demo start:=true
ros2 launch lerobot_arena arena.launch.py --show-args
"""

import os
import sys
from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from lerobot_arena.bringup import (
    BACKENDS,
    DEFAULT_ARM,
    DEFAULT_FOXGLOVE_PORT,
    DEFAULT_PORT,
    DEFAULT_ROBOT,
    LOG_LEVELS,
    BringupOptions,
    ProcessSpec,
    data_folder,
    find_robot,
    prepare_environment,
    process_table,
    url_from_here,
)
from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.core.robot import load_robot

TRUTH = ["true", "false"]
# name, default, description, choices
ARGUMENTS: tuple[tuple[str, str, str, list[str] | None], ...] = (
    (
        "robot",
        "mujoco",
        "What the arm is: simulated, driven by LeRobot, or topics of ros2_control.",
        list(BACKENDS),
    ),
    ("robot_file", DEFAULT_ROBOT, "A shipped robot, one added by `arena robot add`, or a .yaml file.", None),
    ("robot_config", "", "LeRobot's config of the robot; empty: the one beside an added robot.", None),
    ("namespace", DEFAULT_ARM, "The arm's namespace: its topics are /<namespace>/…", None),
    (
        "policy_path",
        "",
        "Policy of the session: demo, a checkpoint folder, or a Hub id. Empty: no session.",
        None,
    ),
    ("session", "", "Id of the session to create for policy_path. Creating it moves nothing.", None),
    ("start", "false", "Also start that session: the arm moves.", TRUTH),
    ("cameras", "front", "Cameras of that session, parted by commas.", None),
    (
        "policy_roots",
        "",
        "Folders that hold checkpoints, parted by ':'; policy_path's own folder is added.",
        None,
    ),
    ("host", "", "Address on which the bridge listens; empty: ARENA_BRIDGE_HOST, else loopback.", None),
    ("port", str(DEFAULT_PORT), "Port on which the bridge listens.", None),
    ("seed", "", "First scene of the simulator; empty: the parameter's default.", None),
    ("params_file", "", "ROS 2 parameter file for the nodes.", None),
    ("use_sim_time", "false", "Take stamps from /clock. Ages and rates stay on the steady clock.", TRUTH),
    ("log_level", "info", "Least severity logged.", list(LOG_LEVELS)),
    (
        "dds",
        "local",
        "Fast DDS profile: local stays on this machine, network does not.",
        ["local", "network"],
    ),
    ("record", "false", "Record from the start.", TRUTH),
    ("foxglove", "false", "Also serve Foxglove, and the boundaries as markers for rviz.", TRUTH),
    ("foxglove_port", str(DEFAULT_FOXGLOVE_PORT), "Where Foxglove connects to, on loopback.", None),
    ("processes", "all", "Which rows of the table to start, parted by commas; all: every one.", None),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; everything else is decided when they are known."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=choices)
        for name, default, text, choices in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_bring_up)])


def _bring_up(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    try:
        options = _options(given)
        table = _chosen(process_table(options), given["processes"])
        environment = dict(os.environ)
        prepare_environment(environment, processes=len(table), kind=given["dds"])
    except ArenaError as error:
        # launch prints only the message of what a launch file raises
        raise RuntimeError(str(error)) from error
    changed = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    actions: list[LaunchDescriptionEntity] = [SetEnvironmentVariable(*item) for item in changed.items()]
    actions += [_process(spec, options) for spec in table]
    if any(spec.name == "embodiment" for spec in table):
        actions += _robot_state_publisher(options)
    return actions + _session(given)


def _options(given: dict[str, str]) -> BringupOptions:
    data_dir = data_folder(os.environ)
    robot = find_robot(given["robot_file"], data_dir)
    beside = Path(robot).with_suffix(".lerobot.json")
    config = given["robot_config"] or (str(beside) if beside.is_file() else "")
    for name in ("port", "foxglove_port", "seed"):
        may_be_empty = name == "seed"
        if not given[name].isdigit() and not (may_be_empty and not given[name]):
            raise InvalidInput(f"{name} {given[name]!r} must be a whole number.")
    roots = [root for root in given["policy_roots"].split(os.pathsep) if root]
    policy = Path(given["policy_path"]).expanduser()
    if given["policy_path"] and policy.is_dir():
        roots += [str(data_dir / "policies"), str(policy.resolve().parent)]
    return BringupOptions(
        backend=given["robot"],
        arm=given["namespace"].strip("/"),
        robot=robot,
        robot_config=config if given["robot"] == "lerobot" else "",
        host=given["host"],
        port=int(given["port"]),
        seed=int(given["seed"]) if given["seed"] else None,
        policy_roots=tuple(roots),
        params_file=given["params_file"],
        log_level=given["log_level"],
        use_sim_time=given["use_sim_time"] == "true",
        record=given["record"] == "true",
        foxglove=given["foxglove"] == "true",
        foxglove_port=int(given["foxglove_port"]),
    )


def _chosen(table: tuple[ProcessSpec, ...], names: str) -> list[ProcessSpec]:
    if names == "all":
        return list(table)
    wanted = [name.strip() for name in names.split(",")]
    known = [spec.name for spec in table]
    if unknown := [name for name in wanted if name not in known]:
        raise InvalidInput(f"There is no process {unknown[0]!r}. Known: {', '.join(known)}.")
    return [spec for spec in table if spec.name in wanted]


def _process(spec: ProcessSpec, options: BringupOptions) -> ExecuteProcess:
    """A row of the table as `ros2 run` would start it; where pip installed the package, as a module."""
    shared = {"name": spec.name, "output": "screen", "respawn": not spec.no_restart_because}
    shared["respawn_delay"] = 1.0
    program = _installed_program(spec.executable)
    command = [program, *spec.ros_arguments(options)] if program else spec.command(options)
    return ExecuteProcess(cmd=command, **shared)


def _prefix_of(package: str) -> Path | None:
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        return Path(get_package_prefix(package))
    except PackageNotFoundError:
        return None


def _installed_program(name: str) -> str | None:
    prefix = _prefix_of("lerobot_arena")
    program = prefix / "lib" / "lerobot_arena" / name if prefix is not None else None
    return str(program) if program is not None and program.is_file() else None


def _robot_state_publisher(options: BringupOptions) -> list[LaunchDescriptionEntity]:
    """TF of the arm's links, where ROS 2 has robot_state_publisher (the PyPI wheels do not)."""
    from lerobot_arena.embodiment.description import robot_description

    if _prefix_of("robot_state_publisher") is None:
        return [LogInfo(msg="robot_state_publisher is not installed: no TF of the arm's links.")]
    text = robot_description(load_robot(options.robot), is_simulated=options.backend == "mujoco")
    if not text:
        return [LogInfo(msg="There is no URDF for this robot: no TF of its links.")]
    return [
        Node(
            package="robot_state_publisher",
            executable="robot_state_publisher",
            namespace=options.arm,
            parameters=[
                {
                    "robot_description": ParameterValue(text, value_type=str),
                    "use_sim_time": options.use_sim_time,
                }
            ],
            # The embodiment publishes robot_description already.
            remappings=[("robot_description", "robot_state_publisher/robot_description")],
        )
    ]


def _session(given: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """Create, and with start:=true also start, the session, as any client of the bridge would."""
    if bool(given["session"]) != bool(given["policy_path"]):
        raise RuntimeError("session and policy_path go together: give both, or neither.")
    if not given["session"]:
        return []
    policy = Path(given["policy_path"]).expanduser()
    command = [
        *(
            [program]
            if (program := _installed_program("arena"))
            else [sys.executable, "-P", "-m", "lerobot_arena.cli.app"]
        ),
        *["session", "create", given["session"]],
        *["--policy", str(policy.resolve()) if policy.is_dir() else given["policy_path"]],
        *[
            "--robot",
            given["namespace"].strip("/"),
            "--url",
            url_from_here(given["host"], int(given["port"])),
        ],
        *["--wait", "60", "--exist-ok"],
    ]
    for camera in given["cameras"].split(","):
        command += ["--camera", camera.strip()]
    if given["start"] == "true":
        command.append("--start")
    return [ExecuteProcess(cmd=command, name="session", output="screen")]
