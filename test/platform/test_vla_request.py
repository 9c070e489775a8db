# SPDX-License-Identifier: Apache-2.0
"""Requests to policies that read a task, and the pictures in them, good and bad."""

import base64
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.inference.manifest import CameraInput, PolicyManifest
from lerobot_arena.platform.deployments.picture_child import MOST_BYTES
from lerobot_arena.platform.deployments.pictures import Pictures, open_pictures
from lerobot_arena.platform.deployments.vla_request import answer, read_request

cv2 = pytest.importorskip("cv2")

MANIFEST = PolicyManifest(
    kind="lerobot",
    policy_type="pi0",
    path="",
    joint_names=("pan", "gripper"),
    state_names=("gripper", "pan"),
    unit="normalized",
    fps=25.0,
    cameras=(CameraInput("front", "observation.images.front", 8, 12, 8, 12),),
)
GOOD: dict[str, Any] = {"task": "pick", "state": [1.0, 2.0], "images": {"front": "x"}}


def picture(height: int = 8, width: int = 12, kind: str = ".png") -> str:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 200  # red, as a client has it
    return encoded(cv2.imencode(kind, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes())


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_state_by_name_comes_in_the_policy_s_order() -> None:
    assert list(read_request(GOOD, MANIFEST).state) == [1.0, 2.0]
    named = read_request({**GOOD, "state": {"pan": 5, "gripper": -3}}, MANIFEST)
    assert list(named.state) == [-3.0, 5.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": " "}, "task"),
        ({"task": 3}, "task"),
        ({"task": "x" * 2001}, "task"),
        ({"task": "\ud800"}, "Unicode"),
        ({"state": [1.0]}, "gripper, pan"),
        ({"state": None}, "state"),
        ({"state": {"pan": 1.0}}, "gripper"),
        ({"state": {"pan": 1.0, "gripper": 1.0, "tail": 2.0}}, "tail"),
        ({"state": [float("nan"), 1.0]}, "finite"),
        ({"state": [10**400, 1.0]}, "finite"),
        ({"state": [True, 1.0]}, "finite"),
        ({"images": {}}, "front"),
        ({"images": {"front": "x", "back": "x"}}, "back"),
        ({"images": {"front": 3}}, "base64"),
        ({"images": []}, "images"),
        ({"speed": 3}, "speed"),
    ],
)
def test_a_bad_request_names_what_is_wrong(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_request({**GOOD, **change}, MANIFEST)


def test_an_answer_says_what_its_numbers_mean() -> None:
    told = answer(np.asarray([[1.0, 2.0], [3.0, 4.0]]), MANIFEST, 12.3456)
    assert told == {
        "actions": [[1.0, 2.0], [3.0, 4.0]],
        "joint_names": ["pan", "gripper"],
        "unit": "normalized",
        "dt_s": 0.04,
        "inference_ms": 12.346,
    }


@pytest.fixture
async def pictures() -> AsyncIterator[Pictures]:
    made = await open_pictures({"front": (8, 12), "wrist": (4, 4)})
    yield made
    await made.close()


async def test_pictures_are_decoded_elsewhere_and_bad_ones_cost_nothing(pictures: Pictures) -> None:
    good = {"front": picture(), "wrist": picture(4, 4, ".jpg")}
    frames = await pictures.decode(good)
    assert frames["front"].shape == (8, 12, 3) and tuple(frames["front"][0, 0]) == (200, 0, 0)
    assert frames["wrist"].shape == (4, 4, 3) and frames["wrist"][0, 0, 0] > 150
    whole = base64.b64decode(picture())
    for bad, said in (
        ("no base64!", "base64"),
        (encoded(b"GIF89a" + bytes(50)), "neither"),
        (encoded(whole[:40]), "damaged"),
        (
            encoded(whole[:16] + b"\x00\x01\x00\x00" * 2 + whole[24:]),
            "damaged",
        ),  # says that it is 65536 × 65536
        (picture(9, 12), "12×9"),
        (encoded(whole + bytes(MOST_BYTES)), "at most"),
    ):
        with pytest.raises(InvalidInput, match=said):
            await pictures.decode({**good, "front": bad})
    assert (await pictures.decode(good))["front"].shape == (8, 12, 3)


async def test_a_process_that_is_gone_is_said(pictures: Pictures) -> None:
    os.killpg(pictures._child._process.pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="ended"):
        await pictures.decode({"front": picture(), "wrist": picture(4, 4)})
    assert not pictures.is_alive
    await pictures.close()
    assert not pictures._child._folder.exists()
