"""Who is who: identities, keys, corrections, steps and reviews

Patients that are here already are compared too, by what their rows say; what their images say beyond is known once
they are indexed anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None
NOW = sa.text("now()")


def upgrade() -> None:
    _identities()
    _match_keys()
    _demographics()
    _link_events()
    _reviews()
    op.execute(
        "INSERT INTO identities (patient_pk, facility_id, due_at) SELECT id, facility_id, now() FROM patients"
    )


def _owner(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    named = op.f(f"fk_{table}_facility_id")
    return (
        sa.Column("facility_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["facility_id"], ["facilities.id"], name=named),
    )


def _patient(table: str, name: str = "patient_pk") -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    named = op.f(f"fk_{table}_{name}")
    return (
        sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint([name], ["patients.id"], name=named, ondelete="CASCADE"),
    )


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _identities() -> None:
    op.create_table(
        "identities",
        *_patient("identities"),
        *_owner("identities"),
        sa.Column("told", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("heard", sa.BigInteger(), server_default="0", nullable=False),
        _words("patient_name"),
        sa.Column("birth_date", sa.Date()),
        _words("sex"),
        _words("phone"),
        sa.Column("resident", sa.LargeBinary(), server_default=sa.text("''::bytea"), nullable=False),
        _words("resident_masked"),
        sa.Column("cards", postgresql.ARRAY(sa.LargeBinary()), server_default="{}", nullable=False),
        sa.Column("reused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("matched_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("patient_pk", name=op.f("pk_identities")),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_identities_due_at", "identities", ["due_at"], postgresql_where=due)


def _match_keys() -> None:
    op.create_table(
        "match_keys",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        *_patient("match_keys"),
        *_owner("match_keys"),
        sa.PrimaryKeyConstraint("key", "patient_pk", name=op.f("pk_match_keys")),
    )
    op.create_index("ix_match_keys_patient_pk", "match_keys", ["patient_pk"])


def _demographics() -> None:
    op.create_table(
        "demographics",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        *_owner("demographics"),
        sa.Column("patient_id", sa.Text(), nullable=False),
        _words("issuer"),
        _words("patient_name"),
        sa.Column("birth_date", sa.Date()),
        _words("sex"),
        _words("phone"),
        sa.Column("identifiers", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("merged_into", sa.BigInteger()),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["merged_into"], ["demographics.id"], name=op.f("fk_demographics_merged_into")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demographics")),
        sa.UniqueConstraint(
            "facility_id", "patient_id", "issuer", name=op.f("uq_demographics_facility_id_patient_id_issuer")
        ),
    )
    merged = sa.text("merged_into IS NOT NULL")
    op.create_index("ix_demographics_merged_into", "demographics", ["merged_into"], postgresql_where=merged)


def _link_events() -> None:
    op.create_table(
        "link_events",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        *_owner("link_events"),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger())
            for name in ("patient_pk", "other_pk", "demographics_id", "from_person", "to_person")
        ),
        sa.Column("before", postgresql.JSONB()),
        sa.Column("bits", sa.Float()),
        _words("why"),
        _words("actor"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("undone_by", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_events")),
    )
    op.create_index("ix_link_events_batch", "link_events", ["batch"])
    op.create_index("ix_link_events_patient_pk", "link_events", ["patient_pk"])
    corrections = sa.text("demographics_id IS NOT NULL")
    op.create_index(
        "ix_link_events_demographics_id", "link_events", ["demographics_id"], postgresql_where=corrections
    )


def _reviews() -> None:
    op.create_table(
        "reviews",
        *_patient("reviews", "low_pk"),
        *_patient("reviews", "high_pk"),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("bits", sa.Float()),
        _words("why"),
        _words("decided_by"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("low_pk", "high_pk", name=op.f("pk_reviews")),
    )
    op.create_index("ix_reviews_high_pk", "reviews", ["high_pk"])
    is_open = sa.text("state = 'open'")
    op.create_index("ix_reviews_open", "reviews", ["bits", "low_pk", "high_pk"], postgresql_where=is_open)


def downgrade() -> None:
    for table in ("reviews", "link_events", "demographics", "match_keys", "identities"):
        op.drop_table(table)
