"""What a store request is answered."""

from __future__ import annotations

import json

import pytest

from storage.importing import Identity
from viewer_api.dicomweb.outcome import Outcome

ROOT = "http://pacs/dicom-web"
STORED, URL = "00081199", "00081190"


@pytest.mark.parametrize(
    "study", ["1.2\r\nSet-Cookie: a=b", "1.2\x01", "影像", "", "1.2/../3", "1." * 100 + "1"]
)
@pytest.mark.parametrize("of_series", [False, True])
def test_a_study_without_a_uid_is_at_no_url(study: str, of_series: bool) -> None:
    """What would stand in a header as it came breaks the answer off."""
    outcome = Outcome(ROOT)
    outcome.keep(Identity("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", 0),
                 *(("1.2", study) if of_series else (study, "1.2.4")))  # fmt: skip
    answer = outcome.answer(xml=False)
    assert answer.status_code == 200
    assert "location" not in answer.headers
    (stored,) = json.loads(bytes(answer.body))[STORED]["Value"]
    assert "Value" not in stored[URL]
    assert outcome.studies == ()


def test_one_with_uids_is_where_they_say() -> None:
    outcome = Outcome(ROOT)
    outcome.keep(Identity("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", 0), "1.2", "1.2.4")
    answer = outcome.answer(xml=False)
    assert answer.headers["location"] == f"{ROOT}/studies/1.2"
