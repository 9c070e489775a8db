# SPDX-License-Identifier: Apache-2.0
"""What the bridge is told by its surroundings: the ARENA_* environment, overridden by node parameters."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lerobot_arena.bridge.params import BridgeParams
from lerobot_arena.core.errors import InvalidInput


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "lerobot_arena"


class Settings(BaseSettings):
    """One field per ARENA_<NAME> variable; lists of folders are split at ':', other lists at ','."""

    model_config = SettingsConfigDict(env_prefix="ARENA_", extra="ignore", frozen=True)

    bridge_host: str = "127.0.0.1"
    bridge_port: Annotated[int, Field(ge=0, le=65535)] = 8001
    data_dir: Path = Field(default_factory=_default_data_dir)
    database_url: str = ""
    policy_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    hf_endpoint: Annotated[str, Field(validation_alias="HF_ENDPOINT")] = ""
    hub_max_bytes: Annotated[int, Field(gt=0)] = 20_000_000_000
    max_sessions: Annotated[int, Field(ge=1)] = 32
    max_watchers: Annotated[int, Field(ge=1)] = 64
    start_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    verb_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    estop_timeout_s: Annotated[float, Field(gt=0)] = 2.0
    input_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    metrics: bool = False
    risk_log_max_events: Annotated[int, Field(ge=1)] = 100_000
    risk_log_max_age_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 90.0

    @field_validator("policy_roots", mode="before")
    @classmethod
    def _split_folders(cls, value: Any) -> Any:
        return tuple(filter(None, value.split(os.pathsep))) if isinstance(value, str) else value

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return (
            tuple(name.strip() for name in value.split(",") if name.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("bridge_host")
    @classmethod
    def _loopback_only(cls, value: str) -> str:
        if value != "localhost" and not _is_loopback(value):
            raise ValueError(
                f"{value!r} is not a loopback address. Anybody who reaches this port can move the arm and there are no "
                "access tokens yet: listen on 127.0.0.1 and use an SSH tunnel from other machines"
            )
        return value

    @property
    def roots(self) -> tuple[Path, ...]:
        """Folders a policy may lie in, resolved."""
        chosen = self.policy_roots or (self.data_dir / "policies",)
        return tuple(Path(root).expanduser().resolve() for root in chosen)

    @property
    def database(self) -> str:
        """SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'arena.db'}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def settings_from(params: BridgeParams) -> Settings:
    """The environment, overridden by the parameters that were given. Raises InvalidInput naming what is wrong."""
    given: dict[str, Any] = {}
    if params.host:
        given["bridge_host"] = params.host
    if params.port >= 0:
        given["bridge_port"] = params.port
    if params.data_dir:
        given["data_dir"] = Path(params.data_dir)
    if params.policy_roots:
        given["policy_roots"] = tuple(Path(root) for root in params.policy_roots)
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise InvalidInput(f"Setting {name}: {first['msg']}.") from error
