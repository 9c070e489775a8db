# SPDX-License-Identifier: Apache-2.0
"""The bundles of the small public pages: current, self-contained, without inline style or script, and small.

That a fresh build gives the same bytes is checked with the first page's (test_bundle.py).
"""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
UI = ROOT / "lerobot_arena" / "bridge" / "ui"
PAGES = ("arena", "leaderboard", "owner")
# As in web/vite.pages.config.js.
SOURCES = (
    "arena",
    "leaderboard",
    "owner",
    "package-lock.json",
    "package.json",
    "pages",
    "public",
    "run/keys.ts",
    "src/address.ts",
    "src/credential.ts",
    "src/dom.ts",
    "src/format.ts",
    "src/json.ts",
    "src/poll.ts",
    "src/style/base.css",
    "tsconfig.json",
    "vite.pages.config.js",
)
MAX_BUNDLE_BYTES = 60_000


def _sources() -> list[Path]:
    named = [WEB / name for name in SOURCES]
    files = [path for name in named for path in ([name] if name.is_file() else name.rglob("*"))]
    return sorted(filter(Path.is_file, files), key=lambda path: path.relative_to(WEB).as_posix())


def test_no_source_is_left_out_of_the_digest() -> None:
    sources = set(_sources())
    for source in sources:
        # A type leaves nothing in the bundle.
        text = re.sub(r"import type [^;]*;", "", source.read_text(errors="replace"))
        for imported in re.findall(r"(?:from|import) '(\.[^']+)'", text):
            path = (source.parent / imported).resolve()
            assert {path, path.with_name(path.name + ".ts")} & sources, f"{source.name} imports {imported}"


@pytest.mark.parametrize("page", PAGES)
def test_the_committed_bundle_was_built_from_these_sources(page: str) -> None:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(f"{path.relative_to(WEB).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    built_from = (UI / page / "sources.sha256").read_text().strip()
    assert built_from == digest.hexdigest(), "web/ changed: run `make web` and commit lerobot_arena/bridge/ui"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_fits_the_strictest_headers(page: str) -> None:
    text = (UI / page / "index.html").read_text()
    head = text.partition("</head>")[0]
    linked = re.findall(r'(?:src|href)="([^"]+)"', head)
    assert linked and [link for link in linked if not link.startswith(f"/ui/{page}/")] == []
    assert all((UI / page / link.removeprefix(f"/ui/{page}/")).is_file() for link in linked)
    assert not re.search(r"<style|<script(?![^>]*src=)|\sstyle=|\son[a-z]+=", text)
    code = (UI / page / "app.js").read_text()
    assert not re.search(
        r"new Function\b|\beval\(|https?://(?!www\.w3\.org/2000/svg)|innerHTML|\.cssText", code
    )
    assert re.findall(r"(?:url\(|@import)[^)]*", (UI / page / "app.css").read_text()) == []
    assert sum(path.stat().st_size for path in (UI / page).iterdir()) < MAX_BUNDLE_BYTES
