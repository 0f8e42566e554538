"""Persons: whom patients of several facilities were found to be"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "persons",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_persons"),
    )
    op.add_column("patients", sa.Column("person_pk", sa.BigInteger(), nullable=True))
    op.create_foreign_key("fk_patients_person_pk", "patients", "persons", ["person_pk"], ["id"])
    op.create_index(
        "ix_patients_person", "patients", ["person_pk"], postgresql_where=sa.text("person_pk IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_patients_person", "patients")
    op.drop_column("patients", "person_pk")
    op.drop_table("persons")
