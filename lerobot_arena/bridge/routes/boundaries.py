# SPDX-License-Identifier: Apache-2.0
"""Seed 3: boundaries, the tasks that name them, and what boundaries can be made of."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response

from lerobot_arena.bridge import catalog, config_edits
from lerobot_arena.bridge.config_book import Proof, boundary_answer, task_answer
from lerobot_arena.bridge.deps import ServicesDep, SightDep
from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.sight import Sight
from lerobot_arena.core.guard_config import GuardConfig

router = APIRouter(prefix="/api", tags=["Boundaries"])

BoundaryBody = Annotated[
    dict[str, Any],
    Body(
        description="type single|list|graph, layer, nodes with callback, params, fallback, timeout_sec, warn_frames. "
        "GET /api/catalog/callbacks lists callbacks and their params. Anything unknown is refused.",
        examples=[
            {
                "name": "slow",
                "type": "single",
                "layer": "L2",
                "nodes": [{"callback": "task_timeout", "params": {"timeout_s": 60.0}, "fallback": "stop"}],
            }
        ],
    ),
]
TaskBody = Annotated[
    dict[str, Any],
    Body(
        description="name, boundaries, virtual_boundaries, session_id, limits, timeout_s, description.",
        examples=[{"name": "pick", "boundaries": ["workspace"], "timeout_s": 120.0}],
    ),
]
IsTrial = Annotated[
    bool,
    Query(alias="validate", description="Only say whether it would be accepted; the guards are not asked."),
]


def _trial(config: GuardConfig) -> dict[str, Any]:
    return {"valid": True, "config_version": config.version}


def _boundary(config: GuardConfig, proof: Proof, name: str, sight: Sight) -> dict[str, Any]:
    entry = boundary_answer(config_edits.find_boundary(config, name))
    return {**entry, "config_version": config.version, "in_force_on": _seen(proof, sight)}


def _task(config: GuardConfig, proof: Proof, name: str, sight: Sight) -> dict[str, Any]:
    entry = task_answer(config_edits.find_task(config, name))
    return {**entry, "config_version": config.version, "in_force_on": _seen(proof, sight)}


def _seen(proof: Proof, sight: Sight) -> list[str]:
    return [arm for arm in proof.arms if sight.sees_arm(arm)]


def _head(services: Services, sight: Sight) -> dict[str, Any]:
    arms = {arm: said for arm, said in services.config.in_force().items() if sight.sees_arm(arm)}
    return {"config_version": services.config.config.version, "arms": arms}


@router.get("/boundaries")
async def list_boundaries(services: ServicesDep, sight: SightDep) -> dict[str, Any]:
    """All boundaries, and which arms check by this version of them."""
    entries = [boundary_answer(item) for item in services.config.config.boundaries]
    return {"boundaries": entries, **_head(services, sight)}


@router.post("/boundaries", status_code=201)
async def create_boundary(
    body: BoundaryBody, services: ServicesDep, sight: SightDep, response: Response, is_trial: IsTrial = False
) -> dict[str, Any]:
    """A new boundary; answered when every living guard has it in force."""
    edit = partial(config_edits.add_boundary, body=body)
    config, proof = await services.config.change(edit, is_trial=is_trial)
    if is_trial:
        response.status_code = 200
        return _trial(config)
    return _boundary(config, proof, config.boundaries[-1].name, sight)


@router.get("/boundaries/{name}")
async def get_boundary(name: str, services: ServicesDep) -> dict[str, Any]:
    """One boundary with every default written out. It may be sent back as it is."""
    return services.config.boundary(name)


@router.put("/boundaries/{name}")
async def replace_boundary(
    name: str, body: BoundaryBody, services: ServicesDep, sight: SightDep, is_trial: IsTrial = False
) -> dict[str, Any]:
    """Replace a boundary. While a task runs under it only what provably allows less motion is accepted.

    With `version` in the body it has to be the present one.
    """
    edit = partial(config_edits.put_boundary, name=name, body=body)
    config, proof = await services.config.change(edit, is_trial=is_trial)
    return _trial(config) if is_trial else _boundary(config, proof, name, sight)


@router.delete("/boundaries/{name}", status_code=204)
async def delete_boundary(name: str, services: ServicesDep) -> None:
    """Delete a boundary that no task names."""
    await services.config.change(partial(config_edits.remove_boundary, name=name))


@router.get("/tasks", tags=["Tasks"])
async def list_tasks(services: ServicesDep, sight: SightDep) -> dict[str, Any]:
    """All tasks."""
    return {"tasks": [task_answer(item) for item in services.config.config.tasks], **_head(services, sight)}


@router.post("/tasks", status_code=201, tags=["Tasks"])
async def create_task(
    body: TaskBody, services: ServicesDep, sight: SightDep, response: Response, is_trial: IsTrial = False
) -> dict[str, Any]:
    """A new task; its boundaries have to exist."""
    config, proof = await services.config.change(partial(config_edits.add_task, body=body), is_trial=is_trial)
    if is_trial:
        response.status_code = 200
        return _trial(config)
    return _task(config, proof, config.tasks[-1].name, sight)


@router.get("/tasks/{name}", tags=["Tasks"])
async def get_task(name: str, services: ServicesDep) -> dict[str, Any]:
    """One task with every default written out."""
    return task_answer(config_edits.find_task(services.config.config, name))


@router.put("/tasks/{name}", tags=["Tasks"])
async def replace_task(
    name: str, body: TaskBody, services: ServicesDep, sight: SightDep, is_trial: IsTrial = False
) -> dict[str, Any]:
    """Replace a task that does not run."""
    edit = partial(config_edits.put_task, name=name, body=body)
    config, proof = await services.config.change(edit, is_trial=is_trial)
    return _trial(config) if is_trial else _task(config, proof, name, sight)


@router.delete("/tasks/{name}", status_code=204, tags=["Tasks"])
async def delete_task(name: str, services: ServicesDep) -> None:
    """Delete a task that does not run; `default` stays."""
    await services.config.change(partial(config_edits.remove_task, name=name))


@router.get("/catalog/callbacks", tags=["Catalog"])
async def list_callbacks() -> dict[str, Any]:
    """Every check with its layer, reactions and parameters: bounds, units, and which direction is tighter."""
    return {"callbacks": list(catalog.callbacks())}


@router.get("/catalog/guards", tags=["Catalog"])
async def list_guards() -> dict[str, Any]:
    """The checks by layer."""
    return {"guards": catalog.guard_layers()}
