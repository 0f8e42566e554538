"""Stamped images are new instances, and still the DICOM that they were."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from bench.corpus import make_study


def test_a_stamp_makes_new_instances_of_one_new_series(tmp_path: Path) -> None:
    study = make_study(tmp_path, 3, 32, "P1")
    before = {image.uid for image in study.images}
    study.stamp()
    read = [dcmread(image.path) for image in study.images]
    assert {d.StudyInstanceUID for d in read} == {study.study_uid}
    assert {d.SeriesInstanceUID for d in read} == {study.series_uid}
    assert [d.SOPInstanceUID for d in read] == [image.uid for image in study.images]
    assert [d.file_meta.MediaStorageSOPInstanceUID for d in read] == [image.uid for image in study.images]
    assert before.isdisjoint(image.uid for image in study.images)
    assert {d.pixel_array.shape for d in read} == {(32, 32)}
