# SPDX-License-Identifier: Apache-2.0
"""The scripts of the set-up, on machines that lack something (played by a PATH of its own)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import lerobot_arena

_ROOT = Path(lerobot_arena.__file__).resolve().parent.parent
_TOOLS = ("sh", "ls", "sort", "sed", "uname", "grep", "test", "env", "bash", "touch", "mkdir", "awk", "find")

pytestmark = pytest.mark.skipif(not (_ROOT / "Makefile").is_file(), reason="installed without its sources")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder for PATH with the shell's tools and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in _TOOLS:
        found = shutil.which(name)
        if found is not None:
            (folder / name).symlink_to(found)
    return folder


def _script(path: Path, body: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _run(*command: str, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean: Mapping[str, str] = {"PATH": str(path), "HOME": str(path), **environment}
    return subprocess.run(command, env=clean, cwd=_ROOT, capture_output=True, text=True, check=False)


def _find_python(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return _run(str(_ROOT / "scripts" / "find_python"), path=path, **environment)


def test_a_python_that_does_not_run_is_passed_over(bare_path: Path) -> None:
    _script(bare_path / "python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    (bare_path / "python3").symlink_to(Path(sys.executable).resolve())
    found = _find_python(bare_path)
    assert (found.returncode, found.stdout.strip()) == (0, str(bare_path / "python3"))


def test_pyenvs_versions_are_looked_into(bare_path: Path) -> None:
    folder = bare_path / ".pyenv" / "versions" / "3.12.9" / "bin"
    folder.mkdir(parents=True)
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    assert _find_python(bare_path).stdout.strip() == str(folder / "python3")


def test_no_python_says_what_to_install(bare_path: Path) -> None:
    found = _find_python(bare_path)
    assert found.returncode != 0 and "apt-get install python3" in found.stderr


def test_off_x86_64_says_to_source_ros(bare_path: Path) -> None:
    _script(bare_path / "uname", 'case "$1" in -s) echo Linux ;; *) echo aarch64 ;; esac')
    found = _find_python(bare_path)
    assert found.returncode != 0 and "source it first" in found.stderr and "aarch64" in found.stderr


def test_a_sourced_ros_that_no_python_can_use_is_named(bare_path: Path) -> None:
    _script(bare_path / "python3", "exit 1")
    found = _find_python(bare_path, ROS_DISTRO="humble", PYTHON=str(bare_path / "python3"))
    assert found.returncode != 0 and "Jazzy or newer" in found.stderr


def test_missing_packages_are_named_with_the_command(bare_path: Path) -> None:
    script = str(_ROOT / "scripts" / "check_system")
    checked = _run(script, sys.executable, "test", path=bare_path)
    assert checked.returncode != 0
    assert "g++: compiles the messages" in checked.stderr
    assert "apt-get install" in checked.stderr and "chromium" in checked.stderr
    listed = _run(script, sys.executable, "test", "--list", path=bare_path)
    assert listed.returncode == 0 and {"g++", "make", "chromium"} <= set(listed.stdout.split())


def test_a_machine_that_has_everything_is_let_through() -> None:
    if os.environ.get("ROS_DISTRO") or not shutil.which("chromium"):
        pytest.skip("this machine lacks something")
    script = str(_ROOT / "scripts" / "check_system")
    subprocess.run([script, sys.executable, "test"], check=True)


@pytest.mark.skipif(not shutil.which("make"), reason="make is missing")
def test_make_refuses_a_venv_of_the_other_kind(bare_path: Path, tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    (bare_path / "make").symlink_to(make)
    stamps = tmp_path / "venv" / "stamps"
    stamps.mkdir(parents=True)
    (stamps / "venv-sourced").touch()
    refused = _run("make", "setup", f"VENV={tmp_path / 'venv'}", path=bare_path)
    assert refused.returncode != 0 and "make clean" in refused.stderr


def test_red_tests_do_not_keep_the_whole_stacks_from_running(tmp_path: Path) -> None:
    _script(tmp_path / "python", f'echo "$*" >> {tmp_path}/calls; exit 3')
    make = ["make", "-o", "setup-test", "test", f"BIN={tmp_path}"]
    ran = subprocess.run(make, cwd=_ROOT, capture_output=True, text=True, check=False)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert ran.returncode != 0 and len(calls) == 2, ran.stdout + ran.stderr
    assert "--ignore test/e2e" in calls[0] and calls[1].endswith("pytest test/e2e")
