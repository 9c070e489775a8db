# SPDX-License-Identifier: Apache-2.0
"""From the catalog to a robot that moves: the real bridge's routes, files and headers under the run page."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import uvicorn

from lerobot_arena.bridge.app import create_app
from lerobot_arena.bridge.server import open_socket
from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.platform.catalog.item import POLICY, ROBOT, SCENE, FileRef, Item
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_fake_server import fake_services
from lerobot_arena.testing.run_page_rig import swift_chromium
from lerobot_arena.testing.run_page_rover import (
    BENCHMARK_XML,
    ENTRY_XML,
    rover_control,
    rover_policy,
    rover_zip,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]
pytest.importorskip("playwright.sync_api")


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[str]:
    """A bridge with a rover, a policy and a scene in its catalog; its address."""
    settings = Settings(bridge_port=0, data_dir=tmp_path)
    listener = open_socket(settings)
    listener.listen()
    started: Future[uvicorn.Server] = Future()

    async def run() -> None:
        async with fake_services(FakeArms(("arm",)), settings) as services:
            await services.published.desk.ask(lambda: _fill(services))
            config = uvicorn.Config(
                create_app(services), log_config=None, lifespan="off", timeout_graceful_shutdown=1
            )
            server = uvicorn.Server(config)
            started.set_result(server)
            await server.serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="bridge")
    thread.start()
    server = started.result(timeout=60)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=60)


def _fill(services: Services) -> None:
    published = services.published

    def file(name: str, content: bytes) -> FileRef:
        blob = published.blobs.write([content], max_bytes=1 << 20)
        return FileRef(name, blob.sha256, blob.size)

    facts = {"defaultRobotRef": "lab/rover", "defaultSceneRef": "lab/steps", "controlSpec": rover_control()}
    for kind, slug, files, more in (
        (SCENE, "steps", {"physics": file("steps.xml", BENCHMARK_XML.encode())}, {"mode": "benchmark_scene"}),
        (
            ROBOT,
            "rover",
            {"bundle": file("robot.zip", rover_zip(actuators=False))},
            {"entryXmlPath": ENTRY_XML},
        ),
        (POLICY, "drive", {"model": file("policy.onnx", rover_policy())}, facts),
    ):
        published.shelf.put(
            Item(kind=kind, owner="lab", slug=slug, title=f"The {slug}", files=files, facts=more)
        )


def test_a_published_policy_runs_at_its_plain_url(bridge: str) -> None:
    with swift_chromium() as browser:
        if browser is None:
            pytest.skip("no Chromium: `apt-get install chromium`")
        page = browser.new_page()
        page.set_default_timeout(45_000)
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        for path in ("lab/drive", "lab/drive/lab/rover/lab/steps"):
            page.goto(f"{bridge}/{path}")
            page.wait_for_selector("#status[data-state=running]")
            assert page.inner_text("#title") == "The drive"
            page.keyboard.down("w")
            deadline = time.monotonic() + 45
            while float(page.inner_text("#distance").split()[0].replace("–", "0")) < 0.2:
                assert time.monotonic() < deadline, "the rover does not move"
                time.sleep(0.1)  # how often it looks; the physics is in the browser
            page.keyboard.up("w")
        page.goto(f"{bridge}/lab/nothing")
        page.wait_for_selector("#problem-text")
        assert page.inner_text("#problem-text") == "There is no such run."
        assert [text for text in complaints if "Failed to load resource" not in text] == []
