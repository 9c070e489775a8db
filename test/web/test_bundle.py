# SPDX-License-Identifier: Apache-2.0
"""The committed page is what web/ builds, small, self-contained and free of one machine's addresses."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
BUNDLE = ROOT / "lerobot_arena" / "bridge" / "ui"
# As in web/vite.config.js.
SOURCES = (
    "index.html",
    "package-lock.json",
    "package.json",
    "public",
    "src",
    "tsconfig.json",
    "vite.config.js",
)
MAX_BUNDLE_BYTES = 300_000
OLDEST_NODE = (20, 19)


def _sources() -> list[Path]:
    files: list[Path] = []
    for name in SOURCES:
        path = WEB / name
        files += [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]
    return sorted(files, key=lambda path: path.relative_to(WEB).as_posix())


def _files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _node_version() -> tuple[int, int] | None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        return None
    said = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    match = re.match(r"v(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else None


def test_the_committed_bundle_was_built_from_these_sources() -> None:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(f"{path.relative_to(WEB).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    built_from = (BUNDLE / "sources.sha256").read_text().strip()
    assert built_from == digest.hexdigest(), "web/ changed: run `make web` and commit lerobot_arena/bridge/ui"


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = (BUNDLE / "index.html").read_text()
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert linked
    assert [link for link in linked if not link.startswith("/ui/")] == []
    for link in linked:
        assert (BUNDLE / link.removeprefix("/ui/")).is_file(), link
    style = (BUNDLE / "app.css").read_text()
    assert re.findall(r"(?:url\(|@import)[^)]*", style) == []


def test_the_bundle_is_small_and_names_its_licences() -> None:
    # What lies below it are bundles of their own: test_run_bundle.py, test_pages_bundle.py.
    files = {name: content for name, content in _files_of(BUNDLE).items() if "/" not in name}
    assert sum(len(content) for content in files.values()) < MAX_BUNDLE_BYTES
    assert "Leon Sorokin" in (BUNDLE / "licenses.md").read_text()
    assert all(not re.search(r"-[A-Za-z0-9_-]{8}\.(js|css)$", name) for name in files), "names carry hashes"


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert lock["packages"]
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []


@pytest.mark.slow
def test_a_fresh_build_is_the_committed_bundle(tmp_path: Path) -> None:
    version = _node_version()
    if version is None or version < OLDEST_NODE:
        pytest.skip(f"needs npm and Node {'.'.join(map(str, OLDEST_NODE))} or newer, found {version}")
    web = tmp_path / "web"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules"))
    _npm(web, "ci")
    _npm(web, "run", "build")
    assert _files_of(tmp_path / "lerobot_arena" / "bridge" / "ui") == _files_of(BUNDLE)


def _npm(folder: Path, *words: str) -> None:
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    done = subprocess.run(
        ["npm", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=110
    )
    if re.search(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT", done.stderr) and not os.environ.get("CI"):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr + done.stdout
