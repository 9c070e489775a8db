# SPDX-License-Identifier: Apache-2.0
"""Seed 2's bodies of deployments and rollouts."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lerobot_arena.bridge.arena_answers import iso
from lerobot_arena.platform.deployments.deployment import Deployment, Scale
from lerobot_arena.platform.deployments.fleet import CrewState
from lerobot_arena.platform.deployments.store import Rollout


class CreateDeploymentRequest(BaseModel):
    """Which policy, on which kind of runtime, with how many instances."""

    model_config = ConfigDict(extra="ignore", strict=True)

    title: str = Field(max_length=1000)
    policyRef: str = Field(max_length=300)
    runtimeKind: str = Field(max_length=64)
    minInstances: int = Field(0, ge=0, le=1000)
    maxInstances: int | None = Field(None, ge=1, le=1000)
    scaleToZero: bool = True
    alwaysOn: bool = False
    hardwareSku: str | None = Field(None, max_length=100)
    idleScaleDownSeconds: int | None = Field(None, ge=0, le=10**8)

    def scale(self) -> Scale:
        """Raises InvalidInput for numbers that do not go together."""
        most = max(self.minInstances, 1) if self.maxInstances is None else self.maxInstances
        return Scale(self.minInstances, most, self.scaleToZero, self.alwaysOn, self.idleScaleDownSeconds)


def deployment_answer(deployment: Deployment, state: CrewState) -> dict[str, Any]:
    """A Deployment."""
    scale = deployment.scale
    return {
        "id": deployment.id,
        "owner": deployment.owner,
        "title": deployment.title,
        "policyRef": deployment.policy,
        "runtimeKind": deployment.kind,
        "minInstances": scale.least,
        "maxInstances": scale.most,
        "scaleToZero": scale.to_zero,
        "alwaysOn": scale.always_on,
        "hardwareSku": deployment.hardware,
        "idleScaleDownSeconds": scale.idle_s,
        "currentInstances": state.instances,
        "lastActiveAt": iso(deployment.last_active_at),
        "endpointPath": deployment.endpoint,
        "status": state.status,
        "lastError": state.last_error,
        "createdAt": iso(deployment.created_at),
        "updatedAt": iso(deployment.updated_at),
    }


def rollout_answer(rollout: Rollout) -> dict[str, Any]:
    """A Rollout."""
    return {
        "id": rollout.id,
        "title": rollout.title,
        "policyRef": rollout.policy,
        "route": rollout.route,
        "runtimeKind": rollout.kind,
        "source": rollout.source,
        "status": rollout.status,
        "deploymentId": rollout.deployment_id,
        "deploymentEndpointPath": rollout.endpoint,
        "createdAt": iso(rollout.created_at),
        "updatedAt": iso(rollout.updated_at),
        "errorLog": rollout.error_log,
        "eventLog": list(rollout.events),
    }
