# SPDX-License-Identifier: Apache-2.0
"""Where this package's launch/, config/ and package.xml are, however it was installed."""

from functools import cache
from pathlib import Path

import lerobot_arena
from lerobot_arena.core.errors import NotFound

_NAME = "lerobot_arena"


@cache
def share_folder() -> Path:
    """The folder that holds `config/` and `launch/`.

    A checkout (editable or symlinked install) is its own share folder; otherwise pip and colcon both put
    `share/lerobot_arena` under the prefix that holds the package. Raises NotFound when neither is there.
    """
    package = Path(lerobot_arena.__file__).resolve().parent
    if (package.parent / "package.xml").is_file():
        return package.parent
    for prefix in package.parents:
        if (prefix / "share" / _NAME / "package.xml").is_file():
            return prefix / "share" / _NAME
    raise NotFound(f"share/{_NAME} is nowhere above {package}: install the package again with pip or colcon.")
