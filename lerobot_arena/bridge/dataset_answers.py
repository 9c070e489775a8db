# SPDX-License-Identifier: Apache-2.0
"""Seed 2's dataset records; what the probe found is added."""

from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from lerobot_arena.bridge.arena_answers import iso
from lerobot_arena.platform.datasets.links import Links
from lerobot_arena.platform.datasets.record import DatasetRecord

MIME_TYPE = "video/mp4"


def record_answer(record: DatasetRecord, links: Links) -> dict[str, Any]:
    """A DatasetRecord. Its `fileUrl` plays the video for about an hour, also where no header can be sent."""
    until, signature = links.sign(record.id)
    path = f"/api/datasets/files/{record.id}/{quote(record.file_name, safe='')}"
    return {
        "id": record.id,
        "owner": record.owner,
        "title": record.title,
        "description": record.description,
        "kind": record.kind,
        "fileName": record.file_name,
        "fileKey": record.file_key,
        "mimeType": MIME_TYPE,
        "fileUrl": f"{path}?until={until}&signature={signature}",
        "createdAt": iso(record.created_at),
        "updatedAt": iso(record.updated_at),
        "size": record.size,
        "sha256": record.sha256,
        "video": asdict(record.video),
    }
