# SPDX-License-Identifier: Apache-2.0
"""The child in which foreign files are opened: what it cannot do, and that its end is a sentence."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import lerobot_arena
from lerobot_arena.core.errors import InvalidInput, TooMany, Unavailable
from lerobot_arena.platform.catalog import sandbox
from lerobot_arena.platform.catalog.limits import ChildLimits, MiB
from lerobot_arena.platform.catalog.sandbox import Sandbox
from lerobot_arena.testing.catalog_files import robot_zip

LIMITS = ChildLimits(memory_bytes=512 * MiB, cpu_s=5, wall_s=60.0)
SHORT = replace(LIMITS, cpu_s=1, wall_s=3.0)

_READY = "sys.path[:] = json.loads(sys.argv[1]); "
_EVIL = "import arena_evil; from lerobot_arena.platform.catalog import jobs; jobs.JOBS['evil'] = arena_evil.evil; "
Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Runs a body of Python as the child's job, with everything given up as for a real one."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def ask(body: str, limits: ChildLimits = LIMITS) -> dict[str, Any]:
        program = tmp_path / "arena_evil.py"
        code = textwrap.indent(textwrap.dedent(body), "    ")
        program.write_text(f"import os, socket, sys, time\ndef evil(question, files, folder):\n{code}\n")
        start = sandbox._START.replace(_READY, _READY + _EVIL)
        monkeypatch.setattr(sandbox, "_START", start)
        monkeypatch.syspath_prepend(str(tmp_path))
        try:
            return Sandbox(limits).ask("evil", {}, files={"program": program})
        finally:
            assert not list(folder.iterdir()), "the folder is gone, whatever happened"
            assert _ends_everything_of(tmp_path)

    return ask


def _ends_everything_of(folder: Path) -> bool:
    """Those that were killed take a moment to go."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not [item for item in psutil.process_iter(["cmdline"]) if str(folder) in str(item.info)]:
            return True
        time.sleep(0.02)  # how often it looks; processes end without telling us
    return False


def test_it_answers(asked: Asked) -> None:
    assert asked("return {'here': os.getcwd() == str(folder), 'listed': os.listdir('.')}") == {
        "here": True,
        "listed": [],
    }


