"""Names in the character sets of the field, from the sender to the search box: what was sent stays as it was."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files
from pydicom.dataset import FileDataset
from pypinyin import lazy_pinyin

from tests.support import pdu
from tests.support.dicom import parts_of, storescu
from tests.support.files import SHARED
from tests.support.pdu import CT, EXPLICIT, Made, made, peer
from tests.support.server import Server, eventually
from tests.support.watch import settled, whole

# Sequences only, without a patient, a study or a SOP class: no SCU can send them; tests/unit reads them.
NOT_SENDABLE = {"chrSQEncoding.dcm", "chrSQEncoding1.dcm"}
GREEK, GREEK_NAME = "GREEK1", "Διονυσιος^Άγγελος"
CHINESE, CHINESE_NAME = "CHINESE1", "王^志誠"  # 誠 ends in 0x5C, which looks like a backslash


def samples() -> list[Path]:
    packaged = [Path(p) for p in get_charset_files("*.dcm")]
    return [p for p in sorted(packaged) if p.name not in NOT_SENDABLE] + sorted(SHARED.glob("i18n/*/*.dcm"))


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "charsets").start()
    running.run("device", "add", GREEK, "127.0.0.0/8", "--charset", "ISO_IR 126")
    running.run("device", "add", CHINESE, "127.0.0.0/8", "--charset", "GB18030")
    yield running
    whole(running)
    running.remove()


def read(data: bytes) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(BytesIO(data), force=True)


def with_own_uids(path: Path, folder: Path) -> tuple[Path, FileDataset]:
    """The file with other UIDs of the same lengths, and not another byte changed."""
    data = path.read_bytes()
    dataset = read(data)
    chance = random.Random(str(path))
    for uid in {
        str(dataset[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    }:
        other = "2.25." + "".join(chance.choice("123456789") for _ in range(len(uid) - 5))
        data = data.replace(uid.encode(), other.encode())
    copy = folder / f"{path.parent.name}-{path.name}"
    copy.write_bytes(data)
    return copy, read(data)


def words_of(name: str) -> list[str]:
    """What people may type for a name: each component group, and pinyin and initials of Han."""
    typed = []
    for group in (g for g in name.split("=") if g.strip("^")):
        words = group.replace("^", " ").split()
        typed += [group.replace("^", " "), words[0]]
        if any("\u4e00" <= c <= "\u9fff" for c in group):
            syllables = lazy_pinyin("".join(words))
            typed += ["".join(syllables), " ".join(syllables)]
            if all(len(w) == 1 or w.isascii() is False for w in words):
                typed.append("".join(s[0] for s in lazy_pinyin(words[-1])))
    return typed


def found_by(server: Server, words: str) -> set[str]:
    return {s["study_uid"] for s in server.get("/api/studies", q=words, limit=200)["studies"]}


def found_by_qido(server: Server, name: str) -> set[str]:
    answer = server.client.get("/dicom-web/studies", params={"PatientName": name})
    return {s["0020000D"]["Value"][0] for s in answer.raise_for_status().json()} if answer.content else set()


@pytest.mark.parametrize("path", samples(), ids=lambda p: f"{p.parent.name[-5:]}-{p.name}")
def test_every_sample_is_found_by_its_name(server: Server, tmp_path: Path, path: Path) -> None:
    file, sent = with_own_uids(path, tmp_path)
    done = storescu(server.dicom_port, "-xe" if sent.is_little_endian else "-xb", file)
    assert done.returncode == 0, done.stderr
    settled(server)
    study, name = str(sent.StudyInstanceUID), str(sent.PatientName)
    for words in words_of(name):
        assert study in found_by(server, words), words
    for group in (g for g in name.split("=") if g):
        assert study in found_by_qido(server, group), group
    shown = server.get(f"/api/studies/{study}")
    assert shown["patient_name_ideographic"] == (name.split("=")[1] if "=" in name else "")
    parts = parts_of(server.client.get(f"/dicom-web/studies/{study}", headers={
        "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}))  # fmt: skip
    ((_, kept),) = parts
    arrived, original = read(kept), read(file.read_bytes())  # neither is decoded yet
    assert arrived.get("SpecificCharacterSet") == original.get("SpecificCharacterSet")
    for keyword in ("PatientName", "PatientComments", "OtherPatientNames"):
        if keyword in original:
            assert raw_value(arrived, keyword) == raw_value(original, keyword), keyword


def raw_value(dataset: FileDataset, keyword: str) -> bytes:
    """An element's value as it is encoded."""
    value = getattr(dataset.get_item(keyword), "value", None)
    assert isinstance(value, bytes)
    return value


