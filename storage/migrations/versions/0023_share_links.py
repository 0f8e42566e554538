"""Share links are of one patient, and may ask for a code"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM share_links")  # nothing could make or open one before
    op.add_column("share_links", sa.Column("patient_pk", sa.BigInteger(), nullable=False))
    op.add_column("share_links", sa.Column("code_hash", sa.LargeBinary(), nullable=True))
    op.add_column("share_links", sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(
        op.f("fk_share_links_patient_pk"), "share_links", "patients", ["patient_pk"], ["id"]
    )
    op.create_index("ix_share_links_facility_id", "share_links", ["facility_id", "id"])
    op.create_index("ix_share_links_patient_pk", "share_links", ["patient_pk"])


def downgrade() -> None:
    op.drop_index("ix_share_links_patient_pk", table_name="share_links")
    op.drop_index("ix_share_links_facility_id", table_name="share_links")
    op.drop_constraint(op.f("fk_share_links_patient_pk"), "share_links", type_="foreignkey")
    for name in ("opened_at", "code_hash", "patient_pk"):
        op.drop_column("share_links", name)
