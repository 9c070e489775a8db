# SPDX-License-Identifier: Apache-2.0
"""Seed 2's publishing: multipart uploads, checked in a child process, answered with the item's manifest."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile

from lerobot_arena.bridge.catalog_answers import manifest
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.desk import Desk
from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.uploads import on_disk
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.catalog.item import Item
from lerobot_arena.platform.catalog.publishing import Publisher, Upload

router = APIRouter(prefix="/api/publish", tags=["Publishing"])

Text = Annotated[str | None, Form(max_length=300_000)]
Sent = Annotated[UploadFile | None, File()]
Publish = Callable[[Publisher, dict[str, Upload]], Item]


async def answer_published(
    services: Services,
    request: Request,
    caller: Principal,
    uploads: dict[str, UploadFile | None],
    publish: Publish,
    *,
    desk: Desk | None = None,
) -> dict[str, Any]:
    """Publish off the loop; the files that were sent are gone afterwards."""
    needed = next(iter(uploads))
    folder = services.settings.data_dir / "uploads"

    def work() -> Item:
        with on_disk(uploads, folder) as found:
            if needed not in found:
                raise InvalidInput(f"{needed} is missing: send the file as multipart/form-data.")
            item = publish(services.published.publisher, found)
            services.published.note_published(item)
            return item

    item = await (desk or services.published.publishing).ask(work, account=caller.name)
    services.published.renew_table()
    return {"manifest": manifest(item, str(request.base_url))}


@router.post("/scenes", status_code=201, summary="Publish a scene", response_model=None)
async def publish_scene(
    request: Request,
    services: ServicesDep,
    caller: PrincipalDep,
    owner: Text = None,
    slugPath: Text = None,
    title: Text = None,
    description: Text = None,
    benchmarkSceneRef: Text = None,
    transform: Text = None,
    glb: Sent = None,
    preview: Sent = None,
) -> dict[str, Any]:
    """A GLB over the physics of a benchmark scene. A slug that is taken gets a number."""
    fields = {
        "owner": owner, "slugPath": slugPath, "title": title, "description": description,
        "benchmarkSceneRef": benchmarkSceneRef, "transform": transform,
    }  # fmt: skip
    return await answer_published(
        services,
        request,
        caller,
        {"glb": glb, "preview": preview},
        lambda publisher, files: publisher.scene(caller.name, fields, files["glb"], files.get("preview")),
    )


@router.post("/robots", status_code=201, summary="Publish a robot bundle", response_model=None)
async def publish_robot(
    request: Request,
    services: ServicesDep,
    caller: PrincipalDep,
    owner: Text = None,
    slugPath: Text = None,
    title: Text = None,
    description: Text = None,
    robotKey: Text = None,
    entryXmlPath: Text = None,
    bundle: Sent = None,
) -> dict[str, Any]:
    """A zipped MuJoCo model. The same slug again is the robot's next version."""
    fields = {
        "owner": owner, "slugPath": slugPath, "title": title, "description": description,
        "robotKey": robotKey, "entryXmlPath": entryXmlPath,
    }  # fmt: skip
    return await answer_published(
        services,
        request,
        caller,
        {"bundle": bundle},
        lambda publisher, files: publisher.robot(caller.name, fields, files["bundle"]),
    )


@router.post("/policies", status_code=201, summary="Publish a policy", response_model=None)
async def publish_policy(
    request: Request,
    services: ServicesDep,
    caller: PrincipalDep,
    owner: Text = None,
    slugPath: Text = None,
    title: Text = None,
    description: Text = None,
    runtimeAdapter: Text = None,
    defaultRobotRef: Text = None,
    defaultSceneRef: Text = None,
    config: Text = None,
    model: Sent = None,
    depthModel: Sent = None,
) -> dict[str, Any]:
    """An ONNX network with what its adapter needs, run on its default robot before it is taken."""
    fields = {
        "owner": owner, "slugPath": slugPath, "title": title, "description": description,
        "runtimeAdapter": runtimeAdapter, "defaultRobotRef": defaultRobotRef,
        "defaultSceneRef": defaultSceneRef, "config": config,
    }  # fmt: skip
    return await answer_published(
        services,
        request,
        caller,
        {"model": model, "depthModel": depthModel},
        lambda publisher, files: publisher.policy(
            caller.name, fields, files["model"], files.get("depthModel")
        ),
    )
