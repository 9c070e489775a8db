# SPDX-License-Identifier: Apache-2.0
"""Which arena a session's URL means; anything that is not allowed is refused before it is called."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.bridge.arena_urls import remote_arena
from lerobot_arena.core.errors import ArenaError, Forbidden, InvalidInput

ALLOWED = ("https://robots.example/arena", "http://10.0.0.7:8001")


def asked(url: str) -> str | None:
    return remote_arena(url, own_names=("bridge.lab",), port=8001, allowed=ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000",
        "http://localhost:8000/",
        "http://127.0.0.1:8001",
        "http://localhost:8001/api",
        "https://BRIDGE.lab:8001",
        "http://[::1]:8001",
    ],
)
def test_these_mean_the_rooms_here(url: str) -> None:
    assert asked(url) is None


@pytest.mark.parametrize(
    "url", ["https://robots.example/arena", "https://ROBOTS.example:443/arena/api", "http://10.0.0.7:8001/"]
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
