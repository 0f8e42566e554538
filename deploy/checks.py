"""The parts of `make check` that no linter does: migrations match the tables, licences allow what we do."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from storage.database import Database
from storage.embedded import EmbeddedDatabase
from storage.migrate import differences, upgrade

ROOT = Path(__file__).resolve().parents[1]
# Copyleft that reaches into what imports it; LGPL libraries are imported unchanged, which it allows.
FORBIDDEN = re.compile(r"(?<![L])\b(A?GPL|AFFERO|GNU GENERAL|SSPL|BUSL)", re.IGNORECASE)
_NAME = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)


def migration_findings() -> Iterator[str]:
    """What the tables have and the migrations do not make, or the other way round."""
    with tempfile.TemporaryDirectory(prefix="ty-", dir="/tmp") as folder:  # short: the socket is in it
        Path(folder).chmod(0o755)
        embedded = EmbeddedDatabase(Path(folder) / "postgres")
        try:
            database = Database(embedded.url)
            upgrade(database)
            yield from (f"migrations: {line}" for line in differences(database))
            database.close()
        finally:
            embedded.stop()


def licence_findings() -> Iterator[str]:
    """Packages that the server runs on, Python's and the browser's, whose licence we cannot ship under."""
    for name in _NAME.findall((ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")):
        try:
            licence = _licence(importlib.metadata.metadata(name))
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        if FORBIDDEN.search(licence):
            yield f"licence of {name}: {licence[:80]}"
    lock = ROOT / "web_viewer" / "package-lock.json"
    for path, package in json.loads(lock.read_text(encoding="utf-8"))["packages"].items():
        licence = str(package.get("license", ""))
        if path and not package.get("dev") and FORBIDDEN.search(licence):
            yield f"licence of {path}: {licence}"


def _licence(metadata: importlib.metadata.PackageMetadata) -> str:
    """The expression, else the classifiers, else the free text."""
    known = metadata.json
    if expression := known.get("license_expression"):
        return str(expression)
    classifiers = [c for c in known.get("classifier", ()) if c.startswith("License ::")]
    return " ".join(classifiers) or str(known.get("license", "")).partition("\n")[0]


def main() -> int:
    """0 if all is well; else prints what is not."""
    findings = [*licence_findings(), *migration_findings()]
    for line in findings:
        print(line)
    print(f"migrations and licences: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
