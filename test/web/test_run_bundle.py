# SPDX-License-Identifier: Apache-2.0
"""The run page's bundle: current, self-contained, runnable without eval, and no larger than it has to be.

That a fresh build gives the same bytes is checked with the first page's (test_bundle.py).
"""

import gzip
import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
BUNDLE = ROOT / "lerobot_arena" / "bridge" / "ui" / "run"
# As in web/vite.run.config.js.
SOURCES = (
    "package-lock.json",
    "package.json",
    "public",
    "run",
    "src/address.ts",
    "src/dom.ts",
    "src/format.ts",
    "src/style/base.css",
    "tsconfig.json",
    "vite.run.config.js",
)
MAX_SCRIPT_BYTES = 1_000_000
MAX_ENGINE_BYTES = 5_500_000
WASM_MAGIC = b"\0asm\x01\0\0\0"


def test_the_committed_bundle_was_built_from_these_sources() -> None:
    files = [
        path
        for name in SOURCES
        for path in ([WEB / name] if (WEB / name).is_file() else (WEB / name).rglob("*"))
    ]
    digest = hashlib.sha256()
    for path in sorted(filter(Path.is_file, files), key=lambda path: path.relative_to(WEB).as_posix()):
        digest.update(f"{path.relative_to(WEB).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    built_from = (BUNDLE / "sources.sha256").read_text().strip()
    assert built_from == digest.hexdigest(), "web/ changed: run `make web` and commit lerobot_arena/bridge/ui"


def test_the_page_loads_nothing_from_elsewhere_and_evaluates_nothing() -> None:
    page = (BUNDLE / "index.html").read_text()
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert linked and [link for link in linked if not link.startswith("/ui/run/")] == []
    assert all((BUNDLE / link.removeprefix("/ui/run/")).is_file() for link in linked)
    assert not re.search(r"<style|<script(?![^>]*src=)|\sstyle=|\son[a-z]+=", page)
    for script in BUNDLE.glob("*.js"):
        code = script.read_text()
        assert not re.search(r"new Function\b|\beval\(", code), script.name
        assert not re.search(r"import\(\s*[\"']https?:|cdn\.|unpkg|jsdelivr", code), script.name


def test_the_engines_are_webassembly_without_debug_sections_in_few_megabytes() -> None:
    engines = sorted((BUNDLE / "engine").glob("*.gz"))
    assert [path.name for path in engines] == ["mujoco.wasm.gz", "onnxruntime.wasm.gz"]
    assert sum(path.stat().st_size for path in engines) < MAX_ENGINE_BYTES
    for path in engines:
        binary = gzip.decompress(path.read_bytes())
        assert binary.startswith(WASM_MAGIC)
        assert b".debug_info" not in binary
    assert sum(script.stat().st_size for script in BUNDLE.glob("*.js")) < MAX_SCRIPT_BYTES


def test_the_licences_of_what_is_inside_are_told() -> None:
    text = (BUNDLE / "licenses.md").read_text() + (BUNDLE / "engine" / "notices.md").read_text()
    for holder in ("three.js authors", "Microsoft Corporation", "DeepMind", "Arjun Barrett"):
        assert holder in text, holder


def test_the_browser_has_the_physics_of_the_server() -> None:
    locked = json.loads((WEB / "package-lock.json").read_text())["packages"]
    version = locked["node_modules/@mujoco/mujoco"]["version"]
    assert f'"mujoco=={version}"' in (ROOT / "setup.py").read_text()
