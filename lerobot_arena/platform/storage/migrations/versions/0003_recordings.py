# SPDX-License-Identifier: Apache-2.0
"""The index of recordings. Losing it loses nothing: it is made again from the files."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "recording_files",
        sa.Column("path", sa.String(600), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("risk", sa.Integer, nullable=False),
        sa.Column("channels", sa.String, nullable=False),
        sa.Column("records", sa.String, nullable=False),
        sa.Column("totals", sa.String, nullable=False),
    )
    op.create_table(
        "recording_spans",
        sa.Column(
            "path",
            sa.String(600),
            sa.ForeignKey("recording_files.path", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("body", sa.String, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("recording_spans", "recording_files"):
        op.drop_table(table)
