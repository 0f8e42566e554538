"""WADO-RS, WADO-URI and QIDO-RS in all their forms: XML beside JSON, frames and instances in other transfer syntaxes,
parts of pictures; peers are DCMTK (dcm2xml, dcmdjpls, dcmdjpeg, dcmconv) and pydicom."""

from __future__ import annotations

import io
import subprocess
import xml.etree.ElementTree as ET
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openjpeg.utils import decode as openjpeg_decode
from PIL import Image, ImageSequence
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from pacs.pixels.encode import LOSSLESS
from tests.support.dicom import dcmsend
from tests.support.server import Server
from tests.support.studies import Study, ct_study, ultrasound_study
from tests.support.watch import settled

DICOM, OCTETS, XML = "application/dicom", "application/octet-stream", "application/dicom+xml"
NATIVE_MODEL = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
EXPLICIT = "1.2.840.10008.1.2.1"
SV1, JPEG_LS, J2K, HTJ2K, RPCL = (f"1.2.840.10008.1.2.4.{n}" for n in (70, 80, 90, 201, 202))
TYPES = {SV1: "image/jpeg", JPEG_LS: "image/jls", J2K: "image/jp2", HTJ2K: "image/jphc", RPCL: "image/jphc"}
TEXTS = {"AE", "CS", "DA", "LO", "SH", "ST", "TM", "UI"}


