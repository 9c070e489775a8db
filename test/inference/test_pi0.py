# SPDX-License-Identifier: Apache-2.0
"""LeRobot's pi0 in the inference worker: its own code and processors, with layers narrow enough for a test."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.worker_client import WorkerClient, WorkerOptions

pytest.importorskip("lerobot")
pytest.importorskip("transformers")

from lerobot_arena.testing.tiny_pi0 import JOINTS, SIZE, write_pi0_checkpoint, write_start_up

pytestmark = [pytest.mark.lerobot, pytest.mark.slow]
OPTIONS = WorkerOptions(threads=1, infer_timeout_s=60.0)
FRAME = np.full((SIZE, SIZE, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pi0_checkpoint(tmp_path_factory.mktemp("pi0") / "checkpoint")


@pytest.fixture
def narrowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(write_start_up(tmp_path / "start")))


def manifest_of(folder: Path) -> PolicyManifest:
    wanted = SessionWanted("s", "arm", str(folder), camera_names=("front",), language_instruction="pick up")
    return inspect_policy(str(folder), wanted=wanted, robot=None)


@pytest.fixture
def worker(checkpoint: Path, narrowed: None) -> Iterator[WorkerClient]:
    client = WorkerClient(manifest_of(checkpoint), OPTIONS)
    try:
        client.load(manifest_of(checkpoint))
        yield client
    finally:
        client.kill()


def test_pi0_answers_a_task_with_a_chunk(checkpoint: Path, worker: WorkerClient) -> None:
    manifest = manifest_of(checkpoint)
    assert (manifest.policy_type, manifest.takes_task, manifest.joint_names) == ("pi0", True, JOINTS)
    seen = PolicyInput(np.zeros(6), {"front": FRAME})
    answer = worker.infer("s", [seen], task="pick up the red cube", reset=True)
    assert answer.chunk.shape == (8, 6)
    assert np.isfinite(answer.chunk).all()
    assert answer.stage_ms["network"] > 0.0


def test_what_does_not_load_is_said_and_not_replaced_by_random_weights(
    checkpoint: Path, narrowed: None, tmp_path: Path
) -> None:
    """LeRobot prints "Warning: Could not load state dict", and goes on with the weights it has drawn."""
    from safetensors.torch import load_file, save_file

    broken = Path(shutil.copytree(checkpoint, tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    del weights["model.action_in_proj.weight"]
    save_file(weights, broken / "model.safetensors")
    client = WorkerClient(manifest_of(broken), OPTIONS)
    try:
        with pytest.raises(PolicyError, match="action_in_proj"):
            client.load(manifest_of(broken))
    finally:
        client.kill()


def test_a_tokenizer_that_is_not_there_is_named(checkpoint: Path, tmp_path: Path) -> None:
    from lerobot_arena.inference.policies.lerobot_policy import load_processors

    bare = Path(shutil.copytree(checkpoint, tmp_path / "bare"))
    shutil.rmtree(bare / "tokenizer")
    with pytest.raises(PolicyError, match="google/paligemma-3b-pt-224"):
        load_processors(None, bare, "cpu")
    steps = bare / "policy_preprocessor.json"
    steps.write_text(
        json.dumps(
            {"steps": [{"registry_name": "tokenizer_processor", "config": {"tokenizer_name": "/etc"}}]}
        )
    )
    with pytest.raises(PolicyError, match="no hub id"):
        load_processors(None, bare, "cpu")
