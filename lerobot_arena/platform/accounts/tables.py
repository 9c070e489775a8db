# SPDX-License-Identifier: Apache-2.0
"""Users, API tokens, ended logins and the audit log in SQL; migration 0005 makes them."""

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from lerobot_arena.platform.storage.database import Base


class UserRow(Base):
    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    scopes: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[float] = mapped_column(Float)
    is_disabled: Mapped[bool]
    login_epoch: Mapped[int]


class ApiTokenRow(Base):
    __tablename__ = "api_tokens"
    __table_args__ = (Index("api_tokens_by_owner", "owner"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(20))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[float] = mapped_column(Float)
    last_used_at: Mapped[float | None] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)


class EndedLoginRow(Base):
    """A login that its user ended before its time; forgotten when it would have expired."""

    __tablename__ = "ended_logins"

    login_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    expires_at: Mapped[float] = mapped_column(Float)


class AuditRow(Base):
    __tablename__ = "audit"
    __table_args__ = (Index("audit_by_time", "at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[float] = mapped_column(Float)
    who: Mapped[str] = mapped_column(String(64))
    via: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64))
    method: Mapped[str] = mapped_column(String(16))
    route: Mapped[str] = mapped_column(String(300))
    path: Mapped[str] = mapped_column(String(1000))
    status: Mapped[int]


def to_text(scopes: frozenset[str]) -> str:
    """Scopes as a column holds them."""
    return " ".join(sorted(scopes))


def from_text(text: str) -> frozenset[str]:
    """The scopes a column holds."""
    return frozenset(text.split())
