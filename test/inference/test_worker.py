# SPDX-License-Identifier: Apache-2.0
"""Every policy kind in a real worker process: one contract, and what a killed or hanging one leaves behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from lerobot_arena.core.errors import PolicyError, PolicyFailed
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.policies.table import POLICIES
from lerobot_arena.inference.worker_client import Answer, Question, WorkerClient, WorkerLost, WorkerOptions
from lerobot_arena.testing.act_checkpoint import write_act_checkpoint
from lerobot_arena.testing.inference_rig import session, wait_for
from lerobot_arena.testing.policy_folders import JOINTS, write_onnx, write_replay

QUICK = WorkerOptions(nice=0, load_timeout_s=300.0, infer_timeout_s=10.0, threads=1)
# Importing LeRobot takes seconds, here and in the worker; on a busy machine, minutes.
LEROBOT = [pytest.mark.lerobot, pytest.mark.slow, pytest.mark.timeout(400)]
ROWS = np.arange(60.0).reshape(10, 6).tolist()


def manifest_of(path: str) -> PolicyManifest:
    wanted = session("s", path, unit="normalized", rate_hz=30.0, joint_names=JOINTS)
    return inspect_policy(path, wanted=wanted, robot=None)


MAKERS: dict[str, Callable[[Path], str]] = {
    "hold": lambda tmp: "hold",
    "replay": lambda tmp: write_replay(tmp / "replay.json", actions=ROWS),
    "onnx": lambda tmp: str(write_onnx(tmp / "onnx")),
    "lerobot": lambda tmp: str(write_act_checkpoint(tmp / "act")),
}


def observation(manifest: PolicyManifest, seed: int) -> PolicyInput:
    rng = np.random.default_rng(seed)
    frames = {
        camera.name: rng.integers(0, 255, (camera.height, camera.width, 3), dtype=np.uint8)
        for camera in manifest.cameras
    }
    return PolicyInput(rng.uniform(-50, 50, 6), frames, "task", time_s=100.0)


def test_every_kind_of_the_table_is_under_contract() -> None:
    assert set(MAKERS) == set(POLICIES)


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=LEROBOT if kind == "lerobot" else []) for kind in MAKERS],
)
def worker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[WorkerClient, PolicyManifest]]:
    manifest = manifest_of(MAKERS[request.param](tmp_path_factory.mktemp(request.param)))
    client = WorkerClient(manifest, QUICK)
    client.load(manifest)
    yield client, manifest
    client.kill()


def test_a_chunk_has_the_shape_and_stages_it_promises(worker: tuple[WorkerClient, PolicyManifest]) -> None:
    client, manifest = worker
    answer = client.infer("shape", [observation(manifest, 1)], reset=True)
    assert answer.chunk.shape == (manifest.chunk_size, 6)
    assert np.isfinite(answer.chunk).all()
    assert {"copy", "network"} <= set(answer.stage_ms)
    assert all(duration >= 0 for duration in answer.stage_ms.values())


def test_after_a_reset_the_same_input_gives_the_same_chunk(
    worker: tuple[WorkerClient, PolicyManifest],
) -> None:
    client, manifest = worker
    first = client.infer("again", [observation(manifest, 1)], reset=True).chunk
    client.infer("again", [observation(manifest, 2)])
    assert np.array_equal(client.infer("again", [observation(manifest, 1)], reset=True).chunk, first)


def test_sessions_do_not_mix(worker: tuple[WorkerClient, PolicyManifest]) -> None:
    client, manifest = worker
    alone = client.infer("left", [observation(manifest, 1)], reset=True).chunk
    client.infer("left", [observation(manifest, 3)])
    assert np.array_equal(client.infer("right", [observation(manifest, 1)]).chunk, alone)
    client.forget("right")
    assert np.array_equal(client.infer("right", [observation(manifest, 1)]).chunk, alone)


def test_sessions_asked_together_get_what_each_gets_alone(
    worker: tuple[WorkerClient, PolicyManifest],
) -> None:
    client, manifest = worker
    seen = [observation(manifest, seed) for seed in range(client.seats)]
    alone = [client.infer(f"alone{i}", [item], reset=True).chunk for i, item in enumerate(seen)]
    asked = [Question(f"together{i}", [item], reset=True) for i, item in enumerate(seen)]
    for answer, expected in zip(client.infer_together(asked), alone, strict=True):
        assert isinstance(answer, Answer)
        # A batch multiplies larger matrices, so sums round otherwise; joints go from -100 to 100.
        assert np.abs(answer.chunk - expected).max() <= 1e-4
        assert {"copy", "network"} <= set(answer.stage_ms)


def test_an_answer_is_not_overwritten_by_the_next(worker: tuple[WorkerClient, PolicyManifest]) -> None:
    client, manifest = worker
    first = client.infer("kept", [observation(manifest, 1)], reset=True).chunk
    before = first.copy()
    client.infer("kept", [observation(manifest, 2)], reset=True)
    assert np.array_equal(first, before)


def test_it_says_where_it_runs_and_which_weights(worker: tuple[WorkerClient, PolicyManifest]) -> None:
    client, manifest = worker
    assert client.device == "cpu"
    assert len(client.sha256) == (64 if manifest.weights else 0)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., WorkerClient]]:
    clients = []

    def make(path: str, options: WorkerOptions = QUICK) -> WorkerClient:
        manifest = manifest_of(path)
        client = WorkerClient(manifest, options)
        clients.append(client)
        client.load(manifest)
        return client

    yield make
    for client in clients:
        client.kill()


def one_state() -> list[PolicyInput]:
    return [PolicyInput(np.arange(6.0))]


def test_a_throw_is_told_and_survived(start: Callable[..., WorkerClient], tmp_path: Path) -> None:
    client = start(write_replay(tmp_path / "r.json", faults={"throw_at": 1}))
    with pytest.raises(PolicyFailed, match="threw at call 1"):
        client.infer("s", one_state())
    assert client.infer("s", one_state()).chunk.shape == (5, 6)


def test_a_hang_is_killed_within_its_deadline(start: Callable[..., WorkerClient], tmp_path: Path) -> None:
    path = write_replay(tmp_path / "r.json", faults={"hang_at": 1})
    client = start(path, WorkerOptions(nice=0, infer_timeout_s=0.3))
    started = time.monotonic()
    with pytest.raises(WorkerLost, match=r"no answer within 0\.3 s while computing"):
        client.infer("s", one_state())
    assert time.monotonic() - started < 10.0
    assert not client.is_alive()


def test_an_exit_and_a_kill_are_told_apart(start: Callable[..., WorkerClient], tmp_path: Path) -> None:
    client = start(write_replay(tmp_path / "r.json", faults={"exit_at": 1}))
    with pytest.raises(WorkerLost, match="exit code 17"):
        client.infer("s", one_state())
    other = start(write_replay(tmp_path / "h.json", faults={"hang_at": 1}))
    timer = threading.Timer(0.3, os.kill, (other.pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(WorkerLost, match="SIGKILL"):
        other.infer("s", one_state())
    timer.join()


def test_weights_that_are_not_the_manifests_are_refused(
    start: Callable[..., WorkerClient], tmp_path: Path
) -> None:
    folder = write_onnx(tmp_path / "onnx", sha256="0" * 64)
    with pytest.raises(PolicyError, match="are not those its manifest describes"):
        start(str(folder))


def test_it_dies_with_its_parent_even_while_it_hangs(tmp_path: Path) -> None:
    path = write_replay(tmp_path / "r.json", faults={"hang_at": 1})
    program = textwrap.dedent(
        f"""
        import numpy as np
        from lerobot_arena.inference.policies.protocol import PolicyInput
        from lerobot_arena.inference.worker_client import WorkerClient, WorkerOptions
        from lerobot_arena.inference.inspect import inspect_policy
        from lerobot_arena.testing.inference_rig import session
        manifest = inspect_policy({path!r}, wanted=session("s", {path!r}), robot=None)
        client = WorkerClient(manifest, WorkerOptions())
        client.load(manifest)
        print(client.pid, flush=True)
        client.infer("s", [PolicyInput(np.zeros(6))])
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.3)  # so that it is in the middle of its answer
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the worker to end")


def test_a_killed_worker_leaves_no_open_files_and_no_mapped_memory(tmp_path: Path) -> None:
    manifest = manifest_of(write_replay(tmp_path / "r.json"))

    def held() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text()
        return len(os.listdir("/proc/self/fd")), maps.count("memfd:")

    def used() -> None:
        client = WorkerClient(manifest, QUICK)
        client.load(manifest)
        client.infer("s", one_state())
        os.kill(client.pid, signal.SIGKILL)
        client.kill()

    used()  # what is made once and stays
    before = held()
    used()
    assert held() == before
