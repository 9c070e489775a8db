# SPDX-License-Identifier: Apache-2.0
"""A session whose rooms cannot be joined harms no other, nor the bridge; who may make one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.bridge.session_book import BookedSession
from lerobot_arena.client.credentials import tokens_file
from lerobot_arena.testing.bridge_rig import Rig, open_rig
from lerobot_arena.testing.remote_pair import SESSION, Pair, remote_pair

# The discard port: nobody listens.
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))
    tokens_file().parent.mkdir()
    return tokens_file()


async def said(rig: Rig) -> dict[str, Any]:
    remote: dict[str, Any] = (await rig.status("far"))["rooms"]["remote"]
    return remote


async def until_said(rig: Rig, word: str) -> None:
    async with asyncio.timeout(20.0):
        while word not in (await said(rig))["detail"]:  # noqa: ASYNC110  it is asked over REST
            await asyncio.sleep(0.01)  # how often it looks


def write(path: Path, content: str, mode: int) -> None:
    path.write_text(content)
    path.chmod(mode)


@pytest.mark.parametrize(("content", "mode"), [("{}", 0o644), ("{", 0o600)])
async def test_a_bad_token_file_is_told_and_keeps_nothing_else_from_working(
    data_dir: Path, tokens: Path, content: str, mode: int
) -> None:
    write(tokens, content, mode)
    async with open_rig(data_dir, remote_arenas=(NOBODY,)) as rig:
        await rig.create("far", robot=None, arena_server_url=NOBODY)
        await until_said(rig, str(tokens))
        await rig.create("near")
    async with open_rig(data_dir, remote_arenas=(NOBODY,)) as rig:
        await until_said(rig, str(tokens))
        assert not (await said(rig))["is_connected"]
        assert (await rig.http.post("/api/control/estop?arm=arm")).status_code == 200
        assert (await rig.http.delete("/sessions/near")).status_code == 200


async def test_an_arena_that_is_no_longer_allowed_is_told(data_dir: Path) -> None:
    async with open_rig(data_dir, remote_arenas=(NOBODY,)) as rig:
        await rig.create("far", robot=None, arena_server_url=NOBODY)
    async with open_rig(data_dir) as rig:
        remote = await said(rig)
        assert not remote["is_connected"] and "ARENA_REMOTE_ARENAS" in remote["detail"]


async def test_a_listener_that_fails_harms_nobody(rig: Rig) -> None:
    heard: list[int] = []

    def fail(sessions: list[BookedSession]) -> None:
        raise RuntimeError("broken")

    rig.services.book.listeners.insert(0, fail)
    rig.services.book.listeners.append(lambda sessions: heard.append(len(sessions)))
    await rig.create()
    assert heard == [1] and (await rig.status())["session_id"] == "s"


async def test_only_admins_and_whoever_sits_there_use_its_login_elsewhere(data_dir: Path) -> None:
    body = {"session_id": "far", "policy_path": "demo", "arena_server_url": NOBODY}
    async with open_rig(data_dir, remote_arenas=(NOBODY,)) as rig:
        async with rig.caller(await rig.user("olga")) as olga:
            refused = await olga.post("/sessions", json=body)
            assert refused.status_code == 403 and "login" in refused.json()["detail"]
            unknown = await olga.post("/sessions", json={**body, "arena_server_url": "http://192.0.2.1"})
            assert unknown.status_code == 403 and "ARENA_REMOTE_ARENAS" in unknown.json()["detail"]
        async with rig.caller(await rig.user("ada", role="admin")) as root:
            assert (await root.post("/sessions", json=body)).status_code == 200


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Pair]:
    with remote_pair(tmp_path, has_proxy=True) as pair:
        pair.join(camera_names=["front", "left", "right", "wrist"])
        yield pair


def test_rooms_of_a_server_that_answers_no_more_do_not_hold_up_the_end(joined: Pair) -> None:
    """LiveBridge.stop waits 20 s; one room after another would take longer."""
    assert joined.proxy is not None
    joined.home.on_loop(joined.proxy.stall)
    assert httpx.delete(f"{joined.brain.url}/sessions/{SESSION}").status_code == 200
    joined.brain.stop()
