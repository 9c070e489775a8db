# SPDX-License-Identifier: Apache-2.0
"""Seed 3's loopback sessions: list recordings, look into them, take a part of one as an MCAP file."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.errors import unprocessable
from lerobot_arena.bridge.recording_answers import cycle_lines, detailed, listed, slice_tag
from lerobot_arena.bridge.risk_event import risk_event
from lerobot_arena.bridge.routes.arena import voter_of
from lerobot_arena.bridge.trials import OWNER
from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import Conflict, Forbidden
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.recording.cycles import find_cycle
from lerobot_arena.recording.pictures import jpeg_at
from lerobot_arena.recording.reader import ALL, Recording, find_topic
from lerobot_arena.recording.slicing import Slice, Slicer

router = APIRouter(tags=["Recordings"])

_LARGEST = 2**63 - 1
_LATEST_S = 9_000_000_000.0
SessionId = Annotated[str, Path(max_length=255)]
StartCycle = Annotated[int, Query(ge=0, le=_LARGEST, description="First cycle to include.")]
EndCycle = Annotated[int, Query(ge=ALL, le=_LARGEST, description="Last cycle to include; -1: all.")]
OutcomeQuery = Annotated[
    Literal["reject", "clamp", "pass"] | None, Query(description="A FAULT counts as reject.")
]
LevelQuery = Literal["NORMAL", "ELEVATED", "CRITICAL", "EMERGENCY"]


async def _is_secret(
    session_id: SessionId, request: Request, services: ServicesDep, caller: PrincipalDep
) -> bool:
    if caller.sees(OWNER):
        return False
    arena, voter = services.published.arena, voter_of(caller, request)
    return await asyncio.to_thread(arena.is_secret, session_id, voter)


SecretDep = Annotated[bool, Depends(_is_secret)]
"""The recording is of a blind trial on which the caller may still vote."""


@router.get("/mcap/sessions")
async def list_recordings(services: ServicesDep) -> dict[str, Any]:
    """All recordings, the newest first. Files that are damaged say so, and what is whole in them is counted."""
    entries = await asyncio.to_thread(services.recordings.all)
    return {"sessions": [listed(entry) for entry in entries]}


@router.get("/mcap/sessions/{session_id}")
async def get_recording(session_id: SessionId, services: ServicesDep, is_secret: SecretDep) -> dict[str, Any]:
    """One recording, from the index: the files are not read. Of a trial that one may vote on it names no policy."""
    return detailed(await asyncio.to_thread(services.recordings.get, session_id), is_secret=is_secret)


@router.delete("/mcap/sessions/{session_id}")
async def delete_recording(session_id: SessionId, services: ServicesDep) -> dict[str, str]:
    """Delete a recording with all its files; 409 while it is being recorded."""
    await asyncio.to_thread(services.recordings.delete, session_id)
    return {"message": f"Recording {session_id} deleted"}


@router.get("/mcap/sessions/{session_id}/download", response_class=StreamingResponse)
async def download(
    session_id: SessionId,
    services: ServicesDep,
    is_secret: SecretDep,
    start_cycle: StartCycle = 0,
    end_cycle: EndCycle = ALL,
    topics: Annotated[
        str | None, Query(max_length=20_000, description="Comma-separated channels; absent: all.")
    ] = None,
    from_byte: Annotated[
        int, Query(ge=0, le=_LARGEST, description="After a break: how many bytes are there; with If-Match.")
    ] = 0,
    if_match: Annotated[str | None, Header(max_length=100)] = None,
) -> StreamingResponse:
    """One MCAP file with these cycles and channels, made while it is sent; of several files as of one.

    Messages that name no cycle belong to the cycle recorded next. Channels keep their ROS names in the file. The same
    request makes the same bytes as long as its ETag is the same: 409 when `If-Match` names another.
    """
    if is_secret:
        raise Forbidden(
            f"Recording {session_id} would tell which policy ran: vote on its trial first, or wait until the trial is "
            "closed."
        )
    slicer = await asyncio.to_thread(
        _planned, lambda: services.recordings.open(session_id), start_cycle, end_cycle, topics
    )
    tag = slice_tag(slicer)
    if if_match is not None and if_match != tag:
        slicer.close()
        raise Conflict(f"Recording {session_id} is not what it was: download it from its beginning.")
    name = slicer.recording.files[0].source.path.name
    headers = {"Content-Disposition": f'attachment; filename="{_ascii(name)}"', "ETag": tag}
    return StreamingResponse(_sent(slicer, from_byte), media_type="application/octet-stream", headers=headers)


def _planned(open_it: Callable[[], Recording], start: int, end: int, topics: str | None) -> Slicer:
    with unprocessable():
        wanted = Slice(start, end)
    recording = open_it()
    try:
        if topics is not None:
            names = [name.strip() for name in topics.split(",") if name.strip()]
            known = recording.topics
            with unprocessable():
                chosen = frozenset(find_topic(name, known, recording.arm) for name in names)
            wanted = Slice(start, end, chosen)
        return Slicer(recording, wanted)
    except BaseException:
        recording.close()
        raise


def _sent(slicer: Slicer, skipped: int = 0) -> Iterator[bytes]:
    try:
        for part in slicer.parts():
            if rest := part[skipped:]:
                yield rest
            skipped = max(skipped - len(part), 0)
    finally:
        slicer.close()


def _ascii(name: str) -> str:
    return "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\' else "_" for char in name
    )


@router.get("/mcap/sessions/{session_id}/cycles")
async def list_cycles(
    session_id: SessionId,
    services: ServicesDep,
    start_cycle: StartCycle = 0,
    end_cycle: EndCycle = ALL,
    outcome: OutcomeQuery = None,
    min_risk_level: LevelQuery = "NORMAL",
    limit: Annotated[int, Query(ge=1, le=5000)] = 100,
) -> Response:
    """Cycles in order; `next_cycle` is where to go on, null at the end."""
    with unprocessable():
        Slice(start_cycle, end_cycle)

    def look(recording: Recording) -> dict[str, Any]:
        lines = list(
            cycle_lines(
                recording,
                start=start_cycle,
                end=end_cycle,
                outcome=outcome,
                min_risk=RiskLevel[min_risk_level],
                limit=limit + 1,
            )
        )
        following = lines[limit]["cycle_id"] if len(lines) > limit else None
        return {"cycles": lines[:limit], "count": min(limit, len(lines)), "next_cycle": following}

    return await looked_at(lambda: services.recordings.open(session_id), look)


@router.get("/mcap/sessions/{session_id}/cycles/{cycle_id}")
async def get_cycle(
    session_id: SessionId, cycle_id: Annotated[int, Path(ge=0, le=_LARGEST)], services: ServicesDep
) -> Response:
    """One cycle as the risk log tells it, whatever its outcome, and when it was recorded."""

    def look(recording: Recording) -> dict[str, Any]:
        found = find_cycle(recording, cycle_id)
        event = risk_event(found.record, recording.arm, mcap_filename=found.filename)
        event["observation"]["scores"] = [
            {"name": score.name, "value": score.value, "threshold": score.threshold}
            for score in found.record.scores
        ]
        return {
            **event, "recording_id": session_id, "log_time": found.log_ns / NS, "cameras": sorted(recording.cameras),
        }  # fmt: skip

    return await looked_at(lambda: services.recordings.open(session_id), look)


@router.get("/mcap/sessions/{session_id}/frame", response_class=Response)
async def get_frame(
    session_id: SessionId,
    services: ServicesDep,
    camera: Annotated[str, Query(max_length=255, description="As in the recording's `cameras`.")],
    time: Annotated[
        float | None,
        Query(ge=0, le=_LATEST_S, allow_inf_nan=False, description="Seconds since 1970; absent: the first."),
    ] = None,
    cycle_id: Annotated[int | None, Query(ge=0, le=_LARGEST, description="Instead of a time.")] = None,
) -> Response:
    """The camera's last picture until then as JPEG; its time is in the header `X-Log-Time`."""

    def look() -> tuple[bytes, int]:
        recording = services.recordings.open(session_id)
        try:
            at_ns = round((time or 0.0) * NS)
            if cycle_id is not None:
                at_ns = find_cycle(recording, cycle_id).log_ns
            with unprocessable():
                return jpeg_at(recording, camera, at_ns)
        finally:
            recording.close()

    data, log_ns = await asyncio.to_thread(look)
    return Response(data, media_type="image/jpeg", headers={"X-Log-Time": f"{log_ns / NS:.9f}"})


async def looked_at(
    open_it: Callable[[], Recording], look: Callable[[Recording], dict[str, Any]]
) -> Response:
    def run() -> dict[str, Any]:
        with open_it() as recording:
            return look(recording)

    return Response(orjson.dumps(await asyncio.to_thread(run)), media_type="application/json")
