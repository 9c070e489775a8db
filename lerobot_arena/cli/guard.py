# SPDX-License-Identifier: Apache-2.0
"""`arena guard verify`: the fault list against the user's own configuration, without hardware."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lerobot_arena.cli.calibrate import calibrate
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.guard_source import GuardSource, guard_source
from lerobot_arena.cli.output import ERR, OUT, print_json, print_line
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import DEFAULT_TASK
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.strict import did_you_mean
from lerobot_arena.guard.verify.row import Evidence, FaultRow, tried
from lerobot_arena.guard.verify.subject import Subject, subject_of

_LONGEST_EVIDENCE = 400

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="The guard: what stands between a policy and an arm.",
    epilog="Example: arena guard verify --config my_boundaries.yaml",
)

app.command()(calibrate)

Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        exists=True,
        dir_okay=False,
        help="A file of boundaries and tasks, the guard's ROS parameters, or a robot file; may be given several times.",
    ),
]
Rows = Annotated[
    list[str] | None, typer.Option("--row", help="Only this row, such as A7; may be given several times.")
]


@app.callback()
def guard() -> None:
    """The guard: what stands between a policy and an arm."""


@app.command()
def verify(
    robot: Annotated[
        str | None, typer.Option(help="A shipped robot, or a robot file; else the guard's parameter.")
    ] = None,
    config: Config = None,
    url: Annotated[
        str | None,
        typer.Option(help="Verify the boundaries of a running bridge, such as http://127.0.0.1:8001."),
    ] = None,
    task: Annotated[str, typer.Option(help="The task whose boundaries are verified.")] = DEFAULT_TASK,
    row: Rows = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    """Try every fault of the list on a guard configured like yours, in memory. Nothing moves; it takes half a minute.

    Ends with 1 when the guard does not react as it should. Without options: the shipped SO-101.
    """
    rows = chosen_rows(row or [])
    source = guard_source(config or [], robot=robot, url=url)
    subject = subject_of(load_robot(source.robot), source.params, source.config, task=task)
    begin = time.monotonic()
    results = _tried_all(rows, subject)
    if not as_json:
        _show(results, subject, source, time.monotonic() - begin)
    else:
        print_json({"rows": [_plain(each, evidence) for each, evidence in results]})
    if not all(evidence.ok for _, evidence in results):
        raise typer.Exit(1)


def all_rows() -> tuple[FaultRow, ...]:
    """The guard's rows and the bridge's."""
    from lerobot_arena.bridge import fault_rows
    from lerobot_arena.guard.verify import registry

    return registry.in_order((*registry.ROWS, *fault_rows.ROWS))


def chosen_rows(ids: Sequence[str]) -> list[FaultRow]:
    """Rows of these ids, or all. Raises InvalidInput for an unknown one."""
    known = {each.id: each for each in all_rows()}
    for name in ids:
        if name.upper() not in known:
            raise InvalidInput(f"There is no row {name!r}.{did_you_mean(name.upper(), known)}")
    return [known[name.upper()] for name in ids] if ids else list(known.values())


def _tried_all(rows: Sequence[FaultRow], subject: Subject) -> list[tuple[FaultRow, Evidence]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results = []
    with Progress(*columns, console=ERR, transient=True) as progress:
        bar = progress.add_task("", total=len(rows))
        for each in rows:
            progress.update(bar, description=f"{each.id} {each.fault}")
            results.append((each, tried(each, subject)))
            progress.advance(bar)
    return results


def _show(
    results: Sequence[tuple[FaultRow, Evidence]], subject: Subject, source: GuardSource, seconds: float
) -> None:
    table = Table(show_lines=True, header_style="bold")
    for column in ("", "fault", "expected", "got", "evidence"):
        table.add_column(column, overflow="fold")
    for row, evidence in results:
        verdict = "[green]ok[/]" if evidence.ok else "[bold red]UNSAFE[/]"
        cells = (row.fault, row.expected, evidence.got[:_LONGEST_EVIDENCE])
        fault, expected, got = (cell.replace("[", r"\[") for cell in cells)
        table.add_row(row.id, fault, expected, verdict, got)
    OUT.print(table)
    unsafe = [row.id for row, evidence in results if not evidence.ok]
    print_line(f"Verified: {', '.join(source.told)}; robot {subject.robot.name}, task {subject.task!r}.")
    print_line(
        f"{len(results)} faults in {seconds:.0f} s, {len(unsafe)} unsafe"
        + (f": {', '.join(unsafe)}." if unsafe else ".")
    )


def _plain(row: FaultRow, evidence: Evidence) -> dict[str, object]:
    return {
        "id": row.id,
        "ok": evidence.ok,
        "fault": row.fault,
        "expected": row.expected,
        "got": evidence.got,
    }
