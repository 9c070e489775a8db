# SPDX-License-Identifier: Apache-2.0
"""Arms: what moves here, and a new scene where it is simulated."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from lerobot_arena.bridge.arms import arm_answer
from lerobot_arena.bridge.deps import ServicesDep, SightDep
from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.sight import Sight
from lerobot_arena.core.errors import Conflict

router = APIRouter(prefix="/api", tags=["Arms"])


@router.get("/arms")
async def list_arms(services: ServicesDep, sight: SightDep) -> dict[str, Any]:
    """Arms that report: guard, embodiment, task, cameras and one's sessions of each."""
    return {"arms": [_answer(services, sight, arm) for arm in sight.arms()]}


def _answer(services: Services, sight: Sight, arm: str) -> dict[str, Any]:
    status = services.runtime.status(arm)
    shown = {**status, "session_id": sight.shown_id(status["session_id"])}
    return arm_answer(arm, services.board.facts(arm), shown, sight.of_arm(arm))


@router.post("/arms/{arm:path}/scene/reset")
async def reset_scene(arm: str, services: ServicesDep, sight: SightDep) -> dict[str, Any]:
    """Set up a new scene in the simulator of an arm that is not commanded."""
    name = sight.arm(arm)
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
