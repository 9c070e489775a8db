# SPDX-License-Identifier: Apache-2.0
"""What may be published, and `arena validate` over folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("onnx")
import trimesh

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import contract
from lerobot_arena.platform.catalog.adapters import ONNX_METADATA, UNITREE_VELOCITY
from lerobot_arena.platform.catalog.checks import Bundle, Checks
from lerobot_arena.platform.catalog.limits import GlbLimits, Limits, OnnxLimits, RunLimits, ZipLimits
from lerobot_arena.platform.catalog.validate import Level, is_publishable, validate_folder
from lerobot_arena.testing.catalog_files import (
    WHEELS,
    cart_deploy,
    cart_metadata,
    cart_policy,
    cart_weights,
    cart_xml,
    deploy_onnx,
    glb_bytes,
    linear_onnx,
    robot_zip,
    triangle_document,
)

CHECKS = Checks()


def put(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_a_policy_with_its_own_metadata_is_run_on_its_robot(tmp_path: Path) -> None:
    model, archive = put(tmp_path, "p.onnx", cart_policy()), put(tmp_path, "r.zip", robot_zip())
    facts = CHECKS.policy(model, ONNX_METADATA, robot=Bundle(archive))
    assert facts.control_spec.joint_names == WHEELS and facts.nodes == 1 and facts.parameters == 36
    assert facts.robot is not None and facts.robot.entry == "robot.xml" and facts.robot.has_free_joint
    assert facts.run is not None and facts.run.seconds == pytest.approx(2.0) and not facts.run.fell
    assert facts.run.distance_m > 0.05 and facts.run.real_time_factor > 0


def test_a_policy_with_a_deploy_yaml(tmp_path: Path) -> None:
    model, archive = put(tmp_path, "p.onnx", deploy_onnx()), put(tmp_path, "r.zip", robot_zip())
    facts = CHECKS.policy(model, UNITREE_VELOCITY, json.dumps(cart_deploy()), robot=Bundle(archive))
    assert facts.run is not None and facts.run.distance_m > 0.05
    assert facts.config is not None and facts.config["step_dt"] == 0.02, "as the manifest shows it"


def test_names_of_the_networks_ports_are_its_own(tmp_path: Path) -> None:
    data = linear_onnx(cart_weights(), cart_metadata(), input_name="onnx::in/0", output_name="mu")
    spec = CHECKS.policy(put(tmp_path, "p.onnx", data), ONNX_METADATA).control_spec
    assert (spec.input_name, spec.output_name) == ("onnx::in/0", "mu")


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        (
            cart_xml().replace("left_wheel", "paw"),
            "no hinge or slide called left_wheel; it has paw, right_wheel",
        ),
        (cart_xml(actuators="mixed"), "position actuator"),
        (cart_xml().replace("<freejoint", "<site"), "no free joint"),
        (cart_xml().replace('timestep="0.005"', 'timestep="0.00001"'), "100 is the limit"),
    ],
)
def test_a_policy_that_does_not_fit_its_robot_is_told_why(xml: str, says: str, tmp_path: Path) -> None:
    model, archive = put(tmp_path, "p.onnx", cart_policy()), put(tmp_path, "r.zip", robot_zip(xml))
    with pytest.raises(InvalidInput, match=says):
        CHECKS.policy(model, ONNX_METADATA, robot=Bundle(archive))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (cart_policy(joint_stiffness="1e8,1e8", default_joint_pos="1e8,-1e8"), "diverges"),
        (linear_onnx(cart_weights() * np.float32(1e38), cart_metadata()), "diverges|not finite"),
    ],
)
def test_a_run_that_does_not_stay_finite_is_refused(data: bytes, says: str, tmp_path: Path) -> None:
    archive = put(tmp_path, "r.zip", robot_zip())
    with pytest.raises(InvalidInput, match=f"2 s run on the robot fails.*({says})"):
        CHECKS.policy(put(tmp_path, "p.onnx", data), ONNX_METADATA, robot=Bundle(archive))


def test_a_run_has_only_so_much_time(tmp_path: Path) -> None:
    model, archive = put(tmp_path, "p.onnx", cart_policy()), put(tmp_path, "r.zip", robot_zip())
    checks = Checks(Limits(run=RunLimits(seconds=1000.0, wall_s=0.2)))
    with pytest.raises(InvalidInput, match=r"took 0\.2 s to simulate"):
        checks.policy(model, ONNX_METADATA, robot=Bundle(archive))


def test_what_is_too_large_costs_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path, "x", b"12345678901")
    small = Limits(zip=ZipLimits(file_bytes=10), onnx=OnnxLimits(file_bytes=10), glb=GlbLimits(file_bytes=10))
    checks = Checks(small, sandbox=None)
    monkeypatch.setattr(checks, "_sandbox", None)
    for ask in (
        lambda: checks.network(file), lambda: checks.scene(file), lambda: checks.robot(Bundle(file)),
        lambda: checks.policy(file, ONNX_METADATA),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match="10 is the limit"):
            ask()


def test_an_adapter_has_to_be_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"runtimeAdapter.*Did you mean 'onnx_metadata_v1'"):
        CHECKS.policy(tmp_path / "none", "onnx_metadata_v2")


def test_a_scene_of_trimesh_is_good(tmp_path: Path) -> None:
    made = trimesh.Scene()
    for index in range(3):
        made.add_geometry(
            trimesh.creation.box(
                (1, 2, 3), transform=trimesh.transformations.translation_matrix([index, 0, 0])
            )
        )
    facts = CHECKS.scene(put(tmp_path, "s.glb", trimesh.exchange.gltf.export_glb(made)))
    assert facts.triangles == 36 and facts.meshes == 3
    assert facts.lower == pytest.approx((-0.5, -1, -1.5)) and facts.upper == pytest.approx((2.5, 1, 1.5))


def test_instances_of_a_mesh_count_each(tmp_path: Path) -> None:
    document, binary = triangle_document()
    document.update(nodes=[{"mesh": 0}, {"mesh": 0}, {"children": [0, 1]}], scenes=[{"nodes": [2]}])
    assert CHECKS.scene(put(tmp_path, "s.glb", glb_bytes(document, binary))).triangles == 2


# ---- folders ----

POLICY: dict[str, Any] = {
    "schema": 1,
    "kind": "policy",
    "slug": "cart",
    "title": "A cart",
    "runtime_adapter": ONNX_METADATA,
    "model": "policy.onnx",
    "default_robot": "me/cart",
}
ROBOT = {"kind": "robot", "slug": "cart", "title": "Cart", "robot_key": "me/cart", "bundle": "robot"}
SCENE = {"kind": "scene", "glb": "scene.glb", "transform": {"position": [0, 0, 1]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy, a robot and a scene, all good."""
    (tmp_path / "robot").mkdir()
    (tmp_path / "robot" / "robot.xml").write_text(cart_xml())
    put(tmp_path, "policy.onnx", cart_policy())
    put(tmp_path, "scene.glb", glb_bytes(*triangle_document()))
    for name, value in (("policy", POLICY), ("robot", ROBOT), ("scene", SCENE)):
        write(tmp_path, name, value)
    return tmp_path


