# SPDX-License-Identifier: Apache-2.0
"""Figures for Prometheus."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lerobot_arena.bridge.deps import ServicesDep
from lerobot_arena.bridge.metrics import registry_of

router = APIRouter(tags=["Metrics"])


@router.get("/metrics")
async def metrics(services: ServicesDep) -> Response:
    """Cycles, decisions, risk, states, latencies, sessions and losses, as Prometheus reads them."""
    return Response(generate_latest(registry_of(services)), media_type=CONTENT_TYPE_LATEST)
