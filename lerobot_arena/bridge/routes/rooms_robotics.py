# SPDX-License-Identifier: Apache-2.0
"""Robotics rooms, as the LeRobot Arena transport server has them: workspaces, rooms, commands, and the socket."""

from typing import Any

from fastapi import APIRouter, WebSocket

from lerobot_arena.bridge import rooms_answers as answers
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.errors import unprocessable
from lerobot_arena.bridge.rooms_models import CommandRoom, CreateRoboticsRoom, RoomName
from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.bridge.rooms_socket import serve_room
from lerobot_arena.core.principal import Principal
from lerobot_arena.core.room import ROBOTICS
from lerobot_arena.rooms.messages import now_text
from lerobot_arena.rooms.robotics import RoboticsRoom
from lerobot_arena.rooms.room import Place

router = APIRouter(prefix="/robotics", tags=["Robotics rooms"])
_ROOMS = "/workspaces/{workspace_id}/rooms"
_ROOM = _ROOMS + "/{room_id}"


def _room(server: RoomServer, workspace_id: str, room_id: str, caller: Principal) -> RoboticsRoom:
    room = server.seen(Place(ROBOTICS, workspace_id, room_id), caller)
    assert isinstance(room, RoboticsRoom)
    return room


@router.get("/status")
async def status(services: ServicesDep) -> dict[str, Any]:
    """What this server is, and how much of it is in use."""
    return answers.service_status(services.rooms.hub, ROBOTICS)


@router.get("/health")
async def health() -> dict[str, str]:
    """It answers."""
    return {"status": "healthy", "service": ROBOTICS}


@router.get("/cleanup/status")
async def cleanup_status(services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """Which of the caller's rooms the next sweep ends."""
    server = services.rooms
    rooms = server.own(ROBOTICS, caller)
    return {"success": True, "cleanup_status": answers.cleanup_status(server.hub, ROBOTICS, rooms)}


@router.post("/cleanup/manual")
async def cleanup(services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """Sweep the caller's rooms now: those that nobody used for an hour end."""
    before = len(services.rooms.own(ROBOTICS, caller))
    removed = await services.rooms.clean(ROBOTICS, caller)
    result = {
        "cleanup_triggered": True,
        "rooms_before": before,
        "rooms_after": len(services.rooms.own(ROBOTICS, caller)),
        "rooms_removed": removed,
        "timestamp": now_text(),
    }
    return {"success": True, "cleanup_result": result}


@router.get(_ROOMS)
async def list_rooms(workspace_id: RoomName, services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """The caller's rooms in a workspace; none when there is no such workspace."""
    rooms = [answers.listed(room) for room in services.rooms.own(ROBOTICS, caller, workspace_id)]
    return {"success": True, "workspace_id": workspace_id, "rooms": rooms, "total": len(rooms)}


@router.post(_ROOMS)
async def create_room(
    workspace_id: RoomName,
    services: ServicesDep,
    caller: PrincipalDep,
    body: CreateRoboticsRoom | None = None,
) -> dict[str, Any]:
    """Make a room, or find one's own that is the same; 409 when it was made otherwise."""
    asked = body or CreateRoboticsRoom.model_validate({})
    with unprocessable():
        settings = asked.settings()
        settings.joints()
    room = await services.rooms.create(ROBOTICS, workspace_id, asked.room_id, settings, caller)
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
    await services.rooms.delete(Place(ROBOTICS, workspace_id, room_id), caller)
    return {"success": True, "message": f"Room {room_id} deleted from workspace {workspace_id}"}


@router.get(_ROOM + "/state")
async def room_state(
    workspace_id: RoomName, room_id: RoomName, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The newest joint values."""
    return {"success": True, "state": answers.state(_room(services.rooms, workspace_id, room_id, caller))}


@router.post(_ROOM + "/command")
async def command(
    workspace_id: RoomName, room_id: RoomName, body: CommandRoom, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Say joint values without joining. 409 while the e-stop is latched, or the robot side produces here."""
    room = _room(services.rooms, workspace_id, room_id, caller)
    updated = services.rooms.command(room, [joint.model_dump(exclude_none=True) for joint in body.joints])
    return {
        "success": True,
        "workspace_id": workspace_id,
        "room_id": room_id,
        "joints_updated": updated,
        "message": f"{updated} joints updated",
    }


@router.post(_ROOM + "/emergency_stop/reset")
async def reset_emergency_stop(
    workspace_id: RoomName, room_id: RoomName, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Release the room's e-stop; 409 while the arm of its session is latched."""
    room = _room(services.rooms, workspace_id, room_id, caller)
    services.rooms.reset(room, caller)
    return {"success": True, "estop_latched": room.estop_latched, "message": "The e-stop is released."}


@router.websocket(_ROOM + "/ws")
async def robotics_socket(
    socket: WebSocket,
    workspace_id: RoomName,
    room_id: RoomName,
    services: ServicesDep,
    caller: PrincipalDep,
) -> None:
    """Join the room. docs/rooms.md has the protocol."""
    await serve_room(socket, services.rooms, Place(ROBOTICS, workspace_id, room_id), caller)
