# SPDX-License-Identifier: Apache-2.0
"""The votes as they are downloaded, read back; and the table as everybody is shown it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.arena.ballots import Trial
from lerobot_arena.platform.arena.leaderboard import Table, table_of
from lerobot_arena.platform.arena.ratings import WINNERS, Standing

_KEYS = {field.name for field in fields(Trial)}
# Downloads of before it was noted lack it.
_LATER = {"network": ""}


@dataclass(frozen=True, slots=True)
class Download:
    """All votes, oldest first, and the titles of every policy that is in the table, by its name."""

    titles: Mapping[str, str]
    trials: Iterable[Trial]


def lines(download: Download) -> Iterator[bytes]:
    """JSON lines: the policies, then the votes."""
    for policy, title in sorted(download.titles.items()):
        yield json.dumps({"policy": policy, "title": title}).encode() + b"\n"
    for trial in download.trials:
        yield json.dumps(asdict(trial)).encode() + b"\n"


def read_download(path: Path) -> Download:
    """What `lines` wrote. Raises InvalidInput naming the line that is none of it."""
    try:
        return _read(path.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is no download of votes: {error}.") from error


def _read(texts: Iterable[str]) -> Download:
    titles: dict[str, str] = {}
    trials = []
    for number, text in enumerate(texts, 1):
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"line {number} is no object")
        if "policy" in found:
            titles[str(found["policy"])] = str(found.get("title", found["policy"]))
        else:
            trials.append(_trial(found, number))
    return Download(titles, trials)


def _trial(found: dict[str, Any], number: int) -> Trial:
    found = {**_LATER, **found}
    if missing := _KEYS - found.keys():
        raise ValueError(f"line {number} has no {', '.join(sorted(missing))}")
    if found["winner"] not in WINNERS or not isinstance(found["at"], int | float):
        raise ValueError(f"line {number} has a winner or a time that no vote has")
    values: dict[str, Any] = {name: found[name] if name == "at" else str(found[name]) for name in _KEYS}
    return Trial(**values)


def shown_table(download: Download) -> dict[str, Any]:
    """The table of a download, as the server shows it."""
    return shown(table_of(download.trials, list(download.titles)), download.titles)


def shown(table: Table, titles: Mapping[str, str]) -> dict[str, Any]:
    """Seed 2's Leaderboard. A policy that was deleted goes by its name."""
    return {
        "updated_at": iso(table.updated_at),
        "winner": table.standings.winner,
        "entries": [_entry(row, titles.get(row.policy, row.policy)) for row in table.standings.rows],
    }


def _entry(row: Standing, title: str) -> dict[str, Any]:
    return {
        "policy_ref": row.policy,
        "title": title,
        "rating": round(row.rating, 1),
        "wins": row.wins,
        "losses": row.losses,
        "ties": row.ties,
        "counted_votes": row.counted_votes,
        "confidence_low": None if row.low is None else round(row.low, 1),
        "confidence_high": None if row.high is None else round(row.high, 1),
    }


def iso(instant: float | None) -> str | None:
    """Seconds since the epoch as an ISO date-time in UTC."""
    return (
        None if instant is None else datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")
    )
