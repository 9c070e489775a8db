# SPDX-License-Identifier: Apache-2.0
"""From uploaded videos to dataset records: all files of an upload are probed before any is kept. Blocking."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.platform.catalog.publishing import Upload
from lerobot_arena.platform.datasets.probe import VideoProbe
from lerobot_arena.platform.datasets.record import (
    DatasetRecord,
    VideoFacts,
    check_description,
    check_kind,
    check_title,
    new_id,
)
from lerobot_arena.platform.datasets.store import DatasetStore
from lerobot_arena.platform.storage.blobs import Blob, Blobs

MOST_FILES = 50


class Datasets:
    """Everybody's records. `blobs` holds nothing but their files."""

    def __init__(
        self,
        store: DatasetStore,
        blobs: Blobs,
        clock: Clock,
        *,
        most_file_bytes: int,
        probe: VideoProbe | None = None,
    ) -> None:
        self._store, self.blobs, self._clock = store, blobs, clock
        self._most_bytes, self._probe = most_file_bytes, probe or VideoProbe()
        self._keeping = threading.Lock()

    def upload(
        self, owner: str, fields: Mapping[str, str | None], files: Sequence[Upload]
    ) -> list[DatasetRecord]:
        """A record for each file, or none at all. Raises InvalidInput, which names the bad file."""
        title, kind = check_title(fields.get("title")), check_kind(fields.get("kind"))
        description = check_description(fields.get("description"))
        self.check_sizes([(file.name, file.path.stat().st_size) for file in files])
        probed = [self._probed(file) for file in files]
        now = self._clock.wall_ns() / NS
        kept: list[Blob] = []
        with self._keeping:
            try:
                for file in files:
                    kept.append(self._keep(file))
                records = [
                    DatasetRecord(
                        id=new_id(), owner=owner, title=title, description=description, kind=kind, file_name=file.name,
                        sha256=blob.sha256, size=blob.size, video=video, created_at=now, updated_at=now,
                    )
                    for file, blob, video in zip(files, kept, probed, strict=True)
                ]  # fmt: skip
                self._store.insert(records)
            except BaseException:
                with suppress(
                    ArenaError, SQLAlchemyError, OSError
                ):  # the caller has to know the first failure
                    self._drop([blob.sha256 for blob in kept])
                raise
        return records

    def check_sizes(self, files: Sequence[tuple[str, int]]) -> None:
        """Raises InvalidInput when there are too many, or one is empty or too large."""
        if not files:
            raise InvalidInput("files is missing: send at least one MP4 as multipart/form-data.")
        if len(files) > MOST_FILES:
            raise InvalidInput(f"There are {len(files)} files; {MOST_FILES} is the limit of one upload.")
        for name, size in files:
            if not size:
                raise InvalidInput(f"{name} is an empty file.")
            if size > self._most_bytes:
                raise InvalidInput(f"{name} has {size} bytes; {self._most_bytes} is the limit.")

    def of(self, owner: str | None) -> list[DatasetRecord]:
        """One owner's, or everybody's; newest first."""
        return self._store.of(owner)

    def get(self, record_id: str) -> DatasetRecord:
        """One record. Raises NotFound."""
        return self._store.get(record_id)

    def delete(self, record: DatasetRecord) -> None:
        """Forget a record, and its file when no other has the same."""
        with self._keeping:
            self._store.delete(record.id)
            self._drop([record.sha256])

    def _probed(self, file: Upload) -> VideoFacts:
        try:
            return self._probe.ask(file.path)
        except InvalidInput as error:
            said = str(error)
            raise InvalidInput(f"{file.name}: {said[:1].lower()}{said[1:]}") from error

    def _keep(self, file: Upload) -> Blob:
        with file.path.open("rb") as opened:
            return self.blobs.write_file(opened, max_bytes=self._most_bytes)

    def _drop(self, files: Sequence[str]) -> None:
        for sha256 in self._store.unused(files):
            self.blobs.delete(sha256)
