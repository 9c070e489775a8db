# SPDX-License-Identifier: Apache-2.0
"""`arena up`: every process of one arm, until Ctrl-C."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from lerobot_arena.bringup import (
    DEFAULT_ARM,
    DEFAULT_FOXGLOVE_PORT,
    DEFAULT_PORT,
    DEFAULT_ROBOT,
    HOST_VARIABLE,
    PORT_VARIABLE,
    BringupOptions,
    data_folder,
    find_robot,
)
from lerobot_arena.cli import stack as stacks
from lerobot_arena.cli.output import OUT
from lerobot_arena.cli.robot_files import driver_config_beside
from lerobot_arena.core.errors import InvalidInput, NotAnswering, Unavailable


class Backend(StrEnum):
    """bringup.BACKENDS as choices of an option; a test compares."""

    mujoco = "mujoco"
    lerobot = "lerobot"
    topics = "topics"


class DdsProfile(StrEnum):
    """The shipped Fast DDS profiles."""

    local = "local"
    network = "network"


class LogLevel(StrEnum):
    """rcutils' severities worth choosing."""

    debug = "debug"
    info = "info"
    warn = "warn"
    error = "error"


Port = Annotated[int, typer.Option("--port", envvar=PORT_VARIABLE, help="Port on which the bridge listens.")]
Host = Annotated[
    str,
    typer.Option(
        "--host",
        envvar=HOST_VARIABLE,
        help="Address on which the bridge listens; without it loopback. Beyond that everything that moves, writes or "
        "shows a camera needs an account, and passwords travel readable unless ARENA_TLS_CERT is set.",
    ),
]
Arm = Annotated[str, typer.Option("--arm", help="The arm's ROS namespace.")]
Dds = Annotated[
    DdsProfile,
    typer.Option("--dds", help="local: this machine only. network: other machines see the topics too."),
]
Seed = Annotated[int | None, typer.Option(help="First scene of the simulator.")]


def up(
    robot: Annotated[
        Backend, typer.Option(help="What the arm is: simulated, driven by LeRobot, or ros2_control topics.")
    ] = Backend.mujoco,
    robot_file: Annotated[
        str, typer.Option(help="A shipped robot, one added by `arena robot add`, or a .yaml file.")
    ] = DEFAULT_ROBOT,
    robot_config: Annotated[
        str, typer.Option(help="LeRobot's config of the robot, when `arena robot add` did not write it.")
    ] = "",
    host: Host = "",
    port: Port = DEFAULT_PORT,
    arm: Arm = DEFAULT_ARM,
    policy_root: Annotated[
        list[str] | None,
        typer.Option(help="Folder below which clients may name checkpoints; repeat for more."),
    ] = None,
    params_file: Annotated[str, typer.Option(help="ROS 2 parameter file for the nodes.")] = "",
    log_level: Annotated[LogLevel, typer.Option(help="Least severity shown.")] = LogLevel.info,
    dds: Dds = DdsProfile.local,
    seed: Seed = None,
    record: Annotated[bool, typer.Option("--record", help="Record from the start.")] = False,
    foxglove: Annotated[bool, typer.Option("--foxglove", help="Also serve Foxglove, on loopback.")] = False,
    foxglove_port: Annotated[int, typer.Option(help="Where.")] = DEFAULT_FOXGLOVE_PORT,
) -> None:
    """Start everything for one arm and keep it running. Nothing moves before a session is started.

    Data, logs and added robots are in ARENA_DATA_DIR (~/.local/share/lerobot_arena).
    """
    data_dir = data_folder(os.environ)
    robot_path = find_robot(robot_file, data_dir)
    options = BringupOptions(
        backend=robot,
        arm=arm,
        robot=robot_path,
        robot_config=robot_config or _driver_config(robot, robot_path),
        host=host,
        port=port,
        seed=seed,
        policy_roots=(str(data_dir / "policies"), *policy_root) if policy_root else (),
        params_file=params_file,
        log_level=log_level,
        record=record,
        foxglove=foxglove,
        foxglove_port=foxglove_port,
    )
    raise typer.Exit(stacks.run(options, _until_asked_to_end, console=OUT, dds_profile=dds))


def _driver_config(backend: str, robot_path: str) -> str:
    if backend != "lerobot":
        return ""
    config = driver_config_beside(robot_path)
    if config is None:
        raise InvalidInput(
            "A LeRobot arm needs its config: add it with `arena robot add NAME --type so101_follower --port … "
            "--calibration …` and name it with --robot-file NAME, or give --robot-config FILE."
        )
    return str(config)


async def _until_asked_to_end(stack: stacks.Stack) -> int:
    try:
        await stack.wait_for_bridge()
        if not stack.ending.is_set():
            stack.log.say(f"page {stack.url}/ui · API {stack.url}/docs · log {stack.log.path} · Ctrl-C ends")
            if stack.options.host not in {"", "localhost", "127.0.0.1", "::1"}:
                stack.log.say(
                    f"other machines reach it at {stack.options.host}, with an account: docs/access.md"
                )
            stack.log.say("nothing moves yet: `arena session create --help`")
    except Unavailable:
        # The log has said it, and goes on trying: an arm may be plugged in, or a port freed, a minute later.
        pass
    except NotAnswering as error:
        stack.log.say(str(error), level="ERROR")
    await stack.ending.wait()
    return 0