def write(folder: Path, name: str, value: Any) -> None:
    (folder / f"{name}.yaml").write_text(json.dumps(value))


def test_a_good_folder(folder: Path) -> None:
    findings = validate_folder(folder, CHECKS)
    assert is_publishable(findings), findings
    assert {finding.level for finding in findings} == {Level.OK}
    told = " ".join(finding.what for finding in findings)
    for part in ("2 joints, a free base", "18 observations", "2 s on the robot", "1 triangles"):
        assert part in told
    assert all(json.dumps(finding.as_json()) for finding in findings)


def test_a_robot_may_be_a_zip_and_a_config_a_file(folder: Path) -> None:
    (folder / "scene.yaml").unlink()
    put(folder, "cart.zip", robot_zip())
    shutil.rmtree(folder / "robot")
    write(folder, "robot", {**ROBOT, "bundle": "cart.zip"})
    put(folder, "policy.onnx", deploy_onnx())
    put(folder, "deploy.yaml", json.dumps(cart_deploy()).encode())
    write(folder, "policy", {**POLICY, "runtime_adapter": UNITREE_VELOCITY, "config": "deploy.yaml"})
    assert is_publishable(validate_folder(folder, CHECKS))
    write(folder, "policy", {**POLICY, "runtime_adapter": UNITREE_VELOCITY, "config": cart_deploy()})
    assert is_publishable(validate_folder(folder, CHECKS))


