# SPDX-License-Identifier: Apache-2.0
"""Policies from a Hugging Face hub: safetensors and JSON only, pinned to the commit that was found. Blocking."""

import os
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import InvalidInput, Unavailable

ALLOWED = ("*.safetensors", "*.json")
_ID = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(@(?P<revision>[\w][\w./-]{0,127}))?"
)


@dataclass(frozen=True, slots=True)
class HubReference:
    """`org/name` or `org/name@revision`."""

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubReference | None":
        """The reference, or None when the text is none."""
        match = _ID.fullmatch(text)
        if match is None or ".." in text:
            return None
        return cls(match["repo"], match["revision"])


class Hub:
    """Downloads into `folder/<org>--<name>@<commit>`, which appears only when it is whole."""

    def __init__(self, folder: Path, *, endpoint: str = "", max_bytes: int = 20_000_000_000) -> None:
        self._folder, self._endpoint, self._max_bytes = folder, endpoint or None, max_bytes
        self._lock = threading.Lock()

    def download(self, reference: HubReference) -> tuple[Path, str]:
        """(folder, commit). Raises InvalidInput when there is no such policy, Unavailable when the hub fails."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        if reference.revision and (pinned := self._target(reference.repo, reference.revision)).is_dir():
            return pinned, reference.revision
        api = HfApi(endpoint=self._endpoint)
        try:
            info = api.model_info(
                reference.repo, revision=reference.revision, files_metadata=True, timeout=20
            )
        except RepositoryNotFoundError as error:
            raise InvalidInput(
                f"The hub has no model {reference.repo!r}, or it needs a token (HF_TOKEN). "
                "A local policy must lie under ARENA_POLICY_ROOTS."
            ) from error
        except RevisionNotFoundError as error:
            raise InvalidInput(f"{reference.repo} has no revision {reference.revision!r}.") from error
        except Exception as error:  # the client of huggingface_hub (httpx or requests) raises its own kinds
            raise Unavailable(f"The hub cannot be asked for {reference.repo}: {_short(error)}") from error
        commit = str(info.sha or "")
        if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
            raise Unavailable(f"The hub named no commit for {reference.repo}.")
        self._check_files(reference.repo, info.siblings or [])
        return self._fetch(api, reference.repo, commit), commit

    def _target(self, repo: str, commit: str) -> Path:
        return self._folder / f"{repo.replace('/', '--')}@{commit.replace('/', '--')}"

    def _check_files(self, repo: str, siblings: list[Any]) -> None:
        kept = [item for item in siblings if str(item.rfilename).endswith((".safetensors", ".json"))]
        if not any(str(item.rfilename).endswith(".safetensors") for item in kept):
            raise InvalidInput(f"{repo} has no safetensors weights; other kinds are not loaded.")
        total = sum(int(item.size or 0) for item in kept)
        if total > self._max_bytes:
            raise InvalidInput(
                f"{repo} has {total / 1e9:.1f} GB of weights; ARENA_HUB_MAX_BYTES allows {self._max_bytes / 1e9:.1f}."
            )

    def _fetch(self, api: Any, repo: str, commit: str) -> Path:
        target = self._target(repo, commit)
        # One at a time: two sessions of the same policy would fetch the same files twice.
        with self._lock:
            if target.is_dir():
                return target
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=self._folder))
            try:
                api.snapshot_download(repo, revision=commit, local_dir=partial, allow_patterns=list(ALLOWED))
                shutil.rmtree(partial / ".cache", ignore_errors=True)
                os.replace(partial, target)
            except Exception as error:  # network, disk or hub: each has its own exception types
                raise Unavailable(f"Downloading {repo} failed: {_short(error)}") from error
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return target


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
