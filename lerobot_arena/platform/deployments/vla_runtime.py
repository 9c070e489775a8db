# SPDX-License-Identifier: Apache-2.0
"""Runs `instance.vla.pi0` deployments: LeRobot's pi0, or any other of its policies that reads a task text.

An instance is two child processes: the inference worker with the policy, and one that decodes the pictures.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.inference.drafts import read_draft
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.worker_client import WorkerOptions
from lerobot_arena.platform.deployments.deployment import PI0, Deployment
from lerobot_arena.platform.deployments.pictures import Pictures, open_pictures
from lerobot_arena.platform.deployments.policy_process import PolicyProcess
from lerobot_arena.platform.deployments.vla_request import answer, read_request

_NEEDED = ("torch", "lerobot", "transformers", "cv2")
# Its first answer on a small machine takes minutes; a request waits shorter, and the next one finds it ready.
_LOAD_TIMEOUT_S, _INFER_TIMEOUT_S = 900.0, 80.0


class VlaInstance:
    """A policy in memory."""

    def __init__(self, process: PolicyProcess, pictures: Pictures) -> None:
        self._process, self._pictures = process, pictures

    @property
    def is_alive(self) -> bool:
        """Both processes run."""
        return self._process.is_alive and self._pictures.is_alive

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Actions for one observation and a task. Raises InvalidInput, Unavailable when the instance is lost."""
        manifest = self._process.manifest
        asked = read_request(request, manifest)
        frames = await self._pictures.decode(asked.images)
        started = time.perf_counter()
        seen = PolicyInput(asked.state, frames, asked.task, time.monotonic())
        found = await self._process.infer(seen, asked.task)
        return answer(found.chunk, manifest, (time.perf_counter() - started) * 1e3)

    async def stop(self) -> None:
        """End both."""
        await asyncio.gather(self._process.close(), self._pictures.close())


class VlaRuntime:
    """Takes checkpoints from the catalog; `folder_of` gives the folder of a reference, and blocks."""

    def __init__(self, folder_of: Callable[[str], Path], *, device: str = "cpu") -> None:
        self._folder_of = folder_of
        self._options = WorkerOptions(
            device=device, load_timeout_s=_LOAD_TIMEOUT_S, infer_timeout_s=_INFER_TIMEOUT_S
        )

    def missing(self) -> str:
        """Names the packages, without importing any."""
        absent = [name for name in _NEEDED if find_spec(name) is None]
        if not absent:
            return ""
        return (
            f"pip install 'lerobot_arena[lerobot]' (LeRobot with its extra pi): {PI0} needs it. "
            f"Missing here: {', '.join(absent)}."
        )

    async def start(self, deployment: Deployment) -> VlaInstance:
        """A policy that is loaded. Raises NotFound, PolicyError or Unavailable with its reason."""
        manifest = await asyncio.to_thread(self._inspect, deployment.policy)
        pictures = await open_pictures({one.name: (one.height, one.width) for one in manifest.cameras})
        process = PolicyProcess(manifest, self._options)
        try:
            await process.open()
        except BaseException:
            await asyncio.shield(asyncio.gather(process.close(), pictures.close()))
            raise
        return VlaInstance(process, pictures)

    def _inspect(self, ref: str) -> PolicyManifest:
        folder = str(self._folder_of(ref))
        draft = read_draft(folder, "")
        # The text is each request's own; here it stands for there being one.
        wanted = SessionWanted(
            session_id="deployment",
            arm="",
            policy_path=folder,
            camera_names=tuple(camera.name for camera in draft.cameras),
            language_instruction="of the request",
        )
        manifest = inspect_policy(folder, wanted=wanted, robot=None)
        if not manifest.takes_task:
            raise PolicyError(
                f"Checkpoint {ref} is {manifest.policy_type!r}, which reads no task text: {PI0} is for those that do. "
                "Deploy it as native.robot.lowcmd."
            )
        return manifest
