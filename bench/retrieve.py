"""WADO-RS: a whole series, one frame, one picture, the metadata."""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from bench.corpus import Study, make_study
from bench.crowd import answers_a_second, can_crowd
from bench.distant import REMARK, Read, Samples, beside, distant
from bench.measure import Figure, Group, Row, cpu_seconds, milliseconds, quiet, until
from bench.peers import TONGYING, Peer, Web
from bench.run import Run
from bench.senders import send
from bench.web import DICOM_JSON, Client

ORIGINALS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAME = 'multipart/related; type="application/octet-stream"'
SLICES = {"one frame": ("/frames/1", FRAME), "one rendered JPEG": ("/frames/1/rendered", "image/jpeg")}
WARM = 5
CROWD, CROWD_ROUNDS = 16, 5
REMARKS = (
    "Measured when nobody works any more at what was stored: Tongying makes HTJ2K renditions of a large series when it "
    "has not grown for half a minute.",
    "One client, one kept connection, http.client reading 1 MB at a time: the same for both. Client and server share "
    "the two cores.",
    "The series is as received (transfer-syntax=*). A frame is the uncompressed 16-bit frame of one slice, another "
    "slice each time; rendered is its JPEG with the default window.",
    f"{CROWD} clients: `wrk` with as many connections, each of which asks for one slice after the other as soon as the "
    "answer before is there. Servers and `wrk` share the two cores.",
    "Metadata is asked for as browsers ask (Accept-Encoding: gzip), and its time includes unzipping. Tongying writes "
    "it when it indexes; Orthanc makes it from what its plug-in keeps, or from the files.",
    REMARK,
)


