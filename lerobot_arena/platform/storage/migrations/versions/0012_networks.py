# SPDX-License-Identifier: Apache-2.0
"""Which network a stranger's vote came from, as a keyed hash; and votes in the order they came."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of earlier votes it is not known."""
    op.add_column("votes", sa.Column("network", sa.String(32), nullable=False, server_default=""))
    op.create_index("votes_by_time", "votes", ["at", "matchup_id", "voter"])


def downgrade() -> None:
    """Forget it."""
    op.drop_index("votes_by_time", "votes")
    with op.batch_alter_table("votes") as table:
        table.drop_column("network")
