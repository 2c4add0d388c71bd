#!/bin/sh
# Install the Debian packages of the named groups (run, test, lint, fuzz, cases) that are missing.
set -eu

run="gcc libc6-dev make libev-dev liburing-dev node-llhttp libinih-dev libjansson-dev
    nettle-dev libhiredis-dev libpq-dev libwslay-dev gnuplot-nox python3 python3-jinja2 python3-matplotlib python3-numpy python3-scipy"
test="$run libcriterion-dev curl wrk nghttp2-client apache2-utils apache2-bin nginx-light redis-server redis-tools
    postgresql chromium python3-websockets"
lint="clang-format cppcheck python3 shellcheck"
fuzz="clang libclang-rt-14-dev"
cases="redis-server postgresql" # what the case studies call

missing=""
for group in "${@:-run}"; do
    case $group in
    run) packages=$run ;;
    test) packages=$test ;;
    lint) packages=$lint ;;
    fuzz) packages=$fuzz ;;
    cases) packages=$cases ;;
    *) echo "deps.sh: the groups are run, test, lint, fuzz and cases" >&2 && exit 2 ;;
    esac
    for package in $packages; do
        dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
            case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
    done
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "These packages are missing; install them and try again:" >&2
    echo "  sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing$missing"
# RUNLEVEL=1: installing nginx, Redis or PostgreSQL must not start it.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
log=$(mktemp)
# shellcheck disable=SC2086 # a list of words
if ! { apt-get -q update && apt-get -qy install --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "deps.sh: apt-get failed; its whole output is in $log" >&2
    exit 1
fi
rm -f "$log"
