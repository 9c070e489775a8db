# SPDX-License-Identifier: Apache-2.0
"""Seed 3's risk log of a recording: its notable cycles, through the very code that logs live ones."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from lerobot_arena.bridge.deps import ServicesDep
from lerobot_arena.bridge.recording_answers import risk_events
from lerobot_arena.bridge.routes.recordings import LevelQuery, OutcomeQuery, looked_at
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.recording.reader import Recording

router = APIRouter(tags=["Risk log"])


@router.get("/api/risk-log/mcap/{filename}")
async def recorded_risk_log(
    filename: Annotated[str, Path(max_length=255)],
    services: ServicesDep,
    min_risk_level: LevelQuery = "NORMAL",
    outcome: OutcomeQuery = None,
    failure_type: Literal["hardware_triggered", "ood_only", "guard_triggered"] | None = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 100,
) -> Response:
    """Notable cycles of a recorded file as events of the risk log, the newest first."""

    def open_file() -> Recording:
        entry = services.recordings.with_file(filename)
        return services.recordings.open(entry.session_id, filename=filename)

    def look(recording: Recording) -> dict[str, Any]:
        events = risk_events(
            recording,
            min_risk=RiskLevel[min_risk_level],
            outcome=outcome,
            failure_type=failure_type,
            limit=limit,
        )
        return {"events": events, "count": len(events), "filename": filename}

    return await looked_at(open_file, look)
