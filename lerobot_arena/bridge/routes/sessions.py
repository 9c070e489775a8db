# SPDX-License-Identifier: Apache-2.0
"""Seed 1: make, list, look at and delete sessions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lerobot_arena.bridge.answers import rooms_of
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.models import CreateSessionRequest, CreateSessionResponse, SessionStatusResponse

router = APIRouter(tags=["Sessions"])
KindQuery = Annotated[str | None, Query(max_length=64, description="Only sessions of this kind.")]

_CREATE_TEXT = (
    "Create a new inference session. If workspace_id is provided, all rooms will be created in that workspace. "
    "If workspace_id is not provided, a new workspace will be generated automatically. "
    "All rooms for a session (cameras + joints) are always created in the same workspace."
)


@router.post("/sessions", response_model=CreateSessionResponse, description=_CREATE_TEXT)
async def create_session(
    request: CreateSessionRequest, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    services.maker.check_caller(request, caller)
    session = await services.maker.create(request, caller.name)
    return rooms_of(session.wanted)


@router.get("/sessions", response_model=list[SessionStatusResponse])
async def list_sessions(
    services: ServicesDep, caller: PrincipalDep, kind: KindQuery = None
) -> list[dict[str, Any]]:
    """List all sessions."""
    return services.kinds.listed(caller, kind)


@router.get("/sessions/{session_id}", response_model=SessionStatusResponse)
async def get_session_status(session_id: str, services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """Get status of a specific session."""
    return services.kinds.answer(caller, session_id)


@router.delete("/sessions/{session_id}", response_model=None)
async def delete_session(session_id: str, services: ServicesDep, caller: PrincipalDep) -> dict[str, str]:
    """Delete a session."""
    await services.kinds.do(caller, "delete", session_id)
    return {"message": f"Session {session_id} deleted"}
