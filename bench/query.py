"""DIMSE: C-FIND of 100 studies out of many, and C-MOVE of a series to a receiver that writes it down."""

from __future__ import annotations

import subprocess
import time

import httpx
import psycopg

from bench.corpus import Study, make_study
from bench.measure import Figure, Group, Row, milliseconds, quiet, settle, until
from bench.peers import ORTHANC, TONGYING, Peer, StoreScp, Tongying
from bench.run import Run
from bench.senders import send
from bench.web import DICOM_JSON, Client
from tests.support import pdu
from tests.support.dicom import NO_WAIT
from tests.support.pdu import EXPLICIT, associated
from tests.support.pdu import Peer as Caller

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CALLER, DESTINATION = "BENCHCALLER", "BENCHDEST"
FOUND, WARM = 100, 5
PENDING = 0xFF00
REMARKS = (
    "C-FIND, STUDY level, Study Root, one kept association of a raw sender: the studies of one day, ten return keys, "
    "from the request until the last answer is read. The studies stand in the index alone.",
    "Among few studies are those of the groups before; a list is of PatientID P1, two studies, or of names that begin "
    "with Bench^Query1, of which there are ten thousand.",
    "C-MOVE: DCMTK's movescu asks for the series, DCMTK's storescp writes it to files; a round whose files are not all "
    "there ends the run. The same two for both, the start of movescu (about 20 ms) included.",
)
ASKED = (
    (0x00080020, "DA", b"20260706"), (0x00080030, "TM", b""), (0x00080050, "SH", b""), (0x00080061, "CS", b""),
    (0x00081030, "LO", b""), (0x00100010, "PN", b""), (0x00100020, "LO", b""), (0x0020000D, "UI", b""),
    (0x00201206, "IS", b""), (0x00201208, "IS", b""),
)  # fmt: skip
# One day has the hundred that are found; the others are spread over thirty years before it.
FILL = """
    WITH patient AS (
        INSERT INTO patients (facility_id, patient_id, patient_name) VALUES (1, 'BENCH', 'Bench^Query') RETURNING id)
    INSERT INTO studies (facility_id, patient_pk, study_uid, study_date, study_time, accession, patient_id,
                         patient_name, name_folded, name_tokens, modalities, series_count, instance_count)
    SELECT 1, patient.id, '1.2.826.0.1.99.' || n,
           CASE WHEN n <= %(found)s THEN DATE '2026-07-06' ELSE DATE '1995-01-01' + n %% 11000 END,
           TIME '08:00' + n %% 36000 * INTERVAL '1 second', 'A' || n, 'P' || n %% 50000,
           'Bench^Query' || n %% 50000, 'bench^query' || n %% 50000, ARRAY['bench', 'query' || n %% 50000],
           ARRAY['CT'], 2, 250
    FROM patient, generate_series(1, %(studies)s) n
"""


def measure(run: Run) -> Group:
    """C-MOVE in turns, then C-FIND at ours."""
    study = make_study(run.folder / "move", run.sizes.slices, run.sizes.side, "MOVE")
    peers = {name: run.peers[name] for name in (TONGYING, ORTHANC) if name in run.peers}
    moves: dict[str, list[float]] = {name: [] for name in peers}
    destination = StoreScp(run.folder / "destination")
    try:
        for peer in peers.values():
            _introduce(peer, destination.dicom_port)
            _store(peer, study)
        for number in range(-run.sizes.warm_rounds, run.sizes.rounds):
            for name, peer in peers.items():
                settle(run.sizes.settle_seconds)
                seconds = _move(peer, study, destination)
                if number >= 0:
                    moves[name].append(len(study.images) / seconds)
    finally:
        destination.stop()
    rows = [Row(f"C-MOVE of a series of {len(study.images)}", "images/s",
                {name: Figure(tuple(taken)) for name, taken in moves.items()}, more_is_better=True)]  # fmt: skip
    ours = run.peers.get(TONGYING)
    if isinstance(ours, Tongying):
        before = _asked_of(ours, study, run.sizes.requests)
        _fill(run, ours)
        times = Figure(tuple(_find(run, ours)))
        rows += [Row(f"C-FIND of {FOUND} of {run.sizes.indexed:,} studies, p{p}", "ms", {TONGYING: times}, percentile=p)
                 for p in (50, 95)]  # fmt: skip
        for what, after in _asked_of(ours, study, run.sizes.requests).items():
            for some, taken in (("few", before[what]), (f"{run.sizes.indexed:,}", after)):
                rows.append(Row(f"{what}, among {some} studies, p50", "ms", {TONGYING: Figure(tuple(taken))}))
    for row in rows:
        run.say("  " + row.what + ": " + ", ".join(f"{n} {row.shown(n):.1f} {row.unit}" for n in row.figures))
    return Group("query", "C-FIND and C-MOVE", tuple(rows), REMARKS)


