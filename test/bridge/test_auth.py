# SPDX-License-Identifier: Apache-2.0
"""Seed 5's login over HTTP, and what people do with their accounts."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.bridge import access
from lerobot_arena.core.principal import SCOPES, SESSIONS_READ, USER_SCOPES
from lerobot_arena.platform.accounts.names import RESERVED, is_name
from lerobot_arena.testing.bridge_rig import BASE, Rig, open_rig

PASSWORD = "a long enough sentence"
ELSEWHERE = ("10.0.0.9", 1234)


@contextlib.asynccontextmanager
async def remote(rig: Rig, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client on another machine."""
    transport = httpx.ASGITransport(rig.app, raise_app_exceptions=False, client=ELSEWHERE)
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
        yield client


async def log_in(http: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    return await http.post("/auth/login", json={"username": name, "password": password})


async def bearer(http: httpx.AsyncClient, name: str, password: str = PASSWORD) -> dict[str, str]:
    answer = await log_in(http, name, password)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture
async def people(rig: Rig) -> Rig:
    rig.services.accounts.users.create("anna", PASSWORD, role="admin")
    rig.services.accounts.users.create("ben", PASSWORD)
    return rig


async def test_a_login_is_a_bearer_token_for_an_hour(people: Rig) -> None:
    async with remote(people) as http:
        answer = await log_in(http, "ben")
        assert answer.status_code == 200
        body = answer.json()
        assert body["token_type"] == "bearer" and body["expires_in"] == 3600
        assert body["user"]["username"] == "ben" and body["user"]["role"] == "user"
        assert answer.headers["cache-control"] == "no-store"
        headers = {"Authorization": f"Bearer {body['access_token']}"}
        me = (await http.get("/auth/me", headers=headers)).json()
        assert me == {"username": "ben", "role": "user", "scopes": sorted(USER_SCOPES), "via": "login"}
        people.clock.advance(3600)
        assert (await http.get("/auth/me", headers=headers)).status_code == 401


async def test_whoever_is_at_the_machine_needs_no_login(people: Rig) -> None:
    me = (await people.http.get("/auth/me")).json()
    assert (me["username"], me["via"], me["role"]) == ("local", "local", None)
    for call in (
        people.http.get("/auth/users"),
        people.http.post("/auth/ticket"),
        people.http.post("/auth/logout"),
    ):
        assert (await call).status_code == 401


async def test_a_wrong_login_is_told_in_the_seeds_words(people: Rig) -> None:
    bodies: list[tuple[Any, int]] = [
        ({"username": "ben", "password": "a wrong sentence"}, 401),
        ({"username": "nobody", "password": PASSWORD}, 401),
        ({"username": "b\0n", "password": PASSWORD}, 401),
        ({"username": "ben", "password": "x" * 1025}, 422),
        ({"username": "ben"}, 422),
        ({"username": ["ben"], "password": PASSWORD}, 422),
        ("ben", 422),
    ]
    async with remote(people) as http:
        for body, status in bodies:
            answer = await http.post("/auth/login", json=body)
            assert answer.status_code == status, body
            assert answer.json().keys() == {"error", "message", "details"}
            assert PASSWORD not in answer.text
            assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_logging_out_ends_this_login(people: Rig) -> None:
    async with remote(people) as http:
        headers, other = await bearer(http, "ben"), await bearer(http, "ben")
        assert (await http.post("/auth/logout", headers=headers)).status_code == 204
        assert (await http.get("/auth/me", headers=headers)).status_code == 401
        assert (await http.get("/auth/me", headers=other)).status_code == 200


async def test_guessing_is_slowed_and_told_for_how_long(data_dir: Path) -> None:
    async with open_rig(data_dir, login_tries_per_minute=3) as rig:
        rig.services.accounts.users.create("ben", PASSWORD)
        async with remote(rig) as http:
            for _ in range(3):
                assert (await log_in(http, "ben", "a wrong sentence")).status_code == 401
            answer = await log_in(http, "ben")
            assert answer.status_code == 429 and 1 <= int(answer.headers["retry-after"]) <= 60
            assert answer.json()["error"] == "too_many"
        assert (await log_in(rig.http, "ben")).status_code == 200


async def test_a_new_password_ends_all_logins(people: Rig) -> None:
    async with remote(people) as http:
        headers, new = await bearer(http, "ben"), "another long sentence"
        body = {"old_password": "a wrong sentence", "new_password": new}
        assert (await http.post("/auth/password", json=body, headers=headers)).status_code == 401
        body["old_password"] = PASSWORD
        short = {**body, "new_password": "short"}
        assert (await http.post("/auth/password", json=short, headers=headers)).status_code == 400
        assert (await http.get("/auth/me", headers=headers)).status_code == 200
        assert (await http.post("/auth/password", json=body, headers=headers)).status_code == 204
        assert (await http.get("/auth/me", headers=headers)).status_code == 401
        assert (await log_in(http, "ben")).status_code == 401
        assert (await log_in(http, "ben", new)).status_code == 200


async def test_admins_keep_the_users(people: Rig) -> None:
    async with remote(people) as http:
        admin = await bearer(http, "anna")
        made = await http.post("/auth/users", json={"username": "carl", "password": PASSWORD}, headers=admin)
        assert made.status_code == 201 and made.json()["scopes"] == sorted(USER_SCOPES)
        names = [user["username"] for user in (await http.get("/auth/users", headers=admin)).json()]
        assert names == ["anna", "ben", "carl"]
        carl = await bearer(http, "carl")

        async def change(**body: Any) -> httpx.Response:
            return await http.patch("/auth/users/carl", json=body, headers=admin)

        assert (await change(scopes=[SESSIONS_READ])).json()["scopes"] == [SESSIONS_READ]
        assert (await http.get("/auth/me", headers=carl)).json()["scopes"] == [SESSIONS_READ]
        assert (await change(role="admin")).json()["scopes"] == sorted(SCOPES)
        assert (await change(disabled=True)).json()["disabled"] is True
        assert (await http.get("/auth/me", headers=carl)).status_code == 401
        assert (await change(disabled=False, password="another long sentence")).status_code == 200
        await bearer(http, "carl", "another long sentence")
        assert (await http.delete("/auth/users/carl", headers=admin)).status_code == 204
        assert (await http.delete("/auth/users/carl", headers=admin)).status_code == 404


REFUSED: list[tuple[str, str, Any, int]] = [
    ("POST", "/auth/users", {"username": "ben", "password": PASSWORD}, 409),
    ("POST", "/auth/users", {"username": "admin", "password": PASSWORD}, 400),
    ("POST", "/auth/users", {"username": "Carl", "password": PASSWORD}, 400),
    ("POST", "/auth/users", {"username": "carl", "password": "short"}, 400),
    ("POST", "/auth/users", {"username": "carl", "password": PASSWORD, "role": "king"}, 422),
    ("POST", "/auth/users", {"username": "carl", "password": PASSWORD, "scope": []}, 422),
    ("PATCH", "/auth/users/ben", {}, 400),
    ("PATCH", "/auth/users/ben", {"scopes": ["admin"]}, 400),
    ("PATCH", "/auth/users/ben", {"scopes": ["nonsense"]}, 400),
    ("PATCH", "/auth/users/ben", {"disable": True}, 422),
    ("PATCH", "/auth/users/nobody", {"disabled": True}, 404),
    ("PATCH", "/auth/users/anna", {"role": "user"}, 409),
    ("PATCH", "/auth/users/anna", {"disabled": True}, 409),
    ("DELETE", "/auth/users/anna", None, 409),
    ("DELETE", "/auth/users/%00", None, 404),
]


async def test_what_an_admin_cannot_do_is_refused(people: Rig) -> None:
    headers = await bearer(people.http, "anna")
    for method, path, body, status in REFUSED:
        answer = await people.http.request(method, path, json=body, headers=headers)
        assert answer.status_code == status, (method, path, body, answer.text)
        assert answer.json()["message"]


async def test_users_keep_no_users(people: Rig) -> None:
    async with remote(people) as http:
        headers = await bearer(http, "ben")
        for method, path in (
            ("GET", "/auth/users"),
            ("POST", "/auth/users"),
            ("PATCH", "/auth/users/anna"),
            ("DELETE", "/auth/users/anna"),
            ("GET", "/api/audit"),
        ):
            assert (await http.request(method, path, headers=headers)).status_code == 403
            assert (await http.request(method, path)).status_code == 401


async def test_calls_that_change_something_are_in_the_audit_log(people: Rig) -> None:
    async with remote(people) as http:
        assert (await log_in(http, "ben", "a wrong sentence")).status_code == 401
        headers = await bearer(http, "ben")
        await http.post("/api/control/stop", headers=headers)
        await http.get("/sessions", headers=headers)
        await http.post("/auth/ticket?ticket=secret", headers=headers)
        admin = await bearer(http, "anna")
        assert people.services.audit.flush()
        body = (await http.get("/api/audit", params={"n": 4}, headers=admin)).json()
        found = [(each["who"], each["route"], each["path"], each["status"]) for each in body["entries"]]
        assert found == [
            ("anna", "/auth/login", "/auth/login", 200),
            ("ben", "/auth/ticket", "/auth/ticket", 200),
            ("ben", "/api/control/stop", "/api/control/stop", 200),
            ("ben", "/auth/login", "/auth/login", 200),
        ]
        assert body["entries"][0]["address"] == "10.0.0.9" and body["dropped"] == 0
        older = (await http.get("/api/audit", params={"before": body["next_before"]}, headers=admin)).json()
        assert [(each["who"], each["status"]) for each in older["entries"]] == [("anonymous", 401)]
        assert older["next_before"] is None
        for params in ({"n": 0}, {"n": 1001}, {"before": 0}, {"before": "x"}):
            assert (await http.get("/api/audit", params=params, headers=admin)).status_code == 422


async def test_accounts_survive_a_restart(rig_with: Callable[..., Any]) -> None:
    async with rig_with() as rig:
        rig.services.accounts.users.create("ben", PASSWORD)
        staying, ended = await bearer(rig.http, "ben"), await bearer(rig.http, "ben")
        await rig.http.post("/auth/logout", headers=ended)
    async with rig_with() as rig:
        assert (await rig.http.get("/auth/me", headers=staying)).json()["username"] == "ben"
        assert (await rig.http.get("/auth/me", headers=ended)).status_code == 401


def test_nobody_is_called_like_a_path() -> None:
    first = {row.path.split("/")[1] for row in access.ROWS}
    missing = sorted(name for name in first if is_name(name) and name not in RESERVED)
    assert not missing, f"add {missing} to RESERVED in platform/accounts/names.py, before a user has the name"
