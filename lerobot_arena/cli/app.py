# SPDX-License-Identifier: Apache-2.0
"""The `arena` command: a table of its parts, each imported when it is used, so that `arena estop` is quick."""

import importlib
from importlib import metadata
from typing import Any

import typer

from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_line

# name → function or group; one more command is one more line
COMMANDS = {
    "demo": "lerobot_arena.cli.demo.command:demo",
    "up": "lerobot_arena.cli.up:up",
    "doctor": "lerobot_arena.cli.doctor.command:doctor",
    "session": "lerobot_arena.cli.session:app",
    "start": "lerobot_arena.cli.control:start",
    "pause": "lerobot_arena.cli.control:pause",
    "resume": "lerobot_arena.cli.control:resume",
    "stop": "lerobot_arena.cli.control:stop",
    "estop": "lerobot_arena.cli.control:estop",
    "reset": "lerobot_arena.cli.control:reset",
    "status": "lerobot_arena.cli.control:status",
    "task": "lerobot_arena.cli.task:app",
    "boundary": "lerobot_arena.cli.boundary:app",
    "risk": "lerobot_arena.cli.risk:app",
    "guard": "lerobot_arena.cli.guard:app",
    "record": "lerobot_arena.cli.record:app",
    "bag": "lerobot_arena.cli.bag:app",
    "replay": "lerobot_arena.cli.replay:replay",
    "robot": "lerobot_arena.cli.robot:app",
    "users": "lerobot_arena.cli.users:app",
    "tokens": "lerobot_arena.cli.tokens:app",
    "export": "lerobot_arena.cli.export:export",
    "train-demo": "lerobot_arena.cli.train:train_demo",
    "validate": "lerobot_arena.cli.publishing:validate",
    "publish": "lerobot_arena.cli.publishing:publish",
    "catalog": "lerobot_arena.cli.catalog:app",
    "trial": "lerobot_arena.cli.trial:trial",
    "leaderboard": "lerobot_arena.cli.leaderboard:app",
    "login": "lerobot_arena.cli.login:login",
    "logout": "lerobot_arena.cli.login:logout",
    "version": "lerobot_arena.cli.app:version",
}


class CommandTable(ArenaGroup):
    """Imports a command on first use."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command behind a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        part = getattr(importlib.import_module(module), attribute)
        if not isinstance(part, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command(cmd_name)(part)
            part = single
        command = typer.main.get_command(part)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=CommandTable,
    name="arena",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Robot policies from demonstration to trusted deployment, behind a guard.",
    epilog="First steps: arena demo · arena doctor · arena up, then arena session create --help",
)


@app.callback()
def arena() -> None:
    """Robot policies from demonstration to trusted deployment, behind a guard."""


def version() -> None:
    """The installed version."""
    print_line(metadata.version("lerobot_arena"))


def main() -> None:
    """Console script."""
    app()


if __name__ == "__main__":
    main()
