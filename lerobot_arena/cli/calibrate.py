# SPDX-License-Identifier: Apache-2.0
"""`arena guard calibrate`: the threshold of a policy's out-of-distribution detector, from recordings of one's own."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from lerobot_arena.cli.output import print_json, print_line
from lerobot_arena.cli.session import AsJson
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.recording.moments import Player, View, successful_epochs
from lerobot_arena.recording.reader import Recording, open_recording
from lerobot_arena.recording.view import view_of


def calibrate(
    policy: Annotated[
        Path, typer.Argument(help="The policy's folder; it is changed.", exists=True, file_okay=False)
    ],
    recordings: Annotated[list[Path], typer.Argument(help="Recordings of runs that went well.", exists=True)],
    alpha: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of good runs that may raise an alarm.")
    ] = 0.05,
    every_run: Annotated[
        bool,
        typer.Option("--every-run", help="Take all runs, also without a referee's word that they succeeded."),
    ] = False,
    robot: Annotated[str, typer.Option(help="A shipped robot, or a robot file; else the recorded one.")] = "",
    as_json: AsJson = False,
) -> None:
    """Set the threshold of the policy's detector to what successful runs of this robot, camera and light look like.

    Each run of the arm counts once. Record them with `images: all`. A policy that is loaded keeps its old threshold
    until it is loaded again.
    """
    from lerobot_arena.inference.scores.calibrate import calibrate as set_threshold

    opened: list[Recording] = []
    try:
        for path in recordings:
            opened.append(open_recording(path))
        views = [(recording, view_of(recording, policy=str(policy), robot=robot)) for recording in opened]
        folders = {view.manifest.path for _, view in views}
        if len(folders) != 1:
            raise InvalidInput(f"Recordings of several policies: {', '.join(sorted(folders))}.")
        done = set_threshold(
            Path(folders.pop()), _episodes(views, only_successful=not every_run), alpha=alpha
        )
    finally:
        for recording in opened:
            recording.close()
    told = {"episodes": len(done.maxima), "alpha": done.alpha, "threshold": done.threshold}
    if as_json:
        print_json(told)
    else:
        print_line(f"Threshold {done.threshold:g}, from {len(done.maxima)} runs at alpha {done.alpha:g}.")


def _episodes(views: Sequence[tuple[Recording, View]], *, only_successful: bool) -> Iterator[Any]:
    for recording, view in views:
        good = successful_epochs(recording) if only_successful else None
        for epoch, moments in groupby(Player(recording, view).moments(), key=lambda moment: moment.epoch):
            if good is None or epoch in good:
                yield ((moment.seen.frames, moment.seen.state) for moment in moments)
