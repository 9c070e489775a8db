# SPDX-License-Identifier: Apache-2.0
"""An uploaded dataset record: one MP4 with what is said of it. Pure."""

import secrets
from dataclasses import dataclass

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import refs

KINDS = ("egocentric_video", "human_wbc", "human_preference")
LONGEST_TITLE, LONGEST_DESCRIPTION = 200, 10_000


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a probe found: seconds, frames a second, pixels, and FFmpeg's name of the codec."""

    duration_s: float
    fps: float
    width: int
    height: int
    codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord:
    """One kept file. `size` in bytes, instants in seconds since 1970."""

    id: str
    owner: str
    title: str
    description: str
    kind: str
    file_name: str
    sha256: str
    size: int
    video: VideoFacts
    created_at: float
    updated_at: float

    @property
    def file_key(self) -> str:
        """`<owner>/dataset/<slug>-<id>/<file>`."""
        return f"{self.owner}/dataset/{refs.slug_of(self.title, 'untitled')}-{self.id}/{self.file_name}"


def new_id() -> str:
    """Of a record, unguessable."""
    return f"dataset_{secrets.token_hex(12)}"


def check_kind(kind: str | None) -> str:
    """Raises InvalidInput for none, or one that the seed does not have."""
    found = refs.given(kind)
    if found is None:
        raise InvalidInput("kind is missing.")
    if found not in KINDS:
        raise InvalidInput(f"There is no kind {found[:60]!r}. Choose one of {', '.join(KINDS)}.")
    return found


def check_title(title: str | None) -> str:
    """Raises InvalidInput for none, or one that is too long for a line."""
    found = refs.given(title)
    if found is None:
        raise InvalidInput("title is missing.")
    if len(found) > LONGEST_TITLE or not found.isprintable():
        raise InvalidInput(f"title must be 1 to {LONGEST_TITLE} printable characters.")
    return found


def check_description(description: str | None) -> str:
    """Raises InvalidInput when it is too long."""
    found = refs.given(description) or ""
    if len(found) > LONGEST_DESCRIPTION or "\0" in found:
        raise InvalidInput(f"description must be at most {LONGEST_DESCRIPTION} characters.")
    return found
