# SPDX-License-Identifier: Apache-2.0
"""Success of the demo policy on unseen seeds through the whole stack: topics, guard, real time.

Beside it, in the emulated loop (platform/training/evaluate.py: late chunks, resampling, velocity limits; no ROS): the
same policy, the scripted expert, the policy with its camera covered, and a training episode played back blindly.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from report import show

import lerobot_arena
from lerobot_arena.platform.training.collect import collect
from lerobot_arena.platform.training.demo import FIRST_UNSEEN_SEED, ROBOT, evaluate
from lerobot_arena.platform.training.evaluate import Success

MODEL = Path(lerobot_arena.__file__).parent / "models/demo"


def whole_stack(episodes: int, port: int) -> dict[str, object]:
    """`arena demo` over `episodes` episodes; its last line."""
    with tempfile.TemporaryDirectory() as data_dir:
        command = [sys.executable, "-m", "lerobot_arena.cli.app", "demo", "--headless", "--json"]
        command += ["--episodes", str(episodes), "--seed", str(FIRST_UNSEEN_SEED), "--port", str(port)]
        run = subprocess.run(
            command, env=_environment(data_dir), stdout=subprocess.PIPE, text=True, check=True
        )
    figures: dict[str, object] = json.loads(run.stdout.strip().splitlines()[-1])
    return figures


def _environment(data_dir: str) -> dict[str, str]:
    return {**os.environ, "ARENA_DATA_DIR": data_dir}


def main(
    episodes: Annotated[int, typer.Option(help="Through the whole stack; about 10 s each.")] = 200,
    controls: Annotated[int, typer.Option(help="Of each control, in the emulated loop.")] = 60,
    port: int = 8791,
    json_: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure the demo policy."""
    figures = whole_stack(episodes, port)
    results = {"policy, whole stack": Success(int(str(figures["successes"])), int(str(figures["episodes"])))}
    first = next(iter(collect(ROBOT, 1, seed=0, workers=1)))
    recording = first.actions.astype(np.float64)
    for driver in ("policy", "expert", "covered", "replay"):
        results[f"{driver}, emulated loop"] = evaluate(
            driver, MODEL, controls, workers=2, recording=recording
        )
    rows = [
        {
            "driver": name,
            "successes": result.successes,
            "episodes": result.episodes,
            "rate": result.rate,
            "low_95": result.interval[0],
            "high_95": result.interval[1],
        }
        for name, result in results.items()
    ]
    keys = ("seconds", "cycles", "late_cycles", "commands", "decisions", "misses", "interruptions")
    notes = [", ".join(f"{key} {figures[key]}" for key in keys)]
    notes += [f"{name}: {stage}" for name, stage in dict(figures["stages"]).items()]  # type: ignore[call-overload]
    show("Pick and place, unseen seeds", rows, notes)


if __name__ == "__main__":
    typer.run(main)
