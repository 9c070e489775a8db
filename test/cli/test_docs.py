# SPDX-License-Identifier: Apache-2.0
"""What docs/cli.md and --help promise: every command and setting there is, and none that there is not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lerobot_arena.bridge.settings import Settings
from lerobot_arena.cli.app import app

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs" / "cli.md").read_text().partition("## ")[0]
DOCS = "".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
VARIABLE = re.compile(r"\bARENA_[A-Z0-9_]*[A-Z0-9]\b")


def walked(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each command by its words; a group only when it does something by itself."""
    names = command.list_commands(None) if hasattr(command, "list_commands") else []
    if not names or command.invoke_without_command:
        yield " ".join(path), command
    for name in names:
        yield from walked(command.get_command(None, name), (*path, name))


COMMANDS = dict(walked(typer.main.get_command(app)))


def mapped() -> Iterator[str]:
    """What the first column of the map names: `arena session create\\|start`, `pause`, `… download\\|compute`."""
    for row in re.findall(r"^\| (.*?) (?<!\\)\| ", MAP, re.MULTILINE):
        group = ""
        for span in re.findall(r"`([^`]+)`", row):
            words = re.findall(r"^(arena |… |)([a-z][a-z|\\ -]*)", span)
            start, rest = words[0]
            *before, last = rest.replace("\\|", "|").split()
            for name in last.split("|"):
                yield " ".join([*([group] if start.startswith("…") else before), name])
            group = last if start == "arena " and not before else group


def test_the_map_has_every_command_and_no_other() -> None:
    assert sorted(mapped()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_help_loses_what_is_in_brackets(name: str) -> None:
    command = COMMANDS[name]
    sources = [command.help, command.epilog, *(getattr(item, "help", None) for item in command.params)]
    wanted = [part for text in sources for part in re.findall(r"\[[^\]]+\]", text or "")]
    defaults = [item.show_default for item in command.params if isinstance(item.show_default, str)]
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"}).output
    flat = re.sub(r"[\s│]+", " ", shown)
    assert [part for part in (*wanted, *defaults) if part not in flat] == []


def settings() -> set[str]:
    return {
        f"ARENA_{name.upper()}" for name, field in Settings.model_fields.items() if not field.validation_alias
    }


def test_every_setting_of_the_bridge_is_documented() -> None:
    assert settings() - set(VARIABLE.findall(DOCS)) == set()


def test_every_variable_in_the_documents_exists() -> None:
    code = "".join(
        path.read_text()
        for folder in ("lerobot_arena", "launch", "scripts", "test")
        for path in (ROOT / folder).rglob("*.py")
        if path != Path(__file__)
    )
    code += "".join((ROOT / name).read_text() for name in ("setup.py", "Makefile"))
    assert set(VARIABLE.findall(DOCS)) - settings() - set(VARIABLE.findall(code)) == set()
