# SPDX-License-Identifier: Apache-2.0
"""One error, one mapping, three shapes: each surface in its seed's words, refusals of the border included."""

from typing import Any

import pytest
from sqlalchemy.exc import DataError, OperationalError

from lerobot_arena.bridge import errors as mapped
from lerobot_arena.bridge.errors import STATUS_OF, StillCaused, Unprocessable, answer, shape_of
from lerobot_arena.core import errors
from lerobot_arena.testing.bridge_rig import Rig

DETAIL = ["/sessions", "/api/sessions/x", "/api/control/start", "/robotics/workspaces/w/rooms", "/v1/robotics/x", "/",
          "/api/api-tokensx", "/modelsx", "/api/models", "/v1", "/api"]  # fmt: skip
SENTENCE = ["/api/api-tokens", "/api/api-tokens/x", "/api/publish/scenes", "/api/arena/vote", "/v1/leaderboard",
            "/v1/leaderboard/wins", "/api/rollout", "/api/datasets/uploads", "/api/training/jobs"]  # fmt: skip
DETAILED = ["/auth/login", "/models/x", "/optimize", "/monitoring/x"]


def tree(kind: type[errors.ArenaError]) -> set[type[errors.ArenaError]]:
    """A class of errors and all below it."""
    return {kind}.union(*(tree(below) for below in kind.__subclasses__()))


def made(kind: type[errors.ArenaError]) -> errors.ArenaError:
    if kind is StillCaused:
        return StillCaused("Why.", ["One.", "Two."])
    try:
        return kind("Why.")
    except TypeError:
        return kind("why", "Why.")  # a code of its own, then the message


@pytest.mark.parametrize("path", DETAIL)
def test_seed_1_3_and_rooms(path: str) -> None:
    assert shape_of(path)("Why.", "conflict", {}) == {"detail": "Why.", "code": "conflict"}


@pytest.mark.parametrize("path", SENTENCE)
def test_seed_2(path: str) -> None:
    assert shape_of(path)("Why.", "conflict", {"causes": ["x"]}) == {"error": "Why."}
    assert answer(path, Unprocessable("Why.")).status_code == 400


@pytest.mark.parametrize("path", DETAILED)
def test_seed_5(path: str) -> None:
    assert shape_of(path)("Why.", "conflict", {}) == {"error": "conflict", "message": "Why.", "details": ""}


def test_every_error_of_the_tree_has_a_status_and_says_why_on_every_surface() -> None:
    kinds = [kind for kind in tree(errors.ArenaError) if kind.__module__.startswith("lerobot_arena.")]
    assert len(kinds) > 10
    for kind in kinds:
        for path in ("/sessions", "/api/publish", "/auth/me"):
            response = answer(path, made(kind))
            assert 400 <= response.status_code < 600 and b"Why." in bytes(response.body), kind
            assert ("www-authenticate" in response.headers) == (response.status_code == 401)
            assert ("retry-after" in response.headers) == (response.status_code in {429, 503})
    # The first that fits decides, so that nothing stands behind its own base class.
    for index, (kind, _) in enumerate(STATUS_OF):
        assert not any(issubclass(kind, before) for before, _ in STATUS_OF[:index]), kind


