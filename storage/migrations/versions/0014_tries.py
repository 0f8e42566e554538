"""Tries to sign in, counted by all processes together"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tries",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("who", sa.LargeBinary(), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tries")),
    )
    op.create_index("ix_tries_who", "tries", ["who"])
    op.create_index("ix_tries_tried_at", "tries", ["tried_at"])


def downgrade() -> None:
    op.drop_table("tries")
