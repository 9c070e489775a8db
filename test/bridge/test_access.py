# SPDX-License-Identifier: Apache-2.0
"""Every route, asked by every kind of caller, does what docs/access.md says."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.bridge import access
from lerobot_arena.bridge.access import DATASETS, MOUNT, ROWS, WS, Need, Owned, Row, table
from lerobot_arena.bridge.access_doc import BEGIN, DOC, OWN_ONLY, YES, callers_of, with_matrix
from lerobot_arena.bridge.route_map import routes_of
from lerobot_arena.core.principal import USER_SCOPES
from lerobot_arena.platform.catalog.item import POLICY, Item
from lerobot_arena.platform.deployments.deployment import BROWSER, Scale
from lerobot_arena.testing.bridge_rig import Rig, open_rig
from lerobot_arena.testing.bridge_socket import ask_socket
from lerobot_arena.testing.videos import mp4

SESSION = "owned-by-olga"
COLUMNS = list(callers_of(ROWS[0]))
WORKSPACE = "of-olga"
VALUES = {
    "session_id": SESSION,
    "workspace_id": WORKSPACE,
    "arm:path": "arm",
    "verb": "start",
    "event_id": "1",
    "cycle_id": "1",
    "path:path": "x",
    "kinds": "policies",
    "owner": "olga",
    "slug:path": "x",
    "slug": "x",
}
"""What stands in a path; where it does not matter, `x`."""
BODIES: dict[str, Any] = {
    "command": {"joints": [{"name": "shoulder_pan", "value": 0.0}]},
    "signal": {"client_id": "x", "message": {"type": "offer"}},
}
"""What is sent where an empty body would be refused before anybody asks whose the thing is."""
BORDER = {401, 403}


def documented() -> dict[tuple[str, str], dict[str, str]]:
    """The matrix of the document: method and path → column → outcome."""
    found = {}
    for line in DOC.read_text().partition(BEGIN)[2].splitlines():
        if line.startswith("| `"):
            call, _scope, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            method, path = call.strip("`").split(" ", 1)
            found[method, path] = dict(zip(COLUMNS, cells, strict=True))
    return found


def test_the_document_is_the_table() -> None:
    text = DOC.read_text()
    assert with_matrix(text) == text, "write it anew: python -m lerobot_arena.bridge.access_doc"


async def test_every_route_has_a_row_and_every_row_a_route(rig: Rig) -> None:
    keys = {
        (method, route.path)
        for route in routes_of(rig.app)
        for method in route.methods
        if not (method == "HEAD" and "GET" in route.methods)
    }
    assert keys - set(table()) == set(), "add a row to bridge/access.py, then write docs/access.md anew"
    assert set(table()) - keys == set(), "these rows are for routes that are not there"


def test_two_rows_for_one_route_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="two rows"):
        table([*ROWS, access.public("GET", "/health")[0]])


def path_of(row: Row) -> str:
    """A path that the route answers."""
    parts = []
    # A room of Olga's session, of the right kind.
    room = f"{SESSION}-front" if "/video/" in row.path else f"{SESSION}-joint-output"
    values = {**VALUES, "room_id": room}
    for part in row.path.split("/"):
        is_open = part.startswith("{")
        parts.append(values.get(part.strip("{}"), "x") if is_open else part)
    return "/".join(parts) + ("/x" if row.method == MOUNT else "")


class Walk:
    """The callers of every column, and what they get."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.tokens: dict[str, str] = {}

    async def meet(self, row: Row) -> None:
        """Tokens for this row; those of before may have been revoked by the row before."""
        narrow = sorted(set(USER_SCOPES) - {row.scope})
        for column, name, scopes, role in (
            ("wrong scope", f"narrow-{row.scope.replace(':', '-') or 'none'}", narrow, "user"),
            ("other owner", "otto", None, "user"),
            ("owner", "olga", None, "user"),
            ("admin", "anna", None, "admin"),
        ):
            self.tokens[column] = await self.rig.user(name, scopes=scopes, role=role)

    async def set_up(self, row: Row) -> None:
        """Olga's session exists and, where it matters, is paused."""
        async with self.rig.caller(self.tokens["owner"]) as olga:
            if (await olga.get(f"/sessions/{SESSION}")).status_code == 404:
                body = {
                    "session_id": SESSION,
                    "workspace_id": WORKSPACE,
                    "policy_path": "demo",
                    "robot": "arm",
                }
                assert (await olga.post("/sessions", json=body)).status_code == 200
            if "{kinds}" in row.path:
                item = Item(kind=POLICY, owner="olga", slug="x", title="X")
                self.rig.services.published.shelf.put(item)
            if "{record_id}" in row.path or row.path == DATASETS:
                await self.keep_a_video(olga)
            if row.path.startswith(("/deployments", "/api/deployments", "/api/rollout")):
                await self.deploy()
            if row.path == "/api/api-tokens" and row.owned is Owned.LIST:
                await olga.post(row.path, json={"name": SESSION})
            if row.owned is Owned.ARM:
                await olga.post("/api/control/reset")
                await olga.post(f"/sessions/{SESSION}/stop")
            if row.path.endswith("/resume"):
                for verb in ("start", "pause"):
                    answer = await olga.post(f"/api/control/{verb}")
                    assert answer.status_code == 200, answer.text

    async def keep_a_video(self, olga: httpx.AsyncClient) -> None:
        """Olga has a dataset record."""
        if not (found := (await olga.get("/api/datasets/uploads")).json()["items"]):
            fields = {"title": SESSION, "kind": "human_wbc"}
            answer = await olga.post("/api/datasets/uploads", data=fields, files={"files": ("x", mp4())})
            found = answer.json()["items"]
        VALUES["record_id"] = found[0]["id"]

    async def deploy(self) -> None:
        """Olga has a deployment, which needs nothing to run."""
        deployments = self.rig.services.deployments
        if not deployments.of("olga"):
            item = Item(kind=POLICY, owner="olga", slug="x", title="X")
            self.rig.services.published.shelf.put(item)
            await deployments.create("olga", title=SESSION, policy="olga/x", kind=BROWSER, scale=Scale())

    async def ask(self, row: Row, column: str) -> httpx.Response:
        """One call as a caller of `column`."""
        near = column in {"at the machine", "through a proxy"}
        headers = {"X-Forwarded-For": "10.1.2.3"} if column == "through a proxy" else {}
        token = self.tokens.get(column, "")
        if row.method == WS:
            return await ask_socket(
                self.rig.app,
                path_of(row),
                token=token,
                address="127.0.0.1" if near else "10.0.0.9",
                headers=headers,
            )
        async with self.rig.caller(
            token, address="127.0.0.1" if near else "10.0.0.9", headers=headers
        ) as http:
            method = "GET" if row.method == MOUNT else row.method
            body: dict[str, Any] = (
                {} if method in {"GET", "DELETE"} else {"json": BODIES.get(row.path.split("/")[-1], {})}
            )
            return await http.request(method, path_of(row), **body)


