"""A database as it was when an archive was prepared on it, for each of the tests that share one.

To make it takes a second of a core: migrations, and the hash of a password. So rows are taken away, where what was made
is still as it was made; it is made anew where a test has changed a table, or has left much."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, text

from storage.archive import Archive
from storage.index.schema import SCHEMA
from storage.setup import prepare

LEFT_BYTES_MAX = 1 << 20  # in one table, of rows that are gone
CATALOGS = (
    "pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_description", "pg_index", "pg_namespace",
    "pg_policy", "pg_proc", "pg_rewrite", "pg_sequence", "pg_type",
)  # fmt: skip
# By which transaction each catalogue was changed last; triggers as they are, as some are switched off and on again.
_MADE = text(
    "SELECT " + ", ".join(f"(SELECT (count(*), max(xmin::text::bigint))::text FROM {c})" for c in CATALOGS)
    + ", (SELECT md5(string_agg(t::text, ',' ORDER BY oid)) FROM pg_trigger t)"
)  # fmt: skip
_LEFT = text(
    "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind = 'r' AND pg_relation_size(oid) > 0 AND relname <> 'alembic_version'"
)
_COUNTED = text(
    "SELECT seqrelid::regclass::text AS name, seqstart AS start, pg_sequence_last_value(seqrelid) AS last"
    " FROM pg_sequence"
)
_COUNT = text(
    "SELECT setval(CAST(:name AS regclass), coalesce(:last, :start), CAST(:last AS bigint) IS NOT NULL)"
)


class Prepared:
    """What was there then, and how it was made."""

    def __init__(self) -> None:
        self._made: Any = None
        self._rows: dict[Any, list[dict[str, Any]]] = {}
        self._counted: list[dict[str, Any]] = []

    def again(self, archive: Archive) -> None:
        """Empty but for what `prepare` puts there."""
        with archive.database.begin() as connection:
            left = dict(tuple(row) for row in connection.execute(_LEFT))
            if connection.execute(_MADE).one() == self._made and max(left.values()) < LEFT_BYTES_MAX:
                self._put_back(connection, list(left))
                return
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        prepare(archive)
        with archive.database.begin() as connection:
            self._look(connection)

    def _look(self, connection: Connection) -> None:
        self._made = connection.execute(_MADE).one()
        self._counted = [dict(row) for row in connection.execute(_COUNTED).mappings()]
        found = {
            table: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in SCHEMA.sorted_tables
        }
        self._rows = {table: rows for table, rows in found.items() if rows}

    def _put_back(self, connection: Connection, tables: list[str]) -> None:
        connection.execute(
            text("SET LOCAL session_replication_role = replica")
        )  # no trigger, no order of keys
        for table in tables:
            connection.execute(text(f"DELETE FROM {table}"))
        for table, rows in self._rows.items():
            connection.execute(insert(table), rows)
        connection.execute(_COUNT, self._counted)
