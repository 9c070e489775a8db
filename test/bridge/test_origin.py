# SPDX-License-Identifier: Apache-2.0
"""Pages of other sites, and names that are not ours, get 403 from the first day."""

from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.bridge.size_limit import MAX_BODY_BYTES
from lerobot_arena.testing.bridge_rig import Rig, open_rig

OWN = ["http://127.0.0.1:8001", "http://127.0.0.1:8001/", "HTTP://127.0.0.1:8001"]
FOREIGN = [
    "http://evil.example",
    "null",
    "http://127.0.0.1:8001.evil.example",
    "http://localhost:8001",
    "http://127.0.0.1:3000",
    "",
]


@pytest.mark.parametrize("origin", OWN)
async def test_our_own_page_may(rig: Rig, origin: str) -> None:
    assert (await rig.http.post("/api/control/estop", headers={"origin": origin})).status_code == 200


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/control/estop"),
        ("POST", "/sessions"),
        ("DELETE", "/sessions/s"),
        ("PUT", "/anything"),
        ("OPTIONS", "/sessions"),
    ],
)
async def test_a_foreign_page_may_not(rig: Rig, origin: str, method: str, path: str) -> None:
    answer = await rig.http.request(method, path, headers={"origin": origin})
    assert answer.status_code == 403
    assert "ARENA_ALLOWED_ORIGINS" in answer.json()["detail"]
    assert rig.fake.calls == []


async def test_a_second_origin_does_not_hide_the_first(rig: Rig) -> None:
    headers = [("origin", OWN[0]), ("origin", "http://evil.example")]
    assert (await rig.http.post("/api/control/estop", headers=headers)).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8001", "127.0.0.1.evil.example", "", "[oops"])
async def test_a_foreign_host_may_not_even_read(rig: Rig, host: str) -> None:
    for method in ("GET", "POST"):
        answer = await rig.http.request(method, "/sessions", headers={"host": host})
        assert answer.status_code == 403 and "ARENA_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost:8001", "127.0.0.1", "[::1]:8001", "LOCALHOST"])
async def test_loopback_names_are_ours(rig: Rig, host: str) -> None:
    assert (await rig.http.get("/sessions", headers={"host": host})).status_code == 200


async def test_allowed_names_are_allowed_and_may_read_the_answer(data_dir: Path) -> None:
    page = "https://page.example"
    async with open_rig(data_dir, allowed_origins=(page,), allowed_hosts=("arena.lan",)) as rig:
        headers = {"origin": page, "host": "arena.lan:8001", "x-api-key": await rig.user("olga")}
        answer = await rig.http.post("/api/control/estop", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == page
        preflight = await rig.http.options(
            "/sessions", headers={**headers, "access-control-request-method": "POST"}
        )
        assert preflight.status_code == 200


async def test_a_large_body_is_413_announced_or_not(rig: Rig) -> None:
    large = b"x" * (MAX_BODY_BYTES + 1)

    async def pieces() -> Any:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    for content in (large, pieces()):
        assert (await rig.http.post("/sessions", content=content)).status_code == 413


async def test_an_unexpected_error_is_500_without_a_traceback_and_can_be_found_in_the_log(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(rig.services.book, "all", broken)
    answer = await rig.http.get("/sessions")
    assert answer.status_code == 500
    body = answer.json()
    assert body["code"] == "internal" and "secret" not in answer.text and "Traceback" not in answer.text
    reference = body["detail"].split("reference ")[1].split(":")[0]
    assert reference in caplog.text
