# SPDX-License-Identifier: Apache-2.0
"""config/rooms.yaml is what the dataclass says; addresses, ports and servers are read or refused in words."""

import base64
import hashlib
import hmac

import pytest

from lerobot_arena.bringup import BringupOptions, process_table
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import yaml_text
from lerobot_arena.core.share import share_folder
from lerobot_arena.rooms.ice import host_addresses, ice_servers, port_range, with_passes
from lerobot_arena.rooms.params import MediaParams


def test_the_shipped_file_is_written_from_the_dataclass() -> None:
    assert (share_folder() / "config" / "rooms.yaml").read_text() == yaml_text("media", MediaParams)


def test_no_server_is_asked_unless_the_operator_says_which() -> None:
    assert ice_servers((), {}) == []
    assert ice_servers((), {"ARENA_ICE_SERVERS": " stun:a:1, turn:b "}) == [
        {"urls": ["stun:a:1"]},
        {"urls": ["turn:b"]},
    ]
    text = '[{"urls": "turn:b:3478", "username": "u", "credential": "p"}]'
    expected = [{"urls": ["turn:b:3478"], "username": "u", "credential": "p"}]
    assert ice_servers((), {"ARENA_ICE_SERVERS": text}) == expected
    assert ice_servers(("stun:mine",), {"ARENA_ICE_SERVERS": text}) == [{"urls": ["stun:mine"]}]


@pytest.mark.parametrize(
    "text", ["http://a", "[1]", '[{"urls": []}]', "[{]", '[{"urls": "stun:a", "key": 1}]']
)
def test_an_unusable_server_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        ice_servers((), {"ARENA_ICE_SERVERS": text})


def test_passes_for_turn_are_coturns_and_end() -> None:
    servers = [{"urls": ["stun:a"]}, {"urls": ["turn:b"]}, {"urls": ["turn:c"], "username": "own"}]
    stun, turn, own = with_passes(servers, "secret", 1000.0)
    assert stun == servers[0] and own == servers[2]
    assert turn["username"] == f"{1000 + 6 * 3600}:arena"
    digest = hmac.new(b"secret", turn["username"].encode(), hashlib.sha1).digest()
    assert turn["credential"] == base64.b64encode(digest).decode()
    assert with_passes(servers, "", 1000.0) == servers


def test_media_comes_in_on_loopback_unless_other_addresses_are_named() -> None:
    assert host_addresses((), ["192.168.1.5"]) == ["127.0.0.1"]
    assert host_addresses(("127.0.0.1", "192.168.1.5"), []) == ["127.0.0.1", "192.168.1.5"]
    assert host_addresses(("127.0.0.1", "localhost"), []) == ["127.0.0.1"]
    for every in ("0.0.0.0", "::"):
        assert host_addresses(("127.0.0.1", every), ["192.168.1.5"]) == ["127.0.0.1", "192.168.1.5"]
    with pytest.raises(InvalidInput, match="ice_addresses"):
        host_addresses(("no such host",), [])


def test_whoever_reaches_the_bridge_reaches_the_media() -> None:
    def of(options: BringupOptions) -> object:
        return next(spec.params for spec in process_table(options) if spec.name == "media")

    assert of(BringupOptions()) == {}
    assert of(BringupOptions(host="192.168.1.5")) == {"ice_addresses": ("127.0.0.1", "192.168.1.5")}


def test_a_port_range_is_read_or_refused() -> None:
    assert port_range("") is None and port_range("40000-40001") == range(40000, 40002)
    for text in ("40000", "40100-40000", "80-90", "1-70000", "a-b"):
        with pytest.raises(InvalidInput, match="udp_ports"):
            port_range(text)
