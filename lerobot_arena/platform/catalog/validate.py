# SPDX-License-Identifier: Apache-2.0
"""`arena validate`: a folder with policy.yaml, robot.yaml or scene.yaml, checked as the server will check it."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import bundle, contract, images
from lerobot_arena.platform.catalog.checks import Bundle, Checks, PolicyFacts
from lerobot_arena.platform.catalog.contract import ContractFile, PolicyFile, RobotFile, SceneFile

ROBOT_FILE = "robot.yaml"


class Level(StrEnum):
    """error: it cannot be published. warning: it can, but. ok: a fact."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report, about one file of the folder."""

    file: str
    level: Level
    what: str

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return asdict(self)


def validate_folder(path: Path, checks: Checks | None = None, *, robot: Path | None = None) -> list[Finding]:
    """All findings about the contract files in `path`; it can be published when none is an error.

    A policy is run on the robot beside it, or on the one of the folder `robot`. Raises Unavailable when this machine
    lacks MuJoCo.
    """
    folder = path.resolve()
    present = [name for name in contract.FILE_NAMES if (folder / name).is_file()]
    if not present:
        return [Finding(".", Level.ERROR, f"There is no {', '.join(contract.FILE_NAMES)} in {path}.")]
    with tempfile.TemporaryDirectory(prefix="arena-validate-") as work:
        checked = _Folder(folder, Path(work), checks or Checks())
        if robot is not None:
            checked.borrow(robot.resolve())
        return list(checked.findings(present))


def inside(folder: Path, relative: str) -> Path:
    """A file or folder that a contract file names. Raises InvalidInput when it is not there, or a link leads out."""
    found = (folder / relative).resolve()
    if not found.is_relative_to(folder):
        raise InvalidInput(f"{relative} leads out of the folder.")
    if not found.exists():
        raise InvalidInput(f"There is no {relative}.")
    return found


def bundle_of(folder: Path, robot: RobotFile, work: Path) -> Bundle:
    """What is uploaded for a robot: its zip, or its folder zipped into `work`. Raises InvalidInput."""
    found = inside(folder, robot.bundle)
    if found.is_dir():
        archive = work / "robot.zip"
        bundle.pack(found, archive)
        return Bundle(archive, robot.entry_xml)
    return Bundle(found, robot.entry_xml)


def config_text(folder: Path, policy: PolicyFile) -> str:
    """What is uploaded as `config`. Raises InvalidInput."""
    if isinstance(policy.config, str):
        return inside(folder, policy.config).read_text(encoding="utf-8", errors="replace")
    return json.dumps(policy.config) if policy.config else ""


class _Folder:
    def __init__(self, folder: Path, work: Path, checks: Checks) -> None:
        self._folder, self._work, self._checks = folder, work, checks
        self._robot: Bundle | None = None

    def borrow(self, folder: Path) -> None:
        """Run the policy on a robot from elsewhere. Raises InvalidInput when there is none."""
        said = self._checks.contract(inside(folder, ROBOT_FILE))
        if not isinstance(said, RobotFile):
            raise InvalidInput(f"{folder / ROBOT_FILE} says that it is a {said.kind}.")
        self._robot = bundle_of(folder, said, self._work)

    def findings(self, present: list[str]) -> Iterator[Finding]:
        """Robots first, because the policy runs on one."""
        for name in sorted(present, key=lambda name: name != ROBOT_FILE):
            try:
                said = self._checks.contract(self._folder / name)
                if said.kind != contract.FILE_NAMES[name]:
                    raise InvalidInput(f"{name} says that it is a {said.kind}.")
                yield from self._of(said, name)
            except InvalidInput as error:
                yield Finding(name, Level.ERROR, str(error))

    def _of(self, said: ContractFile, name: str) -> Iterator[Finding]:
        if isinstance(said, RobotFile):
            packed = bundle_of(self._folder, said, self._work)
            facts = self._checks.robot(packed)
            self._robot = Bundle(packed.archive, facts.entry)
            base = "a free base" if facts.has_free_joint else "a fixed base"
            yield Finding(name, Level.OK, f"{facts.entry} compiles: {len(facts.joints)} joints, {base}.")
        elif isinstance(said, SceneFile):
            yield from self._scene(said, name)
        else:
            yield from self._policy(said, name)

    def _scene(self, said: SceneFile, name: str) -> Iterator[Finding]:
        facts = self._checks.scene(inside(self._folder, said.glb))
        size = " × ".join(f"{high - low:.2f}" for low, high in zip(facts.lower, facts.upper, strict=True))
        yield Finding(name, Level.OK, f"{said.glb} is {size} m large and has {facts.triangles} triangles.")
        if said.preview:
            images.check_preview(inside(self._folder, said.preview))

    def _policy(self, said: PolicyFile, name: str) -> Iterator[Finding]:
        model = inside(self._folder, said.model)
        config = config_text(self._folder, said)
        facts = self._checks.policy(model, said.runtime_adapter, config, robot=self._robot)
        if said.depth_model:
            self._checks.network(inside(self._folder, said.depth_model))
        spec = facts.control_spec
        yield Finding(
            name,
            Level.OK,
            f"{said.model} is complete: {spec.observation_width} observations, {len(spec.joint_names)} joints, "
            f"every {spec.control_dt * 1e3:g} ms.",
        )
        yield _run(name, facts)


def _run(name: str, facts: PolicyFacts) -> Finding:
    if facts.run is None:
        return Finding(name, Level.WARNING, "There is no robot.yaml beside it, so it was not run.")
    run = facts.run
    told = f"{run.seconds:g} s on the robot: {run.distance_m:.2f} m, {run.real_time_factor:.0f}× real time"
    return (
        Finding(name, Level.WARNING, f"{told}, but it falls.")
        if run.fell
        else Finding(name, Level.OK, f"{told}.")
    )


def is_publishable(findings: list[Finding]) -> bool:
    """No finding is an error."""
    return all(finding.level != Level.ERROR for finding in findings)
