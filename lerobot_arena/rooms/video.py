# SPDX-License-Identifier: Apache-2.0
"""A video room: what its members tell each other, and the pictures of simple clients. WebRTC is the media process's.

Pure: nothing is decoded here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lerobot_arena.core.clock import NS, Clock, seconds_between
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, TooLarge
from lerobot_arena.core.room import VIDEO
from lerobot_arena.rooms import messages
from lerobot_arena.rooms.jpeg import Frame, pack_v1, pack_v3, read_frame
from lerobot_arena.rooms.media_wire import JPEG
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.ports import ARENA
from lerobot_arena.rooms.refusals import refuse
from lerobot_arena.rooms.room import DEFAULT_CONSUMERS, Place, Room, Tie
from lerobot_arena.rooms.video_config import (
    LARGEST_HEIGHT,
    LARGEST_WIDTH,
    RecoveryConfig,
    VideoConfig,
    video_config,
)
from lerobot_arena.rooms.wire import ConfigSaid, Told

DEFAULT_MAX_AGE_S = 0.5
MAX_FRAME_BYTES = 1_000_000
# Clocks of cameras are not exact: 31 a second are 30.
_PACE_SLACK = 0.8


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How a video room was made. `has_size`: its resolution was asked for, so larger pictures are refused."""

    max_consumers: int = DEFAULT_CONSUMERS
    max_age_s: float = DEFAULT_MAX_AGE_S
    config: VideoConfig = field(default_factory=VideoConfig)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)
    has_size: bool = False
    has_rate: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture on its way to watchers."""

    jpeg: bytes
    seq: int
    born_ns: int
    stamp_mono_ns: int = 0


class VideoRoom(Room):
    """`to_ros` gets (jpeg, wall stamp) of clients' pictures; `on_config` hears that `config` changed."""

    kind = VIDEO

    def __init__(
        self, place: Place, clock: Clock, *, owner: str, settings: VideoSettings, tie: Tie | None = None
    ) -> None:
        super().__init__(place, clock, owner=owner, max_consumers=settings.max_consumers, tie=tie)
        self.settings, self.config, self.recovery = settings, settings.config, settings.recovery
        self.has_size, self.has_rate = settings.has_size, settings.has_rate
        self.to_ros: Callable[[bytes, int], None] = lambda _jpeg, _stamp_ns: None
        self.on_config: Callable[[], None] = lambda: None
        self.on_shown: Callable[[Shown], None] = lambda _shown: None
        self.frame_count = 0
        self.frames_thinned = 0
        self.last_frame_ns = 0
        self.last_frame_wall_ns = 0
        self.ice_servers: list[dict[str, Any]] = []
        self.arena_roles: set[str] = set()
        """In which roles the media process said that it takes part."""
        self._due_ns = 0

    def participants(self) -> dict[str, Any]:
        """With the server's own part, so that a producer that asks finds it."""
        said = super().participants()
        if "consumer" in self.arena_roles:
            said["consumers"] = [*said["consumers"], ARENA]
        if "producer" in self.arena_roles and said["producer"] in {None, "ros"}:
            said["producer"] = ARENA
        return said

    @property
    def watchers(self) -> list[Member]:
        """Consumers that want JPEG."""
        return [member for member in self.consumers if member.join.media == JPEG]

    def on_joined(self, member: Member, *, is_resumed: bool) -> None:
        """The producer learns of a consumer, and the others of everybody."""
        self.tell(self._about("participant_joined", member), but=member)

    def on_left(self, member: Member) -> None:
        """The others learn who left."""
        self.tell(self._about("participant_left", member))

    def _about(self, kind: str, member: Member) -> str:
        return messages.say(
            kind, room_id=self.place.room_id, participant_id=member.participant_id, role=member.role
        )

    def joined_fields(self, member: Member) -> dict[str, Any]:
        more: dict[str, Any] = {"config": self.config.to_json(), "recovery_config": self.recovery.to_json()}
        if member.join.media != JPEG:
            more["ice_servers"] = self.ice_servers
        return {**super().joined_fields(member), **more, "max_age_ms": self.settings.max_age_s * 1000.0}

    def relay(self, member: Member, said: Told) -> None:
        """An event for everybody else."""
        member.heard_ns = self.active_ns = self.clock.steady_ns()
        extra = {"participant_id": member.participant_id} if said.kind.startswith("stream_") else {}
        self.tell(messages.say(said.kind, **said.fields, **extra, source=member.participant_id), but=member)

    def configure(self, member: Member, said: ConfigSaid) -> None:
        """The producer changes how pictures are sent; what it leaves out stays."""
        member.heard_ns = self.active_ns = self.clock.steady_ns()
        try:
            if not member.is_producer:
                raise refuse(Conflict, "not_producer", "Only the producer of this room changes its config.")
            try:
                self.config = video_config(said.config, self.config)
            except InvalidInput as error:
                raise refuse(InvalidInput, "config_invalid", str(error)) from None
        except ArenaError as error:
            member.refuse(error.code, str(error))
            return
        self.has_size = self.has_size or said.config.get("resolution") is not None
        self.has_rate = self.has_rate or said.config.get("framerate") is not None
        text = messages.say("video_config_update", config=self.config.to_json(), source=member.participant_id)
        self.tell(text, but=member)
        self.on_config()

    def frame(self, member: Member, data: bytes) -> None:
        """A client's picture: watchers and ROS get it, or the client an error with a code."""
        now_ns = self.clock.steady_ns()
        member.heard_ns = self.active_ns = now_ns
        try:
            if not member.is_producer or member.join.media != JPEG:
                raise refuse(
                    Conflict,
                    "not_producer",
                    'Only a producer that joined with "media": "jpeg" sends pictures here.',
                )
            if len(data) > MAX_FRAME_BYTES:
                raise refuse(
                    TooLarge, "too_large", f"A picture has {len(data)} bytes; at most {MAX_FRAME_BYTES}."
                )
            frame = read_frame(data)
            late_s = 0.0 if frame.stamp_mono_ns is None else member.delay.delay_s(frame.stamp_mono_ns, now_ns)
            self._take(frame, late_s + frame.age_s, now_ns)
        except ArenaError as error:
            member.refuse(error.code, str(error))

    def _take(self, frame: Frame, age_s: float, now_ns: int) -> None:
        self._check_size(frame)
        if age_s > self.settings.max_age_s:
            raise refuse(
                InvalidInput,
                "stale",
                f"The picture was {age_s:.2f} s old; this room takes {self.settings.max_age_s:g} s.",
            )
        if self._is_too_soon(now_ns):
            self.frames_thinned += 1
            return
        self.show(frame.jpeg, born_ns=now_ns - round(age_s * NS), stamp_mono_ns=frame.stamp_mono_ns or 0)
        self.to_ros(frame.jpeg, self.clock.wall_ns() - round(age_s * NS))

    def _check_size(self, frame: Frame) -> None:
        widest, highest = LARGEST_WIDTH, LARGEST_HEIGHT
        if self.has_size:
            widest, highest = self.config.width, self.config.height
        if frame.width > widest or frame.height > highest:
            raise refuse(
                InvalidInput,
                "frame_size",
                f"The picture is {frame.width}×{frame.height}; this room takes {widest}×{highest}. Send a "
                "video_config_update first.",
            )

    def _is_too_soon(self, now_ns: int) -> bool:
        """Paced to the framerate that was asked for, else to the highest there is."""
        period_ns = round(NS * _PACE_SLACK / (self.config.framerate if self.has_rate else 120))
        if now_ns < self._due_ns:
            return True
        self._due_ns = now_ns + period_ns
        return False

    def show(self, jpeg: bytes, *, born_ns: int, stamp_mono_ns: int = 0) -> None:
        """A picture for every watcher, packed once for each kind of message."""
        self.frame_count += 1
        self.last_frame_ns, self.last_frame_wall_ns = self.clock.steady_ns(), self.clock.wall_ns()
        shown = Shown(jpeg, self.frame_count, born_ns, stamp_mono_ns)
        self.on_shown(shown)
        self.hand_out(shown)

    def hand_out(self, shown: Shown, *, stands_in: bool = False) -> None:
        """To watchers; what only stands in for a picture that does not come, to those who take that."""
        packed: dict[str, bytes] = {}
        for member in self.watchers:
            if stands_in and not member.join.stand_ins:
                continue
            frames = member.join.frames
            if frames not in packed:
                packed[frames] = self._pack(frames, shown)
            member.mailbox.put_frame(packed[frames])

    def _pack(self, frames: str, shown: Shown) -> bytes:
        if frames == "v1":
            return pack_v1(self.place.room_id, shown.jpeg)
        age_s = seconds_between(shown.born_ns, self.clock.steady_ns())
        return pack_v3(
            self.place.room_id,
            shown.jpeg,
            seq=shown.seq,
            stamp_mono_ns=shown.stamp_mono_ns,
            age_s=age_s,
        )
