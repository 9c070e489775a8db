# SPDX-License-Identifier: Apache-2.0
"""Who may call what: one row for each route. A route without a row answers nobody, and fails a test.

docs/access.md is generated from this table; bridge/border.py enforces it before a body is read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lerobot_arena.core.errors import ArenaError, Forbidden, Unauthorized
from lerobot_arena.core.principal import (
    ADMIN,
    CATALOG_WRITE,
    ROOMS_JOIN,
    SESSIONS_OPERATE,
    SESSIONS_READ,
    Principal,
)

MAX_BODY_BYTES = 1_000_000
CHECKPOINTS, DATASETS = "/api/catalog/checkpoints", "/api/datasets/uploads"
MOUNT = "MOUNT"
"""Method of a row about a folder of files, with all that is below its path."""
WS = "WS"


class Need(StrEnum):
    """What a caller must be, beside having the row's scope."""

    PUBLIC = "anybody"
    OPEN_ON_LOOPBACK = "the person at the machine, or an account"
    ACCOUNT = "an account, also on loopback"
    ESTOP = "anybody on loopback, or any account; no scope, no limit"


class Owned(StrEnum):
    """What a route does with things that belong to somebody."""

    NOT = ""
    ONE = "404 for somebody else's"
    ARM = "403 while what would move is somebody else's"
    LIST = "one's own only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Access to one route. `path` is the template as FastAPI has it; `body_bytes` the largest body it takes."""

    method: str
    path: str
    need: Need
    scope: str = ""
    owned: Owned = Owned.NOT
    body_bytes: int = MAX_BODY_BYTES
    is_brake: bool = False
    """It ends motion: for a caller who is known it is never too often."""
    is_chatty: bool = False
    """Called many times a second: the audit log has it once a minute of each caller and path."""
    keeps_address: bool = True
    """Whether the audit log has the caller's address."""

    def refusal(self, caller: Principal) -> ArenaError | None:
        """Why `caller` may not; None when they may. Whose the thing is, only its route knows."""
        if self.need is Need.PUBLIC:
            return None
        if self.need is Need.ESTOP:
            return None if caller.is_user or caller.is_loopback else _nobody()
        if caller.via == "local":
            # Whoever stands at the robot may do all that needs no name.
            return None if self.need is Need.OPEN_ON_LOOPBACK else _nobody()
        if not caller.is_user:
            return _nobody()
        if self.scope and not caller.may(self.scope):
            return Forbidden(f"This needs the scope {self.scope}. {caller.name} does not have it.")
        return None


def _nobody() -> Unauthorized:
    return Unauthorized(
        "Log in (POST /auth/login) or send an API token: Authorization: Bearer <token>, or X-API-Key: <token>."
    )


def public(methods: str, path: str, *, body_bytes: int = MAX_BODY_BYTES) -> list[Row]:
    """Rows for anybody. `methods` are parted by spaces."""
    return _rows(methods, path, Need.PUBLIC, "", Owned.NOT, body_bytes)


def local(
    methods: str, path: str, scope: str, owned: Owned = Owned.NOT, *, body_bytes: int = MAX_BODY_BYTES
) -> list[Row]:
    """Rows for the person at the machine, and for an account with the scope."""
    return _rows(methods, path, Need.OPEN_ON_LOOPBACK, scope, owned, body_bytes)


def account(
    methods: str,
    path: str,
    scope: str = "",
    owned: Owned = Owned.NOT,
    *,
    body_bytes: int = MAX_BODY_BYTES,
) -> list[Row]:
    """Rows for an account with the scope, wherever it calls from."""
    return _rows(methods, path, Need.ACCOUNT, scope, owned, body_bytes)


def _rows(methods: str, path: str, need: Need, scope: str, owned: Owned, body_bytes: int) -> list[Row]:
    return [
        Row(method=method, path=path, need=need, scope=scope, owned=owned, body_bytes=body_bytes)
        for method in methods.split()
    ]


