# SPDX-License-Identifier: Apache-2.0
"""What tests of the run page share: a Chromium that draws without a graphics card, and a server with a rover."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lerobot_arena.testing.run_page_rover import (
    BENCHMARK_XML,
    ENTRY_XML,
    rover_control,
    rover_policy,
    rover_zip,
)
from lerobot_arena.testing.run_page_server import RunPageServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
# A page that frames another and notes what it says.
HOST_HTML = b"<!doctype html><title>host</title><script src='/host.js'></script><body></body>"
HOST_JS = b"""
window.heard = [];
addEventListener('message', (event) => heard.push({...event.data, at: performance.now(), from: event.origin}));
addEventListener('DOMContentLoaded', () => {
  if (!location.hash) return;
  const frame = document.createElement('iframe');
  frame.src = decodeURIComponent(location.hash.slice(1));
  frame.width = 900;
  frame.height = 600;
  document.body.append(frame);
  window.say = (message) => frame.contentWindow.postMessage(message, '*');
});
"""
HOST_FILES = {"/host.html": HOST_HTML, "/host.js": HOST_JS}


@contextmanager
def swift_chromium() -> "Iterator[Browser | None]":
    """The system's Chromium with WebGL in software, or None where there is none."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


def rover_server() -> RunPageServer:
    """A server with rovers, a scene, and policies that fit and do not; not started."""
    return RunPageServer(
        HOST_FILES
        | {
            "/rover.zip": rover_zip(actuators=False),
            "/driven.zip": rover_zip(actuators=True),
            "/unstable.zip": rover_zip(actuators=True, integrator="Euler"),
            "/policy.onnx": rover_policy(),
            "/wide.onnx": rover_policy(wrong_width=3),
            "/steps.xml": BENCHMARK_XML.encode(),
        }
    )


def rover_run(**changes: Any) -> dict[str, Any]:
    """Return run.json of the rover; changes are such as `policy__modelUrl="…"`."""
    run: dict[str, Any] = {
        "title": "Rover",
        "policy": {"modelUrl": "/policy.onnx", "controlSpec": rover_control()},
        "robot": {"bundleUrl": "../rover.zip", "entryXmlPath": ENTRY_XML},
        "scene": {"glbUrl": None, "transform": None, "benchmark": None},
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        entry = run
        for parent in parents:
            entry = entry[parent]
        entry[last] = value
    return run
