# SPDX-License-Identifier: Apache-2.0
"""`arena bag info` and `arena bag export`: tables, messages, video and parts, as a person would ask for them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording import export_video
from lerobot_arena.recording.reader import open_recording
from lerobot_arena.testing.recordings import BEGIN_NS, Writer, cycles, write_session

P, C, R, F = Decision
DECISIONS = [P] * 40 + [C, R] + [P] * 58


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session(tmp_path_factory.mktemp("s"), DECISIONS, files=2)


def arena(*arguments: object, expected: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == expected, result.output
    return result.output


def test_info(session: Path) -> None:
    facts = json.loads(arena("bag", "info", session, "--json"))
    assert (facts["cycles"], facts["violations"], facts["clamps"], facts["cameras"]) == (100, 1, 1, ["front"])
    assert (facts["arm"], facts["first_cycle"], facts["last_cycle"], facts["damage"]) == ("arm", 1, 100, "")
    assert {"topic": "/arm/dam/cycle", "type": "lerobot_arena/msg/Cycle", "messages": 100} in facts[
        "channels"
    ]
    assert "/arm/dam/images/front" in arena("bag", "info", session)


def test_cycles_as_a_table(session: Path, tmp_path: Path) -> None:
    arena("bag", "export", session, tmp_path / "a.csv", "--start-cycle", 41, "--end-cycle", 44)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    records = cycles(DECISIONS)[40:44]
    assert [int(row["cycle_id"]) for row in rows] == [41, 42, 43, 44]
    assert [row["decision"] for row in rows] == ["CLAMP", "REJECT", "PASS", "PASS"]
    for row, record in zip(rows, records):
        for array in ("measured", "proposed", "executed"):
            told = [row[f"{array}.{name}"] for name in record.joint_names]
            assert [float(value) for value in told if value] == list(getattr(record, array))
    assert rows[1]["executed.gripper"] == ""


def test_messages_as_json(session: Path, tmp_path: Path) -> None:
    arena("bag", "export", session, tmp_path / "a.json", "--topic", "/dam/obs", "--topic", "/joint_states")
    messages: list[dict[str, Any]] = json.loads((tmp_path / "a.json").read_text())
    assert len(messages) == 200
    observed = next(m for m in messages if m["topic"] == "/arm/dam/obs")
    assert observed["message"]["measured"] == list(cycles(DECISIONS)[0].measured)
    arena("bag", "export", session, tmp_path / "b.json", "--start-cycle", 3, "--end-cycle", 3)
    some = json.loads((tmp_path / "b.json").read_text())
    assert [m["message"]["cycle_id"] for m in some if m["topic"] == "/arm/dam/cycle"] == [3]
    assert not any("images" in m["topic"] for m in some)


def test_not_a_number_is_null(tmp_path: Path) -> None:
    from dataclasses import replace

    writer = Writer(tmp_path / "s" / "a.mcap")
    writer.add_cycle(replace(cycles([P])[0], measured=(float("nan"),) * 6), BEGIN_NS)
    writer.end()
    arena("bag", "export", tmp_path / "s", tmp_path / "a.json", "--topic", "/dam/cycle")
    assert json.loads((tmp_path / "a.json").read_text())[0]["message"]["measured"] == [None] * 6


@pytest.mark.parametrize("has_av", [True, False])
def test_video_in_real_time(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_av: bool
) -> None:
    import cv2

    if has_av:
        pytest.importorskip("av")
    else:
        monkeypatch.setattr(export_video, "_open_sink", export_video._OpenCvSink)
    # 50 pictures, 40 ms apart: as many in 1.96 s of video at any frame rate.
    arena("bag", "export", session, tmp_path / "a.mp4", "--fps", 50)
    video = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    shades = []
    while (read := video.read())[0]:
        shades.append(int(read[1][:20].mean()))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(50)
    assert len(shades) == pytest.approx(99, abs=2)
    assert shades == pytest.approx([i + 1 - i % 2 for i in range(len(shades))], abs=8)
    video.release()


def test_a_part_as_mcap(session: Path, tmp_path: Path) -> None:
    arena(
        "bag",
        "export",
        session,
        tmp_path / "a.mcap",
        "--topic",
        "/dam/cycle",
        "--start-cycle",
        45,
        "--end-cycle",
        55,
    )
    with open_recording(tmp_path / "a.mcap") as recording:
        assert [record.cycle_id for record in recording.cycles()] == list(range(45, 56))
        assert set(recording.topics) == {"/arm/dam/cycle"}


def test_what_cannot_be_done_is_said_and_leaves_nothing(session: Path, tmp_path: Path) -> None:
    for arguments, told in (
        (["a.xls"], ".csv, .json, .mp4, .mcap"),
        (["a.json", "--topic", "/dam/cylce"], "Did you mean '/dam/cycle'"),
        (["a.mp4", "--camera", "rear"], "There is no camera 'rear'"),
        (["a.mp4", "--fps", "0"], "frames a second"),
        (["a.json", "--start-cycle", "200"], "No cycle from 200"),
    ):
        name, *options = arguments
        result = CliRunner().invoke(app, ["bag", "export", str(session), str(tmp_path / name), *options])
        assert result.exit_code == 2 and told in " ".join(result.output.split()), result.output
        assert not list(tmp_path.iterdir())
    (tmp_path / "there.csv").write_text("mine")
    arena("bag", "export", session, tmp_path / "there.csv", expected=2)
    assert (tmp_path / "there.csv").read_text() == "mine"
