# SPDX-License-Identifier: Apache-2.0
"""foxglove-sdk's WebSocket server as the node needs it: topics and services on offer, bytes out, parameters to read.

Per client the SDK keeps at most `backlog` messages and then drops that client's oldest; `log` never waits for anybody.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.inspection.audience import Audience
from lerobot_arena.recording.schemas import ENCODING, Definition

_CDR = "cdr"
TRIGGER = "std_srvs/srv/Trigger"
_ANSWER_TEXT = "bool success\nstring message\n"

Call = Callable[[str], bytes]
ParameterValues = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the server asks of the rest: `parameters()` name → value, `call(service)` → serialised Trigger response."""

    audience: Audience
    parameters: Callable[[], ParameterValues]
    call: Call


class LiveServer:
    """Runs from construction on, on an address of its own. Raises Unavailable when the SDK is missing."""

    def __init__(self, name: str, wiring: Wiring, *, backlog: int) -> None:
        self._sdk = sdk = _sdk()
        # One line per message that a client which has gone does not get.
        logging.getLogger("foxglove.websocket.connected_client").setLevel(logging.CRITICAL)
        self._wiring = wiring
        self._context = sdk.Context()
        self._channels: dict[str, Any] = {}
        self._services: set[str] = set()
        self.address = _unguessable_address()
        capability = sdk.websocket.Capability
        self._server = sdk.start_server(
            name=name,
            host=self.address,
            port=0,
            capabilities=[capability.Services, capability.Parameters],
            server_listener=_Listener(sdk, wiring),
            supported_encodings=[_CDR],
            context=self._context,
            message_backlog_size=backlog,
        )

    @property
    def port(self) -> int:
        """Where it listens on `address`."""
        return int(self._server.port)

    def offer(self, topic: str, definition: Definition) -> None:
        """Advertise a topic."""
        schema = self._sdk.Schema(
            name=definition.type_name, encoding=ENCODING, data=definition.text.encode("utf-8")
        )
        self._channels[topic] = self._context._create_channel(topic, message_encoding=_CDR, schema=schema)

    def withdraw(self, topic: str) -> None:
        """Advertise a topic no more; who watches it watches nothing."""
        channel = self._channels.pop(topic, None)
        if channel is not None:
            channel.close()

    def log(self, topic: str, raw: bytes, log_time_ns: int) -> None:
        """Send a serialised message to everybody who watches `topic`."""
        channel = self._channels.get(topic)
        if channel is not None:
            channel.log(raw, log_time=log_time_ns)

    def offer_service(self, name: str) -> None:
        """Advertise a Trigger service."""

        def schema(part: str, text: str) -> Any:
            data = self._sdk.Schema(name=f"{TRIGGER}_{part}", encoding=ENCODING, data=text.encode())
            return self._sdk.MessageSchema(encoding=_CDR, schema=data)

        what = self._sdk.ServiceSchema(
            TRIGGER, request=schema("Request", ""), response=schema("Response", _ANSWER_TEXT)
        )
        service = self._sdk.Service(name, schema=what, handler=lambda request: self._wiring.call(name))
        self._server.add_services([service])
        self._services.add(name)

    def withdraw_service(self, name: str) -> None:
        """Advertise a service no more."""
        if name in self._services:
            self._services.discard(name)
            self._server.remove_services([name])

    def show_parameters(self, values: ParameterValues) -> None:
        """Tell those who follow these parameters."""
        self._server.publish_parameter_values(_parameters(self._sdk, values, []))

    def stop(self) -> None:
        """Close every connection."""
        self._server.stop()


class _Listener:
    """The SDK calls this on threads of its own."""

    def __init__(self, sdk: Any, wiring: Wiring) -> None:
        self._sdk, self._wiring = sdk, wiring

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *_: None

    def on_subscribe(self, client: Any, channel: Any) -> None:
        self._wiring.audience.enter(client.id, channel.topic)

    def on_unsubscribe(self, client: Any, channel: Any) -> None:
        self._wiring.audience.leave(client.id, channel.topic)

    def on_get_parameters(self, client: Any, names: list[str], request_id: str | None = None) -> list[Any]:
        return _parameters(self._sdk, self._wiring.parameters(), names)

    def on_set_parameters(self, client: Any, wished: list[Any], request_id: str | None = None) -> list[Any]:
        """Nothing is set from here: answer with what is."""
        return _parameters(self._sdk, self._wiring.parameters(), [item.name for item in wished])


def _parameters(sdk: Any, values: ParameterValues, names: list[str]) -> list[Any]:
    chosen = names or sorted(values)
    return [sdk.Parameter(name, value=values[name]) for name in chosen if name in values]


def _sdk() -> Any:
    try:
        import foxglove
        import foxglove.websocket
    except ImportError as error:
        raise Unavailable(
            f"foxglove-sdk cannot be imported ({error}): `pip install foxglove-sdk`."
        ) from error
    return foxglove


def _unguessable_address() -> str:
    """Linux has all of 127.0.0.0/8; a page would have to guess 24 bits and a port to pass by the gate."""
    return f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
