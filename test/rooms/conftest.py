# SPDX-License-Identifier: Apache-2.0
"""Media of these tests stays on loopback, whichever ran before."""

import pytest


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # A media hub sets it for its process; here that would also be the next test's.
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
