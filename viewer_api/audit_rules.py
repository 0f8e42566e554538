"""What each route is in the audit trail: what was done there, or why nobody needs to be told.

`tests/house` proves that every route stands here. A route that does not is told all the same: what only reads as a
look, all else as a change.
"""

from __future__ import annotations

from dataclasses import dataclass

from pacs.audit import Action


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route does. What is `repeated` (the frames of a series, a list that is looked at again) is one entry a
    minute; entries of another `what` are told apart from these."""

    action: Action
    what: str = ""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Untold:
    """Why a route has no entries."""

    reason: str


STUDY = "/dicom-web/studies/{study_uid}"
SERIES = STUDY + "/series/{series_uid}"
INSTANCE = SERIES + "/instances/{sop_instance}"
CHANGE, QUERY = Rule(Action.CHANGE), Rule(Action.QUERY, repeated=True)
IMAGES, SMALL = Rule(Action.VIEW, "study", repeated=True), Rule(Action.VIEW, "thumbnail", repeated=True)
EXPORT = Rule(Action.EXPORT, "instances", repeated=True)
OWN = Untold("it tells of who asks, and of nobody else")
CONFIGURATION = Untold("it lists configuration, and no patient; changes of it are told")
PUBLIC = Untold("it tells everybody the same, and nothing of patients")

RULES: dict[tuple[str, str], Rule | Untold] = {
    **dict.fromkeys((("GET", path) for path in (STUDY, SERIES, INSTANCE)), EXPORT),
    **dict.fromkeys(
        (
            ("GET", path)
            for path in (
                *(f"{level}/metadata" for level in (STUDY, SERIES, INSTANCE)),
                *(f"{level}/rendered" for level in (STUDY, SERIES, INSTANCE)),
                INSTANCE + "/frames/{frames}",
                INSTANCE + "/frames/{frames}/rendered",
                INSTANCE + "/bulkdata/{path:path}",
                "/wado",
                "/api/studies/{study_uid}",
            )
        ),
        IMAGES,
    ),
    **dict.fromkeys(
        (
            ("GET", f"{level}/thumbnail")
            for level in (STUDY, SERIES, INSTANCE, INSTANCE + "/frames/{frames}")
        ),
        SMALL,
    ),
    **dict.fromkeys(
        (
            ("GET", path)
            for path in (
                "/dicom-web/studies",
                "/dicom-web/series",
                "/dicom-web/instances",
                STUDY + "/series",
                STUDY + "/instances",
                SERIES + "/instances",
                "/api/studies",
                "/api/incidents",
                "/api/sends",
                "/api/worklist",
                "/api/worklist/{entry_id}",
                "/api/rejections",
                "/api/rejections/{rejection_id}",
                "/api/grants",
                "/api/share-links",
                "/api/restrictions",
                "/api/break-glass",
                "/api/persons",
                "/api/persons/reviews",
                "/api/persons/patients/{patient}",
                "/fhir/Patient/{patient}",
                "/fhir/Patient/{patient}/$everything",
            )
        ),
        QUERY,
    ),
    **dict.fromkeys((("POST", path) for path in ("/dicom-web/studies", STUDY)), Rule(Action.STORE)),
    ("GET", "/api/incidents/{incident_id}/instance"): Rule(Action.EXPORT),
    ("POST", "/api/auth/token"): Rule(Action.SIGN_IN),
    ("GET", "/api/auth/openid/callback"): Rule(Action.SIGN_IN, "by OpenID"),
    ("GET", "/IHEInvokeImageDisplay"): Rule(Action.SIGN_IN, "by launch"),
    ("POST", "/api/auth/sign-out"): Rule(Action.SIGN_IN, "out"),
    ("POST", "/api/me/password"): CHANGE,
    ("POST", "/api/me/second-factor"): CHANGE,
    ("POST", "/api/me/second-factor/confirm"): CHANGE,
    ("DELETE", "/api/me/second-factor"): CHANGE,
    ("DELETE", "/api/me/sessions/{session_id}"): CHANGE,
    ("POST", "/api/facilities"): CHANGE,
    ("PATCH", "/api/facilities/{code}"): CHANGE,
    ("POST", "/api/devices"): CHANGE,
    ("PATCH", "/api/devices/{device_id}"): CHANGE,
    ("DELETE", "/api/devices/{device_id}"): CHANGE,
    ("POST", "/api/remotes"): CHANGE,
    ("PATCH", "/api/remotes/{remote_id}"): CHANGE,
    ("DELETE", "/api/remotes/{remote_id}"): CHANGE,
    ("POST", "/api/routes"): CHANGE,
    ("PATCH", "/api/routes/{route_id}"): CHANGE,
    ("DELETE", "/api/routes/{route_id}"): CHANGE,
    ("POST", "/api/sends"): Rule(Action.EXPORT, "queued"),
    ("POST", "/api/sends/{send_id}/retry"): CHANGE,
    ("DELETE", "/api/sends/{send_id}"): CHANGE,
    ("POST", "/api/worklist"): CHANGE,
    ("PATCH", "/api/worklist/{entry_id}"): CHANGE,
    ("DELETE", "/api/worklist/{entry_id}"): CHANGE,
    ("POST", "/api/rejections"): Rule(Action.REJECT),
    ("GET", "/api/rejections/{rejection_id}/note"): Rule(Action.EXPORT),
    ("POST", "/api/rejections/{rejection_id}/restore"): Rule(Action.RESTORE),
    ("DELETE", "/api/rejections/{rejection_id}"): Rule(Action.ERASE),
    ("GET", "/api/audit"): Rule(Action.READ_TRAIL, repeated=True),
    ("GET", "/api/audit/looked"): Rule(Action.READ_TRAIL, "who looked", repeated=True),
    ("GET", "/api/audit/state"): Rule(Action.READ_TRAIL, "state", repeated=True),
    ("GET", "/fhir/AuditEvent"): Rule(Action.READ_TRAIL, repeated=True),
    ("GET", "/fhir/AuditEvent/{position}"): Rule(Action.READ_TRAIL, repeated=True),
    ("PUT", "/api/facilities/{code}/sharing"): CHANGE,
    ("POST", "/api/grants"): Rule(Action.GRANT),
    ("DELETE", "/api/grants/{grant_id}"): CHANGE,
    ("POST", "/api/share-links"): Rule(Action.GRANT, "share link"),
    ("DELETE", "/api/share-links/{link_id}"): CHANGE,
    ("POST", "/api/auth/link"): Rule(Action.SIGN_IN, "by share link"),
    ("POST", "/api/restrictions"): CHANGE,
    ("DELETE", "/api/restrictions/{restriction_id}"): CHANGE,
    ("POST", "/api/break-glass"): Rule(Action.GRANT, "emergency"),
    ("POST", "/api/break-glass/{grant_id}/note"): CHANGE,
    ("POST", "/api/users"): CHANGE,
    ("PATCH", "/api/users/{name}"): CHANGE,
    ("PUT", "/api/users/{name}/password"): CHANGE,
    ("POST", "/api/users/{name}/sign-out"): CHANGE,
    ("POST", "/api/users/{name}/unlock"): CHANGE,
    ("DELETE", "/api/users/{name}/second-factor"): CHANGE,
    ("POST", "/api/facilities/{code}/departments"): CHANGE,
    ("POST", "/api/persons/reviews/{one}/{other}"): CHANGE,
    ("DELETE", "/api/persons/patients/{patient}/person"): CHANGE,
    ("POST", "/api/persons/steps/{batch}/undo"): CHANGE,
    ("POST", "/fhir/Patient/$match"): Rule(Action.QUERY),
    ("GET", "/api/facilities/{code}/sharing"): CONFIGURATION,
    ("GET", "/api/facilities/{code}/departments"): CONFIGURATION,
    ("GET", "/api/users"): CONFIGURATION,
    ("GET", "/api/me"): OWN,
    ("GET", "/api/shared"): OWN,
    ("GET", "/api/shared/looks"): Rule(Action.READ_TRAIL, "of a share link", repeated=True),
    ("GET", "/api/me/second-factor"): OWN,
    ("GET", "/api/me/sessions"): OWN,
    ("GET", "/api/auth/ways"): PUBLIC,
    ("GET", "/api/auth/openid"): PUBLIC,
    ("GET", "/api/viewers"): PUBLIC,
    ("GET", "/api/facilities"): CONFIGURATION,
    ("GET", "/api/devices"): CONFIGURATION,
    ("GET", "/api/remotes"): CONFIGURATION,
    ("GET", "/api/routes"): CONFIGURATION,
    ("POST", "/api/remotes/{remote_id}/echo"): Untold("it asks a remote whether it is there, and shows nothing"),
    ("GET", "/fhir/metadata"): PUBLIC,
    ("GET", "/api/openapi.json"): PUBLIC,
    ("OPTIONS", "/dicom-web"): PUBLIC,
    ("OPTIONS", "/dicom-web/{path:path}"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/ohif"): PUBLIC,
    ("GET", "/ohif/{path:path}"): PUBLIC,
    ("GET", "/{path:path}"): PUBLIC,
}  # fmt: skip
UNKNOWN = {"GET": Rule(Action.VIEW, "other", repeated=True)}


def rule_of(method: str, template: str) -> Rule | Untold:
    """By method and the template of the path."""
    return RULES.get((method, template)) or UNKNOWN.get(method, CHANGE)
