# SPDX-License-Identifier: Apache-2.0
"""Rooms over REST: made, listed, looked into, commanded and deleted. Joining one: joint_room.py, picture_room.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from lerobot_arena.client import answers
from lerobot_arena.client.address import segment
from lerobot_arena.client.call import READ_TIMEOUT_S, Call, as_object, get, inside, post
from lerobot_arena.client.endpoint import Group, endpoint
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.strict import is_finite

ROBOTICS, VIDEO = "robotics", "video"


def rooms_path(kind: str, workspace_id: str, room_id: str | None = None, *more: str) -> str:
    """The path of a workspace's rooms, of one, or of something below it."""
    path = f"/{kind}/workspaces/{segment(workspace_id)}/rooms"
    return "/".join((path, *((segment(room_id),) if room_id is not None else ()), *more))


def _made(kind: str, workspace_id: str, body: Mapping[str, Any]) -> Call[answers.RoomMade]:
    sent = {key: value for key, value in body.items() if value is not None}
    return post(rooms_path(kind, workspace_id), as_object, sent, timeout_s=READ_TIMEOUT_S)


def _deleted(kind: str, workspace_id: str, room_id: str) -> Call[answers.RoomDone]:
    return Call("DELETE", rooms_path(kind, workspace_id, room_id), as_object)


def _estop_released(kind: str, workspace_id: str, room_id: str) -> Call[dict[str, Any]]:
    path = rooms_path(kind, workspace_id, room_id, "emergency_stop", "reset")
    return post(path, as_object, timeout_s=READ_TIMEOUT_S)


def joint_values(joints: Mapping[str, float]) -> list[dict[str, Any]]:
    """Joints as rooms take them. Raises InvalidInput for a value that is not finite: it must not leave."""
    if not joints:
        raise InvalidInput("There are no joints to send.")
    for name, value in joints.items():
        if isinstance(value, bool) or not hasattr(value, "__float__") or not is_finite(value):
            raise InvalidInput(f"Joint {name!r} is {value!r}: a finite number belongs there.")
    return [{"name": name, "value": float(value)} for name, value in joints.items()]


def list_rooms(workspace_id: str) -> Call[list[answers.Room]]:
    """Joint rooms of a workspace."""
    return get(rooms_path(ROBOTICS, workspace_id), inside("rooms"))


def create_room(
    workspace_id: str,
    room_id: str | None = None,
    *,
    name: str | None = None,
    max_consumers: int | None = None,
    unit: str | None = None,
    joint_names: Sequence[str] | None = None,
) -> Call[answers.RoomMade]:
    """Make a joint room; without an id it gets one. The same again by the same owner changes nothing.

    With `unit` or `joint_names` it takes these joints only, within that unit's ranges.
    """
    body = {
        "room_id": room_id,
        "name": name,
        "max_consumers": max_consumers,
        "unit": unit,
        "joint_names": list(joint_names) if joint_names is not None else None,
    }
    return _made(ROBOTICS, workspace_id, body)


def get_room(workspace_id: str, room_id: str) -> Call[answers.Room]:
    """Who is in a room."""
    return get(rooms_path(ROBOTICS, workspace_id, room_id), inside("room"))


def room_state(workspace_id: str, room_id: str) -> Call[dict[str, Any]]:
    """The joints a room knows."""
    return get(rooms_path(ROBOTICS, workspace_id, room_id, "state"), inside("state"))


def command_room(workspace_id: str, room_id: str, joints: Mapping[str, float]) -> Call[dict[str, Any]]:
    """Joint values from nobody in the room; refused while it has a producer of its own."""
    body = {"joints": joint_values(joints)}
    return post(
        rooms_path(ROBOTICS, workspace_id, room_id, "command"), as_object, body, timeout_s=READ_TIMEOUT_S
    )


def reset_room_estop(workspace_id: str, room_id: str) -> Call[dict[str, Any]]:
    """Release a room's e-stop. Raises Conflict while the arm of its session is latched."""
    return _estop_released(ROBOTICS, workspace_id, room_id)


def delete_room(workspace_id: str, room_id: str) -> Call[answers.RoomDone]:
    """Delete a room; everybody in it is told."""
    return _deleted(ROBOTICS, workspace_id, room_id)


class RoboticsRooms[Via](Group[Via]):
    """Rooms for joints."""

    list = endpoint(list_rooms)
    create = endpoint(create_room)
    get = endpoint(get_room)
    state = endpoint(room_state)
    command = endpoint(command_room)
    reset_estop = endpoint(reset_room_estop)
    delete = endpoint(delete_room)


def list_video_rooms(workspace_id: str) -> Call[list[answers.Room]]:
    """Video rooms of a workspace."""
    return get(rooms_path(VIDEO, workspace_id), inside("rooms"))


def create_video_room(
    workspace_id: str,
    room_id: str | None = None,
    *,
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    recovery_config: Mapping[str, Any] | None = None,
    max_consumers: int | None = None,
) -> Call[answers.RoomMade]:
    """Make a video room; `config` and `recovery_config` are those of docs/video.md."""
    body = {
        "room_id": room_id,
        "name": name,
        "config": dict(config) if config is not None else None,
        "recovery_config": dict(recovery_config) if recovery_config is not None else None,
        "max_consumers": max_consumers,
    }
    return _made(VIDEO, workspace_id, body)


def get_video_room(workspace_id: str, room_id: str) -> Call[answers.Room]:
    """Who is in a room, and how its video is meant to be."""
    return get(rooms_path(VIDEO, workspace_id, room_id), inside("room"))


def video_room_state(workspace_id: str, room_id: str) -> Call[dict[str, Any]]:
    """How many frames there were, and when the last came."""
    return get(rooms_path(VIDEO, workspace_id, room_id, "state"), inside("state"))


def signal(
    workspace_id: str, room_id: str, client_id: str, message: Mapping[str, Any]
) -> Call[dict[str, Any]]:
    """A WebRTC offer, answer or ICE candidate of a participant of ours."""
    body = {"client_id": client_id, "message": dict(message)}
    path = rooms_path(VIDEO, workspace_id, room_id, "webrtc", "signal")
    return post(path, as_object, body, timeout_s=READ_TIMEOUT_S)


def reset_video_room_estop(workspace_id: str, room_id: str) -> Call[dict[str, Any]]:
    """Release a room's e-stop. Raises Conflict while the arm of its session is latched."""
    return _estop_released(VIDEO, workspace_id, room_id)


def delete_video_room(workspace_id: str, room_id: str) -> Call[answers.RoomDone]:
    """Delete a room; everybody in it is told."""
    return _deleted(VIDEO, workspace_id, room_id)


class VideoRooms[Via](Group[Via]):
    """Rooms for cameras."""

    list = endpoint(list_video_rooms)
    create = endpoint(create_video_room)
    get = endpoint(get_video_room)
    state = endpoint(video_room_state)
    signal = endpoint(signal)
    reset_estop = endpoint(reset_video_room_estop)
    delete = endpoint(delete_video_room)
