"""What we claim as a Query/Retrieve SCP, asked by DCMTK's findscu, getscu and movescu and by raw PDUs (PS3.4 C)."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt

from storage import remotes
from storage.archive import Archive
from storage.remotes import Remote
from tests.support import pdu
from tests.support.dicom import NO_WAIT, dcmsend, describe, send_raw
from tests.support.pdu import EXPLICIT, P_DATA, associated
from tests.support.peers import dcmqrscp, opened, storescp
from tests.support.server import Server, free_port
from tests.support.studies import Study, ct_study, mr_study, ultrasound_study
from tests.support.watch import knows_device, settled

STUDY_FIND, STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2"
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
PENDING, SUCCESS, CANCELLED, WARNING, UNABLE = 0xFF00, 0x0000, 0xFE00, 0xB000, 0xA702
UNKNOWN_DESTINATION, WRONG_IDENTIFIER = 0xA801, 0xA900


@dataclass(frozen=True, slots=True)
class World:
    """What was sent: a CT, an MR and a compressed ultrasound loop of one patient."""

    ct: Study
    mr: Study
    us: Study

    @property
    def all(self) -> tuple[Study, ...]:
        return self.ct, self.mr, self.us


@pytest.fixture(scope="module")
def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("qr")
    name, patient = "Zhang^Wei=张^伟", f"QR-{generate_uid()[-12:]}"
    made = World(
        ct_study(folder / "ct", name=name, patient_id=patient, slices=130),
        mr_study(folder / "mr", name=name, patient_id=patient),
        ultrasound_study(folder / "us", name=name, patient_id=patient),
    )
    statuses = send_raw(server.dicom_port, [describe(f) for study in made.all for f in study.files])
    assert set(statuses.values()) == {0}
    settled(server)
    return made


def findscu(server: Server, folder: Path, *keys: str, model: str = "-S") -> list[Dataset]:
    """DCMTK's answers, as data sets."""
    folder.mkdir(exist_ok=True)
    options = [option for key in keys for option in ("-k", key)]
    done = subprocess.run(
        ["findscu", model, "-X", "-od", str(folder), "-aec", "TONGYING", *options, "127.0.0.1",
         str(server.dicom_port)],
        env=NO_WAIT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


@pytest.mark.parametrize(("model", "level"), [("-P", "PATIENT"), ("-P", "STUDY"), ("-S", "STUDY"), ("-P", "SERIES"),
                                              ("-S", "SERIES"), ("-P", "IMAGE"), ("-S", "IMAGE")])  # fmt: skip
def test_every_level(server: Server, world: World, tmp_path: Path, model: str, level: str) -> None:
    unique = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID",
              "IMAGE": "SOPInstanceUID"}[level]  # fmt: skip
    keys = [f"0008,0052={level}", f"PatientID={world.ct.patient_id}", "PatientName"]
    keys += [unique] if unique != "PatientID" else []
    found = findscu(server, tmp_path / "found", *keys, model=model)
    files = [dcmread(f, stop_before_pixels=True) for study in world.all for f in study.files]
    assert sorted(str(f.get(unique)) for f in found) == sorted({str(f.get(unique)) for f in files})
    assert {str(f.PatientName) for f in found} == {"Zhang^Wei=张^伟"}
    assert {f.QueryRetrieveLevel for f in found} == {level}
    assert {f.RetrieveAETitle for f in found} == {"TONGYING"}


@pytest.mark.parametrize(
    ("key", "kinds"),
    [
        ("PatientName=zhang*", {"CT", "MR", "US"}), ("PatientName=ZHANG^WEI", {"CT", "MR", "US"}),
        ("PatientName=?hang^*", {"CT", "MR", "US"}), ("PatientName=Zhao*", set()),
        ("ModalitiesInStudy=MR", {"MR"}), ("ModalitiesInStudy=C?", {"CT"}),
        ("StudyDate=20251231-20260101", {"CT", "MR", "US"}), ("StudyDate=20260102-", set()),
        ("StudyTime=1100-1200", {"CT", "MR", "US"}), ("StudyTime=1201-", set()),
        ("NumberOfStudyRelatedInstances=130", {"CT"}), ("SOPClassesInStudy=" + CT, {"CT"}),
    ],
)  # fmt: skip
def test_every_kind_of_matching(
    server: Server, world: World, tmp_path: Path, key: str, kinds: set[str]
) -> None:
    asked = ["0008,0052=STUDY", f"PatientID={world.ct.patient_id}", "StudyInstanceUID", key]
    found = {str(f.StudyInstanceUID) for f in findscu(server, tmp_path / "found", *asked)}
    by_kind = {"CT": world.ct.uid, "MR": world.mr.uid, "US": world.us.uid}
    assert found == {by_kind[kind] for kind in kinds}


