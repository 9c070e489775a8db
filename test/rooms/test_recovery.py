# SPDX-License-Identifier: Apache-2.0
"""What watchers see while pictures are missing, and when it begins and ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.rooms.recovery import Loss, RecoveryClock, fit, info_picture, stand_in
from lerobot_arena.rooms.video_config import (
    BLACK,
    FADE,
    FREEZE,
    INFO,
    OVERLAY,
    POLICIES,
    RecoveryConfig,
    VideoConfig,
    recovery_config,
    video_config,
)

WIDTH, HEIGHT = 160, 120
LAST = np.full((HEIGHT, WIDTH, 3), (100, 150, 200), dtype=np.uint8)
CONFIG = RecoveryConfig()


def shown(
    policy: str, lost_s: float = 2.0, config: RecoveryConfig = CONFIG, last: object = LAST
) -> np.ndarray:
    loss = Loss(policy, lost_s, 1, is_new=True)
    return stand_in(loss, last, config, width=WIDTH, height=HEIGHT)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("last", [None, LAST], ids=["never a picture", "had one"])
def test_every_policy_shows_a_picture_of_the_right_size_and_leaves_the_last_one_alone(
    policy: str, last: object
) -> None:
    before = LAST.copy()
    picture = shown(policy, last=last)
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
    assert np.array_equal(LAST, before)
    assert not np.shares_memory(picture, LAST)


def test_the_policies_look_as_they_are_called() -> None:
    middle = (slice(30, 45), slice(5, 20))
    plain = RecoveryConfig(show_hold_indicators=False)
    assert np.array_equal(shown(FREEZE, config=plain), LAST)
    held = shown(FREEZE)
    assert np.array_equal(held[middle], LAST[middle]) and not np.array_equal(held[0], LAST[0])
    assert not shown(BLACK).any()
    assert tuple(shown(INFO)[2, 2]) == CONFIG.info_frame_bg_color
    assert shown(INFO).max() > 120, "there are words in the text colour"
    assert np.allclose(shown(FADE)[middle], LAST[middle] * 0.3, atol=1.5)
    over = 0.7 * LAST[middle] + 0.3 * np.array(CONFIG.info_frame_bg_color)
    assert np.allclose(shown(OVERLAY)[middle], over, atol=1.5)


def test_a_fade_darkens_as_time_goes_by_down_to_its_intensity() -> None:
    means = [float(shown(FADE, lost_s).mean()) for lost_s in (0.1, 0.5, 0.9, 1.0, 5.0)]
    assert means[0] > means[1] > means[2] > means[3] == means[4] > 0


def test_without_any_picture_the_info_picture_stands_in() -> None:
    info = info_picture(2.0, CONFIG, width=WIDTH, height=HEIGHT)
    for policy in (FREEZE, FADE, OVERLAY):
        assert np.array_equal(shown(policy, last=None), info)


def test_the_fallback_comes_after_so_many_reuses_and_each_change_is_told_once() -> None:
    clock = RecoveryClock(CONFIG, 0.0)
    clock.on_frame(1.0)
    told = []
    for step in range(60):
        loss = clock.look(1.0 + step * 0.01)
        if loss is not None and loss.is_new:
            told.append((round(step * 0.01, 2), loss.policy))
    assert [policy for _, policy in told] == [FREEZE, INFO]
    assert [when for when, _ in told] == pytest.approx([0.1, 0.4], abs=0.011)
    clock.on_frame(2.0)
    assert clock.look(2.05) is None
    again = clock.look(2.15)
    assert again is not None and again.is_new and again.policy == FREEZE


def test_a_camera_slower_than_the_timeout_is_not_lost_between_its_frames() -> None:
    clock = RecoveryClock(CONFIG, 0.0)
    for number in range(1, 30):
        clock.on_frame(number * 0.2)
    assert clock.look(29 * 0.2 + 0.21) is None
    assert clock.look(29 * 0.2 + 0.4) is not None


@given(st.lists(st.floats(0.001, 3.0), min_size=1, max_size=40))
def test_a_picture_always_ends_a_loss_and_policies_only_move_on_to_the_fallback(gaps: list[float]) -> None:
    clock = RecoveryClock(RecoveryConfig(fallback_policy=BLACK), 0.0)
    now = 0.0
    for gap in gaps:
        clock.on_frame(now)
        assert clock.look(now) is None
        seen = [loss.policy for part in range(1, 9) if (loss := clock.look(now + gap * part / 8))]
        assert seen == sorted(seen, key=[FREEZE, BLACK].index)
        now += gap


@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 200), st.integers(16, 200))
def test_fitting_keeps_the_aspect_and_pads_with_black(
    rows: int, columns: int, width: int, height: int
) -> None:
    picture = np.full((rows, columns, 3), 255, dtype=np.uint8)
    fitted = fit(picture, width=width, height=height)
    assert fitted.shape == (height, width, 3)
    bright = fitted[:, :, 0] > 0
    inner_height, inner_width = bright.any(axis=1).sum(), bright.any(axis=0).sum()
    assert inner_width == width or inner_height == height
    assert abs(inner_width - columns * min(width / columns, height / rows)) <= 1
    assert bright.sum() == inner_width * inner_height, "one rectangle"


def test_a_config_is_read_with_defaults_merged_and_checked() -> None:
    config = video_config({"encoding": "h264", "resolution": {"width": 320, "height": 240}, "bitrate": None})
    assert config == VideoConfig("h264", 320, 240)
    assert video_config({"framerate": 10.0}, config) == VideoConfig("h264", 320, 240, 10)
    assert video_config(config.to_json()) == config
    assert recovery_config(RecoveryConfig(fade_intensity=0.5).to_json()) == RecoveryConfig(fade_intensity=0.5)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"encoding": "vp9"}, "vp9 cannot be sent by this server: choose vp8, h264 or jpeg"),
        ({"encoding": ["vp8"]}, "encoding"),
        ({"resolution": {"width": 99999, "height": 480}}, "resolution.width"),
        ({"resolution": {"width": 640}}, "resolution"),
        ({"framerate": True}, "framerate"),
        ({"framerate": float("nan")}, "framerate"),
        ({"bitrate": 10}, "bitrate"),
        ({"relay": "sfu"}, "relay"),
        ({"width": 640}, "width"),
    ],
)
def test_an_unusable_config_is_refused_naming_the_field(values: dict[str, object], names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        video_config(values)


@pytest.mark.parametrize(
    "values",
    [
        {"frame_timeout_ms": 5},
        {"recovery_policy": "magic"},
        {"info_frame_bg_color": [1, 2]},
        {"fade_intensity": float("nan")},
        {"show_hold_indicators": "yes"},
        {"surprise": 1},
    ],
)
def test_an_unusable_recovery_config_is_refused_naming_the_field(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(values))):
        recovery_config(values)
