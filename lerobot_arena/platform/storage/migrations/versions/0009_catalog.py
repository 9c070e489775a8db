# SPDX-License-Identifier: Apache-2.0
"""Published policies, robots and scenes, every version of them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "catalog_items",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("slug", sa.String(200), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("is_newest", sa.Boolean, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("facts", sa.String, nullable=False),
    )
    op.create_index("catalog_newest", "catalog_items", ["is_newest", "kind", "owner"])
    op.create_table(
        "catalog_files",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("slug", sa.String(200), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["kind", "owner", "slug", "version"],
            ["catalog_items.kind", "catalog_items.owner", "catalog_items.slug", "catalog_items.version"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("catalog_files_by_content", "catalog_files", ["sha256"])


def downgrade() -> None:
    """Drop them."""
    for table in ("catalog_files", "catalog_items"):
        op.drop_table(table)
