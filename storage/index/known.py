"""Which facilities know the person that a study is of: its owner, and those of which the same person is a patient.

Triggers keep it (migrations 0024 and 0025), in the transaction that adds a study or moves a patient to another person.
So whether a patient is registered somewhere is one look, and what a facility knows is in the order of lists: of all
modalities, and of each. What the series of a study are, body parts and modalities, by which a policy may be narrowed,
they keep in its row.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Connection,
    Date,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from storage.index.columns import metadata

ANY = ""  # in place of a modality: each study that a facility knows has one row of it
known_studies = Table(
    "known_studies", metadata,
    Column("study_pk", BigInteger, ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True,
           autoincrement=False),
    Column("known_to", Integer, ForeignKey("facilities.id"), primary_key=True, autoincrement=False),
    Column("modality", Text, primary_key=True, server_default=ANY),  # ANY, or one of the study's
    Column("sort_date", Date, nullable=False),  # as the study has it
    Column("owner", Integer, ForeignKey("facilities.id"), nullable=False),
    Column("owned", Boolean, Computed("known_to = owner", persisted=True), nullable=False),  # by whom it is known to
    Index("ix_known_studies_newest", "known_to", "modality", "sort_date", "study_pk",
          postgresql_include=["owner", "owned"]),
    Index("ix_known_studies_modality", "modality", "sort_date", "study_pk", postgresql_include=["owner", "known_to"],
          postgresql_where=text("owned AND modality <> ''")),
)  # fmt: skip

_ASTRAY = text("""
    WITH known AS (
        SELECT id AS study_pk, facility_id AS known_to, sort_date, modalities, facility_id AS owner FROM studies
        UNION SELECT studies.id, there.facility_id, sort_date, modalities, studies.facility_id
        FROM studies JOIN patients here ON here.id = patient_pk
        JOIN patients there ON there.person_pk = here.person_pk),
    each AS (SELECT study_pk, known_to, kind AS modality, sort_date, owner
             FROM known, unnest(array_append(modalities, '')) kind GROUP BY 1, 2, 3, 4, 5),
    said AS (SELECT study_pk, known_to, modality, sort_date, owner FROM known_studies)
    SELECT study_pk FROM ((TABLE each EXCEPT TABLE said) UNION ALL (TABLE said EXCEPT TABLE each)) other
    UNION SELECT id FROM studies WHERE body_parts <> ARRAY(
        SELECT DISTINCT upper(body_part) FROM series WHERE study_pk = studies.id AND body_part <> '' ORDER BY 1)
    UNION SELECT id FROM studies WHERE modalities <> ARRAY(
        SELECT DISTINCT modality FROM series
        WHERE study_pk = studies.id AND instance_count > 0 AND modality <> '' ORDER BY 1 LIMIT 64)
    ORDER BY study_pk LIMIT :most
    """)


def astray(connection: Connection, limit: int) -> Sequence[int]:
    """Studies of which it is not said what is so."""
    return connection.execute(_ASTRAY, {"most": limit}).scalars().all()
