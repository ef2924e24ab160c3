#!/bin/sh
# Runs all tests but those marked `soak`, in three passes, from the cheapest to the dearest:
#
#   1. the pure tests, on all processors, with the coverage of the package: printed, with a floor (pyproject.toml)
#   2. the tests that need a server on loopback, two at a time, file by file
#   3. the tests that run the daemon, mail servers and browsers, or measure: one after the other
#
# With arguments (paths, or options of pytest) all that they choose runs in one pass, without coverage.
set -eu

PYTHON=${PYTHON:-python3}
WHOLE="tests/bench tests/fuzz tests/lab tests/mta tests/survival tests/wire tests/web" # folders of pass 3
CORE="spfmilter/policy/*,spfmilter/spf/*,spfmilter/reply/*,spfmilter/headers/*,spfmilter/message/*,spfmilter/session.py"

if [ $# -gt 0 ]; then
    exec "$PYTHON" -m pytest "$@"
fi

ignored=
for folder in $WHOLE; do
    ignored="$ignored --ignore=$folder"
done

echo "== pure tests"
mkdir -p .cache
"$PYTHON" -m pytest -q -n auto --maxprocesses=8 --dist worksteal -m 'not (outside or alone or soak)' --cov --cov-report=
"$PYTHON" -m coverage report --skip-covered --sort=cover > .cache/coverage.txt || floor=missed
tail -n 20 .cache/coverage.txt
"$PYTHON" -m coverage report --include="$CORE" --skip-covered --fail-under=99 # what decides is tested to the last lines
[ "${floor:-reached}" = reached ] # the floor of the whole package: [tool.coverage.report]
echo "== tests with servers on loopback"
# shellcheck disable=SC2086 # a list
"$PYTHON" -m pytest -q -n 2 --dist loadfile -m 'outside and not (alone or soak)' $ignored
echo "== tests of the whole, one after the other"
# shellcheck disable=SC2086
"$PYTHON" -m pytest -m 'outside and not soak' $WHOLE
"$PYTHON" -m pytest -q -m 'alone and not soak'
