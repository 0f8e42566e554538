"""HTJ2K renditions: which series wait for them, and which packs' parts have one"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("series", sa.Column("rendition_at", sa.DateTime(timezone=True)))
    op.create_index(
        "ix_series_rendition_at", "series", ["rendition_at"],
        postgresql_where=sa.text("rendition_at IS NOT NULL"),
    )  # fmt: skip
    op.add_column("series_packs", sa.Column("rendition_bytes", sa.BigInteger()))
    op.add_column("series_packs", sa.Column("resolutions", postgresql.ARRAY(sa.Integer())))
    op.add_column(
        "series_packs", sa.Column("rendition_tries", sa.SmallInteger(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    for name in ("rendition_tries", "resolutions", "rendition_bytes"):
        op.drop_column("series_packs", name)
    op.drop_index("ix_series_rendition_at", table_name="series")
    op.drop_column("series", "rendition_at")
