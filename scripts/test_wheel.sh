#!/usr/bin/env bash
# Build the wheel, check that it works with nothing but its dependencies, then run the tests against it in a copy of
# the project that lacks the package, so that only the wheel can be imported.
# Usage: scripts/test_wheel.sh ENVIRONMENT-WITH-BUILD PYTHON ARGUMENTS-OF-PYTEST...
set -euo pipefail
builder=$1 python=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$builder/bin/python" -m build --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
wheel=$(echo "$work"/dist/*.whl)
scripts/venv.sh "$work/env" "$python" "$wheel"
mkdir "$work/project"
tar --exclude=./agentreg --exclude=./.git --exclude=./.venv --exclude=./mutants -cf - . | tar -xf - -C "$work/project"

cd "$work/project"
../env/bin/python - <<'PYTHON'
import sys
from importlib.metadata import distributions
from pathlib import Path

import agentreg

installed = {d.metadata["Name"].replace("_", "-") for d in distributions()} - {"pip", "setuptools"}
folder = Path(agentreg.__file__).parent
assert installed == {"agentreg", "typing-extensions"}, f"installed with the wheel: {sorted(installed)}"
assert folder.is_relative_to(sys.prefix), f"agentreg was imported from {folder}, not from the wheel"
assert (folder / "py.typed").is_file(), "the wheel lacks py.typed"
PYTHON
../env/bin/agentreg --version
../env/bin/python -m agentreg --help >/dev/null
echo "$(basename "$wheel") works alone; now the tests"

../env/bin/python -m pip install -qq --disable-pip-version-check --prefer-binary "${wheel}[all,test]"
../env/bin/pytest -n auto "$@"
