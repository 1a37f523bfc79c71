#!/usr/bin/env bash
# Run the tests on every supported interpreter that is found, then print a table. One that is missing is no failure.
# Usage: scripts/test_all.sh ARGUMENTS-OF-PYTEST...; VERSIONS="3.10 3.14t" chooses among the interpreters.
set -uo pipefail
versions=${VERSIONS:-3.10 3.11 3.12 3.13 3.14 3.13t 3.14t}

table=""
status=0
for version in $versions; do
    result="not found" seconds="-"
    if python=$(scripts/find_python.sh "python$version"); then
        echo "== python$version"
        environment=.venv/test-$version
        start=$SECONDS
        if scripts/venv.sh "$environment" "$python" -e '.[all,test]' && "$environment/bin/pytest" -n auto "$@"; then
            result="passed"
        else
            result="FAILED" status=1
        fi
        seconds=$((SECONDS - start))
    fi
    table+=$(printf '%-12s  %-9s  %7s' "python$version" "$result" "$seconds")$'\n'
done

printf '\n%-12s  %-9s  %7s\n%s' interpreter result seconds "$table"
exit $status