@pytest.fixture(scope="module")
def ct(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return sent(server, ct_study(tmp_path_factory.mktemp("forms") / "ct", slices=3, name="Wang^Fang=王^芳"))


@pytest.fixture(scope="module")
def us(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return sent(server, ultrasound_study(tmp_path_factory.mktemp("forms") / "us"))


def sent(server: Server, study: Study) -> Study:
    dcmsend(server.dicom_port, study.files[0].parent)
    settled(server)
    return study


def uids(study: Study) -> tuple[str, str, str]:
    one = dcmread(study.files[0], stop_before_pixels=True)
    return study.uid, str(one.SeriesInstanceUID), str(one.SOPInstanceUID)


def path(study: Study) -> str:
    return "/dicom-web/studies/{}/series/{}/instances/{}".format(*uids(study))


def get(server: Server, url: str, accept: str = "", **params: str) -> httpx.Response:
    return server.client.get(url, params=params, headers={"Accept": accept} if accept else {})


def parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Content type and content of each."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    leaves = [p for p in message.walk() if not p.is_multipart()]
    return [(str(p["content-type"]), bytes(p.get_payload(decode=True))) for p in leaves]


def elements(xml: bytes, namespace: str = NATIVE_MODEL) -> dict[str, tuple[str, list[str]]]:
    """Tag → VR and values, of the top level, of texts."""
    root = ET.fromstring(xml)
    found = {}
    for one in root.findall(f"{namespace}DicomAttribute"):
        if one.get("vr") in TEXTS:
            found[str(one.get("tag"))] = (
                str(one.get("vr")),
                [v.text or "" for v in one.findall(f"{namespace}Value")],
            )
    return found


# XML


def test_metadata_as_xml_is_what_dcmtk_makes_of_the_file(server: Server, ct: Study) -> None:
    answer = get(server, path(ct) + "/metadata", f'multipart/related; type="{XML}"').raise_for_status()
    ((kind, ours),) = parts(answer)
    assert kind.startswith(XML)
    theirs = subprocess.run(["dcm2xml", "-nat", "+Wb", str(ct.files[0])], capture_output=True, check=False)
    if theirs.returncode:
        theirs = subprocess.run(["dcm2xml", "-nat", str(ct.files[0])], capture_output=True, check=True)
    wanted = elements(theirs.stdout, NATIVE_MODEL) or elements(theirs.stdout, "")
    found = elements(ours)
    same = {tag for tag in wanted if not tag.startswith("0002") and int(tag[:4], 16) % 2 == 0}
    assert len(same) > 20
    assert {tag: found.get(tag) for tag in same} == {tag: wanted[tag] for tag in same}


def test_names_in_xml(server: Server, ct: Study) -> None:
    answer = get(server, path(ct) + "/metadata", f'multipart/related; type="{XML}"')
    ((_, xml),) = parts(answer)
    name = next(
        a for a in ET.fromstring(xml).iter(f"{NATIVE_MODEL}DicomAttribute") if a.get("tag") == "00100010"
    )
    assert name.get("keyword") == "PatientName"
    texts = [(e.tag.removeprefix(NATIVE_MODEL), e.text) for e in name.iter() if e.text and e.text.strip()]
    assert texts == [("FamilyName", "Wang"), ("GivenName", "Fang"), ("FamilyName", "王"), ("GivenName", "芳")]


def test_series_metadata_and_searches_as_xml(server: Server, ct: Study) -> None:
    study, series, _ = uids(ct)
    accept = f'multipart/related; type="{XML}"'
    of_series = parts(get(server, f"/dicom-web/studies/{study}/series/{series}/metadata", accept))
    assert {elements(xml)["00080018"][1][0] for _, xml in of_series} == {
        str(dcmread(f, stop_before_pixels=True).SOPInstanceUID) for f in ct.files
    }
    found = parts(get(server, "/dicom-web/studies", accept, StudyInstanceUID=study))
    assert [elements(xml)["0020000D"][1] for _, xml in found] == [[study]]
    nothing = get(server, "/dicom-web/studies", accept, StudyInstanceUID="1.2.3").raise_for_status()
    assert (nothing.status_code, nothing.content) == (204, b"")


# Frames


@pytest.mark.parametrize("syntax", sorted(LOSSLESS))
def test_frames_in_other_syntaxes(server: Server, ct: Study, syntax: str) -> None:
    accept = f'multipart/related; type="{TYPES[syntax]}"; transfer-syntax={syntax}'
    ((kind, frame),) = parts(get(server, path(ct) + "/frames/1", accept).raise_for_status())
    assert kind == f"{TYPES[syntax]}; transfer-syntax={syntax}"
    original = dcmread(ct.files[0])
    if syntax not in (SV1, JPEG_LS):
        assert np.array_equal(openjpeg_decode(io.BytesIO(frame)), original.pixel_array)
        return
    anew = dcmread(ct.files[0])
    anew.PixelData = encapsulate([frame])
    anew["PixelData"].is_undefined_length = True
    anew.file_meta.TransferSyntaxUID = UID(syntax)
    assert np.array_equal(by_dcmtk(anew, syntax), original.pixel_array)


def by_dcmtk(dataset: Any, syntax: str) -> Any:
    """The pixels as DCMTK's decoder of JPEG or JPEG-LS gives them."""
    file = io.BytesIO()
    dataset.save_as(file)
    tool = "dcmdjpeg" if syntax == SV1 else "dcmdjpls"
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    (folder / "in.dcm").write_bytes(file.getvalue())
    subprocess.run([tool, str(folder / "in.dcm"), str(folder / "out.dcm")], check=True, capture_output=True)
    return dcmread(folder / "out.dcm").pixel_array


def test_media_types_without_a_syntax(server: Server, ct: Study) -> None:
    for media_type, syntax in (
        ("image/jls", JPEG_LS),
        ("image/jp2", J2K),
        ("image/jphc", HTJ2K),
        ("image/jpeg", SV1),
    ):
        answer = get(server, path(ct) + "/frames/1", media_type).raise_for_status()
        assert answer.headers["content-type"] == f"{media_type}; transfer-syntax={syntax}"


@pytest.mark.parametrize("accept", [
    f'multipart/related; type="image/jls"; transfer-syntax={J2K}', "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.57",
    "image/gif", f'multipart/related; type="{OCTETS}"; transfer-syntax=1.2.840.10008.1.2.4.100',
])  # fmt: skip
def test_what_frames_cannot_be(server: Server, ct: Study, accept: str) -> None:
    answer = get(server, path(ct) + "/frames/1", accept)
    assert answer.status_code == 406
    assert "possible here" in answer.json()["detail"]


def test_baseline_of_16_bits_is_refused(server: Server, ct: Study) -> None:
    answer = get(server, path(ct) + "/frames/1", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("frame 1: JPEG baseline holds no samples of")


def test_colours_that_the_metadata_would_tell_wrongly(server: Server, us: Study) -> None:
    answer = get(server, path(us) + "/frames/1", "image/jp2")
    assert answer.status_code == 422
    assert "application/dicom" in answer.json()["detail"]


@pytest.mark.parametrize("syntax", [EXPLICIT, *sorted(LOSSLESS)])
def test_instances_in_other_syntaxes(server: Server, us: Study, ct: Study, syntax: str) -> None:
    for study in (us, ct):
        accept = f'multipart/related; type="{DICOM}"; transfer-syntax={syntax}'
        ((_, part10),) = parts(get(server, path(study), accept).raise_for_status())
        found = dcmread(io.BytesIO(part10))
        assert str(found.file_meta.TransferSyntaxUID) == syntax
        wanted = dcmread(study.files[0])
        assert int(found.get("NumberOfFrames", 1)) == int(wanted.get("NumberOfFrames", 1))
        assert found.PhotometricInterpretation in ("RGB", wanted.PhotometricInterpretation)


# Pictures


def image(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_the_source_rectangle_of_a_viewport(server: Server, ct: Study) -> None:
    whole = np.asarray(image(get(server, path(ct) + "/rendered", "image/png", viewport="128,128")))
    part = np.asarray(image(get(server, path(ct) + "/rendered", "image/png", viewport="64,32,32,64,64,32")))
    assert part.shape == (32, 64)
    assert np.array_equal(part, whole[64:96, 32:96])
    rest = image(get(server, path(ct) + "/rendered", "image/png", viewport="64,64,64,64"))
    assert rest.size == (64, 64)
    for wrong in ("64", "64,64,1", "64,64,128,0", "64,64,0,0,500,10", "64,64,a,b"):
        assert get(server, path(ct) + "/rendered", "image/png", viewport=wrong).status_code == 400


# WADO-URI


def wado(server: Server, study: Study, **more: str) -> httpx.Response:
    named = dict(zip(("studyUID", "seriesUID", "objectUID"), uids(study), strict=True))
    return get(server, "/wado", "", **({"requestType": "WADO"} | named | more))


def test_wado_uri_gives_a_picture_of_a_single_frame(server: Server, ct: Study) -> None:
    answer = wado(server, ct)
    assert answer.headers["content-type"] == "image/jpeg"
    assert image(answer).size == (128, 128)
    assert image(wado(server, ct, contentType="image/png")).format == "PNG"
    assert image(wado(server, ct, rows="64")).size == (64, 64)
    assert image(wado(server, ct, rows="32", columns="64")).size == (32, 32)
    part = np.asarray(image(wado(server, ct, contentType="image/png", region="0.25,0.5,0.75,0.75")))
    whole = np.asarray(image(wado(server, ct, contentType="image/png")))
    assert np.array_equal(part, whole[64:96, 32:96])
    narrow = np.asarray(image(wado(server, ct, contentType="image/png", windowCenter="40", windowWidth="1")))
    assert set(np.unique(narrow)) <= {0, 255}


def test_wado_uri_gives_dicom(server: Server, ct: Study, us: Study) -> None:
    answer = wado(server, ct, contentType=DICOM)
    assert answer.headers["content-type"] == f"{DICOM}; transfer-syntax={EXPLICIT}"
    assert dcmread(io.BytesIO(answer.content)).pixel_array.shape == (128, 128)
    assert wado(server, us).headers["content-type"].startswith(DICOM), (
        "several frames are no picture by default"
    )
    assert image(wado(server, us, contentType="image/jpeg", frameNumber="7")).format == "JPEG"
    anew = dcmread(io.BytesIO(wado(server, ct, contentType=DICOM, transferSyntax=J2K).content))
    assert str(anew.file_meta.TransferSyntaxUID) == J2K


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"requestType": "OTHER"}, 400), ({"studyUID": ""}, 400), ({"objectUID": "1.2.3"}, 404),
        ({"objectUID": "x"}, 400),
        ({"contentType": DICOM, "windowCenter": "1", "windowWidth": "2"}, 400),
        ({"contentType": DICOM, "transferSyntax": "x"}, 400), ({"anonymize": "yes"}, 400), ({"region": "0,0,2,2"}, 400),
        ({"region": "1"}, 400), ({"rows": "0"}, 400), ({"rows": "x"}, 400), ({"windowCenter": "1"}, 400),
        ({"windowCenter": "a", "windowWidth": "b"}, 400), ({"frameNumber": "0"}, 400), ({"frameNumber": "99"}, 400),
        ({"imageQuality": "101"}, 400), ({"contentType": DICOM, "transferSyntax": "1.2.3"}, 406),
    ],
)  # fmt: skip
def test_wado_uri_that_cannot_be(server: Server, ct: Study, changed: dict[str, str], status: int) -> None:
    answer = wado(server, ct, **changed)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_wado_uri_needs_a_sign_in(server: Server, ct: Study) -> None:
    study, series, instance = uids(ct)
    asked = {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": instance}
    assert httpx.get(f"{server.url}/wado", params=asked).status_code == 401


def test_a_loop_as_a_gif(server: Server, us: Study) -> None:
    """All frames, as fast as they were taken; of one frame that one."""
    answer = get(server, path(us) + "/rendered", "image/gif", viewport="160,120")
    assert answer.headers["content-type"] == "image/gif"
    loop = Image.open(io.BytesIO(answer.content))
    shown = [
        frame.info["duration"] for frame in ImageSequence.Iterator(loop)
    ]  # frames that are alike are joined
    frames = int(dcmread(us.files[0], stop_before_pixels=True).NumberOfFrames)
    assert (sum(shown), min(shown), loop.info["loop"]) == (100 * frames, 100, 0)
    assert max(loop.size) <= 160
    loop.seek(0)
    one = get(server, f"{path(us)}/frames/1/rendered", "image/png", viewport="160,120")
    wanted = np.asarray(Image.open(io.BytesIO(one.content)).convert("RGB"), np.int16)
    assert np.abs(np.asarray(loop.convert("RGB"), np.int16) - wanted).mean() < 6, "GIF has 256 colours"
    unasked = Image.open(io.BytesIO(get(server, path(us) + "/rendered", "image/gif").content))
    assert max(unasked.size) <= 512
    single = Image.open(io.BytesIO(get(server, path(us) + "/frames/3/rendered", "image/gif").content))
    assert single.n_frames == 1  # type: ignore[attr-defined]


def test_a_gif_of_a_slice(server: Server, ct: Study) -> None:
    picture = Image.open(io.BytesIO(get(server, path(ct) + "/rendered", "image/gif").content))
    png = Image.open(io.BytesIO(get(server, path(ct) + "/rendered", "image/png").content))
    assert np.array_equal(np.asarray(picture.convert("L")), np.asarray(png))
