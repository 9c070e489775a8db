# SPDX-License-Identifier: Apache-2.0
"""What is sent to a deployment: no body holds up the loop on which the e-stop is answered, and a bad one says why."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from lerobot_arena.bridge.deployment_request import read_body
from lerobot_arena.core.errors import InvalidInput, TooLarge
from lerobot_arena.core.principal import SESSIONS_READ
from lerobot_arena.platform.catalog.item import POLICY, Item
from lerobot_arena.platform.deployments.deployment import BROWSER, MUJOCO, PI0, Scale
from lerobot_arena.testing.bridge_rig import Rig

MANY = b'{"a":[' + b"[]," * 2_600_000 + b"[]]}"
"""8 MB that take a parser some tenths of a second."""
JSON = {"content-type": "application/json"}


@dataclass
class World:
    rig: Rig
    anna: httpx.AsyncClient
    nobody: httpx.AsyncClient
    endpoint: str


@pytest.fixture
async def world(rig: Rig) -> AsyncIterator[World]:
    """Anna has a deployment; Noone has an account without any scope."""
    rig.services.published.shelf.put(Item(kind=POLICY, owner="anna", slug="x", title="X"))
    made = await rig.services.deployments.create(
        "anna", title="X", policy="anna/x", kind=BROWSER, scale=Scale()
    )
    async with AsyncExitStack() as stack:
        anna = await stack.enter_async_context(rig.caller(await rig.user("anna")))
        noone = await stack.enter_async_context(rig.caller(await rig.user("noone", scopes=[])))
        yield World(rig, anna, noone, made.endpoint)


async def longest_turn_s(work: Coroutine[Any, Any, httpx.Response]) -> float:
    """The longest time that the loop computes without a turn for others while somebody else's post is refused."""
    posting, longest, last = asyncio.create_task(work), 0.0, time.thread_time()
    while not posting.done():
        await asyncio.sleep(0)  # whoever is ready has a turn
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    assert posting.result().status_code == 404
    return longest


def parse_s() -> float:
    """What this machine takes to read MANY."""
    started = time.thread_time()
    json.loads(MANY)
    return time.thread_time() - started


@pytest.mark.parametrize("endpoint", ["/deployments/nobody/nothing", ""])
async def test_no_body_holds_up_the_loop(world: World, endpoint: str) -> None:
    """In computing time, and the best of three: whatever else happens on the loop only adds to it."""
    turns = [
        await longest_turn_s(world.nobody.post(endpoint or world.endpoint, content=MANY, headers=JSON))
        for _ in range(3)
    ]
    assert min(turns) < parse_s() / 2


async def test_an_owner_s_body_has_its_bounds(world: World) -> None:
    large = await world.anna.post(world.endpoint, content=MANY, headers=JSON)
    assert large.status_code == 413 and "1000000" in large.json()["detail"]
    many = await world.anna.post(world.endpoint, content=MANY[:50_000] + b"[]]}", headers=JSON)
    assert many.status_code == 400 and "brackets" in many.json()["detail"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "no JSON"),
        (b"\xff", "whole"),
        (b"[]", "object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"\\ud800": 1}', "whole"),
        (b'{"a": ["\\udfff"]}', "whole"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "no JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
    ],
)
async def test_a_bad_body_is_400_with_its_reason(world: World, raw: bytes, said: str) -> None:
    answer = await world.anna.post(world.endpoint, content=raw, headers=JSON)
    assert answer.status_code == 400 and said in answer.json()["detail"], answer.text


@pytest.mark.parametrize("raw", [b"", b"null", b"{}", '{"\u00e4": "\\ud83d\\ude00"}'.encode()])
async def test_a_good_body_or_none_is_answered(world: World, raw: bytes) -> None:
    assert (await world.anna.post(world.endpoint, content=raw)).json() == {"path": "/anna/x"}


def test_pictures_may_be_large_and_nothing_else() -> None:
    raw = b'{"images": {"front": "' + b"A" * 5_000_000 + b'"}}'
    assert len(read_body(raw, PI0)["images"]["front"]) == 5_000_000
    with pytest.raises(TooLarge):
        read_body(raw, MUJOCO)
    with pytest.raises(InvalidInput, match="brackets"):
        read_body(MANY, PI0)


async def test_asking_and_deleting_need_the_scope_that_making_needs(world: World) -> None:
    secret = world.rig.services.accounts.tokens.create("anna", "weak", frozenset({SESSIONS_READ}))[1]
    async with world.rig.caller(secret) as weak:
        for method in ("POST", "DELETE"):
            refused = await weak.request(method, world.endpoint)
            assert refused.status_code == 403 and "catalog:write" in refused.json()["detail"]
        assert (await weak.get(world.endpoint)).status_code == 200