def test_it_inherits_no_secrets(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_SECRET_KEY", "hunter2")
    told = asked("return {'env': dict(os.environ), 'argv': sys.argv}")
    assert "hunter2" not in json.dumps(told)
    assert set(told["env"]) <= {
        "LANG", "LC_CTYPE", "HOME", "TMPDIR", "MUJOCO_GL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    }  # fmt: skip


def test_it_inherits_no_open_files(asked: Asked, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)
        told = asked(
            """
            found = []
            for number in range(3, 200):
                try:
                    found.append(os.fstat(number).st_ino)
                except OSError:
                    pass
            return {'found': found}
            """
        )
        assert os.fstat(file.fileno()).st_ino not in told["found"]


has_landlock = subprocess.run(
    [sys.executable, "-c", "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))"],
    capture_output=True, text=True, check=True,
).stdout.strip() not in {"-1", "0"}  # fmt: skip
needs_landlock = pytest.mark.skipif(not has_landlock, reason="this kernel has no Landlock")
can_be_apart = subprocess.run(["unshare", "-Up", "--fork", "true"], check=False).returncode == 0


@needs_landlock
@pytest.mark.parametrize(
    "deed",
    [
        "open('/etc/passwd').read()",
        "os.listdir('/')",
        "os.listdir('/proc')",
        "open(f'/proc/{os.getppid()}/environ').read()",
        "open('../evil', 'w')",
        "open('/dev/shm/evil', 'w')",
        "os.mkdir('/tmp/arena-evil')",
        "os.symlink('/etc/passwd', 'link')",
        "os.mkfifo('pipe')",
        "os.rename('.', '../elsewhere')",
        "os.execv('/usr/bin/env', ['env'])",
        "os.kill(SERVER, 0)",
    ],
)
def test_what_the_kernel_forbids_it(asked: Asked, deed: str) -> None:
    deed = deed.replace("SERVER", str(os.getpid()))
    told = asked(
        f"try:\n    {deed}\nexcept OSError as error:\n    return {{'refused': error.errno}}\nreturn {{}}"
    )
    assert told.get("refused"), told


@needs_landlock
def test_it_reaches_nobody(asked: Asked) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = asked(
            f"""
            try:
                socket.create_connection(('127.0.0.1', {port}), timeout=2)
            except OSError as error:
                return {{'refused': error.errno}}
            return {{}}
            """
        )
    assert told.get("refused"), told


@pytest.mark.parametrize(
    ("deed", "says"),
    [
        ("bytearray(1 << 30)", "more memory to open than is allowed"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
        ("os._exit(0)", "without an answer"),
        ("os._exit(3)", "without an answer"),
        ("sys.exit('gone')", "without an answer"),
        ("raise ValueError('no such thing\\nat all')", "cannot be read: ValueError: no such thing at all"),
        ("(lambda f: f(f))(lambda f: f(f))", "nested too deeply"),
        ("return {'text': 'x' * (2 << 20)}", "more than it may"),
        ("return {'text': object()}", "without an answer"),
        ("open('large', 'wb').write(bytes(700 << 20))", "memory|cannot be read"),
        ("[open('/dev/null') for _ in range(1000)]", "Too many open files"),
        ("os.write(int(sys.argv[2]), b'{not json'); os._exit(0)", "without an answer"),
        ("os.write(int(sys.argv[2]), b'[' * 5000); os._exit(0)", "without an answer"),
        ("os.write(int(sys.argv[2]), b'{\"ok\": 1}'); os._exit(0)", "without an answer"),
    ],
)
def test_its_end_is_a_sentence(asked: Asked, deed: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        asked(deed)
    assert str(refused.value).endswith((".", ")")) and "\n" not in str(refused.value)


def test_it_has_only_so_much_computing_time(asked: Asked) -> None:
    with pytest.raises(InvalidInput, match="more than 1 s of computing"):
        asked("while True: pass", replace(LIMITS, cpu_s=1))


def test_it_has_only_so_much_time(asked: Asked) -> None:
    with pytest.raises(InvalidInput, match="longer than 3 s"):
        asked("time.sleep(60)", SHORT)


def test_what_it_starts_ends_with_it(asked: Asked) -> None:
    with pytest.raises(InvalidInput, match="without an answer" if can_be_apart else "longer than 3 s"):
        asked("for _ in range(3):\n    if os.fork() == 0: time.sleep(60)\nos._exit(0)", SHORT)


@pytest.mark.skipif(not can_be_apart, reason="no namespaces for processes are allowed here")
@pytest.mark.parametrize("end", ["os._exit(0)", "return {}", "time.sleep(60)", "os.abort()"])
def test_what_left_its_session_ends_with_it(asked: Asked, end: str) -> None:
    with suppress(InvalidInput):
        asked(f"if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n{end}", SHORT)


def test_a_control_loop_comes_first(asked: Asked) -> None:
    told = asked("return {'nice': os.nice(0), 'oom': open('/proc/self/oom_score_adj').read()}")
    assert told == {"nice": min(19, os.nice(0) + 10), "oom": "1000\n"}


def test_what_it_locks_away_is_removed(asked: Asked) -> None:
    body = "os.makedirs('a/b'); open('a/b/c', 'w').close(); os.chmod('a/b', 0); os.chmod('a', 0); return {}"
    assert asked(body) == {}


def test_a_path_of_this_machine_is_not_told(asked: Asked) -> None:
    with pytest.raises(InvalidInput) as refused:
        asked("raise ValueError(f'{folder}/x and {files[\"program\"]}')")
    assert str(refused.value) == "It cannot be read: ValueError: x and program."


def test_a_library_that_is_missing_is_not_the_files_fault(asked: Asked) -> None:
    with pytest.raises(Unavailable, match="install it"):
        asked("from lerobot_arena.core.errors import Unavailable; raise Unavailable('MuJoCo: install it.')")
    with pytest.raises(Unavailable, match="No module named 'mujoco_of_another_world'"):
        asked("import mujoco_of_another_world")


def test_only_so_many_at_once(tmp_path: Path) -> None:
    archive = tmp_path / "r.zip"
    archive.write_bytes(robot_zip())
    one = Sandbox(LIMITS, most_at_once=1, patience_s=0.1)
    assert one._free.acquire(blocking=False)
    with pytest.raises(TooMany):
        one.ask("robot", {}, files={"bundle": archive})
    one._free.release()


def test_it_ends_when_its_parent_does(tmp_path: Path) -> None:
    """A bridge that is killed leaves no child computing behind."""
    root = Path(lerobot_arena.__file__).parents[1]
    (tmp_path / "arena_evil.py").write_text("def evil(q, f, d):\n    import time\n    time.sleep(60)\n")
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        sys.path[:0] = [{str(root)!r}, {str(tmp_path)!r}]
        from lerobot_arena.platform.catalog import sandbox
        sandbox._START = sandbox._START.replace({_READY!r}, {_READY + _EVIL!r})
        sandbox.Sandbox().ask("evil", {{}}, files={{}})
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        child = _first_child(parent.pid)
        time.sleep(0.3)  # well into the child's work, so that the parent dies in its middle
    finally:
        parent.kill()
        parent.wait()
    gone, alive = psutil.wait_procs([child], timeout=5)
    assert gone and not alive


def _first_child(pid: int) -> psutil.Process:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            if "lerobot_arena.platform.catalog" in " ".join(child.cmdline()):
                return child
        time.sleep(0.05)  # how often it looks; a child appears without telling us
    raise AssertionError("no child was started")


def test_what_a_killed_server_left_behind_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # One that no process can have: a free one may be taken a moment later.
    gone = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
    old = time.time() - 2 * sandbox.ABANDONED_S
    for name, stamp in (
        (f"{gone}-old", old),
        (f"{gone}-new", time.time()),
        (f"{os.getpid()}-mine", old),
        ("x-y", old),
    ):
        folder = tmp_path / f"{sandbox.FOLDER_PREFIX}{name}"
        (folder / "bundle").mkdir(parents=True)
        os.utime(folder, (stamp, stamp))
    Sandbox()
    left = {path.name.removeprefix(sandbox.FOLDER_PREFIX) for path in tmp_path.iterdir()}
    assert left == {f"{gone}-new", f"{os.getpid()}-mine", "x-y"}


def test_threads_may_ask_together(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    archive = tmp_path / "r.zip"
    archive.write_bytes(robot_zip())
    shared, answers = Sandbox(ChildLimits()), []
    question = {"limits": {}}
    threads = [
        threading.Thread(
            target=lambda: answers.append(shared.ask("robot", question, files={"bundle": archive}))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["robot"]["joints"] for answer in answers] == [["left_wheel", "right_wheel"]] * 3
