# SPDX-License-Identifier: Apache-2.0
"""Several sessions in one call: which policies, how many, and that each session only ever gets its own answer."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.errors import PolicyFailed
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput
from lerobot_arena.inference.policies.table import BATCHES, POLICIES, batch_limit
from lerobot_arena.inference.policies.together import infer_together
from lerobot_arena.inference.worker_client import Answer, Question, WorkerClient, WorkerOptions
from lerobot_arena.testing.act_checkpoint import write_act_checkpoint
from lerobot_arena.testing.inference_rig import Rig, frame, joints, session
from lerobot_arena.testing.policy_folders import JOINTS, write_onnx

LEROBOT = [pytest.mark.lerobot, pytest.mark.slow, pytest.mark.timeout(400)]
# In joint units of -100 to 100: a batch multiplies larger matrices, so sums round otherwise.
TOLERANCE = 1e-4
STATE = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


class Adder:
    """A network that adds a session's own number to the state; 13 spoils any batch, 17 only its own preparation."""

    device = "cpu"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def open(self) -> "AdderPolicy":
        return AdderPolicy(self, 0.0)

    def compute(self, prepared: Sequence[float]) -> Sequence[float]:
        self.calls.append(len(prepared))
        if 13.0 in prepared:
            raise ValueError("thirteen is in the batch")
        return [value * 10 for value in prepared]


class AdderPolicy:
    def __init__(self, model: Adder, own: float) -> None:
        self._model, self._own = model, own
        self.stage_ms: Mapping[str, float] = {}

    def reset(self) -> None:
        self._own = 0.0

    def prepare(self, history: Sequence[PolicyInput]) -> float:
        value = float(history[-1].state[0])
        if value == 17.0:
            raise RuntimeError("seventeen cannot be prepared")
        return value

    def finish(self, raw: Any, history: Sequence[PolicyInput], *, network_ms: float) -> FloatArray:
        if raw == 190.0:
            raise PolicyFailed("nineteen cannot be finished")
        return np.full((1, 1), raw + self._own)

    def infer(self, history: Sequence[PolicyInput]) -> FloatArray:
        raise AssertionError("alone is another way")


def ask(model: Adder, *values: float) -> list[Any]:
    turns = [
        (AdderPolicy(model, index), [PolicyInput(np.array([value]))]) for index, value in enumerate(values)
    ]
    return [
        str(answer) if isinstance(answer, Exception) else float(answer[0, 0])
        for answer in infer_together(model, turns)
    ]


def test_one_call_answers_all_and_each_session_its_own() -> None:
    model = Adder()
    assert ask(model, 1.0, 2.0, 3.0) == [10.0, 21.0, 32.0]
    assert model.calls == [3]


@pytest.mark.parametrize(
    ("bad", "said", "calls"),
    [
        (17.0, "seventeen cannot be prepared", [2]),
        (13.0, "thirteen is in the batch", [3, 1, 1, 1]),
        (19.0, "nineteen cannot be finished", [3]),
    ],
)
def test_what_fails_for_one_is_that_ones_answer_only(bad: float, said: str, calls: list[int]) -> None:
    model = Adder()
    assert ask(model, 1.0, bad, 3.0) == [10.0, said, 32.0]
    assert model.calls == calls
    assert ask(Adder(), bad) == [said]


def manifest_of(path: Path) -> PolicyManifest:
    wanted = session("s", str(path), unit="normalized", rate_hz=30.0, joint_names=JOINTS)
    return inspect_policy(str(path), wanted=wanted, robot=None)


def test_only_kinds_of_the_table_take_batches(tmp_path: Path) -> None:
    assert {kind for kind, _ in BATCHES} <= set(POLICIES)
    assert batch_limit(manifest_of(write_onnx(tmp_path / "onnx"))) == 1
    act = PolicyManifest("lerobot", "act", "", JOINTS, "normalized", 30.0)
    assert batch_limit(act) > 1
    assert batch_limit(replace(act, keeps_state=True)) == 1


@pytest.fixture(scope="module")
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_act_checkpoint(tmp_path_factory.mktemp("batch") / "act")


