"""Random queries at every level, answered by C-FIND (pynetdicom as SCU), by QIDO-RS and by a naive loop over the data
sets that were sent: the same answer each time (PS3.4 C.2.2.2, PS3.18 10.6). The seed is printed."""

from __future__ import annotations

import fnmatch
import random
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.association import Association

from tests.support.dicom import dcmsend, pause
from tests.support.server import Server

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
CT, MR, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.88.11"
STUDIES, QUERIES, ASKERS = 40, 1000, 4
NAMES = (
    "Wang^Xiao Ming=王^小明", "Wang^Fang=王^芳", "Li^Wei=李^伟", "Müller^Jürgen", "MULLER^JURGEN", "O'Brien^Mary",
    "Doe^John", "Doe^Jane^A", "Yamada^Tarou=山田^太郎=やまだ^たろう", "100%_^x", "Zhang^San=张^三", "[a]^b",
)  # fmt: skip
KEYS = {
    "PATIENT": ("PatientName", "PatientID", "PatientSex", "PatientBirthDate"),
    "STUDY": ("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription", "StudyInstanceUID",
              "ModalitiesInStudy", "SOPClassesInStudy", "ReferringPhysicianName", "NumberOfStudyRelatedInstances",
              "PatientAge"),
    "SERIES": ("Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined", "SeriesInstanceUID",
               "ProtocolName"),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows"),
}  # fmt: skip
LEVELS = tuple(KEYS)
UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
QIDO = {"STUDY": "studies", "SERIES": "series", "IMAGE": "instances"}
Asked = dict[str, str]
Row = dict[str, str]  # keyword → value of an instance, as text


