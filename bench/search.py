"""From the acknowledgement of a study's last image to its full count in the study list."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict

from pynetdicom import AE

from bench.corpus import Study, make_study
from bench.measure import Figure, Group, Row, until
from bench.peers import Peer
from bench.run import Run
from bench.web import Client

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
IMAGES_MAX = 10
PAUSE_SECONDS = 0.4  # between studies, so that each lies in a segment of its own
POLL_SECONDS = 0.005
REMARKS = (
    "Studies of 1 to 10 slices, one after the other, sent by pynetdicom; the clock runs from the answer to the last "
    "image until QIDO-RS gives the study with its full count (asked every 5 ms).",
    "Orthanc indexes before it answers, so its figure is the time of one query. Tongying answers when the bytes are "
    "safe, and promises to list them within 2 s: a segment is shipped when nothing came for 250 ms, then indexed.",
)


def measure(run: Run) -> Group:
    """Each study in turn to each peer that has a study list."""
    peers = [p for p in run.peers.values() if p.web]
    waited: dict[str, list[float]] = defaultdict(list)
    folder = run.folder / "search"
    studies = [make_study(folder / str(n), n, run.sizes.side, f"SEARCH{n}") for n in range(1, IMAGES_MAX + 1)]
    for number in range(-run.sizes.warm_rounds, run.sizes.studies):
        study = studies[number % IMAGES_MAX].stamp()
        for peer in peers:
            seconds = _until_found(peer, study)
            if number >= 0:
                waited[peer.name].append(seconds * 1000)
    figures = {name: Figure(tuple(values)) for name, values in waited.items()}
    what = "last image acknowledged to study listed"
    rows = (Row(f"{what}, p50", "ms", figures), Row(f"{what}, p95", "ms", figures, percentile=95))
    for row in rows:
        run.say("  " + row.what + ": " + ", ".join(f"{n} {row.shown(n):.0f} ms" for n in figures))
    return Group("search", "Acknowledged to searchable", rows, REMARKS)


def _until_found(peer: Peer, study: Study) -> float:
    assert peer.web is not None
    time.sleep(PAUSE_SECONDS)
    with Client(peer.web) as client:
        client.instances_of(study.study_uid)  # the connection is made
        _send(peer, study)
        return until(
            lambda: client.instances_of(study.study_uid) == len(study.images),
            poll_seconds=POLL_SECONDS, seconds_max=60, what=f"{peer.name} lists the study",
        )  # fmt: skip


def _send(peer: Peer, study: Study) -> None:
    """Returns at the answer to the last image; the association is released by its own thread's end."""
    ae = AE("BENCH")
    ae.add_requested_context(CT, EXPLICIT)
    association = ae.associate("127.0.0.1", peer.dicom_port, ae_title=peer.ae_title)
    if not association.is_established:
        raise OSError(f"{peer.name} did not accept the association")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for image in study.images:
            if association.send_c_store(str(image.path)).Status != 0:
                raise OSError(f"{peer.name} did not store an image")
    association.abort()  # at once: a release would stand between the answer and the clock
