# SPDX-License-Identifier: Apache-2.0
"""What routes take as arguments."""

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from lerobot_arena.bridge.services import Services


def _services(connection: HTTPConnection) -> Services:
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services


ServicesDep = Annotated[Services, Depends(_services)]
ArmQuery = Annotated[
    str | None,
    Query(max_length=256, description="Namespace of the arm; may be left out when there is only one."),
]
