"""Many clients at once, as `wrk` plays them: one thread of C, whose own work hides little of a server's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from bench.peers import Web

WRK = "wrk"
_ASKING = """local paths, at = {%s}, 0
request = function()
  at = at %% #paths + 1
  return wrk.format("GET", paths[at])
end
"""


def can_crowd() -> bool:
    """Whether `wrk` is installed."""
    return shutil.which(WRK) is not None


def answers_a_second(
    web: Web, paths: list[str], accept: str, folder: Path, *, clients: int, seconds: int
) -> float:
    """That `clients` get who ask all the time, each for one path after the other on a connection of its own. Raises
    OSError where an answer is not 2xx, or a connection breaks."""
    script = folder / "crowd.lua"
    quoted = ", ".join(json.dumps(web.prefix + path) for path in paths)
    script.write_text(_ASKING % quoted)
    headers = {**web.headers, "Accept": accept}
    command = [WRK, "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s"]
    command += ["--script", str(script)]
    command += [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{web.port}/"],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    ).stdout
    rate = re.search(r"Requests/sec:\s*([\d.]+)", said)
    if rate is None or "Non-2xx" in said or "Socket errors" in said:
        raise OSError(f"{WRK}: {said}")
    return float(rate[1])
