# SPDX-License-Identifier: Apache-2.0
"""`arena boundary …`: what guards the tasks."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lerobot_arena.cli.client import ask
from lerobot_arena.cli.config_files import apply_entries, check_entries, read_entries
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_json, print_line, print_table
from lerobot_arena.cli.session import AsJson, Url

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="Boundaries: the checks that guard a task, with their numbers. Every change is in force on every living guard "
    "when the command ends, or nowhere.",
    epilog="Example: arena boundary show workspace --json > w.json, edit it, arena boundary apply w.json",
)

Name = Annotated[str, typer.Argument(help="The boundary's name.")]
File = Annotated[
    Path,
    typer.Argument(help="YAML or JSON: one boundary, or lists named `boundaries` and `tasks`.", exists=True),
]


@app.command("list")
def list_boundaries(url: Url = None, as_json: AsJson = False) -> None:
    """All boundaries, and whether the guards have them in force."""
    answer = ask(url, lambda arena: arena.boundaries.list())
    if as_json:
        print_json(answer)
        return
    rows = [
        [item["name"], item.get("layer", ""), _checks(item), f"v{item['version']}", _remark(item)]
        for item in answer["boundaries"]
    ]
    print_table(["boundary", "layer", "checks", "version", ""], rows)
    for arm, said in answer["arms"].items():
        if not said["is_current"]:
            print_line(
                f"NOT in force on arm {arm}: {said['config_problem'] or 'it has not taken them up yet.'}"
            )


def _checks(item: dict[str, Any]) -> str:
    return ", ".join(node["callback"] for node in item.get("nodes", ()))


def _remark(item: dict[str, Any]) -> str:
    return str(item.get("problem") or item.get("description") or "")


@app.command()
def show(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """One boundary with every default written out, as `apply` takes it."""
    answer = ask(url, lambda arena: arena.boundaries.get(name))
    print_json(answer) if as_json else print_line(as_yaml(answer))


@app.command()
def apply(file: File, url: Url = None, as_json: AsJson = False) -> None:
    """Create or replace what the file holds. All of it is judged before any of it is changed."""
    answers = ask(url, lambda arena: apply_entries(arena, read_entries(file)))
    if as_json:
        print_json(answers)
        return
    for answer in answers:
        arms = ", ".join(answer["in_force_on"]) or "no guard, as none is running"
        print_line(f"{answer['name']}: in force on {arms}.")


@app.command()
def validate(file: File, url: Url = None, as_json: AsJson = False) -> None:
    """Say whether `apply` would be accepted; nothing changes. A guard may still refuse what does not fit its arm."""
    entries = read_entries(file)
    notes = ask(url, lambda arena: check_entries(arena, entries))
    if as_json:
        print_json({"valid": True, "entries": [entry.name for entry in entries], "notes": notes})
        return
    for note in notes:
        print_line(note)
    print_line(f"{file}: {len(entries)} {'entry' if len(entries) == 1 else 'entries'}, all well.")


@app.command()
def delete(name: Name, url: Url = None) -> None:
    """Delete a boundary that no task names."""
    ask(url, lambda arena: arena.boundaries.delete(name))
    print_line(f"Boundary {name} is deleted.")


@app.command()
def checks(url: Url = None, as_json: AsJson = False) -> None:
    """What a boundary can be made of: every check with its parameters."""
    answer = ask(url, lambda arena: arena.boundaries.checks())
    if as_json:
        print_json(answer)
        return
    for item in answer:
        if not item["is_mandatory"]:
            print_line(f"{item['name']} ({item['layer']}, {item['fallback']}): {item['description']}")
            for param in item["params"]:
                unit = f" {param['unit']}" if param["unit"] else ""
                print_line(f"    {param['name']} = {param['default']}{unit}: {param['description']}")


def as_yaml(content: Any) -> str:
    """For people, and for `apply`."""
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).rstrip()
