"""What access costs: `pacs.access.may` over ten thousand studies, and `visible` in each kind of query.

The same Query goes through `storage.search` for the region's administrator, whose condition is `true()`, and for those
who see a part; one after the other, on an archive of its own. Run: `python -m bench --only access`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import psycopg

from bench.measure import Figure, Group, Row, milliseconds
from bench.peers import TONGYING
from bench.region import FACILITIES, HOME, Asked, Region
from bench.run import Run
from pacs.access import Action, Principal, Purpose, Role, may
from pacs.attributes import Level
from pacs.query import Match, Query, attribute, match
from pacs.settings import Settings
from storage.archive import Archive
from storage.embedded import EmbeddedDatabase
from storage.search import search, total
from storage.setup import prepare

WARM, LISTED, REQUESTS_MAX = 6, 100, 40
REMARKS = (
    "An archive of its own, in the process of the bench; through storage.search, so with SQLAlchemy and psycopg, and "
    "without HTTP. The facility that asks owns 3 % of the studies.",
    "The operator, whose condition is true(), asks the same for as many studies as the other found, in turns with "
    "them. Standings are asked for once in a second for each who asks, before the clock runs.",
    "A name's beginning is a family and a character; month and modality are the days of a month until the study's.",
)
OPERATOR = Principal("operator", Role.ADMINISTRATOR)
ADMINISTRATOR = Principal("administrator", Role.ADMINISTRATOR, HOME)
CLINICIAN = Principal("doctor", Role.CLINICIAN, HOME)
RADIOLOGIST = Principal("reader", Role.RADIOLOGIST, HOME)
MIXED, REGISTERED, OPEN = "", "registered", "region"
# Who asks, under which policies of all facilities.
ASKING = ((MIXED, (ADMINISTRATOR, CLINICIAN)), (REGISTERED, (RADIOLOGIST,)), (OPEN, (RADIOLOGIST,)))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of query."""

    what: str
    query: Callable[[Asked], Query]
    counted: bool = False


def _query(*keys: tuple[str, str], limit: int = LISTED) -> Query:
    found = [match(attribute(name), value) for name, value in keys]
    matches: tuple[Match, ...] = tuple(m for m in found if m is not None)
    return Query(Level.STUDY, matches, limit=limit)


KINDS = (
    Kind("patient ID", lambda a: _query(("PatientID", a.patient_id))),
    Kind("Study Instance UID", lambda a: _query(("StudyInstanceUID", a.study_uid))),
    Kind("accession number", lambda a: _query(("AccessionNumber", a.accession))),
    Kind("whole name", lambda a: _query(("PatientName", a.name))),
    Kind("name's beginning", lambda a: _query(("PatientName", a.name[:3] + "*"))),
    Kind("one day", lambda a: _query(("StudyDate", f"{a.day:%Y%m%d}"))),
    Kind("month and modality", lambda a: _query(("StudyDate", f"{a.day.replace(day=1):%Y%m%d}-{a.day:%Y%m%d}"),
                                                ("ModalitiesInStudy", "CT"))),
    Kind("newest", lambda _: _query(limit=50)),
    Kind("one day, counted", lambda a: _query(("StudyDate", f"{a.day:%Y%m%d}")), counted=True),
    Kind("newest, all counted", lambda _: _query(limit=50), counted=True),
)  # fmt: skip


def measure(run: Run) -> Group:
    """`may` first, then each kind of query for each who asks."""
    region = Region(run.sizes.indexed)
    rows = list(_decided(region, run.sizes.decided))
    folder = run.folder / "access"
    database = EmbeddedDatabase(folder / "postgres")
    try:
        archive = Archive.open(Settings(data=folder, database_url=database.url, disk_free_bytes_min=0))
        prepare(archive)
        place = database.url.replace("+psycopg", "", 1)
        with psycopg.connect(place) as connection:
            region.write(connection)
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            for scope, askers in ASKING:
                if scope:
                    connection.execute("UPDATE sharing_policies SET scope = %s", [scope])
                for asker in askers:
                    rows += _asked(run, archive, region, scope, asker)
        archive.close()
    finally:
        database.stop()
    title = f"What access costs: {run.sizes.indexed:,} studies of {FACILITIES} facilities"
    return Group("access", title, tuple(rows), REMARKS)


def _decided(region: Region, count: int) -> Iterator[Row]:
    now = datetime.now(UTC)
    facts = region.facts(count, now)
    for who in (CLINICIAN, RADIOLOGIST):

        def decide(who: Principal = who) -> None:
            for study in facts:
                may(who, Action.SEE, study, Purpose.TREATMENT, now)

        times = [milliseconds(decide) for _ in range(WARM + 20)][WARM:]
        yield Row(f"may, {who.role.value}, {count:,} studies", "ms", {TONGYING: Figure(tuple(times))})


def _asked(run: Run, archive: Archive, region: Region, scope: str, who: Principal) -> Iterator[Row]:
    """Two rows for each kind: what it takes, and how many times what it takes the operator for as many studies."""
    asked = region.asked(WARM + min(run.sizes.requests, REQUESTS_MAX))
    name = who.role.value + (f", policies {scope}" if scope else "")
    run.say(f"  {name}: ms, the operator's, times")
    for kind in KINDS:
        base: list[float] = []
        mine: list[float] = []
        for one in asked:
            query = kind.query(one)
            archive.standings.of(who)  # as most requests find it
            as_many = replace(query, limit=max(1, len(search(archive, query, who))))
            base.append(milliseconds(partial(_ask, archive, kind, as_many, OPERATOR)))
            mine.append(milliseconds(partial(_ask, archive, kind, query, who)))
        figure = Figure(tuple(mine[WARM:]))
        times = figure.median / statistics.median(base[WARM:])
        run.say(f"    {kind.what:<20} {figure.median:6.2f} {figure.median / times:6.2f} {times:6.2f}")
        yield Row(f"{name}: {kind.what}", "ms", {TONGYING: figure})
        yield Row(f"{name}: {kind.what}", "× the operator's", {TONGYING: Figure((times,))})


def _ask(archive: Archive, kind: Kind, query: Query, who: Principal) -> None:
    search(archive, query, who)
    if kind.counted:
        total(archive, query, who)
