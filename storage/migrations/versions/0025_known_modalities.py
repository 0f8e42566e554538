"""What a facility knows is in the order of lists for each modality too; restrictions are looked for by hash"""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TABLE = "known_studies"
PRIMARY, NEWEST, OF_MODALITY = "pk_known_studies", "ix_known_studies_newest", "ix_known_studies_modality"
OF_STUDY = """
CREATE OR REPLACE FUNCTION know_study() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE known_studies SET sort_date = NEW.sort_date WHERE study_pk = NEW.id AND sort_date <> NEW.sort_date;
        DELETE FROM known_studies
        WHERE study_pk = NEW.id AND modality <> '' AND NOT modality = ANY (NEW.modalities);
        INSERT INTO known_studies (study_pk, known_to, modality, sort_date, owner)
        SELECT NEW.id, known_to, kind, NEW.sort_date, owner FROM known_studies, unnest(NEW.modalities) kind
        WHERE study_pk = NEW.id AND modality = ''
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END IF;
    PERFORM FROM patients WHERE id = NEW.patient_pk FOR NO KEY UPDATE;
    INSERT INTO known_studies (study_pk, known_to, modality, sort_date, owner)
    SELECT NEW.id, place, kind, NEW.sort_date, NEW.facility_id
    FROM (SELECT NEW.facility_id AS place
          UNION SELECT there.facility_id FROM patients here JOIN patients there ON there.person_pk = here.person_pk
          WHERE here.id = NEW.patient_pk) places,
         (SELECT '' AS kind UNION SELECT unnest(NEW.modalities)) kinds;
    RETURN NULL;
END $$
"""
# The studies are locked by a statement of their own: the next sees the modalities that they have then.
OF_PERSON = """
CREATE OR REPLACE FUNCTION know_person() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    people bigint[] := array_remove(ARRAY[OLD.person_pk, NEW.person_pk], NULL);
    whose bigint[];
BEGIN
    PERFORM FROM patients WHERE person_pk = ANY (people) ORDER BY id FOR NO KEY UPDATE;
    whose := ARRAY(SELECT id FROM patients WHERE person_pk = ANY (people)) || NEW.id;
    PERFORM FROM studies WHERE patient_pk = ANY (whose) ORDER BY id FOR SHARE;
    DELETE FROM known_studies known USING studies
    WHERE studies.id = known.study_pk AND studies.patient_pk = ANY (whose) AND known.known_to <> studies.facility_id
          AND NOT EXISTS (SELECT FROM patients here JOIN patients there ON there.person_pk = here.person_pk
                          WHERE here.id = studies.patient_pk AND there.facility_id = known.known_to);
    INSERT INTO known_studies (study_pk, known_to, modality, sort_date, owner)
    SELECT studies.id, there.facility_id, kind, studies.sort_date, studies.facility_id
    FROM studies JOIN patients here ON here.id = studies.patient_pk
    JOIN patients there ON there.person_pk = here.person_pk, unnest(array_append(studies.modalities, '')) kind
    WHERE studies.patient_pk = ANY (whose)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""
# As `storage.index.writes.grow_study` makes it; here for series whose own modality is mended.
OF_SERIES = """
CREATE FUNCTION know_modalities() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE studies SET modalities = ARRAY(
        SELECT DISTINCT modality FROM series
        WHERE study_pk = OLD.study_pk AND instance_count > 0 AND modality <> '' ORDER BY 1 LIMIT 64)
    WHERE id = OLD.study_pk;
    RETURN NULL;
