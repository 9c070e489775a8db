# SPDX-License-Identifier: Apache-2.0
"""The build step of the messages: what makes it start over, what it replaces, and what comes out."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lerobot_arena

_ROOT = Path(lerobot_arena.__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not (_ROOT / "setup.py").is_file(), reason="installed without its sources")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location("build_messages", _ROOT / "msg" / "build_messages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sources = tmp_path / "msg"
    sources.mkdir()
    (sources / "Kept.msg").touch()
    monkeypatch.setattr(module, "SOURCES", sources)
    return module


def test_a_removed_message_or_another_ros_starts_the_build_over(build: ModuleType, tmp_path: Path) -> None:
    (build.SOURCES / "Gone.msg").touch()
    with_both = build._fingerprint(tmp_path)
    assert build._fingerprint(tmp_path) == with_both
    assert build._fingerprint(tmp_path / "other") != with_both
    (build.SOURCES / "Gone.msg").unlink()
    assert build._fingerprint(tmp_path) != with_both


def _staged(folder: Path, *, modules: dict[str, str]) -> Path:
    (folder / "msg").mkdir(parents=True)
    (folder / "lerobot_arena_s__rosidl_typesupport_c.so").write_bytes(b"new")
    for name, text in {"__init__.py": "names = 1\n", **modules}.items():
        (folder / "msg" / name).write_text(text)
    return folder


def test_the_copy_replaces_what_changed_and_removes_what_went(build: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "msg").mkdir(parents=True)
    (target / "msg" / "_gone.py").touch()
    same, changed = target / "msg" / "_same.py", target / "lerobot_arena_s__rosidl_typesupport_c.so"
    same.write_text("x = 1\n")
    changed.write_bytes(b"old")
    untouched, mapped = same.stat(), changed.stat()
    build._copy_python_part(_staged(tmp_path / "stage", modules={"_same.py": "x = 1\n"}), target)
    assert not (target / "msg" / "_gone.py").exists()
    assert same.stat() == untouched
    assert changed.read_bytes() == b"new" and changed.stat().st_ino != mapped.st_ino
    assert (target / "msg" / "__init__.py").read_text().endswith("\nnames = 1\n")


def test_a_failed_command_shows_its_output_and_the_packages_it_needs(
    build: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "print('no compiler'); raise SystemExit(1)"
    with pytest.raises(SystemExit, match=r"apt-get install g\+\+"):
        build._run([sys.executable, "-c", code], environment={})
    assert "no compiler" in capsys.readouterr().err


@pytest.mark.ros
def test_every_message_file_is_importable() -> None:
    import lerobot_arena.msg as built

    assert {path.stem for path in (_ROOT / "msg").glob("*.msg")} <= set(dir(built))


@pytest.mark.ros
@pytest.mark.usefixtures("ros_domain")
def test_two_processes_exchange_a_message() -> None:
    script = _ROOT / "scripts" / "exchange_message.py"
    subprocess.run([sys.executable, str(script)], check=True, timeout=100)
