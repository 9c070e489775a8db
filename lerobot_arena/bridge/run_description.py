# SPDX-License-Identifier: Apache-2.0
"""run.json: everything the run page needs, from catalog items. Which items a path means is decided here too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lerobot_arena.core.errors import NotFound
from lerobot_arena.platform.arena.matchup import Matchup
from lerobot_arena.platform.catalog import refs
from lerobot_arena.platform.catalog.item import PHYSICS, POLICY, ROBOT, SCENE, FileRef, Item
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.catalog.stage import Stage, newest_stage, stage_of

_MODEL = "model"
_BLIND_NAMES = {"bundle": "robot.zip", "glb": "scene.glb", PHYSICS: "scene.xml"}


@dataclass(frozen=True, slots=True)
class Cast:
    """What runs together."""

    policy: Item
    robot: Item
    stage: Stage | None


def cast_of(shelf: Shelf, owner: str, path: str) -> Cast:
    """What `/{owner}/{path}` means. Blocking. Raises NotFound saying what is missing.

    A robot or a scene by itself is shown with the policy that was last published for it.
    """
    for reading in refs.ways_to_read([owner, *path.split("/")]):
        try:
            if reading.robot is None or reading.scene is None:
                return _one(shelf, str(reading.thing))
            return Cast(
                shelf.get(POLICY, str(reading.thing)),
                shelf.get(ROBOT, str(reading.robot)),
                newest_stage(shelf, str(reading.scene)),
            )
        except NotFound:
            continue
    raise NotFound(f"There is no run at /{owner}/{path[:200]}.")


def _one(shelf: Shelf, ref: str) -> Cast:
    try:
        return _default(shelf, shelf.get(POLICY, ref))
    except NotFound:
        pass
    for kind, fact in ((ROBOT, "defaultRobotRef"), (SCENE, "defaultSceneRef")):
        policies = [item for item in shelf.referrers(kind, ref) if item.kind == POLICY]
        policies = [item for item in policies if item.facts.get(fact) == ref]
        if policies:
            return _default(shelf, max(policies, key=lambda item: item.updated_at))
    raise NotFound(f"Nothing at {ref!r} can run.")


def _default(shelf: Shelf, policy: Item) -> Cast:
    robot, scene = policy.facts.get("defaultRobotRef"), policy.facts.get("defaultSceneRef")
    if not robot:
        raise NotFound(
            f"Policy {policy.ref} names no default robot: open /{policy.ref}/<robot>/<scene> instead."
        )
    return Cast(policy, shelf.get(ROBOT, robot), newest_stage(shelf, scene) if scene else None)


def describe_run(cast: Cast) -> dict[str, Any]:
    """run.json of items in their newest version. Blocking."""
    return _described(cast, title=cast.policy.title)


def describe_side(shelf: Shelf, matchup: Matchup, side: str) -> dict[str, Any]:
    """run.json of one pane: exactly the versions that were matched, and no name that tells which policy it is."""
    cast = Cast(
        _policy(shelf, matchup, side),
        _version(shelf, ROBOT, matchup.robot, matchup.robot_content),
        stage_of(shelf, matchup.scene, matchup.scene_content),
    )
    # The catalog's address would be the file's hash, which its lists show beside the policy's name.
    model = f"/arena/run/{matchup.id}/{matchup.side(side).simulation}/policy.onnx"
    return _described(cast, title=f"Policy on the {side}", blind_model=model)


def model_of(shelf: Shelf, matchup: Matchup, side: str) -> FileRef:
    """The network that a pane runs. Blocking. Raises NotFound."""
    model: FileRef | None = _policy(shelf, matchup, side).files.get(_MODEL)
    if model is None:
        raise NotFound("The policy that was matched has no network.")
    return model


def _policy(shelf: Shelf, matchup: Matchup, side: str) -> Item:
    return _version(shelf, POLICY, matchup.side(side).policy, matchup.side(side).content)


def _version(shelf: Shelf, kind: str, ref: str, content: str) -> Item:
    for item in shelf.versions(kind, ref):
        if item.content == content:
            return item
    raise NotFound(f"The {kind} that was matched is not here any more.")


def _described(cast: Cast, *, title: str, blind_model: str | None = None) -> dict[str, Any]:
    def link(item: Item, role: str) -> str | None:
        file: FileRef | None = item.files.get(role)
        name = _BLIND_NAMES.get(role, role) if blind_model else file.name if file else ""
        return None if file is None else f"/api/catalog/files/{file.sha256}/{name}"

    described = None
    if cast.stage is not None:
        scene = cast.stage.scene
        benchmark = cast.stage.benchmark or scene
        described = {
            "glbUrl": link(scene, "glb"),
            "transform": scene.facts.get("transform"),
            "benchmark": {"ref": benchmark.ref, "xmlUrl": link(benchmark, PHYSICS)},
        }
    return {
        "title": title,
        "policy": {
            "modelUrl": blind_model or link(cast.policy, _MODEL),
            "controlSpec": cast.policy.facts.get("controlSpec"),
        },
        "robot": {
            "bundleUrl": link(cast.robot, "bundle"),
            "entryXmlPath": cast.robot.facts.get("entryXmlPath"),
        },
        "scene": described,
    }


def items_of(shelf: Shelf, owner: str) -> Sequence[Item]:
    """What an owner has published. Blocking. Raises NotFound for nothing."""
    items = shelf.list(owner=owner, limit=500)
    if not items:
        raise NotFound(f"{owner[:60]} has published nothing here.")
    return items
