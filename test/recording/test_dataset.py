# SPDX-License-Identifier: Apache-2.0
"""Recordings as datasets: each frame holds exactly what the policy saw live, and LeRobot loads it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.core.verdict import Decision
from lerobot_arena.inference.manifest import CameraInput, PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.session import Session
from lerobot_arena.inference.sync import Miss, SyncRules
from lerobot_arena.recording.moments import Moment, Player, View, session_of
from lerobot_arena.recording.reader import open_recording
from lerobot_arena.testing.recordings import (
    BEGIN_NS,
    OWN,
    PERIOD_NS,
    Writer,
    cycles,
    joint_state,
    message_of,
    picture,
)

P = Decision.PASS
ROBOT = load_robot("so101")
FPS = 20
RULES = SyncRules(shares_clock=True)
WANTED = SessionWanted("s", "arm", "demo", camera_names=("front",), language_instruction="pick it up")


@pytest.fixture
def view(tmp_path: Path) -> View:
    manifest = PolicyManifest(
        "hold", "hold", str(tmp_path / "nowhere"), ROBOT.joint_names[::-1], "normalized", FPS,
        cameras=(CameraInput("front", "observation.images.front", 24, 32, 24, 32),), state_names=ROBOT.joint_names,
    )  # fmt: skip
    return View(manifest, ROBOT, WANTED, RULES)


def pixels(number: int) -> Any:
    return np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)


Event = tuple[int, str, Any]


def run(epoch: int, begin_ns: int, count: int = 100) -> Iterator[Event]:
    """(receipt, kind, value) of two seconds of an arm: joints and pictures arrive late and unevenly."""
    random = np.random.default_rng(epoch)
    for number, record in enumerate(cycles([P] * count, begin_ns=begin_ns)):
        now_ns = begin_ns + number * PERIOD_NS
        executed = record.executed if number >= 10 else ()
        yield now_ns, "cycle", replace(record, epoch=epoch, executed=executed, joint_names=ROBOT.joint_names)
        sample = JointSample(ROBOT.joint_names, np.array(record.measured), "radians", now_ns - 1_000_000, 0)
        yield now_ns + int(random.integers(1, 9_000_000)), "joints", sample
        if number % 2:
            captured_ns = now_ns - 12_000_000
            yield (
                now_ns + int(random.integers(9_000_001, 19_000_000)),
                "picture",
                (captured_ns, epoch * 1000 + number),
            )


def recorded(path: Path, events: list[Event]) -> Path:
    writer = Writer(path, {"arm": "arm", "prompt": "from the record"})
    for now_ns, kind, value in sorted(events, key=lambda event: event[0]):
        if kind == "cycle":
            writer.add_cycle(value, now_ns)
        elif kind == "joints":
            writer.add("/arm/joint_states", "sensor_msgs/msg/JointState", joint_state(value), now_ns)
        elif kind == "wanted":
            writer.add("/arena/wanted", f"{OWN}/SessionsWanted", value, now_ns)
        else:
            captured_ns, number = value
            writer.add("/arm/dam/images/front", *picture(pixels(number), captured_ns), now_ns)
    writer.end()
    return path


def seen_live(view: View, events: list[Event], at: list[int]) -> dict[int, PolicyInput]:
    """What a live session gives its policy at these times, as the messages arrive."""
    clock = ManualClock(now_ns=0, wall_offset_ns=0)
    session = Session(view.wanted, clock=clock, publish=lambda chunk: None, on_change=lambda: None)
    session.prepare(view.manifest, view.rules, view.robot)
    found, asked = {}, list(at)
    for now_ns, kind, value in sorted(events, key=lambda event: event[0]):
        while asked and asked[0] < now_ns:
            clock.now_ns = asked.pop(0)
            observed = session.assemble(clock.now_ns)
            if not isinstance(observed, Miss):
                found[clock.now_ns] = observed[0][-1]
        clock.now_ns = now_ns
        if kind == "joints":
            session.take_joints(replace(value, receipt_ns=now_ns))
        elif kind == "picture":
            captured_ns, number = value
            session.take_frame("front", captured_ns, now_ns, lambda number=number: pixels(number))
    return found


def played(view: View, path: Path) -> tuple[list[Moment], Player]:
    with open_recording(path) as recording:
        player = Player(recording, view)
        return list(player.moments()), player


def test_what_the_policy_saw_is_what_is_played(view: View, tmp_path: Path) -> None:
    events = [*run(1, BEGIN_NS), *run(2, BEGIN_NS + 5 * NS)]
    moments, _ = played(view, recorded(tmp_path / "a.mcap", events))
    at = [BEGIN_NS + start + k * NS // FPS for start in (0, 5 * NS) for k in range(4, 40)]
    live = seen_live(view, events, at)
    assert [moment.at_ns for moment in moments] == [when for when in at if when in live]
    assert (
        [moment.epoch for moment in moments].count(1) == [moment.epoch for moment in moments].count(2) == 36
    )
    for moment in moments:
        expected = live[moment.at_ns]
        assert np.array_equal(moment.seen.state, expected.state)
        assert np.array_equal(moment.seen.frames["front"], expected.frames["front"])
    assert len({moment.episode for moment in moments}) == 2
    # Rows of pixels that no two pictures share: the parity is not one of equal pictures.
    assert len({moment.seen.frames["front"].tobytes() for moment in moments}) > 55


def test_the_action_is_the_target_executed_next_in_the_policys_words(view: View, tmp_path: Path) -> None:
    events = list(run(1, BEGIN_NS))
    moments, _ = played(view, recorded(tmp_path / "a.mcap", events))
    by_time = [(when, value) for when, kind, value in events if kind == "cycle"]
    scale, offset = ROBOT.affine("normalized")
    for moment in moments:
        record: CycleRecord = next(r for when, r in by_time if when > moment.at_ns and r.executed)
        radians = np.array([record.executed[record.joint_names.index(name)] for name in ROBOT.joint_names])
        assert np.allclose(moment.action[::-1], (radians - offset) / scale)


def test_what_was_held_is_the_held_target(view: View, tmp_path: Path) -> None:
    events = [
        (when, kind, replace(value, executed=()) if kind == "cycle" and value.cycle_id > 50 else value)
        for when, kind, value in run(1, BEGIN_NS)
    ]
    moments, _ = played(view, recorded(tmp_path / "a.mcap", events))
    late = [moment.action for moment in moments if moment.at_ns > BEGIN_NS + 51 * PERIOD_NS]
    assert len(late) > 15 and all(np.array_equal(action, late[0]) for action in late)


def test_nothing_is_seen_between_runs_or_without_pictures(view: View, tmp_path: Path) -> None:
    gap = [e for e in run(1, BEGIN_NS) if e[1] != "picture" or not 30 <= e[2][1] % 1000 < 90]
    idle = [
        (w, k, replace(v, state="stopped") if k == "cycle" else v) for w, k, v in run(2, BEGIN_NS + 5 * NS)
    ]
    moments, player = played(view, recorded(tmp_path / "a.mcap", [*gap, *idle]))
    assert {moment.epoch for moment in moments} == {1}
    assert len({moment.episode for moment in moments}) == 2, "frames of an episode are evenly spaced"
    assert any("front is stale" in reason for reason in player.misses)
    for moment in moments:
        assert not BEGIN_NS + 30 * PERIOD_NS + 0.55 * NS < moment.at_ns < BEGIN_NS + 90 * PERIOD_NS


def test_a_camera_that_is_not_there_is_named(view: View, tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.mcap", list(run(1, BEGIN_NS)))
    camera = replace(view.manifest.cameras[0], name="fornt")
    with pytest.raises(InvalidInput, match="Did you mean 'front'"):
        played(replace(view, manifest=replace(view.manifest, cameras=(camera,))), path)


def test_the_recording_tells_whose_session_it_was(tmp_path: Path) -> None:
    session = {**message_of(WANTED), "is_selected": True}
    wanted = {"generation": 3, "sessions": [session], "runs": []}
    path = recorded(tmp_path / "a.mcap", [(BEGIN_NS - 5, "wanted", wanted), *run(1, BEGIN_NS, 5)])
    with open_recording(path) as recording:
        assert session_of(recording) == replace(WANTED, is_selected=True)


def trained_a_step(root: Path) -> float:
    """The loss of one optimiser step of a small ACT on the dataset; LeRobot's own loader and processors."""
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    joints = PolicyFeature(FeatureType.STATE, (6,)), PolicyFeature(FeatureType.ACTION, (6,))
    image = PolicyFeature(FeatureType.VISUAL, (3, 24, 32))
    config = ACTConfig(
        input_features={"observation.state": joints[0], "observation.images.front": image},
        output_features={"action": joints[1]}, pretrained_backbone_weights=None, device="cpu", push_to_hub=False,
        dim_model=32, n_heads=2, dim_feedforward=64, n_encoder_layers=1, n_vae_encoder_layers=1, chunk_size=8,
        n_action_steps=8,
    )  # fmt: skip
    deltas = {"action": [step / FPS for step in range(config.chunk_size)]}
    dataset = LeRobotDataset("local/recordings", root=root, video_backend="pyav", delta_timestamps=deltas)
    preprocess, _ = make_pre_post_processors(config, dataset_stats=dataset.meta.stats)
    policy = ACTPolicy(config)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=1e-4)
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=4)))
    loss, _ = policy.forward(preprocess(batch))
    loss.backward()
    optimiser.step()
    return float(loss.detach())


