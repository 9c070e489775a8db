# SPDX-License-Identifier: Apache-2.0
"""Seed 1: system load, logs, and a session's queue."""

from typing import Any

from fastapi import APIRouter

from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.machine import system_info

router = APIRouter(prefix="/debug", tags=["Debug"])


@router.get("/system", response_model=None)
async def get_system_info(services: ServicesDep) -> dict[str, Any]:
    """Get system information for debugging."""
    return await system_info(services.settings.data_dir)


@router.get("/logs", response_model=None)
async def get_recent_logs(services: ServicesDep) -> dict[str, Any]:
    """Get recent log entries for debugging."""
    entries = services.logs.newest()
    return {
        "message": f"{len(entries)} newest log entries of all processes, oldest first",
        "note": "Kept in memory since the bridge started; `arena up` writes them to its log file as well.",
        "active_sessions": len(services.book.all()),
        "logs": entries,
    }


@router.post("/sessions/{session_id}/reset", response_model=None)
async def debug_reset_session(session_id: str, services: ServicesDep, caller: PrincipalDep) -> dict[str, str]:
    """Reset a session's internal state for debugging."""
    await services.kinds.do(caller, "reset", session_id)
    return {"message": f"Session {session_id} state reset successfully"}


@router.get("/sessions/{session_id}/queue", response_model=None)
async def get_session_queue_info(
    session_id: str, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Get detailed information about a session's action queue."""
    return await services.kinds.do(caller, "queue", session_id)
