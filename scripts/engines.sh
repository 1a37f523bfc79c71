#!/usr/bin/env bash
# Install what the tests start by themselves, where it is missing: Redis, and the browser for the dashboard.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing+=(redis-server)
command -v chromium >/dev/null || missing+=(chromium)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    # policy-rc.d keeps apt from starting a service: the tests start servers of their own, on free ports
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >/dev/null || true
fi

for program in "${missing[@]}"; do
    command -v "$program" >/dev/null ||
        echo "$program is missing, so the tests that need it are skipped; on Debian, as root: apt-get install $program" >&2
done
