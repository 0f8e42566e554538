"""`python -m deploy.health api|node|worker`: the container's health check; 0 if that part answers.

Only the standard library, since it runs every few seconds.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Callable

SECONDS = 5
WORKER_SECONDS = 15
IMPLICIT, VERIFICATION, APPLICATION = "1.2.840.10008.1.2", "1.2.840.10008.1.1", "1.2.840.10008.3.1.1.1"
IMPLEMENTATION = "1.2.826.0.1.3680043.10.1561.1"  # pacs.encoded.IMPLEMENTATION_CLASS_UID
PDU_BYTES = 16384


def api() -> bool:
    """The HTTP server answers."""
    port = os.environ.get("TONGYING_HTTP_PORT", "8080")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=SECONDS) as answer:
        return bool(answer.status == 200)


def node() -> bool:
    """The DICOM node accepts an association; then it is released. A port that is merely open is not enough."""
    port = int(os.environ.get("TONGYING_DICOM_PORT", "11112"))
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(associate_request(os.environ.get("TONGYING_AE_TITLE", "TONGYING")))
        accepted = connection.recv(PDU_BYTES)[:1] == b"\x02"  # A-ASSOCIATE-AC
        connection.sendall(struct.pack(">BBII", 5, 0, 4, 0))  # A-RELEASE-RQ
        connection.recv(PDU_BYTES)
    return accepted


def worker() -> bool:
    """This container's Celery worker answers over the broker. It is process 1, hence its name."""
    name = f"worker-1@{socket.gethostname()}"
    command = ["celery", "--app", "worker.app", "inspect", "ping", "--timeout", "5", "--destination", name]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, timeout=WORKER_SECONDS, check=False
    )
    return done.returncode == 0


def associate_request(called: str) -> bytes:
    """A-ASSOCIATE-RQ for Verification in Implicit VR Little Endian (PS3.8 9.3.2)."""
    context = bytes([1, 0, 0, 0]) + _item(0x30, VERIFICATION.encode()) + _item(0x40, IMPLICIT.encode())
    user = _item(0x51, struct.pack(">I", PDU_BYTES)) + _item(0x52, IMPLEMENTATION.encode())
    items = _item(0x10, APPLICATION.encode()) + _item(0x20, context) + _item(0x50, user)
    titles = called.encode().ljust(16) + b"HEALTH".ljust(16)
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + items
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


PARTS: dict[str, Callable[[], bool]] = {"api": api, "node": node, "worker": worker}


def main(arguments: list[str]) -> int:
    """Exit status 0 if healthy."""
    try:
        return 0 if PARTS[arguments[0]]() else 1
    except (OSError, subprocess.TimeoutExpired) as error:
        print(type(error).__name__, file=sys.stderr)
        return 1
    except (IndexError, KeyError):
        print(f"usage: python -m deploy.health {'|'.join(PARTS)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