END $$
"""
TRIGGERS = (
    "CREATE TRIGGER modality_changed AFTER UPDATE OF modality ON series FOR EACH ROW"
    " WHEN (OLD.modality <> NEW.modality AND NEW.instance_count > 0) EXECUTE FUNCTION know_modalities()",
    "CREATE TRIGGER modality_gone AFTER DELETE ON series FOR EACH ROW"
    " WHEN (OLD.modality <> '' AND OLD.instance_count > 0) EXECUTE FUNCTION know_modalities()",
    "CREATE TRIGGER known_changed AFTER UPDATE OF study_date, modalities ON studies FOR EACH ROW"
    " WHEN (OLD.sort_date <> NEW.sort_date OR OLD.modalities <> NEW.modalities) EXECUTE FUNCTION know_study()",
)
RESTRICTED = (("study_uid", "study_uid <> ''"), ("patient_pk", "patient_pk IS NOT NULL"))
FILL = (
    "UPDATE known_studies SET owner = facility_id FROM studies WHERE id = study_pk",
    "ALTER TABLE known_studies ALTER owner SET NOT NULL",
    "INSERT INTO known_studies (study_pk, known_to, modality, sort_date, owner)"
    " SELECT study_pk, known_to, kind, known_studies.sort_date, owner"
    " FROM known_studies JOIN studies ON id = study_pk, unnest(modalities) kind"
    " WHERE modality = '' ON CONFLICT DO NOTHING",
)


def _look_for_restrictions(by: str) -> None:
    for column, where in RESTRICTED:
        op.drop_index(f"ix_restrictions_{column}", table_name="restrictions")
        op.create_index(
            f"ix_restrictions_{column}", "restrictions", [column], postgresql_using=by,
            postgresql_where=sa.text(where),
        )  # fmt: skip


def upgrade() -> None:
    _look_for_restrictions("hash")
    op.drop_index(NEWEST, table_name=TABLE)
    op.drop_constraint(PRIMARY, TABLE, type_="primary")
    op.add_column(TABLE, sa.Column("modality", sa.Text(), server_default="", nullable=False))
    op.add_column(TABLE, sa.Column("owner", sa.Integer(), nullable=True))
    op.create_primary_key(op.f(PRIMARY), TABLE, ["study_pk", "known_to", "modality"])
    for statement in (
        OF_STUDY,
        OF_PERSON,
        OF_SERIES,
        "DROP TRIGGER known_dated ON studies",
        *TRIGGERS,
        *FILL,
    ):
        op.execute(statement)
    op.add_column(
        TABLE,
        sa.Column("owned", sa.Boolean(), sa.Computed("known_to = owner", persisted=True), nullable=False),
    )
    op.create_foreign_key(op.f("fk_known_studies_owner"), TABLE, "facilities", ["owner"], ["id"])
    op.create_index(
        NEWEST,
        TABLE,
        ["known_to", "modality", "sort_date", "study_pk"],
        postgresql_include=["owner", "owned"],
    )
    op.create_index(
        OF_MODALITY, TABLE, ["modality", "sort_date", "study_pk"], postgresql_include=["owner", "known_to"],
        postgresql_where=sa.text("owned AND modality <> ''"),
    )  # fmt: skip


def downgrade() -> None:
    _look_for_restrictions("btree")
    op.drop_index(OF_MODALITY, table_name=TABLE)
    op.drop_index(NEWEST, table_name=TABLE)
    op.drop_constraint(PRIMARY, TABLE, type_="primary")
    op.execute("DELETE FROM known_studies WHERE modality <> ''")
    op.drop_column(TABLE, "owned")
    op.drop_column(TABLE, "owner")
    op.drop_column(TABLE, "modality")
    op.create_primary_key(op.f(PRIMARY), TABLE, ["study_pk", "known_to"])
    op.create_index(NEWEST, TABLE, ["known_to", "sort_date", "study_pk"])
    for trigger in ("known_changed ON studies", "modality_changed ON series", "modality_gone ON series"):
        op.execute(f"DROP TRIGGER {trigger}")
    op.execute("DROP FUNCTION know_modalities()")
    before = import_module("storage.migrations.versions.0024_known_studies")
    for function in (before.OF_STUDY, before.OF_PERSON):
        op.execute(function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.execute(next(trigger for trigger in before.TRIGGERS if "known_dated" in trigger))
