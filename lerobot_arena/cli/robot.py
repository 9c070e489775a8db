# SPDX-License-Identifier: Apache-2.0
"""`arena robot …`: real LeRobot arms."""

import importlib.util
import os
from pathlib import Path
from typing import Annotated

import typer

from lerobot_arena.bringup import DEFAULT_ROBOT, data_folder
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_json, print_line, print_table
from lerobot_arena.cli.robot_files import (
    NewRobot,
    added_robots,
    find_calibration,
    parse_camera,
    parse_field,
    write_robot,
)
from lerobot_arena.core.robot import load_robot

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="Real arms that LeRobot drives.",
    epilog="Example: arena robot add my_arm --type so101_follower --port /dev/ttyACM0 --id my_arm "
    "--camera front=0:640x480@30",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it here; `arena up --robot-file NAME` uses it.")],
    lerobot_type: Annotated[str, typer.Option("--type", help="LeRobot's robot type.")] = "so101_follower",
    port: Annotated[str, typer.Option(help="Serial port, as `lerobot-find-port` says.")] = "",
    robot_id: Annotated[
        str | None, typer.Option("--id", help="The id it was calibrated under; default: NAME.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="LeRobot's calibration file; default: where `lerobot-calibrate` left it.", dir_okay=False
        ),
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="name=index_or_path:WIDTHxHEIGHT@FPS; repeat for more.")
    ] = None,
    base: Annotated[
        str,
        typer.Option(help="Robot file with the joints and their limits: a shipped name, or a .yaml file."),
    ] = DEFAULT_ROBOT,
    field: Annotated[
        list[str] | None, typer.Option(help="Another field of LeRobot's config, name=value; repeat for more.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a robot of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a calibrated arm: writes its robot file (limits, units, cameras) and LeRobot's config. Moves nothing."""
    identity = robot_id or name
    robot = NewRobot(
        name=name,
        lerobot_type=lerobot_type,
        port=port,
        robot_id=identity,
        calibration=calibration or find_calibration(identity, os.environ),
        base=load_robot(base),
        cameras=[parse_camera(text) for text in camera or ()],
        fields=dict(parse_field(text) for text in field or ()),
    )
    added = write_robot(
        robot, data_folder(os.environ) / "robots", check=_accepted_by_lerobot, overwrite=force
    )
    if as_json:
        print_json({"name": name, "robot_file": str(added.robot_file), "config_file": str(added.config_file)})
        return
    print_line(f"Wrote {added.robot_file} and {added.config_file}.")
    print_line(
        f"Check it with `arena doctor --robot {name}`, then `arena up --robot lerobot --robot-file {name}`."
    )


def _accepted_by_lerobot(config: Path) -> None:
    """Raise InvalidInput when LeRobot is here and does not take the config."""
    if importlib.util.find_spec("lerobot") is not None:
        from lerobot_arena.embodiment.lerobot_config import load_config

        load_config(str(config), ())


@app.command("list")
def list_robots(as_json: AsJson = False) -> None:
    """The added robots."""
    robots = added_robots(data_folder(os.environ) / "robots")
    if as_json:
        print_json(
            [{"name": r.name, "robot_file": str(r.robot_file), "config": dict(r.config)} for r in robots]
        )
    elif not robots:
        print_line("No robot was added yet: `arena robot add --help`. The simulated so101 needs none.")
    else:
        rows = (
            [
                r.name,
                str(r.config.get("type", "?")),
                str(r.config.get("port", "")),
                ", ".join(r.config.get("cameras", {})),
            ]
            for r in robots
        )
        print_table(["robot", "type", "port", "cameras"], rows)
