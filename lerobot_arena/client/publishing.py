# SPDX-License-Identifier: Apache-2.0
"""What is published: scenes, robots, policies and checkpoints; sending one's own, and looking at everybody's."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lerobot_arena.client import answers
from lerobot_arena.client.address import segment
from lerobot_arena.client.call import VERB_TIMEOUT_S, Call, as_nothing, get, inside
from lerobot_arena.client.endpoint import Group, endpoint
from lerobot_arena.client.form import Form, Sent
from lerobot_arena.core.errors import InvalidInput

Name = str | os.PathLike[str]
Kinds = Literal["policies", "robots", "scenes", "checkpoints"]
# A large file is sent, kept and run on its robot before the answer comes.
_PUBLISH_TIMEOUT_S = 600.0


def publish_scene(
    glb: Name,
    *,
    slug: str | None = None,
    title: str | None = None,
    description: str | None = None,
    owner: str | None = None,
    preview: Name | None = None,
    benchmark_scene: str | None = None,
    transform: Mapping[str, Any] | None = None,
    on_progress: Sent | None = None,
) -> Call[answers.Manifest]:
    """A GLB over the physics of a benchmark scene. A slug that is taken gets a number."""
    fields = {
        "owner": owner,
        "slugPath": slug,
        "title": title,
        "description": description,
        "benchmarkSceneRef": benchmark_scene,
        "transform": json.dumps(dict(transform)) if transform is not None else None,
    }
    return _publish("/api/publish/scenes", fields, {"glb": glb, "preview": preview}, on_progress)


def publish_robot(
    bundle: Name,
    *,
    slug: str,
    title: str,
    robot_key: str,
    description: str | None = None,
    owner: str | None = None,
    entry_xml: str | None = None,
    on_progress: Sent | None = None,
) -> Call[answers.Manifest]:
    """A zipped MuJoCo model. The same slug again is the robot's next version."""
    fields = {
        "owner": owner,
        "slugPath": slug,
        "title": title,
        "description": description,
        "robotKey": robot_key,
        "entryXmlPath": entry_xml,
    }
    return _publish("/api/publish/robots", fields, {"bundle": bundle}, on_progress)


def publish_policy(
    model: Name,
    *,
    slug: str,
    title: str,
    runtime_adapter: str,
    description: str | None = None,
    owner: str | None = None,
    default_robot: str | None = None,
    default_scene: str | None = None,
    config: str | None = None,
    depth_model: Name | None = None,
    on_progress: Sent | None = None,
) -> Call[answers.Manifest]:
    """An ONNX network, which is run on its default robot before it is taken; `config` is its adapter's text."""
    fields = {
        "owner": owner,
        "slugPath": slug,
        "title": title,
        "description": description,
        "runtimeAdapter": runtime_adapter,
        "defaultRobotRef": default_robot,
        "defaultSceneRef": default_scene,
        "config": config,
    }
    files = {"model": model, "depthModel": depth_model}
    return _publish("/api/publish/policies", fields, files, on_progress)


def publish_checkpoint(
    bundle: Name,
    *,
    slug: str,
    title: str,
    description: str | None = None,
    on_progress: Sent | None = None,
) -> Call[answers.Manifest]:
    """A zipped LeRobot checkpoint or ONNX export; sessions then name it `catalog:owner/slug`."""
    fields = {"slugPath": slug, "title": title, "description": description}
    return _publish("/api/catalog/checkpoints", fields, {"bundle": bundle}, on_progress)


def _publish(
    path: str, fields: Mapping[str, str | None], files: Mapping[str, Name | None], on_progress: Sent | None
) -> Call[answers.Manifest]:
    given = {name: Path(file) if file is not None else None for name, file in files.items()}
    form = Form(fields, given, on_progress)
    return Call("POST", path, inside("manifest"), timeout_s=_PUBLISH_TIMEOUT_S, form=form)


class Publish[Via](Group[Via]):
    """Sending what is one's own; needs an account with the scope catalog:write."""

    scene = endpoint(publish_scene)
    robot = endpoint(publish_robot)
    policy = endpoint(publish_policy)
    checkpoint = endpoint(publish_checkpoint)


def list_items(
    kinds: Kinds, *, owner: str | None = None, q: str | None = None, limit: int = 100, skip: int = 0
) -> Call[list[answers.Manifest]]:
    """Newest versions, last updated first; `q` are words to look for."""
    path = f"/api/catalog/{segment(kinds)}"
    return get(path, inside("items"), owner=owner, q=q, limit=limit, skip=skip)


def get_item(kinds: Kinds, ref: str, *, version: int | None = None) -> Call[answers.Manifest]:
    """One item by `owner/slug`."""
    return get(_item(kinds, ref), inside("manifest"), version=version)


def list_versions(kinds: Kinds, ref: str) -> Call[list[answers.Manifest]]:
    """All versions of one item, newest first."""
    return get(f"{_item(kinds, ref)}/versions", inside("items"))


def delete_item(kinds: Kinds, ref: str) -> Call[None]:
    """Delete one's own item with all its versions. Raises Conflict while something needs it."""
    return Call("DELETE", _item(kinds, ref), as_nothing, timeout_s=VERB_TIMEOUT_S)


def _item(kinds: Kinds, ref: str) -> str:
    owner, separator, slug = ref.partition("/")
    if not separator:
        raise InvalidInput(f"{ref!r} must be owner/slug.")
    parts = [segment(part) for part in slug.split("/")]
    return "/".join(["/api/catalog", segment(kinds), segment(owner), *parts])


class Catalog[Via](Group[Via]):
    """What is published here."""

    list = endpoint(list_items)
    get = endpoint(get_item)
    versions = endpoint(list_versions)
    delete = endpoint(delete_item)
