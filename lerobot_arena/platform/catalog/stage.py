# SPDX-License-Identifier: Apache-2.0
"""A scene with the scene whose physics it covers, each in one version: what a run really stands in. Blocking."""

import hashlib
from dataclasses import dataclass

from lerobot_arena.core.errors import NotFound
from lerobot_arena.platform.catalog.item import PHYSICS, SCENE, Item
from lerobot_arena.platform.catalog.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Stage:
    """`benchmark` has the physics; None: the scene itself."""

    scene: Item
    benchmark: Item | None = None

    @property
    def content(self) -> str:
        """sha256 that changes with the look, and with the physics below it."""
        if self.benchmark is None:
            return self.scene.content
        return hashlib.sha256(f"{self.scene.content} {self.benchmark.content}".encode()).hexdigest()


def newest_stage(shelf: Shelf, ref: str) -> Stage:
    """Of a scene as it is published now. Raises NotFound."""
    scene = shelf.get(SCENE, ref)
    below = _below(scene)
    return Stage(scene, None if below is None else shelf.get(SCENE, below))


def stage_of(shelf: Shelf, ref: str, content: str) -> Stage:
    """The versions that had this content. Raises NotFound when they are not here any more."""
    for scene in shelf.versions(SCENE, ref):
        below = _below(scene)
        for benchmark in [None] if below is None else shelf.versions(SCENE, below):
            if (stage := Stage(scene, benchmark)).content == content:
                return stage
    raise NotFound("The scene that was matched is not here any more.")


def _below(scene: Item) -> str | None:
    return None if PHYSICS in scene.files else scene.facts.get("benchmarkSceneRef")
