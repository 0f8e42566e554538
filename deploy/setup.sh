#!/bin/sh
# Makes .venv from the pinned, hashed requirements. Needs Python >= 3.11 and nothing else;
# Debian ships Python without its venv module, so that one package is installed when it is missing.
set -eu
kind=${1:-run}
cd "$(dirname "$0")/.."
if [ "$kind" = run ] && [ -f .venv/.ready-dev ]; then kind=dev; fi # it holds the running set: nothing is taken away
stamp=.venv/.ready-$kind
wanted=$(cat requirements/bootstrap.txt requirements/"$kind".txt pyproject.toml | sha256sum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Tongying needs Python 3.11 or newer; set PYTHON to one." >&2; exit 1; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "Installing Debian's python3-venv, which this Python lacks."
    { as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends python3-venv; } || {
        echo "Please install it first: sudo apt-get install python3-venv" >&2; exit 1; }
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
# Compiled once, here: else a host that forbids Python to write bytecode compiles a thousand files at every start.
.venv/bin/uv pip sync -q --compile-bytecode --python .venv/bin/python --require-hashes requirements/"$kind".txt
.venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
rm -f .venv/.ready-*
echo "$wanted" > "$stamp"
# The development set holds the running set.
[ "$kind" = dev ] && cat requirements/bootstrap.txt requirements/run.txt pyproject.toml | sha256sum > .venv/.ready-run
exit 0
