"""The archive: the database and the object store, and how a series is read from both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select

from pacs.access import Principal
from pacs.settings import Settings
from storage import contents
from storage.audit.recorder import Recorder
from storage.blobs import ObjectStore, open_store
from storage.contents import Entry
from storage.database import Database, open_database
from storage.index.tables import series_packs
from storage.index.wall import AUTO
from storage.packnames import contents_key, metadata_key
from storage.shelf import Shelf
from storage.standings import Standings


@dataclass(frozen=True, slots=True)
class Archive:
    """What every verb of storage works on. Safe to share between threads."""

    settings: Settings
    database: Database
    objects: ObjectStore
    shelf: Shelf  # for retrieve alone: what lies there never changes
    standings: Standings
    audit: Recorder  # one for each process, so a copy with other settings keeps it

    @classmethod
    def of(cls, settings: Settings, database: Database, objects: ObjectStore) -> Archive:
        shelf = Shelf(settings.shelf_bytes_max)
        return cls(
            settings, database, objects, shelf, Standings(database), Recorder(settings, database, objects)
        )

    @classmethod
    def open(cls, settings: Settings) -> Archive:
        return cls.of(settings, open_database(settings), open_store(settings))

    @contextmanager
    def read_as(
        self, principal: Principal, *, listing: bool = False, plan: str = AUTO
    ) -> Iterator[Connection]:
        """For one statement that reads studies for somebody: behind the second wall (`storage.index.wall`), which does
        not stand in for `visible`. Who may see everything reads before it. `listing`: as lists do; `plan`: whether
        it is kept."""
        database = self.database
        behind = (
            database.read()
            if principal.is_operator
            else database.read_behind(self.standings.wall(principal), listing=listing, plan=plan)
        )
        with behind as connection:
            yield connection

    def entries(self, connection: Connection, series_pk: int) -> list[Entry]:
        """All instances of a series, conflicting ones too, in the order in which their packs came."""
        found = connection.execute(_fragments(series_pk)).all()
        return [
            e for i, n in found for e in contents.decode(self.objects.get(contents_key(series_pk, i, n)), i)
        ]

    def metadata_keys(self, connection: Connection, series_pk: int) -> list[str]:
        """Where the DICOM JSON of a series' instances is."""
        shown = _fragments(series_pk).where(series_packs.c.instance_count > 0)
        return [metadata_key(series_pk, i, n) for i, n in connection.execute(shown)]

    def metadata(self, connection: Connection, series_pk: int) -> list[bytes]:
        """The DICOM JSON of a series' instances, one each, in the order in which their packs came."""
        keys = self.metadata_keys(connection, series_pk)
        return [m for key in keys for m in contents.decode_metadata(self.objects.get(key))]

    def close(self) -> None:
        self.audit.close()
        self.database.close()


def _fragments(series_pk: int) -> Select[Any]:
    """The packs of a series, each with the edition of what is written of it."""
    of = series_packs.c
    return select(of.pack_id, of.edition).where(of.series_pk == series_pk).order_by(of.pack_id)
