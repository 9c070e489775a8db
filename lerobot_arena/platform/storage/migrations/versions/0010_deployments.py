# SPDX-License-Identifier: Apache-2.0
"""Deployments, their rollouts, and uploaded dataset records."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "deployments",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("slug", sa.String(80), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("policy", sa.String(300), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("hardware", sa.String(100), nullable=True),
        sa.Column("scale", sa.String(300), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("last_active_at", sa.Float, nullable=True),
        sa.UniqueConstraint("owner", "slug", name="deployments_by_endpoint"),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(400), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("policy", sa.String(300), nullable=False),
        sa.Column("route", sa.String(1000), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("deployment_id", sa.String(40), nullable=True),
        sa.Column("endpoint", sa.String(200), nullable=True),
        sa.Column("error_log", sa.String, nullable=True),
        sa.Column("events", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
    op.create_index("rollouts_by_owner", "rollouts", ["owner", "updated_at"])
    op.create_table(
        "dataset_records",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("file_key", sa.String(600), nullable=False, unique=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("video", sa.String(1000), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
    op.create_index("dataset_records_by_owner", "dataset_records", ["owner", "created_at"])


def downgrade() -> None:
    """Drop them."""
    for table in ("dataset_records", "rollouts", "deployments"):
        op.drop_table(table)
