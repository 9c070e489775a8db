# SPDX-License-Identifier: Apache-2.0
"""Seed 1: make, list, look at and delete sessions."""

from typing import Any

from fastapi import APIRouter

from lerobot_arena.bridge.answers import rooms_of, session_answer
from lerobot_arena.bridge.deps import ServicesDep
from lerobot_arena.bridge.models import CreateSessionRequest, CreateSessionResponse, SessionStatusResponse
from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.session_book import BookedSession

router = APIRouter(tags=["Sessions"])

_CREATE_TEXT = (
    "Create a new inference session. If workspace_id is provided, all rooms will be created in that workspace. "
    "If workspace_id is not provided, a new workspace will be generated automatically. "
    "All rooms for a session (cameras + joints) are always created in the same workspace."
)


def _answer(services: Services, session: BookedSession) -> dict[str, Any]:
    view = services.book.view(session, input_timeout_s=services.settings.input_timeout_s)
    return session_answer(session, services.book.facts(session), view)


@router.post("/sessions", response_model=CreateSessionResponse, description=_CREATE_TEXT)
async def create_session(request: CreateSessionRequest, services: ServicesDep) -> dict[str, Any]:
    session = await services.maker.create(request)
    return rooms_of(session.wanted)


@router.get("/sessions", response_model=list[SessionStatusResponse])
async def list_sessions(services: ServicesDep) -> list[dict[str, Any]]:
    """List all sessions."""
    return [_answer(services, session) for session in services.book.all()]


@router.get("/sessions/{session_id}", response_model=SessionStatusResponse)
async def get_session_status(session_id: str, services: ServicesDep) -> dict[str, Any]:
    """Get status of a specific session."""
    return _answer(services, services.book.get(session_id))


@router.delete("/sessions/{session_id}", response_model=None)
async def delete_session(session_id: str, services: ServicesDep) -> dict[str, str]:
    """Delete a session."""
    await services.verbs.delete(session_id)
    return {"message": f"Session {session_id} deleted"}
