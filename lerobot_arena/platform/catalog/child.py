# SPDX-License-Identifier: Apache-2.0
"""The process in which foreign files are opened, started by sandbox.py; it lives for one question.

It reads `{"job", "question", "files", …}` from standard input, gives up everything else, and writes one JSON object
to the given descriptor. The answer is data of a process that foreign bytes may have taken over: the parent checks it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import lerobot_arena
from lerobot_arena.core.errors import ArenaError, InvalidInput, Unavailable
from lerobot_arena.platform.catalog.confine import give_up
from lerobot_arena.platform.catalog.limits import ChildLimits

LONGEST_ERROR = 600
UNPACKED = "bundle"
"""Where a bundle's files go, below the folder of one check."""


def main(answer_fd: int, parent: int) -> None:
    """Answer the one question on standard input."""
    asked = json.load(sys.stdin)
    folder = Path(asked["folder"])
    os.chdir(folder)
    files = {name: Path(path) for name, path in asked["files"].items()}
    packages = [Path(entry) for entry in sys.path] + [Path(lerobot_arena.__file__).parent]
    give_up(
        ChildLimits(**asked["limits"]), readable=[*packages, *files.values()], folder=folder, parent=parent
    )
    answer = json.dumps(_answer(asked["job"], asked["question"], files, folder)).encode()
    with open(answer_fd, "wb") as channel:
        channel.write(answer)
    sys.stdout.flush()
    os._exit(0)  # what libraries do at the end of a process is of no use here, and may hang


def _answer(job: str, question: dict[str, Any], files: dict[str, Path], folder: Path) -> dict[str, Any]:
    hidden = {
        f"{folder}/{UNPACKED}/": "",
        f"{folder}/": "",
        **{str(path): name for name, path in files.items()},
    }
    try:
        from lerobot_arena.platform.catalog.jobs import JOBS

        return {"ok": True, "result": JOBS[job](question, files, folder)}
    except ImportError as error:
        return _refusal(Unavailable(f"This machine cannot check it: {error}."), hidden)
    except MemoryError:
        return _refusal(InvalidInput("It takes more memory to open than is allowed here."), hidden)
    except RecursionError:
        return _refusal(InvalidInput("It is nested too deeply."), hidden)
    except ArenaError as error:
        return _refusal(error, hidden)
    except Exception as error:  # whatever a library raises on foreign bytes is about those bytes
        return _refusal(InvalidInput(f"It cannot be read: {type(error).__name__}: {error}"), hidden)


def _refusal(error: ArenaError, hidden: dict[str, str]) -> dict[str, Any]:
    """One sentence, without paths of this machine."""
    text = " ".join(str(error).split())
    for path, name in hidden.items():
        text = text.replace(path, name)
    text = text[: LONGEST_ERROR - 1]
    return {"ok": False, "code": error.code, "error": text if text.endswith((".", ")")) else f"{text}."}
