# SPDX-License-Identifier: Apache-2.0
"""What policies of physical trials are called on a public leaderboard. Blocking where the catalog is asked."""

import hashlib
from pathlib import Path

from lerobot_arena.bridge.policy_source import CATALOG, DEMO, HOLD, CatalogReference
from lerobot_arena.bridge.store import SessionRecord
from lerobot_arena.core.errors import NotFound
from lerobot_arena.platform.catalog.item import ACTIVE, CHECKPOINT
from lerobot_arena.platform.catalog.shelf import Shelf

_MOST_LISTED = 1000


def checkpoints_of(shelf: Shelf) -> list[str]:
    """Published checkpoints, as a session's `policy_path` names them."""
    items = shelf.list(CHECKPOINT, limit=_MOST_LISTED)
    return [f"{CATALOG}:{item.ref}" for item in items if item.status == ACTIVE]


def checkpoint_titles(shelf: Shelf) -> dict[str, str]:
    """By their names in votes."""
    items = shelf.list(CHECKPOINT, limit=_MOST_LISTED)
    return {f"{CATALOG}:{item.ref}": item.title for item in items}


def policy_name(record: SessionRecord) -> str:
    """A name that is the same in every trial and tells nothing of this machine's folders.

    `catalog:owner/slug`, a hub repository's id, or of a folder its name and a digest of where it is.
    """
    reference = record.policy_reference
    if (published := CatalogReference.parse(reference)) is not None:
        return f"{CATALOG}:{published.ref}"
    if reference in {DEMO, HOLD}:
        return reference
    if record.wanted.revision:
        return reference.partition("@")[0]
    place = record.wanted.policy_path
    return f"local:{Path(place).name[:100]}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def policy_title(shelf: Shelf, record: SessionRecord) -> str:
    """A published checkpoint's title, else its name."""
    published = CatalogReference.parse(record.policy_reference)
    if published is not None:
        try:
            return shelf.get(CHECKPOINT, published.ref, published.version).title
        except NotFound:
            # Deleted since the session was made.
            return published.ref
    return policy_name(record)[:200]
