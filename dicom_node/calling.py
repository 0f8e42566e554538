"""Calling a remote: the one place where a registration becomes an association."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from dicom_node.requestor import Context, Requestor
from storage.remotes import Remote


def connect(remote: Remote, calling: str, contexts: Sequence[Context], *, connect_seconds: float = 10,
            idle_seconds: float = 60) -> Requestor:  # fmt: skip
    """An association with a remote, over TLS if it is registered so; raises as `Requestor` does."""
    return Requestor(
        calling=calling, called=remote.ae_title, host=remote.host, port=remote.port or 0, contexts=contexts,
        tls=tls_of(remote), connect_seconds=connect_seconds, idle_seconds=idle_seconds,
    )  # fmt: skip


def tls_of(remote: Remote) -> ssl.SSLContext | None:
    """For a remote that is called over TLS: its certificate must be trusted by this machine, and bear its host."""
    return ssl.create_default_context() if remote.tls else None
