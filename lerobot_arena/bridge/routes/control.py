# SPDX-License-Identifier: Apache-2.0
"""Seed 1: start, stop and restart a session."""

from fastapi import APIRouter

from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep

router = APIRouter(tags=["Control"])


@router.post("/sessions/{session_id}/start", response_model=None)
async def start_inference(session_id: str, services: ServicesDep, caller: PrincipalDep) -> dict[str, str]:
    """Start inference for a session."""
    await services.kinds.do(caller, "start", session_id)
    return {"message": f"Inference started for session {session_id}"}


@router.post("/sessions/{session_id}/stop", response_model=None)
async def stop_inference(session_id: str, services: ServicesDep, caller: PrincipalDep) -> dict[str, str]:
    """Stop inference for a session."""
    await services.kinds.do(caller, "stop", session_id)
    return {"message": f"Inference stopped for session {session_id}"}


@router.post("/sessions/{session_id}/restart", response_model=None)
async def restart_inference(session_id: str, services: ServicesDep, caller: PrincipalDep) -> dict[str, str]:
    """Restart inference for a session."""
    await services.kinds.do(caller, "restart", session_id)
    return {"message": f"Inference restarted for session {session_id}"}
