# SPDX-License-Identifier: Apache-2.0
"""A policy that does not fit is refused before anything is loaded, and the message names the difference."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.errors import ArenaError, PolicyError
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.testing.inference_rig import session
from lerobot_arena.testing.policy_folders import JOINTS, SIZE, CheckpointFolder, write_onnx, write_replay

TOLD: dict[str, Any] = {"unit": "normalized", "rate_hz": 30.0, "joint_names": JOINTS}


def inspect(path: Path | str, robot: RobotSpec | None = None, **changes: Any) -> PolicyManifest:
    wanted: SessionWanted = session("s", str(path), **{**TOLD, **changes})
    return inspect_policy(str(path), wanted=wanted, robot=robot)


def small_robot(**changes: Any) -> RobotSpec:
    robot = load_robot("so101")
    cameras = tuple(replace(camera, width=SIZE, height=SIZE) for camera in robot.cameras)
    return replace(robot, cameras=cameras, **changes)


def test_a_checkpoint_that_fits(checkpoint: CheckpointFolder) -> None:
    manifest = inspect(checkpoint.write(), small_robot())
    assert (manifest.kind, manifest.policy_type) == ("lerobot", "act")
    assert (manifest.chunk_size, manifest.n_action_steps, manifest.n_obs_steps) == (10, 5, 1)
    (camera,) = manifest.cameras
    assert (camera.name, camera.key) == ("front", "observation.images.front")
    assert (camera.height, camera.width, camera.trained_height) == (SIZE, SIZE, SIZE)
    assert manifest.joint_names == manifest.state_names == JOINTS
    assert manifest.sources == ("joint_names: session", "unit: session", "fps: session")
    assert not manifest.keeps_state
    assert PolicyManifest.from_json(manifest.to_json()) == manifest


def test_it_needs_no_torch(checkpoint: CheckpointFolder) -> None:
    program = (
        "import sys; from lerobot_arena.inference.inspect import inspect_policy;"
        "from lerobot_arena.testing.inference_rig import session;"
        f"p={str(checkpoint.write())!r};"
        f"inspect_policy(p, wanted=session('s', p, unit='degrees', rate_hz=30.0, joint_names={JOINTS}), robot=None);"
        "print([m for m in ('torch', 'lerobot', 'onnxruntime', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


Change = Callable[[CheckpointFolder], object]


def drop_step(folder: CheckpointFolder) -> None:
    del folder.before[1]


def class_step(folder: CheckpointFolder) -> None:
    folder.before.append({"class": "os.system", "config": {}})


def unlisted(folder: CheckpointFolder) -> None:
    del folder.before[1]["config"]["features"]["observation.images.front"]  # type: ignore[index, attr-defined]


def outside(folder: CheckpointFolder) -> None:
    folder.before[1]["state_file"] = "../../etc/passwd"


def mode(folder: CheckpointFolder, value: str) -> None:
    folder.before[1]["config"]["norm_map"]["STATE"] = value  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.stats["observation.state"].pop("std"), "'observation.state' lacks std"),
        (lambda f: f.stats.pop("observation.images.front"), "'observation.images.front' lacks mean, std"),
        (lambda f: f.stats.pop("action"), "unnormalizer_processor of 'action' lacks mean, std"),
        (lambda f: f.stats["action"].update(mean=np.full(6, np.nan)), "statistics are not finite"),
        (unlisted, "does not list 'observation.images.front'"),
        (lambda f: mode(f, "IDENTITY"), "leaves it as it is"),
        (lambda f: mode(f, "MAGIC"), "'MAGIC', which LeRobot does not know"),
        (drop_step, "has no normalizer_processor step"),
        (class_step, "wants to import 'os.system'"),
        (outside, "lies outside the folder"),
        (
            lambda f: f.weights.update({"normalize_inputs.buffer.mean": np.zeros(3)}),
            "migrate_policy_normalization",
        ),
        (lambda f: f.config.update(type=None), "names no policy type"),
        (lambda f: f.config.update(use_peft=True), "PEFT adapter"),
        (lambda f: f.config["output_features"].clear(), "declares no 'action' output"),
        (
            lambda f: f.config["input_features"].update(
                {"observation.environment_state": {"type": "ENV", "shape": [3]}}
            ),
            "needs 'observation.environment_state'",
        ),
        (
            lambda f: f.config["input_features"]["observation.state"].update(shape=[14]),
            "state has 14 values",
        ),
        (
            lambda f: f.config["output_features"]["action"].update(shape=[7]),
            "names 6 joints .* but the policy has 7 actions",
        ),
    ],
)
def test_a_broken_checkpoint_is_refused_by_name(
    checkpoint: CheckpointFolder, change: Change, message: str
) -> None:
    change(checkpoint)
    with pytest.raises(PolicyError, match=message):
        inspect(checkpoint.write())


@pytest.mark.parametrize("name", ["model.bin", "pytorch_model.bin", "weights.pt", "extra.PKL", "state.ckpt"])
def test_pickled_files_are_refused(checkpoint: CheckpointFolder, name: str) -> None:
    (checkpoint.write() / name).write_bytes(b"")
    with pytest.raises(PolicyError, match="pickled files are never read"):
        inspect(checkpoint.path)


def test_weights_must_be_whole_safetensors(checkpoint: CheckpointFolder) -> None:
    weights = checkpoint.write() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(PolicyError, match="copy it again"):
        inspect(checkpoint.path)
    weights.write_bytes(b"\x80\x04rubbish" * 9)
    with pytest.raises(PolicyError, match="no safetensors file"):
        inspect(checkpoint.path)
    weights.unlink()
    with pytest.raises(PolicyError, match="only safetensors"):
        inspect(checkpoint.path)


@pytest.mark.parametrize("name", ["config.json", "policy_preprocessor.json", "policy_postprocessor.json"])
def test_json_that_is_none_is_named(checkpoint: CheckpointFolder, name: str) -> None:
    (checkpoint.write() / name).write_text("{")
    with pytest.raises(PolicyError, match=name):
        inspect(checkpoint.path)


def test_cameras_that_the_session_lacks_are_named(checkpoint: CheckpointFolder) -> None:
    with pytest.raises(PolicyError, match=r"needs the cameras front; the session has top. Missing .* front"):
        inspect(checkpoint.write(), camera_names=("top",))
    manifest = inspect(checkpoint.path, camera_names=("front", "top"))
    assert "camera top: not used by the policy" in manifest.sources


def test_a_renamed_camera_is_asked_for_by_its_own_name(checkpoint: CheckpointFolder) -> None:
    checkpoint.before[0]["config"] = {"rename_map": {"observation.images.top": "observation.images.front"}}
    manifest = inspect(checkpoint.write(), camera_names=("top",))
    assert manifest.cameras[0].key == "observation.images.top"


def test_the_robots_camera_must_have_the_policys_size(checkpoint: CheckpointFolder) -> None:
    with pytest.raises(PolicyError, match="gives 640×480 frames; the policy takes 32×32"):
        inspect(checkpoint.write(), load_robot("so101"))


def test_the_robots_joints_must_be_the_policys(checkpoint: CheckpointFolder) -> None:
    with pytest.raises(ArenaError, match="unknown elbow; missing elbow_flex"):
        inspect(checkpoint.write(), small_robot(), joint_names=("elbow", *JOINTS[:2], *JOINTS[3:]))
    order = (*JOINTS[1:], JOINTS[0])
    assert inspect(checkpoint.path, small_robot(), joint_names=order).joint_names == order


def test_an_uncalibrated_robot_takes_radians_only(checkpoint: CheckpointFolder) -> None:
    robot = small_robot(is_calibrated=False)
    with pytest.raises(ArenaError, match="has no calibration"):
        inspect(checkpoint.write(), robot)
    checkpoint.stats["observation.state"] = checkpoint.stats["action"] = {
        "mean": np.zeros(6),
        "std": np.ones(6),
    }
    assert inspect(checkpoint.write(), robot, unit="radians").unit == "radians"


@pytest.mark.parametrize(
    ("unit", "reach", "message"),
    [
        ("normalized", 172.0, "reaches 172"),
        ("radians", 90.0, "reaches 90"),
        ("degrees", 2.5, "looks like radians"),
    ],
)
def test_a_unit_that_the_training_data_contradicts(
    checkpoint: CheckpointFolder, unit: str, reach: float, message: str
) -> None:
    extremes = {"min": np.full(6, -reach), "max": np.full(6, reach)}
    for key in ("observation.state", "action"):
        checkpoint.stats[key].update(extremes)
    with pytest.raises(PolicyError, match=message):
        inspect(checkpoint.write(), unit=unit)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("joint_names", "set joint_names"), ("unit", "set unit"), ("rate_hz", "set rate_hz")],
)
def test_what_nothing_tells_is_refused_naming_the_field(
    checkpoint: CheckpointFolder, missing: str, message: str
) -> None:
    empty = {"joint_names": (), "unit": "", "rate_hz": 0.0}[missing]
    with pytest.raises(PolicyError, match=message):
        inspect(checkpoint.write(), **{missing: empty})


def write_info(path: Path, **changes: Any) -> None:
    names = [f"{name}.pos" for name in reversed(JOINTS)]
    features = {
        "action": {"names": names},
        "observation.state": {"names": [f"{name}.pos" for name in JOINTS]},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"fps": 15, "features": features, **changes}))


def test_session_before_manifest_before_dataset_before_robot(
    checkpoint: CheckpointFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint.write()
    untold: dict[str, Any] = {"joint_names": (), "rate_hz": 0.0, "unit": "degrees"}
    with pytest.raises(PolicyError, match="rate_hz"):
        inspect(folder, small_robot(), **untold)
    # named in train_config.json, in LeRobot's own data folder
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path / "lerobot"))
    (folder / "train_config.json").write_text(json.dumps({"dataset": {"repo_id": "me/data", "root": None}}))
    write_info(tmp_path / "lerobot/me/data/meta/info.json")
    manifest = inspect(folder, small_robot(), **untold)
    assert (manifest.fps, manifest.joint_names) == (15.0, tuple(reversed(JOINTS)))
    assert manifest.state_names == JOINTS, "state and actions may be in different orders"
    assert set(manifest.sources) >= {"joint_names: dataset", "fps: dataset", "unit: session"}
    # beside the checkpoint comes first
    write_info(folder / "meta/info.json", fps=20)
    assert inspect(folder, small_robot(), **untold).fps == 20.0
    own = {"format": "lerobot_arena.policy/1", "fps": 25, "unit": "normalized", "joint_names": list(JOINTS)}
    (folder / "manifest.json").write_text(json.dumps(own))
    manifest = inspect(folder, small_robot(), joint_names=(), rate_hz=0.0, unit="")
    assert (manifest.fps, manifest.unit, manifest.joint_names) == (25.0, "normalized", JOINTS)
    assert manifest.sources == ("joint_names: manifest", "unit: manifest", "fps: manifest")
    assert inspect(folder, small_robot(), rate_hz=50.0).fps == 50.0


def test_the_robot_names_the_joints_when_nobody_else_does(checkpoint: CheckpointFolder) -> None:
    manifest = inspect(checkpoint.write(), small_robot(), joint_names=())
    assert manifest.joint_names == JOINTS
    assert "joint_names: robot file" in manifest.sources


@pytest.mark.parametrize(
    "dataset",
    [
        *({"repo_id": name} for name in ("../../etc", "/etc/passwd/..", 5, "a/b/c")),
        *({"root": place} for place in ("~nosuchuser/x", "/" + "a" * 5000, "/etc/passwd", "a\0b", 5)),
    ],
)
def test_a_train_config_names_no_odd_places(checkpoint: CheckpointFolder, dataset: dict[str, Any]) -> None:
    folder = checkpoint.write()
    (folder / "train_config.json").write_text(json.dumps({"dataset": dataset}))
    assert inspect(folder).fps == 30.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": "other/1"}, "format is 'other/1'"),
        ({"speed": 3}, "unknown key 'speed'"),
        ({"unit": "grads"}, "unit cannot be 'grads'"),
        ({"fps": "30"}, "fps cannot be '30'"),
        ({"joint_names": []}, "joint_names cannot be"),
        ({"cameras": {"front": {"height": 1, "width": 1}}}, "disagree about camera 'front'"),
    ],
)
def test_a_manifest_that_makes_no_sense(
    checkpoint: CheckpointFolder, content: dict[str, Any], message: str
) -> None:
    folder = checkpoint.write()
    (folder / "manifest.json").write_text(json.dumps({"format": "lerobot_arena.policy/1", **content}))
    with pytest.raises(PolicyError, match=message):
        inspect(folder)


@pytest.mark.parametrize(
    ("config", "keeps_state", "takes_task"),
    [
        ({"type": "diffusion", "horizon": 16, "n_action_steps": 8, "n_obs_steps": 2}, True, False),
        ({"type": "smolvla", "chunk_size": 50, "n_action_steps": 50}, False, True),
        ({"type": "somebody_elses"}, True, False),
    ],
)
def test_other_policy_types(
    checkpoint: CheckpointFolder, config: dict[str, Any], keeps_state: bool, takes_task: bool
) -> None:
    checkpoint.config.update(config)
    folder = checkpoint.write()
    if takes_task:
        with pytest.raises(PolicyError, match="set language_instruction"):
            inspect(folder)
    manifest = inspect(folder, language_instruction="pick the cube")
    assert (manifest.keeps_state, manifest.takes_task) == (keeps_state, takes_task)
    assert manifest.n_obs_steps == config.get("n_obs_steps", 1)
    assert manifest.chunk_size == {"diffusion": 8, "smolvla": 50}.get(config["type"], 10)


def test_the_sessions_policy_type_must_be_the_checkpoints(checkpoint: CheckpointFolder) -> None:
    with pytest.raises(PolicyError, match=r"asks for policy_type 'pi0', but .* is 'act'"):
        inspect(checkpoint.write(), policy_type="pi0")
    assert inspect(checkpoint.path, policy_type="act").policy_type == "act"


def test_places_that_hold_no_policy(tmp_path: Path, checkpoint: CheckpointFolder) -> None:
    with pytest.raises(PolicyError, match="does not exist"):
        inspect(tmp_path / "nowhere")
    with pytest.raises(PolicyError, match="is no policy"):
        inspect(tmp_path)
    checkpoint.write().rename(tmp_path / "pretrained_model")
    with pytest.raises(PolicyError, match=r"use .*pretrained_model as policy_path"):
        inspect(tmp_path)


def test_an_export_needs_its_manifest(tmp_path: Path) -> None:
    folder = write_onnx(tmp_path / "onnx")
    assert inspect(folder).kind == "onnx"
    (folder / "manifest.json").unlink()
    with pytest.raises(PolicyError, match=r"has no manifest\.json"):
        inspect(folder)


def test_an_exports_graph_must_lie_in_its_folder(tmp_path: Path) -> None:
    folder = write_onnx(tmp_path / "onnx", weights="../model.onnx")
    with pytest.raises(PolicyError, match="lies outside the folder"):
        inspect(folder)


def test_replay_and_hold(tmp_path: Path) -> None:
    path = write_replay(tmp_path / "r.json", actions=[[0.0] * 6] * 3)
    assert inspect(path, camera_names=()).kind == "replay"
    with pytest.raises(PolicyError, match="finite"):
        inspect(write_replay(tmp_path / "nan.json", actions=[[float("nan")] * 6]))
    assert inspect("hold", unit="").unit == "normalized"
    assert inspect("hold", small_robot(), unit="").unit == "radians"


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def spoil(data: Any, path: list[int], value: Any) -> None:
    """Put `value` somewhere into nested JSON."""
    while True:
        keys = list(data) if isinstance(data, dict) else range(len(data))
        key = keys[path[0] % len(keys)]
        path = path[1:]
        if not path or not isinstance(data[key], dict | list) or not data[key]:
            data[key] = value
            return
        data = data[key]


@given(
    st.sampled_from(["config", "before", "after"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    anything,
)
@settings(max_examples=200, deadline=None)
def test_json_of_any_shape_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, part: str, path: list[int], value: Any
) -> None:
    folder = CheckpointFolder(tmp_path_factory.mktemp("spoilt") / "checkpoint")
    spoil(getattr(folder, part), path, value)
    try:
        inspect(folder.write())
    except ArenaError:
        return
