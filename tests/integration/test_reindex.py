"""`tongying reindex` as an operator meets it, beside a running server: after a device's character set was registered,
and into an empty database (promise P11)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.integration.test_charsets import GREEK_NAME, declared, found_by, repairs, store
from tests.support.dicom import describe, send_raw
from tests.support.pdu import made
from tests.support.server import Server, eventually
from tests.support.studies import ct_study, ultrasound_study
from tests.support.watch import settled, whole


def told(server: Server) -> dict[str, list[Any]]:
    """All that QIDO-RS tells, and the metadata of every study."""
    found = {
        level: server.get(f"/dicom-web/{level}", limit=1000) for level in ("studies", "series", "instances")
    }
    uids = {s["0020000D"]["Value"][0] for s in found["studies"]}
    found["metadata"] = [i for uid in uids for i in server.get(f"/dicom-web/studies/{uid}/metadata")]
    return {name: sorted(some, key=lambda a: json.dumps(a, sort_keys=True)) for name, some in found.items()}


def test_mended_and_then_rebuilt_from_the_store_alone(own_server: Server, tmp_path: Path) -> None:
    server = own_server
    sent = [
        describe(file)
        for study in (ct_study(tmp_path / "ct", slices=5), ultrasound_study(tmp_path / "us"))
        for file in study.files
    ]
    assert set(send_raw(server.dicom_port, sent).values()) == {0}
    one, other = declared(b"ISO_IR 100", GREEK_NAME.encode("iso8859-7")), made()
    store(server, "GREEK1", one, other)
    settled(server)
    assert one.study not in found_by(server, "Διονυσιος")

    server.run("device", "add", "GREEK1", "127.0.0.0/8", "--charset", "ISO_IR 126")
    done = server.run("reindex", "--device", "GREEK1")
    assert "packs are to be indexed anew" in done.stdout
    assert found_by(server, "Διονυσιος") == {one.study}
    assert repairs(server, one.study) == {"charset:ISO_IR 100->ISO_IR 126 (device)": 1}
    server.run("reindex", "--no-wait")
    eventually(lambda: server.get("/readyz")["packs_again"] == 0, 60, "the workers do it")
    whole(server)
    before = told(server)
    assert len(before["studies"]) >= 3

    server.stop()
    shutil.rmtree(server.data / "postgres")
    server.start()
    assert told(server)["studies"] == []
    server.run("device", "add", "GREEK1", "127.0.0.0/8", "--charset", "ISO_IR 126")
    done = server.run("reindex", "--from-store", "--clear")
    assert "Users, devices, remotes" in done.stdout
    assert "objects of a former index are removed" in done.stdout
    assert told(server) == before
    whole(server)
    assert "0 packs found" in server.run("reindex", "--from-store").stdout
    assert told(server) == before


def test_what_cannot_be_asked(server: Server) -> None:
    for arguments, said in (
        (("--study", "9.9"), "no such study"),
        (("--facility", "NONE"), "no facility NONE"),
        (("--series", "1.2"), "--study"),
        (("--from-store", "--cancel"), "exclude each other"),
    ):
        done = server.run("reindex", *arguments, check=False)
        assert done.returncode == 1, arguments
        assert said in " ".join(done.stderr.split()), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert "are marked no more" in server.run("reindex", "--cancel").stdout
