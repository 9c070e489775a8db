# SPDX-License-Identifier: Apache-2.0
"""Seed 1: `/` and `/health`."""

from typing import Any

from fastapi import APIRouter

from lerobot_arena.bridge.deps import ServicesDep

router = APIRouter(tags=["Health"])


@router.get("/", response_model=None)
async def root() -> dict[str, Any]:
    """Health check endpoint."""
    return {"message": "Inference Server is running", "status": "healthy"}


@router.get("/health", response_model=None)
async def health_check(services: ServicesDep) -> dict[str, Any]:
    """Detailed health check."""
    sessions = services.book.all()
    return {
        "status": "healthy",
        "active_sessions": len(sessions),
        "session_ids": [session.wanted.session_id for session in sessions],
    }
