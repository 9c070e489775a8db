# SPDX-License-Identifier: Apache-2.0
"""Runs `instance.mujoco.onnx` deployments: each instance is a confined child process with the policy and its robot."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.platform.catalog.item import PHYSICS, POLICY, ROBOT, SCENE, FileRef
from lerobot_arena.platform.catalog.limits import ChildLimits
from lerobot_arena.platform.catalog.sandbox import end_child, start_child
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.deployments.deployment import Deployment
from lerobot_arena.platform.deployments.mujoco_child import SCENE_FILE
from lerobot_arena.platform.storage.blobs import Blobs

_CHILD = "lerobot_arena.platform.deployments.mujoco_child"
_START_TIMEOUT_S = 60.0
_MOST_LINE = 1 << 16
# An instance lives long; what bounds it is its deployment's idle time.
_LIMITS = replace(ChildLimits(), cpu_s=7 * 24 * 3600)


class MujocoInstance:
    """A child process that answers a JSON line with a JSON line."""

    def __init__(self, process: Any, reader: asyncio.StreamReader, pipe: Any, folder: Path) -> None:
        self._process, self._reader, self._pipe, self._folder = process, reader, pipe, folder
        self._has_ended = False

    @property
    def is_alive(self) -> bool:
        """The process runs."""
        return not self._has_ended and self._process.poll() is None

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Raises InvalidInput for a bad request, Unavailable when the instance is lost."""
        try:
            self._process.stdin.write(json.dumps(dict(request), allow_nan=False).encode() + b"\n")
            self._process.stdin.flush()
        except ValueError as error:
            raise InvalidInput(f"The request is not JSON: {error}") from error
        except OSError as error:
            raise Unavailable("The instance has ended.") from error
        return await self.heard()

    async def heard(self) -> dict[str, Any]:
        """The next answer."""
        line = await self._reader.readline()
        if not line:
            self._has_ended = True
            raise Unavailable(
                "The instance has ended: the policy or the simulation crashed, or ran out of memory."
            )
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise (Unavailable if answer.get("is_lost") else InvalidInput)(str(answer.get("error")))
        return answer

    async def stop(self) -> None:
        """End the process; its folder goes too."""
        self._pipe.close()
        with suppress(OSError):
            self._process.stdin.close()
        await asyncio.to_thread(end_child, self._process)
        await asyncio.to_thread(shutil.rmtree, self._folder, True)


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
        folder = Path(tempfile.mkdtemp(prefix="arena-deployment-"))
        try:
            asked = await asyncio.to_thread(self._prepare, deployment, folder)
            instance = await self._begin(asked, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await instance.heard()
        except BaseException as error:
            await instance.stop()
            if isinstance(error, TimeoutError):
                raise Unavailable(f"It did not start within {_START_TIMEOUT_S:g} s.") from error
            if isinstance(error, InvalidInput):
                raise Unavailable(str(error)) from error
            raise
        return instance

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

    @staticmethod
    async def _begin(asked: Mapping[str, Any], folder: Path) -> MujocoInstance:
        ours, theirs = os.pipe()
        try:
            process = await asyncio.to_thread(start_child, _CHILD, theirs, folder)
        finally:
            os.close(theirs)
        reader = asyncio.StreamReader(limit=_MOST_LINE)
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(dict(asked)).encode() + b"\n")
        process.stdin.flush()
        return MujocoInstance(process, reader, pipe, folder)
