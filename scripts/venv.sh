#!/usr/bin/env bash
# Make a virtual environment; do nothing when the one there was made from the same things.
# Usage: scripts/venv.sh FOLDER PYTHON ARGUMENTS-OF-PIP-INSTALL...
set -euo pipefail
folder=$1 python=$2
shift 2

fail() { echo "scripts/venv.sh: $*" >&2; exit 1; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    fail "'$python' does not run or is older than Python 3.10; name another, as in: make test PYTHON=python3.11"

ingredients() {
    printf '%s\n' "$PWD" "$@"
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
    grep '^__version__' agentreg/__init__.py || true
    cat pyproject.toml
    for argument; do if [ -f "$argument" ]; then cat "$argument"; fi; done
}

mkdir -p "$(dirname "$folder")"
if command -v flock >/dev/null; then # two targets at once: the second waits for the first
    exec 9>"$folder.lock"
    flock 9
fi

stamp=$folder/.stamp
wanted=$(ingredients "$@" | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

# Debian keeps what `python -m venv` needs in a package of its own.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $package" >&2
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update && apt-get install --yes --no-install-recommends "$package"; } >/dev/null || true
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "'$python' can't make virtual environments; on Debian, as root: apt-get install $package"
fi

echo "Making $folder with $("$python" --version)" >&2
rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install -qq --disable-pip-version-check --prefer-binary "$@"
echo "$wanted" >"$stamp"