@pytest.mark.lerobot
@pytest.mark.slow
def test_lerobot_loads_it_and_every_frame_is_what_the_policy_saw(view: View, tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    from lerobot_arena.recording.to_dataset import write_dataset

    events = [*run(1, BEGIN_NS), *run(2, BEGIN_NS + 5 * NS)]
    path = recorded(tmp_path / "a.mcap", events)
    with open_recording(path) as recording:
        written = write_dataset([(recording, view)], tmp_path / "out")
    assert (written.episodes, written.frames, written.left_out) == (2, 72, 0)
    dataset = LeRobotDataset("local/recordings", root=tmp_path / "out", video_backend="pyav")
    assert (dataset.num_episodes, len(dataset), dataset.fps) == (2, 72, FPS)
    at = [BEGIN_NS + start + k * NS // FPS for start in (0, 5 * NS) for k in range(4, 40)]
    live = list(seen_live(view, events, at).values())
    moments, _ = played(view, path)
    for index, (expected, moment) in enumerate(zip(live, moments, strict=True)):
        frame = dataset[index]
        image = (frame["observation.images.front"].numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
        assert np.array_equal(image, expected.frames["front"])
        assert np.array_equal(frame["observation.state"].numpy(), expected.state.astype(np.float32))
        assert np.array_equal(frame["action"].numpy(), moment.action.astype(np.float32))
        assert frame["task"] == "pick it up"
    names = dataset.meta.features["action"]["names"]
    assert names == [f"{name}.pos" for name in ROBOT.joint_names[::-1]]
    assert trained_a_step(tmp_path / "out") > 0


@pytest.mark.lerobot
def test_without_a_usable_moment_it_says_why(view: View, tmp_path: Path) -> None:
    from lerobot_arena.recording.to_dataset import write_dataset

    early = [event for event in run(1, BEGIN_NS) if event[1] != "picture" or event[2][1] == 1001]
    path = recorded(tmp_path / "a.mcap", [e for e in early if e[1] != "cycle" or e[0] > BEGIN_NS + NS])
    with open_recording(path) as recording, pytest.raises(NotFound, match="images: all"):
        write_dataset([(recording, view)], tmp_path / "out")
    (tmp_path / "there").mkdir()
    with open_recording(path) as recording, pytest.raises(InvalidInput, match="exists already"):
        write_dataset([(recording, view)], tmp_path / "there")