def world(chance: random.Random) -> list[Dataset]:
    """Instances of studies with one to three series; a patient is what their ID says."""
    patients = [patient(chance, number) for number in range(STUDIES // 2)]
    found = []
    for number in range(STUDIES):
        study = dict(chance.choice(patients))
        study |= {
            "StudyInstanceUID": generate_uid(), "StudyID": str(number % 5), "AccessionNumber": f"A{number % 30:03}",
            "StudyDate": chance.choice(["", f"2026{chance.randint(1, 12):02}{chance.randint(1, 28):02}"]),
            "StudyTime": chance.choice(["", f"{chance.randint(0, 23):02}{chance.randint(0, 59):02}30"]),
            "StudyDescription": chance.choice(["", "CT HEAD", "Head^Neck", "ct_head%", "头颅 CT"]),
            "ReferringPhysicianName": chance.choice(NAMES), "PatientAge": chance.choice(["", "061Y", "007D"]),
        }  # fmt: skip
        for series in range(chance.randint(1, 3)):
            modality, sop_class = chance.choice([("CT", CT), ("MR", MR), ("SR", SR)])
            one = study | {
                "SeriesInstanceUID": generate_uid(), "Modality": modality, "SeriesNumber": str(series + 1),
                "SeriesDescription": chance.choice(["", "Ax T1", "ax_t1*"]), "SOPClassUID": sop_class,
                "BodyPartExamined": chance.choice(["", "HEAD", "CHEST"]), "ProtocolName": chance.choice(["", "P 1"]),
            }  # fmt: skip
            for image in range(chance.randint(1, 3)):
                found.append(
                    dataset(one, SOPInstanceUID=generate_uid(), InstanceNumber=str(image), Rows=64 * image)
                )
    return found


def patient(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "PatientID": chance.choice([f"P{number:03}", f"p{number} B", f"{number}%"]),
        "PatientName": chance.choice(NAMES), "PatientSex": chance.choice(["M", "F", ""]),
        "PatientBirthDate": chance.choice(["", f"19{50 + number}0203"]),
    }  # fmt: skip


def dataset(values: dict[str, Any], **more: Any) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in (values | more).items():
        setattr(made, keyword, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


@pytest.fixture(scope="module")
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture(scope="module")
def asked_of(workspace: Path, chance: random.Random) -> Iterator[tuple[Server, list[Row]]]:
    server = Server(workspace / "queries").start()
    made = world(chance)
    folder = workspace / "queries-files"
    folder.mkdir()
    for number, one in enumerate(made):
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    dcmsend(server.dicom_port, folder)
    server.wait_indexed(len(made))
    keywords = {keyword for level in LEVELS for keyword in (*KEYS[level], UNIQUE[level])} | {
        "StudyInstanceUID"
    }
    yield server, [{keyword: str(one.get(keyword, "")) for keyword in keywords} for one in made]
    server.remove()


@contextmanager
def associated(server: Server) -> Iterator[Association]:
    ae = AE("QUERIES")
    ae.add_requested_context(PATIENT_ROOT)
    association = ae.associate("127.0.0.1", server.dicom_port, ae_title="TONGYING")
    assert association.is_established
    yield association
    association.release()


def test_the_same_answer_a_thousand_times(asked_of: tuple[Server, list[Row]], chance: random.Random) -> None:
    server, made = asked_of
    levels = [chance.choice(LEVELS) for _ in range(QUERIES)]
    questions = [(level, random_keys(chance, level, made)) for level in levels]
    found = Naive(made)

    def ask(some: list[tuple[str, Asked]]) -> int:
        hits = 0
        with associated(server) as association:
            for level, asked in some:
                wanted = found(level, asked)
                assert by_find(association, level, asked) == wanted, (level, asked)
                if level in QIDO:
                    assert by_qido(server, level, asked) == wanted, (level, asked)
                hits += bool(wanted)
        return hits

    assert server.client  # signed in once
    with warnings.catch_warnings(), ThreadPoolExecutor(ASKERS) as askers:
        warnings.simplefilter("ignore")  # of wildcards, where pydicom expects a value
        hits = sum(askers.map(ask, [questions[n::ASKERS] for n in range(ASKERS)]))
    assert hits > QUERIES // 5, "the queries find something"


def random_keys(chance: random.Random, level: str, made: list[Row]) -> Asked:
    within = LEVELS[: LEVELS.index(level) + 1]
    possible = [keyword for at in within for keyword in KEYS[at]]
    keywords = chance.sample(possible, chance.choice([1, 1, 2, 3]))
    if {"StudyDate", "StudyTime"} <= set(keywords):
        keywords.remove("StudyTime")  # QIDO takes two ranges for one period, C-FIND by itself does not
    example = chance.choice(made)
    return {keyword: random_value(chance, keyword, example, made) for keyword in keywords}


def random_value(chance: random.Random, keyword: str, example: Row, made: list[Row]) -> str:
    if keyword in ("StudyDate", "PatientBirthDate"):
        return chance.choice(["20260301-20260630", "-20260401", "20260901-", "19600203", "19550101-19620101"])
    if keyword == "StudyTime":
        return chance.choice(["0800-1200", "1030-", "-0600", "10"])
    if keyword in ("ModalitiesInStudy", "Modality"):
        return chance.choice(["CT", "SR", "C?", "*R", "US"])
    if keyword == "SOPClassesInStudy":
        return chance.choice([CT, SR, f"{MR}\\{SR}", "1.2.3"])
    if keyword == "NumberOfStudyRelatedInstances":
        return chance.choice(["1", "2", "5"])
    text = example[keyword]
    if keyword.endswith("UID"):
        return chance.choice([text, "\\".join(chance.choice(made)[keyword] for _ in range(3))])
    if (
        keyword in ("SeriesNumber", "InstanceNumber", "Rows", "PatientAge")
        or not text
        or chance.random() < 0.3
    ):
        return text
    start = chance.randrange(len(text))
    forms = [text[: start + 1] + "*", "*" + text[start:], text[:start] + "?" + text[start + 1 :]]
    return chance.choice([form for form in forms if set(form) != {"*"}] or [text])


def by_find(association: Association, level: str, asked: Asked) -> set[str]:
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = level
    setattr(identifier, UNIQUE[level], "")
    for keyword, value in asked.items():
        setattr(identifier, keyword, int(value) if keyword == "Rows" else value)
    found: set[str] = set()
    pause(association)
    for status, answer in association.send_c_find(identifier, PATIENT_ROOT):
        assert status.Status in (0xFF00, 0x0000), (hex(status.Status), asked)
        if answer is not None:
            uid = str(answer.get(UNIQUE[level]))
            assert uid not in found, "each match once"
            found.add(uid)
    return found


def by_qido(server: Server, level: str, asked: Asked) -> set[str]:
    found = server.client.get(f"/dicom-web/{QIDO[level]}", params=asked).raise_for_status().json()
    tag = {"STUDY": "0020000D", "SERIES": "0020000E", "IMAGE": "00080018"}[level]
    return {one[tag]["Value"][0] for one in found}


class Naive:
    """A loop over all that was sent."""

    def __init__(self, made: list[Row]) -> None:
        self._studies = grouped(made, "StudyInstanceUID")
        self._groups = {level: grouped(made, UNIQUE[level]) for level in LEVELS}

    def __call__(self, level: str, asked: Asked) -> set[str]:
        return {
            key for key, group in self._groups[level].items()
            if all(agrees(keyword, value, group[0], self._studies[group[0]["StudyInstanceUID"]])
                   for keyword, value in asked.items())
        }  # fmt: skip


def grouped(made: list[Row], keyword: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for one in made:
        groups[one[keyword]].append(one)
    return groups


def agrees(keyword: str, asked: str, one: Row, study: list[Row]) -> bool:
    """PS3.4 C.2.2.2 by hand."""
    if not asked:
        return True
    if keyword == "ModalitiesInStudy":
        return any(fnmatch.fnmatchcase(s["Modality"], asked) for s in study)
    if keyword == "SOPClassesInStudy":
        return any(s["SOPClassUID"] in asked.split("\\") for s in study)
    value = str(len(study)) if keyword == "NumberOfStudyRelatedInstances" else one[keyword]
    if keyword in ("StudyDate", "PatientBirthDate", "StudyTime"):
        return in_range(value, asked)
    if keyword.endswith("Name") and keyword != "ProtocolName":
        forms = [folded(value), *folded(value).split("=")]
        return any(like(form, folded(asked)) for form in forms)
    if keyword.endswith("UID"):
        return value in asked.split("\\")
    if "*" in asked or "?" in asked:
        return like(value.lower(), asked.lower())
    return value == asked


def in_range(value: str, asked: str) -> bool:
    low, dash, high = asked.partition("-")
    high = high if dash else low
    return bool(value) and value >= low and (not high or value[: len(high)] <= high)


def folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def like(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))
