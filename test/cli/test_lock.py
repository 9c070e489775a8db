# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lerobot_arena.cli.supervisor.lock import held, lock_paths, owner_of
from lerobot_arena.core.errors import Conflict

HOLD = """
import sys, time
from pathlib import Path
from lerobot_arena.cli.supervisor.lock import held
with held([Path(sys.argv[1])], owner={"arm": "left", "port": 8123}):
    print("held", flush=True)
    time.sleep(60)  # until it is killed
"""


def test_a_second_run_is_told_who_holds_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run" / "arena.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        assert owner_of(path) == {"pid": other.pid, "arm": "left", "port": 8123}
        with (
            pytest.raises(Conflict, match=rf"process {other.pid}, arm left, port 8123"),
            held([path], owner={}),
        ):
            pass
        other.kill()
    assert owner_of(path) is None
    with held([path], owner={"arm": "left"}):
        assert owner_of(path) == {"pid": os.getpid(), "arm": "left"}
    assert owner_of(path) is None


def test_a_refused_run_gives_back_what_it_already_took(tmp_path: Path) -> None:
    free, taken = tmp_path / "a.lock", tmp_path / "b.lock"
    with held([taken], owner={}):
        with pytest.raises(Conflict), held([free, taken], owner={}):
            pass
        assert owner_of(free) is None


def test_the_same_arm_is_taken_once_per_ros_domain_whatever_the_data_folder(tmp_path: Path) -> None:
    one = lock_paths(tmp_path / "a", "arm", {"ROS_DOMAIN_ID": "5"})
    two = lock_paths(tmp_path / "b", "arm", {"ROS_DOMAIN_ID": "5"})
    other_domain = lock_paths(tmp_path / "c", "arm", {})
    assert one[1] == two[1] != other_domain[1]
    assert len({one[0], two[0], other_domain[0]}) == 3
