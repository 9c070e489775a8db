# SPDX-License-Identifier: Apache-2.0
"""The process of one `instance.mujoco.onnx`: a policy on its robot, simulated when it is asked to.

It reads JSON lines from standard input, the first of which says what to open, and writes one JSON line for each.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lerobot_arena
from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.platform.catalog.confine import give_up
from lerobot_arena.platform.catalog.limits import ChildLimits, Limits

MOST_SECONDS = 30.0
SCENE_FILE = "arena_benchmark.xml"
_LONGEST_ERROR = 600


def main(answer_fd: int, parent: int) -> None:
    """Answer until standard input ends."""
    asked = json.loads(sys.stdin.readline())
    folder = Path(asked["folder"])
    os.chdir(folder)
    packages = [Path(entry) for entry in sys.path] + [Path(lerobot_arena.__file__).parent]
    give_up(ChildLimits(**asked["limits"]), readable=packages, folder=folder, parent=parent)
    with open(answer_fd, "w") as channel:

        def say(answer: Mapping[str, Any]) -> None:
            channel.write(json.dumps(answer) + "\n")
            channel.flush()

        opened = answered(lambda: _open(asked, folder))
        runner = opened.pop("runner", None)
        say(opened)
        while runner is not None and (line := sys.stdin.readline()):
            say(answered(lambda line=line: _run(runner, json.loads(line))))  # type: ignore[misc]


def answered(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives, or the sentence about why not; `is_lost` when the instance cannot go on."""
    try:
        return {"ok": True, **work()}
    except ArenaError as error:
        text = " ".join(str(error).split())[:_LONGEST_ERROR]
        return {"ok": False, "error": text, "is_lost": not isinstance(error, InvalidInput)}
    except Exception as error:  # whatever a library raises on foreign bytes is about those bytes
        text = f"It cannot be run: {type(error).__name__}: {error}"[:_LONGEST_ERROR]
        return {"ok": False, "error": text, "is_lost": True}


def _open(asked: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    from lerobot_arena.platform.catalog import bundle, control_spec
    from lerobot_arena.platform.catalog.runner import Runner

    bundle.unpack(folder / "bundle.zip", folder / "robot", Limits().zip)
    spec = control_spec.from_json(asked["control_spec"])
    entry = folder / "robot" / asked["entry"]
    if asked["has_scene"]:
        entry = _in_scene(entry, folder / SCENE_FILE)
    return {"runner": Runner(entry, folder / "policy.onnx", spec)}


def _in_scene(entry: Path, scene: Path) -> Path:
    """The robot with the scene around it, as the run page puts them together: the scene included after the entry."""
    (entry.parent / SCENE_FILE).write_bytes(scene.read_bytes())
    whole = entry.parent / "arena_world.xml"
    whole.write_text(f'<mujoco><include file="{entry.name}"/><include file="{SCENE_FILE}"/></mujoco>')
    return whole


def _run(runner: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """`reset`, then `command` (lin_vel_x, lin_vel_y, ang_vel_z) for `seconds`; all may be left out."""
    unknown = set(request) - {"reset", "command", "seconds"}
    if unknown:
        raise InvalidInput(f"Unknown: {', '.join(sorted(unknown))}. Send reset, command, seconds.")
    seconds = _number(request.get("seconds", 0.0), "seconds", 0.0, MOST_SECONDS)
    command = request.get("command")
    if command is not None and not isinstance(command, dict):
        raise InvalidInput("command is an object: lin_vel_x, lin_vel_y, ang_vel_z.")
    if request.get("reset") is True:
        runner.reset()
    if command is not None:
        known = {name: _number(value, f"command.{name}", -100.0, 100.0) for name, value in command.items()}
        if more := set(known) - {"lin_vel_x", "lin_vel_y", "ang_vel_z"}:
            raise InvalidInput(f"command has no {sorted(more)[0]!r}: send lin_vel_x, lin_vel_y, ang_vel_z.")
        runner.command(known.get("lin_vel_x", 0.0), known.get("lin_vel_y", 0.0), known.get("ang_vel_z", 0.0))
    state = runner.step(round(seconds / runner.spec.control_dt))
    return {"state": asdict(state)}


def _number(value: Any, what: str, lowest: float, highest: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= highest:
        raise InvalidInput(f"{what} is a number between {lowest:g} and {highest:g}.")
    return float(value)
