# SPDX-License-Identifier: Apache-2.0
"""`arena start`, `pause`, `resume`, `stop`, `estop`, `reset`, `status`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from lerobot_arena.cli.client import ask
from lerobot_arena.cli.output import print_fields, print_json, print_line
from lerobot_arena.cli.session import AsJson, Url
from lerobot_arena.client.arena import Arena
from lerobot_arena.core.errors import ArenaError, InvalidInput, NotFound

Arm = Annotated[str | None, typer.Option("--arm", help="The arm's namespace; without it: see above.")]


Task = Annotated[str, typer.Argument(help="The task; `arena task list` has them.")]
Cycles = Annotated[int, typer.Option("--cycles", help="Control cycles to run; -1: until stopped.")]
Budget = Annotated[float, typer.Option("--budget-ms", help="Control period in ms: 20 is 50 Hz.")]


def start(
    task: Task = "default",
    cycles: Cycles = -1,
    budget_ms: Budget = 20.0,
    arm: Arm = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Run a task: the arm moves. Without --arm it means the task's session's arm, else the only arm."""
    answer = ask(
        url,
        lambda arena: arena.control.start(task, n_cycles=cycles, cycle_budget_ms=budget_ms, arm=arm),
    )
    if as_json:
        print_json(answer)
    else:
        print_line(
            f"Task {answer['task']} with session {answer['session_id']}: arm {answer['arm']} is {answer['state']}."
        )


def pause(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """Hold after the current cycle, until `arena resume`. Without --arm it means the only arm."""
    _report(
        ask(url, lambda arena: arena.control.pause(arm)),
        as_json=as_json,
        text="Paused: the arm holds. `arena resume` goes on.",
    )


def resume(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """Go on after a pause, from where the arm is now: it moves. Without --arm it means the only arm."""
    _report(ask(url, lambda arena: arena.control.resume(arm)), as_json=as_json, text="Running again.")


def stop(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """End what an arm runs; it holds. Without --arm it means the only arm."""
    _report(ask(url, lambda arena: arena.control.stop(arm)), as_json=as_json, text="Stopped: the arm holds.")


def estop(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """Emergency stop: no further command leaves. Without --arm it stops every arm. It latches until `arena reset`.

    With the bridge dead: ros2 service call /arm/guard/estop std_srvs/srv/Trigger
    """
    try:
        answer = _arena_for_estop(url).control.estop(arm)
    except NotFound:
        raise
    except ArenaError as error:
        raise type(error)(
            f"{error} The guard itself still hears "
            f"`ros2 service call /{arm or 'arm'}/guard/estop std_srvs/srv/Trigger`."
        ) from error
    _report(
        answer,
        as_json=as_json,
        text="Emergency stop latched. `arena reset` unlatches it; nothing moves before a start.",
    )


def reset(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """Unlatch the emergency stop. The session stays stopped; `arena session start` moves again.

    Without --arm it means the only arm.
    """
    answer = ask(url, lambda arena: arena.control.reset(arm))
    _report(answer, as_json=as_json, text="Emergency stop released. Nothing moves before a start.")


def status(url: Url = None, as_json: AsJson = False) -> None:
    """Arms and sessions in a few lines; --json for everything the bridge knows."""
    with Arena(url) as arena:
        health, arms, sessions = arena.health(), arena.arms.list(), arena.sessions.list()
    if as_json:
        print_json({"url": arena.url, "health": health, "arms": arms, "sessions": sessions})
        return
    print_line(f"bridge {arena.url}: {health.get('status', 'unknown')}")
    for arm in arms:
        for line in arm_lines(arm):
            print_line(line)
    for session in sessions:
        text = f"session {session['session_id']} ({session['policy_path']}): {session['status']}"
        print_line(f"{text}: {session['error_message']}" if session.get("error_message") else text)


def arm_lines(arm: Mapping[str, Any]) -> list[str]:
    """One arm of GET /api/arms for a person."""
    embodiment, task = arm.get("embodiment") or {}, arm.get("task")
    state = (
        "no guard"
        if not arm.get("is_alive", True)
        else "E-STOP"
        if arm.get("estop_latched")
        else arm["state"]
    )
    parts = [f"arm {arm['arm']}: {state}"]
    if (risk := arm.get("risk_level", "NORMAL")) != "NORMAL":
        parts.append(f"risk {risk}" + (f", {arm['reaction']}" if arm.get("reaction") else ""))
    if embodiment:
        how = "connected" if embodiment["is_connected"] else "not connected"
        parts.append(f"{embodiment['backend']} {embodiment['robot']}, {how}")
    if arm.get("cameras"):
        parts.append(f"cameras {', '.join(arm['cameras'])}")
    if task:
        parts.append(f"episode {task['episode']} ({task['successes']} done, {task['failures']} failed)")
    notes = [
        arm.get("warning"),
        arm.get("config_problem"),
        arm.get("message"),
        embodiment.get("message"),
        *arm.get("not_ready", ()),
    ]
    return [" · ".join(parts), *(f"  {note}" for note in dict.fromkeys(filter(None, notes)))]


def _arena_for_estop(url: str | None) -> Arena:
    """Without a token where the stored ones cannot be read: on loopback an e-stop needs none."""
    try:
        return Arena(url)
    except InvalidInput:
        return Arena(url, token="")


def _report(answer: Any, *, as_json: bool, text: str) -> None:
    if as_json:
        print_json(answer)
    else:
        print_line(text)
        if isinstance(answer, dict) and isinstance(answer.get("arms"), dict):
            print_fields(answer["arms"])
    if isinstance(answer, dict) and answer.get("success") is False:
        raise ArenaError(str(answer.get("message", "The guard refused.")))
