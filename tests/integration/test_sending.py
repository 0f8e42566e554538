"""Forwarding as its users meet it: remotes, rules, the queue and its sender, against DCMTK's receivers and Orthanc."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from sqlalchemy import func, select, update

from dicom_node.notification import INSTANCE_AVAILABILITY
from dicom_node.syntaxes import IMPLICIT
from pacs.access import Principal, Role
from storage import remotes, routing, sending
from storage.archive import Archive
from storage.index.exchange import sends
from storage.remotes import Remote
from storage.routing import Route
from tests.support.dicom import Sent, dataset_sha256, describe, send_raw
from tests.support.peers import Receiver, dcmqrscp, opened, orthanc, storescp
from tests.support.server import Server, eventually, free_port
from tests.support.studies import Study, ct_study, mr_study
from tests.support.watch import part, settled, whole

EXCHANGE = "dicom_node.exchange"
OPERATOR = Principal("test", Role.ADMINISTRATOR)


@pytest.fixture(scope="module")
def archive(server: Server) -> Iterator[Archive]:
    with opened(server) as found:
        yield found


def stored(server: Server, study: Study) -> dict[str, Sent]:
    """Send a study to the server; what was sent, by SOP Instance UID, once all of it is indexed."""
    sent = {s.sop_instance: s for s in map(describe, study.files)}
    assert set(send_raw(server.dicom_port, sent.values()).values()) == {0}
    settled(server)
    return sent


def remote(
    archive: Archive, name: str, port: int, title: str = "STORESCP", *, notify: bool = False, most: int = 2
) -> None:
    remotes.add_remote(archive, Remote(name, title, "127.0.0.1", port, notify=notify, associations_max=most))


def send(archive: Archive, study: Study, name: str) -> list[int]:
    return sending.enqueue(archive, OPERATOR, study.uid, name)


def done(archive: Archive, ids: list[int], seconds: float = 30) -> None:
    """Until the queue says that all is there."""
    try:
        eventually(lambda: sending.progress(archive, ids).states == {"done": len(ids)}, seconds)
    except AssertionError:
        raise AssertionError(f"not sent in {seconds} s: {sending.progress(archive, ids)}") from None


def complete(receiver: Receiver, sent: dict[str, Sent]) -> bool:
    """Whether it has exactly these, whole."""
    if len(receiver.files()) != len(sent):
        return False
    return {uid: s.sha256 for uid, s in receiver.received().items()} == {u: s.sha256 for u, s in sent.items()}


def lease_over(archive: Archive, ids: list[int]) -> None:
    """What is under way is taken by nobody else for so long, and no longer; it is not waited for."""
    with archive.database.begin() as connection:
        mine = (sends.c.id.in_(ids), sends.c.state == "running")
        left = connection.execute(select(sends.c.not_before - func.now()).where(*mine)).scalars().all()
        assert len(left) == len(ids)
        assert all(timedelta() < one <= timedelta(seconds=sending.LEASE_SECONDS) for one in left)
        connection.execute(update(sends).where(*mine).values(not_before=func.now()))


def queue_of(server: Server, name: str) -> str:
    """What `tongying remote list` says of a remote's queue: rows by state, and an error."""
    lines = server.run("remote", "list").stdout.splitlines()
    return next(line.split("\t", 3)[3] for line in lines if line.startswith(f"{name}\t"))


def test_the_commands(server: Server, tmp_path: Path) -> None:
    study = ct_study(tmp_path / "ct", slices=30)
    sent = stored(server, study)
    with storescp(tmp_path / "in", "--accept-all") as receiver:
        server.run("remote", "add", "by-hand", "STORESCP", "127.0.0.1", str(receiver.port))
        assert "by-hand answers: " in server.run("remote", "echo", "by-hand").stdout
        done = server.run("send", study.uid, "by-hand", "--wait")
        assert "30 of 30 instances are at by-hand" in done.stdout
        assert complete(receiver, sent)
    assert queue_of(server, "by-hand") == "1 done\t"
    number = server.run("route", "add", "by-hand", "--modality", "PT").stdout.split()[-1]
    assert server.run("route", "list").stdout == f"{number}\tLOCAL → by-hand\tmodality=PT\n"
    server.run("route", "remove", number)
    for arguments, said in (
        (("send", "1.2.3", "by-hand"), "no such study"),
        (("remote", "echo", "by-hand"), "no connection to 127.0.0.1"),
    ):
        failed = server.run(*arguments, check=False)
        assert failed.returncode == 1, arguments
        assert said in " ".join(failed.stderr.split()), (arguments, failed.stderr)


