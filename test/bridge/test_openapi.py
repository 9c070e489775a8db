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


async def test_the_seeds_operations_are_exactly_the_seeds(rig: Rig) -> None:
    ours = (await rig.http.get("/openapi.json")).json()
    for path, item in SEED["paths"].items():
        assert ours["paths"][path] == item
    assert ours["components"]["schemas"]["CreateSessionRequest"]["required"] == ["session_id", "policy_path"]


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
