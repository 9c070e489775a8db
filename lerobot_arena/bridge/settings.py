# SPDX-License-Identifier: Apache-2.0
"""What the bridge is told by its surroundings: the ARENA_* environment, overridden by node parameters."""

import os
import socket
from pathlib import Path
from typing import Annotated, Any, Self

import psutil
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lerobot_arena.bridge.access import CHECKPOINTS, DATASETS
from lerobot_arena.bridge.arena_urls import check_base_url, remote_arena
from lerobot_arena.bridge.params import BridgeParams
from lerobot_arena.bridge.rate_limit import check_rate
from lerobot_arena.core.addresses import is_loopback
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.storage.database import database_url


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
    blob_url: str = ""
    seed_catalog: bool = True
    checkpoint_max_bytes: Annotated[int, Field(gt=0)] = 2_000_000_000
    dataset_max_bytes: Annotated[int, Field(gt=0)] = 2_000_000_000
    dataset_file_max_bytes: Annotated[int, Field(gt=0)] = 1_000_000_000
    vla_device: Annotated[str, Field(min_length=1, max_length=32)] = "cpu"
    policy_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    remote_arenas: Annotated[tuple[str, ...], NoDecode] = ()
    trust_loopback: bool = True
    behind_proxy: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    rate_limit_address: str = "6000/minute"
    rate_limit_identity: str = "3000/minute"
    rate_limit_failures: str = "30/minute"
    jwt_secret: SecretStr = SecretStr("")
    login_tries_per_minute: Annotated[int, Field(ge=1)] = 5
    login_tries_per_address: Annotated[int, Field(ge=1)] = 30
    audit_max_entries: Annotated[int, Field(ge=1)] = 100_000
    hf_endpoint: Annotated[str, Field(validation_alias="HF_ENDPOINT")] = ""
    hub_max_bytes: Annotated[int, Field(gt=0)] = 20_000_000_000
    max_sessions: Annotated[int, Field(ge=1)] = 32
    max_watchers: Annotated[int, Field(ge=1)] = 64
    max_rooms: Annotated[int, Field(ge=1)] = 512
    max_participants: Annotated[int, Field(ge=2)] = 512
    max_instances: Annotated[int, Field(ge=1)] = 8
    max_deployments: Annotated[int, Field(ge=1)] = 32
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

    @field_validator("allowed_hosts", "allowed_origins", "remote_arenas", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return (
            tuple(name.strip() for name in value.split(",") if name.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("rate_limit_address", "rate_limit_identity", "rate_limit_failures")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        try:
            return check_rate(value)
        except InvalidInput as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _has_whole_tls(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("ARENA_TLS_CERT and ARENA_TLS_KEY go together: give both or neither")
        for path in (self.tls_cert, self.tls_key):
            if path is not None and not path.is_file():
                raise ValueError(f"there is no file {path} for TLS")
        return self

    @field_validator("remote_arenas")
    @classmethod
    def _are_base_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_base_url(url) for url in value)

    @property
    def is_beyond_loopback(self) -> bool:
        """Whether other machines can reach the port."""
        return self.bridge_host != "localhost" and not is_loopback(self.bridge_host)

    @property
    def scheme(self) -> str:
        """What a browser's address begins with."""
        return "https" if self.tls_cert else "http"

    @property
    def own_names(self) -> tuple[str, ...]:
        """Host names under which this bridge may be asked, beside those of loopback."""
        machine = socket.gethostname().lower() if self.is_beyond_loopback else ""
        names = (self.bridge_host, *((machine, f"{machine}.local") if machine else ()), *self.allowed_hosts)
        return tuple(dict.fromkeys(names))

    def remote_arena(self, url: str) -> str | None:
        """The arena whose rooms a session joins, None for rooms here. Raises Forbidden, InvalidInput."""
        return remote_arena(
            url,
            own_names=(*self.own_names, *self._own_addresses),
            port=self.bridge_port,
            allowed=self.remote_arenas,
            public_names=self.allowed_hosts,
        )

    @property
    def _own_addresses(self) -> tuple[str, ...]:
        """Of this machine's interfaces, when it listens on all of them."""
        if self.bridge_host not in {"", "0.0.0.0", "::"}:
            return ()
        found = psutil.net_if_addrs().values()
        return tuple(entry.address.partition("%")[0] for entries in found for entry in entries)

    @property
    def roots(self) -> tuple[Path, ...]:
        """Folders a policy may lie in, resolved."""
        chosen = self.policy_roots or (self.data_dir / "policies",)
        return tuple(Path(root).expanduser().resolve() for root in chosen)

    @property
    def blobs(self) -> str:
        """Where published files are: a folder, or what fsspec opens."""
        return self.blob_url or str(self.data_dir / "blobs")

    @property
    def upload_limits(self) -> dict[str, int]:
        """Largest uploads in bytes by path, where that is a setting."""
        return {CHECKPOINTS: self.checkpoint_max_bytes, DATASETS: self.dataset_max_bytes}

    @property
    def database(self) -> str:
        """SQLAlchemy URL."""
        return database_url(self.data_dir, self.database_url)


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
