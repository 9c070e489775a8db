# SPDX-License-Identifier: Apache-2.0
"""Reading and deleting what is published: what it may hold up, and what its answers give away."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from lerobot_arena.bridge import catalog_answers
from lerobot_arena.bridge.catalog_answers import manifest
from lerobot_arena.bridge.trials import OWNER
from lerobot_arena.platform.catalog.item import CHECKPOINT, POLICY, ROBOT, SCENE, FileRef, Item
from lerobot_arena.platform.deployments.deployment import BROWSER, PI0, Deployment, Scale
from lerobot_arena.platform.storage.blobs import Blobs
from lerobot_arena.testing.bridge_rig import Rig, until


def put(rig: Rig, kind: str, ref: str, **facts: Any) -> Item:
    published, (owner, _, slug) = rig.services.published, ref.partition("/")
    blob = published.blobs.write([b"-"], max_bytes=100)
    files = {"model": FileRef("policy.onnx", blob.sha256, blob.size)}
    return published.shelf.put(Item(kind=kind, owner=owner, slug=slug, title="T", files=files, facts=facts))


async def file_path(rig: Rig) -> str:
    return f"/api/catalog/files/{put(rig, POLICY, 'lab/one').files['model'].sha256}/x"


async def pane_path(rig: Rig) -> str:
    facts: dict[str, Any] = {
        "defaultRobotRef": "lab/pony",
        "defaultSceneRef": "lab/park",
        "controlSpec": {"version": 1},
    }
    for kind, ref in ((ROBOT, "lab/pony"), (SCENE, "lab/park"), (POLICY, "lab/one"), (POLICY, "lab/two")):
        put(rig, kind, ref, **facts)
    matchup = (await rig.http.post("/api/arena/launch")).json()["matchup"]
    return f"{matchup['left']['browserUrl']}/policy.onnx"


@pytest.mark.parametrize("find", [file_path, pane_path])
async def test_the_estop_does_not_wait_for_a_store_of_files(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, find: Any
) -> None:
    path, asked, stopped = await find(rig), [], threading.Event()
    size = Blobs.size

    def slow(blobs: Blobs, sha256: str) -> int:
        asked.append(threading.get_ident())
        stopped.wait(20)
        return size(blobs, sha256)

    monkeypatch.setattr(Blobs, "size", slow)
    getting = asyncio.create_task(rig.http.get(path))
    await until(lambda: asked)
    assert (await rig.http.post("/api/control/estop")).status_code == 200
    stopped.set()
    assert (await getting).content == b"-"
    assert threading.get_ident() not in asked


async def test_lists_are_encoded_off_the_loop(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def noted(item: Item, root: str) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return manifest(item, root)

    monkeypatch.setattr(catalog_answers, "manifest", noted)
    # A lone surrogate is no text that UTF-8 could carry.
    put(rig, POLICY, "lab/one", metadataConfig={"note": "\ud800 ü"})
    put(rig, POLICY, "lab/one")
    for path in ("/api/catalog/policies", "/api/catalog/policies/lab/one/versions"):
        answer = await rig.http.get(path)
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
        assert answer.json()["items"][0]["ref"] == "lab/one"
    assert threads and threading.get_ident() not in threads


@pytest.mark.parametrize("version", [0, 2**31, 2**63, 10**30])
async def test_a_version_that_no_database_can_hold_is_400_or_404(rig: Rig, version: int) -> None:
    put(rig, POLICY, "lab/one")
    answer = await rig.http.get(f"/api/catalog/policies/lab/one?version={version}")
    assert answer.status_code in {400, 404, 422}, answer.text


async def test_a_checkpoint_of_a_blind_trial_is_not_told_by_its_session(rig: Rig) -> None:
    token = await rig.user("anna")
    put(rig, CHECKPOINT, "anna/pick")
    await rig.create("trial-ab12-left")
    session = rig.services.book.get("trial-ab12-left")
    for owner, is_named in ((OWNER, False), ("anna", True)):
        session.record = replace(session.record, policy_reference="catalog:anna/pick@1", owner=owner)
        async with rig.caller(token) as anna:
            answer = await anna.delete("/api/catalog/checkpoints/anna/pick")
        assert answer.status_code == 409 and ("trial" in answer.text) == is_named, answer.text


async def test_a_deployment_keeps_what_it_runs_and_nothing_of_the_same_name(rig: Rig) -> None:
    token = await rig.user("anna")
    for kind in (POLICY, CHECKPOINT):
        put(rig, kind, "anna/x")
    deployed = rig.services.published.deployed
    for kind, kept, free in ((BROWSER, "policies", "checkpoints"), (PI0, "checkpoints", "policies")):
        names: dict[str, Any] = {"id": "d", "owner": "anna", "title": "D", "slug": "d", "policy": "anna/x"}
        deployed.insert(Deployment(**names, kind=kind, scale=Scale(), created_at=1.0))
        async with rig.caller(token) as anna:
            answer = await anna.delete(f"/api/catalog/{kept}/anna/x")
            assert answer.status_code == 409 and "deploy" in answer.text
            assert (await anna.delete(f"/api/catalog/{free}/anna/x")).status_code == 200
        deployed.delete("d")
        put(rig, POLICY, "anna/x")
        put(rig, CHECKPOINT, "anna/x")
