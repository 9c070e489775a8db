# SPDX-License-Identifier: Apache-2.0
"""The published API holds all of seed 1, and its documentation needs nobody else's server."""

import json
import re
from pathlib import Path
from typing import Any

from lerobot_arena.testing.bridge_rig import Rig

SEED = json.loads((Path(__file__).parent / "seed1.openapi.json").read_text())


def missing_from(ours: Any, seed: Any, where: str) -> list[str]:
    """Places where `ours` does not hold all that `seed` holds; lists must be equal."""
    if isinstance(seed, dict) and isinstance(ours, dict):
        lost = [f"{where}.{key}" for key in seed if key not in ours]
        for key in seed.keys() & ours.keys():
            lost += missing_from(ours[key], seed[key], f"{where}.{key}")
        return lost
    return [] if ours == seed else [f"{where}: {ours!r} is not {seed!r}"]


async def test_every_path_schema_and_word_of_the_seed_is_there(rig: Rig) -> None:
    ours = (await rig.http.get("/openapi.json")).json()
    assert missing_from(ours, SEED, "") == []


def without_ours(operation: dict[str, Any]) -> dict[str, Any]:
    """An operation without what the border and we add: access, its refusals, optional parameters."""
    kept = {name: value for name, value in operation.items() if name not in {"security", "x-scope"}}
    kept["responses"] = {
        status: text
        for status, text in operation["responses"].items()
        if status not in {"401", "403", "413", "429"}
    }
    parameters = [item for item in operation.get("parameters", []) if item["required"]]
    kept.pop("parameters", None)
    return {**kept, "parameters": parameters} if parameters else kept


async def test_the_seeds_operations_are_exactly_the_seeds(rig: Rig) -> None:
    ours = (await rig.http.get("/openapi.json")).json()
    for path, item in SEED["paths"].items():
        assert ours["paths"][path].keys() == item.keys()
        for method, operation in item.items():
            stripped = without_ours(ours["paths"][path][method])
            # A refused ?kind= is the list's one way to be wrong.
            if path == "/sessions" and method == "get":
                stripped["responses"].pop("422")
            assert stripped == operation
    assert ours["components"]["schemas"]["CreateSessionRequest"]["required"] == ["session_id", "policy_path"]


async def test_access_is_declared_as_it_is_enforced(rig: Rig) -> None:
    ours = (await rig.http.get("/openapi.json")).json()
    account = [{"BearerAuth": []}, {"ApiKeyAuth": []}]
    start = ours["paths"]["/sessions/{session_id}/start"]["post"]
    assert start["security"] == [{}, *account] and start["x-scope"] == "sessions:operate"
    assert {"401", "403", "429"} <= start["responses"].keys()
    assert ours["paths"]["/auth/users"]["get"]["security"] == account
    assert "security" not in ours["paths"]["/health"]["get"]
    assert "429" not in ours["paths"]["/api/control/estop"]["post"]["responses"]
    created = ours["paths"]["/api/api-tokens"]["post"]["responses"]
    assert "422" not in created and created["400"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/SentenceError"
    }


async def test_the_docs_need_no_other_server(rig: Rig) -> None:
    page = await rig.http.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links and all(link.startswith("/docs/files/") for link in links)
    for link in links:
        assert (await rig.http.get(link)).status_code == 200
    assert "://" not in re.sub(r"<!--.*?-->", "", page.text)


async def test_the_page_is_served(rig: Rig) -> None:
    for path in ("/ui", "/ui/"):
        page = await rig.http.get(path)
        assert page.status_code == 200
        assert "<html" in page.text


async def test_the_original_servers_hosted_layout_answers_too(rig: Rig) -> None:
    assert (await rig.http.get("/api/sessions")).json() == []
    assert (await rig.http.get("/api/health")).json()["status"] == "healthy"
