# SPDX-License-Identifier: Apache-2.0
"""Faults of boundaries, tasks and limits (E1 to E10)."""

import json
from dataclasses import FrozenInstanceError, replace
from math import nan

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.reaction import ENFORCE, LOG_ONLY, MONITOR
from lerobot_arena.core.robot import robot_from_mapping
from lerobot_arena.core.session import EMERGENCY, STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.boundary import Boundary, Node
from lerobot_arena.guard.checks.protocol import TABLE, Pose
from lerobot_arena.guard.knowledge import ArmModel
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.verify.asking import spoil, until_held, until_over
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject
from lerobot_arena.guard.verify.world import GuardWorld


def _refused(subject: Subject, claims: Claims, config: GuardConfig, what: str, words: str = "") -> None:
    """Refused whole, in a running guard: the version in force and the run are as they were."""
    world = subject.running()
    before = world.arm.state().config_version
    world.arm.on_config(replace(config, version=before + 7))
    world.step(5)
    state = world.arm.state()
    kept = state.config_version == before and world.ports.cycles[-1].config_version == before
    claims.that(
        kept and state.config_refused == before + 7 and words in state.config_problem,
        f"{what}: {state.config_problem}",
        f"{what}: version {state.config_version} in force; {state.config_problem or 'no problem told'}",
    )
    claims.that(world.ports.cycles[-1].outcome is not Outcome.HELD, "the run goes on with the old ones")


def _raw(subject: Subject, text: str) -> GuardConfig:
    """The user's configuration with one more boundary of this text."""
    return replace(subject.config, boundaries=(*subject.config.boundaries, BoundaryWanted("verify", 1, text)))


def _node(**values: object) -> str:
    return json.dumps({"name": "verify", "nodes": [{"callback": "velocity", **values}]})


