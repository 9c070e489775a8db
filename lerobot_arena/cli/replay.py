# SPDX-License-Identifier: Apache-2.0
"""`arena replay`: what would today's guard, or a changed boundary, have done in a recorded run?"""

from collections import Counter
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lerobot_arena.cli.guard_source import guard_source
from lerobot_arena.cli.output import ERR, print_json, print_line, print_table
from lerobot_arena.cli.session import AsJson
from lerobot_arena.core.robot import load_robot
from lerobot_arena.recording.reader import Recording, open_recording
from lerobot_arena.recording.replay import Report

_MOST_LINES = 30
_PROGRESS_EVERY = 200


def replay(
    path: Annotated[Path, typer.Argument(help="An MCAP file, or a recording's folder.", exists=True)],
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            exists=True,
            dir_okay=False,
            help="A file of boundaries and tasks, the guard's ROS parameters, or a robot file; also several times.",
        ),
    ] = None,
    robot: Annotated[str | None, typer.Option(help="A shipped robot, or a robot file.")] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Use the boundaries of a running bridge, such as http://127.0.0.1:8001."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recording through the guard as it is configured now, offline: nothing moves.

    Shows which cycles would be decided otherwise, so that a changed boundary can be tried on old runs first. The arm is
    not simulated: after the first difference of a run, the rest of it is an indication.
    """
    from lerobot_arena.recording import replay as recorded

    with open_recording(path) as recording:
        source = guard_source(config or [], robot=robot or recording.metadata.get("robot") or None, url=url)
        total = sum(file.index.total("cycles") for file in recording.files)
        columns = (TextColumn("replaying"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=ERR, transient=True) as progress:
            bar = progress.add_task("", total=total)

            def advance(count: int) -> None:
                if count % _PROGRESS_EVERY == 0:
                    progress.update(bar, completed=count)

            report = recorded.replay(
                recording,
                robot=load_robot(source.robot),
                params=source.params,
                config=source.config,
                on_cycle=advance,
            )
        if as_json:
            print_json(_plain(report))
            return
        print_line(f"Replayed with: {', '.join(source.told)}; robot {source.robot}.")
        _show(report, recording)


def _plain(report: Report) -> dict[str, Any]:
    found = {item.name: getattr(report, item.name) for item in fields(report)}
    counts = {name: dict(value) for name, value in found.items() if isinstance(value, Counter)}
    return {**found, **counts, "differences": [asdict(difference) for difference in report.differences]}


def _show(report: Report, recording: Recording) -> None:
    print_line(
        f"{report.cycles} cycles in {report.runs} runs: {report.same} the same, {report.other_decision} decided "
        f"otherwise, {report.other_command} with another command, {report.not_run} not run."
    )
    for what, found in (
        ("Start refused", report.refused),
        ("Would have ended", report.stopped),
        ("New objection", report.new),
        ("Objection gone", report.gone),
    ):
        for text, count in found.most_common():
            print_line(f"{what}, {count}×: {text}")
    if recording.damage:
        print_line(f"Damaged: {recording.damage}")
    if report.differences:
        rows = [
            (str(d.cycle_id), d.was, d.now, f"{d.distance_rad:.4f}", d.now_reason or d.was_reason)
            for d in report.differences[:_MOST_LINES]
        ]
        print_table(("cycle", "was", "would be", "rad apart", "reason"), rows)
