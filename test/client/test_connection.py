# SPDX-License-Identifier: Apache-2.0
"""What is wrong before anything is sent: addresses, tokens, certificates; and how long a dead link is waited for."""

import asyncio
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.client import Arena, AsyncArena, call, control, sessions
from lerobot_arena.client.address import bridge_url, is_loopback
from lerobot_arena.client.transport import _request
from lerobot_arena.core.errors import InvalidInput, NotAnswering, Unavailable
from lerobot_arena.testing.certificates import make_certificate
from lerobot_arena.testing.live_bridge import LiveBridge
from lerobot_arena.testing.raw_server import RawServer, answer

BAD_TOKENS = ["rr_live_abc\r", "rr_live_abc\n", "rr live", "schlüssel", "鍵"]
BAD_URLS = [
    "http://robot:80o1",
    "http://robot:0",
    "http://robot:70000",
    "http://[bad",
    "http://a..b",
    "http://robot:8001\r",
    "http://my robot:8001",
    "http://röbot",
    "http://" + "a" * 70,
]


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_an_estop_on_loopback_needs_no_token_that_cannot_be_sent(
    bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("ARENA_TOKEN", token)
    result = CliRunner().invoke(app, ["estop", "--url", bridge.url])
    assert result.exit_code == 0, result.output
    with Arena(bridge.url, "") as arena:
        assert arena.arms.list()[0]["estop_latched"] is True
    with Arena(bridge.url) as arena:
        assert arena.estop()["emergency_stop"] is True
        with pytest.raises(InvalidInput, match="ARENA_TOKEN") as caught:
            arena.health()
        assert token not in str(caught.value)


@pytest.mark.parametrize("token", BAD_TOKENS)
async def test_no_way_takes_a_token_that_cannot_be_sent(token: str) -> None:
    async with AsyncArena("http://robot.invalid", token) as arena:
        for asked in (arena.health, arena.estop, arena.join_robotics("w", "r").open):
            with pytest.raises(InvalidInput, match="ARENA_TOKEN"):
                await asked()


@pytest.mark.parametrize("url", BAD_URLS)
def test_what_is_no_url_is_said_to_be_none_and_an_estop_says_the_other_way(url: str) -> None:
    with pytest.raises(InvalidInput, match="is not a URL"):
        Arena(url)
    result = CliRunner().invoke(app, ["estop", "--url", url])
    assert result.exit_code == 2
    assert "ros2 service call /arm/guard/estop" in result.stderr


def test_a_port_in_the_environment_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_BRIDGE_PORT", "80011x")
    with pytest.raises(InvalidInput, match="ARENA_BRIDGE_PORT"):
        bridge_url()


def test_all_of_127_is_this_machine() -> None:
    assert all(map(is_loopback, ("http://127.0.0.2:1", "https://LOCALHOST", "http://[::1]:8001")))
    assert not any(map(is_loopback, ("http://127.evil.example", "http://10.0.0.1", "http://1127.0.0.1")))
    assert bridge_url("HTTPS://robot:8001/?") == "https://robot:8001"


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    async with AsyncArena("https://127.0.0.1:9", "t", ca_file=str(ca_file)) as arena:
        for asked in (arena.health, arena.estop, arena.join_robotics("w", "r").open):
            with pytest.raises(InvalidInput, match="ca_file"):
                await asked()


def test_plain_http_asks_for_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with Arena("http://robot.invalid") as arena, pytest.raises(Unavailable, match="Nothing answers"):
        arena.health()


@pytest.fixture
def signed_by_nobody(tmp_path: Path) -> Any:
    """A server with a certificate of its own making."""
    cert, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    good = {"status": "healthy", "emergency_stop": True, "state": "emergency", "arms": {}}
    server = RawServer(lambda _: answer(200, good), tls=context)
    yield server, str(cert)
    server.close()


async def test_a_certificate_that_nobody_vouches_for_is_told_with_the_remedy(signed_by_nobody: Any) -> None:
    server, ca_file = signed_by_nobody
    async with AsyncArena(server.url) as arena:
        for asked in (arena.health, arena.estop, arena.join_robotics("w", "r").open):
            with pytest.raises(Unavailable, match="SSL_CERT_FILE") as caught:
                await asked()
            assert "arena up" not in str(caught.value)
    async with AsyncArena(server.url, ca_file=ca_file) as arena:
        assert (await arena.health())["status"] == "healthy"
        assert (await arena.estop())["emergency_stop"] is True


def test_whoever_ends_a_motion_learns_of_a_dead_link_soon() -> None:
    for ending in (control.stop(), control.pause(), sessions.stop_session("s")):
        assert ending.timeout_s == call.STOP_TIMEOUT_S <= 15.0
    for beginning in (control.start(), control.resume(), sessions.restart_session("s")):
        assert beginning.timeout_s == call.VERB_TIMEOUT_S
        with Arena("http://127.0.0.1:9") as arena, ExitStack() as files:
            told = _request(arena._via.connection, beginning, {}, files)["timeout"]
        assert told == httpx.Timeout(call.VERB_TIMEOUT_S, connect=5.0)


async def test_a_server_that_says_nothing_ends_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "STOP_TIMEOUT_S", 0.5)
    server = RawServer(lambda _: None)
    async with AsyncArena(server.url) as arena, asyncio.timeout(30):
        for ending in (arena.control.stop, arena.control.pause):
            with pytest.raises(NotAnswering, match=r"within 0\.5 s"):
                await ending()
    server.close()
