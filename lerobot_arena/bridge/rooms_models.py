# SPDX-License-Identifier: Apache-2.0
"""Bodies of the room routes, field for field those of the LeRobot Arena transport server; ours are optional."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lerobot_arena.core.units import UNITS
from lerobot_arena.rooms.robotics import RoboticsSettings
from lerobot_arena.rooms.room import DEFAULT_CONSUMERS, MOST_CONSUMERS
from lerobot_arena.rooms.video import VideoSettings
from lerobot_arena.rooms.video_config import recovery_config, video_config

RoomName = Annotated[str, Field(max_length=200)]
_MAX_AGE = Field(
    None, ge=0.02, le=10.0, allow_inf_nan=False, description="Refuse what is older than this many seconds."
)


class _CreateRoom(BaseModel):
    room_id: str | None = Field(None, max_length=64, description="Absent: a UUID.")
    workspace_id: str | None = Field(None, description="Ignored: the path says it.")
    name: str | None = Field(None, max_length=200)
    max_consumers: int | None = Field(
        None, ge=1, le=MOST_CONSUMERS, description=f"{DEFAULT_CONSUMERS} when absent."
    )
    max_age_s: float | None = _MAX_AGE


class CreateRoboticsRoom(_CreateRoom):
    robot_type: str | None = Field(None, max_length=50)
    unit: str | None = Field(None, description=f"One of {', '.join(UNITS)}. With it, values have its ranges.")
    joint_names: list[Annotated[str, Field(min_length=1, max_length=50)]] | None = Field(
        None, max_length=64, description="The joints there are; absent: any."
    )
    takeover_s: float | None = Field(
        None,
        ge=1.0,
        le=3600.0,
        allow_inf_nan=False,
        description="A producer that said nothing for so long gives way to another one that comes.",
    )

    def settings(self) -> RoboticsSettings:
        """What was asked for, the rest as by default."""
        given = {
            name: value
            for name, value in self.model_dump(exclude={"room_id", "workspace_id"}).items()
            if value is not None
        }
        if "joint_names" in given:
            given["joint_names"] = tuple(given["joint_names"])
        return RoboticsSettings(**given)


class CreateVideoRoom(_CreateRoom):
    config: dict[str, Any] | None = Field(None, description="How pictures are sent; see docs/video.md.")
    recovery_config: dict[str, Any] | None = Field(None, description="What is shown when none come.")

    def settings(self) -> VideoSettings:
        """What was asked for, the rest as by default. Raises InvalidInput naming the field."""
        given = {
            name: value
            for name, value in self.model_dump(include={"name", "max_consumers", "max_age_s"}).items()
            if value is not None
        }
        config = self.config or {}
        return VideoSettings(
            config=video_config(config),
            recovery=recovery_config(self.recovery_config or {}),
            has_size=config.get("resolution") is not None,
            has_rate=config.get("framerate") is not None,
            **given,
        )


class JointCommand(BaseModel):
    name: str = Field(min_length=1, max_length=50)
    value: float = Field(ge=-360, le=360, allow_inf_nan=False)
    speed: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)


class CommandRoom(BaseModel):
    joints: list[JointCommand] = Field(min_length=1, max_length=20)


class SignalMessage(BaseModel):
    type: Literal["offer", "answer", "ice"]
    sdp: str | None = Field(None, max_length=100_000)
    candidate: dict[str, Any] | None = None
    target_consumer: str | None = Field(None, min_length=1, max_length=100)
    target_producer: str | None = Field(None, min_length=1, max_length=100)


class PostSignal(BaseModel):
    client_id: str = Field(min_length=1, max_length=100)
    message: SignalMessage
