# SPDX-License-Identifier: Apache-2.0
"""`arena record …` over real HTTP, and `arena bag repair`."""

import json
import os
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.recording.status import ERROR, RECORDING, Event, RecorderStatus
from lerobot_arena.testing.recording_rig import Rig, cycle_ids


def arena(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_verbs_are_sent_and_their_answers_told(bridge: Any) -> None:
    bridge.on("POST", "/api/recorder/start", {"arm": "arm", "verb": "start", "session_id": "sess_1"})
    bridge.on("POST", "/api/recorder/split", {"arm": "arm", "verb": "split", "filename": "session_1_1.mcap"})
    assert arena("record", "start", "--arm", "arm").stdout == "Recording sess_1.\n"
    assert arena("record", "split").stdout == "Recording into session_1_1.mcap now.\n"


def test_a_refusal_is_an_error(bridge: Any) -> None:
    bridge.on("POST", "/api/recorder/stop", {"detail": "Nothing is being recorded."}, 409)
    result = arena("record", "stop")
    assert result.exit_code == 1 and "Nothing is being recorded." in result.stderr


def test_status_says_what_is_lost_and_why(bridge: Any) -> None:
    status = RecorderStatus(
        "arm",
        "boot",
        RECORDING,
        session_id="sess_1",
        folder="/data/sess_1",
        file_count=2,
        dropped={"/arm/dam/cycle": 7},
        skipped={"/tf": "tf2_msgs/msg/TFMessage is not installed"},
        events=(Event(1, 0.0, ERROR, "sess_1", "The disk was full."),),
    )
    bridge.on("GET", "/api/recorder/status", json.loads(status.as_json()))
    text = arena("record", "status").stdout
    for part in (
        "arm arm: recording",
        "/data/sess_1, file 2",
        "dropped 7 of /arm/dam/cycle",
        "/tf",
        "was full",
    ):
        assert part in text
    assert json.loads(arena("record", "status", "--json").stdout)["dropped"] == {"/arm/dam/cycle": 7}


def test_bag_repair_mends_files_and_leaves_whole_ones_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.cycles(100)
    rig.recorder.stop()
    (file,) = rig.files
    assert "nothing to do" in arena("bag", "repair", str(rig.folder)).stdout
    os.truncate(file, file.stat().st_size // 2)
    answer = json.loads(arena("bag", "repair", str(file), "--json").stdout)["files"][0]
    assert not answer["was_whole"] and answer["messages"] == len(cycle_ids(file)) > 0
    (tmp_path / "empty").mkdir()
    result = arena("bag", "repair", str(tmp_path / "empty"))
    assert result.exit_code == 2 and "no .mcap file" in result.stderr
