"""`tongying import` of what people have on their disks: folders, ZIPs, DICOMDIRs, rubbish and bombs; and what a
SIGKILL leaves (promises P1, P4)."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from pacs.encoded import part10_header
from tests.support.files import package_file
from tests.support.pdu import CT, EXPLICIT, Made, made
from tests.support.server import TONGYING, Server, eventually
from tests.support.watch import settled, sop_uids, whole


@pytest.fixture(scope="module")
def archive(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "import").start()
    yield running
    whole(running)
    running.remove()


def part10(one: Made) -> bytes:
    return part10_header(CT, one.instance, EXPLICIT, source_ae="") + one.data


def several(study: str, count: int) -> list[Made]:
    return [made(study=study, series=study + ".1", patient_id=f"IMPORT-{study[-12:]}") for _ in range(count)]


def write(folder: Path, files: list[Made]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(files):
        (folder / f"IM{number:05}").write_bytes(part10(one))


def zipped(path: Path, files: list[Made], compression: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for number, one in enumerate(files):
            archive.writestr(f"DICOM/IM{number:05}", part10(one))


def damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place : place + 64] = b"\xaa" * 64
    path.write_bytes(data)


def test_a_folder_of_everything(archive: Server, tmp_path: Path) -> None:
    """Each DICOM file once; what is none is passed over; what is broken is named; nothing ends the import."""
    study = generate_uid()
    files = several(study, 12)
    write(tmp_path / "plain", files[:3])
    write(tmp_path / "deep" / "er" / "名字 with spaces", files[3:5])
    zipped(tmp_path / "one.zip", files[5:8])
    zipped(tmp_path / "BIG.ZIP", files[8:10], zipfile.ZIP_STORED)
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "empty").touch()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n" + bytes(1000))
    (tmp_path / "cut.dcm").write_bytes(part10(files[10])[:140])
    (tmp_path / "not.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    zipped(tmp_path / "broken-member.zip", files[11:12])
    damage(tmp_path / "broken-member.zip", 300)
    zipped(tmp_path / "broken-directory.zip", files[11:12])
    damage(tmp_path / "broken-directory.zip", (tmp_path / "broken-directory.zip").stat().st_size - 90)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as squeezed:
        squeezed.writestr("IM1", part10(files[10]) + bytes(300_000_000))

    done = archive.command("import", str(tmp_path), check=False)

    assert "Traceback" not in done.stderr, done.stderr
    assert "10 stored" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1, "some failed"
    for name in ("broken-member.zip", "broken-directory.zip", "bomb.zip"):
        assert name in done.stderr.replace("\n", ""), done.stderr
    settled(archive)
    assert sorted(sop_uids(archive, study)) == sorted(one.instance for one in files[:10])
    again = archive.command("import", str(tmp_path), check=False)
    assert "0 stored, 10 were stored before" in again.stdout


def test_a_dicomdir_and_its_folder(archive: Server, tmp_path: Path) -> None:
    """The files of the medium; the DICOMDIR is an index, no image."""
    source = package_file("DICOMDIR").parent
    shutil.copytree(source, tmp_path / "CD", ignore=shutil.ignore_patterns("*-*", "TINY_ALPHA", "DICOMDIR.*"))
    images = [p for p in (tmp_path / "CD").rglob("*") if p.is_file() and not p.name.startswith("DICOMDIR")]
    done = archive.command("import", str(tmp_path / "CD"), check=False)
    assert "Traceback" not in done.stderr
    stored = int(done.stdout.split(" stored")[0].split()[-1])
    assert 0 < stored <= len(images)
    settled(archive)


def test_killed_and_resumed_it_is_complete(archive: Server, tmp_path: Path) -> None:
    study = generate_uid()
    files = several(study, 2000)  # enough to be killed within
    write(tmp_path / "many", files)
    begun = journal_lines(archive)
    for _ in range(2):
        run = subprocess.Popen(
            [str(TONGYING), "import", str(tmp_path / "many")], env=archive.environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        before = journal_lines(archive)
        eventually(lambda b=before: journal_lines(archive) > b + 40, 30, "some are stored")  # type: ignore[misc]
        run.kill()
        run.wait(10)
    killed_at = journal_lines(archive) - begun
    done = archive.command("import", str(tmp_path / "many"))
    settled(archive)
    eventually(
        lambda: len(sop_uids(archive, study)) == len(files), 30, "all are there, also those of killed imports"
    )
    assert sorted(sop_uids(archive, study)) == sorted(one.instance for one in files)
    assert 80 < killed_at < len(files), "it was killed under way"
    assert "0 failed" in done.stdout


def journal_lines(archive: Server) -> int:
    journal = archive.data / "imports" / "LOCAL.journal"
    return len(journal.read_text().splitlines()) if journal.exists() else 0


def test_an_unknown_facility_is_one_clear_line(archive: Server, tmp_path: Path) -> None:
    done = archive.command("import", "--facility", "NOWHERE", str(tmp_path), check=False)
    assert done.returncode == 1
    assert "NOWHERE" in done.stderr
    assert "Traceback" not in done.stderr
