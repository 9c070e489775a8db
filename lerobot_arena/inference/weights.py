# SPDX-License-Identifier: Apache-2.0
"""What may lie in a policy folder, and a look into safetensors without loading them."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import PolicyError

UNSAFE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".msgpack"}
)
MAX_HEADER_BYTES = 100_000_000
_NUMPY_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32}


def refuse_unsafe_files(folder: Path) -> None:
    """Raise PolicyError when the folder holds a file that only code-executing loaders read."""
    unsafe = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in UNSAFE_SUFFIXES)
    if unsafe:
        raise PolicyError(
            f"{folder} holds {', '.join(unsafe[:3])}: pickled files are never read. "
            "Save the weights as safetensors and remove them."
        )


def inside(folder: Path, name: str, *, what: str) -> Path:
    """The path of a file the folder names, which must lie in it. Raises PolicyError."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise PolicyError(
            f"{folder}: {what} {name!r} lies outside the folder; only files inside it are read."
        )
    if not path.is_file():
        raise PolicyError(f"{folder}: {what} {name!r} does not exist.")
    return path


def safetensors_header(path: Path) -> dict[str, dict[str, Any]]:
    """Tensor name → {dtype, shape, data_offsets}. Raises PolicyError when it is no whole safetensors file.

    Format: u64 little-endian header length, JSON header, data (github.com/huggingface/safetensors).
    """
    return _header(path)[0]


def safetensors_metadata(path: Path) -> dict[str, str]:
    """The texts that the file's writer put beside the tensors. Raises PolicyError as `safetensors_header` does."""
    return {str(key): str(value) for key, value in _header(path)[1].items()}


def _header(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(MAX_HEADER_BYTES, size):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        metadata = dict(header.pop("__metadata__", None) or {})
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (OSError, ValueError, struct.error, AttributeError, KeyError, TypeError) as error:
        raise PolicyError(f"{path} is no safetensors file: {error}.") from error
    if 8 + length + end != size:
        raise PolicyError(f"{path} has {size} bytes but announces {8 + length + end}: copy it again.")
    return dict(header), metadata


def read_small_tensors(path: Path) -> dict[str, NDArray[np.float64]]:
    """All tensors of a small file (statistics) as float64. Raises PolicyError."""
    header = safetensors_header(path)
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in header.items():
        kind = _NUMPY_TYPES.get(entry["dtype"])
        if kind is None:
            continue
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[start + first : start + last], dtype=kind)
        tensors[name] = values.reshape(entry["shape"]).astype(np.float64)
    return tensors


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
