# SPDX-License-Identifier: Apache-2.0
"""What was: telemetry's last cycles, the risk log, recordings and the recorder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lerobot_arena.client import answers
from lerobot_arena.client.address import segment
from lerobot_arena.client.call import VERB_TIMEOUT_S, Answer, Call, as_object, get, inside, post
from lerobot_arena.client.endpoint import Group, endpoint
from lerobot_arena.core.errors import InvalidInput

# Taking a part of a long recording may begin slowly.
_SLOW_READ_S = 60.0
_RECORDER_TIMEOUT_S = 10.0


def history(n: int = 50, *, arm: str | None = None, perf: bool = False) -> Call[answers.History]:
    """The last `n` cycle events of an arm, oldest first."""
    return get("/api/telemetry/history", as_object, n=n, arm=arm, perf=perf or None)


def risk_events(
    limit: int = 100,
    *,
    since: float | None = None,
    until: float | None = None,
    min_risk_level: str | None = None,
    outcome: str | None = None,
    failure_type: str | None = None,
    arm: str | None = None,
    session_id: str | None = None,
) -> Call[answers.RiskEvents]:
    """The newest events first; times in seconds since 1970, `outcome` reject, clamp or pass."""
    wanted = {
        "since": since,
        "until": until,
        "min_risk_level": min_risk_level,
        "outcome": outcome,
        "failure_type": failure_type,
        "arm": arm,
        "session_id": session_id,
    }
    return get("/api/risk-log", as_object, limit=limit, **wanted)


def risk_stats(arm: str | None = None, session_id: str | None = None) -> Call[dict[str, Any]]:
    """Counts by outcome and risk level."""
    return get("/api/risk-log/stats", as_object, arm=arm, session_id=session_id)


def risk_event(event_id: int) -> Call[dict[str, Any]]:
    """One event."""
    return get(f"/api/risk-log/{int(event_id)}", as_object)


def clear_risk_log() -> Call[int]:
    """Delete every event; how many there were."""
    return post("/api/risk-log/clear", inside("cleared"))


def recorded_risk(filename: str, *, limit: int = 100, outcome: str | None = None) -> Call[answers.RiskEvents]:
    """Notable cycles of a recorded file, the newest first."""
    return get(f"/api/risk-log/mcap/{segment(filename)}", as_object, limit=limit, outcome=outcome)


class Risk[Via](Group[Via]):
    """What guards changed or refused."""

    events = endpoint(risk_events)
    stats = endpoint(risk_stats)
    get = endpoint(risk_event)
    clear = endpoint(clear_risk_log)
    recorded = endpoint(recorded_risk)


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A JPEG and when it was recorded, in seconds since 1970."""

    jpeg: bytes
    log_time: float


def list_recordings() -> Call[list[answers.Recording]]:
    """All recordings, the newest first."""
    return get("/mcap/sessions", inside("sessions"))


def recording_info(session_id: str) -> Call[dict[str, Any]]:
    """One recording: channels, cameras, files, cycles."""
    return get(f"/mcap/sessions/{segment(session_id)}", as_object)


def delete_recording(session_id: str) -> Call[answers.Done]:
    """Delete a recording with all its files."""
    return Call("DELETE", f"/mcap/sessions/{segment(session_id)}", as_object, timeout_s=VERB_TIMEOUT_S)


def recorded_cycles(
    session_id: str,
    *,
    start_cycle: int = 0,
    end_cycle: int = -1,
    outcome: str | None = None,
    min_risk_level: str = "NORMAL",
    limit: int = 100,
) -> Call[answers.Cycles]:
    """Cycles in order, at most `limit`; `next_cycle` is where to go on."""
    query = {
        "start_cycle": start_cycle,
        "end_cycle": end_cycle,
        "outcome": outcome,
        "min_risk_level": min_risk_level,
        "limit": limit,
    }
    return Call(
        "GET", f"/mcap/sessions/{segment(session_id)}/cycles", as_object, query, timeout_s=_SLOW_READ_S
    )


def recorded_cycle(session_id: str, cycle_id: int) -> Call[dict[str, Any]]:
    """One cycle, as the risk log tells it."""
    return get(f"/mcap/sessions/{segment(session_id)}/cycles/{int(cycle_id)}", as_object)


def recorded_frame(
    session_id: str, camera: str, *, time: float | None = None, cycle_id: int | None = None
) -> Call[RecordedFrame]:
    """A camera's last picture until a time (seconds since 1970) or a cycle; without both, the first."""
    query = {"camera": camera, "time": time, "cycle_id": cycle_id}
    return Call("GET", f"/mcap/sessions/{segment(session_id)}/frame", _frame, query, timeout_s=_SLOW_READ_S)


def _frame(answer: Answer) -> RecordedFrame:
    stamp = next((value for name, value in answer.headers.items() if name.lower() == "x-log-time"), "")
    return RecordedFrame(answer.body, float(stamp))


def download_part(
    session_id: str, start_cycle: int = 0, end_cycle: int = -1, topics: Sequence[str] | None = None
) -> Call[None]:
    """The path and parameters of a download; its bytes go to a file (client/saving.py)."""
    query = {"start_cycle": start_cycle, "end_cycle": end_cycle, "topics": list(topics) if topics else None}
    path = f"/mcap/sessions/{segment(session_id)}/download"
    return Call("GET", path, lambda answer: None, query, timeout_s=_SLOW_READ_S)


def export_risk(suffix: str) -> Call[None]:
    """The whole risk log for a file of that ending. Raises InvalidInput for any but .json and .csv."""
    kind = suffix.lstrip(".").lower()
    if kind not in {"json", "csv"}:
        raise InvalidInput(f"A risk log is written as .json or .csv, not as {suffix!r}.")
    return Call("GET", f"/api/risk-log/export/{kind}", lambda answer: None, timeout_s=_SLOW_READ_S)


class RecordingCalls[Via](Group[Via]):
    """MCAP files that rosbag2 and Foxglove open too."""

    list = endpoint(list_recordings)
    info = endpoint(recording_info)
    delete = endpoint(delete_recording)
    cycles = endpoint(recorded_cycles)
    cycle = endpoint(recorded_cycle)
    frame = endpoint(recorded_frame)


def recorder_status(arm: str | None = None) -> Call[dict[str, Any]]:
    """What an arm's recorder does, and what went wrong."""
    return get("/api/recorder/status", as_object, arm=arm)


def start_recorder(arm: str | None = None) -> Call[dict[str, Any]]:
    """Begin a recording; `session_id` is its name."""
    return _recorder("start", arm)


def stop_recorder(arm: str | None = None) -> Call[dict[str, Any]]:
    """End the recording."""
    return _recorder("stop", arm)


def split_recorder(arm: str | None = None) -> Call[dict[str, Any]]:
    """Go on in a new file."""
    return _recorder("split", arm)


def snapshot_recorder(arm: str | None = None) -> Call[dict[str, Any]]:
    """Keep the pictures around now."""
    return _recorder("snapshot", arm)


def _recorder(verb: str, arm: str | None) -> Call[dict[str, Any]]:
    return post(f"/api/recorder/{verb}", as_object, query={"arm": arm}, timeout_s=_RECORDER_TIMEOUT_S)


class Recorder[Via](Group[Via]):
    """Recording on and off."""

    status = endpoint(recorder_status)
    start = endpoint(start_recorder)
    stop = endpoint(stop_recorder)
    split = endpoint(split_recorder)
    snapshot = endpoint(snapshot_recorder)
