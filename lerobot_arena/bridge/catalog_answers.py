# SPDX-License-Identifier: Apache-2.0
"""Seed 2's manifests of published items, exactly as its schemas have them; ours are added at the end."""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from fastapi.responses import Response

from lerobot_arena.bridge.arena_answers import iso
from lerobot_arena.platform.catalog.item import CHECKPOINT, POLICY, ROBOT, Item

_STILL = {"position": [0.0, 0.0, 0.0], "quaternion": [0.0, 0.0, 0.0, 1.0], "scale": [1.0, 1.0, 1.0]}


def file_path(item: Item, role: str) -> str | None:
    """Where one of an item's files is; None when it has none in that role."""
    file = item.files.get(role)
    return None if file is None else f"/api/catalog/files/{file.sha256}/{quote(file.name, safe='')}"


def manifest(item: Item, base_url: str) -> dict[str, Any]:
    """A PolicyManifest, RobotManifest or SceneManifest, or a checkpoint's, which is ours.

    `base_url` is where the caller reaches this server.
    """
    root = base_url.rstrip("/")

    def absolute(role: str) -> str | None:
        path = file_path(item, role)
        return None if path is None else root + path

    common = {
        "kind": item.kind,
        "owner": item.owner,
        "slugPath": item.slug,
        "title": item.title,
        "description": item.description,
        "status": item.status,
        "createdAt": iso(item.created_at),
        "updatedAt": iso(item.updated_at),
        "version": item.version,
        "ref": item.ref,
        "url": f"{root}/{item.ref}",
        "content": item.content,
    }
    facts = item.facts
    if item.kind == CHECKPOINT:
        return {**common, "url": f"{root}/api/catalog/checkpoints/{item.ref}", **_checkpoint(item)}
    if item.kind == POLICY:
        names = ("runtimeAdapter", "controlDt", "metadataConfig", "unitreeVelocityConfig",
                 "defaultRobotRef", "defaultSceneRef")  # fmt: skip
        own = {name: facts.get(name) for name in names}
        own |= {"modelUrl": file_path(item, "model"), "depthModelUrl": absolute("depthModel")}
        return {**common, **own, "run": facts.get("run"), "controlSpec": facts.get("controlSpec")}
    if item.kind == ROBOT:
        return {
            **common,
            "robotKey": facts.get("robotKey", ""),
            "baseSceneUrl": file_path(item, "bundle"),
            "entryXmlPath": facts.get("entryXmlPath", ""),
            "previewUrl": absolute("preview"),
        }
    return {
        **common,
        "mode": facts.get("mode"),
        "benchmarkSceneRef": facts.get("benchmarkSceneRef") or item.ref,
        "glbUrl": absolute("glb"),
        "previewUrl": absolute("preview"),
        "transform": facts.get("transform") or _STILL,
    }


def listed(items: Iterable[Item], base_url: str) -> Response:
    """Many manifests, encoded one by one: the encoder lets no other thread run before it is through."""
    entries = [json.dumps(manifest(item, base_url), allow_nan=False) for item in items]
    return Response(f'{{"items":[{",".join(entries)}]}}', media_type="application/json")


def _checkpoint(item: Item) -> dict[str, Any]:
    """What a session gets; null is what it has to say itself."""
    facts = item.facts
    return {
        "policyPath": f"catalog:{item.ref}",
        "bundleUrl": file_path(item, "bundle"),
        "format": facts.get("kind"),
        "policyType": facts.get("policy_type"),
        "cameras": facts.get("cameras") or {},
        "jointNames": facts.get("joint_names"),
        "actionSize": facts.get("action_size"),
        "unit": facts.get("unit"),
        "fps": facts.get("fps"),
        "chunkSize": facts.get("chunk_size"),
        "actionSteps": facts.get("n_action_steps"),
        "takesTask": bool(facts.get("takes_task")),
        "precision": facts.get("precision"),
    }
