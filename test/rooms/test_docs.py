# SPDX-License-Identifier: Apache-2.0
"""docs/rooms.md names every close code and every code of a refusal that the source has."""

import re
from pathlib import Path

from lerobot_arena.rooms.refusals import CLOSE_OF, Close

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/rooms.md").read_text()
SOURCES = [
    *(ROOT / "lerobot_arena/rooms").glob("*.py"),
    *(ROOT / "lerobot_arena/bridge").glob("rooms_*.py"),
]
# A refusal's code is the first text of these calls.
CODE = re.compile(r'(?:refuse\(\s*\w+,|bad\(|JointPayloadError\(|member\.refuse\()\s*"([a-z_]+)"')


def test_every_close_code_is_explained() -> None:
    for close in Close:
        assert f"| {close.value} |" in PAGE, f"{close.name} is missing"


def test_every_code_is_explained() -> None:
    codes = set(CLOSE_OF)
    for source in SOURCES:
        codes |= set(CODE.findall(source.read_text()))
    assert len(codes) > 25
    missing = sorted(code for code in codes if f"`{code}`" not in PAGE)
    assert not missing
