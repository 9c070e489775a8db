# SPDX-License-Identifier: Apache-2.0
"""`arena demo` as a user starts it: the whole stack, the shipped policy, real time."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]

SECONDS = 25.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def demo(ros_domain: int, data_dir: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `arena demo` with its own domain, port and data; whatever is left is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lerobot_arena.cli.app", "demo", "--headless", "--json"]
        process = subprocess.Popen(
            [*command, "--port", str(free_port()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.timeout(300)
def test_a_headless_demo_works_and_reports_itself(demo: Callable[..., subprocess.Popen[str]]) -> None:
    started = time.monotonic()
    process = demo("--seconds", str(SECONDS), "--seed", "5")
    out, log = process.communicate(timeout=250)
    assert process.returncode == 0, log[-4000:]
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    assert report.keys() >= {
        "episodes", "successes", "cycles", "late_cycles", "commands", "decisions", "stages", "seconds",
    }  # fmt: skip
    assert SECONDS <= report["seconds"] < time.monotonic() - started
    assert 0 <= report["successes"] <= report["episodes"] <= SECONDS
    # It starts, resets scenes in between, and may be late on a busy machine; but most of the time it drives the arm.
    assert SECONDS * 50 * 0.3 < report["commands"] <= report["cycles"] <= SECONDS * 50 * 1.1
    assert report["late_cycles"] < 0.2 * report["cycles"], report
    assert sum(report["decisions"].values()) == report["cycles"]
    assert report["decisions"]["fault"] + report["decisions"]["reject"] < 0.2 * report["cycles"], report
    for name in ("inference.network", "inference.total", "guard.checks", "guard.total"):
        stage = report["stages"][name]
        assert 0.0 < stage["p50"] <= stage["p95"] <= stage["p99"] < 5000.0, (name, stage)
    assert report["errors"] == 0 and report["interruptions"] == 0, log[-4000:]


@pytest.mark.timeout(300)
def test_ctrl_c_ends_it_in_order_and_leaves_nothing(
    demo: Callable[..., subprocess.Popen[str]], data_dir: Path
) -> None:
    process = demo()
    log = data_dir / "logs" / "arena.log"
    deadline = time.monotonic() + 200
    while not (log.is_file() and "page:" in log.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)  # how often it looks; the demo is another process
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 5
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err[-4000:]
    assert json.loads(out.splitlines()[-1])["episodes"] >= 0, "the figures come in every case"
    assert "did not end when asked" not in err
    assert psutil.wait_procs(family, timeout=20)[1] == [], "a process outlived the demo"
    assert "Traceback" not in err, err[-4000:]
