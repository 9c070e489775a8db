# SPDX-License-Identifier: Apache-2.0
"""Seed 3's runtime control. Parameters come by query or as JSON; without `arm` the only arm is meant."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lerobot_arena.bridge.deps import ArmQuery, ServicesDep, SightDep
from lerobot_arena.bridge.errors import Unprocessable
from lerobot_arena.core.guard_config import (
    DEFAULT_TASK,
    LONGEST_PERIOD_S,
    MOST_CYCLES,
    SHORTEST_PERIOD_S,
    UNTIL_STOPPED,
)

router = APIRouter(prefix="/api/control", tags=["Runtime"])

DEFAULT_BUDGET_MS = 20.0


def _is_some(value: int) -> int:
    if value == 0:
        raise ValueError(f"must be {UNTIL_STOPPED} (until stopped) or at least 1")
    return value


TaskName = Annotated[str, Field(min_length=1, max_length=64, description="Task to run.")]
NCycles = Annotated[
    int,
    Field(ge=UNTIL_STOPPED, le=MOST_CYCLES, description="Cycles to run; -1: until stopped."),
    AfterValidator(_is_some),
]
BudgetMs = Annotated[
    float,
    Field(
        ge=SHORTEST_PERIOD_S * 1000,
        le=LONGEST_PERIOD_S * 1000,
        allow_inf_nan=False,
        description="Control period in ms, which is each cycle's deadline.",
    ),
]


class StartRequest(BaseModel):
    """The same parameters as JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task_name: TaskName | None = None
    n_cycles: NCycles | None = None
    cycle_budget_ms: BudgetMs | None = None
    arm: Annotated[str, Field(max_length=256)] | None = None


class ArmRequest(BaseModel):
    """Which arm, as JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    arm: Annotated[str, Field(max_length=256)] | None = None


StartBody = Annotated[StartRequest | None, Body()]
ArmBody = Annotated[ArmRequest | None, Body()]


def _one[T](name: str, by_query: T | None, by_body: T | None, default: T) -> T:
    """A parameter given once, or twice alike."""
    given = [value for value in (by_query, by_body) if value is not None]
    if len(given) == 2 and given[0] != given[1]:
        raise Unprocessable(f"{name} is {given[0]!r} in the query and {given[1]!r} in the body.")
    return given[0] if given else default


def _arm(by_query: str | None, body: ArmRequest | StartRequest | None) -> str | None:
    return _one("arm", by_query, body.arm if body is not None else None, None)


@router.get("/status")
async def control_status(services: ServicesDep, sight: SightDep, arm: ArmQuery = None) -> dict[str, Any]:
    """State of one arm: idle, running, paused, stopped or emergency; its task, boundaries, risk, and what is wrong.

    `session_id` is null while it is somebody else's.
    """
    status = services.runtime.status(sight.arm(arm))
    return {**status, "session_id": sight.shown_id(status["session_id"])}


@router.post("/start")
async def start(
    services: ServicesDep,
    sight: SightDep,
    task_name: Annotated[TaskName | None, Query()] = None,
    n_cycles: Annotated[NCycles | None, Query()] = None,
    cycle_budget_ms: Annotated[BudgetMs | None, Query()] = None,
    arm: ArmQuery = None,
    body: StartBody = None,
) -> dict[str, Any]:
    """Run a task: the arm moves. Defaults: task_name `default`, n_cycles -1, cycle_budget_ms 20.

    403: it would run somebody else's session. 404: unknown task. 409: something runs, the e-stop is latched, or the
    guard is not ready, with its reasons.
    """
    given = body or StartRequest()
    return await services.runtime.start(
        sight,
        _arm(arm, body),
        _one("task_name", task_name, given.task_name, DEFAULT_TASK),
        n_cycles=_one("n_cycles", n_cycles, given.n_cycles, UNTIL_STOPPED),
        cycle_budget_ms=_one("cycle_budget_ms", cycle_budget_ms, given.cycle_budget_ms, DEFAULT_BUDGET_MS),
    )


@router.post("/pause")
async def pause(
    services: ServicesDep, sight: SightDep, arm: ArmQuery = None, body: ArmBody = None
) -> dict[str, Any]:
    """Hold after the current cycle. Only from running."""
    return await services.runtime.pause(sight, _arm(arm, body))


@router.post("/resume")
async def resume(
    services: ServicesDep, sight: SightDep, arm: ArmQuery = None, body: ArmBody = None
) -> dict[str, Any]:
    """Go on after a pause, from where the arm is now. Only from paused."""
    return await services.runtime.resume(sight, _arm(arm, body))


@router.post("/stop")
async def stop(
    services: ServicesDep, sight: SightDep, arm: ArmQuery = None, body: ArmBody = None
) -> dict[str, Any]:
    """End the run; the arm holds. On an arm that does nothing it changes nothing."""
    return await services.runtime.stop(sight, _arm(arm, body))


@router.post("/estop")
async def emergency_stop(services: ServicesDep, sight: SightDep, arm: ArmQuery = None) -> dict[str, Any]:
    """Latch the e-stop of one arm, or of all when none is named. Says per arm who acknowledged it."""
    answer = await services.emergency.stop(sight.any_arm(arm) if arm is not None else None)
    seen = {name: stopped for name, stopped in answer["arms"].items() if sight.sees_arm(name)}
    return {**answer, "arms": seen, "other_arms": len(answer["arms"]) - len(seen)}


@router.post("/reset")
async def reset_emergency(
    services: ServicesDep, sight: SightDep, arm: ArmQuery = None, body: ArmBody = None
) -> dict[str, Any]:
    """Release the latch of one arm. Nothing moves by it: sessions stay stopped until they are started.

    409 while the arm runs or is paused, or while a cause persists: then `causes` lists them. On an idle arm it does
    nothing and answers 200.
    """
    return await services.emergency.reset(sight.arm(_arm(arm, body)))
