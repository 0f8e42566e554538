"""Forwarding as its users run it: remotes, rules, the queue and its sender, against DCMTK's storescp and Orthanc."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from dicom_node.syntaxes import IMPLICIT
from tests.support.dicom import Sent, describe, send_raw
from tests.support.peers import Receiver, storescp
from tests.support.server import Server, eventually, free_port
from tests.support.studies import Study, ct_study, mr_study
from tests.support.watch import part, settled, whole

EXCHANGE = "dicom_node.exchange"


def stored(server: Server, study: Study) -> dict[str, Sent]:
    """Send a study to the server; what was sent, by SOP Instance UID, once all of it is indexed."""
    sent = {s.sop_instance: s for s in map(describe, study.files)}
    assert set(send_raw(server.dicom_port, sent.values()).values()) == {0}
    settled(server)
    return sent


def remote(server: Server, name: str, port: int, *options: str, title: str = "STORESCP") -> None:
    server.run("remote", "add", name, title, "127.0.0.1", str(port), *options)


def complete(receiver: Receiver, sent: dict[str, Sent]) -> bool:
    """Whether it has exactly these, whole."""
    if len(receiver.files()) != len(sent):
        return False
    return {uid: s.sha256 for uid, s in receiver.received().items()} == {u: s.sha256 for u, s in sent.items()}


def test_a_study_sent_by_hand_arrives_byte_for_byte(server: Server, tmp_path: Path) -> None:
    sent = stored(server, ct_study(tmp_path / "ct", slices=30))
    study = describe_study(tmp_path / "ct")
    with storescp(tmp_path / "in", "--accept-all") as receiver:
        remote(server, "by-hand", receiver.port)
        assert "answers: " in server.run("remote", "echo", "by-hand").stdout
        done = server.run("send", study, "by-hand", "--wait")
        assert "30 of 30 instances are at by-hand" in done.stdout
        assert complete(receiver, sent)
        for file in receiver.files():
            file.unlink()
        server.run("send", study, "by-hand", "--wait")  # again, because it was asked for again
        assert complete(receiver, sent)
    assert queue_of(server, "by-hand") == "1 done\t"


def describe_study(folder: Path) -> str:
    from pydicom import dcmread

    return str(dcmread(next(folder.iterdir()), specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


def test_what_is_not_there_is_told(server: Server) -> None:
    remote(server, "told", 1)
    for arguments, said in (
        (("send", "1.2.3", "told"), "no such study"),
        (("send", "1.2.3", "nobody"), "no such study"),
        (("remote", "echo", "nobody"), "no remote nobody"),
        (("remote", "echo", "told"), "no connection to 127.0.0.1:1"),
        (("remote", "add", "x", "A" * 17, "h", "104"), "AE title"),
        (("remote", "add", "x", "A", "h", "70000"), "port"),
        (("remote", "add", "x", "A", "h", "104", "--facility", "NONE"), "no facility"),
        (("remote", "add", "x", "A", "h", "104", "--associations", "0"), "associations"),
        (("remote", "add", "x", "A", "h", "104", "--syntax", "JPEG"), "not the UID"),
        (("route", "add", "nobody"), "no remote nobody"),
        (("route", "remove", "999999"), "no rule"),
        (("remote", "remove", "nobody"), "no remote nobody"),
    ):
        done = server.run(*arguments, check=False)
        assert done.returncode == 1, arguments
        assert said in " ".join(done.stderr.split()), (arguments, done.stderr)


def test_rules_send_on_what_fits_them(server: Server, tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "ct-in", "--accept-all") as ct_receiver,
        storescp(tmp_path / "all-in", "--implicit") as implicit_receiver,
    ):
        remote(server, "ct-only", ct_receiver.port)
        remote(server, "from-raw", implicit_receiver.port)
        rules = [
            server.run("route", "add", *arguments).stdout.split()[-1]
            for arguments in (
                ("ct-only", "--modality", "CT"), ("from-raw", "--calling", "RAWSENDER", "--modality", "MR"),
                ("from-raw", "--calling", "NOBODY"), ("from-raw", "--body-part", "KNEE", "--modality", "CT"),
            )
        ]  # fmt: skip
        assert "modality=CT" in server.run("route", "list").stdout
        ct = stored(server, ct_study(tmp_path / "ct", slices=8))
        mr = stored(server, mr_study(tmp_path / "mr", slices=4))
        eventually(lambda: complete(ct_receiver, ct), 20, "the CT was sent on")
        eventually(lambda: len(implicit_receiver.files()) == len(mr), 20, "the MR was sent on")
        assert {s.transfer_syntax for s in implicit_receiver.received().values()} == {IMPLICIT}
        for number in rules:
            server.run("route", "remove", number)
        stored(server, ct_study(tmp_path / "later", slices=2))
        time.sleep(2)
        assert len(ct_receiver.files()) == len(ct), "no rule, no images"


def test_the_queue_resumes_when_the_receiver_is_back(server: Server, tmp_path: Path) -> None:
    sent = stored(server, mr_study(tmp_path / "mr"))
    port = free_port()
    remote(server, "away", port)
    server.run("send", describe_study(tmp_path / "mr"), "away")
    eventually(lambda: "remote_held" in server.tail(20000), 10, "it is noticed")
    assert "1 waiting\tno connection" in queue_of(server, "away")
    with storescp(tmp_path / "in", "--accept-all", port=port) as receiver:
        eventually(lambda: complete(receiver, sent), 25, "the queue resumes by itself")
    eventually(lambda: queue_of(server, "away") == "1 done\t", 10)


@pytest.mark.parametrize("trouble", ["--refuse", "--abort-during", "--abort-after"])
def test_one_that_fails_does_not_hold_up_others(server: Server, tmp_path: Path, trouble: str) -> None:
    sent = stored(server, mr_study(tmp_path / "mr"))
    name = f"bad{trouble}"
    with storescp(tmp_path / "bad", trouble) as bad, storescp(tmp_path / "good", "--accept-all") as good:
        remote(server, name, bad.port)
        remote(server, f"good{trouble}", good.port)
        study = describe_study(tmp_path / "mr")
        server.run("send", study, name)
        began = time.monotonic()
        server.run("send", study, f"good{trouble}", "--wait")
        assert complete(good, sent)
        assert time.monotonic() - began < 15
        said = r"1 waiting\t.*(abort|reject|broke|closed)"
        eventually(lambda: re.search(said, queue_of(server, name)), 15, "the queue says why")
    server.run("remote", "remove", name)


def queue_of(server: Server, name: str) -> str:
    """What `tongying remote list` says of a remote's queue: rows by state, and an error."""
    lines = server.run("remote", "list").stdout.splitlines()
    return next(line.split("\t", 3)[3] for line in lines if line.startswith(f"{name}\t"))


