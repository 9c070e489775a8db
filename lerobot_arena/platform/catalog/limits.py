# SPDX-License-Identifier: Apache-2.0
"""How large and how long what is published may be. docs/contract.md prints this table; a test compares."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

MiB = 1 << 20


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """A robot's bundle: `ratio` is unpacked to packed bytes of one member larger than `ratio_free_bytes`."""

    file_bytes: int = 128 * MiB
    members: int = 2000
    member_bytes: int = 128 * MiB
    unpacked_bytes: int = 512 * MiB
    ratio: float = 100.0
    ratio_free_bytes: int = 4 * MiB
    path_characters: int = 200
    path_depth: int = 12


@dataclass(frozen=True, slots=True)
class OnnxLimits:
    """A network: operators count those in subgraphs, parameters all numbers of all tensors."""

    file_bytes: int = 128 * MiB
    nodes: int = 20_000
    parameters: int = 64_000_000
    metadata_entries: int = 200
    metadata_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class GlbLimits:
    """A scene's look."""

    file_bytes: int = 64 * MiB
    triangles: int = 1_000_000
    nodes: int = 10_000
    texture_pixels: int = 8192 * 8192


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """A compiled MuJoCo model."""

    xml_bytes: int = 16 * MiB
    xml_elements: int = 100_000
    degrees_of_freedom: int = 500
    bodies: int = 5_000
    geoms: int = 20_000
    mesh_triangles: int = 4_000_000


@dataclass(frozen=True, slots=True)
class RunLimits:
    """The headless run that every policy has to survive on its robot."""

    seconds: float = 2.0
    most_substeps: int = 100
    wall_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """The process in which foreign files are opened; `answer_bytes` is all it may say."""

    memory_bytes: int = 4096 * MiB
    cpu_s: int = 60
    wall_s: float = 90.0
    written_bytes: int = 600 * MiB
    open_files: int = 256
    answer_bytes: int = 1 * MiB


@dataclass(frozen=True, slots=True)
class Limits:
    """All of them."""

    zip: ZipLimits = field(default_factory=ZipLimits)
    onnx: OnnxLimits = field(default_factory=OnnxLimits)
    glb: GlbLimits = field(default_factory=GlbLimits)
    model: ModelLimits = field(default_factory=ModelLimits)
    run: RunLimits = field(default_factory=RunLimits)
    child: ChildLimits = field(default_factory=ChildLimits)
    config_bytes: int = 256 * 1024

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Limits":
        """Of our own making: from the parent process."""
        kinds = {
            item.name: item.default_factory for item in fields(cls) if item.default_factory is not MISSING
        }
        return cls(**{key: kinds[key](**item) if key in kinds else item for key, item in value.items()})


def rows(limits: Limits | None = None) -> list[tuple[str, str]]:
    """(name, value) of each, for people: sizes in MiB where they are."""
    found = []
    for part, values in asdict(limits or Limits()).items():
        for name, value in (values if isinstance(values, dict) else {part: values}).items():
            key = f"`{part}.{name}`" if isinstance(values, dict) else f"`{part}`"
            is_size = name.endswith("_bytes") and value >= MiB
            found.append((key, f"{value / MiB:g} MiB" if is_size else f"{value:,}".replace(",", " ")))
    return found
