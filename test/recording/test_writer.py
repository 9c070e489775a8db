# SPDX-License-Identifier: Apache-2.0
"""What a recording is to readers that are not ours: rosbags, mcap-ros2-support, mcap."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.recording.disk import RealDisk
from lerobot_arena.recording.log_clock import LogClock
from lerobot_arena.recording.metadata_yaml import custom_data
from lerobot_arena.recording.names import (
    Belonging,
    file_name,
    file_number,
    is_session_id,
    new_session_id,
    recorded_as,
)
from lerobot_arena.recording.qos import LATCHED, OfferedQos, qos_yaml
from lerobot_arena.recording.queue import Item, Rank, Topic
from lerobot_arena.recording.schemas import definition_of
from lerobot_arena.recording.writer import McapFile
from lerobot_arena.testing.cdr_messages import CYCLE, cycle, message, type_hash
from lerobot_arena.testing.recording_rig import Rig, messages_of

OWN = ("Cycle", "GuardObservation", "GuardAction", "GuardLayer", "ContextEvent", "GuardState", "GuardConfig",
       "JointCommand", "ChunkRequest", "ActionChunk", "EmbodimentStatus", "HardwareReading", "TaskStatus",
       "SessionsWanted", "SessionsStatus", "RoomJoints")  # fmt: skip
TYPES = [
    *(f"lerobot_arena/msg/{name}" for name in OWN),
    "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String",
    "diagnostic_msgs/msg/DiagnosticArray",
]  # fmt: skip


@pytest.fixture
def everything(make_rig: Callable[..., Rig]) -> Rig:
    """A recording with a message of every type."""
    rig = make_rig(params={"image_format": "raw"})
    rig.recorder.start()
    qos = qos_yaml((OfferedQos(reliability="best_effort"), LATCHED))
    for type_name in TYPES:
        rig.recorder.take(Topic(f"/arm/{type_name.split('/')[-1]}", type_name, qos), message(type_name))
    rig.cycles(10)
    rig.recorder.stop()
    return rig


@pytest.mark.parametrize("type_name", TYPES)
def test_hashes_are_those_that_another_implementation_computes(type_name: str) -> None:
    assert definition_of(type_name).type_hash == type_hash(type_name)


def test_rosbags_decodes_every_type_and_agrees_on_hashes_and_qos(everything: Rig) -> None:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import QosDurability, QosReliability
    from rosbags.typesys import Stores, get_typestore

    with AnyReader([everything.folder], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        decoded = [reader.deserialize(raw, found.msgtype) for found, _, raw in reader.messages()]
        found = {connection.topic: connection for connection in reader.connections}
    assert len(decoded) == len(TYPES) + 10
    for type_name in TYPES:
        connection: Any = found[f"/arm/{type_name.split('/')[-1]}"]
        assert (connection.msgtype, connection.digest) == (type_name, definition_of(type_name).type_hash)
        first, second = connection.ext.offered_qos_profiles
        assert first.reliability is QosReliability.BEST_EFFORT
        assert second.durability is QosDurability.TRANSIENT_LOCAL


def test_mcap_ros2_support_decodes_every_type(everything: Rig) -> None:
    from mcap_ros2.decoder import DecoderFactory

    (path,) = everything.files
    with open(path, "rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        read = [(channel.topic, decoded) for _, channel, _, decoded in reader.iter_decoded_messages()]
    assert {f"/arm/{name.split('/')[-1]}" for name in TYPES} <= {topic for topic, _ in read}
    cycles = [decoded for topic, decoded in read if topic == "/arm/dam/cycle"]
    assert [found.cycle_id for found in cycles] == list(range(10))
    assert cycles[0].measured == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_the_file_is_a_ros2_profile_with_zstd_chunks_and_what_rosbag2_puts_into_channels(
    everything: Rig,
) -> None:
    (path,) = everything.files
    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        names = [record.name for record in reader.iter_metadata()]
        assert reader.get_header().profile == "ros2"
    assert summary is not None and {index.compression for index in summary.chunk_indexes} == {"zstd"}
    assert {schema.encoding for schema in summary.schemas.values()} == {"ros2msg"}
    for channel in summary.channels.values():
        assert channel.message_encoding == "cdr"
        assert set(channel.metadata) == {"offered_qos_profiles", "topic_type_hash"}
    assert {"session", "end", "rosbag2"} <= set(names)


def test_metadata_yaml_says_what_is_in_the_files(everything: Rig) -> None:
    found = yaml.safe_load((everything.folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (found["version"], found["storage_identifier"]) == (9, "mcap")
    assert found["relative_file_paths"] == [path.name for path in everything.files]
    assert (
        found["message_count"] == len(TYPES) + 10 == sum(entry["message_count"] for entry in found["files"])
    )
    topics = {entry["topic_metadata"]["name"]: entry for entry in found["topics_with_message_count"]}
    assert topics["/arm/dam/cycle"]["message_count"] == 10
    profiles = topics["/arm/Cycle"]["topic_metadata"]["offered_qos_profiles"]
    assert [profile["reliability"] for profile in profiles] == ["best_effort", "reliable"]
    assert profiles[0]["deadline"] == {"sec": 9223372036, "nsec": 854775807}
    custom = custom_data(everything.folder)
    assert custom["task"] == "pick" and custom["total_cycles"] == "11" and custom["session_id"]


def test_text_in_the_session_record_cannot_break_the_yaml(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(about={"prompt": 'pick: "it"\n- ~ {x}', "task": ""})
    rig.recorder.start()
    rig.cycles(1)
    rig.recorder.stop()
    assert custom_data(rig.folder)["prompt"] == 'pick: "it"\n- ~ {x}'


def test_schema_text_is_the_definition_followed_by_its_dependencies() -> None:
    text = definition_of("sensor_msgs/msg/JointState").text
    rule = "=" * 80
    assert text.index(f"\n{rule}\nMSG: std_msgs/Header\n") < text.index(
        f"\n{rule}\nMSG: builtin_interfaces/Time\n"
    )
    assert text.count(rule) == 2


def test_publish_time_is_the_messages_own_stamp_else_its_log_time(tmp_path: Path) -> None:
    file = McapFile(RealDisk(), tmp_path / "x.mcap")
    file.add(Item(Topic("/c", CYCLE), cycle(1, stamp_ns=123), 1000, Rank.PASS))
    file.add(
        Item(Topic("/s", "std_msgs/msg/String"), message("std_msgs/msg/String", data="x"), 1001, Rank.PLAIN)
    )
    file.add(Item(Topic("/c", CYCLE), b"\0\1", 1002, Rank.PASS))  # broken: kept as it came
    file.finish({})
    with open(tmp_path / "x.mcap", "rb") as opened:
        times = [(m.log_time, m.publish_time, m.sequence) for _, _, m in make_reader(opened).iter_messages()]
    assert times == [(1000, 123, 0), (1001, 1001, 0), (1002, 1002, 1)]


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(-5000, 5000)), max_size=40))
def test_stamps_never_run_backwards_whatever_the_wall_clock_does(moves: list[tuple[float, float]]) -> None:
    clock = ManualClock()
    stamps = LogClock(clock)
    last = stamps.stamp_ns()
    for seconds, jump_s in moves:
        clock.advance(seconds)
        clock.wall_offset_ns += round(jump_s * NS)
        now = stamps.stamp_ns()
        assert now >= last
        last = now


def test_after_a_clock_was_set_back_stamps_go_on_at_the_same_pace(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.recorder.start()
    rig.cycles(10)
    rig.clock.wall_offset_ns -= 3600 * NS
    rig.cycles(10)
    status = rig.recorder.status()
    rig.recorder.stop()
    times = [log_ns for _, log_ns, _ in messages_of(rig.files[0])]
    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert gaps == {round(0.02 * NS)} and status.clock_jumps == 1


def test_names() -> None:
    session = new_session_id(1_733_841_022 * NS, b"\xab\xc1\x23")
    assert session == "sess_20241210_143022_abc123" and is_session_id(session)
    assert [file_name(session, number) for number in (0, 1)] == [
        "session_20241210_143022_abc123.mcap",
        "session_20241210_143022_abc123_1.mcap",
    ]
    assert [file_number(name) for name in ("session_20241210_143022_abc123_12.mcap", "x.mcap")] == [12, -1]
    assert not is_session_id("../sess_20241210_143022_abc123")


@pytest.mark.parametrize(
    ("topic", "type_name", "expected"),
    [
        ("/arm/dam/cycle", CYCLE, "/arm/dam/cycle"),
        ("/arm/dam/L0", "lerobot_arena/msg/GuardLayer", "/arm/dam/L0"),
        ("/arm/dam/anything_new", "std_msgs/msg/String", "/arm/dam/anything_new"),
        ("/other/dam/cycle", CYCLE, ""),
        ("/arm/joint_states", "sensor_msgs/msg/JointState", "/arm/joint_states"),
        ("/arm/cameras/front/image_raw", "sensor_msgs/msg/Image", "/arm/dam/images/front"),
        (
            "/arm/cameras/front/image_raw/compressed",
            "sensor_msgs/msg/CompressedImage",
            "/arm/dam/images/front",
        ),
        ("/elsewhere/cam", "sensor_msgs/msg/Image", "/arm/dam/images/myZ2dcam"),
        ("/elsewhere/other", "sensor_msgs/msg/Image", ""),
        ("/rooms/w/s", "lerobot_arena/msg/RoomJoints", "/rooms/w/s"),
        ("/rooms/w/t", "lerobot_arena/msg/RoomJoints", ""),
        ("/arena/wanted", "lerobot_arena/msg/SessionsWanted", "/arena/wanted"),
        ("/arm/recorder/status", "std_msgs/msg/String", ""),
        ("/armada/dam/cycle", CYCLE, ""),
    ],
)
def test_what_is_recorded_under_which_name(topic: str, type_name: str, expected: str) -> None:
    belonging = Belonging({"/elsewhere/cam": "my-cam"}, frozenset({"/rooms/w/s"}))
    assert recorded_as(topic, type_name, "arm", belonging) == expected