@pytest.mark.parametrize(
    ("level", "key", "count"),
    [
        ("SERIES", "Modality=CT", 1), ("SERIES", "Modality=?R", 1), ("SERIES", "Modality=CT\\US", 2),
        ("SERIES", "NumberOfSeriesRelatedInstances=6", 1), ("SERIES", "SeriesInstanceUID", 3),
        ("IMAGE", "InstanceNumber=3", 2), ("IMAGE", "Modality=MR", 6), ("IMAGE", "NumberOfFrames=30", 1),
        ("IMAGE", "SOPClassUID=" + MR, 6), ("IMAGE", f"SOPClassUID={MR}\\{CT}", 136),
        ("IMAGE", "ImageType=*AXIAL*", 130), ("IMAGE", "SOPInstanceUID", 137),
    ],
)  # fmt: skip
def test_matching_below_the_study(
    server: Server, world: World, tmp_path: Path, level: str, key: str, count: int
) -> None:
    """Relational: the patient's ID alone stands above."""
    unique = {"SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
    keys = dict.fromkeys((f"0008,0052={level}", f"PatientID={world.ct.patient_id}", unique, key))
    assert len(findscu(server, tmp_path / "found", *keys)) == count


def test_what_is_told_of_a_study(server: Server, world: World, tmp_path: Path) -> None:
    told = (
        "ModalitiesInStudy",
        "SOPClassesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    )
    (found,) = findscu(server, tmp_path, "0008,0052=STUDY", f"StudyInstanceUID={world.mr.uid}", *told)
    assert [found[keyword].value for keyword in told] == ["MR", MR, 1, 6]


def test_regions_of_a_study(server: Server, tmp_path: Path) -> None:
    """Of its images, and of the frames of enhanced ones (PS3.4 C.3.4)."""
    study, region = generate_uid(), {"HEAD": Dataset(), "ABDOMEN": Dataset()}
    for meaning, code in (("HEAD", "69536005"), ("ABDOMEN", "818983003")):
        region[meaning].CodeValue, region[meaning].CodingSchemeDesignator = code, "SCT"
        region[meaning].CodeMeaning = meaning
    plain, enhanced, groups, anatomy = (Dataset() for _ in range(4))
    plain.AnatomicRegionSequence = [region["HEAD"]]
    anatomy.AnatomicRegionSequence, anatomy.FrameLaterality = [region["ABDOMEN"]], "U"
    groups.FrameAnatomySequence = [anatomy]
    enhanced.SharedFunctionalGroupsSequence = [groups]
    (tmp_path / "sent").mkdir()
    for number, one in enumerate((plain, enhanced, plain)):
        write_instance(tmp_path / "sent" / f"{number}.dcm", one, study)
    dcmsend(server.dicom_port, tmp_path / "sent")
    settled(server)
    keys = ("0008,0052=STUDY", f"StudyInstanceUID={study}", "AnatomicRegionsInStudyCodeSequence")
    (found,) = findscu(server, tmp_path / "told", *keys)
    assert sorted(i.CodeMeaning for i in found.AnatomicRegionsInStudyCodeSequence) == ["ABDOMEN", "HEAD"]
    item = "AnatomicRegionsInStudyCodeSequence[0].CodeValue="
    (found,) = findscu(server, tmp_path / "matched", *keys[:2], item + "818983003")
    assert [i.CodeValue for i in found.AnatomicRegionsInStudyCodeSequence] == ["818983003"]
    assert findscu(server, tmp_path / "other", *keys[:2], item + "1") == []
    (told,) = server.get("/dicom-web/studies", StudyInstanceUID=study)
    assert len(told["00080063"]["Value"]) == 2


def write_instance(path: Path, one: Dataset, study: str) -> None:
    one.SOPClassUID, one.SOPInstanceUID, one.PatientID, one.Modality = MR, generate_uid(), study[-20:], "MR"
    one.StudyInstanceUID, one.SeriesInstanceUID = study, generate_uid()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    one.save_as(path, enforce_file_format=True)


def test_a_list_of_uids_and_a_sequence(server: Server, world: World, tmp_path: Path) -> None:
    listed = f"StudyInstanceUID={world.ct.uid}\\{world.us.uid}"
    found = findscu(server, tmp_path / "list", "0008,0052=STUDY", listed)
    assert {str(f.StudyInstanceUID) for f in found} == {world.ct.uid, world.us.uid}
    within = f"StudyInstanceUID={world.ct.uid}"
    nothing = findscu(server, tmp_path / "sequence", "0008,0052=SERIES", within, "SeriesInstanceUID",
                      "RequestAttributesSequence[0].ScheduledProcedureStepID=NONE")  # fmt: skip
    assert nothing == []


def test_answers_in_the_character_set_that_is_asked_for(server: Server, world: World, tmp_path: Path) -> None:
    keys = ("0008,0052=STUDY", f"StudyInstanceUID={world.ct.uid}", "PatientName")
    (gb,) = findscu(server, tmp_path / "gb", "0008,0005=GB18030", *keys)
    assert gb.SpecificCharacterSet == "GB18030"
    assert str(gb.PatientName) == "Zhang^Wei=张^伟"
    assert "张^伟".encode("gb18030") in next((tmp_path / "gb").iterdir()).read_bytes()
    (latin,) = findscu(server, tmp_path / "latin", "0008,0005=ISO_IR 100", *keys)
    assert latin.SpecificCharacterSet == "ISO_IR 192", "never with loss"
    assert str(latin.PatientName) == "Zhang^Wei=张^伟"


def getscu(server: Server, folder: Path, *keys: str) -> list[Path]:
    folder.mkdir()
    options = [option for key in keys for option in ("-k", key)]
    done = subprocess.run(
        ["getscu", "-S", "--bit-preserving", "-od", str(folder), "-aec", "TONGYING", *options, "127.0.0.1",
         str(server.dicom_port)],
        env=NO_WAIT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(folder.iterdir())


def test_get(server: Server, world: World, tmp_path: Path) -> None:
    got = getscu(server, tmp_path / "study", "0008,0052=STUDY", f"StudyInstanceUID={world.mr.uid}")
    sent = {describe(f).sop_instance: describe(f).sha256 for f in world.mr.files}
    assert {describe(f).sop_instance: describe(f).sha256 for f in got} == sent
    one = dcmread(world.ct.files[3], stop_before_pixels=True)
    (image,) = getscu(server, tmp_path / "image", "0008,0052=IMAGE", f"StudyInstanceUID={world.ct.uid}",
                      f"SeriesInstanceUID={one.SeriesInstanceUID}", f"SOPInstanceUID={one.SOPInstanceUID}")  # fmt: skip
    assert describe(image).sop_instance == one.SOPInstanceUID


@pytest.fixture(scope="module")
def archive(server: Server) -> Iterator[Archive]:
    with opened(server) as found:
        yield found


@contextlib.contextmanager
def destination(archive: Archive, title: str, port: int, associations: int = 2) -> Iterator[None]:
    """Registered for the block."""
    remotes.add_remote(
        archive, Remote(title.lower(), title, "127.0.0.1", port, associations_max=associations)
    )
    try:
        yield
    finally:
        remotes.remove_remote(archive, title.lower())


def movescu(server: Server, to: str, *keys: str, model: str = "-S") -> subprocess.CompletedProcess[str]:
    options = [option for key in keys for option in ("-k", key)]
    return subprocess.run(
        ["movescu", "-d", model, "-aec", "TONGYING", "-aem", to, *options, "127.0.0.1", str(server.dicom_port)],
        env=NO_WAIT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_move_over_several_associations_byte_for_byte(
    server: Server, archive: Archive, world: World, tmp_path: Path
) -> None:
    with storescp(tmp_path / "in", "--fork") as receiver, destination(archive, "MOVE_IN", receiver.port):
        done = movescu(server, "MOVE_IN", "0008,0052=STUDY", f"StudyInstanceUID={world.ct.uid}")
        assert done.returncode == 0, done.stderr
        got = {one.sop_instance: one.sha256 for one in receiver.received().values()}
    assert got == {describe(f).sop_instance: describe(f).sha256 for f in world.ct.files}


def test_move_to_another_archive(server: Server, archive: Archive, world: World, tmp_path: Path) -> None:
    """DCMTK's dcmqrscp, which takes no compressed pictures: all studies of a patient. On one association: what comes on
    two at once it writes under the same names now and then, and answers A900."""
    with dcmqrscp(tmp_path / "qr", "MOVE_QR") as receiver, destination(archive, "MOVE_QR", receiver.port, 1):
        done = movescu(server, "MOVE_QR", "0008,0052=PATIENT", f"PatientID={world.ct.patient_id}", model="-P")
        assert done.returncode == 0, done.stderr
        got = receiver.received()
    sent = [describe(f) for study in world.all for f in study.files]
    loop = describe(world.us.files[0])
    assert sub_operations(done) == {"Completed": len(sent), "Failed": 0, "Warning": 0}
    assert {u: one.sha256 for u, one in got.items() if u != loop.sop_instance} == {
        one.sop_instance: one.sha256 for one in sent if one != loop
    }
    assert (dcmread(got[loop.sop_instance].path).pixel_array == dcmread(loop.path).pixel_array).all()


def sub_operations(moved: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The counts of the final answer, as movescu prints them."""
    counts = re.findall(r"(\w+) Suboperations +: (\d+)", moved.stdout + moved.stderr)
    return {kind: int(number) for kind, number in counts[-3:]}


def test_a_receiver_that_takes_implicit_only_is_given_that(
    server: Server, archive: Archive, world: World, tmp_path: Path
) -> None:
    with storescp(tmp_path / "in", "+xi") as receiver, destination(archive, "MOVE_IMPLICIT", receiver.port):
        done = movescu(server, "MOVE_IMPLICIT", "0008,0052=STUDY", f"StudyInstanceUID={world.us.uid}")
        assert done.returncode == 0, done.stderr
        (got,) = receiver.files()
    dataset = dcmread(got)
    assert dataset.file_meta.TransferSyntaxUID.is_implicit_VR
    assert dataset.pixel_array.shape == dcmread(world.us.files[0]).pixel_array.shape


def test_true_counts_and_the_failed_list(server: Server, archive: Archive, world: World) -> None:
    """A receiver that takes MR alone, and refuses each second of them."""
    seen: list[str] = []

    def take(event: evt.Event) -> int:
        seen.append(str(event.dataset.SOPInstanceUID))
        return 0xA700 if len(seen) % 2 == 0 else 0x0000

    ae = AE("MOVE_HALF")
    ae.add_supported_context(MR, EXPLICIT)
    port = free_port()
    ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    try:
        with destination(archive, "MOVE_HALF", port):
            asked = Dataset()
            asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", [world.mr.uid, world.us.uid]
            final, failed = moved(server, asked, "MOVE_HALF")
    finally:
        ae.shutdown()
    count = len(world.mr.files)
    assert final.Status == WARNING
    assert final.NumberOfCompletedSuboperations == count - count // 2
    assert final.NumberOfFailedSuboperations == count // 2 + 1
    refused = {uid for number, uid in enumerate(seen, 1) if number % 2 == 0}
    assert set(failed.FailedSOPInstanceUIDList) == refused | {describe(world.us.files[0]).sop_instance}
    assert "failed" in final.ErrorComment


def moved(server: Server, asked: Dataset, to: str) -> tuple[Dataset, Dataset]:
    """The final answer to a C-MOVE by pynetdicom, and its data set."""
    ae = AE("MOVER")
    ae.add_requested_context(STUDY_MOVE)
    association = ae.associate("127.0.0.1", server.dicom_port, ae_title="TONGYING")
    assert association.is_established
    answers = list(association.send_c_move(asked, to, STUDY_MOVE))
    association.release()
    status, identifier = answers[-1]
    return status, identifier or Dataset()


@pytest.mark.parametrize(
    ("to", "keys", "status"),
    [
        ("NOWHERE", ("STUDY", True), UNKNOWN_DESTINATION), ("MOVE_ANY", ("STUDY", False), WRONG_IDENTIFIER),
        ("MOVE_ANY", ("PATIENT", True), WRONG_IDENTIFIER), ("MOVE_ANY", ("NONSENSE", True), WRONG_IDENTIFIER),
    ],
)  # fmt: skip
def test_why_a_move_is_refused(
    server: Server, archive: Archive, world: World, to: str, keys: tuple[str, bool], status: int
) -> None:
    asked = Dataset()
    asked.QueryRetrieveLevel = keys[0]
    asked.StudyInstanceUID = world.ct.uid if keys[1] else ""
    with destination(archive, "MOVE_ANY", 1):
        final, _ = moved(server, asked, to)
    assert final.Status == status
    assert final.ErrorComment


def test_what_nobody_has_is_moved_completely(server: Server, archive: Archive, world: World) -> None:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", "1.2.3.404"
    with destination(archive, "MOVE_NONE", 1):
        final, _ = moved(server, asked, "MOVE_NONE")
    assert (final.Status, final.NumberOfCompletedSuboperations) == (SUCCESS, 0)


def test_a_receiver_that_hangs_harms_nobody_else(
    server: Server, archive: Archive, world: World, tmp_path: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        destination(archive, "MOVE_HUNG", silent.getsockname()[1]),
    ):
        began = time.monotonic()
        hung = subprocess.Popen(
            ["movescu", "-S", "-aec", "TONGYING", "-aem", "MOVE_HUNG", "-k", "0008,0052=STUDY", "-k",
             f"StudyInstanceUID={world.mr.uid}", "127.0.0.1", str(server.dicom_port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for number in range(3):
            assert findscu(
                server, tmp_path / str(number), "0008,0052=STUDY", f"StudyInstanceUID={world.ct.uid}"
            )
        assert time.monotonic() - began < 10, "others are served meanwhile"
        assert hung.wait(60) != 0, "and it is told that it failed"


def test_cancel_ends_a_find(server: Server, world: World) -> None:
    with associated(server.dicom_port, [(STUDY_FIND, [EXPLICIT])]) as caller:
        identifier = pdu.explicit(0x00080052, "CS", b"STUDY ") + pdu.explicit(0x00100020, "LO", b"")
        command = pdu.command(pdu.element(2, STUDY_FIND.encode()), pdu.us(0x0100, 0x0020), pdu.us(0x0110, 7),
                              pdu.us(0x0700, 0), pdu.us(0x0800, 1))  # fmt: skip
        cancel = pdu.command(pdu.us(0x0100, 0x0FFF), pdu.us(0x0120, 7), pdu.us(0x0800, 0x0101))
        caller.send(*pdu.message(command, identifier), pdu.pdu(P_DATA, pdu.pdv(1, 3, cancel)))
        statuses = final_status(caller)
        assert statuses[-1] in (CANCELLED, SUCCESS), "it may have been faster"
        caller.release()


def final_status(caller: pdu.Peer) -> list[int]:
    """Statuses until one is not pending."""
    found: list[int] = []
    while not found or found[-1] == PENDING:
        got = caller.read()
        assert got is not None
        assert got.kind == P_DATA
        if got.body[5] & 1:
            elements = pdu.read_elements(got.body[6:])
            found.append(int.from_bytes(elements[0x0900], "little"))
    return found


def test_another_facilitys_study_looks_as_if_it_did_not_exist(
    server: Server, world: World, tmp_path: Path
) -> None:
    server.run("facility", "add", "ELSEWHERE")
    server.run("device", "add", "STRANGER", "127.0.0.0/8", "--facility", "ELSEWHERE")
    asked = [
        "-aet",
        "STRANGER",
        "-aec",
        "TONGYING",
        "-k",
        "0008,0052=STUDY",
        "-k",
        f"StudyInstanceUID={world.ct.uid}",
    ]

    def answers() -> str:
        done = subprocess.run(["findscu", "-v", "-S", *asked, "127.0.0.1", str(server.dicom_port)], env=NO_WAIT,
                              capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
        return done.stdout + done.stderr

    knows_device(server, "STRANGER")
    found = answers()
    assert "Received Final Find Response (Success)" in found
    assert "Find Response: 1" not in found
    (tmp_path / "got").mkdir()
    subprocess.run(["getscu", "-S", "-od", str(tmp_path / "got"), *asked, "127.0.0.1", str(server.dicom_port)],
                   env=NO_WAIT, capture_output=True, timeout=60, check=False)  # fmt: skip
    assert list((tmp_path / "got").iterdir()) == []
    server.run("device", "remove", "STRANGER")


def test_termscu_ends_its_association_and_nothing_else(server: Server) -> None:
    subprocess.run(["termscu", "-aec", "TONGYING", "127.0.0.1", str(server.dicom_port)], env=NO_WAIT,
                   capture_output=True, timeout=60, check=False)  # fmt: skip
    with associated(server.dicom_port) as caller:
        assert caller.echo() == 0