def _introduce(peer: Peer, port: int) -> None:
    """Tell a peer where the destination is; an Orthanc moves nothing for callers that it does not know either."""
    if isinstance(peer, Tongying):
        peer.server.run("remote", "add", "bench", DESTINATION, "127.0.0.1", str(port))
        return
    assert peer.web is not None
    for title in (CALLER, DESTINATION):
        place = {"AET": title, "Host": "127.0.0.1", "Port": port}
        known = f"http://127.0.0.1:{peer.web.port}/modalities/{title.lower()}"
        httpx.put(known, json=place).raise_for_status()


def _store(peer: Peer, study: Study) -> None:
    send(peer, [[study.folder]])
    assert peer.web is not None
    with Client(peer.web) as client:
        until(lambda: client.instances_of(study.study_uid) == len(study.images),
              poll_seconds=0.05, seconds_max=60, what=f"{peer.name} lists the series")  # fmt: skip


def _move(peer: Peer, study: Study, destination: StoreScp) -> float:
    """Seconds; raises OSError where not all arrived. movescu itself ends well whatever it was told."""
    command = ["movescu", "-S", "-aet", CALLER, "-aec", peer.ae_title, "-aem", DESTINATION, "-k", "0008,0052=SERIES",
               "-k", f"StudyInstanceUID={study.study_uid}", "-k", f"SeriesInstanceUID={study.series_uid}",
               "127.0.0.1", str(peer.dicom_port)]  # fmt: skip
    destination.tidy()
    began = time.perf_counter()
    done = subprocess.run(command, env=NO_WAIT, check=True, capture_output=True, text=True, timeout=120)
    seconds = time.perf_counter() - began
    arrived = destination.count()
    if arrived != len(study.images):
        raise OSError(f"{peer.name} moved {arrived} of {len(study.images)} images: {done.stderr[-500:]}")
    return seconds


def _asked_of(ours: Tongying, study: Study, count: int) -> dict[str, list[float]]:
    """Milliseconds of requests that should take no longer the more there is."""
    series = f"/studies/{study.study_uid}/series/{study.series_uid}"
    asked = {
        "list of the newest 50": lambda client: client.json("/studies", limit="50"),
        "studies of a patient": lambda client: client.json("/studies", PatientID="P1"),
        "a name's beginning": lambda client: client.json("/studies", PatientName="Bench^Query1*", limit="50"),
        "metadata of a series": lambda client: client.read(f"{series}/metadata", DICOM_JSON, "gzip"),
        "one rendered JPEG": lambda client: client.read(
            f"{series}/instances/{study.images[0].uid}/rendered", "image/jpeg"
        ),
    }
    with Client(ours.web) as client:
        return {what: [milliseconds(lambda ask=ask: ask(client)) for _ in range(WARM + count)][WARM:]  # type: ignore[misc]
                for what, ask in asked.items()}  # fmt: skip


def _fill(run: Run, ours: Tongying) -> None:
    place = f"host={ours.server.data / 'postgres'} dbname=tongying user=postgres"
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute(FILL, {"found": FOUND, "studies": run.sizes.indexed})
        connection.execute("VACUUM ANALYZE studies")
    if run.sizes.settle_seconds:
        run.say(f"  the machine was quiet after {quiet():.0f} s")


def _find(run: Run, ours: Tongying) -> list[float]:
    with associated(ours.dicom_port, [(STUDY_FIND, [EXPLICIT])]) as caller:
        taken = [milliseconds(lambda: _ask(caller)) for _ in range(WARM + run.sizes.requests)]
        caller.release()
    return taken[WARM:]


def _ask(caller: Caller) -> None:
    """One C-FIND; raises AssertionError where not all came."""
    elements = sorted((*ASKED, (0x00080052, "CS", b"STUDY ")))
    identifier = b"".join(pdu.explicit(tag, vr, value) for tag, vr, value in elements)
    command = pdu.command(pdu.element(2, STUDY_FIND.encode()), pdu.us(0x0100, 0x0020), pdu.us(0x0110, 1),
                          pdu.us(0x0700, 0), pdu.us(0x0800, 1))  # fmt: skip
    caller.send(*pdu.message(command, identifier))
    answers = 0
    while (status := caller.answer().status) == PENDING:
        caller.read()  # the data set, which fits into one PDU
        answers += 1
    assert (status, answers) == (0, FOUND), (status, answers)
