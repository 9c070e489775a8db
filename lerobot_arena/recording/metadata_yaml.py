# SPDX-License-Identifier: Apache-2.0
"""A recording's metadata.yaml, as rosbag2 of Jazzy writes it (version 9)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lerobot_arena.recording.names import METADATA

VERSION = 9


@dataclass(slots=True)
class TopicCount:
    """Messages of one topic; `qos` is the text of the channel's `offered_qos_profiles`."""

    type_name: str
    type_hash: str
    qos: str
    count: int = 0


@dataclass(slots=True)
class FileInfo:
    """What is known of one file without reading it. Times in ns; without messages both are 0."""

    name: str
    start_ns: int = 0
    end_ns: int = 0
    topics: dict[tuple[str, str], TopicCount] = field(default_factory=dict)

    @property
    def messages(self) -> int:
        """Messages of all topics."""
        return sum(topic.count for topic in self.topics.values())

    def saw(self, log_ns: int) -> None:
        """Widen the file's time range to `log_ns`."""
        self.start_ns = min(self.start_ns, log_ns) if self.start_ns else log_ns
        self.end_ns = max(self.end_ns, log_ns)


def bag_information(files: Sequence[FileInfo], custom: Mapping[str, str], distro: str) -> str:
    """The mapping below `rosbag2_bagfile_information`, as YAML without indentation."""
    kept = [info for info in files if info.messages]
    start_ns = min((info.start_ns for info in kept), default=0)
    end_ns = max((info.end_ns for info in kept), default=0)
    lines = [
        f"version: {VERSION}",
        "storage_identifier: mcap",
        f"duration:\n  nanoseconds: {end_ns - start_ns}",
        f"starting_time:\n  nanoseconds_since_epoch: {start_ns}",
        f"message_count: {sum(info.messages for info in files)}",
        "topics_with_message_count:" + ("" if any(info.topics for info in files) else " []"),
        *_topics(files),
        'compression_format: ""',
        'compression_mode: ""',
        "relative_file_paths:" + ("" if files else " []"),
        *(f"  - {info.name}" for info in files),
        "files:" + ("" if files else " []"),
        *(
            f"  - path: {info.name}\n    starting_time:\n      nanoseconds_since_epoch: {info.start_ns}\n"
            f"    duration:\n      nanoseconds: {info.end_ns - info.start_ns}\n    message_count: {info.messages}"
            for info in files
        ),
        "custom_data:" + ("" if custom else " ~"),
        # A JSON string is a YAML string, whatever is in it.
        *(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in custom.items()),
        f"ros_distro: {distro}",
    ]
    return "\n".join(lines) + "\n"


def _topics(files: Sequence[FileInfo]) -> list[str]:
    totals: dict[tuple[str, str], TopicCount] = {}
    for info in files:
        for key, topic in info.topics.items():
            total = totals.setdefault(key, TopicCount(topic.type_name, topic.type_hash, topic.qos))
            total.count += topic.count
    return [
        f"  - topic_metadata:\n      name: {name}\n      type: {topic.type_name}\n      serialization_format: cdr\n"
        f"      offered_qos_profiles:{_indented(topic.qos)}\n"
        f"      type_description_hash: {json.dumps(topic.type_hash)}\n    message_count: {topic.count}"
        for (name, _), topic in totals.items()
    ]


def _indented(qos: str) -> str:
    return "\n" + "\n".join(f"        {line}" for line in qos.splitlines()) if qos else " []"


def bag_yaml(files: Sequence[FileInfo], custom: Mapping[str, str], distro: str) -> str:
    """The text of metadata.yaml."""
    text = bag_information(files, custom, distro)
    return "rosbag2_bagfile_information:\n" + "".join(f"  {line}\n" for line in text.splitlines())


def custom_data(folder: Path) -> dict[str, str]:
    """What a recording's metadata.yaml says in `custom_data`; empty when it has none or cannot be read."""
    return {str(key): str(value) for key, value in (_information(folder).get("custom_data") or {}).items()}


def _information(folder: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load((folder / METADATA).read_text(encoding="utf-8"))
        found = content["rosbag2_bagfile_information"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
