# SPDX-License-Identifier: Apache-2.0
"""Seed 3's risk log: what the guards changed or refused, when the risk changed, what recorders said."""

import asyncio
import csv
import io
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response, StreamingResponse

from lerobot_arena.bridge.deps import ServicesDep, SightDep
from lerobot_arena.bridge.risk_store import RiskFilter, one_outcome
from lerobot_arena.core.errors import NotFound
from lerobot_arena.core.risk import RiskLevel

router = APIRouter(prefix="/api/risk-log", tags=["Risk log"])

CSV_COLUMNS = (
    "event_id", "timestamp", "cycle_id", "trace_id", "risk_level", "outcome", "was_clamped", "was_rejected",
    "fallback_triggered", "total_latency_ms",
)  # fmt: skip

Stamp = Annotated[float | None, Query(allow_inf_nan=False, description="Seconds since 1970.")]


def _filter(
    sight: SightDep,
    since: Stamp = None,
    until: Stamp = None,
    min_risk_level: Literal["NORMAL", "ELEVATED", "CRITICAL", "EMERGENCY"] | None = None,
    outcome: Annotated[
        Literal["reject", "clamp", "pass"] | None, Query(description="A FAULT counts as reject.")
    ] = None,
    failure_type: Literal["hardware_triggered", "ood_only", "guard_triggered", "recorder"] | None = None,
    rejected_only: Annotated[bool, Query(description="The same as outcome=reject.")] = False,
    clamped_only: Annotated[bool, Query(description="The same as outcome=clamp.")] = False,
    arm: Annotated[str | None, Query(max_length=256)] = None,
    session_id: Annotated[str | None, Query(max_length=64)] = None,
) -> RiskFilter:
    return RiskFilter(
        since,
        until,
        RiskLevel[min_risk_level] if min_risk_level is not None else None,
        one_outcome(outcome, rejected_only=rejected_only, clamped_only=clamped_only),
        failure_type,
        arm,
        session_id,
        sight.virtual_arms(),
    )


Wanted = Annotated[RiskFilter, Depends(_filter)]


@router.get("")
async def list_events(
    services: ServicesDep, wanted: Wanted, limit: Annotated[int, Query(ge=1, le=5000)] = 100
) -> Response:
    """The newest events first; all filters that are given have to hold."""
    events = await asyncio.to_thread(services.risk_store.newest, wanted, limit)
    return _json({"events": events, "count": len(events)})


@router.get("/stats")
async def stats(services: ServicesDep, wanted: Wanted) -> dict[str, Any]:
    """Counts by outcome and risk level, and the mean cycle time in ms; `dropped` could not be kept."""
    found = await asyncio.to_thread(services.risk_store.stats, wanted)
    return {**found, "dropped": services.risk_log.dropped}


@router.get("/export/json", response_class=StreamingResponse)
async def export_json(services: ServicesDep, wanted: Wanted) -> StreamingResponse:
    """Every event, oldest first, as risk_log.json."""
    return _download(_json_lines(services.risk_store.each(wanted)), "application/json", "risk_log.json")


@router.get("/export/csv", response_class=StreamingResponse)
async def export_csv(services: ServicesDep, wanted: Wanted) -> StreamingResponse:
    """Every event, oldest first, as risk_log.csv: one line each, without the single guards' answers."""
    return _download(_csv_lines(services.risk_store.each(wanted)), "text/csv", "risk_log.csv")


@router.post("/clear")
async def clear(services: ServicesDep) -> dict[str, int]:
    """Delete every event."""
    return {"cleared": await asyncio.to_thread(services.risk_store.clear)}


@router.get("/{event_id}")
async def get_event(
    event_id: Annotated[int, Path(ge=-(2**63), lt=2**63)], services: ServicesDep, sight: SightDep
) -> Response:
    """One event."""
    wanted = RiskFilter(virtual_arms=sight.virtual_arms())
    event = await asyncio.to_thread(services.risk_store.get, event_id, wanted)
    if event is None:
        raise NotFound(f"The risk log has no event {event_id}; old ones are deleted in time.")
    return _json(event)


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _download(parts: Iterator[bytes], kind: str, name: str) -> StreamingResponse:
    return StreamingResponse(
        parts, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _json_lines(events: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    lead = b"[\n"
    for event in events:
        yield lead + orjson.dumps(event)
        lead = b",\n"
    yield b"[]\n" if lead == b"[\n" else b"\n]\n"


def _csv_lines(events: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for event in events:
        writer.writerow({**event, "total_latency_ms": event["latency_ms"].get("total")})
        yield _drained(text)
    yield _drained(text)


def _drained(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data
