# SPDX-License-Identifier: Apache-2.0
"""From an upload to a catalog item: everything is checked, in a child process, before anything is kept. Blocking."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import Forbidden, InvalidInput, NotFound
from lerobot_arena.platform.catalog import contract, images, refs
from lerobot_arena.platform.catalog.checks import Bundle, Checks, PolicyFacts
from lerobot_arena.platform.catalog.item import CHECKPOINT, POLICY, ROBOT, SCENE, FileRef, Item
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.storage.blobs import Blobs

BENCHMARK, OVERLAY = "benchmark_scene", "visual_overlay"
LONGEST_TITLE, LONGEST_DESCRIPTION = 200, 10_000
MOST_PREVIEW_BYTES, WIDEST_PREVIEW = 5_000_000, 4096
_DEFAULT_TITLE = "My Scene"
_HEAD_BYTES = 1 << 16


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

    def scene(self, owner: str, fields: Fields, glb: Upload, preview: Upload | None = None) -> Item:
        """A look over a benchmark scene's physics; a slug that is taken gets a number.

        Raises InvalidInput with one sentence, Forbidden for another owner.
        """
        self._check_owner(owner, fields)
        benchmark = self._existing(SCENE, fields, "benchmarkSceneRef") or self._existing_ref(
            SCENE, refs.DEFAULT_SCENE, "benchmarkSceneRef"
        )
        transform = contract.transform(_json(fields, "transform", {}), "transform")
        look = self._checks.scene(glb.path)
        files = {"glb": glb} | ({"preview": _checked_preview(preview)} if preview is not None else {})
        slug = refs.check_slug(refs.given(fields.get("slugPath")) or refs.DEFAULT_SCENE_SLUG)
        facts = {
            "mode": OVERLAY,
            "benchmarkSceneRef": benchmark,
            "transform": {key: list(value) for key, value in asdict(transform).items()},
            "look": look.to_json(),
        }
        free = refs.next_free(slug, self._shelf.slugs(SCENE, owner))
        return self._keep(
            SCENE, owner, free, fields, files, facts, title=_title(fields, _DEFAULT_TITLE), new_only=True
        )

    def robot(
        self, owner: str, fields: Fields, bundle: Upload, more: Mapping[str, Any] | None = None
    ) -> Item:
        """A zipped MuJoCo model; the same slug again is its next version. `more` are facts. Raises as `scene`."""
        self._check_owner(owner, fields)
        slug = refs.check_slug(_needed(fields, "slugPath"))
        key = _needed(fields, "robotKey")
        title = _title(fields)
        model = self._checks.robot(Bundle(bundle.path, refs.given(fields.get("entryXmlPath"))))
        facts = _plain(
            {
                "robotKey": key[:LONGEST_TITLE],
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
        freed = self._shelf.delete(kind, ref)
        for sha256 in freed:
            self._blobs.delete(sha256)
        return freed

    def _tried(self, adapter: str, config: str, model: Upload, robot: str | None) -> PolicyFacts:
        if robot is None:
            return self._checks.policy(model.path, adapter, config)
        item = self._shelf.get(ROBOT, robot)
        with TemporaryDirectory(prefix="arena-robot-") as folder:
            archive = Path(folder) / "bundle.zip"
            self._blobs.copy_to(item.files["bundle"].sha256, archive)
            bundle = Bundle(archive, item.facts["entryXmlPath"])
            return self._checks.policy(model.path, adapter, config, robot=bundle)

    def _check_owner(self, owner: str, fields: Fields) -> None:
        named = refs.given(fields.get("owner"))
        if named is not None and named != owner:
            raise Forbidden(f"You are {owner}, so you cannot publish as {named[:60]}.")
        refs.check_owner(owner, self._taken)

    def _existing(self, kind: str, fields: Fields, field: str) -> str | None:
        ref = refs.given(fields.get(field))
        return None if ref is None else self._existing_ref(kind, ref, field)

    def _existing_ref(self, kind: str, ref: str, field: str) -> str:
        try:
            return self._shelf.get(kind, str(refs.parse(ref, field))).ref
        except NotFound as error:
            raise InvalidInput(f"{field}: {error} Publish it first.") from error

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
        new_only: bool = False,
    ) -> Item:
        description = (refs.given(fields.get("description")) or "")[:LONGEST_DESCRIPTION]
        files = {}
        for role, upload in uploads.items():
            with upload.path.open("rb") as file:
                blob = self._blobs.write_file(file, max_bytes=upload.path.stat().st_size)
            files[role] = FileRef(upload.name[:LONGEST_TITLE], blob.sha256, blob.size)
        now = self._clock.wall_ns() / 1e9
        item = Item(
            kind=kind,
            owner=owner,
            slug=slug,
            title=title,
            description=description,
            files=files,
            facts=facts,
            created_at=now,
            updated_at=now,
        )
        return self._shelf.put(item, new_only=new_only)


def _needed(fields: Fields, name: str) -> str:
    value = refs.given(fields.get(name))
    if value is None:
        raise InvalidInput(f"{name} is missing.")
    return value


def _title(fields: Fields, default: str | None = None) -> str:
    title = refs.given(fields.get("title")) or default or _needed(fields, "title")
    if len(title) > LONGEST_TITLE or not title.isprintable():
        raise InvalidInput(f"title must be 1 to {LONGEST_TITLE} printable characters.")
    return title


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
        return json.loads(json.dumps(dict(facts), allow_nan=False))  # type: ignore[no-any-return]
    except ValueError as error:
        raise InvalidInput("config holds a number that is not finite.") from error


def _checked_preview(upload: Upload) -> Upload:
    with upload.path.open("rb") as file:
        size = images.size_of(file.read(_HEAD_BYTES))
    if upload.path.stat().st_size > MOST_PREVIEW_BYTES or size is None or max(size) > WIDEST_PREVIEW:
        raise InvalidInput(
            f"preview must be a PNG or JPEG of at most {MOST_PREVIEW_BYTES // 10**6} MB and {WIDEST_PREVIEW} pixels."
        )
    return upload
