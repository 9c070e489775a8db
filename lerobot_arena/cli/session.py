# SPDX-License-Identifier: Apache-2.0
"""`arena session …`: what the REST API calls sessions."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from lerobot_arena.bringup import DEFAULT_ARM
from lerobot_arena.cli.client import ask
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_fields, print_json, print_line, print_table
from lerobot_arena.client.arena import Arena
from lerobot_arena.core.errors import Conflict, Unavailable

Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="ARENA_URL", help="The bridge; else the port in ARENA_BRIDGE_PORT, else 8001."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
SessionId = Annotated[str, typer.Argument(help="The session's id.")]

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="Sessions: a policy driving an arm. Creating one never moves anything; `start` does.",
    epilog="Example: arena session create pick --policy ./outputs/act && arena session start pick",
)


Policy = Annotated[
    str,
    typer.Option(
        help="`demo`, a checkpoint folder under the bridge's policy roots, a published `catalog:owner/slug@version`, "
        "or a Hub id org/name@rev."
    ),
]
Robot = Annotated[
    str, typer.Option(help="The arm it drives; '' makes a virtual arm whose joints come from clients.")
]
Camera = Annotated[
    list[str] | None, typer.Option(help="A camera the policy needs; repeat for more. Default: front.")
]
Task = Annotated[str | None, typer.Option("--task", help="What a language policy is told.")]
_BUILT_IN = {"demo", "hold"}
_SILENT = "when the checkpoint does not say."
PolicyType = Annotated[str | None, typer.Option(help=f"Kind of policy, {_SILENT}")]
Unit = Annotated[str | None, typer.Option(help=f"normalized, degrees or radians, {_SILENT}")]
RateHz = Annotated[float | None, typer.Option(help=f"The policy's frame rate, {_SILENT}")]
Workspace = Annotated[str | None, typer.Option(help="Name of the rooms' workspace; default: a new one.")]
ArenaServerUrl = Annotated[
    str | None,
    typer.Option(help="Base URL of another arena whose rooms it joins; ARENA_REMOTE_ARENAS allows it."),
]
JointName = Annotated[
    list[str] | None, typer.Option(help=f"A joint, in the policy's order, {_SILENT} Repeat for each.")
]
AndStart = Annotated[
    bool, typer.Option("--start", help="Start it as soon as its policy is loaded: the arm moves.")
]
MayExist = Annotated[bool, typer.Option("--exist-ok", help="A session of that id may be there already.")]
Kind = Annotated[str | None, typer.Option(help="Only sessions of this kind.")]
WaitS = Annotated[float, typer.Option("--wait", help="Seconds to wait for the bridge to come up.")]


@app.command(epilog="Example: arena session create pick --policy ./outputs/act --camera front --start")
def create(
    session_id: SessionId,
    policy: Policy,
    robot: Robot = DEFAULT_ARM,
    camera: Camera = None,
    language_instruction: Task = None,
    policy_type: PolicyType = None,
    unit: Unit = None,
    rate_hz: RateHz = None,
    workspace_id: Workspace = None,
    joint_name: JointName = None,
    arena_server_url: ArenaServerUrl = None,
    start: AndStart = False,
    exist_ok: MayExist = False,
    wait_s: WaitS = 0.0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Create a session; with --start also start it."""
    with Arena(url) as arena:
        _wait_for(arena, wait_s)
        answer: Any
        try:
            answer = arena.sessions.create(
                session_id,
                as_bridge_sees_it(policy),
                camera_names=camera or ["front"],
                robot=robot or None,
                language_instruction=language_instruction,
                policy_type=policy_type,
                unit=unit,
                rate_hz=rate_hz,
                workspace_id=workspace_id,
                joint_names=joint_name,
                arena_server_url=arena_server_url,
            )
        except Conflict:
            if not exist_ok:
                raise
            answer = arena.sessions.get(session_id)
        if start:
            arena.sessions.start(session_id)
    if as_json:
        print_json(answer)
    else:
        print_line(f"Session {session_id} {'is running' if start else 'created'}.")


def as_bridge_sees_it(policy: str) -> str:
    """A folder of this shell by its absolute path, as the bridge has another working directory."""
    is_folder = policy not in _BUILT_IN and Path(policy).expanduser().is_dir()
    return str(Path(policy).expanduser().resolve()) if is_folder else policy


def _wait_for(arena: Arena, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        with suppress(Unavailable):
            arena.health()
            return
        time.sleep(0.25)


def _verb(name: str, session_id: str, url: str | None, *, as_json: bool) -> None:
    answer = ask(url, lambda arena: getattr(arena.sessions, name)(session_id))
    print_json(answer) if as_json else print_line(answer["message"])


@app.command(epilog="Example: arena session start pick")
def start(session_id: SessionId, url: Url = None, as_json: AsJson = False) -> None:
    """Start: the arm moves. Waits while the policy is still loading."""
    _verb("start", session_id, url, as_json=as_json)


@app.command()
def stop(session_id: SessionId, url: Url = None, as_json: AsJson = False) -> None:
    """Stop: the arm holds its last target."""
    _verb("stop", session_id, url, as_json=as_json)


@app.command()
def restart(session_id: SessionId, url: Url = None, as_json: AsJson = False) -> None:
    """Stop, forget the policy's history, and start."""
    _verb("restart", session_id, url, as_json=as_json)


@app.command()
def delete(session_id: SessionId, url: Url = None, as_json: AsJson = False) -> None:
    """Stop and delete."""
    answer = ask(url, lambda arena: arena.sessions.delete(session_id))
    print_json(answer) if as_json else print_line(answer["message"])


@app.command("list")
def list_sessions(kind: Kind = None, url: Url = None, as_json: AsJson = False) -> None:
    """All sessions with their status."""
    sessions = ask(url, lambda arena: arena.sessions.list(kind))
    if as_json:
        print_json(sessions)
    elif not sessions:
        print_line("No session yet: `arena session create --help`.")
    else:
        rows = (
            [
                item["session_id"],
                item["status"],
                item["policy_path"],
                ", ".join(item["camera_names"]),
                item.get("error_message") or "",
            ]
            for item in sessions
        )
        print_table(["session", "status", "policy", "cameras", "message"], rows)


@app.command()
def show(session_id: SessionId, url: Url = None, as_json: AsJson = False) -> None:
    """One session with its rooms and figures."""
    answer = ask(url, lambda arena: arena.sessions.get(session_id))
    print_json(answer) if as_json else print_fields(answer)
