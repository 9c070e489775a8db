# SPDX-License-Identifier: Apache-2.0
"""A Foxglove client, small: the foxglove.sdk.v1 subprotocol over `websockets`, messages decoded by mcap-ros2-support.

Protocol: https://github.com/foxglove/ws-protocol/blob/main/docs/spec.md.
"""

import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import connect
from websockets.typing import Subprotocol

_MESSAGE, _SERVICE_ANSWER = 1, 3
_SERVICE_REQUEST = 2
_EMPTY = b"\x00\x01\x00\x00\x00"
_HEAD = struct.Struct("<BIQ")
_CALL = struct.Struct("<BIII")


@dataclass
class Watch:
    """One subscription: messages as (log time ns, serialised)."""

    number: int
    channel: dict[str, Any]
    messages: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=1000))
    count: int = 0

    def decode(self) -> Any:
        """The newest message, through the schema that the server sent."""
        from mcap.records import Schema
        from mcap_ros2.decoder import DecoderFactory

        text = self.channel["schema"].encode()
        schema = Schema(1, text, self.channel["schemaEncoding"], self.channel["schemaName"])
        decoder = DecoderFactory().decoder_for(self.channel["encoding"], schema)
        assert decoder is not None, f"{self.channel['encoding']} does not decode"
        return decoder(self.messages[-1][1])


class FoxgloveClient:
    """Reads only inside its methods: one that is left alone is a client that never reads."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", origin: str | None = None) -> None:
        options: dict[str, Any] = {"origin": origin} if origin is not None else {}
        opening = connect(
            f"ws://{host}:{port}", subprotocols=[Subprotocol("foxglove.sdk.v1")], compression=None, max_size=None,
            max_queue=4, open_timeout=20, **options,
        )  # fmt: skip
        self._end = ExitStack()
        self._socket = self._end.enter_context(opening)
        self.info: dict[str, Any] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.parameters: dict[str, Any] = {}
        self.watches: dict[str, Watch] = {}
        self.answers: dict[int, bytes | str] = {}
        self._numbers = 0

    def close(self) -> None:
        """Leave in good order."""
        self._end.close()

    def vanish(self) -> None:
        """Leave as a killed process does."""
        self._socket.socket.shutdown(socket.SHUT_RDWR)

    def until(self, done: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
        """Read until `done`, and return what it gave. Raises AssertionError naming `what`."""
        deadline = time.monotonic() + timeout_s
        while not (found := done()):
            assert time.monotonic() < deadline, f"waited {timeout_s} s for: {what}"
            self.read(0.1)
        return found

    def read(self, timeout_s: float) -> None:
        """Take one message, if one comes in time."""
        try:
            received = self._socket.recv(timeout=timeout_s)
        except TimeoutError:
            return
        if isinstance(received, bytes):
            self._take_binary(received)
        else:
            self._take_text(json.loads(received))

    def read_for(self, seconds: float) -> None:
        """Take everything for a while."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.read(left)

    def watch(self, topic: str) -> Watch:
        """Subscribe, once the topic is on offer."""
        channel = self.until(lambda: self.channels.get(topic), f"{topic} on offer")
        self._numbers += 1
        watch = self.watches[topic] = Watch(self._numbers, channel)
        self._say("subscribe", subscriptions=[{"id": watch.number, "channelId": channel["id"]}])
        return watch

    def leave(self, topic: str) -> None:
        """Unsubscribe."""
        self._say("unsubscribe", subscriptionIds=[self.watches.pop(topic).number])

    def newest(self, topic: str, timeout_s: float = 30.0) -> Any:
        """The next message of a topic, decoded."""
        watch = self.watches.get(topic) or self.watch(topic)
        before = watch.count
        self.until(lambda: watch.count > before, f"a message on {topic}", timeout_s)
        return watch.decode()

    def call(self, service: str, timeout_s: float = 30.0) -> tuple[bool, str]:
        """Call a Trigger service: (success, message). Raises RuntimeError with the server's words when it failed."""
        found = self.until(lambda: self.services.get(service), f"{service} on offer")
        self._numbers += 1
        head = _CALL.pack(_SERVICE_REQUEST, found["id"], self._numbers, 3)
        self._socket.send(head + b"cdr" + _EMPTY)
        number = self._numbers
        answer = self.until(lambda: self.answers.get(number), f"an answer of {service}", timeout_s)
        if isinstance(answer, str):
            raise RuntimeError(answer)
        (size,) = struct.unpack_from("<I", answer, 8)
        return bool(answer[4]), answer[12 : 12 + size - 1].decode()

    def ask_parameters(self, *names: str) -> None:
        """Ask for parameters; none named: all."""
        self._say("getParameters", parameterNames=list(names), id="all")

    def set_parameter(self, name: str, value: Any) -> None:
        """Try to set one."""
        self._say("setParameters", parameters=[{"name": name, "value": value}], id="set")

    def _say(self, operation: str, **content: Any) -> None:
        self._socket.send(json.dumps({"op": operation, **content}))

    def _take_text(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "serverInfo":
                self.info = message
            case "advertise":
                self.channels |= {item["topic"]: item for item in message["channels"]}
            case "unadvertise":
                gone = set(message["channelIds"])
                self.channels = {name: item for name, item in self.channels.items() if item["id"] not in gone}
            case "advertiseServices":
                self.services |= {item["name"]: item for item in message["services"]}
            case "unadvertiseServices":
                gone = set(message["serviceIds"])
                self.services = {name: item for name, item in self.services.items() if item["id"] not in gone}
            case "parameterValues":
                self.parameters |= {item["name"]: item["value"] for item in message["parameters"]}
            case "serviceCallFailure":
                self.answers[message["callId"]] = message["message"]

    def _take_binary(self, received: bytes) -> None:
        if received[0] == _MESSAGE:
            _, number, stamp_ns = _HEAD.unpack_from(received)
            for watch in self.watches.values():
                if watch.number == number:
                    watch.messages.append((stamp_ns, received[_HEAD.size :]))
                    watch.count += 1
        elif received[0] == _SERVICE_ANSWER:
            _, _, number, size = _CALL.unpack_from(received)
            self.answers[number] = received[_CALL.size + size :]
