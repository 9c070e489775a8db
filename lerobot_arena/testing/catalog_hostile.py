# SPDX-License-Identifier: Apache-2.0
"""Files nobody should be able to publish: one line each, what it is, and a word its refusal has to have.

`kind` is what it is uploaded as: robot (zip), policy (ONNX, with `config`), deploy (a deploy YAML beside a good
network), scene (GLB), contract (policy.yaml).
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hostile:
    """`make` gives the bytes; `says` is a regular expression that the sentence must match, whatever its case."""

    name: str
    kind: str
    make: Callable[[], bytes]
    says: str
    config: str = ""
    entry: str | None = None


def hostile_files() -> list[Hostile]:
    """All of them."""
    from lerobot_arena.testing.catalog_hostile_networks import networks
    from lerobot_arena.testing.catalog_hostile_robots import robots
    from lerobot_arena.testing.catalog_hostile_texts import texts
    from lerobot_arena.testing.catalog_hostile_zips import scenes, zips

    return [*zips(), *robots(), *networks(), *texts(), *scenes()]