def test_a_policy_without_a_robot_is_not_run(folder: Path) -> None:
    (folder / "scene.yaml").unlink()
    (folder / "robot.yaml").unlink()
    levels = [finding.level for finding in validate_folder(folder, CHECKS) if finding.file == "policy.yaml"]
    assert levels == [Level.OK, Level.WARNING]


def test_a_policy_may_be_run_on_a_robot_from_elsewhere(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("policy.yaml", "policy.onnx"):
        (folder / name).rename(alone / name)
    told = [finding.what for finding in validate_folder(alone, CHECKS, robot=folder)]
    assert "2 s on the robot" in told[-1]
    with pytest.raises(InvalidInput, match=r"no robot\.yaml"):
        validate_folder(alone, CHECKS, robot=alone)


def test_a_robot_that_falls_is_a_warning(folder: Path) -> None:
    (folder / "scene.yaml").unlink()
    put(folder, "policy.onnx", cart_policy(fell='{"min_height": 1.0}'))
    findings = validate_folder(folder, CHECKS)
    assert is_publishable(findings), findings
    assert any("falls" in finding.what and finding.level == Level.WARNING for finding in findings)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("policy", {"model": "gone.onnx"}, "There is no gone.onnx"),
        ("policy", {"model": "link.onnx"}, "leads out"),
        ("policy", {"kind": "robot"}, "missing keys robot_key, bundle"),
        ("policy", {"depth_model": "scene.glb"}, "no ONNX"),
        ("policy", {"config": {"control_dt": "fast"}}, "control_dt"),
        ("robot", {"entry_xml": "other.xml"}, "entryXmlPath"),
        ("robot", {"bundle": "policy.onnx"}, "zip"),
        ("scene", {"glb": "policy.onnx"}, "no GLB"),
        ("scene", {"preview": "gone.png"}, "There is no gone.png"),
        ("scene", {"preview": "scene.glb"}, "PNG or JPEG"),
        ("scene", {"description": "a" * 10_001}, "description"),
        ("scene", {"transform": {"scale": [0, 1, 1]}}, "scale must be positive"),
        ("scene", {"benchmark_scene": "parkour"}, "owner/slug"),
    ],
)
def test_what_is_wrong_with_a_folder_is_an_error(
    folder: Path, name: str, change: dict[str, Any], says: str
) -> None:
    for other in {"policy", "robot", "scene"} - {name}:
        (folder / f"{other}.yaml").unlink()
    (folder / "link.onnx").symlink_to("/etc/passwd")
    write(folder, name, {**{"policy": POLICY, "robot": ROBOT, "scene": SCENE}[name], **change})
    findings = validate_folder(folder, CHECKS)
    errors = [finding for finding in findings if finding.level == Level.ERROR]
    assert not is_publishable(findings)
    assert any(finding.file == f"{name}.yaml" and says in finding.what for finding in errors), findings


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (finding,) = validate_folder(tmp_path, CHECKS)
    assert finding.level == Level.ERROR and "policy.yaml, robot.yaml, scene.yaml" in finding.what


@pytest.mark.parametrize("value", [POLICY, ROBOT, SCENE], ids=["policy", "robot", "scene"])
def test_a_contract_file_is_what_it_was_after_json(value: dict[str, Any]) -> None:
    read = contract.of(value, "x")
    assert contract.of(json.loads(json.dumps(read.to_json())), "x") == read