def test_rules_send_on_what_fits_them(server: Server, archive: Archive, tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "ct-in", "--accept-all") as ct_receiver,
        storescp(tmp_path / "mr-in", "--implicit") as implicit_receiver,
    ):
        remote(archive, "ct-only", ct_receiver.port)
        remote(archive, "from-raw", implicit_receiver.port)
        rules = [
            routing.add_route(archive, route)
            for route in (
                Route("ct-only", "LOCAL", modality="CT"),
                Route("from-raw", "LOCAL", calling="RAWSENDER", modality="MR"),
                Route("from-raw", "LOCAL", calling="NOBODY"),
            )
        ]
        ct = stored(server, ct_study(tmp_path / "ct", slices=8))
        mr = stored(server, mr_study(tmp_path / "mr", slices=4))
        eventually(lambda: complete(ct_receiver, ct), 20, "the CT was sent on")
        eventually(lambda: len(implicit_receiver.files()) == len(mr), 20, "the MR was sent on")
        assert {s.transfer_syntax for s in implicit_receiver.received().values()} == {IMPLICIT}
        for number in rules:
            assert routing.remove_route(archive, number)
        stored(server, ct_study(tmp_path / "later", slices=2))
        time.sleep(2)
        assert len(ct_receiver.files()) == len(ct), "no rule, no images"


def test_to_orthanc_and_what_it_refuses(server: Server, archive: Archive, tmp_path: Path) -> None:
    study = ct_study(tmp_path / "ct", slices=5)
    sent = stored(server, study)
    with orthanc(tmp_path / "orthanc") as (port, client):
        remote(archive, "orthanc", port, "WRONG")
        ids = send(archive, study, "orthanc")
        eventually(lambda: "called AE title not recogni" in sending.progress(archive, ids).error, 15)
        remote(archive, "orthanc", port, "ORTHANC")  # put right, it is tried at once
        done(archive, ids, 5)
        files = [client.get(f"/instances/{one}/file").content for one in client.get("/instances").json()]
    assert sorted(map(dataset_sha256, files)) == sorted(s.sha256 for s in sent.values())


def test_to_dcmqrscp(server: Server, archive: Archive, tmp_path: Path) -> None:
    study = mr_study(tmp_path / "mr")
    sent = stored(server, study)
    with dcmqrscp(tmp_path / "qr") as receiver:
        remote(archive, "dcmqrscp", receiver.port, "DCMQRSCP")
        done(archive, send(archive, study, "dcmqrscp"))
        assert complete(receiver, sent)
        done(archive, send(archive, study, "dcmqrscp"))  # again, because it was asked for again
        assert {s.sha256 for s in receiver.received().values()} == {s.sha256 for s in sent.values()}


def test_the_queue_resumes_when_the_receiver_is_back(
    server: Server, archive: Archive, tmp_path: Path
) -> None:
    study = mr_study(tmp_path / "mr")
    sent, port = stored(server, study), free_port()
    remote(archive, "away", port)
    ids = send(archive, study, "away")
    eventually(lambda: "no connection" in sending.progress(archive, ids).error, 10, "it is noticed")
    with storescp(tmp_path / "in", "--accept-all", port=port) as receiver:
        done(archive, ids, 25)
        assert complete(receiver, sent)


@pytest.mark.parametrize("trouble", ["--refuse", "--abort-during", "--abort-after"])
def test_one_that_fails_does_not_hold_up_others(
    server: Server, archive: Archive, tmp_path: Path, trouble: str
) -> None:
    study = mr_study(tmp_path / "mr")
    sent, name = stored(server, study), f"bad{trouble}"
    with storescp(tmp_path / "bad", trouble) as bad, storescp(tmp_path / "good", "--accept-all") as good:
        remote(archive, name, bad.port)
        remote(archive, "good", good.port)
        ids = send(archive, study, name)
        done(archive, send(archive, study, "good"), 10)
        assert complete(good, sent)
        eventually(lambda: re.search("abort|reject|broke|closed", sending.progress(archive, ids).error), 15)
        eventually(lambda: sending.progress(archive, ids).states == {"waiting": 1}, 10)
    remotes.remove_remote(archive, name)


def test_a_receiver_that_is_full_gets_the_rest_later(
    server: Server, archive: Archive, tmp_path: Path
) -> None:
    study = ct_study(tmp_path / "ct", slices=5)
    sent, folder = stored(server, study), tmp_path / "in"
    with storescp(folder, "--accept-all") as receiver:
        remote(archive, "full", receiver.port)
        shutil.rmtree(folder)  # it cannot write, and answers A700
        ids = send(archive, study, "full")
        eventually(
            lambda: "answered A7" in sending.progress(archive, ids).error, 15, "it said that it is full"
        )
        folder.mkdir()
        done(archive, ids, 30)
        assert complete(receiver, sent)


