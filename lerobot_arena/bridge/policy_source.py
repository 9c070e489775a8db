# SPDX-License-Identifier: Apache-2.0
"""What a client's `policy_path` stands for: the demo, a folder under the configured roots, the catalog, a hub."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lerobot_arena.bridge.hub import Hub, HubReference
from lerobot_arena.core.errors import InvalidInput, NotFound

DEMO, HOLD, REPLAY, CATALOG = "demo", "hold", "replay", "catalog"
_IN_CATALOG = re.compile(r"([^/@]+/[^@]+?)(?:@([1-9][0-9]{0,8}))?")
_MAX_ENTRIES = 2000


@dataclass(frozen=True, slots=True)
class ResolvedPolicy:
    """Where a policy is on this machine; `revision` is a hub repository's commit, or a published version's number."""

    path: str
    policy_type: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class CatalogReference:
    """`owner/slug` of a checkpoint, and one of its versions when one is named."""

    ref: str
    version: int | None = None

    @classmethod
    def parse(cls, policy_path: str) -> "CatalogReference | None":
        """Of `catalog:owner/slug` or `catalog:owner/slug@version`; None for a path of another kind.

        Raises InvalidInput for a catalog path that is neither.
        """
        kind, separator, rest = policy_path.partition(":")
        if not separator or kind != CATALOG:
            return None
        match = _IN_CATALOG.fullmatch(rest)
        if match is None:
            raise InvalidInput(
                f"policy_path {policy_path[:200]!r} must be catalog:owner/slug or catalog:owner/slug@version."
            )
        return cls(match[1], int(match[2]) if match[2] else None)


Place = Callable[[CatalogReference], ResolvedPolicy]
"""From a published checkpoint to its folder, blocking. Raises NotFound, Unavailable."""


class PolicySources:
    """Resolves references, blocking. No path leaves the roots, neither by `..` nor by a symbolic link."""

    def __init__(self, roots: tuple[Path, ...], hub: Hub, *, place: Place | None = None) -> None:
        """Without `place` there is no catalog."""
        self._place = place
        self._roots = tuple(root.resolve() for root in roots)
        self._hub = hub

    def resolve(self, reference: str) -> ResolvedPolicy:
        """Find a policy, downloading it when it is a hub id. Raises InvalidInput saying what can be named."""
        if not reference or "\0" in reference or len(reference) > 1000:
            raise InvalidInput("policy_path is empty or unusable.")
        if reference in {DEMO, HOLD}:
            return ResolvedPolicy(reference, HOLD if reference == HOLD else "")
        if (published := CatalogReference.parse(reference)) is not None:
            return self._published(published)
        kind, separator, rest = reference.partition(":")
        if separator and kind == REPLAY:
            return ResolvedPolicy(f"{REPLAY}:{self._under_a_root(rest, is_folder=False)}", REPLAY)
        folder = self._find_folder(reference)
        if folder is not None:
            return ResolvedPolicy(str(folder))
        hub_reference = None if _looks_like_a_path(reference) else HubReference.parse(reference)
        if hub_reference is None:
            raise InvalidInput(self._no_such(reference))
        path, revision = self._hub.download(hub_reference)
        return ResolvedPolicy(str(path), "", revision)

    def _published(self, reference: CatalogReference) -> ResolvedPolicy:
        if self._place is None:
            raise InvalidInput("There is no catalog here.")
        try:
            return self._place(reference)
        except NotFound as error:
            raise InvalidInput(f"policy_path: {error} GET /api/catalog/checkpoints lists them.") from error

    def _find_folder(self, reference: str) -> Path | None:
        try:
            return self._under_a_root(reference, is_folder=True)
        except InvalidInput:
            if _looks_like_a_path(reference):
                raise
            return None

    def _under_a_root(self, reference: str, *, is_folder: bool) -> Path:
        given = Path(reference).expanduser()
        for root in self._roots:
            try:
                found = (root / given).resolve(strict=True)
            except (OSError, RuntimeError):
                continue
            if not found.is_relative_to(root):
                continue
            if found.is_dir() if is_folder else found.is_file():
                if is_folder:
                    _refuse_escaping_links(found, root)
                return found
        raise InvalidInput(self._no_such(reference))

    def _no_such(self, reference: str) -> str:
        roots = ", ".join(map(str, self._roots)) or "none configured"
        return (
            f"No policy at {reference!r}. Use 'demo', a folder under the policy roots ({roots}; set with "
            "ARENA_POLICY_ROOTS), a published checkpoint (catalog:owner/slug), or a hub id like org/name or "
            "org/name@revision."
        )


def _looks_like_a_path(reference: str) -> bool:
    return reference.startswith(("/", ".", "~")) or ".." in reference.split("/") or reference.count("/") > 1


def _refuse_escaping_links(folder: Path, root: Path) -> None:
    """A link inside the folder may not lead out of the root either: it would be read like the weights."""
    seen = 0
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            seen += 1
            if seen > _MAX_ENTRIES:
                raise InvalidInput(
                    f"{folder} has more than {_MAX_ENTRIES} entries: that is no policy folder."
                )
            entry = Path(path, name)
            if entry.is_symlink() and not entry.resolve().is_relative_to(root):
                raise InvalidInput(f"{entry} links to a place outside the policy root {root}.")
