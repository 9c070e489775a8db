# SPDX-License-Identifier: Apache-2.0
"""Arms: what moves here, and a new scene where it is simulated."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from lerobot_arena.bridge.arms import arm_answer
from lerobot_arena.bridge.deps import ServicesDep
from lerobot_arena.core.errors import Conflict

router = APIRouter(prefix="/api", tags=["Arms"])


@router.get("/arms")
async def list_arms(services: ServicesDep) -> dict[str, Any]:
    """Arms that report: guard, embodiment, task, cameras and sessions of each."""
    return {
        "arms": [
            arm_answer(arm, facts, services.runtime.status(arm), services.book.of_arm(arm))
            for arm, facts in sorted(services.board.arms.items())
        ]
    }


@router.post("/arms/{arm:path}/scene/reset")
async def reset_scene(arm: str, services: ServicesDep) -> dict[str, Any]:
    """Set up a new scene in the simulator of an arm that is not commanded."""
    name = services.board.arm_or_only(arm)
    answer = await services.link.call(name, "reset_scene", timeout_s=services.settings.verb_timeout_s)
    if not answer.success:
        raise Conflict(answer.message or f"Arm {name!r} refused a new scene.")
    task = services.board.facts(name).task
    return {
        "reset": True,
        "arm": name,
        "message": answer.message,
        "task": asdict(task.value) if task is not None else None,
    }
