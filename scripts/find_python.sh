#!/usr/bin/env bash
# Print the first of the named interpreters that is found, in PATH or else among pyenv's versions, and that runs.
# Usage: scripts/find_python.sh python3.12 python3.13; exit code 1 when there is none.
set -uo pipefail

candidates() {
    type -ap "$1"
    printf '%s\n' "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/*/bin/"$1" | sort --version-sort --reverse
}

for name; do
    while read -r candidate; do
        # A pyenv shim may stand in PATH for a version that is switched off: it fails when run.
        if "$candidate" -c '' >/dev/null 2>&1 </dev/null; then
            echo "$candidate"
            exit 0
        fi
    done < <(candidates "$name")
done
exit 1
