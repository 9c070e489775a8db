# SPDX-License-Identifier: Apache-2.0
"""Recording on and off. What has been recorded is in routes/recordings.py."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query

from lerobot_arena.bridge.deps import ServicesDep, SightDep
from lerobot_arena.core.errors import Conflict

router = APIRouter(prefix="/api/recorder", tags=["Recordings"])

ArmQuery = Annotated[str | None, Query(description="The arm's namespace; without it: the only arm.")]
Verb = Literal["start", "stop", "split", "snapshot"]
# A disk may take its time to write what waits; the recorder itself gives up after 5 s.
_TIMEOUT_S = 8.0


@router.get("/status")
async def recorder_status(services: ServicesDep, sight: SightDep, arm: ArmQuery = None) -> dict[str, Any]:
    """What an arm's recorder does: state, file, counts, drops, and what went wrong."""
    name = sight.arm(arm)
    answer = await services.link.call(name, "record_status", timeout_s=_TIMEOUT_S)
    found: dict[str, Any] = orjson.loads(answer.message)
    return found


@router.post("/{verb}")
async def tell_recorder(
    verb: Verb, services: ServicesDep, sight: SightDep, arm: ArmQuery = None
) -> dict[str, Any]:
    """Start or stop a recording, go on in a new file, or keep the pictures around now; 409 with the reason."""
    name = sight.arm(arm)
    answer = await services.link.call(name, f"record_{verb}", timeout_s=_TIMEOUT_S)
    if not answer.success:
        raise Conflict(answer.message or f"The recorder of arm {name!r} refused.")
    key = "session_id" if verb in {"start", "stop"} else "filename"
    return {"arm": name, "verb": verb, key: answer.message}
