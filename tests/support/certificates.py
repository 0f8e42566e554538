"""Certificates of the tests, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256, as openssl prints it."""
        return openssl("x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256").stdout.strip()


def openssl(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=check, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def authority(folder: Path, name: str) -> Certificate:
    """A self-signed one; of a CA, or of a device that is its own."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", made.key, "-out", made.certificate,
            "-subj", f"/CN={name}", "-days", "2")  # fmt: skip
    return made


def signed(folder: Path, name: str, by: Certificate, *, days: int = 2) -> Certificate:
    """One that a CA signed; with negative days it has expired."""
    made, request = Certificate(folder / f"{name}.pem", folder / f"{name}.key"), folder / f"{name}.csr"
    extensions = folder / f"{name}.ext"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-keyout", made.key, "-out", request, "-subj", f"/CN={name}"
    )
    openssl("x509", "-req", "-in", request, "-CA", by.certificate, "-CAkey", by.key, "-CAcreateserial",
            "-extfile", extensions, "-days", str(days), "-out", made.certificate)  # fmt: skip
    return made
