# SPDX-License-Identifier: Apache-2.0
"""Seed 2's deployments and rollouts, and the endpoints at which deployments answer."""

from typing import Any

from fastapi import APIRouter, Request

from lerobot_arena.bridge.deployment_answers import CreateDeploymentRequest, deployment_answer, rollout_answer
from lerobot_arena.bridge.deployment_request import read_body
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.services import Services
from lerobot_arena.core.principal import CATALOG_WRITE, SESSIONS_OPERATE, Principal
from lerobot_arena.platform.deployments.deployment import ROBOT, Deployment

router = APIRouter(tags=["Deployments"])
_ANY_OBJECT = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}


def _own(services: Services, caller: Principal, owner: str, slug: str) -> Deployment:
    """One that the caller may use. Raises NotFound, also for somebody else's."""
    found = services.deployments.at(owner, slug)
    caller.check_sees(found.owner, f"Deployment {found.endpoint}")
    return found


@router.get("/api/deployments", summary="List deployments")
async def list_deployments(services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """The caller's deployments, newest first; an admin's list has everybody's."""
    found = services.deployments.of(None if caller.sees_all else caller.name)
    return {"deployments": [deployment_answer(one, services.deployments.state(one)) for one in found]}


@router.post("/api/deployments", status_code=201, summary="Create a deployment")
async def create_deployment(
    body: CreateDeploymentRequest, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A policy kept ready. A kind without a runtime here is taken, and is `failed` with what to install."""
    if body.runtimeKind == ROBOT:
        caller.check_may(SESSIONS_OPERATE)
    made = await services.deployments.create(
        caller.name,
        title=body.title,
        policy=body.policyRef,
        kind=body.runtimeKind,
        scale=body.scale(),
        hardware=body.hardwareSku,
    )
    return {"deployment": deployment_answer(made, services.deployments.state(made))}


@router.get("/api/rollout", summary="List rollouts")
async def list_rollouts(services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """Default runs of the caller's policies, and their deployments' records, last changed first."""
    published = services.published
    await services.deployments.write_rollouts()
    owner = None if caller.sees_all else caller.name
    found = await published.desk.ask(lambda: published.deployed.rollouts(owner))
    return {"rollouts": [rollout_answer(one) for one in found]}


@router.get("/deployments/{owner}/{slug}", summary="How a deployment is")
async def get_deployment(
    owner: str, slug: str, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """One of the caller's deployments."""
    found = _own(services, caller, owner, slug)
    return {"deployment": deployment_answer(found, services.deployments.state(found))}


@router.post("/deployments/{owner}/{slug}", summary="Ask a deployment", openapi_extra=_ANY_OBJECT)
async def ask_deployment(
    owner: str, slug: str, request: Request, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Have an instance answer, waking one when none runs; docs/deployments.md has each kind's requests."""
    found = _own(services, caller, owner, slug)
    caller.check_may(SESSIONS_OPERATE if found.kind == ROBOT else CATALOG_WRITE)
    return await services.deployments.ask(found, read_body(await request.body(), found.kind))


@router.delete("/deployments/{owner}/{slug}", summary="Delete a deployment")
async def delete_deployment(
    owner: str, slug: str, services: ServicesDep, caller: PrincipalDep
) -> dict[str, Any]:
    """End its instances; its rollout record stays."""
    await services.deployments.delete(_own(services, caller, owner, slug))
    return {"ok": True}