def test_a_slow_one_with_much_to_do_delays_nobody(server: Server, archive: Archive, tmp_path: Path) -> None:
    slow_studies = [ct_study(tmp_path / f"ct{n}", slices=20) for n in range(3)]
    quick_study = mr_study(tmp_path / "mr")
    for study in slow_studies:
        stored(server, study)
    sent = stored(server, quick_study)
    with (
        storescp(tmp_path / "slow", "--accept-all", "--sleep-after", "1") as slow,
        storescp(tmp_path / "quick", "--accept-all") as quick,
    ):
        remote(archive, "slow", slow.port)
        remote(archive, "quick", quick.port)
        for study in slow_studies:
            send(archive, study, "slow")
        eventually(lambda: slow.files(), 10, "it has begun")
        done(archive, send(archive, quick_study, "quick"), 5)
        assert complete(quick, sent)
        assert len(slow.files()) < 30, "it was slow indeed"
    remotes.remove_remote(archive, "slow")


def test_one_that_hangs_in_mid_association_goes_on(server: Server, archive: Archive, tmp_path: Path) -> None:
    study = ct_study(tmp_path / "ct", slices=8)
    sent = stored(server, study)
    with storescp(tmp_path / "in", "--accept-all", "--sleep-after", "1") as receiver:
        remote(archive, "hangs", receiver.port, most=1)
        ids = send(archive, study, "hangs")
        eventually(lambda: len(receiver.files()) >= 2, 20, "it is in mid-association")
        receiver.signal(signal.SIGSTOP)
        time.sleep(2)
        receiver.signal(signal.SIGCONT)
        done(archive, ids, 60)
        assert complete(receiver, sent)


def test_killed_in_the_midst_all_arrives(server: Server, archive: Archive, tmp_path: Path) -> None:
    study = ct_study(tmp_path / "ct", slices=200)
    sent = stored(server, study)
    with storescp(tmp_path / "in", "--accept-all") as receiver:
        remote(archive, "killed", receiver.port)
        exchange = part(server, EXCHANGE)
        ids = send(archive, study, "killed")
        eventually(lambda: len(receiver.files()) > 10, 20, "it is under way")
        os.kill(exchange.pid, signal.SIGKILL)
        assert len(receiver.files()) < len(sent), "it was killed under way"
        lease_over(archive, ids)
        done(archive, ids, 90)
        assert {u: s.sha256 for u, s in receiver.received().items()} == {u: s.sha256 for u, s in sent.items()}


def test_stopped_in_the_midst_it_ends_at_once_and_the_next_goes_on(
    server: Server, archive: Archive, tmp_path: Path
) -> None:
    study = ct_study(tmp_path / "ct", slices=12)
    sent = stored(server, study)
    with storescp(tmp_path / "in", "--accept-all", "--sleep-after", "1") as receiver:
        remote(archive, "stopped", receiver.port)
        ids = send(archive, study, "stopped")
        eventually(lambda: len(receiver.files()) > 2, 20, "it is under way")
        exchange = part(server, EXCHANGE)
        exchange.send_signal(signal.SIGTERM)
        exchange.wait(6)
        assert sending.progress(archive, ids).states == {"waiting": 1}, "it was given back"
        done(archive, ids, 60)
        assert complete(receiver, sent)


def test_who_is_notified_learns_what_is_available(server: Server, archive: Archive, tmp_path: Path) -> None:
    told: list[Dataset] = []

    def take(event: evt.Event) -> tuple[int, Dataset]:
        told.append(event.attribute_list)
        return 0x0000, Dataset()

    ris = AE("RIS")
    ris.add_supported_context(INSTANCE_AVAILABILITY)
    listening = ris.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_CREATE, take)])
    assert listening is not None
    try:
        remote(archive, "ris", listening.server_address[1], "RIS", notify=True)
        study = ct_study(tmp_path / "ct", slices=6)
        sent = stored(server, study)
        eventually(lambda: told, 30, "the RIS was told")
    finally:
        listening.shutdown()
        remotes.remove_remote(archive, "ris")
    (notification,) = [t for t in told if t.StudyInstanceUID == study.uid]
    items = [i for s in notification.ReferencedSeriesSequence for i in s.ReferencedSOPSequence]
    assert {i.ReferencedSOPInstanceUID for i in items} == set(sent)
    assert {(i.InstanceAvailability, i.RetrieveAETitle) for i in items} == {("ONLINE", "TONGYING")}


def test_the_archive_is_whole(server: Server) -> None:
    whole(server)
