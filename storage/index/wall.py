"""The second wall: what PostgreSQL keeps from who asks, should a query forget `visible` or get it wrong.

Connections that read for somebody are those of a role that owns nothing. For it row level security stands on studies
and series: it gets those of the facilities, and the studies, that two settings of its connection name (`Wall`), and
nothing where they name none. Lists read views that ask for the same: before the condition of row level security
PostgreSQL looks into no index by an operator that might tell what it saw (of words, of beginnings), and would read
every study (decision 0032). Of other tables the role reads what these queries need, of patients no name.
"""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg
from sqlalchemy import Connection, Table, exc, text

from pacs.logs import get
from storage.index.behind import Wall
from storage.index.tables import series, studies

ROLE, SCHEMA, LISTS = "tongying_reader", "tongying_wall", "tongying_lists"
MISSING = f"the second wall is missing: there is no role {ROLE} that we may take (docs/deployment.md)"
_WALLED: dict[Table, str] = {studies: "id", series: "study_pk"}  # and the column that names the study
_READ = (
    "facilities", "series_packs", "packs", "instances", "grants", "restrictions", "sharing_policies", "known_studies",
)  # fmt: skip
_READ_IN_PART = {
    "patients": "id, facility_id, person_pk, issuer", "users": "id, name", "departments": "id, facility_id, code",
    "share_links": "id, facility_id, patient_pk, study_uids, since, until",
}  # fmt: skip
_STANDS = """
    SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tongying_reader' AND pg_has_role(oid, 'SET'))
           AND to_regclass('tongying_wall.patients') IS NOT NULL AND to_regclass('tongying_lists.studies') IS NOT NULL
    """
_BUILT = text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema")
_SET = (
    "SELECT set_config('tongying.facilities', $1, false), set_config('tongying.studies', $2, false),"
    " set_config('search_path', $3, false), set_config('plan_cache_mode', $4, false)"
)
_PATH, _BEHIND, _TELL = "path of tables", "behind", b"tell"
KEPT, ANEW, AUTO = "force_generic_plan", "force_custom_plan", "auto"  # plans
log = get("wall")


def _condition(study: str) -> str:
    """The sub-selects are run once for a statement. CASE makes a filter of it and nothing else: no plan begins with it,
    or believes that little is left."""
    return f"""CASE
        WHEN substring((SELECT current_setting('tongying.facilities', true)::varbit), facility_id + 1, 1) = B'1'
        THEN true
        ELSE {study} = ANY ((SELECT current_setting('tongying.studies', true)::bigint[])::bigint[]) END"""


def _statements(schema: str) -> list[str]:
    """All that makes the wall, but for the role. `schema` is where the tables are."""
    made = [f"CREATE SCHEMA {SCHEMA}", f"CREATE SCHEMA {LISTS}",
            f"GRANT USAGE ON SCHEMA {LISTS}, {SCHEMA}, {schema} TO {ROLE}",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {ROLE}",
            f"GRANT SELECT ON {', '.join(f'{schema}.{name}' for name in _READ)} TO {ROLE}"]  # fmt: skip
    for table, study in _WALLED.items():
        name, columns = table.name, ", ".join(column.name for column in table.columns)
        rows = f"SELECT {columns} FROM {schema}.{name} WHERE {_condition(study)}"  # noqa: S608  all names are ours
        made += [
            f"ALTER TABLE {schema}.{name} ENABLE ROW LEVEL SECURITY",
            f"DROP POLICY IF EXISTS wall ON {schema}.{name}",
            f"CREATE POLICY wall ON {schema}.{name} FOR SELECT TO {ROLE} USING ({_condition(study)})",
            f"CREATE VIEW {LISTS}.{name} AS {rows}",
            f"GRANT SELECT ON {schema}.{name}, {LISTS}.{name} TO {ROLE}",
        ]
    for name, columns in _READ_IN_PART.items():
        made.append(f"CREATE VIEW {SCHEMA}.{name} AS SELECT {columns} FROM {schema}.{name}")  # noqa: S608  as above
        made.append(f"GRANT SELECT ON {SCHEMA}.{name} TO {ROLE}")
    return made