@pytest.fixture(scope="module")
def client(act: Path) -> Iterator[WorkerClient]:
    manifest = manifest_of(act)
    made = WorkerClient(manifest, WorkerOptions(nice=0, threads=1, infer_timeout_s=30.0))
    made.load(manifest)
    yield made
    made.kill()


def seen(seed: int) -> PolicyInput:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
    return PolicyInput(rng.uniform(-50, 50, 6), {"front": picture}, time_s=100.0)


class TestRealAct:
    pytestmark = LEROBOT

    def test_any_number_together_gets_what_each_gets_alone(self, client: WorkerClient) -> None:
        alone = [client.infer(f"alone{i}", [seen(i)]).chunk for i in range(client.seats)]
        assert np.abs(alone[0] - alone[1]).max() > 1.0, "a policy that ignores what it sees shows nothing"
        for count in range(1, client.seats + 1):
            asked = [Question(f"s{i}", [seen(i)]) for i in range(count)]
            for answer, expected in zip(client.infer_together(asked), alone):
                assert isinstance(answer, Answer)
                assert np.abs(answer.chunk - expected).max() <= TOLERANCE

    def test_an_observation_that_is_not_finite_spoils_nobody_elses(self, client: WorkerClient) -> None:
        alone = [client.infer(f"alone{i}", [seen(i)]).chunk for i in range(3)]
        bad = replace(seen(1), state=np.full(6, np.nan))
        asked = [Question("a", [seen(0)]), Question("b", [bad]), Question("c", [seen(2)])]
        good, spoilt, also_good = client.infer_together(asked)
        assert isinstance(good, Answer)
        assert isinstance(also_good, Answer)
        assert np.abs(good.chunk - alone[0]).max() <= TOLERANCE
        assert np.abs(also_good.chunk - alone[2]).max() <= TOLERANCE
        assert isinstance(spoilt, PolicyFailed) or not np.isfinite(spoilt.chunk).all()

    def test_ensembles_of_sessions_stay_apart(self, tmp_path: Path, act: Path) -> None:
        manifest = replace(manifest_of(act), temporal_ensemble_coeff=0.01, n_action_steps=1)
        model = POLICIES.load("lerobot")(manifest, LoadOptions(threads=1))

        def run(at_once: bool) -> list[FloatArray]:
            policies = [model.open(), model.open()]
            found: list[Any] = []
            for step in range(3):
                turns = [
                    (policy, [replace(seen(10 * who + step), time_s=100.0 + step / 30)])
                    for who, policy in enumerate(policies)
                ]
                if at_once:
                    found = infer_together(model, turns)
                else:
                    found = [policy.infer(history) for policy, history in turns]
            return found

        for together, alone in zip(run(True), run(False), strict=True):
            assert np.abs(together - alone).max() <= TOLERANCE

    def test_sessions_of_a_node_are_answered_in_batches(
        self, make_rig: Callable[..., Rig], act: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes: list[int] = []
        real = WorkerClient.infer_together

        def watch(self: WorkerClient, questions: Sequence[Question], **named: Any) -> Any:
            sizes.append(len(questions))
            return real(self, questions, **named)

        monkeypatch.setattr(WorkerClient, "infer_together", watch)
        rig = make_rig(threads=1, infer_timeout_s=30.0, stale_s=60.0)
        names = ("a", "b", "c", "d")
        extra = {"unit": "normalized", "rate_hz": 30.0, "joint_names": JOINTS}
        rig.want(*(session(name, str(act), **extra) for name in names))
        rig.ready(*names)
        for number, name in enumerate(names):
            feed(rig, name, [value * number for value in STATE])
        alone = {name: rig.answer(rig.request(name, reset=True)).actions for name in names}
        found = {name: rig.request(name) for name in names for _ in range(3)}
        for name, sequence in found.items():
            assert np.abs(rig.answer(sequence).actions - alone[name]).max() <= TOLERANCE
        assert max(sizes) > 1, sizes


def feed(rig: Rig, name: str, values: list[float]) -> None:
    found = rig.engine.session(name)
    assert found is not None
    found.take_joints(joints(values))
    found.take_frame("front", time.time_ns(), time.monotonic_ns(), lambda: frame(7, 96))
