# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests. Imports neither rclpy nor torch, so that the pure tests run without them."""

import atexit
import contextlib
import fcntl
import importlib.util
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from lerobot_arena.ros.dds import apply_profile
from lerobot_arena.testing.postgres import postgres_folder

# Before a test module is imported: libraries read some of these then. What the caller set stays, but servers of tests
# are on this machine whatever proxy there is, and what tests leave in caches is theirs alone.
_SCRATCH = tempfile.mkdtemp(prefix="arena-test-home-")
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HOME", f"{_SCRATCH}/huggingface")
os.environ["XDG_CONFIG_HOME"] = f"{_SCRATCH}/config"
for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1,localhost,10.213.0.0/16")))
# RTPS ports above those of domain 101 collide with Linux's ephemeral ports; 70 and up are left to people.
_TEST_DOMAINS = range(1, 70)
# HYPOTHESIS_PROFILE=nightly looks a hundred times longer. No deadline: a busy machine is no defect.
# CI draws the same cases every time, so that chance's finds in one place don't judge a change in another; a person's
# machine and the nightly run draw new ones.
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("nightly", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def _what_is_missing() -> dict[str, str]:
    """Marker → why its tests cannot run here."""
    found = {name: importlib.util.find_spec(name) for name in ("rclpy", "lerobot", "lerobot_arena.msg")}
    missing = {}
    if found["rclpy"] is None or found["lerobot_arena.msg"] is None:
        missing["ros"] = "rclpy or this package's messages are missing: `make test` installs them"
    if found["lerobot"] is None:
        missing["lerobot"] = "lerobot is missing: `make test` installs it"
    if not any(shutil.which(name) for name in _CHROMIUM_NAMES):
        missing["browser"] = "no Chromium: `apt-get install chromium`"
    if postgres_folder() is None:
        missing["postgresql"] = "no PostgreSQL: `apt-get install postgresql`"
    return missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, except in CI, where everything has to be there."""
    if os.environ.get("CI"):
        return
    missing = _what_is_missing()
    for item in items:
        for marker in item.iter_markers():
            if marker.name in missing:
                item.add_marker(pytest.mark.skip(reason=missing[marker.name]))


@contextlib.contextmanager
def _own_domain(monkeypatch: pytest.MonkeyPatch, log_dir: Path) -> Iterator[int]:
    folder = Path(tempfile.gettempdir()) / f"lerobot_arena_test_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    # At random: what a killed process of the last test announced lives on in its domain for three seconds.
    for domain in random.sample(_TEST_DOMAINS, len(_TEST_DOMAINS)):
        with open(folder / str(domain), "w") as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
            monkeypatch.setenv("ROS_LOG_DIR", str(log_dir))
            environment = dict(os.environ)
            apply_profile(environment)
            for name in environment.keys() - os.environ.keys():
                monkeypatch.setenv(name, environment[name])
            yield domain
            return
    pytest.fail(f"All {len(_TEST_DOMAINS)} test domains are taken; see {folder}.")


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """A ROS domain no other test on this machine uses now; set in the environment with the local DDS profile.

    Processes started with `env=os.environ` share it. The claim is a file lock, so it ends with this process.
    """
    with _own_domain(monkeypatch, tmp_path / "ros_log") as domain:
        yield domain


@pytest.fixture(scope="module")
def module_ros_domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The same for all tests of a module that share one running stack."""
    with (
        pytest.MonkeyPatch.context() as patch,
        _own_domain(patch, tmp_path_factory.mktemp("ros_log")) as domain,
    ):
        yield domain


@pytest.fixture
def data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data folder, named in ARENA_DATA_DIR."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("ARENA_DATA_DIR", str(folder))
    return folder
