#!/usr/bin/env bash
# Make the benchmark environment and run the benchmarks. Usage: scripts/bench.sh ARGUMENTS-OF-RUN.PY...
set -euo pipefail

python=$(scripts/find_python.sh python3.12 python3.13 python3.14) || {
    echo "make bench: needs Python 3.12 or later (marsys does), and found none in PATH or among pyenv's versions" >&2
    exit 1
}
scripts/venv.sh .venv/bench "$python" -e . -r benchmarks/requirements.txt
# marsys is installed without its 25 dependencies: the benchmarks load only its agents/registry.py.
.venv/bench/bin/python -c 'from importlib.metadata import version; version("marsys")' 2>/dev/null ||
    .venv/bench/bin/python -m pip install -qq --disable-pip-version-check --no-deps marsys==0.2.1
.venv/bench/bin/python benchmarks/run.py "$@"