def measure(run: Run) -> Group:
    """One series at each peer, then rounds in turns."""
    study = make_study(run.folder / "retrieve", run.sizes.slices, run.sizes.side, "RETRIEVE")
    peers = [p for p in run.peers.values() if p.web]
    for peer in peers:
        _store(peer, study)
    _derived(run)
    samples: dict[tuple[str, str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    clients = {p.name: Client(p.web) for p in peers if p.web}
    try:
        for _ in range(run.sizes.rounds):
            for peer in peers:
                read = _series(peer, clients[peer.name], study)
                samples["series as received", "MB/s", 50][peer.name].append(read.speed)
                samples["series as received: CPU, all its processes", "ms/MB", 50][peer.name].append(read.cpu)
        for what, request in _small(study).items():
            for name, values in _in_turns(clients, request, run.sizes.requests).items():
                samples[f"{what}, p50", "ms", 50][name] = values
                samples[f"{what}, p95", "ms", 95][name] = values
        ours = run.peers.get(TONGYING)
        if ours is not None and ours.web:
            for what, unit, values in _from_s3(run, ours, clients[TONGYING], study):
                samples[what, unit, 50][TONGYING] = values
            manifest = replace(ours.web, prefix="")
            taken = [
                milliseconds(lambda: _first_image(manifest, study)) for _ in range(WARM + run.sizes.requests)
            ]
            samples["first image through the manifest, p50", "ms", 50][TONGYING] = taken[WARM:]
        for what, rates in _crowds(run, peers, study):
            samples[f"{what}, {CROWD} clients", "answers/s", 50] = rates
    finally:
        for client in clients.values():
            client.close()
    rows = [_row(*key, by_peer) for key, by_peer in samples.items()]
    for row in rows:
        run.say("  " + row.what + ": " + ", ".join(f"{n} {row.shown(n):.2f} {row.unit}" for n in row.figures))
    return Group("retrieve", "WADO-RS", tuple(rows), REMARKS)


def _row(what: str, unit: str, percentile: int, by_peer: dict[str, list[float]]) -> Row:
    figures = {name: Figure(tuple(values)) for name, values in by_peer.items()}
    return Row(what, unit, figures, more_is_better=unit.endswith("/s") or unit == "%", percentile=percentile)


def _derived(run: Run) -> None:
    """What is derived in the background is done."""
    time.sleep(run.sizes.derived_seconds)
    if run.sizes.settle_seconds:
        quiet()


def _store(peer: Peer, study: Study) -> None:
    send(peer, [[study.folder]])
    assert peer.web is not None
    with Client(peer.web) as client:
        until(
            lambda: client.instances_of(study.study_uid) == len(study.images),
            poll_seconds=0.05, seconds_max=60, what=f"{peer.name} lists the series",
        )  # fmt: skip


def _path(study: Study) -> str:
    return f"/studies/{study.study_uid}/series/{study.series_uid}"


def _series(peer: Peer, client: Client, study: Study, store: Sequence[int] = ()) -> Read:
    """`store`: the processes of what it reads from. Raises OSError if bytes are missing."""
    roots = [pid for pids in peer.roles().values() for pid in pids]
    before = (cpu_seconds(store), cpu_seconds(roots))  # looking is work of ours, and not the client's
    start, mine = time.perf_counter(), time.process_time()
    received = client.drain(_path(study), ORIGINALS)
    seconds, mine = time.perf_counter() - start, time.process_time() - mine
    after = (cpu_seconds(store), cpu_seconds(roots))
    if received < study.bytes * 0.99:  # Orthanc may rewrite the file meta information
        raise OSError(f"{peer.name} gave {received} bytes of {study.bytes}")
    megabytes = received / 1e6
    stores, all_of_ours = ((now - then) * 1000 / megabytes for then, now in zip(before, after, strict=True))
    return Read(megabytes / seconds, all_of_ours, mine * 1000 / megabytes, stores)


def _from_s3(run: Run, local: Peer, client: Client, study: Study) -> Samples:
    with distant(run) as (far, store):
        _store(far, study)
        _derived(run)
        assert far.web is not None
        with Client(far.web) as far_client:
            return beside(
                run.sizes.rounds,
                lambda: _series(local, client, study),
                lambda: _series(far, far_client, study, store),
            )


def _crowds(run: Run, peers: list[Peer], study: Study) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Answers a second of each peer, in turns; nothing where `wrk` is missing."""
    for what, (tail, accept) in SLICES.items() if can_crowd() else ():
        rates: dict[str, list[float]] = defaultdict(list)
        paths = _slices(study, tail)
        for _ in range(CROWD_ROUNDS):
            for peer in peers:
                assert peer.web is not None
                seconds = run.sizes.crowd_seconds
                rate = answers_a_second(peer.web, paths, accept, run.folder, clients=CROWD, seconds=seconds)
                rates[peer.name].append(rate)
        yield what, rates


def _slices(study: Study, tail: str) -> list[str]:
    return [f"{_path(study)}/instances/{image.uid}{tail}" for image in study.images]


Request = Callable[[Client], object]


def _small(study: Study) -> dict[str, Callable[[], Request]]:
    """The small requests; each call of a maker goes on to the next slice, the same for every peer."""
    series = _path(study)

    def each(tail: str, accept: str) -> Callable[[], Request]:
        paths = itertools.cycle(_slices(study, tail))
        return lambda: _reading(next(paths), accept)

    return {what: each(*asked) for what, asked in SLICES.items()} | {
        f"metadata of the series ({len(study.images)})": lambda: _reading(
            f"{series}/metadata", DICOM_JSON, "gzip"
        ),
        "metadata, not zipped": lambda: _reading(f"{series}/metadata", DICOM_JSON),
    }


def _reading(path: str, accept: str, encoding: str = "identity") -> Request:
    def read(client: Client) -> object:
        if not client.read(path, accept, encoding):
            raise OSError(f"{path}: nothing came")
        return None

    return read


def _in_turns(clients: dict[str, Client], make: Callable[[], Request], count: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in clients}
    for number in range(-WARM, count):
        request = make()
        for name, client in clients.items():
            spent = milliseconds(partial(request, client))
            if number >= 0:
                taken[name].append(spent)
    return taken


def _first_image(web: Web, study: Study) -> None:
    """As a viewer begins, each time on a new connection: the manifest, then metadata and pixels of the first image."""
    with Client(web) as client:
        manifest = json.loads(client.read(f"/api/studies/{study.study_uid}", "application/json", "gzip"))
        series = manifest["series"][0]
        first = series["instances"][len(series["instances"]) // 2]["sop_uid"]
        path = f"/dicom-web/studies/{study.study_uid}/series/{series['series_uid']}/instances/{first}"
        client.read(f"{path}/metadata", DICOM_JSON, "gzip")
        client.read(f"{path}/frames/1", FRAME)
