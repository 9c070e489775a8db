# SPDX-License-Identifier: Apache-2.0
"""The metadata record `session`: what a recording is of."""

import hashlib
import json
import platform
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import lerobot_arena
from lerobot_arena.core.session import GuardState, SessionsStatus, SessionsWanted
from lerobot_arena.recording.writer import LIBRARY


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The latest of what tells about an arm; None: nothing heard."""

    arm: str
    robot: str
    robot_hash: str = ""
    wanted: SessionsWanted = field(default_factory=SessionsWanted)
    sessions: SessionsStatus | None = None
    guard: GuardState | None = None


def robot_hash(reference: str) -> str:
    """sha256 of a robot file; empty when there is none."""
    shipped = resources.files(lerobot_arena) / "robots" / f"{reference}.yaml"
    for path in (Path(reference), shipped):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def session_record(about: Surroundings) -> dict[str, str]:
    """Values are text; lists are JSON. Empty where nothing is known yet."""
    guard = about.guard or GuardState(about.arm)
    own = [session for session in about.wanted.sessions if session.arm == about.arm]
    by_guard = next((session for session in own if session.session_id == guard.session_id), None)
    selected = next((session for session in own if session.is_selected), own[0] if own else None)
    session = by_guard or selected
    status = next(
        (
            status
            for status in (about.sessions.sessions if about.sessions else ())
            if session is not None and status.session_id == session.session_id
        ),
        None,
    )
    return {
        "arm": about.arm,
        "robot": about.robot,
        "robot_hash": about.robot_hash,
        "control_frequency_hz": f"{guard.control_rate_hz:g}",
        "policy": session.policy_path if session else "",
        "policy_hash": status.policy_hash if status else "",
        "policy_session_id": session.session_id if session else "",
        "prompt": session.language_instruction if session else "",
        "task": guard.task,
        "boundaries": json.dumps(list(guard.active_boundaries)),
        "config_version": str(guard.config_version),
        "enforcement": guard.enforcement,
        "software_version": lerobot_arena.__version__,
        "python_version": platform.python_version(),
        "writer": LIBRARY,
    }
