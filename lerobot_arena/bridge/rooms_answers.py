# SPDX-License-Identifier: Apache-2.0
"""What the room routes answer, from rooms alone: fields of lerobot-arena-upstream §1.1 and §1.3, then ours."""

from datetime import UTC, datetime
from typing import Any

from lerobot_arena.core import topics
from lerobot_arena.core.room import ROBOTICS
from lerobot_arena.rooms.hub import INACTIVITY_S, SWEEP_S, Hub
from lerobot_arena.rooms.media_wire import CONSUMER, PRODUCER
from lerobot_arena.rooms.messages import now_text
from lerobot_arena.rooms.robotics import RoboticsRoom
from lerobot_arena.rooms.room import Room
from lerobot_arena.rooms.video import VideoRoom
from lerobot_arena.rooms.video_config import ENCODINGS, POLICIES

VERSION = "2.0.0"
ROBOT_TYPES = ("so-arm100", "generic")


def listed(room: Room) -> dict[str, Any]:
    """One of GET …/rooms."""
    answer: dict[str, Any] = {
        "id": room.place.room_id,
        "workspace_id": room.place.workspace_id,
        "participants": room.participants(),
    }
    if isinstance(room, RoboticsRoom):
        answer["joints_count"] = len(room.state)
    elif isinstance(room, VideoRoom):
        answer |= {"frame_count": room.frame_count, "config": room.config.to_json()}
    return {**answer, "session_id": room.tie.session_id if room.tie else None}


def info(room: Room) -> dict[str, Any]:
    """GET …/rooms/{room_id}."""
    said = room.participants()
    answer = {
        **listed(room),
        "has_producer": said["producer"] is not None,
        "active_consumers": len(said["consumers"]),
        "max_consumers": room.max_consumers,
        "estop_latched": room.estop_latched,
        "topic": topics.room(room.place.workspace_id, room.place.room_id),
        "ros_publishers": room.ros_producers,
        "is_ros_only": room.is_ros_only,
    }
    if isinstance(room, RoboticsRoom):
        known = room.joints()
        more: dict[str, Any] = {
            "unit": room.own_unit,
            "joint_names": list(known.joint_names),
            "name": room.settings.name,
        }
        return {**answer, **more, "max_age_s": room.settings.max_age_s, "merged": _merged(room)}
    assert isinstance(room, VideoRoom)
    more = {"recovery_config": room.recovery.to_json(), "name": room.settings.name}
    return {**answer, **more, "max_age_s": room.settings.max_age_s, "frames_thinned": room.frames_thinned}


def _merged(room: Room) -> int:
    return sum(member.mailbox.merged_total for member in room.members.values())


def state(room: Room) -> dict[str, Any]:
    """GET …/rooms/{room_id}/state."""
    answer: dict[str, Any] = {
        "room_id": room.place.room_id,
        "workspace_id": room.place.workspace_id,
        "participants": room.participants(),
        "timestamp": now_text(),
        "estop_latched": room.estop_latched,
    }
    if isinstance(room, RoboticsRoom):
        return {**answer, **room.latched_state()}
    assert isinstance(room, VideoRoom)
    last = room.last_frame_wall_ns
    return {
        **answer,
        "frame_count": room.frame_count,
        "last_frame_time": datetime.fromtimestamp(last / 1e9, UTC).isoformat() if last else None,
        "current_config": room.config.to_json(),
    }


def service_status(hub: Hub, kind: str) -> dict[str, Any]:
    """GET /robotics/status and /video/status."""
    rooms = hub.of_kind(kind)
    answer = {
        "service": kind,
        "status": "active",
        "workspaces_count": len(hub.workspaces(kind)),
        "rooms_count": len(rooms),
        "connections_count": sum(len(room.members) for room in rooms),
        "version": VERSION,
        "supported_roles": [PRODUCER, CONSUMER],
        "cleanup": {
            "enabled": True,
            "inactivity_timeout_hours": INACTIVITY_S / 3600.0,
            "cleanup_interval_minutes": SWEEP_S / 60.0,
        },
    }
    if kind == ROBOTICS:
        return {**answer, "supported_robot_types": list(ROBOT_TYPES)}
    return {**answer, "supported_encodings": list(ENCODINGS), "supported_recovery_policies": list(POLICIES)}


def cleanup_status(hub: Hub, kind: str, rooms: list[Room]) -> dict[str, Any]:
    """`cleanup_status` of those rooms."""
    return {
        "service": kind,
        "cleanup_enabled": True,
        "inactivity_timeout_minutes": INACTIVITY_S / 60.0,
        "cleanup_interval_minutes": SWEEP_S / 60.0,
        "total_rooms": len(rooms),
        "rooms": [
            {
                "workspace_id": room.place.workspace_id,
                "room_id": room.place.room_id,
                "age_minutes": (hub.clock.steady_ns() - room.created_ns) / 60e9,
                "inactivity_minutes": hub.idle_s(room) / 60.0,
                "has_connections": bool(room.members),
                "will_be_cleaned": hub.is_due(room),
            }
            for room in rooms
        ],
        "timestamp": now_text(),
    }
