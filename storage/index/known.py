"""Which facilities know the person that a study is of: its owner, and those of which the same person is a patient.

Triggers keep it (migration 0024), in the transaction that adds a study or moves a patient to another person. So whether
a patient is registered somewhere is one look, and what a facility knows is in the order of lists. They keep the body
parts of a study's series in its row too, by which a policy may be narrowed.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Connection, Date, ForeignKey, Index, Integer, Table, text

from storage.index.columns import metadata

known_studies = Table(
    "known_studies", metadata,
    Column("study_pk", BigInteger, ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True,
           autoincrement=False),
    Column("known_to", Integer, ForeignKey("facilities.id"), primary_key=True, autoincrement=False),
    Column("sort_date", Date, nullable=False),  # as the study has it
    Index("ix_known_studies_newest", "known_to", "sort_date", "study_pk"),
)  # fmt: skip

_ASTRAY = text("""
    WITH known AS (
        SELECT id AS study_pk, facility_id AS known_to, sort_date FROM studies
        UNION SELECT studies.id, there.facility_id, sort_date FROM studies
        JOIN patients here ON here.id = patient_pk JOIN patients there ON there.person_pk = here.person_pk),
    said AS (SELECT study_pk, known_to, sort_date FROM known_studies)
    SELECT study_pk FROM ((TABLE known EXCEPT TABLE said) UNION ALL (TABLE said EXCEPT TABLE known)) other
    UNION SELECT id FROM studies WHERE body_parts <> ARRAY(
        SELECT DISTINCT upper(body_part) FROM series WHERE study_pk = studies.id AND body_part <> '' ORDER BY 1)
    ORDER BY study_pk LIMIT :most
    """)


def astray(connection: Connection, limit: int) -> Sequence[int]:
    """Studies of which it is not said what is so."""
    return connection.execute(_ASTRAY, {"most": limit}).scalars().all()
