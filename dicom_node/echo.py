"""C-ECHO to remotes: for the command line, and for who asks by a row (`storage.echoes`)."""

from __future__ import annotations

import time

from dicom_node.calling import connect
from dicom_node.requestor import Context, PeerError
from dicom_node.syntaxes import IMPLICIT, VERIFICATION
from pacs.errors import NotAcceptable
from pacs.settings import Settings
from storage import echoes
from storage.archive import Archive
from storage.remotes import Remote

ECHO_SECONDS = 5


def echo(settings: Settings, remote: Remote) -> int:
    """Ask it; in how many milliseconds it answered, with the association. Raises PeerError, NotAcceptable."""
    began = time.monotonic()
    contexts = [Context(VERIFICATION, (IMPLICIT,))]
    with connect(settings, remote, settings.ae_title, contexts,
                 connect_seconds=ECHO_SECONDS, idle_seconds=ECHO_SECONDS) as peer:  # fmt: skip
        answer = peer.echo()
    if answer.status:
        raise NotAcceptable(f"it answered with status {answer.status:04X}")
    return round(1000 * (time.monotonic() - began))


class Echoes:
    """A job of the exchange."""

    name = "echoes"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def step(self) -> bool:
        """Ask those that somebody waits for, one after the other."""
        asked = echoes.asked(self._archive)
        for remote in asked:
            try:
                milliseconds, error = echo(self._archive.settings, remote), ""
            except (PeerError, NotAcceptable) as failed:
                milliseconds, error = None, str(failed)
            echoes.answer(self._archive, remote, milliseconds, error)
        return bool(asked)
