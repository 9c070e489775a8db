# SPDX-License-Identifier: Apache-2.0
"""How commands speak: answers on stdout, everything else on stderr; JSON when asked."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

OUT = Console(soft_wrap=True, highlight=False)
ERR = Console(stderr=True, soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """One line of JSON on stdout, for programs."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_error(message: str) -> None:
    """What went wrong, on stderr."""
    ERR.print("[bold red]error:[/] ", end="")
    ERR.print(message, markup=False)


def print_line(message: str) -> None:
    """A sentence on stdout; nothing in it is taken for markup."""
    OUT.print(message, markup=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """A table on stdout."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    OUT.print(table)


def print_fields(fields: Mapping[str, Any], *, indent: str = "") -> None:
    """Nested fields, one a line."""
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            print_line(f"{indent}{name}:")
            print_fields(value, indent=indent + "  ")
        elif value not in (None, "", [], {}):
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            print_line(f"{indent}{name}: {text}")
