"""packs that are indexed again"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FRESH = sa.text("state = 'shipped' AND NOT again")
BEFORE = sa.text("state = 'shipped'")
LANES = ["facility_id", "urgent", "id"]


def upgrade() -> None:
    op.add_column("packs", sa.Column("again", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("packs", sa.Column("edition", sa.Integer(), server_default="0", nullable=False))
    op.add_column("packs", sa.Column("callings", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("series_packs", sa.Column("edition", sa.Integer(), server_default="0", nullable=False))
    op.drop_index("ix_packs_waiting", table_name="packs")
    op.drop_index("ix_packs_lanes", table_name="packs")
    op.create_index("ix_packs_waiting", "packs", ["hinted_at"], unique=False, postgresql_where=FRESH)
    op.create_index("ix_packs_lanes", "packs", LANES, unique=False, postgresql_where=FRESH)
    op.create_index("ix_packs_again", "packs", LANES, unique=False, postgresql_where=sa.text("again"))
    op.create_table(
        "superseded",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("facility_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["facility_id"], ["facilities.id"], name=op.f("fk_superseded_facility_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_superseded")),
    )
    op.create_index("ix_superseded_since", "superseded", ["since"], unique=False)


def downgrade() -> None:
    op.drop_table("superseded")
    for name in ("ix_packs_again", "ix_packs_lanes", "ix_packs_waiting"):
        op.drop_index(name, table_name="packs")
    op.create_index("ix_packs_lanes", "packs", LANES, unique=False, postgresql_where=BEFORE)
    op.create_index("ix_packs_waiting", "packs", ["hinted_at"], unique=False, postgresql_where=BEFORE)
    op.drop_column("series_packs", "edition")
    for name in ("callings", "edition", "again"):
        op.drop_column("packs", name)
