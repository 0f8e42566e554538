"""What a user does with his own account: password, second factor, sessions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from pacs.errors import Forbidden, NotFound, SettingError
from storage import accounts, factors, sessions
from storage.accounts import User
from storage.archive import Archive
from storage.passwords import PASSWORD_CHARACTERS_MAX
from storage.tokens import Subject, TokenIssuer
from viewer_api.auth import TheArchive, TheIssuer, TheSubject
from viewer_api.qr import drawn
from viewer_api.sign_in import Token, Wanted, address, begun

router = APIRouter(prefix="/api/me", tags=["account"])


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewPassword(_Form):
    current: str = Field(max_length=PASSWORD_CHARACTERS_MAX)
    new: str = Field(max_length=PASSWORD_CHARACTERS_MAX)
    code: str = Field(
        default="", max_length=factors.CODE_CHARACTERS_MAX, description="Where there is a second factor"
    )
    cookie: bool = Field(default=False, description="For pages of ours: as at /api/auth/token")


class Code(_Form):
    code: str = Field(max_length=factors.CODE_CHARACTERS_MAX)
    cookie: bool = False


class Proof(_Form):
    password: str = Field(max_length=PASSWORD_CHARACTERS_MAX)
    code: str = Field(default="", max_length=factors.CODE_CHARACTERS_MAX)


class Confirmed(BaseModel):
    """Shown once: codes that each stand for the device once, and the token of a new session."""

    recovery_codes: list[str]
    token: Token


@router.post("/password", response_model_exclude_none=True)
def change_password(
    request: Request, response: Response, subject: TheSubject, issuer: TheIssuer, archive: TheArchive,
    form: NewPassword,
) -> Token:  # fmt: skip
    """Choose another password. All sessions end; the answer is the first token of a new one."""
    user = _proven(request, subject, issuer, form.current, form.code)
    if form.new == form.current:
        raise SettingError("choose another password than the one of now")
    accounts.set_password(archive, user.name, form.new)
    return _begun(request, response, issuer, archive, user, cookie=form.cookie)


@router.get("/second-factor")
def second_factor(subject: TheSubject, archive: TheArchive) -> dict[str, bool]:
    """Whether it is asked for at sign-in."""
    return {"active": factors.is_active(archive, _user_of(subject))}


@router.post("/second-factor", status_code=201)
def enrol(
    request: Request,
    response: Response,
    subject: TheSubject,
    issuer: TheIssuer,
    archive: TheArchive,
    proof: Proof,
) -> dict[str, str]:
    """Begin: the secret for an authenticator app, as text, as otpauth URI and as a QR code in SVG. It is asked for once
    it was confirmed."""
    user = _proven(request, subject, issuer, proof.password, proof.code)
    response.headers["Cache-Control"] = "no-store"
    enrolment = factors.enrol(archive, user.name)
    return asdict(enrolment) | {"qr": drawn(enrolment.uri)}


@router.post("/second-factor/confirm", response_model_exclude_none=True)
def confirm(
    request: Request,
    response: Response,
    subject: TheSubject,
    issuer: TheIssuer,
    archive: TheArchive,
    form: Code,
) -> Confirmed:
    """Show by a code that the app has the secret. All sessions end; the answer has the first token of a new one."""
    name = _user_of(subject)
    codes = issuer.bounded(name, address(request), lambda: factors.confirm(archive, name, form.code))
    user = accounts.find_user(archive, name)
    if user is None:
        raise NotFound("there is no such user")
    return Confirmed(
        recovery_codes=codes, token=_begun(request, response, issuer, archive, user, cookie=form.cookie)
    )


@router.delete("/second-factor", status_code=204)
def remove(
    request: Request, subject: TheSubject, issuer: TheIssuer, archive: TheArchive, proof: Proof
) -> Response:
    """Do without it, where the role allows. All sessions end."""
    user = _proven(request, subject, issuer, proof.password, proof.code)
    if user.role in archive.settings.roles_with_second_factor:
        raise Forbidden("your role must have a second factor")
    factors.remove(archive, user.name)
    return Response(status_code=204)


@router.get("/sessions")
def my_sessions(subject: TheSubject, archive: TheArchive) -> list[dict[str, Any]]:
    """Where the user is signed in, the last one first."""
    found = sessions.of_user(archive, _user_of(subject))
    return [asdict(one) | {"current": one.id == subject.session} for one in found]


@router.delete("/sessions/{session_id}", status_code=204)
def end_session(subject: TheSubject, archive: TheArchive, session_id: int) -> Response:
    """Sign out there; known everywhere within five seconds."""
    if not 0 < session_id < 2**63 or not sessions.end(archive, _user_of(subject), session_id):
        raise NotFound("there is no such session")
    return Response(status_code=204)


def _user_of(subject: Subject) -> str:
    """API clients have no account."""
    if subject.is_client:
        raise Forbidden("this is for users")
    return subject.name


def _proven(request: Request, subject: Subject, issuer: TokenIssuer, password: str, code: str) -> User:
    """A token alone, as of an open browser, changes no credentials: the password is asked for again."""
    user = issuer.sign_in(_user_of(subject), password, address(request), code.strip())
    if user is None:
        raise Forbidden("the password or the code is not right")
    return user


def _begun(
    request: Request, response: Response, issuer: TokenIssuer, archive: Archive, user: User, *, cookie: bool
) -> Token:
    response.headers["Cache-Control"] = "no-store"
    wanted = Wanted.model_construct(cookie=cookie)
    return begun(request, response, issuer, archive, user, wanted)
