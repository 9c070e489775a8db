# SPDX-License-Identifier: Apache-2.0
"""What a finished file says of itself at its end, without its messages."""

from dataclasses import dataclass
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import make_reader

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.recording.metadata_yaml import FileInfo, TopicCount
from lerobot_arena.recording.tally import CycleTally

SESSION, END, DROPS = "session", "end", "drops"


@dataclass(slots=True)
class Summary:
    """A file's end: `notes` are its own metadata records, of each name the last."""

    info: FileInfo
    notes: dict[str, dict[str, str]]

    @property
    def tally(self) -> CycleTally | None:
        """Its cycles; None when the file does not say."""
        return CycleTally.from_record(self.notes.get(END, {}))


def read_info(path: Path) -> Summary:
    """Read a finished file's end. Raises InvalidInput when it has none or is damaged, OSError."""
    try:
        with open(path, "rb") as file:
            reader = make_reader(file)
            summary = reader.get_summary()
            if summary is None or summary.statistics is None:
                raise InvalidInput(f"{path.name} has no index: `arena bag repair {path}` makes one.")
            notes = {record.name: record.metadata for record in reader.iter_metadata()}
    except (McapError, ValueError, EOFError, LookupError) as error:
        raise InvalidInput(f"{path.name} is damaged: {error}. Try `arena bag repair {path}`.") from error
    statistics = summary.statistics
    info = FileInfo(path.name, statistics.message_start_time, statistics.message_end_time)
    for channel in summary.channels.values():
        schema = summary.schemas.get(channel.schema_id)
        count = statistics.channel_message_counts.get(channel.id, 0)
        topic = TopicCount(
            schema.name if schema else "",
            channel.metadata.get("topic_type_hash", ""),
            channel.metadata.get("offered_qos_profiles", ""),
        )
        info.topics.setdefault((channel.topic, topic.type_name), topic).count += count
    return Summary(info, {name: dict(values) for name, values in notes.items()})
