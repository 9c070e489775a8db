# SPDX-License-Identifier: Apache-2.0
"""Publishing a LeRobot policy: `catalog:owner/slug` is then a session's policy_path."""

from typing import Any

from fastapi import APIRouter, Request

from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.routes.publish import Sent, Text, answer_published

router = APIRouter(prefix="/api/catalog", tags=["Catalog"])


@router.post("/checkpoints", status_code=201, summary="Publish a checkpoint", response_model=None)
async def publish_checkpoint(
    request: Request,
    services: ServicesDep,
    caller: PrincipalDep,
    owner: Text = None,
    slugPath: Text = None,
    title: Text = None,
    description: Text = None,
    bundle: Sent = None,
) -> dict[str, Any]:
    """A zipped LeRobot checkpoint, or ONNX folder of `arena export`. The same slug again is its next version."""
    fields = {"owner": owner, "slugPath": slugPath, "title": title, "description": description}
    return await answer_published(
        services,
        request,
        caller,
        {"bundle": bundle},
        lambda publisher, files: publisher.checkpoint(caller.name, fields, files["bundle"]),
        desk=services.published.large,
    )
