# SPDX-License-Identifier: Apache-2.0
"""The benchmark scene: the table of blocks, the MJCF and the GLB are one course."""

import numpy as np
import pytest

from lerobot_arena.platform.training.locomotion import main
from lerobot_arena.platform.training.locomotion_measure import composed
from lerobot_arena.platform.training.locomotion_recipes import MODELS, PARKOUR, PONY
from lerobot_arena.platform.training.locomotion_scene import Block, ground_m, parkour


def _model():
    import mujoco

    return mujoco.MjModel.from_xml_path(str(PARKOUR))


def test_what_is_shipped_is_what_the_command_writes(tmp_path):
    assert main(["scene", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "parkour.xml").read_text() == PARKOUR.read_text()
    shipped, made = MODELS / "parkour" / "parkour.glb", tmp_path / "parkour.glb"
    assert abs(shipped.stat().st_size - made.stat().st_size) < 256, "trimesh writes its version into it"


def test_physics_has_every_block_where_the_table_says():
    model, blocks = _model(), parkour()
    assert model.ngeom == len(blocks)
    for block in blocks:
        geom = model.geom(f"parkour_{block.name}")
        np.testing.assert_allclose(geom.pos, block.centre, atol=1e-5)
        np.testing.assert_allclose(geom.size, block.half, atol=1e-5)


def test_the_glb_is_the_same_course_with_y_up():
    import trimesh

    scene = trimesh.load(MODELS / "parkour" / "parkour.glb", force="scene")
    for kind in {block.kind for block in parkour()}:
        (mesh,) = (mesh for name, mesh in scene.geometry.items() if name.startswith(kind))
        corners = np.concatenate([_corners(block) for block in parkour() if block.kind == kind])
        x, y, z = corners.T
        wanted = np.stack([x, z, -y], axis=1)
        np.testing.assert_allclose(mesh.bounds, [wanted.min(axis=0), wanted.max(axis=0)], atol=1e-5)
        assert mesh.is_winding_consistent and mesh.volume > 0, "faces look outwards"


def _corners(block):
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    local = signs * block.half
    cosine, sine = np.cos(block.pitch), np.sin(block.pitch)
    turned = np.stack(
        [cosine * local[:, 0] + sine * local[:, 2], local[:, 1], cosine * local[:, 2] - sine * local[:, 0]],
        axis=1,
    )
    return turned + block.centre


def test_names_are_one_of_a_kind_and_the_start_is_free():
    blocks = parkour()
    assert len({block.name for block in blocks}) == len(blocks)
    assert min(block.centre[0] - block.half[0] for block in blocks) >= 1.75
    assert ground_m(blocks, 0.0, 0.0, 0.3) == 0


@pytest.mark.parametrize(
    ("x", "height"), [(1.0, 0.0), (2.0, 0.02), (3.0, 0.06), (4.5, 0.02), (6.6, 0.1), (5.0, 0.0)]
)
def test_the_ground_is_as_high_as_the_lane_is_there(x, height):
    assert ground_m(parkour(), x, 0.0, 0.0) == pytest.approx(height, abs=1e-9)
    assert ground_m(parkour(), x, 2.0, 0.0) == 0


def test_a_ramp_joins_floor_and_plateau():
    up = next(block for block in parkour() if block.name == "ramp_up")
    corners = _corners(up)
    upper = corners[np.argsort(corners[:, 2])]
    assert upper[-1, 2] == pytest.approx(0.1, abs=1e-6)
    assert np.isclose(corners, [6.2, up.half[1], 0.1], atol=1e-6).all(axis=1).any()
    assert np.isclose(corners, [5.2, up.half[1], 0.0], atol=1e-6).all(axis=1).any()


def test_a_block_counts_beside_it_by_its_margin():
    block = (Block("b", "step", (0.0, 0.0, 0.5), (1.0, 1.0, 0.5)),)
    assert ground_m(block, 1.1, 0.0, 0.0) == 0
    assert ground_m(block, 1.1, 0.0, 0.2) == 1


def test_a_robot_is_put_into_the_course_without_touching_its_folder():
    import mujoco

    before = sorted(PONY.parent.iterdir())
    with composed(PONY, PARKOUR) as whole:
        model = mujoco.MjModel.from_xml_path(str(whole))
    assert model.nkey == 1 and model.nu == 12
    assert mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, "parkour_plateau") >= 0
    assert sorted(PONY.parent.iterdir()) == before
