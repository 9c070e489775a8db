# SPDX-License-Identifier: Apache-2.0
"""Catalog items in SQL: every version kept, the newest one shown. Blocking."""

import json
from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Engine,
    Float,
    ForeignKeyConstraint,
    String,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, sessionmaker

from lerobot_arena.core.errors import Conflict, NotFound
from lerobot_arena.platform.catalog.item import FileRef, Item
from lerobot_arena.platform.storage.database import Base

_KEY = ("kind", "owner", "slug", "version")


class FileRow(Base):
    __tablename__ = "catalog_files"
    __table_args__ = (
        ForeignKeyConstraint(_KEY, [f"catalog_items.{name}" for name in _KEY], ondelete="CASCADE"),
    )

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    slug: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)


class ItemRow(Base):
    __tablename__ = "catalog_items"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    slug: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    is_newest: Mapped[bool]
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str]
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)
    facts: Mapped[str]
    files: Mapped[list[FileRow]] = relationship(cascade="all, delete-orphan", lazy="selectin")


class Shelf:
    """All published items."""

    def __init__(self, engine: Engine) -> None:
        self._open = sessionmaker(engine)

    def put(self, item: Item, *, new_only: bool = False) -> Item:
        """Keep a new version of an item, whatever `item.version` says; with `new_only` only if there is none yet.

        Raises Conflict when it exists, or when somebody published the same at the same moment.
        """
        with self._open.begin() as db:
            before = self._newest(db, item.kind, item.owner, item.slug)
            if before is not None and new_only:
                raise Conflict(f"{item.kind.capitalize()} {item.ref} exists already.")
            version = 1 if before is None else before.version + 1
            created_at = item.created_at if before is None else before.created_at
            db.execute(update(ItemRow).where(*_of(item.kind, item.owner, item.slug)).values(is_newest=False))
            kept = _item(row := _row(item, version, created_at))
            db.add(row)
            try:
                db.flush()
            except IntegrityError as error:
                raise Conflict(f"{item.ref} was published by somebody else at this moment.") from error
            return kept

    def get(self, kind: str, ref: str, version: int | None = None) -> Item:
        """One item by `owner/slug`, its newest version unless one is named. Raises NotFound."""
        owner, _, slug = ref.partition("/")
        with self._open() as db:
            row = (
                self._newest(db, kind, owner, slug)
                if version is None
                else db.get(ItemRow, (kind, owner, slug, version))
            )
            if row is None:
                at = "" if version is None else f" version {version}"
                raise NotFound(f"There is no {kind} {ref[:200]!r}{at}.")
            return _item(row)

    def versions(self, kind: str, ref: str) -> list[Item]:
        """All versions, newest first. Raises NotFound."""
        owner, _, slug = ref.partition("/")
        with self._open() as db:
            rows = db.scalars(
                select(ItemRow).where(*_of(kind, owner, slug)).order_by(ItemRow.version.desc())
            ).all()
            if not rows:
                raise NotFound(f"There is no {kind} {ref[:200]!r}.")
            return [_item(row) for row in rows]

    def list(
        self,
        kind: str | None = None,
        *,
        owner: str | None = None,
        text: str = "",
        limit: int = 100,
        skip: int = 0,
    ) -> list[Item]:
        """Newest versions, last updated first; `text` is looked for in names, titles and descriptions."""
        query = select(ItemRow).where(ItemRow.is_newest)
        if kind is not None:
            query = query.where(ItemRow.kind == kind)
        if owner is not None:
            query = query.where(ItemRow.owner == owner)
        for word in text.lower().split()[:10]:
            query = query.where(
                or_(
                    *(
                        func.lower(column).contains(word, autoescape=True)
                        for column in (ItemRow.owner, ItemRow.slug, ItemRow.title, ItemRow.description)
                    )
                )
            )
        query = query.order_by(ItemRow.updated_at.desc(), ItemRow.owner, ItemRow.slug)
        with self._open() as db:
            return [_item(row) for row in db.scalars(query.limit(limit).offset(skip))]

    def slugs(self, kind: str, owner: str) -> frozenset[str]:
        """Slugs an owner has of a kind."""
        with self._open() as db:
            where = (ItemRow.kind == kind, ItemRow.owner == owner, ItemRow.is_newest)
            return frozenset(db.scalars(select(ItemRow.slug).where(*where)))

    def has_file(self, sha256: str) -> bool:
        """Whether any version of any item has this file."""
        with self._open() as db:
            return db.scalar(select(FileRow.sha256).where(FileRow.sha256 == sha256).limit(1)) is not None

    def referrers(self, kind: str, ref: str) -> Sequence[Item]:
        """Items whose newest version needs this one."""
        with self._open() as db:
            rows = db.scalars(
                select(ItemRow).where(ItemRow.is_newest, ItemRow.facts.contains(ref, autoescape=True))
            )
            return [item for item in map(_item, rows) if (kind, ref) in item.references()]

    def delete(self, kind: str, ref: str) -> frozenset[str]:
        """Remove an item with all its versions; the files that nothing needs any more. Raises NotFound, Conflict."""
        if needed := self.referrers(kind, ref):
            names = ", ".join(f"{item.kind} {item.ref}" for item in needed[:5])
            raise Conflict(f"{kind.capitalize()} {ref} is needed by {names}: delete or change that first.")
        owner, _, slug = ref.partition("/")
        with self._open.begin() as db:
            rows = db.scalars(select(ItemRow).where(*_of(kind, owner, slug))).all()
            if not rows:
                raise NotFound(f"There is no {kind} {ref[:200]!r}.")
            files = {file.sha256 for row in rows for file in row.files}
            db.execute(
                delete(FileRow).where(FileRow.kind == kind, FileRow.owner == owner, FileRow.slug == slug)
            )
            for row in rows:
                db.expire(row, ["files"])
                db.delete(row)
            db.flush()
            still = set(db.scalars(select(FileRow.sha256).where(FileRow.sha256.in_(files))))
        return frozenset(files - still)

    @staticmethod
    def _newest(db: Session, kind: str, owner: str, slug: str) -> ItemRow | None:
        return db.scalars(select(ItemRow).where(*_of(kind, owner, slug), ItemRow.is_newest)).first()


def _of(kind: str, owner: str, slug: str) -> tuple[ColumnElement[bool], ...]:
    return ItemRow.kind == kind, ItemRow.owner == owner, ItemRow.slug == slug


def _row(item: Item, version: int, created_at: float) -> ItemRow:
    key = {"kind": item.kind, "owner": item.owner, "slug": item.slug, "version": version}
    return ItemRow(
        **key,
        is_newest=True,
        title=item.title,
        description=item.description,
        status=item.status,
        created_at=created_at,
        updated_at=item.updated_at,
        facts=json.dumps(dict(item.facts), allow_nan=False),
        files=[
            FileRow(**key, role=role, name=file.name, sha256=file.sha256, size=file.size)
            for role, file in item.files.items()
        ],
    )


def _item(row: ItemRow) -> Item:
    return Item(
        kind=row.kind,
        owner=row.owner,
        slug=row.slug,
        version=row.version,
        title=row.title,
        description=row.description,
        status=row.status,
        created_at=row.created_at,
        updated_at=row.updated_at,
        files={file.role: FileRef(file.name, file.sha256, file.size) for file in row.files},
        facts=json.loads(row.facts),
    )
