# SPDX-License-Identifier: Apache-2.0
"""The end of the bridge: one part that cannot end keeps no other from ending, least of all what stops the arms."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.testing.bridge_rig import open_rig

PARTS = (
    "trials",
    "deployments",
    "risk_log",
    "remotes",
    "rooms",
    "frames",
    "published",
    "desk",
    "audit",
    "store",
)


def noting(close: Callable[[], Any], name: str, ended: list[str], fails: bool) -> Callable[[], Any]:
    """A twin of a part's `close` that is noted and then may fail."""

    def twin() -> Any:
        ended.append(name)
        if fails:
            raise RuntimeError(f"{name} cannot end")
        return close()

    return twin


@pytest.mark.parametrize("broken", ["trials", "deployments", "risk_log", "frames", "audit"])
async def test_every_part_ends_whatever_another_one_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    ended: list[str] = []
    with pytest.raises(RuntimeError, match=f"{broken} cannot end"):
        async with open_rig(tmp_path) as rig:
            for name in PARTS:
                part = getattr(rig.services, name)
                monkeypatch.setattr(part, "close", noting(part.close, name, ended, name == broken))
    assert ended == list(PARTS), "in this order"


async def test_nothing_keeps_an_app_that_ended(tmp_path: Path) -> None:
    """A cache that does keeps all its routes: a process with many of them stands still in every collection."""
    async with open_rig(tmp_path) as rig:
        assert (await rig.http.get("/health")).status_code == 200
        ended = weakref.ref(rig.app)
    del rig
    gc.collect()
    assert ended() is None
