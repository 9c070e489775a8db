# SPDX-License-Identifier: Apache-2.0
"""Control of an arm: start, pause, resume, stop, e-stop, reset; and the boundaries and tasks it runs under."""

from collections.abc import Mapping
from typing import Any

from lerobot_arena.client import answers
from lerobot_arena.client.address import segment
from lerobot_arena.client.call import (
    ESTOP_TIMEOUT_S,
    STOP_TIMEOUT_S,
    VERB_TIMEOUT_S,
    Call,
    as_nothing,
    as_object,
    get,
    inside,
    post,
)
from lerobot_arena.client.endpoint import Group, endpoint

_CONTROL = "/api/control"


def status(arm: str | None = None) -> Call[answers.ControlStatus]:
    """One arm's state; without `arm`, the only arm's."""
    return get(f"{_CONTROL}/status", as_object, arm=arm)


def start(
    task_name: str = "default", *, n_cycles: int = -1, cycle_budget_ms: float = 20.0, arm: str | None = None
) -> Call[answers.Started]:
    """Run a task: the arm moves. `n_cycles` -1: until stopped; `cycle_budget_ms`: the control period."""
    body = {"task_name": task_name, "n_cycles": n_cycles, "cycle_budget_ms": cycle_budget_ms}
    return post(f"{_CONTROL}/start", as_object, body, query={"arm": arm})


def pause(arm: str | None = None) -> Call[answers.ControlDone]:
    """Hold after the current cycle."""
    return post(f"{_CONTROL}/pause", as_object, query={"arm": arm}, timeout_s=STOP_TIMEOUT_S)


def resume(arm: str | None = None) -> Call[answers.ControlDone]:
    """Go on after a pause, from where the arm is now: it moves."""
    return post(f"{_CONTROL}/resume", as_object, query={"arm": arm})


def stop(arm: str | None = None) -> Call[answers.ControlDone]:
    """End the run; the arm holds."""
    return post(f"{_CONTROL}/stop", as_object, query={"arm": arm}, timeout_s=STOP_TIMEOUT_S)


def estop(arm: str | None = None, *, timeout_s: float = ESTOP_TIMEOUT_S) -> Call[answers.Estopped]:
    """Latch the e-stop of one arm, or of all. Over a connection of its own: nothing waits before it."""
    query = {"arm": arm}
    return Call("POST", f"{_CONTROL}/estop", as_object, query, timeout_s=timeout_s, is_urgent=True)


def reset(arm: str | None = None) -> Call[answers.ControlDone]:
    """Release the e-stop's latch. Nothing moves by it. Raises Conflict with the causes while one persists."""
    return post(f"{_CONTROL}/reset", as_object, query={"arm": arm}, timeout_s=10.0)


class Control[Via](Group[Via]):
    """An arm's guard. Only start and resume move anything."""

    status = endpoint(status)
    start = endpoint(start)
    pause = endpoint(pause)
    resume = endpoint(resume)
    stop = endpoint(stop)
    estop = endpoint(estop)
    reset = endpoint(reset)


def list_boundaries() -> Call[answers.Boundaries]:
    """All boundaries, and which arms check by this version of them."""
    return get("/api/boundaries", as_object)


def get_boundary(name: str) -> Call[dict[str, Any]]:
    """One boundary with every default written out; it may be sent back as it is."""
    return get(f"/api/boundaries/{segment(name)}", as_object)


def create_boundary(body: Mapping[str, Any], *, validate: bool = False) -> Call[dict[str, Any]]:
    """A new boundary, in force on every living guard; with `validate` only whether it would be accepted."""
    return post("/api/boundaries", as_object, dict(body), query=_trial(validate=validate))


def replace_boundary(name: str, body: Mapping[str, Any], *, validate: bool = False) -> Call[dict[str, Any]]:
    """Replace one; under a running task only by what allows less motion."""
    return _put(f"/api/boundaries/{segment(name)}", body, validate=validate)


def delete_boundary(name: str) -> Call[None]:
    """Delete one that no task names."""
    return Call("DELETE", f"/api/boundaries/{segment(name)}", as_nothing, timeout_s=VERB_TIMEOUT_S)


def list_checks() -> Call[list[dict[str, Any]]]:
    """What boundaries can be made of: every check with its parameters."""
    return get("/api/catalog/callbacks", inside("callbacks"))


def list_tasks() -> Call[answers.Tasks]:
    """All tasks."""
    return get("/api/tasks", as_object)


def get_task(name: str) -> Call[dict[str, Any]]:
    """One task with every default written out."""
    return get(f"/api/tasks/{segment(name)}", as_object)


def create_task(body: Mapping[str, Any], *, validate: bool = False) -> Call[dict[str, Any]]:
    """A new task; its boundaries have to exist."""
    return post("/api/tasks", as_object, dict(body), query=_trial(validate=validate))


def replace_task(name: str, body: Mapping[str, Any], *, validate: bool = False) -> Call[dict[str, Any]]:
    """Replace a task that does not run."""
    return _put(f"/api/tasks/{segment(name)}", body, validate=validate)


def delete_task(name: str) -> Call[None]:
    """Delete a task that does not run."""
    return Call("DELETE", f"/api/tasks/{segment(name)}", as_nothing, timeout_s=VERB_TIMEOUT_S)


def _trial(*, validate: bool) -> dict[str, Any]:
    return {"validate": True if validate else None}


def _put(path: str, body: Mapping[str, Any], *, validate: bool) -> Call[dict[str, Any]]:
    return Call("PUT", path, as_object, _trial(validate=validate), dict(body), VERB_TIMEOUT_S)


class Boundaries[Via](Group[Via]):
    """The checks that guard tasks."""

    list = endpoint(list_boundaries)
    get = endpoint(get_boundary)
    create = endpoint(create_boundary)
    replace = endpoint(replace_boundary)
    delete = endpoint(delete_boundary)
    checks = endpoint(list_checks)


class Tasks[Via](Group[Via]):
    """Which session runs under which boundaries."""

    list = endpoint(list_tasks)
    get = endpoint(get_task)
    create = endpoint(create_task)
    replace = endpoint(replace_task)
    delete = endpoint(delete_task)
