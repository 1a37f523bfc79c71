#!/usr/bin/env bash
# Try real agents of other frameworks, in two environments: crewai needs packages that the others can't live with.
# Usage: scripts/test_frameworks.sh ARGUMENTS-OF-PYTEST...
set -uo pipefail

python=$(scripts/find_python.sh python3.12 python3.13 python3.11) || {
    echo "make test-frameworks: needs Python 3.11, 3.12 or 3.13 (the frameworks do), and found none in PATH or among" \
        "pyenv's versions" >&2
    exit 1
}
folder=tests/frameworks
chosen=$#
status=0

try() { # ENVIRONMENT REQUIREMENTS ARGUMENTS-OF-PYTEST...
    local environment=$1 requirements=$2 result=0
    shift 2
    echo "== $requirements"
    scripts/venv.sh "$environment" "$python" -e '.[test]' -r "$requirements" &&
        "$environment/bin/pytest" "$@" || result=$?
    # 5: the arguments that were given, -k for one, choose no test of this environment
    if [ $result = 5 ] && [ $chosen != 0 ]; then result=0; fi
    if [ $result != 0 ]; then status=1; fi
}

# A test file that names no environment runs in the first: none is left out, and a missing framework is an error.
try .venv/frameworks $folder/requirements.txt $folder --ignore=$folder/test_crewai.py "$@"
try .venv/frameworks-crewai $folder/requirements-crewai.txt $folder/test_crewai.py "$@"
exit $status
