"""Hospitals that run an Orthanc, a real one: followed, pulled whole, pushed to, compared (promises P1, P4, P10)."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicom_node.orthanc_verbs import compare, push
from pacs.encoded import part10_header
from pacs.errors import NotFound, SettingError
from storage import edges
from storage.archive import Archive
from storage.edges import Edge, Status
from tests.support.dicom import dataset_sha256, parts_of
from tests.support.orthanc import USER, Exchange, OrthancServer, inside, listed
from tests.support.pdu import CT, EXPLICIT, Made, made
from tests.support.server import Server, eventually
from tests.support.studies import ct_study
from tests.support.watch import incidents, settled, sop_uids, whole

SECONDS = 60  # at most, on a machine that does other things; alone it takes two or three


@dataclass(frozen=True)
class Region:
    """A running server, and its archive opened in this process: a command takes seconds to start."""

    server: Server
    store: Archive

    def register(self, edge: Edge) -> Edge:
        return edges.add_edge(self.store, edge)

    def status(self, name: str = "H") -> Status:
        return next(one for one in edges.list_edges(self.store) if one.edge.name == name)

    def followed(self, name: str = "H") -> None:
        """Until it is reached, and compared with."""

        def now() -> bool:
            status = self.status(name)
            return status.state == "following" and status.progress.listed is None

        eventually(now, SECONDS, f"{name} is followed")

    def arrived(self, files: list[Made]) -> None:
        """Until all of these instances of a study are shown; no others may be."""
        study, wanted = files[0].study, {one.instance for one in files}
        eventually(
            lambda: set(sop_uids(self.server, study)) >= wanted,
            SECONDS,
            f"{len(wanted)} instances of {study}",
        )
        assert sorted(sop_uids(self.server, study)) == sorted(wanted)

    def compared(self, name: str = "H", *, each_instance: bool = False) -> list[tuple[int, int, int]]:
        """Of each study: instances there, here, missing."""
        found = compare(self.store, edges.find_edge(self.store, name), each_instance=each_instance)
        return sorted((one.there, one.here, one.missing) for one in found)

    def given_out(self, study: str) -> list[str]:
        """SHA-256 of the data sets that we give out of a study."""
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        answer = self.server.client.get(f"/dicom-web/studies/{study}", headers=accept).raise_for_status()
        return sorted(dataset_sha256(body) for _, body in parts_of(answer))


@pytest.fixture(scope="module")
def region(workspace: Path) -> Iterator[Region]:
    running = Server(workspace / "edges").start()
    for facility in ("EAST", "WEST"):
        running.run("facility", "add", facility)
    with inside(running) as store:
        yield Region(running, store)
    whole(running)
    running.remove()


@pytest.fixture
def exchange(region: Region) -> Iterator[Exchange]:
    """The process that follows, and what it says during a test."""
    watched = Exchange(region.server)
    yield watched
    assert "orthanc_step_failed" not in watched.log(), watched.log()[-5000:]
    assert "job_failed" not in watched.log(), watched.log()[-5000:]


@contextlib.contextmanager
def orthanc_at(
    folder: Path, region: Region, name: str, *, overwrite: bool = False
) -> Iterator[OrthancServer]:
    """A started Orthanc; afterwards it is stopped, and no longer registered under its name."""
    running = OrthancServer(folder / name, overwrite=overwrite).start()
    try:
        yield running
    finally:
        with contextlib.suppress(NotFound):
            edges.remove_edge(region.store, name)
        running.client.close()
        running.stop()


@pytest.fixture
def hospital(region: Region, tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_at(tmp_path, region, "H") as running:
        yield running


def part10(one: Made) -> bytes:
    return part10_header(CT, one.instance, EXPLICIT, source_ae="") + one.data


def files_of(study: list[Made]) -> list[bytes]:
    return [part10(one) for one in study]


def study_of(count: int, patient_id: str = "EDGE") -> list[Made]:
    study, series = generate_uid(), generate_uid()
    return [made(study=study, series=series, patient_id=patient_id) for _ in range(count)]


def study_again(one: Made, patient_id: str, pixels: bytes | None) -> Made:
    """Under the same UIDs, something else."""
    return made(
        study=one.study, series=one.series, instance=one.instance, patient_id=patient_id, pixels=pixels
    )


def test_what_is_stored_there_is_here_within_seconds(
    region: Region, exchange: Exchange, hospital: OrthancServer
) -> None:
    said = region.server.run(
        "orthanc",
        "add",
        "H",
        hospital.url,
        "--username",
        USER,
        "--password-file",
        str(hospital.password_file),
    )
    assert "answers; it has 0 instances" in said.stdout, said
    region.followed()
    for _ in range(2):
        study = study_of(6)
        began = time.monotonic()
        hospital.store(files_of(study))
        region.arrived(study)
        print(f"stored there, shown here: {time.monotonic() - began:.1f} s")
        assert region.given_out(study[0].study) == sorted(map(dataset_sha256, files_of(study)))
    assert "2 studies compared, 0 incomplete" in region.server.run("orthanc", "compare", "H").stdout
    assert listed(region.server, "H")[:4] == ["H", "LOCAL", hospital.url, "following"]


def test_200_instances_are_pulled_whole(region: Region, exchange: Exchange, hospital: OrthancServer) -> None:
    studies = [study_of(50, patient_id=f"P{n}") for n in range(4)]
    for study in studies:
        hospital.store(files_of(study))
    region.register(hospital.edge("H"))
    for study in studies:
        region.arrived(study)
    region.followed()
    assert region.status().progress.pulled == 200, "each once"
    assert region.compared(each_instance=True) == [(50, 50, 0)] * 4


def test_killed_in_between_it_completes(region: Region, exchange: Exchange, hospital: OrthancServer) -> None:
    study = study_of(1500)
    hospital.store(files_of(study))
    region.register(hospital.edge("H"))
    pulled = []
    for _ in range(3):
        before = region.status().progress.pulled
        eventually(lambda b=before: region.status().progress.pulled > b, SECONDS, "some came")  # type: ignore[misc]
        exchange.kill()
        pulled.append(region.status().progress.pulled)
    assert 0 < pulled[0] < pulled[1] < pulled[2] < len(study), "it was killed under way"
    region.arrived(study)
    region.followed()
    settled(region.server)
    assert region.compared(each_instance=True) == [(len(study), len(study), 0)]
    assert incidents(region.server, "conflict") == {}


def test_away_restarted_and_slow(region: Region, exchange: Exchange, hospital: OrthancServer) -> None:
    region.register(hospital.edge("H"))
    first, second, third = study_of(3), study_of(3), study_of(3)
    hospital.store(files_of(first))
    region.arrived(first)
    hospital.stop()
    eventually(lambda: region.status().state == "away", SECONDS, "it is noticed to be away")
    hospital.start()
    hospital.store(files_of(second))
    region.arrived(second)
    hospital.store(files_of(third))
    assert hospital.service.process is not None
    hospital.service.process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    hospital.service.process.send_signal(signal.SIGCONT)
    region.arrived(third)
    states = [line["state"] for line in exchange.said("orthanc_state") if line["edge"] == "H"]
    assert states == ["following", "away", "following"], "each change of state is told once"


def test_its_database_is_replaced(region: Region, exchange: Exchange, hospital: OrthancServer) -> None:
    """By an empty one; and then, while we look away, by one whose log is longer than ours was."""
    region.register(hospital.edge("H"))
    first, second, third = study_of(5), study_of(2), study_of(20)
    hospital.store(files_of(first))
    region.arrived(first)
    hospital.stop()
    hospital.empty()
    hospital.start()
    hospital.store(files_of(second))
    region.arrived(second)
    exchange.pause()
    hospital.stop()
    hospital.empty()
    hospital.start()
    hospital.store(files_of(third))
    exchange.kill()
    region.arrived(third)
    region.arrived(first)  # ours stay
    assert exchange.said("orthanc_replaced") != []


def test_its_change_log_is_emptied(region: Region, exchange: Exchange, hospital: OrthancServer) -> None:
    """While we look away, after more was stored."""
    region.register(hospital.edge("H"))
    first, second, third = study_of(2), study_of(4), study_of(3)
    hospital.store(files_of(first))
    region.arrived(first)
    region.followed()
    exchange.pause()
    hospital.store(files_of(second))
    hospital.client.delete("changes").raise_for_status()
    hospital.store(files_of(third))
    exchange.kill()
    region.arrived(second)
    region.arrived(third)


def test_what_is_deleted_there_costs_nothing(
    region: Region, exchange: Exchange, hospital: OrthancServer
) -> None:
    """Deletions take entries out of the change log; that is no reason to compare everything, nor to delete here."""
    region.register(hospital.edge("H"))
    first, second, third = study_of(3, "P1"), study_of(3, "P2"), study_of(3, "P3")
    hospital.store(files_of(first))
    answers = hospital.store(files_of(second))
    region.arrived(second)
    region.followed()
    hospital.client.delete(f"patients/{answers[0]['ParentPatient']}").raise_for_status()
    hospital.store(files_of(third))
    region.arrived(third)
    region.arrived(second)
    assert exchange.said("orthanc_log_emptied") == []
    assert exchange.said("orthanc_replaced") == []


def test_a_wrong_password_is_one_clear_line(
    region: Region, exchange: Exchange, hospital: OrthancServer, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    said = region.server.run(
        "orthanc", "add", "H", hospital.url, "--username", USER, "--password-file", str(wrong)
    )
    assert "cannot be followed yet: the user name or password is not accepted (HTTP 401)" in said.stderr
    eventually(lambda: region.status().state == "refused", SECONDS, "it is told")
    assert "password is not accepted" in listed(region.server, "H")[-1]
    time.sleep(4)  # it is tried again meanwhile
    assert [line["state"] for line in exchange.said("orthanc_state")] == ["refused"]
    study = study_of(2)
    hospital.store(files_of(study))
    region.register(hospital.edge("H"))
    region.arrived(study)
    log = exchange.log()
    assert "not-the-password" not in log
    assert "密" not in log


def test_push_of_a_study(region: Region, exchange: Exchange, hospital: OrthancServer, tmp_path: Path) -> None:
    study = ct_study(tmp_path / "ct", slices=14, name="张^三")
    region.server.command("import", str(tmp_path / "ct"))
    eventually(lambda: len(sop_uids(region.server, study.uid)) == 14, SECONDS, "it is imported")
    edge = region.register(hospital.edge("H"))
    region.followed()
    assert "14 sent, 0 were there, 0 failed" in region.server.run("orthanc", "push", "H", study.uid).stdout
    there = hospital.files(study.uid)
    wanted = sorted(dataset_sha256(path.read_bytes()) for path in study.files)
    assert sorted(map(dataset_sha256, there.values())) == wanted
    again = push(region.store, edge, study.uid)
    assert (again.sent, again.already, again.failed) == (0, 14, [])
    one = hospital.client.get("instances", params={"limit": 1, "since": 0}).json()[0]
    hospital.client.delete(f"instances/{one}").raise_for_status()
    assert push(region.store, edge, study.uid).sent == 1
    assert region.compared() == [(14, 14, 0)]
    last = hospital.client.get("changes", params={"last": ""}).json()["Last"]
    eventually(lambda: region.status().progress.change >= last, SECONDS, "its changes were read")
    assert region.status().progress.pulled == 0, "what we pushed is not pulled"


def test_a_large_instance_both_ways(region: Region, exchange: Exchange, hospital: OrthancServer) -> None:
    """40 MB: it is pulled into a segment of its own, and read from the object store while it is pushed."""
    one = made(patient_id="LARGE", pixels=bytes(range(256)) * (40 * 4096))
    hospital.store([part10(one)])
    edge = region.register(hospital.edge("H"))
    region.arrived([one])
    assert region.given_out(one.study) == [dataset_sha256(part10(one))]
    region.followed()
    hospital.client.delete(f"instances/{hospital.client.get('instances').json()[0]}").raise_for_status()
    assert push(region.store, edge, one.study).sent == 1
    assert list(map(dataset_sha256, hospital.files(one.study).values())) == [dataset_sha256(part10(one))]


def test_instances_that_differ_under_the_same_uid(region: Region, exchange: Exchange, tmp_path: Path) -> None:
    """Overwritten there, or under two patients: all are kept, one is shown, an operator sees the conflict."""
    with orthanc_at(tmp_path, region, "H", overwrite=True) as hospital:
        region.register(hospital.edge("H"))
        study = study_of(2)
        first, second = study
        hospital.store(files_of(study))
        region.arrived(study)
        changed = study_again(first, "EDGE", bytes(512))
        hospital.store([part10(changed)])
        eventually(lambda: first.instance in incidents(region.server, "conflict"), SECONDS, "it is told")
        assert region.given_out(first.study) == sorted(map(dataset_sha256, files_of(study)))
        hospital.store([part10(study_again(second, "ELSE", None))])
        eventually(
            lambda: second.instance in incidents(region.server, "conflict"), SECONDS, "of patients, too"
        )
        assert region.compared() == [(3, 2, 0)]


def test_one_bad_instance_does_not_stop_the_rest(
    region: Region, exchange: Exchange, hospital: OrthancServer
) -> None:
    """Its file is gone from the Orthanc's disk."""
    study = study_of(10)
    answers = hospital.store(files_of(study))
    uuid = hospital.client.get(f"instances/{answers[4]['ID']}").json()["FileUuid"]
    hospital.stop()  # it keeps files in memory
    (hospital.storage / uuid[:2] / uuid[2:4] / uuid).unlink()
    hospital.start()
    region.register(hospital.edge("H"))
    region.arrived([one for one in study if one is not study[4]])
    eventually(lambda: region.status().failures == 1, SECONDS, "it is told")
    assert answers[4]["ID"] in region.server.run("orthanc", "list").stderr
    said = region.server.run("orthanc", "compare", "H", check=False)
    assert said.returncode == 1
    assert "there 10\there 9\t1 missing" in said.stdout


