"""What the FHIR service can do, for everybody (https://hl7.org/fhir/R4/http.html#capabilities)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from pacs import VERSION
from viewer_api.fhir import FhirResponse

router = APIRouter(prefix="/fhir", tags=["fhir"])
PUBLISHED = "2026-11-26"  # when what is told here changed last
OPERATIONS = "http://hl7.org/fhir/OperationDefinition/Patient"
SEARCHES = (("date", "date"), ("patient", "reference"), ("agent", "reference"), ("entity", "reference"))


@router.get("/metadata", response_class=FhirResponse)
def capability_statement(request: Request) -> FhirResponse:
    """The CapabilityStatement."""
    base = str(request.base_url).rstrip("/")
    return FhirResponse(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": PUBLISHED,
            "kind": "instance",
            "software": {"name": "Tongying", "version": VERSION},
            "implementation": {"description": "Tongying 通影", "url": f"{base}/fhir"},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json"],
            "rest": [{"mode": "server", "resource": [_patient(), _audit_event()]}],
        }
    )


def _patient() -> dict[str, Any]:
    operations = ("match", "everything")
    return {
        "type": "Patient",
        "interaction": [{"code": "read"}],
        "operation": [{"name": name, "definition": f"{OPERATIONS}-{name}"} for name in operations],
    }


def _audit_event() -> dict[str, Any]:
    return {
        "type": "AuditEvent",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [{"name": name, "type": kind} for name, kind in SEARCHES],
    }