def half_written(subject: Subject, claims: Claims) -> None:
    whole = _node()
    _refused(subject, claims, _raw(subject, whole[: len(whole) // 2]), "half a file", "JSON")
    _refused(subject, claims, _raw(subject, "nodes: [velocity]"), "no JSON", "JSON")


def impossible_limits(subject: Subject, claims: Claims) -> None:
    count = len(subject.robot.joints)
    params = {"lower": [1.0] * count, "upper": [-1.0] * count}
    _refused(
        subject, claims, _raw(subject, _node(callback="position_limits", params=params)), "lower above upper"
    )
    for value in (nan, -1.0):
        node = _node(params={"max_velocity": [value] * count})
        _refused(subject, claims, _raw(subject, node), f"a rate of {value:g}", "max_velocity")
    joint = {
        "name": "a",
        "lower_rad": -1,
        "upper_rad": 1,
        "max_velocity_rad_s": 1,
        "max_acceleration_rad_s2": 1,
    }
    for key, bad in {"lower_rad": 2.0, "max_velocity_rad_s": -1.0, "upper_rad": nan}.items():
        try:
            robot_from_mapping({"name": "verify", "joints": [{**joint, key: bad}]})
            claims.that(False, "", f"a robot file with {key} {bad} is taken")
        except InvalidInput as error:
            claims.that(True, f"robot file: {error}")


def wrong_length(subject: Subject, claims: Claims) -> None:
    count = len(subject.robot.joints)
    for length in (count - 1, count + 1):
        config = subject.guarded_by(Node("velocity", params={"max_velocity": [1.0] * length}))
        _refused(subject, claims, config, f"{length} limits for {count} joints", f"{length} numbers")


def unknown_names(subject: Subject, claims: Claims) -> None:
    for text, what, words in (
        (_node(callback="velocitty"), "a misspelt check", "velocity"),
        (_node(parms={}), "an unknown key", "params"),
        (_node(params={"max_velocitys": []}), "an unknown parameter", "max_velocity"),
        (_node(callback="finite"), "a check that cannot be configured", "finite"),
    ):
        _refused(subject, claims, _raw(subject, text), what, words)
    task = TaskWanted("verify", json.dumps({"name": "verify", "boundaries": ["nowhere"]}))
    _refused(
        subject,
        claims,
        replace(subject.config, tasks=(*subject.config.tasks, task)),
        "an unknown boundary",
        "nowhere",
    )


def _fastest(world: GuardWorld, since: int) -> float:
    positions = np.array([command.positions for command in world.commands[since:]])
    return float(np.max(np.abs(np.diff(positions, axis=0)), initial=0.0)) / world.arm.period_s


def reloaded(subject: Subject, claims: Claims) -> None:
    count = len(subject.robot.joints)

    def slowed(limit: float) -> GuardConfig:
        node = Node("velocity", params={"max_velocity": [limit] * count})
        return replace(subject.with_boundaries([Boundary("verify", (node,))]), version=int(limit * 1000))

    world = subject.running(config=slowed(0.5))
    world.policy = subject.towards(0.3)
    world.step(10)
    before = len(world.commands)
    world.arm.on_config(slowed(0.1))
    record = world.step()
    claims.that(
        record.config_version == 100,
        "tighter: in force in the next cycle",
        f"version {record.config_version}",
    )
    world.step(20)
    claims.that(
        _fastest(world, before) <= 0.101,
        f"proven by effect: {_fastest(world, before):.3g} rad/s",
        f"{_fastest(world, before):.3g} rad/s",
    )
    claims.kept_limits(world)
    world.arm.on_config(slowed(0.4))
    record = world.step(5)
    state = world.arm.state()
    claims.that(
        record.config_version == 100 and state.config_refused == 400,
        f"looser: {state.config_problem}",
        "looser while it moves: taken",
    )
    world.arm.stop()
    claims.that(world.arm.state().config_version == 400, "the looser one is in force after the stop")


def nothing_active(subject: Subject, claims: Claims) -> None:
    for task, what in (("nobody_wrote_this", "an unknown task"), (subject.task, "a task that is gone")):
        config = subject.config if task != subject.task else GuardConfig(subject.config.version)
        world = subject.world(config=config)
        world.want(task=task)
        answer = world.arm.start()
        world.step(subject.cycles(0.5))
        claims.that(not answer.success, f"{what}: {answer.message}", f"{what}: started")
        claims.silent_since(world, 0, "without a task")


def deleted_while_active(subject: Subject, claims: Claims) -> None:
    extra = subject.guarded_by(Node("velocity", params={"max_velocity": [0.5] * len(subject.robot.joints)}))
    world = subject.running(config=extra)
    sent = len(world.commands)
    world.arm.on_config(replace(subject.config, version=9))
    world.policy = subject.towards(0.3)
    world.step(30)
    state = world.arm.state()
    claims.that(
        state.config_refused == 9, f"refused: {state.config_problem}", "an active boundary was removed"
    )
    claims.that(_fastest(world, sent) <= 0.501, "it still holds", f"{_fastest(world, sent):.3g} rad/s")


def not_enforcing(subject: Subject, claims: Claims) -> None:
    mode = subject.params.enforcement_mode
    claims.that(
        mode == ENFORCE,
        f"enforcement_mode {mode}",
        f"enforcement_mode is {mode}: this guard does not keep the arm safe",
    )
    for other in (MONITOR, LOG_ONLY):
        params = replace(subject.params, enforcement_mode=other)
        world = subject.running(params=params)
        claims.that(
            world.ports.cycles[-1].enforcement == world.arm.state().enforcement == other,
            f"{other}: told in every cycle",
        )
        world.edit_chunk = spoil(slice(None), 0, nan)
        record = until_held(world, subject.cycles(3.0))
        claims.that(record.outcome is Outcome.HELD, f"{other}: NaN still rejected", f"{other}: NaN was sent")
        claims.kept_limits(world, inside=False, periods=1e9)
        stopped = subject.running(params=params)
        stopped.arm.estop("verify")
        sent = len(stopped.commands)
        stopped.step(20)
        claims.silent_since(stopped, sent, f"after an e-stop under {other}")
    try:
        subject.params.enforcement_mode = MONITOR  # type: ignore[misc]
        claims.that(False, "", "the mode can be set in a running guard")
    except FrozenInstanceError:
        claims.that(True, "not settable while running")


class _NoSolution:
    """A model of the arm that answers with NaN, or not at all."""

    def __init__(self, moves_tool: tuple[bool, ...], *, is_raising: bool) -> None:
        self.moves_tool, self._is_raising = moves_tool, is_raising

    def pose(self, joints_rad: Vector) -> Pose:
        if self._is_raising:
            raise RuntimeError("no solution")
        return Pose((nan, nan, nan), (nan, nan, nan))

    def near(self, joints_rad: Vector) -> dict[tuple[str, str], float]:
        if self._is_raising:
            raise RuntimeError("no solution")
        return {(TABLE, "tool"): nan}


def no_solution(subject: Subject, claims: Claims) -> None:
    box = Node("workspace_box", params={"lower_m": [-9.0] * 3, "upper_m": [9.0] * 3})
    config = subject.guarded_only_by(box)
    missing = subject.world(config=config, model=ArmModel(None, "MuJoCo is missing"))
    answer = missing.arm.start()
    claims.that(
        not answer.success and "MuJoCo is missing" in answer.message,
        f"model missing: {answer.message}",
        "model missing: started",
    )
    nodes = {
        "workspace_box": box,
        "table_clearance": Node("table_clearance"),
        "tilt": Node("tilt", params={"direction": [0.0, 0.0, 1.0]}),
        "end_effector_speed": Node("end_effector_speed"),
    }
    for name, node in nodes.items():
        for is_raising in (True, False):
            model = ArmModel(_NoSolution((True,) * len(subject.robot.joints), is_raising=is_raising))
            world = subject.world(config=subject.guarded_only_by(node), model=model)
            world.arm.start()
            world.step(20)
            how = "raises" if is_raising else "gives NaN"
            moved = [command for command in world.commands if command.positions != tuple(subject.home)]
            claims.that(
                not moved,
                f"model {how}: {name} lets nothing pass",
                f"model {how}: {name} let {len(moved)} commands pass",
            )


def node_times_out(subject: Subject, claims: Claims) -> None:
    node = Node("velocity", timeout_sec=1.0)
    world = subject.running(config=subject.guarded_by(node))
    world.arm.pause()
    world.step(subject.cycles(2.0))
    world.arm.resume()
    world.step(10)
    claims.that(world.ports.cycles[-1].outcome is not Outcome.HELD, "paused time does not count")
    record = until_held(world, subject.cycles(1.5))
    claims.that(
        record.decision is Decision.REJECT and "running time" in record.reason,
        record.reason,
        f"{record.decision.name}: went on",
    )
    until_over(world, subject.cycles(subject.params.hold_grace_s) + 5)
    claims.state(world, STOPPED, "running time")
    task = Node("task_timeout", params={"timeout_s": 1.0})
    timed = subject.running(config=subject.guarded_by(task))
    until_over(timed, subject.cycles(2.0))
    claims.that(
        timed.state in {STOPPED, EMERGENCY},
        f"task: {timed.arm.state().message}",
        "a task's time passes and it goes on",
    )


ROWS = (
    FaultRow(
        "E1",
        "a configuration that is half written",
        "refused whole; version and run as they were",
        half_written,
    ),
    FaultRow("E2", "lower above upper, NaN, a negative rate", "refused whole", impossible_limits),
    FaultRow("E3", "as many limits as not joints", "refused whole", wrong_length),
    FaultRow("E4", "an unknown check, key or boundary", "refused, with the nearest name", unknown_names),
    FaultRow(
        "E5",
        "limits changed while moving",
        "tighter at a cycle edge and proven by effect; looser only after the stop",
        reloaded,
        ("velocity", "loosening"),
    ),
    FaultRow("E6", "no task, or no boundaries", "start refused", nothing_active),
    FaultRow(
        "E7",
        "a boundary deleted while it guards",
        "refused; it still holds",
        deleted_while_active,
        ("loosening",),
    ),
    FaultRow(
        "E8",
        "enforcement monitor or log_only",
        "told loudly; NaN and e-stop are enforced all the same",
        not_enforcing,
        ("finite",),
    ),
    FaultRow(
        "E9",
        "the model of the arm is missing or finds no solution",
        "refused or held; the raw action never passes",
        no_solution,
    ),
    FaultRow(
        "E10",
        "the time of a node or a task is over",
        "REJECT, then stopped; paused time does not count",
        node_times_out,
        ("task_timeout",),
    ),
)
