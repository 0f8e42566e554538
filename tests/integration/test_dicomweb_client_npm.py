"""The npm package dicomweb-client as our client, run by Node: on it stand OHIF and others."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openjpeg.utils import decode as openjpeg_decode
from PIL import Image
from pydicom import dcmread

from tests.support.dicom import dataset_sha256, describe, send_raw
from tests.support.server import ROOT, Server
from tests.support.studies import Study, ct_study
from tests.support.watch import settled, sop_uids, whole

NODE = ROOT / "tests" / "node"
JPEG_2000, HTJ2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
SECONDS = 60


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return ct_study(tmp_path_factory.mktemp("npm") / "here", slices=3, name="Wang^Fang=王^芳")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return ct_study(tmp_path_factory.mktemp("npm") / "there", slices=2)


@pytest.fixture(scope="module")
def found(server: Server, here: Study, there: Study) -> dict[str, Any]:
    """What the client was told of a study that is here, and of one that it stored."""
    assert set(send_raw(server.dicom_port, map(describe, here.files)).values()) == {0}
    settled(server)
    first = dcmread(here.files[0], stop_before_pixels=True)
    asked = {
        "root": f"{server.url}/dicom-web",
        "bearer": server.client.headers["Authorization"],
        "study": here.uid,
        "series": first.SeriesInstanceUID,
        "instance": first.SOPInstanceUID,
        "syntaxes": [["image/jp2", JPEG_2000]],
        "files": [str(file) for file in there.files],
    }
    done = subprocess.run(
        [node(), "client.mjs"], input=json.dumps(asked), cwd=NODE, capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def node() -> str:
    where = subprocess.run([ROOT / "deploy" / "node-path.sh"], capture_output=True, text=True, check=True)
    return str(Path(where.stdout.strip()) / "node")


def value(dataset: dict[str, Any], tag: str) -> Any:
    return dataset[tag]["Value"][0]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pixels(study: Study) -> bytes:
    return bytes(dcmread(study.files[0]).PixelData)


def sop_instances(study: Study) -> list[str]:
    return sorted(describe(file).sop_instance for file in study.files)


def test_it_searches(found: dict[str, Any], here: Study) -> None:
    (study,) = found["studies"]
    assert (value(study, "0020000D"), value(study, "00201208")) == (here.uid, 3)
    assert value(study, "00100010") == {"Alphabetic": "Wang^Fang", "Ideographic": "王^芳"}
    assert found["none"] == []
    assert [value(s, "00080060") for s in found["series"]] == ["CT"]
    assert sorted(value(i, "00080018") for i in found["instances"]) == sop_instances(here)


def test_it_retrieves_metadata(found: dict[str, Any], here: Study) -> None:
    for of in ("metadata", "seriesMetadata"):
        assert sorted(value(i, "00080018") for i in found[of]) == sop_instances(here)
    (of_one,) = found["instanceMetadata"]
    assert of_one in found["metadata"]


def test_it_retrieves_instances(server: Server, found: dict[str, Any], here: Study) -> None:
    """Part 10, the data sets as they were sent."""
    originals = sorted(dataset_sha256(file.read_bytes()) for file in here.files)
    assert sorted(found["studyParts"]) == sorted(found["seriesParts"]) == originals
    assert found["instance"] == dataset_sha256(here.files[0].read_bytes())


def test_it_retrieves_frames(found: dict[str, Any], here: Study) -> None:
    assert found["frame"] == found["anyFrame"] == [sha(pixels(here))]
    (frame,) = found["frames"][JPEG_2000]
    decoded = openjpeg_decode(io.BytesIO(base64.b64decode(frame)))
    assert np.array_equal(decoded, dcmread(here.files[0]).pixel_array)
    assert found["noFrame"] == 404


def test_it_retrieves_pictures(found: dict[str, Any], here: Study) -> None:
    pictures = {name: Image.open(io.BytesIO(base64.b64decode(p))) for name, p in found["pictures"].items()}
    assert {n: (p.format, p.size) for n, p in pictures.items()} == {
        "image/jpeg": ("JPEG", (128, 128)),
        "image/png": ("PNG", (32, 32)),
        "thumbnail": ("JPEG", (256, 256)),
    }


def test_it_retrieves_bulk_data(found: dict[str, Any], here: Study) -> None:
    assert found["bulkData"] == [sha(pixels(here))]


def test_it_stores(server: Server, found: dict[str, Any], there: Study) -> None:
    stored = found["stored"]["00081199"]["Value"]
    assert sorted(value(one, "00081155") for one in stored) == sop_instances(there)
    assert found["storedElsewhere"] == 409
    settled(server)
    assert sorted(sop_uids(server, there.uid)) == sop_instances(there)
    whole(server)
