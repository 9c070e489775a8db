# SPDX-License-Identifier: Apache-2.0
"""The whole stack as a user starts it (`arena up`), and a probe on its topics."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from lerobot_arena.testing.probe import Probe, published_at

GUARD = "lerobot_arena.guard.node"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """One `arena up` with its own domain, port and data folder."""

    def __init__(self, data_dir: Path, domain: int, port: int) -> None:
        self.data_dir, self.domain, self.port = data_dir, domain, port
        self.rest = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90.0)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data_dir / "arena_up.txt"
        self.policies = data_dir / "policies"
        self.policies.mkdir(exist_ok=True)

    def up(self, *more: str) -> None:
        """Start everything; `more` are arguments of `arena up`."""
        environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(self.domain),
            "ARENA_DATA_DIR": str(self.data_dir),
            "ARENA_BRIDGE_PORT": str(self.port),
        }
        command = [
            sys.executable,
            "-m",
            "lerobot_arena.cli.app",
            "up",
            "--robot",
            "mujoco",
            "--port",
            str(self.port),
            *more,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.wait_for("the bridge to answer", lambda: self.rest.get("/health").status_code == 200, 60)
        self.wait_for("the arm to be known", lambda: self.arm() is not None, 60)

    def wait_for(self, what: str, done: Callable[[], Any], timeout_s: float) -> Any:
        """Poll `done` until it is true; fails naming `what`, with the session's status and the log."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if result := done():
                    return result
            time.sleep(0.05)  # how often it looks; the stack is other processes
        with contextlib.suppress(httpx.HTTPError, ValueError):
            print(self.status())
        pytest.fail(f"waited {timeout_s} s for: {what}\n{self.tail()}")

    def arm(self) -> dict[str, Any] | None:
        arms = self.rest.get("/api/arms").json()
        return next((arm for arm in arms.get("arms", arms) if arm["arm"] == "arm"), None)

    def process_of(self, module: str, namespace: str = "/arm") -> psutil.Process | None:
        """The living process that runs a module, by its command line."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                line = " ".join(child.cmdline())
                own = any(part == module for part in child.cmdline())
                if own and (
                    namespace in line
                    or module.startswith(
                        ("lerobot_arena.bridge", "lerobot_arena.inference", "lerobot_arena.rooms")
                    )
                ):
                    return child
        return None

    def kill(self, module: str) -> int:
        process = self.process_of(module)
        assert process is not None, f"{module} does not run:\n{self.tail()}"
        process.send_signal(signal.SIGKILL)
        return process.pid

    def create(self, session_id: str = "demo") -> None:
        answer = self.rest.post(
            "/sessions",
            json={"session_id": session_id, "policy_path": "demo", "camera_names": ["front"], "robot": "arm"},
        )
        assert answer.status_code == 200, answer.text

    def start(self, session_id: str = "demo") -> None:
        answer = self.rest.post(f"/sessions/{session_id}/start")
        deadline = time.monotonic() + 20
        # A process that loads its libraries can hold both cores for a moment; the guard is right to refuse then.
        while answer.status_code == 409 and "older than" in answer.text and time.monotonic() < deadline:
            time.sleep(0.2)  # its joints have to be fresh at the next try
            answer = self.rest.post(f"/sessions/{session_id}/start")
        assert answer.status_code == 200, answer.text + self.tail()

    def status(self, session_id: str = "demo") -> dict[str, Any]:
        status: dict[str, Any] = self.rest.get(f"/sessions/{session_id}").json()
        return status

    def kill_everything(self) -> None:
        assert self.process is not None
        family = [
            *psutil.Process(self.process.pid).children(recursive=True),
            psutil.Process(self.process.pid),
        ]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=10)
        self.process.wait(10)

    def down(self) -> None:
        self.rest.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill_everything()
                pytest.fail("arena up did not end within 30 s of SIGINT:\n" + self.tail())

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


class ArmProbe(Probe):
    """Watches an arm's topics; times are this process's steady clock: of commands when they were published."""

    def __init__(self, domain: int) -> None:
        from lerobot_arena.core.session import GuardState
        from lerobot_arena.ros import convert, qos

        super().__init__("probe", domain=domain)
        self.commands: list[tuple[float, tuple[float, ...]]] = []
        self.joints: list[tuple[float, tuple[float, ...]]] = []
        self.states: list[tuple[float, GuardState]] = []

        def on_command(message: Any) -> None:
            stamp_ns = message.stamp.sec * 1_000_000_000 + message.stamp.nanosec
            self.commands.append((published_at(stamp_ns), tuple(message.positions)))

        def on_joints(message: Any) -> None:
            self.joints.append((time.monotonic(), tuple(message.position)))

        def on_state(message: Any) -> None:
            self.states.append((time.monotonic(), convert.from_msg(GuardState, message)))

        listen = self.node.create_subscription
        listen(convert.own.JointCommand, "/arm/command", on_command, qos.STREAM)
        listen(convert.JointState, "/arm/joint_states", on_joints, qos.SENSOR)
        listen(convert.own.GuardState, "/arm/guard/state", on_state, qos.LATCHED)
        self.start()

    def commands_since(self, instant: float) -> list[tuple[float, tuple[float, ...]]]:
        return [item for item in self.commands if item[0] >= instant]


@pytest.fixture(scope="module")
def stack_on(
    tmp_path_factory: pytest.TempPathFactory, module_ros_domain: int
) -> Iterator[Callable[..., Stack]]:
    """Starts one stack with arguments of the test's choice."""
    made: list[Stack] = []

    def start(*more: str) -> Stack:
        made.append(Stack(tmp_path_factory.mktemp("arena"), module_ros_domain, free_port()))
        made[-1].up(*more)
        return made[-1]

    yield start
    for each in made:
        each.down()


@pytest.fixture(scope="module")
def stack(stack_on: Callable[..., Stack]) -> Stack:
    return stack_on()


@pytest.fixture(scope="module")
def probe(stack: Stack) -> Iterator[ArmProbe]:
    made = ArmProbe(stack.domain)
    stack.wait_for("joint states on the probe", lambda: made.joints, 30)
    yield made
    made.close()
