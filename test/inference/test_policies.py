# SPDX-License-Identifier: Apache-2.0
"""Single policies in this process: graph checks, replay by the clock, ensembling, area average."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput, PolicyError
from lerobot_arena.inference.area import area_average, repeat_to
from lerobot_arena.inference.ensemble import TemporalEnsemble
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.onnx_file import check_onnx
from lerobot_arena.inference.policies import onnx_policy, replay_policy
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput
from lerobot_arena.testing.inference_rig import session
from lerobot_arena.testing.policy_folders import SIZE, write_onnx, write_replay


def load_onnx(folder: Path) -> onnx_policy.OnnxModel:
    manifest = inspect_policy(str(folder), wanted=session("s", str(folder)), robot=None)
    return onnx_policy.load(manifest, LoadOptions(threads=1))


def test_a_graph_with_other_inputs_than_its_manifest_is_refused(tmp_path: Path) -> None:
    folder = write_onnx(tmp_path / "onnx")
    manifest = json.loads((folder / "manifest.json").read_text())
    for change in ({"cameras": {"front": {"height": 16, "width": 16}}}, {"cameras": {}}, {"state_names": []}):
        (folder / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(PolicyError, match="but its manifest says"):
            load_onnx(folder)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "chunk_size": 9}))
    with pytest.raises(PolicyError, match=r"one output 'action' of shape \[1, 9, 6\]"):
        load_onnx(folder)


def test_a_graph_answers_in_joint_units(tmp_path: Path) -> None:
    policy = load_onnx(write_onnx(tmp_path / "onnx")).open()
    frame = np.full((SIZE, SIZE, 3), 3, np.uint8)
    chunk = policy.infer([PolicyInput(np.arange(6.0), {"front": frame})])
    assert np.allclose(chunk, np.arange(6.0) + 3)


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    folder = write_onnx(tmp_path / "onnx", ones=[1.0, float("inf")] * 15)
    with pytest.raises(PolicyError, match="weights of 'ones' are not finite"):
        load_onnx(folder)


def test_external_data_must_lie_in_the_folder(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    folder = write_onnx(tmp_path / "onnx")
    graph = folder / "model.onnx"
    model = onnx.load(str(graph))
    (ones,) = [tensor for tensor in model.graph.initializer if tensor.name == "ones"]
    data = np.ones(30, np.float32).tobytes()
    ones.ClearField("float_data")
    ones.raw_data = data
    onnx.external_data_helper.set_external_data(ones, "../weights.data", length=len(data))
    ones.ClearField("raw_data")
    graph.write_bytes(model.SerializeToString())
    (tmp_path / "weights.data").write_bytes(data)
    with pytest.raises(PolicyError, match="lies outside the folder"):
        load_onnx(folder)
    ones.external_data[0].value = "weights.data"
    graph.write_bytes(model.SerializeToString())
    with pytest.raises(PolicyError, match="does not exist"):
        load_onnx(folder)
    (tmp_path / "weights.data").rename(folder / "weights.data")
    assert load_onnx(folder).device == "cpu"


@given(st.binary(max_size=200))
def test_rubbish_is_never_more_than_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "rubbish.onnx"
    path.write_bytes(data)
    try:
        check_onnx(path)
    except PolicyError:
        return


def test_a_replay_follows_the_clock_and_ends_on_its_last_row(tmp_path: Path) -> None:
    rows = [[float(i)] * 6 for i in range(10)]
    path = write_replay(tmp_path / "r.json", actions=rows, fps=10.0)
    manifest = inspect_policy(path, wanted=session("s", path), robot=None)
    policy = replay_policy.load(manifest, LoadOptions()).open()

    def first_column(time_s: float) -> list[float]:
        return [float(v) for v in policy.infer([PolicyInput(np.zeros(6), time_s=time_s)])[:, 0]]

    assert first_column(50.0) == [0, 1, 2, 3, 4]
    assert first_column(50.52) == [5, 6, 7, 8, 9]
    assert first_column(60.0) == [9] * 5
    policy.reset()
    assert first_column(61.0) == [0, 1, 2, 3, 4]


def test_ensembling_equals_the_average_of_all_predictions_for_one_instant() -> None:
    rng = np.random.default_rng(0)
    chunks = rng.normal(size=(6, 4, 2))
    ensemble = TemporalEnsemble(0.1, 0.05)
    for step, chunk in enumerate(chunks):
        found = ensemble.update(chunk, 7.0 + step * 0.05)
        for ahead in range(4):
            said = [chunks[old][step + ahead - old] for old in range(step + 1) if step + ahead - old < 4]
            weights = np.exp(-0.1 * np.arange(len(said)))
            assert np.allclose(found[ahead], np.average(said, axis=0, weights=weights))


def test_ensembling_places_chunks_by_time_not_by_count() -> None:
    ensemble = TemporalEnsemble(0.0, 0.1)
    ensemble.update(np.zeros((4, 1)), 1.0)
    assert ensemble.update(np.ones((4, 1)), 1.2)[:, 0].tolist() == [0.5, 0.5, 1.0, 1.0]
    assert ensemble.update(np.full((4, 1), 9.0), 5.0)[:, 0].tolist() == [9.0] * 4
    ensemble.reset()
    assert ensemble.update(np.ones((4, 1)), 5.0)[:, 0].tolist() == [1.0] * 4


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_area_average_is_the_rounded_mean_and_undoes_repetition(rows: int, columns: int, seed: int) -> None:
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    large = repeat_to(small, 4 * rows, 6 * columns)
    assert np.array_equal(area_average(large, 4, 6), small)
    image = np.random.default_rng(seed).integers(0, 256, (4 * rows, 6 * columns, 3), dtype=np.uint8)
    mean = image.reshape(4, rows, 6, columns, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.abs(area_average(image, 4, 6) - mean).max() <= 0.5


def test_area_average_refuses_broken_blocks() -> None:
    with pytest.raises(InvalidInput, match="640×480 frame has no whole blocks for 96×96"):
        area_average(np.zeros((480, 640, 3), np.uint8), 96, 96)