def is_as_documented(row: Row, expected: str, answer: httpx.Response) -> bool:
    """Whether an answer is what the document promises; an empty body may still be refused by the route."""
    if expected == OWN_ONLY:
        return answer.status_code == 200
    if expected != YES:
        return answer.status_code == int(expected)
    # Beside the room itself a signal is for somebody in it, who may not be there.
    named = ("{session_id}", "{record_id}")
    is_there = any(name in row.path for name in named) or (
        "{room_id}" in row.path and not row.path.endswith("/signal")
    )
    owned_is_there = row.owned is Owned.ONE and is_there
    return answer.status_code not in (BORDER | ({404} if owned_is_there else set()))


async def test_every_route_does_what_the_document_says_for_every_caller(data_dir: Path) -> None:
    promised, wrong = documented(), []
    async with open_rig(data_dir, rate_limit_address="", rate_limit_identity="") as rig:
        walk = Walk(rig)
        for row in ROWS:
            await walk.meet(row)
            call = f"{row.path}/…" if row.method == MOUNT else row.path
            expected = promised["GET" if row.method == MOUNT else row.method, call]
            for column in COLUMNS:
                await walk.set_up(row)
                answer = await walk.ask(row, column)
                assert answer.status_code < 500 or answer.status_code == 503, (row.path, answer.text)
                if not is_as_documented(row, expected[column], answer):
                    got = f"{answer.status_code} {answer.text[:200]}"
                    wrong.append((row.method, row.path, column, expected[column], got))
                if expected[column] == OWN_ONLY and row.method == "GET":
                    # Whatever is Olga's is called so.
                    assert (SESSION in answer.text) == (column == "owner"), (row.path, column, answer.text)
    assert wrong == [], "\n".join(map(str, wrong))


async def test_estop_is_open_to_any_account_and_to_loopback(rig: Rig) -> None:
    assert table()["POST", "/api/control/estop"].need is Need.ESTOP
    token = await rig.user("nothing-at-all", scopes=[])
    async with rig.caller(token) as http:
        assert (await http.post("/api/control/estop")).status_code == 200
        assert (await http.get("/sessions")).status_code == 403
    async with rig.caller("rr_live_wrong") as http:
        assert (await http.post("/api/control/estop")).status_code == 401
    # At the machine no credential has to be right.
    async with rig.caller("rr_live_wrong", address="127.0.0.1") as http:
        assert (await http.post("/api/control/estop")).status_code == 200
        assert (await http.get("/sessions")).status_code == 401
