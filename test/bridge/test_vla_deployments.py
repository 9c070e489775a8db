# SPDX-License-Identifier: Apache-2.0
"""`instance.vla.pi0` from upload to actions: LeRobot's pi0, narrow and with random weights, in real child processes."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lerobot_arena.platform.catalog.publishing import Upload
from lerobot_arena.platform.deployments import vla_runtime
from lerobot_arena.testing.bridge_rig import Rig
from lerobot_arena.testing.checkpoint_zip import checkpoint_zip
from lerobot_arena.testing.seed_schemas import check_answer

pytest.importorskip("lerobot")
pytest.importorskip("transformers")

from lerobot_arena.testing.tiny_pi0 import JOINTS, SIZE, write_pi0_checkpoint, write_start_up

pytestmark = [pytest.mark.lerobot, pytest.mark.slow, pytest.mark.timeout(300)]
SEED = Path(__file__).with_name("seed2.openapi.json")


@pytest.fixture
async def anna(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(rig.caller(await rig.user("anna")))


async def publish(rig: Rig, archive: bytes, slug: str, folder: Path) -> None:
    file = folder / f"{slug}.zip"
    file.write_bytes(archive)
    fields = {"slugPath": slug, "title": slug}
    await asyncio.to_thread(
        rig.services.published.publisher.checkpoint, "anna", fields, Upload("p.zip", file)
    )


async def deploy(anna: httpx.AsyncClient, policy: str) -> dict[str, Any]:
    body = {"title": policy, "policyRef": f"anna/{policy}", "runtimeKind": "instance.vla.pi0"}
    answer = await anna.post("/api/deployments", json=body)
    assert answer.status_code == 201, answer.text
    check_answer(SEED, "DeploymentEnvelope", answer.json())
    deployment: dict[str, Any] = answer.json()["deployment"]
    return deployment


def picture(height: int = SIZE, width: int = SIZE) -> str:
    import cv2

    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return base64.b64encode(cv2.imencode(".jpg", pixels)[1].tobytes()).decode()


async def test_pi0_is_published_deployed_and_asked(
    rig: Rig, anna: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await asyncio.to_thread(write_pi0_checkpoint, tmp_path / "pi0")
    monkeypatch.setenv("PYTHONPATH", str(write_start_up(tmp_path / "start")))
    await publish(rig, checkpoint_zip(folder), "pi0", tmp_path)
    deployment = await deploy(anna, "pi0")
    assert deployment["status"] == "idle" and deployment["currentInstances"] == 0
    state = dict.fromkeys(JOINTS, 10.0)
    request = {"task": "pick up the red cube", "state": state, "images": {"front": picture()}}
    answer = await anna.post(deployment["endpointPath"], json=request, timeout=120)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert np.asarray(told["actions"]).shape == (8, 6) and np.isfinite(told["actions"]).all()
    assert told["joint_names"] == list(JOINTS) and told["unit"] == "normalized"
    assert told["dt_s"] == pytest.approx(1 / 30) and told["inference_ms"] > 0
    for bad, said in (
        ({"images": {"front": picture(8, 8)}}, "8×8"),
        ({"state": [1.0]}, "shoulder_pan"),
        ({"task": ""}, "task"),
        ({"images": {"front": base64.b64encode(b"GIF89a").decode()}}, "JPEG"),
    ):
        refused = await anna.post(deployment["endpointPath"], json={**request, **bad})
        assert refused.status_code == 400 and said in refused.json()["detail"], refused.text
    again = await anna.post(deployment["endpointPath"], json={**request, "state": [1.0] * 6})
    assert again.status_code == 200
    assert (await anna.get(deployment["endpointPath"])).json()["deployment"]["currentInstances"] == 1
    children = {pid for pid in os.listdir("/proc") if pid.isdigit() and _is_worker(pid)}
    assert (await anna.delete(deployment["endpointPath"])).status_code == 200
    assert children and not any(_is_worker(pid) for pid in children), "nothing is left running"


def _is_worker(pid: str) -> bool:
    """An inference worker that this process has started and not seen end."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return False
    return b"lerobot_arena.inference.worker" in command and parent == str(os.getpid())


async def test_a_policy_that_reads_no_text_says_where_it_belongs(
    rig: Rig, anna: httpx.AsyncClient, tmp_path: Path
) -> None:
    await publish(rig, checkpoint_zip(), "demo", tmp_path)
    deployment = await deploy(anna, "demo")
    refused = await anna.post(deployment["endpointPath"], json={"task": "pick"})
    assert refused.status_code == 503 and "native.robot.lowcmd" in refused.json()["detail"]
    now = (await anna.get(deployment["endpointPath"])).json()["deployment"]
    assert now["status"] == "failed" and "reads no task text" in now["lastError"]


async def test_what_is_not_installed_is_named(
    rig: Rig, anna: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vla_runtime, "find_spec", lambda name: None if name == "transformers" else object())
    await publish(rig, checkpoint_zip(), "demo", tmp_path)
    deployment = await deploy(anna, "demo")
    assert deployment["status"] == "failed"
    assert "lerobot_arena[lerobot]" in deployment["lastError"] and "transformers" in deployment["lastError"]
