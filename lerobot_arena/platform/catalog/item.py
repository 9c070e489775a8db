# SPDX-License-Identifier: Apache-2.0
"""A published policy, robot, scene or checkpoint, as it is kept. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

POLICY, ROBOT, SCENE = "policy", "robot", "scene"
CHECKPOINT = "checkpoint"
"""A policy for an arm: LeRobot's folder, or our ONNX export of one."""
KINDS = (POLICY, ROBOT, SCENE, CHECKPOINT)
PHYSICS = "physics"
"""Role of a benchmark scene's own file: MJCF that stands around the robot."""
DRAFT, PROCESSING, ACTIVE, FAILED = "draft", "processing", "active", "failed"


@dataclass(frozen=True, slots=True)
class FileRef:
    """One file of an item: its name as uploaded, and where the blob store has it."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One version of one item. `files` by role (`model`, `bundle`, `glb`, …); `facts` is what its kind has to say."""

    kind: str
    owner: str
    slug: str
    title: str
    version: int = 1
    description: str = ""
    status: str = ACTIVE
    created_at: float = 0.0
    updated_at: float = 0.0
    files: Mapping[str, FileRef] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """`owner/slug`, as policies and URLs name it."""
        return f"{self.owner}/{self.slug}"

    @property
    def content(self) -> str:
        """sha256 that changes when a file or a fact of it changes; what votes are about."""
        files = {role: file.sha256 for role, file in self.files.items()}
        text = json.dumps([self.kind, files, dict(self.facts)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def references(self) -> frozenset[tuple[str, str]]:
        """(kind, ref) of what it needs to run as published."""
        named = (
            (ROBOT, self.facts.get("defaultRobotRef")),
            (SCENE, self.facts.get("defaultSceneRef")),
            (SCENE, self.facts.get("benchmarkSceneRef")),
        )
        return frozenset(
            (kind, str(ref)) for kind, ref in named if ref and (kind, ref) != (self.kind, self.ref)
        )
