# SPDX-License-Identifier: Apache-2.0
"""Owners, slugs and references of what is published, and the paths of browser runs. Pure."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lerobot_arena.core.errors import InvalidInput

DEFAULT_SCENE_SLUG = "my-scene"
DEFAULT_SCENE = "chasebrignac/parkour"
MOST_SEGMENTS = 4
LONGEST_SLUG, LONGEST_SEGMENT = 128, 64
ROUTES_BELOW = frozenset({"run.json", "versions"})
"""What routes have behind an item's slug; as a slug's last segment it would be the other thing's."""
_SEGMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?", re.ASCII)
_OWNER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,37}[a-z0-9])?", re.ASCII)
_GAPS = re.compile(r"[^a-z0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Ref:
    """`owner/slug/path`, of one published thing."""

    owner: str
    slug_path: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.slug_path}"


@dataclass(frozen=True, slots=True)
class Composed:
    """One way to read a run's path: a thing by itself, or a policy with the robot and the scene to run it with."""

    thing: Ref
    robot: Ref | None = None
    scene: Ref | None = None


def given(text: str | None) -> str | None:
    """What a form field says; clients send empty ones for what is not there."""
    return text.strip() or None if text else None


def check_slug(text: str, what: str = "slugPath") -> str:
    """The slug without empty segments. Raises InvalidInput when it cannot stand in a URL."""
    parts = [part for part in text.split("/") if part.strip()]
    clean = "/".join(parts)
    if (
        not 1 <= len(parts) <= MOST_SEGMENTS
        or len(clean) > LONGEST_SLUG
        or not all(map(_SEGMENT.fullmatch, parts))
    ):
        raise InvalidInput(
            f"{what} {text[:80]!r} must be 1 to {MOST_SEGMENTS} names with '/' between them, each of up to 64 letters, "
            "digits, dots, hyphens and underscores, beginning with a letter or digit and not ending with a dot."
        )
    if parts[-1] in ROUTES_BELOW:
        raise InvalidInput(
            f"{what} cannot end in {parts[-1]!r}: this server answers with something else there."
        )
    return clean


def check_owner(name: str, taken: Collection[str] = ()) -> str:
    """The owner. Raises InvalidInput when it is no user's name, or the first segment of a route (`taken`)."""
    if not _OWNER.fullmatch(name):
        raise InvalidInput(
            f"owner {name[:60]!r} must be 1 to 39 lowercase letters, digits and hyphens, with no hyphen at its ends."
        )
    if name in taken:
        raise InvalidInput(f"owner {name!r} is the beginning of a route of this server.")
    return name


def parse(text: str, what: str = "ref") -> Ref:
    """`owner/slug`. Raises InvalidInput."""
    owner, _, slug = text.strip("/").partition("/")
    if not slug:
        raise InvalidInput(f"{what} {text[:80]!r} must be owner/slug.")
    return Ref(check_owner(owner), check_slug(slug, what))


def next_free(slug: str, taken: Collection[str]) -> str:
    """`slug`, or the first of slug-2, slug-3, … that nobody has; a long one is cut so that the number fits."""
    number, candidate = 1, slug
    while candidate in taken:
        number += 1
        end = f"-{number}"
        before, slash, last = slug[: LONGEST_SLUG - len(end)].rstrip("/").rpartition("/")
        candidate = f"{before}{slash}{last[: LONGEST_SEGMENT - len(end)]}{end}"
    return candidate


def slug_of(title: str, default: str) -> str:
    """A slug for a title: lowercase, hyphens for all else."""
    return _GAPS.sub("-", title.lower()).strip("-")[:60].strip("-") or default


def ways_to_read(segments: Sequence[str]) -> Iterator[Composed]:
    """All readings of `/{owner}/{slug}` and `/{owner}/{slug}/{robotRef}/{sceneRef}`, longest slug of the policy first.

    Slugs may have several segments, so a path alone does not tell; the catalog knows which of these exist.
    """
    parts = [part for part in segments if part]
    # Anybody may send a path of any length, and the readings below grow with its square.
    if not 2 <= len(parts) <= 3 * (MOST_SEGMENTS + 1):
        return
    owner, rest = parts[0], parts[1:]
    if len(rest) <= MOST_SEGMENTS:
        yield Composed(Ref(owner, "/".join(rest)))
    for policy_end in range(min(MOST_SEGMENTS, len(rest) - 4), 0, -1):
        others = rest[policy_end:]
        for robot_end in range(2, len(others) - 1):
            robot, scene = others[:robot_end], others[robot_end:]
            if max(len(robot), len(scene)) <= MOST_SEGMENTS + 1:
                yield Composed(
                    Ref(owner, "/".join(rest[:policy_end])),
                    Ref(robot[0], "/".join(robot[1:])),
                    Ref(scene[0], "/".join(scene[1:])),
                )