def store(server: Server, calling: str, *several: Made) -> None:
    with peer(server.dicom_port) as caller:
        caller.associate([(CT, (EXPLICIT,))], calling=calling)
        for one in several:
            assert caller.store(one.instance, one.data) == 0
        caller.release()
    settled(server)


def declared(charset: bytes, name: bytes, study: str | None = None) -> Made:
    more = {0x00080005: ("CS", charset)} if charset else {}
    return made(name=name, study=study, more=more)


def repairs(server: Server, study: str) -> dict[str, int]:
    (series,) = server.get(f"/api/studies/{study}")["series"]
    return dict(series["repairs"])


@pytest.mark.parametrize("charset", [b"", b"ISO_IR 100", b"ISO_IR 6", b"ISO_IR 192"])
def test_undeclared_and_misdeclared_gb18030(server: Server, charset: bytes) -> None:
    """Recognised, shown right, kept as it came, and the repair told: with the instance, and to an operator."""
    calling = f"GBK{charset.decode() or 'NONE'}".replace(" ", "-")
    one = declared(charset, CHINESE_NAME.encode("gb18030"))
    store(server, calling, one)
    for words in ("王 志誠", "志誠", "wangzhicheng", "wzc"):
        assert one.study in found_by(server, words), words
    label = charset.decode() or "undeclared"
    assert repairs(server, one.study) == {f"charset:{label}->GB18030": 1}
    again = [declared(charset, CHINESE_NAME.encode("gb18030")) for _ in range(3)]
    store(server, calling, *again)
    told = [
        i
        for i in server.get("/api/incidents", limit=1000)["incidents"]
        if i["details"].get("calling") == calling
    ]
    assert [(i["kind"], i["details"]["repair"], i["details"]["instances"]) for i in told] == [
        ("charset", f"{label}->GB18030", 4)
    ]
    assert "志" not in str(told)
    kept = server.client.get(f"/api/incidents/{told[0]['id']}/instance").content
    assert CHINESE_NAME.encode("gb18030") in kept


def test_the_character_set_of_a_device_is_used_instead_of_what_it_declares(server: Server) -> None:
    """Greek under ISO_IR 100 cannot be told from Latin accents: somebody must know the device."""
    one, two = (declared(b"ISO_IR 100", GREEK_NAME.encode("iso8859-7")) for _ in range(2))
    store(server, GREEK, one)
    store(server, "ANOTHER", two)
    assert found_by(server, "Διονυσιος") >= {one.study}
    assert two.study not in found_by(server, "Διονυσιος")
    assert repairs(server, one.study) == {"charset:ISO_IR 100->ISO_IR 126 (device)": 1}
    assert not [i for i in server.get("/api/incidents")["incidents"] if i["details"].get("calling") == GREEK]


def test_a_registered_device_makes_no_incidents(server: Server) -> None:
    one = declared(b"ISO_IR 100", CHINESE_NAME.encode("gb18030"))
    store(server, CHINESE, one)
    assert one.study in found_by(server, "志誠")
    assert repairs(server, one.study) == {"charset:ISO_IR 100->GB18030 (device)": 1}
    assert not [
        i for i in server.get("/api/incidents")["incidents"] if i["details"].get("calling") == CHINESE
    ]


def test_a_change_counts_for_what_comes_next(server: Server) -> None:
    raw = "Дмитрий".encode("iso8859-5")
    before = declared(b"", raw)
    store(server, "RUSSIAN", before)
    assert before.study not in found_by(server, "Дмитрий")
    server.run("device", "add", "RUSSIAN", "127.0.0.0/8", "--charset", "ISO_IR 144")
    after = declared(b"", raw)
    store(server, "RUSSIAN", after)
    assert after.study in found_by(server, "Дмитрий")


def test_a_calling_title_that_postgresql_does_not_take(server: Server) -> None:
    one = declared(b"", CHINESE_NAME.encode("gb18030"))
    with peer(server.dicom_port) as caller:
        body = bytearray(pdu.associate_body([(CT, (EXPLICIT,))], calling="NUL"))
        body[20 + 1] = 0
        caller.send(pdu.pdu(pdu.ASSOCIATE_RQ, bytes(body)))
        answer = caller.read()
        assert answer is not None
        if answer.kind == pdu.ASSOCIATE_AC:
            assert caller.store(one.instance, one.data) == 0
            caller.release()
            eventually(lambda: one.study in found_by(server, "志誠"), 30, "it is indexed")
