# SPDX-License-Identifier: Apache-2.0
"""Slow checks of uploads: whom they hold up."""

import asyncio
import threading
from types import SimpleNamespace

import httpx
import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.testing.bridge_rig import Rig, until


async def publish(rig: Rig, token: str, slug: str) -> httpx.Response:
    fields = {"slugPath": slug, "title": "R", "robotKey": "lab/r"}
    async with rig.caller(token) as caller:
        return await caller.post("/api/publish/robots", data=fields, files={"bundle": b"zip"})


async def test_slow_checks_hold_up_nobody_but_their_account(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are threads, so that one more of anything would have to wait."""
    started, ended = [], threading.Event()

    def robot(_: object) -> None:
        started.append(1)
        assert ended.wait(60)
        raise InvalidInput("It is no robot.")

    monkeypatch.setattr(rig.services.published.publisher, "_checks", SimpleNamespace(robot=robot))
    anna, eve = await rig.user("anna"), await rig.user("eve")
    waiting = [asyncio.create_task(publish(rig, who, f"s{n}")) for who in (anna, eve) for n in (1, 2)]
    try:
        await until(lambda: len(started) == 4, 30)
        async with asyncio.timeout(30):
            for path in ("/api/catalog/policies", "/v1/leaderboard", "/nobody/at/all/run.json"):
                assert (await rig.http.get(path)).status_code in {200, 404}, path
            refused = await publish(rig, anna, "s3")
        assert refused.status_code == 429 and "anna has 2" in refused.text
        assert int(refused.headers["retry-after"]) > 0
    finally:
        ended.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [400] * 4
    assert (await publish(rig, anna, "s3")).status_code == 400


async def test_a_record_that_is_deleted_waits_at_the_desk_of_uploads(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    published, token = rig.services.published, await rig.user("anna")
    threads: list[str] = []
    record = SimpleNamespace(owner="anna")
    monkeypatch.setattr(published.datasets, "get", lambda _: record)
    monkeypatch.setattr(
        published.datasets, "delete", lambda _: threads.append(threading.current_thread().name)
    )
    async with rig.caller(token) as anna:
        assert (await anna.delete("/api/datasets/uploads/dataset_1")).status_code == 200
    assert threads[0].startswith("large uploads")
