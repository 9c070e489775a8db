# SPDX-License-Identifier: Apache-2.0
"""Bodies of seed 1, field for field; what we add is optional. Their schemas are part of the published OpenAPI."""

from typing import Any

from pydantic import BaseModel, Field, field_validator

from lerobot_arena.core.units import UNITS

_MAX_TEXT = 2000


class CreateSessionRequest(BaseModel):
    session_id: str
    policy_path: str
    camera_names: list[str] = ["front"]
    arena_server_url: str = "http://localhost:8000"
    workspace_id: str | None = None
    language_instruction: str | None = Field(
        None, max_length=_MAX_TEXT, description="Task text for policies that read one."
    )
    policy_type: str | None = Field(
        None, max_length=64, description="Kind of policy; absent: what the checkpoint says."
    )
    robot: str | None = Field(
        None,
        max_length=256,
        description="Namespace of the arm to drive, as GET /api/arms lists it. Absent: a virtual arm whose joints come "
        "from clients through the session's rooms.",
    )
    unit: str | None = Field(
        None,
        max_length=16,
        description=f"Unit of the joint values: {', '.join(UNITS)}. Absent: the checkpoint's.",
    )
    rate_hz: float | None = Field(
        None,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="Rate of its training. Absent: the checkpoint's.",
    )
    joint_names: list[str] | None = Field(
        None, max_length=64, description="Joint order of the policy. Absent: the checkpoint's."
    )

    @field_validator("*")
    @classmethod
    def _is_sendable(cls, value: Any) -> Any:
        """Half a character and NUL fit into JSON, but not into UTF-8, SQL or a ROS string."""
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and ("\0" in text or any("\ud800" <= char <= "\udfff" for char in text)):
                raise ValueError("text must be whole Unicode characters without NUL")
        return value


class CreateSessionResponse(BaseModel):
    workspace_id: str
    camera_room_ids: dict[str, str]
    joint_input_room_id: str
    joint_output_room_id: str
    topics: dict[str, Any] = Field({}, description="ROS topics behind the rooms.")


class SessionStatusResponse(BaseModel):
    session_id: str
    status: str
    policy_path: str
    camera_names: list[str]
    workspace_id: str
    rooms: dict[str, Any]
    stats: dict[str, Any]
    inference_stats: dict[str, Any] | None = None
    error_message: str | None = None
    arm: str = Field("", description="Namespace of the arm this session drives.")
    kind: str = Field(
        "inference", description="What kind of session this is; `?kind=` narrows the list to one."
    )
    owner: str = Field("local", description="Whose it is; `local` is the person at the machine.")
