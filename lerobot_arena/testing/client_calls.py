# SPDX-License-Identifier: Apache-2.0
"""Every call once, in an order that works on a new bridge: what is asked, and what has to come of it."""

from dataclasses import dataclass, field
from typing import Any

from lerobot_arena.client import answers
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, NotFound

BOUNDARY = {"name": "slow", "nodes": [{"callback": "task_timeout", "params": {"timeout_s": 60.0}}]}
TASK = {"name": "pick", "boundaries": ["slow"]}


@dataclass(frozen=True)
class Step:
    """`shape`: a TypedDict whose keys all have to be there. `error`: what is raised. `has`: parts of the answer."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    shape: Any = None
    is_list: bool = False
    error: type[ArenaError] | None = None
    has: Any = None


def step(
    name: str,
    *args: Any,
    shape: Any = None,
    many: Any = None,
    error: Any = None,
    has: Any = None,
    **kwargs: Any,
) -> Step:
    """A Step; `many`: a list of such TypedDicts."""
    return Step(name, args, kwargs, many or shape, many is not None, error, has)


ON_AN_ARM = (
    step("health", shape=answers.Health, has={"status": "healthy"}),
    step("arms.list", many=answers.Arm),
    step(
        "sessions.create",
        "s",
        "demo",
        robot="arm",
        camera_names=["front", "wrist"],
        shape=answers.SessionRooms,
    ),
    step("sessions.create", "s", "demo", robot="arm", error=Conflict),
    step("sessions.list", many=answers.Session),
    step("sessions.list", kind="inference", many=answers.Session),
    step(
        "sessions.get",
        "s",
        shape=answers.Session,
        has={"session_id": "s", "camera_names": ["front", "wrist"]},
    ),
    step("sessions.get", "nobody", error=NotFound),
    step("sessions.queue", "s", has={"session_id": "s"}),
    step("sessions.start", "s", shape=answers.Done),
    step("control.status", shape=answers.ControlStatus, has={"state": "running", "arm": "arm"}),
    step("control.pause", shape=answers.ControlDone, has={"state": "paused"}),
    step("control.resume", "arm", shape=answers.ControlDone, has={"state": "running"}),
    step("control.stop", shape=answers.ControlDone, has={"state": "stopped"}),
    step(
        "control.start",
        "default",
        n_cycles=5000,
        shape=answers.Started,
        has={"started": True, "n_cycles": 5000},
    ),
    step("telemetry.history", 1, shape=answers.History),
    step("control.estop", shape=answers.Estopped, has={"emergency_stop": True}),
    step("control.start", error=Conflict),
    step("control.reset", shape=answers.ControlDone, has={"arm": "arm"}),
    step("estop", "arm", shape=answers.Estopped, has={"emergency_stop": True}),
    step("control.reset", "arm", shape=answers.ControlDone),
    step("sessions.restart", "s", shape=answers.Done),
    step("sessions.stop", "s", shape=answers.Done),
    step("sessions.reset", "s", shape=answers.Done),
    step("arms.reset_scene", "arm", shape=answers.SceneReset, has={"reset": True}),
    step("sessions.delete", "s", shape=answers.Done),
    step("boundaries.checks"),
    step("boundaries.list", shape=answers.Boundaries),
    step("boundaries.create", BOUNDARY, validate=True, has={"valid": True}),
    step("boundaries.create", BOUNDARY, has={"name": "slow"}),
    step("boundaries.get", "slow", has={"name": "slow"}),
    step("boundaries.replace", "slow", {**BOUNDARY, "description": "d"}, has={"description": "d"}),
    step("tasks.list", shape=answers.Tasks),
    step("tasks.create", TASK, has={"name": "pick"}),
    step("tasks.get", "pick", has={"boundaries": ["slow"]}),
    step("tasks.replace", "pick", {**TASK, "timeout_s": 5.0}, has={"timeout_s": 5.0}),
    step("tasks.delete", "pick"),
    step("boundaries.delete", "slow"),
    step("boundaries.delete", "slow", error=NotFound),
    step("recorder.start", has={"arm": "arm"}),
    step("recorder.split", has={"arm": "arm"}),
    step("recorder.snapshot", has={"arm": "arm"}),
    step("recorder.status", "arm", has={"arm": "arm"}),
    step("recorder.stop", has={"arm": "arm"}),
    step("risk.events", 10, outcome="reject", shape=answers.RiskEvents),
    step("risk.stats", arm="arm"),
    step("risk.get", 10**9, error=NotFound),
    step("risk.clear"),
    step("debug.system"),
    step("debug.logs"),
)
OF_RECORDINGS = (
    step("recordings.list", many=answers.Recording),
    step("recordings.info", "{recording}", has={"cameras": ["front"]}),
    step("recordings.cycles", "{recording}", limit=5, outcome="clamp", shape=answers.Cycles),
    step("recordings.cycle", "{recording}", 20, has={"cycle_id": 20}),
    step("recordings.frame", "{recording}", "front", cycle_id=20),
    step("risk.recorded", "{file}", limit=5, shape=answers.RiskEvents),
    step("recordings.delete", "{recording}", shape=answers.Done),
    step("recordings.info", "{recording}", error=NotFound),
)
AS_AN_ADMIN = (
    step("auth.me", shape=answers.Me, has={"username": "rosa", "role": "admin"}),
    step("auth.ticket", shape=answers.Ticket),
    step(
        "tokens.create",
        "ci",
        scopes=["sessions:read"],
        shape=answers.NewApiToken,
        has={"scopes": ["sessions:read"]},
    ),
    step("tokens.list", many=answers.ApiToken),
    step("tokens.revoke", "nothing", error=NotFound),
    step("tokens.revoke_all"),
    step("users.create", "jane", "a long enough one", shape=answers.User, has={"username": "jane"}),
    step("users.list", many=answers.User),
    step("users.change", "jane", disabled=True, shape=answers.User, has={"disabled": True}),
    step("users.delete", "jane"),
    step("users.audit", 5, shape=answers.Audit),
    step("auth.log_in", "rosa", "the first password", shape=answers.Login),
    step("auth.change_password", "the first password", "the second password"),
)


IN_ROOMS = (
    step("robotics.create", "w", "r", max_consumers=3, shape=answers.RoomMade, has={"room_id": "r"}),
    step("robotics.create", "w", "r", max_consumers=3, shape=answers.RoomMade),
    step("robotics.create", "w", "r", max_consumers=4, error=Conflict),
    step("robotics.list", "w", many=answers.Room),
    step("robotics.get", "w", "r", shape=answers.Room, has={"max_consumers": 3}),
    step("robotics.command", "w", "r", {"elbow": 1.5}, has={"joints_updated": 1}),
    step("robotics.state", "w", "r", has={"joints": {"elbow": 1.5}}),
    step("robotics.reset_estop", "w", "r", has={"estop_latched": False}),
    step("robotics.delete", "w", "r", shape=answers.RoomDone),
    step("robotics.get", "w", "r", error=NotFound),
    step("video.create", "w", "v", config={"framerate": 5}, shape=answers.RoomMade),
    step("video.list", "w", many=answers.Room),
    step("video.get", "w", "v", shape=answers.Room, has={"has_producer": False}),
    step("video.state", "w", "v", has={"frame_count": 0}),
    step(
        "video.signal",
        "w",
        "v",
        "nobody",
        {"type": "offer", "sdp": "v=0", "target_consumer": "x"},
        error=NotFound,
    ),
    step("video.reset_estop", "w", "v", has={"estop_latched": False}),
    step("video.delete", "w", "v", shape=answers.RoomDone),
)
# Run with two policies on one robot and scene; `{glb}`, `{robot}` and `{policy}` are files.
OF_THE_CATALOG = (
    step("catalog.list", "policies", q="trot", many=answers.Manifest),
    step("catalog.get", "policies", "lab/trot", shape=answers.Manifest, has={"ref": "lab/trot"}),
    step("catalog.versions", "policies", "lab/walk", many=answers.Manifest),
    step("catalog.delete", "robots", "lab/pony", error=Conflict),
    step("catalog.get", "scenes", "lab/none", error=NotFound),
    step(
        "publish.scene",
        "{glb}",
        slug="yard",
        benchmark_scene="lab/park",
        shape=answers.Manifest,
        has={"kind": "scene"},
    ),
    step(
        "publish.robot",
        "{robot}",
        slug="cart",
        title="Cart",
        robot_key="lab/cart",
        shape=answers.Manifest,
        has={"ref": "rosa/cart"},
    ),
    step(
        "publish.policy",
        "{policy}",
        slug="drive",
        title="Drive",
        runtime_adapter="onnx_metadata_v1",
        default_robot="rosa/cart",
        shape=answers.Manifest,
        has={"ref": "rosa/drive"},
    ),
    step("publish.checkpoint", "{robot}", slug="act", title="Act", error=InvalidInput),
    step("publish.checkpoint", "no.zip", slug="act", title="Act", error=InvalidInput),
    step("catalog.delete", "policies", "rosa/drive"),
    step("matchups.launch", shape=answers.Matchup, has={"status": "ready", "kind": "browser"}),
    step("matchups.get", "nothing", error=NotFound),
    step("matchups.control", "nothing", "left", "reset", error=NotFound),
    step("matchups.vote", "nothing", "left", error=InvalidInput),
    step(
        "matchups.trial",
        ("demo", "hold"),
        seconds=1.0,
        seed=1,
        shape=answers.Matchup,
        has={"status": "starting", "kind": "physical"},
    ),
    step("leaderboard.get", shape=answers.Leaderboard),
    step("leaderboard.wins"),
)
ALL = (*IN_ROOMS, *ON_AN_ARM, *OF_RECORDINGS, *AS_AN_ADMIN, *OF_THE_CATALOG)


def problem(step: Step, value: Any) -> str:
    """What of an answer is not as it should be; '' when all is well."""
    for item in value if step.is_list else [value]:
        lost = sorted(step.shape.__required_keys__ - item.keys()) if step.shape is not None else []
        if lost:
            return f"{step.name}: no {', '.join(lost)}"
    wrong = {key: value.get(key) for key in step.has or () if value.get(key) != step.has[key]}
    return f"{step.name}: {wrong}" if wrong else ""