def test_edges_of_two_facilities_are_apart(region: Region, exchange: Exchange, tmp_path: Path) -> None:
    """The same UIDs at both: each facility has its own, complete; neither can be given the other's."""
    with orthanc_at(tmp_path, region, "E") as east, orthanc_at(tmp_path, region, "W") as west:
        shared, own = study_of(3, patient_id="BOTH"), study_of(2, patient_id="WEST-ONLY")
        east.store(files_of(shared))
        west.store(files_of([*shared[:2], *own]))
        region.register(east.edge("E", "EAST"))
        region.register(west.edge("W", "WEST"))
        region.followed("E")
        region.followed("W")
        settled(region.server)
        found = region.server.get("/api/studies", limit=200)["studies"]
        of = {(one["facility"]["code"], one["study_uid"]): one["instance_count"] for one in found}
        assert {key: count for key, count in of.items() if key[0] != "LOCAL"} == {
            ("EAST", shared[0].study): 3,
            ("WEST", shared[0].study): 2,
            ("WEST", own[0].study): 2,
        }
        assert region.compared("E") == [(3, 3, 0)]
        assert region.compared("W") == [(2, 2, 0), (2, 2, 0)]
        with pytest.raises(NotFound, match="no such study"):
            push(region.store, edges.find_edge(region.store, "E"), own[0].study)
        assert east.count() == 3


BAD_URLS = (
    "ftp://host/",
    "file:///etc/passwd",
    "http://u:pw@host/",
    "http://host/?a=b",
    "host:8042",
    "http://",
    "//h/",
)


def test_what_cannot_be_registered(region: Region) -> None:
    for url in BAD_URLS:
        with pytest.raises(SettingError):
            region.register(Edge("BAD", "LOCAL", url))
    with pytest.raises(NotFound, match="NOWHERE"):
        region.register(Edge("BAD", "NOWHERE", "http://host/"))
    refused = region.server.run("orthanc", "add", "BAD", BAD_URLS[2], check=False)
    assert refused.returncode == 1
    assert "--username" in refused.stderr
    assert "Traceback" not in refused.stderr
    unknown = region.server.run("orthanc", "compare", "BAD", check=False)
    assert unknown.returncode == 1
    assert "there is no Orthanc BAD" in unknown.stderr