def test_the_time_to_wait_is_whole_seconds_and_never_none() -> None:
    assert answer("/x", errors.TooMany("Why.", 0.2)).headers["retry-after"] == "1"
    assert answer("/x", errors.TooMany("Why.", 7.1)).headers["retry-after"] == "8"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("POST", "/sessions", {}, 422, {"detail"}),
        ("POST", "/api/api-tokens", {}, 400, {"error"}),
        ("POST", "/auth/login", {}, 422, {"error", "message", "details"}),
        ("DELETE", "/sessions/never", None, 404, {"detail", "code"}),
        ("DELETE", "/api/api-tokens/never", None, 404, {"error"}),
        ("PUT", "/auth/login", {}, 405, {"error", "message", "details"}),
        ("PUT", "/api/api-tokens", {}, 405, {"error"}),
        ("PUT", "/sessions", {}, 405, {"detail", "code"}),
        ("GET", "/auth/nothing", None, 404, {"error", "message", "details"}),
        ("GET", "/api/api-tokens/a/b", None, 404, {"error"}),
    ],
)
async def test_what_the_framework_refuses_has_the_same_shape(
    rig: Rig, method: str, path: str, body: Any, status: int, expected: set[str]
) -> None:
    async with rig.caller(await rig.user("olga")) as http:
        answered = await http.request(method, path, json=body)
    assert answered.status_code == status, answered.text
    assert answered.json().keys() == expected
    if expected == {"error"}:
        assert isinstance(answered.json()["error"], str)
    if status in {400, 422} and "details" in expected:
        assert answered.json()["error"] == "validation_error" and "username" in answered.json()["details"]


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/sessions", {"detail", "code"}),
        ("/api/api-tokens", {"error"}),
        ("/auth/users", {"error", "message", "details"}),
    ],
)
async def test_what_the_border_refuses_has_the_same_shape(rig: Rig, path: str, keys: set[str]) -> None:
    token = await rig.user("narrow", scopes=[])
    async with rig.caller() as nobody, rig.caller(token) as narrow:
        answers = [
            (401, await nobody.get(path)),
            (403, await narrow.get(path, headers={"host": "evil.example"})),
            (413, await narrow.post(path, content=b"x" * 1_000_001)),
        ]
        if path != "/api/api-tokens":
            answers.append((403, await narrow.get(path)))
    for status, answered in answers:
        if answered.status_code == 403 and status == 413:
            continue  # without the scope nothing of the body is read
        assert answered.status_code == status, answered.text
        assert answered.json().keys() == keys


async def test_an_unexpected_error_is_500_in_the_surfaces_shape(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError("secret")

    token = await rig.user("olga")
    monkeypatch.setattr(rig.services.accounts.tokens, "active", broken)
    async with rig.caller(token) as http:
        answered = await http.get("/api/api-tokens")
    assert answered.status_code == 500 and set(answered.json()) == {"error"} and "secret" not in answered.text
    assert mapped.RETRY_UNAVAILABLE_S > 0


BAD = [
    ("GET", "/sessions/a%00b"),
    ("GET", "/sessions?status=%00"),
    ("GET", "/api/risk-log?arm=%00"),
    ("GET", "/api/catalog/policies?q=%00"),
    ("GET", "/api/catalog/policies/olga/x%00"),
    ("DELETE", "/api/api-tokens/%00"),
    ("GET", "/olga/%00"),
    ("GET", "/%00"),
    ("GET", "/v1/leaderboard?owner=%00"),
    ("GET", "/robotics/workspaces/%00/rooms"),
    ("DELETE", "/auth/users/%00"),
    ("POST", "/api/control/estop?arm=%00"),
]


async def test_a_nul_is_the_callers_mistake(rig: Rig) -> None:
    async with rig.caller(await rig.user("anna", role="admin")) as anna:
        for method, path in BAD:
            answer = await anna.request(method, path)
            assert answer.status_code == (400 if "?" in path and "estop" not in path else 404), (
                path,
                answer.text,
            )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OperationalError("select", {}, Exception("database is locked")), 503),
        (DataError("select", {}, Exception("NUL")), 400),
    ],
)
async def test_what_a_database_cannot_do_is_said_in_the_surfaces_own_shape(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    services = rig.services
    monkeypatch.setattr(services.published.shelf, "get", broken)
    monkeypatch.setattr(services.accounts.users, "all", broken)
    async with rig.caller(await rig.user("anna", role="admin")) as anna:
        for path, keys in (
            ("/api/catalog/policies/olga/x", {"detail", "code"}),
            ("/auth/users", {"error", "message", "details"}),
        ):
            answer = await anna.get(path)
            assert answer.status_code == status, (path, answer.text)
            assert set(answer.json()) == keys and ("retry-after" in answer.headers) == (status == 503)
            assert "locked" not in answer.text
