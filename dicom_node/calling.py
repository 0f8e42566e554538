"""Calling a remote: the one place where a registration becomes an association."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from typing import Any

from dicom_node.requestor import Context, PeerAway, Requestor
from dicom_node.tls import CIPHERS, PARTIAL_CHAIN
from pacs.settings import Settings
from storage.remotes import Remote


def connect(settings: Settings, remote: Remote, calling: str, contexts: Sequence[Context], *,
            connect_seconds: float = 10, idle_seconds: float = 60) -> Requestor:  # fmt: skip
    """An association with a remote, over TLS if it is registered so; raises as `Requestor` does."""
    return Requestor(
        calling=calling, called=remote.ae_title, host=remote.host, port=remote.port or 0, contexts=contexts,
        tls=tls_of(settings, remote), connect_seconds=connect_seconds, idle_seconds=idle_seconds,
    )  # fmt: skip


def tls_of(settings: Settings, remote: Remote) -> ssl.SSLContext | None:
    """For a remote that is called over TLS. It must show the certificate that is registered for it, or one that
    bears its host and that its registered CA, else this machine, believes. Ours is shown where we have one.
    Raises PeerAway."""
    if not remote.tls:
        return None
    context = Pinned(remote.certificate) if remote.certificate else _believing(remote.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    if settings.dicom_tls_certificate:
        certificate, key = settings.dicom_tls_certificate, settings.dicom_tls_key or None
        try:
            context.load_cert_chain(certificate, key, password=lambda: "")
        except OSError as error:
            raise PeerAway(f"our own certificate cannot be used ({type(error).__name__})") from None
    return context


def _believing(ca: str) -> ssl.SSLContext:
    """`ca` may be the remote's own certificate, too."""
    if not ca:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise PeerAway(f"its registered CA cannot be used ({type(error).__name__})") from None
    context.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN)
    return context


class Pinned(ssl.SSLContext):
    """Believes one certificate, whoever signed it and whatever name and dates it bears."""

    fingerprint: str

    def __new__(cls, fingerprint: str) -> Pinned:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made.fingerprint = fingerprint
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        return made

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Nothing of ours but a handshake has been sent when another certificate is found out."""
        made = super().wrap_socket(*arguments, **options)
        shown = made.getpeercert(binary_form=True) or b""
        if hashlib.sha256(shown).hexdigest() != self.fingerprint:
            made.close()
            raise ssl.SSLCertVerificationError(1, "it is another one than is registered")
        return made
