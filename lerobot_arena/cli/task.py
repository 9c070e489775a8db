# SPDX-License-Identifier: Apache-2.0
"""`arena task …`: what a start means."""

from typing import Annotated

import typer

from lerobot_arena.cli import boundary
from lerobot_arena.cli.client import ask
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_json, print_line, print_table
from lerobot_arena.cli.session import AsJson, Url

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="Tasks: which session runs under which boundaries, how fast, for how long. `arena start TASK` runs one.",
    epilog="Example: arena task show default",
)

Name = Annotated[str, typer.Argument(help="The task's name.")]

app.command()(boundary.apply)
app.command()(boundary.validate)


@app.command("list")
def list_tasks(url: Url = None, as_json: AsJson = False) -> None:
    """All tasks."""
    answer = ask(url, lambda arena: arena.tasks.list())
    if as_json:
        print_json(answer)
        return
    rows = [
        [
            item["name"],
            item.get("session_id") or "the arm's own",
            ", ".join(item.get("boundaries", ())),
            f"{item['timeout_s']:g} s" if item.get("timeout_s") else "",
            str(item.get("problem") or item.get("description") or ""),
        ]
        for item in answer["tasks"]
    ]
    print_table(["task", "session", "boundaries", "time limit", ""], rows)


@app.command()
def show(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """One task with every default written out, as `apply` takes it."""
    answer = ask(url, lambda arena: arena.tasks.get(name))
    print_json(answer) if as_json else print_line(boundary.as_yaml(answer))


@app.command()
def delete(name: Name, url: Url = None) -> None:
    """Delete a task that does not run."""
    ask(url, lambda arena: arena.tasks.delete(name))
    print_line(f"Task {name} is deleted.")
