# SPDX-License-Identifier: Apache-2.0
"""Which arena a session's URL means; anything that is not allowed is refused before it is called."""

import contextlib

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.bridge.arena_urls import remote_arena
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.errors import ArenaError, Forbidden, InvalidInput

ALLOWED = ("https://robots.example/arena", "http://10.0.0.7:8001", "http://robots.here:9001")
PUBLIC = ("robots.here", "192.0.2.4")


def asked(url: str) -> str | None:
    return remote_arena(
        url, own_names=("bridge.lab", "FD00::5"), port=8001, allowed=ALLOWED, public_names=PUBLIC
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000",
        "http://localhost:8000/",
        "http://127.0.0.1:8001",
        "http://localhost:8001/api",
        "https://BRIDGE.lab:8001",
        "http://[::1]:8001",
        "http://127.0.0.2:8001",
        "http://0.0.0.0:8001",
        "http://[::ffff:127.0.0.1]:8001/api",
        "http://[fd00:0::5]:8001",
        "https://robots.here",
        "https://Robots.HERE/api",
        "http://192.0.2.4",
    ],
)
def test_these_mean_the_rooms_here(url: str) -> None:
    assert asked(url) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_every_address_of_the_machine_is_this_bridge_when_it_listens_on_all(host: str) -> None:
    settings = Settings(bridge_host=host, bridge_port=8001)
    found = {entry.address for entries in psutil.net_if_addrs().values() for entry in entries}
    mine = [address for address in found if address.count(".") == 3]
    assert mine
    assert [settings.remote_arena(f"http://{address}:8001") for address in mine] == [None] * len(mine)
    with pytest.raises(Forbidden):
        Settings(bridge_port=8001).remote_arena("http://192.0.2.77:8001")


@pytest.mark.parametrize(
    "url",
    [
        "https://robots.example/arena",
        "https://ROBOTS.example:443/arena/api",
        "http://10.0.0.7:8001/",
        "http://robots.here:9001",
    ],
)
def test_these_are_joined(url: str) -> None:
    assert asked(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://robots.example/arena",
        "https://robots.example",
        "https://robots.example/arena2",
        "https://robots.example/arena/../admin",
        "https://robots.example.evil/arena",
        "http://10.0.0.7",
        "http://127.0.0.2:22",
        "http://[fd00::6]:8001",
        "http://127.0.0.1:22",
        "http://169.254.169.254/latest",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises((Forbidden, InvalidInput)):
        asked(url)


@pytest.mark.parametrize(
    "url", ["", "robots", "ftp://robots.example", "http://u:p@10.0.0.7:8001", "http://x:y"]
)
def test_what_is_no_base_url_says_so(url: str) -> None:
    with pytest.raises(InvalidInput):
        asked(url)


@given(st.text(max_size=60))
def test_no_text_breaks_it(url: str) -> None:
    with contextlib.suppress(ArenaError):
        assert asked(url) is None or url.rstrip("/").lower().startswith(("https://robots", "http://10.0.0.7"))
