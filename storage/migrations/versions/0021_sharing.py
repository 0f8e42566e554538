"""Departments, and sharing: policies, grants, restrictions, share links"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "departments", *_key(),
        sa.Column("code", sa.Text(), nullable=False), _words("name"), _words("name_en"), _moment("created_at"),
        *_constraints("departments"),
        sa.UniqueConstraint("facility_id", "code", name="uq_departments_facility_id_code"),
    )  # fmt: skip
    op.add_column("users", sa.Column("department_id", sa.BigInteger()))
    op.create_foreign_key("fk_users_department_id", "users", "departments", ["department_id"], ["id"])
    op.create_table(
        "sharing_policies",
        sa.Column("facility_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scope", sa.Text(), server_default="none", nullable=False),
        sa.Column("modalities", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("sensitive_body_parts", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        _moment("updated_at"), _words("updated_by"),
        sa.ForeignKeyConstraint(["facility_id"], ["facilities.id"], name="fk_sharing_policies_facility_id"),
        sa.PrimaryKeyConstraint("facility_id", name="pk_sharing_policies"),
    )  # fmt: skip
    _grants()
    _restrictions()
    op.create_table(
        "share_links", *_key(),
        sa.Column("study_uids", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        _moment("since"), sa.Column("made_by", sa.Text(), nullable=False), _words("ended_by"),
        *_constraints("share_links"),
        sa.UniqueConstraint("token_hash", name="uq_share_links_token_hash"),
    )  # fmt: skip


def _grants() -> None:
    to = {"to_facility_id": sa.Integer(), "to_department_id": sa.BigInteger(), "to_user_id": sa.BigInteger()}
    tables = {"to_facility_id": "facilities", "to_department_id": "departments", "to_user_id": "users"}
    op.create_table(
        "grants", *_key(), *_about(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, kind) for name, kind in to.items()),
        sa.Column("sensitive", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True)), _words("noted_by"),
        sa.CheckConstraint("num_nonnulls(to_facility_id, to_department_id, to_user_id) = 1", name="ck_grants_to"),
        *_constraints("grants"), *_about_constraints("grants"),
        *(sa.ForeignKeyConstraint([name], [f"{table}.id"], name=f"fk_grants_{name}") for name, table in tables.items()),
    )  # fmt: skip
    for name in to:
        op.create_index(f"ix_grants_{name}", "grants", [name, "until"],
                        postgresql_where=sa.text(f"{name} IS NOT NULL"))  # fmt: skip
    _about_indexes("grants")


def _restrictions() -> None:
    op.create_table(
        "restrictions", *_key(), *_about(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("everywhere", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("NOT everywhere OR patient_pk IS NOT NULL", name="ck_restrictions_everywhere"),
        *_constraints("restrictions"), *_about_constraints("restrictions"),
    )  # fmt: skip
    op.create_index("ix_restrictions_everywhere", "restrictions", ["patient_pk"],
                    postgresql_where=sa.text("everywhere"))  # fmt: skip
    _about_indexes("restrictions")


def _key() -> tuple[sa.Column, ...]:  # type: ignore[type-arg]
    return (
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("facility_id", sa.Integer(), nullable=False),
    )


def _words(name: str) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _moment(name: str) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, sa.DateTime(timezone=True), server_default=NOW, nullable=False)


def _about() -> tuple[sa.Column, ...]:  # type: ignore[type-arg]
    return (
        _words("study_uid"),
        sa.Column("patient_pk", sa.BigInteger()),
        _words("reason"),
        _moment("since"),
        sa.Column("made_by", sa.Text(), nullable=False),
        _words("ended_by"),
    )


def _constraints(table: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["facility_id"], ["facilities.id"], name=f"fk_{table}_facility_id"),
    )


def _about_constraints(table: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.ForeignKeyConstraint(["patient_pk"], ["patients.id"], name=f"fk_{table}_patient_pk"),
        sa.CheckConstraint("(study_uid <> '') <> (patient_pk IS NOT NULL)", name=f"ck_{table}_about"),
    )


def _about_indexes(table: str) -> None:
    op.create_index(
        f"ix_{table}_study_uid", table, ["study_uid"], postgresql_where=sa.text("study_uid <> ''")
    )
    op.create_index(f"ix_{table}_patient_pk", table, ["patient_pk"],
                    postgresql_where=sa.text("patient_pk IS NOT NULL"))  # fmt: skip
    op.create_index(f"ix_{table}_facility_id", table, ["facility_id", "id"])


def downgrade() -> None:
    for table in ("share_links", "restrictions", "grants", "sharing_policies"):
        op.drop_table(table)
    op.drop_constraint("fk_users_department_id", "users", type_="foreignkey")
    op.drop_column("users", "department_id")
    op.drop_table("departments")
