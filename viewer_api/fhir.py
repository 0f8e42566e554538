"""FHIR R4: Patient, `$match` (https://hl7.org/fhir/R4/patient-operation-match.html) and `$everything`, as far as the
asker may see. Resident numbers are taken whole and given masked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from pacs.audit import Subject
from pacs.errors import BadQuery, NotFound
from pacs.identity import Verdict
from pacs.names import pn_json
from storage import match, persons
from storage.identity import IDENTIFIERS_MAX, Identifier
from storage.match import Description, Found, SeenStudy
from storage.persons import SeenPatient
from viewer_api.audited import tell
from viewer_api.auth import TheArchive, Who

router = APIRouter(prefix="/fhir", tags=["fhir"])
Json = dict[str, Any]
FHIR_JSON = "application/fhir+json"
GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
PROBABLE_BITS = 4.0
TEXT_CHARACTERS_MAX = 200
_GENDERS = {"male": "M", "female": "F", "other": "O"}
_SEXES = {sex: gender for gender, sex in _GENDERS.items()}
_KEY = re.compile(r"[1-9][0-9]{0,15}\Z")


class FhirResponse(JSONResponse):
    """JSON as FHIR names it."""

    media_type = FHIR_JSON


@router.post("/Patient/$match", response_class=FhirResponse)
def match_patient(
    request: Request, parameters: Annotated[Json, Body(media_type=FHIR_JSON)], who: Who, archive: TheArchive
) -> FhirResponse:
    """Patients that may be the one described, each with its score (a probability) and match grade. Takes Parameters
    with `resource`, `onlyCertainMatches` and `count`."""
    given = _parameters(parameters)
    resource = given.get("resource")
    if not isinstance(resource, dict) or resource.get("resourceType") != "Patient":
        raise BadQuery("Parameters must hold a Patient as `resource`")
    count = given.get("count")
    most = (
        count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else match.MATCHES_MAX
    )
    found = match.match(archive, who, _described(resource), most)
    _tell([one.patient for one in found])
    if given.get("onlyCertainMatches") is True:
        found = [f for f in found if f.judgement.verdict is Verdict.LINKED]
    return FhirResponse(_bundle(request, [_matched(f) for f in found]))


@router.get("/Patient/{patient}", response_class=FhirResponse)
def read_patient(patient: str, who: Who, archive: TheArchive) -> FhirResponse:
    """A patient; `link` names those who are the same person."""
    same = persons.patients_of_person(archive, who, _key(patient))
    _tell(same)
    return FhirResponse(_patient_of(same, _key(patient)))


@router.get("/Patient/{patient}/$everything", response_class=FhirResponse)
def everything(request: Request, patient: str, who: Who, archive: TheArchive) -> FhirResponse:
    """A patient with all who are the same person, and their studies."""
    pk = _key(patient)
    same = persons.patients_of_person(archive, who, pk)
    _tell(same)
    entries = [_entry(_patient_of(same, p.id)) for p in sorted(same, key=lambda p: p.id != pk)]
    entries += [_entry(_study(s)) for s in match.studies(archive, who, pk)]
    return FhirResponse(_bundle(request, entries))


def _tell(shown: Sequence[SeenPatient]) -> None:
    tell(subjects=tuple(Subject(p.facility, p.issuer, p.patient_id) for p in shown))


def _key(written: str) -> int:
    if not _KEY.match(written):
        raise NotFound("there is no such patient")
    return int(written)


# --- What is given ---


def _parameters(resource: Json) -> Json:
    """The parameters by name; raises BadQuery."""
    listed = resource.get("parameter")
    if resource.get("resourceType") != "Parameters" or not isinstance(listed, list):
        raise BadQuery("a Parameters resource is taken here")
    values: Json = {}
    for one in listed:
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            value = next((one[k] for k in ("resource", "valueBoolean", "valueInteger") if k in one), None)
            values.setdefault(one["name"], value)
    return values


def _described(resource: Json) -> Description:
    birth = _text(resource.get("birthDate"))
    try:
        born = date.fromisoformat(birth) if birth else None
    except ValueError:
        born = None  # a year alone, or no date
    phones = [_text(t.get("value")) for t in _objects(resource, "telecom") if t.get("system") == "phone"]
    return Description(
        _name(resource), born, _GENDERS.get(_text(resource.get("gender")), ""), phones[0] if phones else "",
        [Identifier(_text(i.get("value")), _type(i), _text(i.get("system"))) for i in _objects(resource, "identifier")],
    )  # fmt: skip


def _name(resource: Json) -> str:
    """The first name, as DICOM writes it."""
    for name in _objects(resource, "name"):
        family = _text(name.get("family"))
        listed = name.get("given")
        given = " ".join(map(_text, listed)) if isinstance(listed, list) else ""
        written = f"{family}^{given}".strip("^") if family or given else _text(name.get("text"))
        if written:
            return written.replace("=", " ")
    return ""


def _type(identifier: Json) -> str:
    type_ = identifier.get("type")
    codes = [_text(c.get("code")) for c in _objects(type_, "coding")] if isinstance(type_, dict) else []
    return codes[0].upper() if codes else ""


def _objects(resource: Json, name: str) -> list[Json]:
    listed = resource.get(name)
    return (
        [one for one in listed if isinstance(one, dict)][:IDENTIFIERS_MAX] if isinstance(listed, list) else []
    )


def _text(value: object) -> str:
    return value.replace("\0", "")[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else ""


# --- What is told ---


def _bundle(request: Request, entries: list[Json]) -> Json:
    base = str(request.base_url)
    for entry in entries:
        resource = entry["resource"]
        entry["fullUrl"] = f"{base}fhir/{resource['resourceType']}/{resource['id']}"
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _entry(resource: Json) -> Json:
    return {"resource": resource, "search": {"mode": "match"}}


def _matched(found: Found) -> Json:
    bits = found.judgement.bits
    grade = "possible"
    if found.judgement.verdict is Verdict.LINKED:
        grade = "certain"
    elif bits >= PROBABLE_BITS:
        grade = "probable"
    score = round(1 / (1 + 2.0 ** -max(-50.0, min(bits, 50.0))), 4)
    entry = _entry(_patient(found.patient))
    entry["search"] = {
        "extension": [{"url": GRADE, "valueCode": grade}], "mode": "match", "score": score,
    }  # fmt: skip
    return entry


def _patient_of(same: list[SeenPatient], pk: int) -> Json:
    others = [{"other": {"reference": f"Patient/{p.id}"}, "type": "seealso"} for p in same if p.id != pk]
    resource = _patient(next(p for p in same if p.id == pk))
    return resource | ({"link": others} if others else {})


def _patient(seen: SeenPatient) -> Json:
    """What is not known is left out, as FHIR has no empty values."""
    birth = seen.said_birth_date or seen.birth_date
    resource = {
        "resourceType": "Patient",
        "id": str(seen.id),
        "identifier": list(_identifiers(seen)),
        "name": list(_names(seen.said_name or seen.patient_name)),
        "telecom": [{"system": "phone", "value": seen.phone}] if seen.phone else [],
        "gender": _SEXES.get(seen.said_sex or seen.sex, "unknown"),
        "birthDate": birth.isoformat() if birth else "",
        "managingOrganization": {"identifier": {"value": seen.facility}},
    }
    return {name: value for name, value in resource.items() if value}


def _identifiers(seen: SeenPatient) -> Iterator[Json]:
    if seen.patient_id:
        one: Json = {
            "use": "usual",
            "value": seen.patient_id,
            "assigner": {"display": seen.issuer or seen.facility},
        }
        yield one
    if seen.resident_number:
        yield {"type": {"coding": [{"system": TYPES, "code": "NI"}]}, "value": seen.resident_number}


def _names(pn: str) -> Iterator[Json]:
    for written in pn_json(pn).values():
        family, _, given = written.partition("^")
        parts = [part for part in given.split("^") if part]
        name: Json = {"text": " ".join([family, *parts]).strip()}
        if family:
            name["family"] = family
        if parts:
            name["given"] = parts
        if name["text"]:
            yield name


def _study(study: SeenStudy) -> Json:
    resource = {
        "resourceType": "ImagingStudy",
        "id": study.study_uid,
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{study.study_uid}"}],
        "status": "available",
        "subject": {"reference": f"Patient/{study.patient}"},
        "started": study.study_date.isoformat() if study.study_date else "",
        "description": study.description,
        "modality": [
            {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": m}
            for m in study.modalities
            if m
        ],
        "numberOfSeries": study.series,
        "numberOfInstances": study.instances,
    }
    return {name: value for name, value in resource.items() if value}
