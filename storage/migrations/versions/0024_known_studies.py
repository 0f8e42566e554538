"""Which facilities know the person of a study, and its body parts, kept by triggers"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# The patient's row is locked by both, as indexing does: who adds a study and who links its patient see each other.
OF_STUDY = """
CREATE FUNCTION know_study() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE known_studies SET sort_date = NEW.sort_date WHERE study_pk = NEW.id;
        RETURN NULL;
    END IF;
    PERFORM FROM patients WHERE id = NEW.patient_pk FOR NO KEY UPDATE;
    INSERT INTO known_studies (study_pk, known_to, sort_date)
    SELECT NEW.id, NEW.facility_id, NEW.sort_date
    UNION SELECT NEW.id, there.facility_id, NEW.sort_date
    FROM patients here JOIN patients there ON there.person_pk = here.person_pk WHERE here.id = NEW.patient_pk;
    RETURN NULL;
END $$
"""
OF_PERSON = """
CREATE FUNCTION know_person() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    people bigint[] := array_remove(ARRAY[OLD.person_pk, NEW.person_pk], NULL);
    whose bigint[];
BEGIN
    PERFORM FROM patients WHERE person_pk = ANY (people) ORDER BY id FOR NO KEY UPDATE;
    whose := ARRAY(SELECT id FROM patients WHERE person_pk = ANY (people)) || NEW.id;
    DELETE FROM known_studies known USING studies
    WHERE studies.id = known.study_pk AND studies.patient_pk = ANY (whose) AND known.known_to <> studies.facility_id
          AND NOT EXISTS (SELECT FROM patients here JOIN patients there ON there.person_pk = here.person_pk
                          WHERE here.id = studies.patient_pk AND there.facility_id = known.known_to);
    INSERT INTO known_studies (study_pk, known_to, sort_date)
    SELECT studies.id, there.facility_id, studies.sort_date
    FROM studies JOIN patients here ON here.id = studies.patient_pk
    JOIN patients there ON there.person_pk = here.person_pk
    WHERE studies.patient_pk = ANY (whose) FOR SHARE OF studies
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""
OF_SERIES = """
CREATE FUNCTION know_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE studies SET body_parts = ARRAY(SELECT unnest(body_parts) UNION SELECT upper(NEW.body_part) ORDER BY 1)
        WHERE id = NEW.study_pk AND NOT upper(NEW.body_part) = ANY (body_parts);
    ELSE
        UPDATE studies SET body_parts = ARRAY(SELECT DISTINCT upper(body_part) FROM series
                                              WHERE study_pk = OLD.study_pk AND body_part <> '' ORDER BY 1)
        WHERE id = OLD.study_pk;
    END IF;
    RETURN NULL;
END $$
"""
TRIGGERS = (
    "CREATE TRIGGER parts_added AFTER INSERT ON series FOR EACH ROW WHEN (NEW.body_part <> '')"
    " EXECUTE FUNCTION know_parts()",
    "CREATE TRIGGER parts_changed AFTER UPDATE OF body_part ON series FOR EACH ROW"
    " WHEN (OLD.body_part <> NEW.body_part) EXECUTE FUNCTION know_parts()",
    "CREATE TRIGGER parts_gone AFTER DELETE ON series FOR EACH ROW WHEN (OLD.body_part <> '')"
    " EXECUTE FUNCTION know_parts()",
    "CREATE TRIGGER known_added AFTER INSERT ON studies FOR EACH ROW EXECUTE FUNCTION know_study()",
    "CREATE TRIGGER known_dated AFTER UPDATE OF study_date ON studies FOR EACH ROW"
    " WHEN (OLD.sort_date <> NEW.sort_date) EXECUTE FUNCTION know_study()",
    "CREATE TRIGGER known_come AFTER INSERT ON patients FOR EACH ROW"
    " WHEN (NEW.person_pk IS NOT NULL) EXECUTE FUNCTION know_person()",
    "CREATE TRIGGER known_moved AFTER UPDATE OF person_pk ON patients FOR EACH ROW"
    " WHEN (OLD.person_pk IS DISTINCT FROM NEW.person_pk) EXECUTE FUNCTION know_person()",
    "CREATE TRIGGER known_gone AFTER DELETE ON patients FOR EACH ROW"
    " WHEN (OLD.person_pk IS NOT NULL) EXECUTE FUNCTION know_person()",
)
FILL = """
INSERT INTO known_studies (study_pk, known_to, sort_date)
SELECT id, facility_id, sort_date FROM studies
UNION SELECT studies.id, there.facility_id, studies.sort_date
FROM studies JOIN patients here ON here.id = studies.patient_pk JOIN patients there ON there.person_pk = here.person_pk
"""
FILL_PARTS = """
UPDATE studies SET body_parts = parts FROM (
    SELECT study_pk, array_agg(DISTINCT upper(body_part) ORDER BY upper(body_part)) AS parts
    FROM series WHERE body_part <> '' GROUP BY study_pk) of
WHERE id = study_pk
"""


def upgrade() -> None:
    parts: sa.Column[Any] = sa.Column(
        "body_parts", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False
    )
    op.add_column("studies", parts)
    op.create_table(
        "known_studies",
        sa.Column("study_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("known_to", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sort_date", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_pk"], ["studies.id"], name=op.f("fk_known_studies_study_pk"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["known_to"], ["facilities.id"], name=op.f("fk_known_studies_known_to")),
        sa.PrimaryKeyConstraint("study_pk", "known_to", name=op.f("pk_known_studies")),
    )
    op.create_index("ix_known_studies_newest", "known_studies", ["known_to", "sort_date", "study_pk"])
    for statement in (FILL_PARTS, OF_STUDY, OF_PERSON, OF_SERIES, *TRIGGERS, FILL):
        op.execute(statement)


def downgrade() -> None:
    for trigger in ("known_added ON studies", "known_dated ON studies", "known_come ON patients",
                    "known_moved ON patients", "known_gone ON patients", "parts_added ON series",
                    "parts_changed ON series", "parts_gone ON series"):  # fmt: skip
        op.execute(f"DROP TRIGGER {trigger}")
    for function in ("know_study", "know_person", "know_parts"):
        op.execute(f"DROP FUNCTION {function}()")
    op.drop_table("known_studies")
    op.drop_column("studies", "body_parts")
