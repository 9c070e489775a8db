# SPDX-License-Identifier: Apache-2.0
"""All tables of the package, wherever they are declared; and rows that fit any table, for tests of migrations."""

import importlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import lerobot_arena

_BASE = "lerobot_arena.platform.storage.database import"


def import_all_tables() -> None:
    """Import each module that declares tables on Base."""
    root = Path(lerobot_arena.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if "(Base):" in (source := path.read_text(encoding="utf-8")) and _BASE in source:
            parts = path.relative_to(root.parent).with_suffix("").parts
            importlib.import_module(".".join(parts))


def tables_of(connection: sa.Connection) -> list[sa.Table]:
    """The tables a database really has, referenced ones first."""
    found = sa.MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def make_row(table: sa.Table, number: int, parents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A row as full as its columns allow, unlike those of other numbers; `parents` holds a row of each table before."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.foreign_keys:
            target = next(iter(column.foreign_keys)).column
            row[column.name] = parents[target.table.name][target.name]
        else:
            row[column.name] = _value(column, number)
    return row


def _value(column: sa.Column[Any], number: int) -> Any:
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return bool(number % 2)
    if isinstance(kind, sa.Integer):
        return number
    if isinstance(kind, sa.Float):
        return 1_700_000_000.125 + number
    if isinstance(kind, sa.LargeBinary):
        return number.to_bytes(8, "big")
    start = f"{number} {column.name} ü "
    longest = min(getattr(kind, "length", None) or 3000, 3000)
    return start.ljust(longest, "x")[:longest] if isinstance(kind, sa.String) else None
