# SPDX-License-Identifier: Apache-2.0
"""Policy folders as the zips that checkpoints are published as."""

import io
import zipfile
from pathlib import Path

import lerobot_arena

DEMO = Path(lerobot_arena.__file__).parent / "models" / "demo"
_SUFFIXES = {".onnx", ".json", ".safetensors"}


def checkpoint_zip(folder: Path = DEMO) -> bytes:
    """What of a folder may be published, as it lies there."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        for path in sorted(folder.rglob("*")):
            if path.suffix in _SUFFIXES:
                bundle.write(path, path.relative_to(folder).as_posix())
    return archive.getvalue()