def both(*groups: list[Row]) -> list[Row]:
    """The rows, and the same below /api, where the hosted layout of the seeds has them."""
    rows = [row for group in groups for row in group]
    return rows + [replace(row, path=f"/api{row.path}") for row in rows]


def marked(rows: list[Row], **marks: Any) -> list[Row]:
    """The rows with some of their marks set or unset."""
    return [replace(row, **marks) for row in rows]


_ONE, _LIST = Owned.ONE, Owned.LIST
_ROOMS = "/workspaces/{workspace_id}/rooms"
_PAGES = [
    *public("GET", "/openapi.json"),
    *public("GET", "/docs"),
    *public(MOUNT, "/docs/files"),
    *public("GET", "/ui"),
    *public(MOUNT, "/ui"),
]
_SESSIONS = both(
    public("GET", "/"),
    public("GET", "/health"),
    local("GET", "/sessions", SESSIONS_READ, _LIST),
    local("POST", "/sessions", SESSIONS_OPERATE),
    local("GET", "/sessions/{session_id}", SESSIONS_READ, _ONE),
    local("DELETE", "/sessions/{session_id}", SESSIONS_OPERATE, _ONE),
    local("POST", "/sessions/{session_id}/start", SESSIONS_OPERATE, _ONE),
    local("POST", "/sessions/{session_id}/restart", SESSIONS_OPERATE, _ONE),
    # Whoever may stop something may stop everything.
    marked(local("POST", "/sessions/{session_id}/stop", SESSIONS_OPERATE), is_brake=True),
    local("GET", "/debug/system", SESSIONS_READ),
    local("GET", "/debug/logs", ADMIN),
    local("POST", "/debug/sessions/{session_id}/reset", SESSIONS_OPERATE, _ONE),
    local("GET", "/debug/sessions/{session_id}/queue", SESSIONS_READ, _ONE),
)
_CONTROL = [
    *local("GET", "/api/arms", SESSIONS_READ, _LIST),
    *local("POST", "/api/arms/{arm:path}/scene/reset", SESSIONS_OPERATE),
    *local("GET", "/api/control/status", SESSIONS_READ),
    *local("POST", "/api/control/start", SESSIONS_OPERATE, Owned.ARM),
    *local("POST", "/api/control/resume", SESSIONS_OPERATE, Owned.ARM),
    *marked(local("POST", "/api/control/pause", SESSIONS_OPERATE), is_brake=True),
    *marked(local("POST", "/api/control/stop", SESSIONS_OPERATE), is_brake=True),
    *local("POST", "/api/control/reset", SESSIONS_OPERATE),
    Row(method="POST", path="/api/control/estop", need=Need.ESTOP),
]
_GUARD = [
    *local("GET", "/api/boundaries", SESSIONS_READ),
    *local("POST", "/api/boundaries", SESSIONS_OPERATE),
    *local("GET", "/api/boundaries/{name}", SESSIONS_READ),
    *local("PUT DELETE", "/api/boundaries/{name}", SESSIONS_OPERATE),
    *local("GET", "/api/tasks", SESSIONS_READ),
    *local("POST", "/api/tasks", SESSIONS_OPERATE),
    *local("GET", "/api/tasks/{name}", SESSIONS_READ),
    *local("PUT DELETE", "/api/tasks/{name}", SESSIONS_OPERATE),
    *local("GET", "/api/catalog/callbacks", SESSIONS_READ),
    *local("GET", "/api/catalog/guards", SESSIONS_READ),
]
_TELEMETRY = [
    *local("GET", "/api/telemetry/history", SESSIONS_READ),
    *local(WS, "/ws/telemetry", SESSIONS_READ),
    *local("GET", "/metrics", ADMIN),
]
_RECORDED = [
    *local("GET", "/api/recorder/status", SESSIONS_READ),
    *local("POST", "/api/recorder/{verb}", SESSIONS_OPERATE),
    *local("GET", "/api/risk-log", SESSIONS_READ),
    *local("GET", "/api/risk-log/stats", SESSIONS_READ),
    *local("GET", "/api/risk-log/export/json", SESSIONS_READ),
    *local("GET", "/api/risk-log/export/csv", SESSIONS_READ),
    *local("GET", "/api/risk-log/mcap/{filename}", SESSIONS_READ),
    *local("GET", "/api/risk-log/{event_id}", SESSIONS_READ),
    *local("POST", "/api/risk-log/clear", ADMIN),
    *both(
        local("GET", "/mcap/sessions", SESSIONS_READ),
        local("GET", "/mcap/sessions/{session_id}", SESSIONS_READ),
        local("DELETE", "/mcap/sessions/{session_id}", SESSIONS_OPERATE),
        local("GET", "/mcap/sessions/{session_id}/download", SESSIONS_READ),
        local("GET", "/mcap/sessions/{session_id}/cycles", SESSIONS_READ),
        local("GET", "/mcap/sessions/{session_id}/cycles/{cycle_id}", SESSIONS_READ),
        local("GET", "/mcap/sessions/{session_id}/frame", SESSIONS_READ),
    ),
]
_ROOMS_ROWS = [
    row
    for kind in ("/robotics", "/video")
    for row in both(
        local("GET", f"{kind}/status", ROOMS_JOIN),
        public("GET", f"{kind}/health"),
        local("GET", f"{kind}/cleanup/status", ROOMS_JOIN, _LIST),
        local("POST", f"{kind}/cleanup/manual", ROOMS_JOIN, _LIST),
        local("GET", f"{kind}{_ROOMS}", ROOMS_JOIN, _LIST),
        local("POST", f"{kind}{_ROOMS}", ROOMS_JOIN),
        # Who knows workspace and room may join; the rooms of a session, only who sees the session.
        local("GET", f"{kind}{_ROOMS}/{{room_id}}", ROOMS_JOIN, _ONE),
        local("DELETE", f"{kind}{_ROOMS}/{{room_id}}", ROOMS_JOIN, _ONE),
        local("GET", f"{kind}{_ROOMS}/{{room_id}}/state", ROOMS_JOIN, _ONE),
        local("POST", f"{kind}{_ROOMS}/{{room_id}}/emergency_stop/reset", ROOMS_JOIN, _ONE),
        # Its first message says who wants to join as what; somebody else's room is refused then.
        local(WS, f"{kind}{_ROOMS}/{{room_id}}/ws", ROOMS_JOIN),
    )
] + both(
    local("GET", "/video/", ROOMS_JOIN),
    marked(local("POST", f"/robotics{_ROOMS}/{{room_id}}/command", ROOMS_JOIN, _ONE), is_chatty=True),
    marked(local("POST", f"/video{_ROOMS}/{{room_id}}/webrtc/signal", ROOMS_JOIN, _ONE), is_chatty=True),
)
# Logins, tokens, users: what they change is always the caller's own, or an admin's business.
_ACCOUNTS = [
    *public("POST", "/auth/login", body_bytes=10_000),
    *public("POST", "/auth/first-admin", body_bytes=10_000),
    *local("GET", "/auth/me", ""),
    *account("POST", "/auth/logout"),
    *account("POST", "/auth/password"),
    *account("POST", "/auth/ticket"),
    *account("GET POST", "/auth/users", ADMIN),
    *account("PATCH DELETE", "/auth/users/{name}", ADMIN),
    *account("GET", "/api/api-tokens", "", _LIST),
    *account("POST DELETE", "/api/api-tokens", ""),
    *account("DELETE", "/api/api-tokens/{tokenId}", "", _ONE),
    *local("GET", "/api/audit", ADMIN),
]
# Seed 2 has these public: strangers launch and judge browser runs only. A vote on a robot's runs needs the scope
# sessions:operate, which only the matchup tells (platform/arena/service.py). A voter's address is stored nowhere.
_ARENA = [
    *marked(public("POST", "/api/arena/launch", body_bytes=10_000), keeps_address=False),
    *account("POST", "/api/arena/trials", SESSIONS_OPERATE, body_bytes=10_000),
    *public("GET", "/api/arena/matchup/{matchup_id}"),
    *marked(public("POST", "/api/arena/control", body_bytes=10_000), keeps_address=False),
    *marked(public("POST", "/api/arena/vote", body_bytes=10_000), keeps_address=False),
    *public("GET", "/arena"),
    *public("GET", "/leaderboard"),
    *public("GET", "/arena/run/{matchup_id}/{simulation_id}"),
    *public("GET", "/arena/run/{matchup_id}/{simulation_id}/run.json"),
    *public("GET", "/arena/run/{matchup_id}/{simulation_id}/policy.onnx"),
    *public("GET", "/v1/leaderboard"),
    *public("GET", "/v1/leaderboard/wins"),
    *public("GET", "/v1/leaderboard/trials"),
]
# What is published is public; publishing is an account's, also at the machine itself.
_CATALOG = [
    *account("POST", "/api/publish/scenes", CATALOG_WRITE, body_bytes=100_000_000),
    *account("POST", "/api/publish/robots", CATALOG_WRITE, body_bytes=140_000_000),
    *account("POST", "/api/publish/policies", CATALOG_WRITE, body_bytes=280_000_000),
    *account("POST", CHECKPOINTS, CATALOG_WRITE, body_bytes=2_000_000_000),
    *public("GET", "/api/catalog/files/{sha256}/{name}"),
    *public("GET", "/api/catalog/{kinds}"),
    *public("GET", "/api/catalog/{kinds}/{owner}/{slug:path}/versions"),
    *public("GET", "/api/catalog/{kinds}/{owner}/{slug:path}"),
    *account("DELETE", "/api/catalog/{kinds}/{owner}/{slug:path}", CATALOG_WRITE, _ONE),
    *account("GET", DATASETS, "", _LIST),
    *account("POST", DATASETS, CATALOG_WRITE, body_bytes=2_000_000_000),
    *account("DELETE", f"{DATASETS}/{{record_id}}", CATALOG_WRITE, _ONE),
    # A video element sends no headers: the link itself is signed, for an hour.
    *public("GET", "/api/datasets/files/{record_id}/{name}"),
    *account("GET", "/api/deployments", "", _LIST),
    *account("POST", "/api/deployments", CATALOG_WRITE),
    *account("GET", "/api/rollout", "", _LIST),
    *account("GET", "/deployments/{owner}/{slug}", "", _ONE),
    *account("DELETE", "/deployments/{owner}/{slug}", CATALOG_WRITE, _ONE),
    # Which scope it needs, the kind of the deployment tells. Policies that see are sent pictures.
    *account("POST", "/deployments/{owner}/{slug}", "", _ONE, body_bytes=8_000_000),
    *public("GET", "/{owner}"),
    *public("GET", "/{owner}/{path:path}"),
]
ROWS: tuple[Row, ...] = (
    *_PAGES,
    *_SESSIONS,
    *_CONTROL,
    *_GUARD,
    *_TELEMETRY,
    *_RECORDED,
    *_ACCOUNTS,
    *_ROOMS_ROWS,
    *_ARENA,
    *_CATALOG,
)


def with_uploads(most_bytes: Mapping[str, int], rows: Iterable[Row] = ROWS) -> list[Row]:
    """The rows, with other largest files for POST paths: room is left for the fields beside them."""
    return [
        replace(row, body_bytes=most_bytes[row.path] + MAX_BODY_BYTES)
        if row.method == "POST" and row.path in most_bytes
        else row
        for row in rows
    ]


def table(rows: Iterable[Row] = ROWS) -> dict[tuple[str, str], Row]:
    """Rows by method and path template. Raises ValueError when two say how to reach the same route."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        if found.setdefault((row.method, row.path), row) is not row:
            raise ValueError(f"{row.method} {row.path} has two rows in the access table")
    return found
