"""URLs of what DICOMweb gives, as paths: right behind any proxy."""

from __future__ import annotations

from fastapi import Request

from storage.location import Located


def root_of(request: Request) -> str:
    """Where the service is."""
    return f"{request.scope.get('root_path', '')}/dicom-web"


def url_of(root: str, located: Located) -> str:
    """Where an instance is."""
    series = f"{root}/studies/{located.study_uid}/series/{located.series_uid}"
    return f"{series}/instances/{located.entry.sop_instance}"
