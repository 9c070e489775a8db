# SPDX-License-Identifier: Apache-2.0
"""What the bridge answers, as types: the keys that are always there. Answers are plain dicts and may hold more."""

from typing import Any, TypedDict


class Health(TypedDict):
    """GET /health; whom the bridge does not know hears of no sessions."""

    status: str


class SessionRooms(TypedDict):
    """Rooms of a session; its topics are there as well."""

    workspace_id: str
    camera_room_ids: dict[str, str]
    joint_input_room_id: str
    joint_output_room_id: str


class Session(TypedDict):
    """`status`: initializing, ready, running, stopped, timeout or error, then with `error_message`."""

    session_id: str
    status: str
    policy_path: str
    camera_names: list[str]
    workspace_id: str
    rooms: SessionRooms
    stats: dict[str, Any]
    inference_stats: dict[str, Any] | None
    error_message: str | None
    arm: str


class Done(TypedDict):
    """A sentence saying what was done."""

    message: str


class Arm(TypedDict):
    """`state`: idle, running, paused, stopped or emergency; `not_ready`: why a start would be refused."""

    arm: str
    is_virtual: bool
    state: str
    is_alive: bool
    estop_latched: bool
    session_id: str | None
    message: str
    not_ready: list[str]
    embodiment: dict[str, Any] | None
    cameras: list[str]
    sessions: list[str]


class SceneReset(TypedDict):
    """A new scene in the simulator."""

    reset: bool
    arm: str
    message: str
    task: dict[str, Any] | None


class ControlStatus(TypedDict):
    """One arm's guard: what it runs, what speaks against a start, and its counters."""

    state: str
    arm: str
    is_alive: bool
    estop_latched: bool
    error: str | None
    active_task: str | None
    available_tasks: list[str]
    session_id: str | None
    message: str
    not_ready: list[str]
    warning: str | None
    risk_level: str
    reset_refusals: list[str]
    cycle_count: int


class ControlDone(TypedDict):
    """The arm's state after a verb."""

    state: str
    arm: str
    message: str


class Started(ControlDone):
    """A run has begun."""

    started: bool
    task: str
    session_id: str
    n_cycles: int
    cycle_budget_ms: float


class Estopped(TypedDict):
    """`emergency_stop` is true when every arm acknowledged; `arms` says by whom."""

    emergency_stop: bool
    state: str
    arms: dict[str, dict[str, Any]]


class Boundaries(TypedDict):
    """All boundaries; `arms` says which check by this version."""

    boundaries: list[dict[str, Any]]
    config_version: int
    arms: dict[str, dict[str, Any]]


class Tasks(TypedDict):
    """All tasks."""

    tasks: list[dict[str, Any]]
    config_version: int
    arms: dict[str, dict[str, Any]]


class History(TypedDict):
    """Cycle events, oldest first."""

    events: list[dict[str, Any]]
    total: int


class RiskEvents(TypedDict):
    """Risk events, the newest first."""

    events: list[dict[str, Any]]
    count: int


class Recording(TypedDict):
    """One recording; times are seconds since 1970."""

    session_id: str
    filename: str
    size_mb: float
    created_at: float
    file_count: int
    total_cycles: int
    violation_cycles: int
    clamp_cycles: int
    has_images: bool
    arm: str
    active: bool
    damaged: bool
    damage: str


class Cycles(TypedDict):
    """`next_cycle` is where to go on; null at the end."""

    cycles: list[dict[str, Any]]
    count: int
    next_cycle: int | None


class Login(TypedDict):
    """A token for `expires_in` seconds."""

    access_token: str
    token_type: str
    expires_in: int


class Me(TypedDict):
    """`via`: local, login, token or ticket."""

    username: str
    role: str | None
    scopes: list[str]
    via: str


class User(TypedDict):
    """An account."""

    username: str
    role: str
    scopes: list[str]
    disabled: bool
    created_at: str


class ApiToken(TypedDict):
    """A token without its secret; times as ISO 8601."""

    id: str
    owner: str
    name: str
    prefix: str
    scopes: list[str]
    createdAt: str
    lastUsedAt: str | None


class NewApiToken(ApiToken):
    """`token` is the secret."""

    token: str


class Audit(TypedDict):
    """Calls that changed something, the newest first."""

    entries: list[dict[str, Any]]
    next_before: int | None
    dropped: int


class Ticket(TypedDict):
    """One WebSocket may be opened with it, within `expires_in` seconds."""

    ticket: str
    expires_in: int


class RoomMade(TypedDict):
    """A room of this workspace."""

    success: bool
    workspace_id: str
    room_id: str
    message: str


class Room(TypedDict):
    """`participants`: producer, consumers and total."""

    id: str
    workspace_id: str
    participants: dict[str, Any]


class RoomDone(TypedDict):
    """What was done to a room."""

    success: bool
    message: str


class Manifest(TypedDict):
    """A published item; what its kind has to say beside this is in it as well."""

    kind: str
    owner: str
    slugPath: str
    title: str
    status: str
    version: int
    ref: str


class MatchupSide(TypedDict):
    """`policyRef`, `title` and `recording` are told after the vote."""

    title: str
    policyRef: str
    simulationId: str
    browserUrl: str | None
    recording: str | None


class Matchup(TypedDict):
    """`status`: queued, starting, ready or failed, then `error` says why; `kind`: browser or physical."""

    id: str
    status: str
    voteUnlockAt: str | None
    kind: str
    error: str | None
    left: MatchupSide
    right: MatchupSide


class Leaderboard(TypedDict):
    """`winner` only when its interval lies above all others."""

    updated_at: str | None
    winner: str | None
    entries: list[dict[str, Any]]
