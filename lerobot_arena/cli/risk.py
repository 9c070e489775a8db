# SPDX-License-Identifier: Apache-2.0
"""`arena risk …`: what the guards changed or refused."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lerobot_arena.cli.client import ask
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_fields, print_json, print_line
from lerobot_arena.cli.session import AsJson, Url
from lerobot_arena.client.arena import Arena

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="The risk log: every cycle that a guard changed or refused, and every change of the risk level.",
    epilog="Example: arena risk tail --follow --level CRITICAL",
)

_LOOK_EVERY_S = 1.0
# More events than this between two looks are shown by their newest.
_MOST_AT_ONCE = 1000

Count = Annotated[int, typer.Option("--count", "-n", min=1, max=5000, help="How many of the newest.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")]
Level = Annotated[str | None, typer.Option(help="At least NORMAL, ELEVATED, CRITICAL or EMERGENCY.")]
OutcomeOption = Annotated[str | None, typer.Option("--outcome", help="reject, clamp or pass.")]
Arm = Annotated[str | None, typer.Option("--arm", help="Only of this arm.")]


@app.command()
def tail(
    count: Count = 20,
    follow: Follow = False,
    level: Level = None,
    outcome: OutcomeOption = None,
    arm: Arm = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """The newest events, oldest first, a line each."""
    wanted = {"min_risk_level": level, "outcome": outcome, "arm": arm}
    with Arena(url) as arena:
        newest = _show(arena, wanted, count, after=0, as_json=as_json)
        while follow:
            # The log is asked again: over REST it has no stream.
            time.sleep(_LOOK_EVERY_S)
            newest = _show(arena, wanted, _MOST_AT_ONCE, after=newest, as_json=as_json)


def _show(arena: Arena, wanted: Mapping[str, Any], count: int, *, after: int, as_json: bool) -> int:
    """Print what is newer than `after`; the newest id so far."""
    for event in reversed(arena.risk.events(count, **wanted)["events"]):
        if event["event_id"] > after:
            print_json(event) if as_json else print_line(event_line(event))
            after = event["event_id"]
    return after


def event_line(event: Mapping[str, Any]) -> str:
    """An event for a person."""
    when = datetime.fromtimestamp(event["timestamp"]).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    who = ", ".join(event["failure_guard_names"])
    parts = [
        f"{event['event_id']:>6}  {when}  {event['risk_level']:<9}  {event['outcome']:<6}  {event['arm']}",
        event["session_id"],
        who,
        event["fallback_triggered"] or "",
    ]
    return "  ".join(part for part in parts if part) + (f": {event['reason']}" if event["reason"] else "")


@app.command()
def stats(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """How many of each kind."""
    answer = ask(url, lambda arena: arena.risk.stats(arm))
    print_json(answer) if as_json else print_fields(answer)


@app.command()
def show(
    event_id: Annotated[int, typer.Argument(help="The number at the start of its line.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """One event: what was measured, asked for and executed, and every check's answer."""
    answer = ask(url, lambda arena: arena.risk.get(event_id))
    print_json(answer) if as_json else print_fields(answer)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A new file; its ending says what: .json or .csv.")],
    url: Url = None,
) -> None:
    """Write every event into a file."""
    ask(url, lambda arena: arena.risk.export(file))
    print_line(f"Written to {file}.")
