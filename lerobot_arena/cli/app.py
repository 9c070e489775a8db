# SPDX-License-Identifier: Apache-2.0
"""The `arena` command: the groups, put together."""

from importlib import metadata

import typer

from lerobot_arena.cli import control, export, robot, session, up
from lerobot_arena.cli.demo import command as demo
from lerobot_arena.cli.doctor import command as doctor
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_line

app = typer.Typer(
    cls=ArenaGroup,
    name="arena",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Robot policies from demonstration to trusted deployment, behind a guard.",
    epilog="First steps: arena demo · arena doctor · arena up, then arena session create --help",
)
app.command()(demo.demo)
app.command()(up.up)
app.command()(doctor.doctor)
app.add_typer(session.app, name="session")
app.command()(control.estop)
app.command()(control.reset)
app.command()(control.status)
app.add_typer(robot.app, name="robot")
app.command()(export.export)


@app.command()
def version() -> None:
    """The installed version."""
    print_line(metadata.version("lerobot_arena"))


def main() -> None:
    """Console script."""
    app()


if __name__ == "__main__":
    main()
