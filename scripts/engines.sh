#!/usr/bin/env bash
# Install the servers that the tests start by themselves, where they are missing: Redis.
set -euo pipefail

if command -v redis-server >/dev/null || command -v valkey-server >/dev/null; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing redis-server" >&2
    export DEBIAN_FRONTEND=noninteractive
    # policy-rc.d keeps apt from starting a service: the tests start servers of their own, on free ports
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    { apt-get update && apt-get install --yes --no-install-recommends redis-server; } >/dev/null || true
fi

command -v redis-server >/dev/null ||
    echo "redis-server is missing, so the tests that need it are skipped; on Debian, as root: apt-get install redis-server" >&2
