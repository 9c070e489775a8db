# SPDX-License-Identifier: Apache-2.0
"""`arena train-demo`: the shipped demo policy, made again from nothing."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lerobot_arena.cli.output import ERR, print_fields, print_json


def train_demo(
    out: Annotated[
        Path, typer.Argument(help="A new folder: dataset/, checkpoint/ and model/ are written there.")
    ],
    episodes: Annotated[
        int | None, typer.Option(min=2, help="Demonstrations by the scripted expert.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="Most time to train.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Most training steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same demonstrations.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that collect and evaluate.")] = None,
    test_episodes: Annotated[
        int | None, typer.Option(min=0, help="Unseen scenes to measure success on.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Expert → LeRobotDataset → ACT → ONNX → int8, measured on unseen scenes. Needs LeRobot; about 20 minutes.

    What is left out is as for the shipped model. Example: arena train-demo /tmp/demo
    """
    from lerobot_arena.platform.training.demo import train_demo as train

    given: dict[str, Any] = {
        "episodes": episodes,
        "minutes": minutes,
        "steps": steps,
        "seed": seed,
        "workers": workers,
        "test_episodes": test_episodes,
    }
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=ERR) as progress:
        bar = progress.add_task("collect", total=1.0)
        report = train(
            out,
            report=lambda text, share: progress.update(bar, description=text, completed=share),
            **{name: value for name, value in given.items() if value is not None},
        )
    if as_json:
        print_json(_plain(asdict(report)))
    else:
        print_fields(_plain(asdict(report)))


def _plain(value: Any) -> Any:
    """Paths as text."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value
