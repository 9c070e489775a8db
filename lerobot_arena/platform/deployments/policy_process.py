# SPDX-License-Identifier: Apache-2.0
"""An inference worker of one's own, asked from an event loop: a thread that lives as long as the process does."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from lerobot_arena.core.errors import InvalidInput, PolicyFailed, Unavailable
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.worker_client import Answer, WorkerClient, WorkerLost, WorkerOptions

_SESSION = "deployment"
_MOST_THROWS = 3


class PolicyProcess:
    """Loaded by `open`, ended by `close`; answers one call at a time."""

    def __init__(self, manifest: PolicyManifest, options: WorkerOptions) -> None:
        self.manifest = manifest
        self._options = replace(options, max_batch=1)
        # The kernel ends the process when the thread that started it ends, and only that thread may ask it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="deployed-policy")
        self._client: WorkerClient | None = None
        self._is_closed = False
        self._throws = 0

    @property
    def is_alive(self) -> bool:
        """The process can answer."""
        return self._client is not None and not self._is_closed and self._client.is_alive()

    async def open(self) -> None:
        """Start it and load the policy. Raises PolicyError for one that cannot be used, Unavailable."""
        try:
            await self._do(self._open)
        except WorkerLost as error:
            raise Unavailable(str(error)) from error

    async def infer(self, seen: PolicyInput, task: str) -> Answer:
        """A chunk for one observation, without memory of those before it.

        Raises InvalidInput when the policy throws, Unavailable when its process is lost or throws time after time.
        """
        try:
            answer = await self._do(self._infer, seen, task)
        except WorkerLost as error:
            raise Unavailable(str(error)) from error
        except PolicyFailed as error:
            self._throws += 1
            if self._throws >= _MOST_THROWS:
                raise Unavailable(f"{error} It failed {self._throws} times in a row.") from error
            raise InvalidInput(str(error)) from error
        self._throws = 0
        return answer

    async def close(self) -> None:
        """End it at once, also while it loads or computes. May be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._client is not None:
            self._client.kill_process()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        self._thread.shutdown(wait=False)

    async def _do[*Given, T](self, work: Callable[[*Given], T], *given: *Given) -> T:
        if self._is_closed:
            raise Unavailable("The instance was ended.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)

    def _open(self) -> None:
        if self._is_closed:
            raise Unavailable("The instance was ended before it was ready.")
        self._client = WorkerClient(self.manifest, self._options)
        if self._is_closed:
            self._client.kill_process()
        self._client.load(self.manifest)

    def _infer(self, seen: PolicyInput, task: str) -> Answer:
        assert self._client is not None
        history = [seen] * self.manifest.n_obs_steps
        return self._client.infer(_SESSION, history, task=task, reset=True)

    def _end(self) -> None:
        if self._client is not None:
            self._client.kill()
