# SPDX-License-Identifier: Apache-2.0
"""What the server asks about a file before it publishes it, each in one child process (sandbox.py).

Nothing here opens the files. Every refusal is InvalidInput with one sentence for the publisher.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import checkpoint, contract, control_spec
from lerobot_arena.platform.catalog.adapters import ADAPTERS
from lerobot_arena.platform.catalog.checkpoint import CheckpointFacts
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.catalog.glb import GlbFacts
from lerobot_arena.platform.catalog.limits import Limits
from lerobot_arena.platform.catalog.robot_model import RobotFacts
from lerobot_arena.platform.catalog.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Bundle:
    """A robot's zip, and the entry that its publisher named."""

    archive: Path
    entry: str | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the headless run showed; `distance_m` from the start over the ground."""

    seconds: float
    fell: bool
    distance_m: float
    base_pos: tuple[float, ...]
    real_time_factor: float


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """A policy that may be published; `robot` and `run` only when there was a robot to try it on.

    `config` is what the manifest shows as metadataConfig or unitreeVelocityConfig.
    """

    control_spec: ControlSpec
    config: dict[str, Any] | None
    nodes: int
    parameters: int
    robot: RobotFacts | None = None
    run: RunFacts | None = None


class Checks:
    """One of these for a server; safe from any thread. Each call blocks for as long as its child needs."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        sandbox: Sandbox | None = None,
        checkpoint_bytes: int = checkpoint.MOST_BYTES,
    ) -> None:
        self.limits = limits or Limits()
        self._sandbox = sandbox or Sandbox(self.limits.child)
        self._checkpoint_limits = checkpoint.limits(checkpoint_bytes)
        self._checkpoint_sandbox = Sandbox(self._checkpoint_limits.child, most_at_once=1)

    def policy(
        self, model: Path, adapter: str, config: str = "", *, robot: Bundle | None = None
    ) -> PolicyFacts:
        """A network with its description, and with a robot that it moves that one's joints and stays finite.

        Raises InvalidInput with one sentence; for a description with gaps it names all missing keys.
        """
        strict.choice(adapter, ADAPTERS, "runtimeAdapter")
        self._size(model, self.limits.onnx.file_bytes, "ONNX file")
        files = {"model": model}
        question: dict[str, Any] = {"adapter": adapter, "config": config[: self.limits.config_bytes + 1]}
        if robot is not None:
            files["bundle"], question["entry"] = robot.archive, robot.entry
        told = self._ask("policy", question, files)
        spec = control_spec.from_json(told.get("control_spec"), "The check's answer")
        run = told.get("run")
        return PolicyFacts(
            spec,
            told.get("config"),
            told["nodes"],
            told["parameters"],
            None if robot is None else _robot(told),
            None if run is None else RunFacts(**{**run, "base_pos": tuple(run["base_pos"])}),
        )

    def robot(self, bundle: Bundle) -> RobotFacts:
        """A zip that is safe, with an entry XML that MuJoCo compiles. Raises InvalidInput with one sentence."""
        self._size(bundle.archive, self.limits.zip.file_bytes, "robot's zip")
        return _robot(self._ask("robot", {"entry": bundle.entry}, {"bundle": bundle.archive}))

    def scene(self, glb: Path) -> GlbFacts:
        """A GLB that a page can show. Raises InvalidInput with one sentence."""
        self._size(glb, self.limits.glb.file_bytes, "GLB")
        told = strict.mapping(self._ask("scene", {}, {"glb": glb}).get("scene"), "The check's answer")
        return GlbFacts(**{**told, "lower": tuple(told["lower"]), "upper": tuple(told["upper"])})

    def network(self, model: Path) -> None:
        """A network without a description, such as `depthModel`. Raises InvalidInput with one sentence."""
        self._size(model, self.limits.onnx.file_bytes, "ONNX file")
        self._ask("onnx", {}, {"model": model})

    def checkpoint(self, archive: Path) -> CheckpointFacts:
        """A zipped policy folder that a session could be made of. Raises InvalidInput with one sentence."""
        limits = self._checkpoint_limits
        self._size(archive, limits.zip.file_bytes, "checkpoint's zip")
        question = {"limits": limits.to_json()}
        told = self._checkpoint_sandbox.ask("checkpoint", question, files={"bundle": archive})
        return checkpoint.facts(told.get("checkpoint"))

    def contract(self, file: Path) -> contract.ContractFile:
        """A policy.yaml, robot.yaml or scene.yaml. Raises InvalidInput with one sentence."""
        self._size(file, self.limits.config_bytes, file.name)
        return contract.of(self._ask("contract", {"name": file.name}, {"contract": file}), file.name)

    def _ask(self, job: str, question: dict[str, Any], files: dict[str, Path]) -> dict[str, Any]:
        return self._sandbox.ask(job, {**question, "limits": self.limits.to_json()}, files=files)

    def _size(self, path: Path, most: int, what: str) -> None:
        """Spares a process for what is plainly wrong."""
        size = path.stat().st_size
        if size == 0:
            raise InvalidInput(f"The {what} is empty.")
        if size > most:
            raise InvalidInput(f"The {what} has {size} bytes; {most} is the limit.")


def _robot(told: dict[str, Any]) -> RobotFacts:
    facts = strict.mapping(told.get("robot"), "The check's answer")
    return RobotFacts(**{**facts, "joints": tuple(facts["joints"]), "keyframes": tuple(facts["keyframes"])})
