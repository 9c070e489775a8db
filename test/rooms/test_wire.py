# SPDX-License-Identifier: Apache-2.0
"""What clients say is read whole or refused whole, with a code, and nothing else ever happens."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.rooms import wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        "joint_update",
        "heartbeat",
        "emergency_stop",
        "video_config_update",
        "stream_stats",
        "status_update",
        "x",
    ]
)


def refused(read: object, text: str | bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(text)  # type: ignore[operator]
    assert isinstance(caught.value, ArenaError)
    assert orjson.dumps(str(caught.value)), "the reason itself can be sent"
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_json"),
        ("{", "not_json"),
        ('{"type":"joint_update","data":[{"name":"a","value":NaN}]}', "not_json"),
        ('{"type":"joint_update","data":[{"name":"a","value":Infinity}]}', "not_json"),
        ('{"type":"joint_update","data":[{"name":"a","value":1e999}]}', "not_json"),
        ('"joint_update"', "not_object"),
        ("[]", "not_object"),
        ("{}", "unknown_type"),
        ('{"type":7}', "unknown_type"),
        ('{"type":["joint_update"]}', "unknown_type"),
        ('{"type":"joint_update"}', "field_missing"),
        ('{"type":"joint_update","data":[],"seq":-1}', "field_invalid"),
        ('{"type":"joint_update","data":[],"seq":true}', "field_invalid"),
        ('{"type":"joint_update","data":[],"stamp_mono_ns":1.5}', "field_invalid"),
        ('{"type":"joint_update","data":[],"stamp_mono_ns":9223372036854775808}', "field_invalid"),
        ('{"type":"joint_update","data":[],"age_ms":-0.1}', "field_invalid"),
        ('{"type":"joint_update","data":[],"age_ms":"5"}', "field_invalid"),
        ('{"type":"heartbeat","x":' + "[" * 20 + "]" * 20 + "}", "too_deep"),
        ('{"type":"heartbeat","x":' + "[" * 2000 + "]" * 2000 + "}", "not_json"),
        ('{"type":"heartbeat","x":"' + "y" * wire.MAX_TEXT_BYTES + '"}', "too_large"),
        (b'{"type":"heartbeat","x":"\xe2\x82"}', "not_json"),
        ('{"type":"heartbeat","x":"\ud800"}', "not_json"),
    ],
)
def test_what_is_wrong_with_a_message_has_a_code(text: str | bytes, code: str) -> None:
    assert refused(wire.read_robotics, text) == code


def test_each_room_takes_its_own_types_only() -> None:
    config = '{"type":"video_config_update","config":{"framerate":10}}'
    assert wire.read_video(config) == wire.ConfigSaid({"framerate": 10})
    assert refused(wire.read_robotics, config) == "unknown_type"
    update = '{"type":"joint_update","data":[{"name":"a","value":1}]}'
    assert refused(wire.read_video, update) == "unknown_type"
    assert isinstance(wire.read_robotics('{"type":"consumer_status","consumer_id":"c"}'), wire.Noted)


def test_a_joint_update_keeps_what_its_sender_says_of_it() -> None:
    said = wire.read_robotics(
        '{"type":"joint_update","data":[{"name":"a","value":1}],"seq":7,"stamp_mono_ns":123,"age_ms":4.5,"timestamp":"x"}'
    )
    assert said == wire.JointsSaid([{"name": "a", "value": 1}], 7, 123, 4.5)


@pytest.mark.parametrize(
    ("kind", "field"), [("stream_stats", "stats"), ("status_update", "data"), ("stream_started", "config")]
)
def test_what_goes_on_to_everybody_is_small(kind: str, field: str) -> None:
    for length, is_taken in ((4000, True), (4200, False), (60_000, False)):
        text = json.dumps({"type": kind, field: {"k": "z" * length}})
        if is_taken:
            assert isinstance(wire.read_video(text), wire.Told)
        else:
            assert refused(wire.read_video, text) == "field_invalid"


@pytest.mark.parametrize("reason", ["null", '""', "7", '"' + "r" * 600 + '"', "[]"])
def test_a_stop_is_a_stop_whatever_its_reason_is(reason: str) -> None:
    said = wire.read_robotics(f'{{"type":"emergency_stop","enabled":false,"reason":{reason}}}')
    assert isinstance(said, wire.EmergencyStop)
    assert 0 < len(said.reason) <= wire.MAX_REASON


@pytest.mark.parametrize(
    "join",
    [
        {},
        {"participant_id": "p"},
        {"role": "producer"},
        {"participant_id": "", "role": "producer"},
        {"participant_id": 5, "role": "producer"},
        {"participant_id": "a\nb", "role": "producer"},
        {"participant_id": "p" * 101, "role": "producer"},
        {"participant_id": "arena", "role": "consumer"},
        {"participant_id": "p", "role": "viewer"},
        {"participant_id": "p", "role": ["producer"]},
        {"participant_id": "p", "role": "consumer", "media": "h264"},
        {"participant_id": "p", "role": "consumer", "resume": "x" * 101},
        [],
    ],
)
def test_a_handshake_is_whole_or_refused(join: object) -> None:
    assert refused(wire.read_join, json.dumps(join)) == "join_invalid"


def test_the_handshake_of_the_original_and_ours() -> None:
    assert wire.read_join('{"participant_id":"p","role":"producer"}') == wire.Join("p", "producer")
    ours = '{"participant_id":"p","role":"consumer","media":"jpeg","frames":"v3","resume":"t","type":"join"}'
    assert wire.read_join(ours) == wire.Join("p", "consumer", "jpeg", "t", "v3")


@given(st.binary(max_size=200) | st.text(max_size=200) | JSON.map(lambda value: json.dumps(value)))
def test_nothing_but_a_refusal_comes_of_rubbish(text: str | bytes) -> None:
    for read in (wire.read_robotics, wire.read_video, wire.read_join):
        try:
            read(text)
        except InvalidInput as error:
            assert error.code


@given(KINDS, st.dictionaries(st.sampled_from(["data", "config", "reason", "seq", "stats", "age_ms"]), JSON))
def test_nothing_but_a_refusal_comes_of_known_types_with_any_fields(
    kind: str, fields: dict[str, object]
) -> None:
    text = json.dumps({"type": kind, **fields})
    for read in (wire.read_robotics, wire.read_video):
        try:
            read(text)
        except InvalidInput as error:
            assert error.code
