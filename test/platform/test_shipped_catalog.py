# SPDX-License-Identifier: Apache-2.0
"""A fresh install's catalog: published once through everybody's checks, and enough for a matchup."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lerobot_arena.bridge.run_description import cast_of, describe_run
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.platform.arena.service import Arena
from lerobot_arena.platform.arena.store import ArenaStore
from lerobot_arena.platform.catalog.checks import Checks
from lerobot_arena.platform.catalog.publishing import Publisher
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.catalog.shipped import seed_catalog
from lerobot_arena.platform.storage.blobs import Blobs
from lerobot_arena.platform.storage.database import open_engine


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[Shelf, Publisher, Arena]]:
    engine = open_engine(f"sqlite:///{tmp_path / 'a.db'}")
    shelf, clock = Shelf(engine), SystemClock()
    publisher = Publisher(shelf, Blobs(str(tmp_path / "blobs")), Checks(), clock=clock)
    yield shelf, publisher, Arena(shelf, ArenaStore(engine), secret=b"s", clock=clock)
    engine.dispose()


def test_what_is_shipped_is_published_once_and_can_be_compared(
    shop: tuple[Shelf, Publisher, Arena],
) -> None:
    shelf, publisher, arena = shop
    refs = [item.ref for item in seed_catalog(shelf, publisher)]
    assert refs == [
        "chasebrignac/parkour",
        "lerobot-arena/pony",
        "lerobot-arena/pony-trot",
        "lerobot-arena/pony-bound",
    ]
    assert seed_catalog(shelf, publisher) == []
    for slug in ("pony-trot", "pony-bound"):
        policy = shelf.get("policy", f"lerobot-arena/{slug}")
        assert policy.facts["run"]["fell"] is False and policy.facts["run"]["distance_m"] > 0.1
    matchup = arena.launch()
    assert {matchup.left.policy, matchup.right.policy} == set(refs[2:])
    run = describe_run(cast_of(shelf, "lerobot-arena", "pony-trot"))
    assert run["scene"]["benchmark"]["xmlUrl"].endswith("parkour.xml")


def test_a_broken_folder_is_left_out(shop: tuple[Shelf, Publisher, Arena], tmp_path: Path) -> None:
    shelf, publisher, _ = shop
    for name in ("parkour", "pony", "pony-trot", "pony-bound"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "robot.yaml").write_text("kind: robot")
    assert seed_catalog(shelf, publisher, folder=tmp_path / "bad") == []
