# SPDX-License-Identifier: Apache-2.0
"""`arena leaderboard …`: the table of all votes, as the bridge has it or computed again from the download."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lerobot_arena.cli.client import ask
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_json, print_line, print_table
from lerobot_arena.cli.session import AsJson, Url

app = typer.Typer(
    cls=ArenaGroup,
    invoke_without_command=True,
    help="Ratings of policies from blind votes (Bradley–Terry, 95 % intervals over voters).",
    epilog="Example: arena leaderboard download trials.jsonl, then arena leaderboard compute trials.jsonl",
)


@app.callback()
def leaderboard(context: typer.Context, url: Url = None, as_json: AsJson = False) -> None:
    """The bridge's table, best first."""
    if context.invoked_subcommand is None:
        _show(ask(url, lambda arena: arena.leaderboard.get()), as_json=as_json)


@app.command()
def download(
    path: Annotated[Path, typer.Argument(help="File to write; JSON lines.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="It may be there already.")] = False,
    url: Url = None,
) -> None:
    """Every vote, with content hashes of what was compared; voters are keyed hashes."""
    ask(url, lambda arena: arena.leaderboard.download(path, overwrite=overwrite))
    print_line(f"The votes are in {path}. The same table of them: arena leaderboard compute {path}")


@app.command()
def compute(
    path: Annotated[Path, typer.Argument(help="What `arena leaderboard download` wrote.")],
    as_json: AsJson = False,
) -> None:
    """The bridge's table from its votes, on this machine: no bridge is asked."""
    from lerobot_arena.platform.arena.download import read_download, shown_table

    _show(shown_table(read_download(path)), as_json=as_json)


def _show(table: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(table)
        return
    rows = [
        [
            str(place),
            entry["policy_ref"],
            entry["title"],
            f"{entry['rating']:.1f}",
            _interval(entry),
            f"{entry['wins']:g} / {entry['losses']:g} / {entry['ties']}",
            str(entry["counted_votes"]),
        ]
        for place, entry in enumerate(table["entries"], 1)
    ]
    print_table(["", "policy", "title", "rating", "95 %", "won / lost / tied", "votes"], rows)
    winner = table["winner"]
    print_line(f"Best: {winner}." if winner else "No policy is clearly the best yet.")
    if table["updated_at"]:
        print_line(f"Newest vote: {_local(table['updated_at'])}.")


def _interval(entry: Mapping[str, Any]) -> str:
    low, high = entry["confidence_low"], entry["confidence_high"]
    return "–" if low is None or high is None else f"{low:.1f} to {high:.1f}"


def _local(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
