# SPDX-License-Identifier: Apache-2.0
"""Seed 3's telemetry: the last cycles by GET, and a socket with each new one and its camera frames."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, WebSocket
from fastapi.responses import Response

from lerobot_arena.bridge import errors
from lerobot_arena.bridge.arms import cameras_of
from lerobot_arena.bridge.deps import ArmQuery, ServicesDep, SightDep
from lerobot_arena.bridge.feed import KEPT, REPLAY
from lerobot_arena.bridge.telemetry import (
    TelemetryQuery,
    readable_texts,
    renderer,
    serve_telemetry,
)
from lerobot_arena.core.errors import ArenaError

router = APIRouter(tags=["Telemetry"])

WithPerf = Annotated[bool, Query(description="Add `perf` to the events, as when ARENA_METRICS is on.")]


@router.get("/api/telemetry/history")
async def history(
    services: ServicesDep,
    sight: SightDep,
    n: Annotated[int, Query(ge=1, le=KEPT, description="Number of events.")] = REPLAY,
    arm: ArmQuery = None,
    perf: WithPerf = False,
) -> Response:
    """The last `n` cycle events of an arm, oldest first: `{"events": […], "total": …}`."""
    name = sight.arm(arm)
    cameras = cameras_of(name, services.board.facts(name), services.book.of_arm(name))
    render = renderer(services, list(cameras))
    items = services.feed.newest(name, n)
    # A thousand cycles take a while to decode; nobody's event waits for that.
    texts = await asyncio.to_thread(
        readable_texts, items, render, with_perf=perf or services.settings.metrics
    )
    body = f'{{"events":[{",".join(texts)}],"total":{len(texts)}}}'
    return Response(body, media_type="application/json")


@router.websocket("/ws/telemetry")
async def telemetry(
    socket: WebSocket,
    services: ServicesDep,
    sight: SightDep,
    arm: ArmQuery = None,
    rate_hz: Annotated[float | None, Query(gt=0, le=1000, allow_inf_nan=False)] = None,
    cameras: Annotated[str | None, Query(max_length=2000)] = None,
    fps: Annotated[float, Query(gt=0, le=60, allow_inf_nan=False)] = 10.0,
    perf: WithPerf = False,
    frames: Literal["v1", "v2"] = "v1",
) -> None:
    """`cameras` is a list of names parted by commas; absent means all, empty none. `rate_hz` thins the cycles.

    `frames=v2` tells with each frame the cycle it belongs to.
    """
    try:
        query = TelemetryQuery.checked(
            services, sight.arm(arm), rate_hz=rate_hz, cameras=cameras, fps=fps, perf=perf, frames=frames
        )
    except ArenaError as error:
        await socket.send_denial_response(errors.answer(socket.scope["path"], error))
        return
    await socket.accept()
    await serve_telemetry(socket, services, query)
