"""`python -m dicom_node.demo`: two demo hospitals send real studies by C-STORE, so that the page has something to show.

The files are those of the packages pydicom and pydicom-data, or of the folder that TONGYING_DEMO_DATA names.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import AE, _config

from pacs.settings import from_environment
from storage.registry import DEMO_HOSPITALS

MODALITIES = ("CT", "MR", "US", "CR", "DX", "MG", "XA", "NM", "SR")
FILES_MAX, CONTEXTS_MAX = 1000, 120
Context = tuple[str, str]


def candidates() -> Iterator[tuple[Path, Context]]:
    """Files worth showing, each with its SOP class and transfer syntax."""
    folder = os.environ.get("TONGYING_DEMO_DATA")
    packaged = [Path(str(files(name))) for name in ("pydicom.data", "data_store")]
    for root in [Path(folder)] if folder else packaged:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            try:
                header = dcmread(path, stop_before_pixels=True)
                context = (
                    str(header.file_meta.MediaStorageSOPClassUID),
                    str(header.file_meta.TransferSyntaxUID),
                )
                named = header.get("StudyInstanceUID") and header.get("SOPInstanceUID")
                if named and header.get("Modality") in MODALITIES:
                    yield path, context
            except (InvalidDicomError, AttributeError, ValueError, TypeError, NotImplementedError):
                continue


def hospital_of(path: Path) -> int:
    """Which hospital sends a file: the same for all of one folder or, in a flat one, of one beginning of a name."""
    return sum(f"{path.parent.name}{path.name[:5]}".encode()) % len(DEMO_HOSPITALS)


def send(port: int, called: str, calling: str, chosen: list[tuple[Path, Context]]) -> int:
    """Send files as one hospital; returns how many were stored."""
    ae = AE(calling)
    for sop_class, syntax in sorted({context for _, context in chosen})[:CONTEXTS_MAX]:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    stored = 0
    for path, _ in chosen if association.is_established else []:
        try:
            stored += association.send_c_store(str(path)).get("Status") == 0x0000
        except (ValueError, AttributeError, RuntimeError):
            continue
    if association.is_established:
        association.release()
    return stored


def main() -> int:
    """Send; 0 if anything arrived."""
    settings = from_environment()
    _config.STORE_SEND_CHUNKED_DATASET = True  # as they are, undecoded
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # real files break the standard here and there
        found = list(candidates())[:FILES_MAX]
        shares = [[f for f in found if hospital_of(f[0]) == number] for number in range(len(DEMO_HOSPITALS))]
        total = sum(
            send(settings.dicom_port, settings.ae_title, hospital.ae_title, share)
            for hospital, share in zip(DEMO_HOSPITALS, shares, strict=True)
        )
    print(f"  Demo       {len(DEMO_HOSPITALS)} hospitals sent {total} images", flush=True)  # noqa: T201  its one line
    return 0 if total else 1


if __name__ == "__main__":
    sys.exit(main())
