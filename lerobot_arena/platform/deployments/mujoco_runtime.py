# SPDX-License-Identifier: Apache-2.0
"""Runs `instance.mujoco.onnx` deployments: each instance is a confined child process with the policy and its robot."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.platform.catalog.item import PHYSICS, POLICY, ROBOT, SCENE, FileRef
from lerobot_arena.platform.catalog.limits import ChildLimits
from lerobot_arena.platform.catalog.sandbox import work_prefix
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.deployments.deployment import Deployment
from lerobot_arena.platform.deployments.line_child import LineChild, open_line_child
from lerobot_arena.platform.deployments.mujoco_child import SCENE_FILE
from lerobot_arena.platform.storage.blobs import Blobs

_CHILD = "lerobot_arena.platform.deployments.mujoco_child"
_LOST = "The instance has ended: the policy or the simulation crashed, or ran out of memory."
# An instance lives long; what bounds it is its deployment's idle time.
_LIMITS = replace(ChildLimits(), cpu_s=7 * 24 * 3600)


class MujocoInstance:
    """A child process with a policy and its robot."""

    def __init__(self, child: LineChild) -> None:
        self._child = child

    @property
    def is_alive(self) -> bool:
        """The process runs."""
        return self._child.is_alive

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Raises InvalidInput for a bad request, Unavailable when the instance is lost."""
        return await self._child.ask(request)

    async def stop(self) -> None:
        """End the process; its folder goes too."""
        await self._child.close()


class MujocoRuntime:
    """Takes the policy and its default robot from the catalog."""

    def __init__(self, shelf: Shelf, blobs: Blobs) -> None:
        self._shelf, self._blobs = shelf, blobs

    def missing(self) -> str:
        """Names the package."""
        absent = [name for name in ("mujoco", "onnxruntime") if find_spec(name) is None]
        return f"pip install {' '.join(absent)}: instance.mujoco.onnx needs it." if absent else ""

    async def start(self, deployment: Deployment) -> MujocoInstance:
        """A process that has opened everything. Raises Unavailable with its reason."""
        folder = Path(tempfile.mkdtemp(prefix=work_prefix("deployment-")))
        try:
            asked = await asyncio.to_thread(self._prepare, deployment, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return MujocoInstance(await open_line_child(_CHILD, folder, asked, lost=_LOST))

    def _prepare(self, deployment: Deployment, folder: Path) -> dict[str, Any]:
        policy = self._shelf.get(POLICY, deployment.policy)
        robot_ref = policy.facts.get("defaultRobotRef")
        if not robot_ref:
            raise Unavailable(
                f"Policy {policy.ref} names no default robot, so there is nothing to run it on."
            )
        robot = self._shelf.get(ROBOT, robot_ref)
        self._blobs.copy_to(policy.files["model"].sha256, folder / "policy.onnx")
        self._blobs.copy_to(robot.files["bundle"].sha256, folder / "bundle.zip")
        physics = self._physics(policy.facts.get("defaultSceneRef"))
        if physics is not None:
            self._blobs.copy_to(physics.sha256, folder / SCENE_FILE)
        return {
            "folder": str(folder),
            "has_scene": physics is not None,
            "entry": robot.facts["entryXmlPath"],
            "control_spec": policy.facts["controlSpec"],
            "limits": asdict(_LIMITS),
        }

    def _physics(self, ref: str | None) -> FileRef | None:
        """Of the policy's default scene, or of the benchmark scene that one is a look over."""
        if not ref:
            return None
        scene = self._shelf.get(SCENE, ref)
        benchmark = scene.facts.get("benchmarkSceneRef")
        if PHYSICS not in scene.files and benchmark:
            scene = self._shelf.get(SCENE, benchmark)
        return scene.files.get(PHYSICS)
