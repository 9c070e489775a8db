# SPDX-License-Identifier: Apache-2.0
"""`python -m lerobot_arena.platform.training.locomotion`: makes and measures the walking policies that are shipped.

::

    … make pony-trot --out FOLDER     train or search, write policy.onnx, policy.yaml, control_spec.json, made.json
    … measure pony-trot FOLDER        walk again in the runner that serves policies, print the figures
    … scene --out FOLDER              write the course as parkour.xml and parkour.glb

Needs the extras `sim` and `lerobot` (torch), no network.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import ArenaError
from lerobot_arena.platform.catalog import network, onnx_metadata
from lerobot_arena.platform.training.locomotion_export import write_policy
from lerobot_arena.platform.training.locomotion_make import make
from lerobot_arena.platform.training.locomotion_measure import Figures, composed, measure
from lerobot_arena.platform.training.locomotion_recipes import PARKOUR, RECIPES, Recipe, recipe
from lerobot_arena.platform.training.locomotion_scene import parkour, to_mjcf, write_glb

COMMAND = "python -m lerobot_arena.platform.training.locomotion"
MODEL, FACTS = "policy.onnx", "made.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    told = _parser().parse_args(arguments)
    try:
        told.run(told)
    except ArenaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Make and measure walking policies.")
    jobs = parser.add_subparsers(required=True)
    making = jobs.add_parser("make", help="train or search a policy and write it")
    making.add_argument("recipe", choices=sorted(RECIPES))
    making.add_argument("--out", type=Path, required=True)
    making.add_argument("--seed", type=int, default=0)
    making.add_argument("--threads", type=int, default=1, help="of MuJoCo")
    making.add_argument("--robot", type=Path, help="MJCF of a robot that is not shipped")
    making.set_defaults(
        run=lambda told: write(told.recipe, told.out, seed=told.seed, threads=told.threads, robot=told.robot)
    )
    measuring = jobs.add_parser("measure", help="print how well a policy walks")
    measuring.add_argument("recipe", choices=sorted(RECIPES))
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--robot", type=Path, help="MJCF of a robot that is not shipped")
    measuring.set_defaults(
        run=lambda told: _print(figures(recipe(told.recipe, told.robot), told.folder).to_json())
    )
    drawing = jobs.add_parser("scene", help="write the course as MJCF and GLB")
    drawing.add_argument("--out", type=Path, required=True)
    drawing.set_defaults(run=lambda told: write_scene(told.out))
    return parser


def write(name: str, out: Path, *, seed: int = 0, threads: int = 1, robot: Path | None = None) -> None:
    """Make the policy of a recipe in `out` and measure it."""
    chosen = recipe(name, robot)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    made = make(
        chosen, seed=seed, threads=threads, report=lambda text: print(text, file=sys.stderr, flush=True)
    )
    seconds = round(time.monotonic() - started)
    spec = chosen.spec(chosen.period)
    command = f"{COMMAND} make {name} --out FOLDER --seed {seed} --threads {threads}"
    command += f" --robot {robot.name}" if robot else ""
    write_policy(out / MODEL, spec, chosen.gait, made.weights, made.layers, run=command)
    facts = {
        "recipe": name,
        "command": command,
        "seed": seed,
        "seconds": seconds,
        **made.facts,
        "sha256": hashlib.sha256((out / MODEL).read_bytes()).hexdigest(),
        "measured": figures(chosen, out).to_json(),
    }
    _dump(out / "control_spec.json", spec.to_json())
    _dump(out / FACTS, facts)
    _print(facts)


def figures(chosen: Recipe, folder: Path) -> Figures:
    """Measure the policy in `folder` from nothing but the file: the spec is read from its own metadata."""
    model = folder / MODEL
    session = network.open_session(model)
    spec = onnx_metadata.read(session.get_modelmeta().custom_metadata_map)
    assert chosen.entry is not None
    if chosen.course == PARKOUR:
        return measure(chosen.entry, model, spec, course=chosen.course)
    with composed(chosen.entry, chosen.course) as whole:
        return measure(whole, model, spec)


def write_scene(out: Path) -> None:
    """Write parkour.xml and parkour.glb."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "parkour.xml").write_text(to_mjcf(parkour(), "parkour"))
    write_glb(parkour(), out / "parkour.glb")


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def _print(value: Any) -> None:
    print(json.dumps(value, indent=1))


if __name__ == "__main__":
    sys.exit(main())
