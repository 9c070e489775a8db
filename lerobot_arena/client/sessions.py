# SPDX-License-Identifier: Apache-2.0
"""Sessions, and what they drive: the arms, and the machine they run on."""

from collections.abc import Sequence
from typing import Any

from lerobot_arena.client.address import segment
from lerobot_arena.client.answers import Arm, Done, Health, SceneReset, Session, SessionRooms
from lerobot_arena.client.call import (
    STOP_TIMEOUT_S,
    VERB_TIMEOUT_S,
    Call,
    as_list,
    as_object,
    get,
    inside,
    post,
)
from lerobot_arena.client.endpoint import Group, endpoint


def health() -> Call[Health]:
    """Whether the bridge lives, and its sessions."""
    return get("/health", as_object)


def create_session(
    session_id: str,
    policy_path: str,
    *,
    camera_names: Sequence[str] = ("front",),
    robot: str | None = None,
    workspace_id: str | None = None,
    language_instruction: str | None = None,
    policy_type: str | None = None,
    unit: str | None = None,
    rate_hz: float | None = None,
    joint_names: Sequence[str] | None = None,
    arena_server_url: str | None = None,
) -> Call[SessionRooms]:
    """Make a session; nothing moves. `robot` is an arm's namespace; without it the joints come from clients.

    `arena_server_url`: another bridge whose rooms it joins, when this one allows that host.
    """
    body = {
        "session_id": session_id,
        "policy_path": policy_path,
        "camera_names": list(camera_names),
        "robot": robot,
        "workspace_id": workspace_id,
        "language_instruction": language_instruction,
        "policy_type": policy_type,
        "unit": unit,
        "rate_hz": rate_hz,
        "joint_names": list(joint_names) if joint_names is not None else None,
        "arena_server_url": arena_server_url,
    }
    return post("/sessions", as_object, {key: value for key, value in body.items() if value is not None})


def list_sessions(kind: str | None = None) -> Call[list[Session]]:
    """Every session you may see; `kind` narrows."""
    return get("/sessions", as_list, kind=kind)


def get_session(session_id: str) -> Call[Session]:
    """One session with its rooms and figures."""
    return get(f"/sessions/{segment(session_id)}", as_object)


def start_session(session_id: str) -> Call[Done]:
    """Start: the arm moves. Waits while the policy loads."""
    return _verb(session_id, "start")


def stop_session(session_id: str) -> Call[Done]:
    """Stop: the arm holds its last target."""
    return _verb(session_id, "stop", STOP_TIMEOUT_S)


def restart_session(session_id: str) -> Call[Done]:
    """Stop, forget the policy's history, start: the arm moves."""
    return _verb(session_id, "restart")


def reset_session(session_id: str) -> Call[Done]:
    """Empty a session's queue and history."""
    return post(f"/debug/sessions/{segment(session_id)}/reset", as_object)


def delete_session(session_id: str) -> Call[Done]:
    """Stop and delete."""
    return Call("DELETE", f"/sessions/{segment(session_id)}", as_object, timeout_s=VERB_TIMEOUT_S)


def session_queue(session_id: str) -> Call[dict[str, Any]]:
    """What waits in a session's action queue, and whether its inputs arrive."""
    return get(f"/debug/sessions/{segment(session_id)}/queue", as_object)


def _verb(session_id: str, verb: str, timeout_s: float = VERB_TIMEOUT_S) -> Call[Done]:
    return post(f"/sessions/{segment(session_id)}/{verb}", as_object, timeout_s=timeout_s)


def list_arms() -> Call[list[Arm]]:
    """Arms that report, with guard, embodiment, cameras and sessions."""
    return get("/api/arms", inside("arms"))


def reset_scene(arm: str) -> Call[SceneReset]:
    """A new scene in the simulator of an arm that is not commanded."""
    return post(f"/api/arms/{'/'.join(map(segment, arm.split('/')))}/scene/reset", as_object)


def system() -> Call[dict[str, Any]]:
    """Load, memory and disk of the bridge's machine."""
    return get("/debug/system", as_object)


def logs() -> Call[list[Any]]:
    """The newest log entries of all processes, oldest first."""
    return get("/debug/logs", inside("logs"))


class Sessions[Via](Group[Via]):
    """A policy driving an arm. Only start and restart move anything."""

    create = endpoint(create_session)
    list = endpoint(list_sessions)
    get = endpoint(get_session)
    start = endpoint(start_session)
    stop = endpoint(stop_session)
    restart = endpoint(restart_session)
    reset = endpoint(reset_session)
    delete = endpoint(delete_session)
    queue = endpoint(session_queue)


class Arms[Via](Group[Via]):
    """What moves here."""

    list = endpoint(list_arms)
    reset_scene = endpoint(reset_scene)


class Debug[Via](Group[Via]):
    """How the bridge's machine is."""

    system = endpoint(system)
    logs = endpoint(logs)