def is_built(connection: Connection) -> bool:
    """Whether it stands as this version makes it."""
    built = connection.execute(_BUILT, {"schema": SCHEMA}).scalar_one_or_none()
    return built == _digest(_schema(connection)) and stands(connection)


def stands(connection: Connection) -> bool:
    """Whether connections can go behind it."""
    return bool(connection.execute(text(_STANDS)).scalar_one())


def take_down(connection: Connection) -> None:
    """The views, which keep columns from being changed. Who reads behind the wall waits until it stands again."""
    connection.execute(text(f"DROP SCHEMA IF EXISTS {LISTS}, {SCHEMA} CASCADE"))


def build(connection: Connection) -> bool:
    """Whether it stands now. Where the database's user may not make roles or schemas, who administers it must."""
    schema = _schema(connection)
    try:
        with connection.begin_nested():
            _make_role(connection)
            take_down(connection)
            for statement in _statements(schema):
                connection.execute(text(statement))
            connection.execute(text(f"COMMENT ON SCHEMA {SCHEMA} IS '{_digest(schema)}'"))
    except exc.ProgrammingError as error:  # permission denied, or the role is not there
        log.warning("second_wall_missing", reason=type(error.orig).__name__)
        return False
    return stands(connection)


def _make_role(connection: Connection) -> None:
    known = text("SELECT pg_has_role(oid, 'SET') FROM pg_roles WHERE rolname = :role")
    may = connection.execute(known, {"role": ROLE}).scalar_one_or_none()
    if may is None:
        connection.execute(text(f"CREATE ROLE {ROLE} NOLOGIN"))
    if not may:
        connection.execute(text(f"GRANT {ROLE} TO CURRENT_USER"))


def _schema(connection: Connection) -> str:
    return str(connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one())


def _digest(schema: str) -> str:
    return hashlib.sha256("\n".join(_statements(schema)).encode()).hexdigest()


# --- Connections ----------------------------------------------------------------------------------------------------


def enter(connection: Any, record: Any) -> None:
    """A new connection (psycopg's) goes behind the wall, where it stands; until it is told more it sees nothing."""
    with connection.cursor() as cursor:
        stands_, path = cursor.execute(f"SELECT ({_STANDS}), current_setting('search_path')").fetchone()
        if stands_:
            cursor.execute(f"SET ROLE {ROLE}")
        else:
            log.warning("second_wall_missing", reason="no role or no views")
    connection.commit()
    connection.pgconn.prepare(_TELL, _SET.encode())
    record.info[_PATH], record.info[_BEHIND] = f"{SCHEMA}, {path}" if stands_ else None, None


def go_behind(connection: Connection, wall: Wall, *, listing: bool, plan: str) -> None:
    """Tell a connection that entered what it may see, if that is not what it was told last. `plan`: KEPT,
    whatever PostgreSQL believes of the values, made ANEW with them each time, or as it decides."""
    info, wanted = connection.info, (wall, listing, plan)
    if info[_PATH] is None or info[_BEHIND] == wanted:
        return
    info[_BEHIND] = None  # what it sees is not known until it was told
    path = f"{LISTS}, {info[_PATH]}" if listing else info[_PATH]
    _tell(connection, [wall.facilities, wall.studies, path, plan])
    info[_BEHIND] = wanted


def _tell(connection: Connection, values: list[str]) -> None:
    """By libpq itself, and prepared: where readers take turns it is told with each statement, and SQLAlchemy and
    psycopg would take longer over it than PostgreSQL. Raises OperationalError."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection), "it is psycopg's"
    try:
        told = driver.pgconn.exec_prepared(_TELL, [value.encode() for value in values])
        failed = told.status != psycopg.pq.ExecStatus.TUPLES_OK
    except psycopg.Error:
        failed = True
    if failed:
        connection.invalidate()
        raise exc.OperationalError("SET", None, psycopg.OperationalError("it was not told what may be seen"))
