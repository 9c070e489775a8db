# SPDX-License-Identifier: Apache-2.0
"""Seed 2's datasets: MP4s that are uploaded, listed, played and deleted by whoever uploaded them."""

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Header, Path, Query, UploadFile
from fastapi.responses import Response, StreamingResponse

from lerobot_arena.bridge.byte_range import byte_range
from lerobot_arena.bridge.dataset_answers import MIME_TYPE, record_answer
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.bridge.uploads import on_disk, safe_name
from lerobot_arena.core.errors import NotFound
from lerobot_arena.platform.datasets.record import DatasetRecord

router = APIRouter(prefix="/api/datasets", tags=["Datasets"])

Text = Annotated[str | None, Form(max_length=20_000)]
RecordId = Annotated[str, Path(max_length=40)]
_NO_FILE = "There is no such file, or its link has expired: list the records anew."


@router.get("/uploads", summary="List uploaded dataset records")
async def list_records(services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """The caller's records, newest first; an admin's list has everybody's."""
    published = services.published
    owner = None if caller.sees_all else caller.name
    records = await published.desk.ask(lambda: published.datasets.of(owner))
    return {"items": [record_answer(record, published.links) for record in records]}


@router.post("/uploads", status_code=201, summary="Upload MP4 dataset records", response_model=None)
async def upload_records(
    services: ServicesDep,
    caller: PrincipalDep,
    title: Text = None,
    description: Text = None,
    kind: Text = None,
    files: Annotated[list[UploadFile] | None, File(description="MP4 videos.")] = None,
) -> dict[str, Any]:
    """One record for each file. One that is no whole MP4 refuses them all, and nothing is kept."""
    published, sent = services.published, files or []
    names = [safe_name(file.filename, "video.mp4") for file in sent]
    fields = {"title": title, "description": description, "kind": kind}

    def work() -> list[DatasetRecord]:
        published.datasets.check_sizes(
            [(name, file.size or 0) for name, file in zip(names, sent, strict=True)]
        )
        uploads = {str(index): file for index, file in enumerate(sent)}
        with on_disk(uploads, services.settings.data_dir / "uploads") as found:
            return published.datasets.upload(caller.name, fields, list(found.values()))

    records = await published.large.ask(work, account=caller.name)
    return {"items": [record_answer(record, published.links) for record in records]}


@router.delete("/uploads/{record_id}", summary="Delete a dataset record")
async def delete_record(record_id: RecordId, services: ServicesDep, caller: PrincipalDep) -> dict[str, Any]:
    """Delete one's own record and its file."""
    published = services.published

    def work() -> None:
        record = published.datasets.get(record_id)
        caller.check_sees(record.owner, "Dataset record")
        published.datasets.delete(record)

    # It waits for the uploads that are under way.
    await published.large.ask(work)
    return {"ok": True}


@router.get("/files/{record_id}/{name}", response_class=StreamingResponse, summary="Play a dataset's video")
async def get_file(
    record_id: RecordId,
    name: Annotated[str, Path(max_length=200)],
    services: ServicesDep,
    caller: PrincipalDep,
    until: Annotated[int, Query(ge=0, le=10**12)] = 0,
    signature: Annotated[str, Query(max_length=100)] = "",
    requested: Annotated[str | None, Header(alias="Range", max_length=100)] = None,
) -> Response:
    """The file, for its owner, an admin, or whoever has its `fileUrl` while that lasts; ranges as browsers ask."""
    datasets = services.published.datasets
    is_signed = services.published.links.is_good(record_id, until, signature)
    try:
        record = await services.published.desk.ask(lambda: datasets.get(record_id))
    except NotFound:
        raise NotFound(_NO_FILE) from None
    if name != record.file_name or not (is_signed or caller.sees(record.owner)):
        raise NotFound(_NO_FILE)
    part = byte_range(requested, record.size)
    if part is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{record.size}"})
    headers = {**part.headers(), "ETag": f'"{record.sha256}"', "Cache-Control": "private, max-age=3600"}
    blocks = await services.published.desk.ask(
        lambda: datasets.blobs.read(record.sha256, part.begin, part.end)
    )
    return StreamingResponse(blocks, 206 if part.is_part else 200, headers, MIME_TYPE)
