# SPDX-License-Identifier: Apache-2.0
"""What a fresh install has in its catalog: shipped contract folders, published through the same checks as everybody's.

Blocking; takes some seconds of a child process for each folder, once for each version of the shipped files.
"""

import hashlib
import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import ArenaError, NotFound
from lerobot_arena.platform.catalog import bundle
from lerobot_arena.platform.catalog.checks import Checks
from lerobot_arena.platform.catalog.contract import ContractFile, PolicyFile, RobotFile, SceneFile
from lerobot_arena.platform.catalog.item import Item
from lerobot_arena.platform.catalog.publishing import Publisher, Upload
from lerobot_arena.platform.catalog.sandbox import work_prefix
from lerobot_arena.platform.catalog.shelf import Shelf

_log = logging.getLogger(__name__)
FOLDER = Path(__file__).parents[2] / "models" / "locomotion"
# In the order in which they need each other.
SHIPPED = ("parkour", "pony", "pony-trot", "pony-bound")
_VERSION = "shipped"


def seed_catalog(
    shelf: Shelf, publisher: Publisher, *, folder: Path = FOLDER, checks: Checks | None = None
) -> list[Item]:
    """Publish what is shipped and not there yet in this version; what was published. A bad folder is logged."""
    done = []
    for name in SHIPPED:
        try:
            item = _seed(shelf, publisher, folder / name, checks or Checks())
        except (ArenaError, OSError) as error:
            _log.warning("The shipped %s is not published: %s", name, error)
            continue
        if item is not None:
            done.append(item)
    return done


def _seed(shelf: Shelf, publisher: Publisher, folder: Path, checks: Checks) -> Item | None:
    (file,) = [
        folder / f"{kind}.yaml"
        for kind in ("policy", "robot", "scene")
        if (folder / f"{kind}.yaml").is_file()
    ]
    said = checks.contract(file)
    version = _digest(folder.rglob("*"))
    try:
        if shelf.get(said.kind, f"{said.owner}/{said.slug}").facts.get(_VERSION) == version:
            return None
    except NotFound:
        pass
    with tempfile.TemporaryDirectory(prefix=work_prefix("shipped-")) as work:
        files, fields, more = _uploads(said, folder, Path(work)), fields_of(said), {_VERSION: version}
        owner = str(said.owner)
        if isinstance(said, PolicyFile):
            return publisher.policy(owner, fields, files["model"], more=more)
        if isinstance(said, RobotFile):
            return publisher.robot(owner, fields, files["bundle"], more=more)
        return publisher.benchmark(owner, fields, files, more)


def _uploads(said: ContractFile, folder: Path, work: Path) -> dict[str, Upload]:
    if isinstance(said, PolicyFile):
        return {"model": Upload(said.model, folder / said.model)}
    if isinstance(said, RobotFile):
        archive = work / f"{said.slug}.zip"
        bundle.pack(folder / said.bundle, archive)
        return {"bundle": Upload(archive.name, archive)}
    assert isinstance(said, SceneFile)
    found = {"glb": Upload(said.glb, folder / said.glb)}
    physics = folder / f"{folder.name}.xml"
    return {**found, "physics": Upload(physics.name, physics)} if physics.is_file() else found


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def fields_of(said: ContractFile) -> dict[str, Any]:
    """A contract file as the fields that publishing takes."""
    common = {"slugPath": said.slug, "title": said.title, "description": said.description}
    if isinstance(said, PolicyFile):
        return {
            **common,
            "runtimeAdapter": said.runtime_adapter,
            "defaultRobotRef": said.default_robot,
            "defaultSceneRef": said.default_scene,
        }
    if isinstance(said, RobotFile):
        return {**common, "robotKey": said.robot_key, "entryXmlPath": said.entry_xml}
    return {**common, "benchmarkSceneRef": said.benchmark_scene}
