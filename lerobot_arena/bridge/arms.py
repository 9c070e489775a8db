# SPDX-License-Identifier: Apache-2.0
"""What GET /api/arms lists, and where an arm's cameras are. Pure."""

from dataclasses import asdict
from typing import Any

from lerobot_arena.bridge.answers import topics_of
from lerobot_arena.bridge.board import ArmFacts
from lerobot_arena.bridge.session_book import BookedSession
from lerobot_arena.core import topics


def cameras_of(arm: str, facts: ArmFacts, sessions: list[BookedSession]) -> dict[str, str]:
    """Camera name → topic: the embodiment's cameras, and those of the arm's sessions."""
    found: dict[str, str] = {}
    if facts.embodiment is not None:
        found = {name: topics.camera(arm, name) for name in facts.embodiment.value.camera_names}
    for session in sessions:
        for name, topic in topics_of(session.wanted)["cameras"].items():
            found.setdefault(name, topic)
    return found


def arm_answer(
    arm: str, facts: ArmFacts, status: dict[str, Any], sessions: list[BookedSession]
) -> dict[str, Any]:
    """One entry of GET /api/arms; `status` is the arm's control status."""
    cameras = cameras_of(arm, facts, sessions)
    return {
        "arm": arm,
        "is_virtual": facts.embodiment is None and any(session.wanted.is_virtual for session in sessions),
        "state": status["state"],
        "is_alive": status["is_alive"],
        "estop_latched": status["estop_latched"],
        "session_id": status["session_id"],
        "message": status["message"],
        "not_ready": status["not_ready"],
        "warning": status["warning"],
        "risk_level": status["risk_level"],
        "reaction": status["reaction"],
        "config_problem": status["config_problem"],
        "active_task": status["active_task"],
        "embodiment": asdict(facts.embodiment.value) if facts.embodiment is not None else None,
        "task": asdict(facts.task.value) if facts.task is not None else None,
        "cameras": list(cameras),
        "camera_topics": cameras,
        "sessions": [session.wanted.session_id for session in sessions],
    }
