# SPDX-License-Identifier: Apache-2.0
"""What an error of the disk means for a person."""

import errno
from pathlib import Path

_ACCESS = "Give this user the right to write there, or choose another folder."
_REMEDIES = {
    errno.ENOSPC: "Free some space there.",
    errno.EDQUOT: "Free some space there.",
    errno.EROFS: "Mount it for writing, or choose another folder.",
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.ENOENT: "The folder has gone: is the disk still there?",
    errno.EIO: "Is the disk still there?",
}


def why(error: Exception, root: Path) -> str:
    """What went wrong with recordings in `root`, and what to do."""
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or str(error) or type(error).__name__
    return f"{root} cannot be written: {reason}. {_REMEDIES.get(error.errno or 0, 'Check the disk.')}"
