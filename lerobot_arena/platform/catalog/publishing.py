# SPDX-License-Identifier: Apache-2.0
"""From an upload to a catalog item: everything is checked, in a child process, before anything is kept. Blocking."""

import json
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import ArenaError, Forbidden, InvalidInput, NotFound
from lerobot_arena.platform.catalog import contract, images, refs
from lerobot_arena.platform.catalog.checks import Bundle, Checks, PolicyFacts
from lerobot_arena.platform.catalog.item import CHECKPOINT, POLICY, ROBOT, SCENE, FileRef, Item
from lerobot_arena.platform.catalog.sandbox import work_prefix
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.storage.blobs import Blobs

BENCHMARK, OVERLAY = "benchmark_scene", "visual_overlay"
_DEFAULT_TITLE = "My Scene"


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file, on this machine's disk."""

    name: str
    path: Path


Fields = Mapping[str, str | None]


class Publisher:
    """Publishes for one catalog. `taken` are owner names that would hide a route."""

    def __init__(
        self, shelf: Shelf, blobs: Blobs, checks: Checks, *, clock: Clock, taken: Collection[str] = ()
    ) -> None:
        self._shelf, self._blobs, self._checks = shelf, blobs, checks
        self._clock, self._taken = clock, frozenset(taken)
        # What is deleted and what is kept may share files; never held while something is checked or uploaded.
        self._keeping = threading.Lock()

    def scene(self, owner: str, fields: Fields, glb: Upload, preview: Upload | None = None) -> Item:
        """A look over a benchmark scene's physics; a slug that is taken gets a number.

        Raises InvalidInput with one sentence, Forbidden for another owner.
        """
        self._check_owner(owner, fields)
        benchmark = self._benchmark_of(fields)
        if preview is not None:
            images.check_preview(preview.path)
        transform = contract.transform(_json(fields, "transform", {}), "transform")
        look = self._checks.scene(glb.path)
        files = {"glb": glb} | ({"preview": preview} if preview is not None else {})
        slug = refs.check_slug(refs.given(fields.get("slugPath")) or refs.DEFAULT_SCENE_SLUG)
        facts = {
            "mode": OVERLAY,
            "benchmarkSceneRef": benchmark,
            "transform": {key: list(value) for key, value in asdict(transform).items()},
            "look": look.to_json(),
        }
        title = _title(fields, _DEFAULT_TITLE)
        return self._keep(SCENE, owner, slug, fields, files, facts, title=title, is_numbered=True)

    def robot(
        self, owner: str, fields: Fields, bundle: Upload, more: Mapping[str, Any] | None = None
    ) -> Item:
        """A zipped MuJoCo model; the same slug again is its next version. `more` are facts. Raises as `scene`."""
        self._check_owner(owner, fields)
        slug = refs.check_slug(_needed(fields, "slugPath"))
        key = contract.title(_needed(fields, "robotKey"), "robotKey")
        title = _title(fields)
        model = self._checks.robot(Bundle(bundle.path, refs.given(fields.get("entryXmlPath"))))
        facts = _plain(
            {
                "robotKey": key,
                "entryXmlPath": model.entry,
                "model": model.to_json(),
                **(more or {}),
            }
        )
        return self._keep(ROBOT, owner, slug, fields, {"bundle": bundle}, facts, title=title)

    def policy(
        self,
        owner: str,
        fields: Fields,
        model: Upload,
        depth: Upload | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Item:
        """A network with its adapter's description, run on its default robot. Raises as `scene`."""
        self._check_owner(owner, fields)
        slug = refs.check_slug(_needed(fields, "slugPath"))
        title = _title(fields)
        adapter = _needed(fields, "runtimeAdapter")
        if adapter not in contract.ADAPTERS:
            raise InvalidInput(f"runtimeAdapter must be one of {', '.join(contract.ADAPTERS)}.")
        robot = self._existing(ROBOT, fields, "defaultRobotRef")
        scene = self._existing(SCENE, fields, "defaultSceneRef")
        told = self._tried(adapter, refs.given(fields.get("config")) or "", model, robot)
        if depth is not None:
            self._checks.network(depth.path)
        facts = {
            "runtimeAdapter": adapter,
            "controlDt": told.control_spec.control_dt,
            "metadataConfig": told.config if adapter == contract.ADAPTERS[0] else None,
            "unitreeVelocityConfig": told.config if adapter != contract.ADAPTERS[0] else None,
            "defaultRobotRef": robot,
            "defaultSceneRef": scene,
            "controlSpec": told.control_spec.to_json(),
            "run": None if told.run is None else asdict(told.run),
            **(more or {}),
        }
        files = {"model": model} | ({"depthModel": depth} if depth is not None else {})
        return self._keep(POLICY, owner, slug, fields, files, _plain(facts), title=title)

    def checkpoint(self, owner: str, fields: Fields, bundle: Upload) -> Item:
        """A zipped LeRobot policy, or our ONNX export; the same slug again is its next version. Raises as `scene`."""
        self._check_owner(owner, fields)
        slug = refs.check_slug(_needed(fields, "slugPath"))
        title = _title(fields)
        facts = _plain(self._checks.checkpoint(bundle.path).to_json())
        return self._keep(CHECKPOINT, owner, slug, fields, {"bundle": bundle}, facts, title=title)

    def benchmark(
        self, owner: str, fields: Fields, files: Mapping[str, Upload], more: Mapping[str, Any]
    ) -> Item:
        """A scene with physics of its own (role `physics`), which others are a look over; only the server has them."""
        look = self._checks.scene(files["glb"].path)
        facts = {"mode": BENCHMARK, "transform": None, "look": look.to_json(), **more}
        slug = refs.check_slug(_needed(fields, "slugPath"))
        return self._keep(SCENE, owner, slug, fields, files, _plain(facts), title=_title(fields))

    def delete(self, kind: str, ref: str) -> frozenset[str]:
        """Remove an item and the files that nothing else needs, which are returned. Raises NotFound, Conflict."""
        with self._keeping:
            freed = self._shelf.delete(kind, ref)
            for sha256 in freed:
                self._blobs.delete(sha256)
        return freed

    def _tried(self, adapter: str, config: str, model: Upload, robot: str | None) -> PolicyFacts:
        if robot is None:
            return self._checks.policy(model.path, adapter, config)
        item = self._shelf.get(ROBOT, robot)
        with TemporaryDirectory(prefix=work_prefix("robot-")) as folder:
            archive = Path(folder) / "bundle.zip"
            self._blobs.copy_to(item.files["bundle"].sha256, archive)
            bundle = Bundle(archive, item.facts["entryXmlPath"])
            return self._checks.policy(model.path, adapter, config, robot=bundle)

    def _check_owner(self, owner: str, fields: Fields) -> None:
        named = refs.given(fields.get("owner"))
        if named is not None and named != owner:
            raise Forbidden(f"You are {owner}, so you cannot publish as {named[:60]}.")
        refs.check_owner(owner, self._taken)
        _description(fields)

    def _existing(self, kind: str, fields: Fields, field: str) -> str | None:
        ref = refs.given(fields.get(field))
        try:
            return None if ref is None else self._shelf.get(kind, str(refs.parse(ref, field))).ref
        except NotFound as error:
            raise InvalidInput(f"{field}: {error} Publish it first.") from error

    def _benchmark_of(self, fields: Fields) -> str:
        field = "benchmarkSceneRef"
        ref = refs.parse(refs.given(fields.get(field)) or refs.DEFAULT_SCENE, field)
        try:
            item = self._shelf.get(SCENE, str(ref))
        except NotFound as error:
            raise InvalidInput(
                f"{field}: {error} Scenes with physics come with the server: GET /api/catalog/scenes lists them, and "
                "ARENA_SEED_CATALOG=true publishes them when it starts."
            ) from error
        if item.facts.get("mode") == OVERLAY:
            below = item.facts.get(field)
            raise InvalidInput(f"{field}: {item.ref} has no physics; name {below}, which it covers.")
        return item.ref

    def _keep(
        self,
        kind: str,
        owner: str,
        slug: str,
        fields: Fields,
        uploads: Mapping[str, Upload],
        facts: Mapping[str, Any],
        *,
        title: str,
        is_numbered: bool = False,
    ) -> Item:
        files: dict[str, FileRef] = {}
        now = self._clock.wall_ns() / NS
        try:
            for role, upload in uploads.items():
                files[role] = self._stored(upload)
            item = Item(
                kind=kind, owner=owner, slug=slug, title=title, description=_description(fields), files=files,
                facts=facts, created_at=now, updated_at=now,
            )  # fmt: skip
            with self._keeping:
                if is_numbered:
                    item = replace(item, slug=refs.next_free(slug, self._shelf.slugs(kind, owner)))
                self._check_references(item)
                for role, upload in uploads.items():
                    if files[role].sha256 not in self._blobs:  # gone with the last item that had it
                        self._stored(upload)
                return self._shelf.put(item, new_only=is_numbered)
        except BaseException:
            # The caller has to know the first failure.
            with suppress(ArenaError, SQLAlchemyError, OSError):
                self._drop_unused([file.sha256 for file in files.values()])
            raise

    def _stored(self, upload: Upload) -> FileRef:
        with upload.path.open("rb") as file:
            blob = self._blobs.write_file(file, max_bytes=upload.path.stat().st_size)
        return FileRef(upload.name[: contract.LONGEST_TITLE], blob.sha256, blob.size)

    def _drop_unused(self, files: Iterable[str]) -> None:
        with self._keeping:
            for sha256 in files:
                if not self._shelf.has_file(sha256):
                    self._blobs.delete(sha256)

    def _check_references(self, item: Item) -> None:
        """Once more: what was there before the check may have been deleted since."""
        for kind, ref in item.references():
            try:
                self._shelf.get(kind, ref)
            except NotFound as error:
                raise InvalidInput(f"{error} It was deleted while {item.ref} was checked.") from error


def _needed(fields: Fields, name: str) -> str:
    value = refs.given(fields.get(name))
    if value is None:
        raise InvalidInput(f"{name} is missing.")
    return value


def _title(fields: Fields, default: str | None = None) -> str:
    return contract.title(refs.given(fields.get("title")) or default or _needed(fields, "title"), "title")


def _description(fields: Fields) -> str:
    return contract.description(refs.given(fields.get("description")) or "", "description")


def _json(fields: Fields, name: str, default: Any) -> Any:
    text = refs.given(fields.get(name))
    if text is None:
        return default
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} is not JSON: {error}") from error


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON will give it back. Raises InvalidInput for what it cannot hold."""
    try:
        text = json.dumps(dict(facts), allow_nan=False, ensure_ascii=False)
        return json.loads(text.encode())  # type: ignore[no-any-return]
    except UnicodeEncodeError as error:
        raise InvalidInput("config holds half a character, which no answer could carry.") from error
    except ValueError as error:
        raise InvalidInput("config holds a number that is not finite.") from error
