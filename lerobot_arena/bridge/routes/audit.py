# SPDX-License-Identifier: Apache-2.0
"""What was changed, by whom, and what came of it."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from lerobot_arena.bridge.account_models import AuditAnswer, AuditEntryAnswer, moment
from lerobot_arena.bridge.deps import ServicesDep

router = APIRouter(prefix="/api/audit", tags=["Accounts"])


@router.get("")
async def list_audit(
    services: ServicesDep,
    n: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="Only ids below this one.")] = None,
) -> AuditAnswer:
    """The newest calls that changed something, or were meant to, first."""
    entries = await services.desk.ask(lambda: services.audit.newest(n, before))
    return AuditAnswer(
        entries=[AuditEntryAnswer(**(asdict(entry) | {"at": moment(entry.at)})) for entry in entries],
        next_before=entries[-1].id if len(entries) == n else None,
        dropped=services.audit.dropped,
    )
