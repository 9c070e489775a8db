# SPDX-License-Identifier: Apache-2.0
"""Runs at plain URLs: what a path means, what stays JSON, and what a blind pane gives away."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.bridge.route_map import routes_of
from lerobot_arena.bridge.routes import runs
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.reserved import ROUTE_SEGMENTS
from lerobot_arena.platform.accounts.names import check_name
from lerobot_arena.platform.catalog.item import POLICY, ROBOT, SCENE, FileRef, Item
from lerobot_arena.testing.bridge_rig import Rig, open_rig


def item(kind: str, ref: str, *roles: str, **facts: Any) -> Item:
    owner, _, slug = ref.partition("/")
    files = {
        role: FileRef(f"{slug.replace('/', '-')}.{role}", f"{abs(hash((ref, role))):064x}"[-64:], 1)
        for role in roles
    }
    return Item(kind=kind, owner=owner, slug=slug, title=f"Title of {slug}", files=files, facts=facts)


@pytest.fixture
def shop(rig: Rig) -> Rig:
    """Two policies on one robot in one scene; slugs of one and of two parts."""
    fill(rig)
    return rig


def fill(rig: Rig) -> None:
    put = rig.services.published.shelf.put
    put(item(SCENE, "lab/park", "glb", "physics", mode="benchmark_scene"))
    put(item(SCENE, "eve/look/dark", "glb", mode="visual_overlay", benchmarkSceneRef="lab/park"))
    put(item(ROBOT, "lab/pony", "bundle", entryXmlPath="pony.xml"))
    for slug in ("trot", "deep/walk"):
        facts = {"defaultRobotRef": "lab/pony", "defaultSceneRef": "lab/park", "controlSpec": {"of": slug}}
        put(item(POLICY, f"lab/{slug}", "model", **facts))
    put(item(POLICY, "lab/loose", "model", controlSpec={}))


def test_no_owner_can_hide_a_route(rig: Rig) -> None:
    firsts = {route.path.lstrip("/").partition("/")[0] for route in routes_of(rig.app)} - {"", "{owner}"}
    assert firsts <= ROUTE_SEGMENTS, f"add {firsts - ROUTE_SEGMENTS} to core/reserved.py"
    for name in sorted(ROUTE_SEGMENTS):
        with pytest.raises(InvalidInput):
            check_name(name)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/sessions/a/b/c", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/arena/run/none/none/run.json", 404),
        ("GET", "/favicon.ico", 404),
        ("POST", "/lab/trot", 404),
        ("DELETE", "/lab", 404),
        ("PATCH", "/health", 405),
    ],
)
async def test_what_is_api_shaped_stays_json(shop: Rig, method: str, path: str, status: int) -> None:
    answer = await shop.http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("path", "control", "scene"),
    [
        ("/lab/trot", "trot", "lab/park"),
        ("/lab/deep/walk", "deep/walk", "lab/park"),
        ("/lab/deep/walk/", "deep/walk", "lab/park"),
        ("/lab/trot/lab/pony/eve/look/dark", "trot", "lab/park"),
        ("/lab/deep/walk/lab/pony/lab/park", "deep/walk", "lab/park"),
        ("/lab/pony", None, "lab/park"),
        ("/lab/park", None, "lab/park"),
    ],
)
async def test_a_path_means_a_run(shop: Rig, path: str, control: str | None, scene: str) -> None:
    page = await shop.http.get(path)
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    run = (await shop.http.get(f"{path.rstrip('/')}/run.json")).json()
    assert control is None or run["policy"]["controlSpec"] == {"of": control}
    assert run["robot"]["entryXmlPath"] == "pony.xml"
    assert run["scene"]["benchmark"]["ref"] == scene and run["scene"]["benchmark"]["xmlUrl"]


@pytest.mark.parametrize("path", ["/lab/none", "/lab/loose", "/lab/trot/lab/pony/lab/none", "/nobody/x"])
async def test_a_run_that_is_not_there_is_404_for_people_and_for_programs(shop: Rig, path: str) -> None:
    page = await shop.http.get(path)
    assert page.status_code == 404 and page.headers["content-type"].startswith("text/html")
    answer = await shop.http.get(f"{path}/run.json")
    assert answer.status_code == 404 and answer.json()["detail"]


async def test_a_path_of_many_segments_is_no_run(shop: Rig) -> None:
    begin = time.monotonic()
    for end in ("", "/run.json"):
        assert (await shop.http.get("/a" * 32_000 + end)).status_code == 404
    assert time.monotonic() - begin < 5.0


async def test_a_policy_without_a_default_robot_runs_where_it_is_told(shop: Rig) -> None:
    assert (await shop.http.get("/lab/loose/lab/pony/lab/park/run.json")).status_code == 200


async def test_a_pane_gives_no_name_away_and_runs_exactly_what_was_matched(shop: Rig) -> None:
    matchup = (await shop.http.post("/api/arena/launch")).json()["matchup"]
    kept = shop.services.published.arena.get(matchup["id"])
    left = matchup["left"]["browserUrl"]
    before = shop.services.published.shelf.get(POLICY, kept.left.policy)
    shop.services.published.shelf.put(item(POLICY, kept.left.policy, "model", controlSpec={"of": "newer"}))
    assert (await shop.http.get(left)).status_code == 200
    run = (await shop.http.get(f"{left}/run.json")).json()
    assert run["policy"]["controlSpec"] == before.facts["controlSpec"]
    text = json.dumps({**run, "policy": {**run["policy"], "controlSpec": None}})
    assert "trot" not in text and "walk" not in text and run["title"] == "Policy on the left"
    listed = (await shop.http.get("/api/catalog/policies")).text
    hashes = set(re.findall(r"[0-9a-f]{64}", listed))
    assert hashes and not hashes & set(re.findall(r"[0-9a-f]{64}", text))


async def test_both_panes_of_a_look_have_the_physics_that_were_matched(rig: Rig) -> None:
    fill(rig)
    put = rig.services.published.shelf.put
    facts = {"defaultRobotRef": "lab/pony", "defaultSceneRef": "eve/look/dark", "controlSpec": {"a": 1}}
    for slug in ("trot", "deep/walk"):
        put(item(POLICY, f"lab/{slug}", "model", **facts))
    matchup = (await rig.http.post("/api/arena/launch")).json()["matchup"]
    left, right = (matchup[side]["browserUrl"] for side in ("left", "right"))
    before = (await rig.http.get(f"{left}/run.json")).json()["scene"]
    newer = item(SCENE, "lab/park", "glb", mode="benchmark_scene")
    put(replace(newer, files={**newer.files, "physics": FileRef("park.xml", "f" * 64, 1)}))
    assert (await rig.http.get(f"{right}/run.json")).json()["scene"] == before
    now = (await rig.http.get("/lab/trot/run.json")).json()["scene"]
    assert now["benchmark"]["xmlUrl"].endswith("f" * 64 + "/park.xml")
    kept = rig.services.published.arena.get(matchup["id"])
    again = rig.services.published.arena.launch()
    assert again.scene == kept.scene and again.scene_content != kept.scene_content, "votes tell them apart"


async def test_a_pane_s_network_comes_without_a_name_that_tells_which_it_is(rig: Rig) -> None:
    published = rig.services.published
    contents = {f"lab/{slug}": slug.encode() * 9 for slug in ("trot", "walk")}
    facts = {"defaultRobotRef": "lab/pony", "defaultSceneRef": "lab/park", "controlSpec": {"version": 1}}
    for kind, ref in ((ROBOT, "lab/pony"), (SCENE, "lab/park"), *((POLICY, ref) for ref in contents)):
        blob = published.blobs.write([contents.get(ref, b"-")], max_bytes=100)
        file = FileRef("policy.onnx", blob.sha256, blob.size)
        published.shelf.put(replace(item(kind, ref, **facts), files={"model": file}))
    matchup = (await rig.http.post("/api/arena/launch")).json()["matchup"]
    kept = published.arena.get(matchup["id"])
    for side in ("left", "right"):
        pane = matchup[side]["browserUrl"]
        before = published.arena.get(matchup["id"]).ready
        model = await rig.http.get(f"{pane}/policy.onnx")
        assert published.arena.get(matchup["id"]).ready == before, "a file is not yet a pane that runs"
        assert model.content == contents[kept.side(side).policy]
        assert model.headers["content-length"] == str(len(model.content))
        assert model.headers["cache-control"] == "no-store" and "etag" not in model.headers
        run = (await rig.http.get(f"{pane}/run.json")).json()
        assert str(model.url).endswith(run["policy"]["modelUrl"])
    assert (await rig.http.get("/arena/run/none/none/policy.onnx")).status_code == 404


async def test_pages_that_may_use_the_bridge_may_frame_and_drive_a_run(data_dir: Path) -> None:
    async with open_rig(data_dir, allowed_origins=("https://Desk.example/",)) as rig:
        fill(rig)
        page = await rig.http.get("/lab/trot")
        policy = page.headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' https://desk.example")
        run = (await rig.http.get("/lab/trot/run.json")).json()
        assert run["controlOrigins"] == ["https://desk.example"]
        # Votes and names are not for frames of others.
        arena = await rig.http.get("/arena")
        assert arena.headers["content-security-policy"].endswith("frame-ancestors 'self'")


async def test_without_such_pages_nobody_else_may(shop: Rig) -> None:
    assert (await shop.http.get("/lab/trot/run.json")).json()["controlOrigins"] is None


def test_the_documentation_has_the_headers_as_they_are_sent() -> None:
    text = (Path(__file__).parents[2] / "docs" / "run_page.md").read_text()
    (block,) = re.findall(r"## Headers\n\n```\n(.*?)```", text, re.DOTALL)
    assert block.split() == runs.PAGE_HEADERS["Content-Security-Policy"].split()


async def test_an_owner_has_a_page(shop: Rig) -> None:
    assert (await shop.http.get("/lab")).status_code == 200
    assert (await shop.http.get("/nobody")).status_code == 404
    listed = (await shop.http.get("/api/catalog/policies?owner=lab")).json()["items"]
    assert {entry["ref"] for entry in listed} == {"lab/trot", "lab/deep/walk", "lab/loose"}
