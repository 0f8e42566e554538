"""What access costs: `pacs.access.may` over ten thousand studies, and `visible` in each kind of query.

The same question goes through `storage.search`, or QIDO-RS where it is counted, for the region's administrator, whose
condition is `true()`, and for those who see a part; one after the other, on an archive of its own. Run: `python -m
bench --only access`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode

import psycopg
from starlette.requests import Request

from bench.measure import Figure, Group, Row, milliseconds
from bench.peers import TONGYING
from bench.region import FACILITIES, HOME, Asked, Region
from bench.run import Run
from pacs.access import Action, Principal, Purpose, Role, may
from pacs.attributes import Level
from pacs.query import Query, attribute, match
from pacs.settings import Settings
from storage.archive import Archive
from storage.embedded import EmbeddedDatabase
from storage.search import search
from storage.setup import prepare
from viewer_api.dicomweb.qido import search_studies

WARM, LISTED, REQUESTS_MAX = 6, 100, 40
REMARKS = (
    "An archive of its own, in the process of the bench; through storage.search, so with SQLAlchemy and psycopg, and "
    "without HTTP; what is counted through QIDO-RS's own function, which lists and counts, up to 200. The facility "
    "that asks owns 3 % of the studies.",
    "The operator, whose condition is true(), asks the same for as many studies as the other found, in turns with "
    "them. Standings are asked for once in a second for each who asks, before the clock runs.",
    "A name's beginning is a family and a character; month and modality are the days of a month until the study's; "
    "of the rare modality are 1 in 20.",
)
OPERATOR = Principal("operator", Role.ADMINISTRATOR)
ADMINISTRATOR = Principal("administrator", Role.ADMINISTRATOR, HOME)
CLINICIAN = Principal("doctor", Role.CLINICIAN, HOME)
RADIOLOGIST = Principal("reader", Role.RADIOLOGIST, HOME)
MIXED, REGISTERED, OPEN = "", "registered", "region"
# Who asks, under which policies of all facilities.
ASKING = ((MIXED, (ADMINISTRATOR, CLINICIAN)), (REGISTERED, (RADIOLOGIST,)), (OPEN, (RADIOLOGIST,)))


Keys = dict[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of query. What is counted is asked of QIDO-RS, which alone counts."""

    what: str
    keys: Callable[[Asked], Keys]
    limit: int = LISTED
    counted: bool = False

    def ask(self, archive: Archive, one: Asked, who: Principal, limit: int) -> int:
        """How many were found."""
        keys = self.keys(one)
        if self.counted:
            return _counted(archive, {**keys, "limit": str(limit), "total": "true"}, who)
        found = [match(attribute(name), value) for name, value in keys.items()]
        matches = tuple(m for m in found if m is not None)
        return len(search(archive, Query(Level.STUDY, matches, limit=limit), who))


def _counted(archive: Archive, keys: Keys, who: Principal) -> int:
    scope = {
        "type": "http", "method": "GET", "path": "/dicom-web/studies", "headers": [],
        "query_string": urlencode(keys).encode(),
    }  # fmt: skip
    return bytes(search_studies(Request(scope), who, archive).body).count(b'"0020000D"')


def _month(a: Asked) -> str:
    return f"{a.day.replace(day=1):%Y%m%d}-{a.day:%Y%m%d}"


KINDS = (
    Kind("patient ID", lambda a: {"PatientID": a.patient_id}),
    Kind("Study Instance UID", lambda a: {"StudyInstanceUID": a.study_uid}),
    Kind("accession number", lambda a: {"AccessionNumber": a.accession}),
    Kind("whole name", lambda a: {"PatientName": a.name}),
    Kind("name's beginning", lambda a: {"PatientName": a.name[:3] + "*"}),
    Kind("one day", lambda a: {"StudyDate": f"{a.day:%Y%m%d}"}),
    Kind("month and modality", lambda a: {"StudyDate": _month(a), "ModalitiesInStudy": "CT"}),
    Kind("rare modality, newest", lambda _: {"ModalitiesInStudy": "MG"}, 50),
    Kind("two modalities, newest", lambda _: {"ModalitiesInStudy": "CT\\MR"}, 50),
    Kind("newest", lambda _: {}, 50),
    Kind("newest, counted", lambda _: {}, 50, counted=True),
)


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
    now, action, purpose = datetime.now(UTC), Action.SEE, Purpose.TREATMENT
    facts = region.facts(count, now)
    for who in (CLINICIAN, RADIOLOGIST):

        def decide(who: Principal = who) -> None:
            for study in facts:
                may(who, action, study, purpose, now)

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
            archive.standings.of(who)  # as most requests find it
            as_many = max(1, kind.ask(archive, one, who, kind.limit))
            base.append(milliseconds(partial(kind.ask, archive, one, OPERATOR, as_many)))
            mine.append(milliseconds(partial(kind.ask, archive, one, who, kind.limit)))
        figure = Figure(tuple(mine[WARM:]))
        times = figure.median / statistics.median(base[WARM:])
        run.say(f"    {kind.what:<22} {figure.median:6.2f} {figure.median / times:6.2f} {times:6.2f}")
        yield Row(f"{name}: {kind.what}", "ms", {TONGYING: figure})
        yield Row(f"{name}: {kind.what}", "× the operator's", {TONGYING: Figure((times,))})