def test_a_receiver_that_hangs_is_left_and_tried_again(server: Server, tmp_path: Path) -> None:
    sent = stored(server, ct_study(tmp_path / "ct", slices=10))
    with storescp(tmp_path / "in", "--accept-all", "--sleep-after", "1") as receiver:
        remote(server, "hangs", receiver.port, "--associations", "1")
        server.run("send", describe_study(tmp_path / "ct"), "hangs")
        eventually(lambda: len(receiver.files()) >= 2, 20, "it is in mid-association")
        receiver.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        receiver.process.send_signal(signal.SIGCONT)
        eventually(lambda: complete(receiver, sent), 60, "it went on")


def test_killed_in_the_midst_all_arrives(server: Server, tmp_path: Path) -> None:
    sent = stored(server, ct_study(tmp_path / "ct", slices=150))
    with storescp(tmp_path / "in", "--accept-all") as receiver:
        remote(server, "killed", receiver.port)
        server.run("send", describe_study(tmp_path / "ct"), "killed")
        eventually(lambda: len(receiver.files()) > 10, 20, "it is under way")
        os.kill(part(server, EXCHANGE).pid, signal.SIGKILL)
        at_the_kill = len(receiver.files())
        eventually(lambda: queue_of(server, "killed") == "1 done\t", 90, "another exchange finishes it")
        assert at_the_kill < len(sent), "it was killed under way"
        assert {u: s.sha256 for u, s in receiver.received().items()} == {u: s.sha256 for u, s in sent.items()}


def test_stopped_in_the_midst_it_ends_at_once_and_the_next_goes_on(server: Server, tmp_path: Path) -> None:
    sent = stored(server, ct_study(tmp_path / "ct", slices=20))
    with storescp(tmp_path / "in", "--accept-all", "--sleep-after", "1") as receiver:
        remote(server, "stopped", receiver.port)
        server.run("send", describe_study(tmp_path / "ct"), "stopped")
        eventually(lambda: len(receiver.files()) > 2, 20, "it is under way")
        exchange = part(server, EXCHANGE)
        exchange.send_signal(signal.SIGTERM)
        exchange.wait(5)
        eventually(lambda: complete(receiver, sent), 60, "the next one resumes")


def test_the_archive_is_whole(server: Server) -> None:
    whole(server)
