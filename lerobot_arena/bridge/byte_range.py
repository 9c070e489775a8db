# SPDX-License-Identifier: Apache-2.0
"""One byte range of a file (RFC 9110, section 14), as browsers ask for videos and resumed downloads. Pure."""

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From `begin` to before `end` of `size` bytes."""

    begin: int
    end: int
    size: int

    @property
    def is_part(self) -> bool:
        """Less than the whole file."""
        return (self.begin, self.end) != (0, self.size)

    def headers(self) -> dict[str, str]:
        """Of the answer."""
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(self.end - self.begin)}
        if self.is_part:
            headers["Content-Range"] = f"bytes {self.begin}-{self.end - 1}/{self.size}"
        return headers


def byte_range(header: str | None, size: int) -> ByteRange | None:
    """What a Range header asks for; the whole file for none, several or one of another kind.

    None: it lies beyond the end (416).
    """
    whole = ByteRange(0, size, size)
    match = _ONE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return whole
    first, last = match.groups()
    if not first:
        # The last so many bytes.
        length = int(last)
        return ByteRange(max(size - length, 0), size, size) if length and size else None
    begin = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < begin:
        return whole
    return ByteRange(begin, end, size) if begin < size else None
