"""Facilities: their English name, tier and grade"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS = ("name_en", "tier", "grade")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("facilities", sa.Column(name, sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("facilities", name)
