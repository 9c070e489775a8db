# SPDX-License-Identifier: Apache-2.0
"""`arena task …`: what a start means."""

from typing import Annotated
from urllib.parse import quote

import typer

from lerobot_arena.cli import boundary
from lerobot_arena.cli.client import Bridge, bridge_url
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
    answer = Bridge(bridge_url(url)).get("/api/tasks")
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
    answer = Bridge(bridge_url(url)).get(f"/api/tasks/{quote(name, safe='')}")
    print_json(answer) if as_json else print_line(boundary.as_yaml(answer))


@app.command()
def delete(name: Name, url: Url = None) -> None:
    """Delete a task that does not run."""
    Bridge(bridge_url(url)).delete(f"/api/tasks/{quote(name, safe='')}")
    print_line(f"Task {name} is deleted.")
