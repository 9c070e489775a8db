# SPDX-License-Identifier: Apache-2.0
"""Video rooms, as the LeRobot Arena transport server has them: workspaces, rooms, WebRTC signalling, and the socket."""

from typing import Any

from fastapi import APIRouter, WebSocket

from lerobot_arena.bridge import rooms_answers as answers
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.errors import unprocessable
from lerobot_arena.bridge.rooms_models import CreateVideoRoom, PostSignal, RoomName
from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.bridge.rooms_socket import serve_room
from lerobot_arena.core.principal import Principal
from lerobot_arena.core.room import VIDEO
from lerobot_arena.rooms.messages import now_text
from lerobot_arena.rooms.room import Place
from lerobot_arena.rooms.video import VideoRoom

router = APIRouter(prefix="/video", tags=["Video rooms"])
_ROOMS = "/workspaces/{workspace_id}/rooms"
_ROOM = _ROOMS + "/{room_id}"


def _room(server: RoomServer, workspace_id: str, room_id: str, caller: Principal) -> VideoRoom:
    room = server.seen(Place(VIDEO, workspace_id, room_id), caller)
    assert isinstance(room, VideoRoom)
    return room


@router.get("/")
async def about() -> dict[str, Any]:
    """What this is, and where to look further."""
    return {"service": VIDEO, "version": answers.VERSION, "status": "active", "docs": "/docs"}


@router.get("/status")
async def status(services: ServicesDep) -> dict[str, Any]:
    """What this server is, and how much of it is in use."""
    return answers.service_status(services.rooms.hub, VIDEO)


@router.get("/health")
async def health() -> dict[str, str]:
    """It answers."""
    return {"status": "healthy", "service": VIDEO}


@router.get("/cleanup/status")
async def cleanup_status(services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """Which of the caller's rooms the next sweep ends."""
    server = services.rooms
    rooms = server.own(VIDEO, caller)
    return {"success": True, "cleanup_status": answers.cleanup_status(server.hub, VIDEO, rooms)}


@router.post("/cleanup/manual")
async def cleanup(services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """Sweep the caller's rooms now: those that nobody used for an hour end."""
    before = len(services.rooms.own(VIDEO, caller))
    removed = await services.rooms.clean(VIDEO, caller)
    result = {
        "cleanup_triggered": True,
        "rooms_before": before,
        "rooms_after": len(services.rooms.own(VIDEO, caller)),
        "rooms_removed": removed,
        "timestamp": now_text(),
    }
    return {"success": True, "cleanup_result": result}


@router.get(_ROOMS)
async def list_rooms(workspace_id: RoomName, services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """The caller's rooms in a workspace; none when there is no such workspace."""
    rooms = [answers.listed(room) for room in services.rooms.own(VIDEO, caller, workspace_id)]
    return {"success": True, "workspace_id": workspace_id, "rooms": rooms, "total": len(rooms)}


@router.post(_ROOMS)
async def create_room(
    workspace_id: RoomName,
    services: ServicesDep,
    caller: PrincipalDep,
    body: CreateVideoRoom | None = None,
) -> dict[str, Any]:
    """Make a room, or find one's own that is the same; 409 when it was made otherwise."""
    asked = body or CreateVideoRoom.model_validate({})
    with unprocessable():
        settings = asked.settings()
    room = await services.rooms.create(VIDEO, workspace_id, asked.room_id, settings, caller)
    room_id = room.place.room_id
    message = f"Room {room_id} created in workspace {workspace_id}"
    return {"success": True, "workspace_id": workspace_id, "room_id": room_id, "message": message}


@router.get(_ROOM)
async def room_info(
    workspace_id: RoomName, room_id: RoomName, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Who is in a room, and how it was made."""
    room = _room(services.rooms, workspace_id, room_id, caller)
    await services.rooms.traffic.look([room])
    return {"success": True, "room": answers.info(room)}


@router.delete(_ROOM)
async def delete_room(
    workspace_id: RoomName, room_id: RoomName, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """End a room; everybody in it is told, and let go."""
    await services.rooms.delete(Place(VIDEO, workspace_id, room_id), caller)
    return {"success": True, "message": f"Room {room_id} deleted from workspace {workspace_id}"}


@router.get(_ROOM + "/state")
async def room_state(
    workspace_id: RoomName, room_id: RoomName, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """When the newest picture of a simple client came, and how pictures are sent."""
    return {"success": True, "state": answers.state(_room(services.rooms, workspace_id, room_id, caller))}


@router.post(_ROOM + "/webrtc/signal")
async def webrtc_signal(
    workspace_id: RoomName, room_id: RoomName, body: PostSignal, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Hand an offer, an answer or a candidate of a participant of the caller's to another one, or to the server."""
    room = _room(services.rooms, workspace_id, room_id, caller)
    message = body.message.model_dump(exclude_none=True)
    done = services.rooms.media.post(room, body.client_id, message, caller)
    return {"success": True, "workspace_id": workspace_id, "response": {"success": True, "message": done}}


@router.post(_ROOM + "/emergency_stop/reset")
async def reset_emergency_stop(
    workspace_id: RoomName, room_id: RoomName, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Release the room's e-stop; 409 while the arm of its session is latched."""
    room = _room(services.rooms, workspace_id, room_id, caller)
    services.rooms.reset(room, caller)
    return {"success": True, "estop_latched": room.estop_latched, "message": "The e-stop is released."}


@router.websocket(_ROOM + "/ws")
async def video_socket(
    socket: WebSocket,
    workspace_id: RoomName,
    room_id: RoomName,
    services: ServicesDep,
    caller: PrincipalDep,
) -> None:
    """Join the room. docs/rooms.md has the protocol."""
    await serve_room(socket, services.rooms, Place(VIDEO, workspace_id, room_id), caller)
