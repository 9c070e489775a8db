# SPDX-License-Identifier: Apache-2.0
"""An inference engine with real worker processes, fed and asked by hand, its answers collected."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.session import SessionStatus, SessionsWanted, SessionWanted
from lerobot_arena.inference.engine import Engine
from lerobot_arena.inference.params import InferenceParams
from lerobot_arena.testing.policy_folders import JOINTS, SIZE


def session(name: str, policy_path: str, **changes: Any) -> SessionWanted:
    """A virtual session with one camera, everything undecided left to the policy."""
    values: dict[str, Any] = {
        "session_id": name,
        "arm": f"virtual/{name}",
        "policy_path": policy_path,
        "is_virtual": True,
        "camera_names": ("front",),
        "camera_topics": (f"/rooms/test/{name}_front",),
        "joint_input_topic": f"/rooms/test/{name}_joints",
    }
    return SessionWanted(**{**values, **changes})


def joints(values: list[float], names: tuple[str, ...] = JOINTS, unit: str = "") -> JointSample:
    return JointSample(names, np.array(values, dtype=np.float64), unit, time.time_ns(), time.monotonic_ns())


def frame(value: int, size: int = SIZE) -> np.ndarray:
    return np.full((size, size, 3), value, dtype=np.uint8)


def wait_for(look: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """The first true answer of `look`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {timeout_s} s")


class Rig:
    """An engine with real workers, fed and asked by hand."""

    def __init__(self, params: InferenceParams) -> None:
        self.chunks: list[ActionChunk] = []
        self.faults: list[str] = []
        self._sequence = self._generation = 0
        self.engine = Engine(
            params,
            SystemClock(),
            publish=self.chunks.append,
            on_change=lambda: None,
            on_fault=self.faults.append,
        )

    def want(self, *sessions: SessionWanted) -> None:
        self._generation += 1
        self.engine.reconcile(SessionsWanted(self._generation, sessions))

    def status(self, name: str) -> SessionStatus:
        found = self.engine.status().of(name)
        assert found is not None
        return found

    def ready(self, *names: str) -> None:
        wait_for(lambda: all(self.status(name).is_loaded for name in names), f"{', '.join(names)} loaded")

    def feed(self, name: str, values: list[float], brightness: int = 7) -> None:
        found = self.engine.session(name)
        assert found is not None
        found.take_joints(joints(values))
        now = time.monotonic_ns()
        found.take_frame("front", time.time_ns(), now, lambda: frame(brightness))

    def request(self, name: str, *, reset: bool = False, epoch: int = 1) -> int:
        self._sequence += 1
        self.engine.request(ChunkRequest(name, epoch, self._sequence, reset))
        return self._sequence

    def answer(self, sequence: int, timeout_s: float = 30.0) -> ActionChunk:
        return wait_for(
            lambda: next((c for c in self.chunks if c.request_sequence == sequence), None),
            f"answer to request {sequence}",
            timeout_s,
        )

    def ask(self, name: str, values: list[float], *, reset: bool = False) -> ActionChunk:
        self.feed(name, values)
        return self.answer(self.request(name, reset=reset))
