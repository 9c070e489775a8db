# SPDX-License-Identifier: Apache-2.0
"""The matrix of docs/access.md, written from the access table: `python -m lerobot_arena.bridge.access_doc`.

What stands in it is what the border enforces; test/bridge/test_access.py walks every route and compares.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lerobot_arena.bridge.access import MOUNT, ROWS, Owned, Row
from lerobot_arena.bridge.errors import status_of
from lerobot_arena.core.principal import ADMIN, ANONYMOUS, LOCAL, SCOPES, Principal

BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"
DOC = Path(__file__).parents[2] / "docs" / "access.md"
YES, OWN_ONLY = "yes", "own only"
_ALL = frozenset(SCOPES)


def callers_of(row: Row) -> dict[str, Principal]:
    """One caller for each column. `wrong scope` has every scope but the row's."""
    user = Principal("somebody", _ALL - {ADMIN}, via="token")
    return {
        "at the machine": LOCAL,
        "nobody, elsewhere": ANONYMOUS,
        "through a proxy": replace(ANONYMOUS, address="127.0.0.1"),
        "wrong scope": replace(user, scopes=_ALL - {ADMIN, row.scope}),
        "other owner": user,
        "owner": user,
        "admin": replace(user, name="boss", scopes=_ALL),
    }


def outcome(row: Row, column: str) -> str:
    """What a caller of a column gets: `yes`, `own only`, or the status of the refusal."""
    caller = callers_of(row)[column]
    if (refusal := row.refusal(caller)) is not None:
        return str(status_of(refusal))
    is_narrow = not caller.sees_all
    if row.owned is Owned.LIST and is_narrow and caller.is_user:
        return OWN_ONLY
    if column == "other owner" and row.owned in {Owned.ONE, Owned.ARM}:
        return "404" if row.owned is Owned.ONE else "403"
    if column == "wrong scope" and row.owned in {Owned.ONE, Owned.ARM}:
        # Without a scope to lack this is just another user.
        return outcome(row, "other owner")
    return YES


def matrix(rows: Iterable[Row] = ROWS) -> str:
    """The table in Markdown."""
    columns = list(callers_of(next(iter(ROWS))))
    lines = [
        f"| call | scope | {' | '.join(columns)} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    for row in rows:
        call = f"{row.path}/…" if row.method == MOUNT else row.path
        method = "GET" if row.method == MOUNT else row.method
        cells = [outcome(row, column) for column in columns]
        lines.append(f"| `{method} {call}` | {row.scope or '–'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_matrix(text: str) -> str:
    """A document with the present matrix between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{matrix()}\n{END}{after}"


if __name__ == "__main__":
    DOC.write_text(with_matrix(DOC.read_text()))
