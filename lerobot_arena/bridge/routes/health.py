# SPDX-License-Identifier: Apache-2.0
"""Seed 1: `/` and `/health`."""

from typing import Any

from fastapi import APIRouter

from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.core.principal import SESSIONS_READ

router = APIRouter(tags=["Health"])


@router.get("/", response_model=None)
async def root() -> dict[str, Any]:
    """Health check endpoint."""
    return {"message": "Inference Server is running", "status": "healthy"}


@router.get("/health", response_model=None)
async def health_check(services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """Detailed health check."""
    seen = services.sight(caller).sessions() if caller.may(SESSIONS_READ) else []
    return {
        "status": "healthy",
        "active_sessions": len(services.book.all()),
        "session_ids": [session.wanted.session_id for session in seen],
    }
