# SPDX-License-Identifier: Apache-2.0
"""Seed 3's telemetry socket: the last 50 cycles, then each new one, and camera frames as binary messages."""

from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from starlette.responses import JSONResponse

from lerobot_arena.bridge.deps import ArmQuery, ServicesDep
from lerobot_arena.bridge.errors import status_of
from lerobot_arena.bridge.telemetry import TelemetryQuery, serve_telemetry
from lerobot_arena.core.errors import ArenaError

router = APIRouter()


@router.websocket("/ws/telemetry")
async def telemetry(
    socket: WebSocket,
    services: ServicesDep,
    arm: ArmQuery = None,
    rate_hz: Annotated[float | None, Query(gt=0, le=1000, allow_inf_nan=False)] = None,
    cameras: Annotated[str | None, Query(max_length=2000)] = None,
    fps: Annotated[float, Query(gt=0, le=60, allow_inf_nan=False)] = 10.0,
) -> None:
    """`cameras` is a list of names parted by commas; absent means all, empty none. `rate_hz` thins the cycles."""
    try:
        query = TelemetryQuery.checked(services, arm, rate_hz=rate_hz, cameras=cameras, fps=fps)
    except ArenaError as error:
        await socket.send_denial_response(
            JSONResponse({"detail": str(error), "code": error.code}, status_of(error))
        )
        return
    await socket.accept()
    await serve_telemetry(socket, services, query)
