# SPDX-License-Identifier: Apache-2.0
"""Who may connect to the Foxglove server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.inspection.door import check_host, refusal
from lerobot_arena.inspection.params import InspectionParams

ORIGINS = InspectionParams().origins


def head(*headers: str, line: str = "GET / HTTP/1.1") -> bytes:
    return "\r\n".join([line, *headers]).encode()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_may_be_listened_on(host: str) -> None:
    assert check_host(host) in {host, "127.0.0.1"}


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.2", "", "robot.local", "127.0.0.1.evil.example"]
)
def test_any_other_address_is_refused_and_says_what_to_do(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"no access tokens yet.*ssh -L"):
        check_host(host)


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765", "[::1]"])
def test_a_program_of_this_machine_may(host: str) -> None:
    assert refusal(head(f"Host: {host}"), ORIGINS) == ""


@pytest.mark.parametrize("origin", [*ORIGINS, "HTTPS://app.foxglove.dev", "https://app.foxglove.dev/"])
def test_pages_on_the_list_may(origin: str) -> None:
    assert refusal(head("Host: localhost:8765", f"Origin: {origin}"), ORIGINS) == ""


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: localhost:8765", "Origin: http://evil.example"),
        ("Host: localhost:8765", "Origin: null"),
        ("Host: localhost:8765", "Origin: "),
        ("Host: localhost:8765", "Origin: http://localhost:8765"),
        ("Host: localhost:8765", "Origin: https://app.foxglove.dev.evil.example"),
        ("Host: localhost:8765", f"Origin: {ORIGINS[0]}", "Origin: http://evil.example"),
        ("Host: localhost:8765", "X: y", " folded: z"),
        ("Host: evil.example:8765",),
        ("Host: 127.0.0.1.evil.example",),
        ("Host: localhost", "Host: evil.example"),
        (),
    ],
    ids=" ".join,
)
def test_everybody_else_may_not(headers: tuple[str, ...]) -> None:
    assert refusal(head(*headers), ORIGINS)


def test_what_is_no_get_is_no_websocket() -> None:
    assert refusal(head("Host: localhost", line="POST / HTTP/1.1"), ORIGINS)


@given(st.text(alphabet=st.characters(codec="latin-1", exclude_characters="\r\n")))
def test_no_other_origin_comes_through(origin: str) -> None:
    known = origin.strip().lower().rstrip("/") in {name.rstrip("/") for name in ORIGINS}
    assert (
        refusal(f"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}".encode("latin-1"), ORIGINS) == ""
    ) == known


@given(st.binary(max_size=200))
def test_noise_is_answered_not_raised(noise: bytes) -> None:
    refusal(noise, ORIGINS)
