"""Seals: what we must know to sign in elsewhere is encrypted with a key that is not in the database, so that whoever
has its backup alone has nothing.

The key is TONGYING_SECRET_KEY, or a file under the data directory that is made once. Nodes that read the same secrets
need the same one. A seal is bound to what it is for: moved to another row it does not open.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pacs.errors import SettingError
from pacs.settings import Settings

PREFIX = "sealed:1:"  # AES-256-GCM: nonce, ciphertext and tag in Base64
KEY_FILE, KEY_FILE_BEFORE = "secret.key", "secret.key.before"
NONCE_BYTES, KEY_BYTES = 12, 32


class WrongKey(SettingError):
    """It was sealed with another key, or for another purpose."""


def seal(settings: Settings, plain: str, purpose: str) -> str:
    """Encrypted; what is empty stays empty. Raises SettingError where the key file cannot be used."""
    if not plain:
        return ""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(_key(settings)).encrypt(nonce, plain.encode(), purpose.encode())
    return PREFIX + base64.b64encode(nonce + sealed).decode()


def unseal(settings: Settings, sealed: str, purpose: str) -> str:
    """The reverse of `seal`; what is not sealed yet is given back as it is. Raises WrongKey."""
    if not is_sealed(sealed):
        return sealed
    for key in _keys(settings):
        with contextlib.suppress(InvalidTag, ValueError):
            data = base64.b64decode(sealed.removeprefix(PREFIX), validate=True)
            return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose.encode()).decode()
    raise WrongKey("it was sealed with another TONGYING_SECRET_KEY")


def reseal(settings: Settings, sealed: str, purpose: str) -> str:
    """The same under the key of now. Raises WrongKey."""
    return seal(settings, unseal(settings, sealed, purpose), purpose)


def rotate_key_file(settings: Settings) -> None:
    """A new key in the file; what was sealed with the one before it is opened still. Raises SettingError where the key
    is set by TONGYING_SECRET_KEY."""
    if settings.secret_key:
        raise SettingError("set the new TONGYING_SECRET_KEY, and the old one as TONGYING_SECRET_KEY_BEFORE")
    _key(settings)  # it is there, and it is a key
    path = settings.data / KEY_FILE
    new = path.with_name(f"{KEY_FILE}.new")
    new.unlink(missing_ok=True)
    _make(new)
    before = path.with_name(KEY_FILE_BEFORE)
    before.unlink(missing_ok=True)
    os.link(path, before)
    new.replace(path)  # whoever seals reads the file each time


def is_sealed(text: str) -> bool:
    return text.startswith(PREFIX)


def _keys(settings: Settings) -> Iterator[bytes]:
    """The key of now, then the one before it."""
    yield _key(settings)
    if settings.secret_key_before:
        yield hashlib.sha256(settings.secret_key_before.encode()).digest()
    if not settings.secret_key:
        with contextlib.suppress(OSError, ValueError):
            yield base64.b64decode(
                (settings.data / KEY_FILE_BEFORE).read_text(encoding="ascii"), validate=True
            )


def _key(settings: Settings) -> bytes:
    if settings.secret_key:
        return hashlib.sha256(settings.secret_key.encode()).digest()
    return _of_file(settings)


def _of_file(settings: Settings) -> bytes:
    path = settings.data / KEY_FILE
    try:
        with contextlib.suppress(FileExistsError):
            _make(path)
        key = base64.b64decode(path.read_text(encoding="ascii"), validate=True)
        if len(key) != KEY_BYTES:
            raise ValueError("another length")
        return key
    except (OSError, ValueError) as error:
        raise SettingError(f"the key file {path} cannot be used ({type(error).__name__})") from None


def _make(path: Path) -> None:
    """Whole or not at all, readable by its owner alone; the first of several wins."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)))
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)
