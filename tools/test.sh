#!/bin/sh
# Runs all tests but those marked `soak`, in three passes:
#
#   1. the pure tests, on all processors, with the coverage of the package: printed, with a floor (pyproject.toml)
#   2. the tests that need a server: the daemon, name and mail servers, a browser. They mostly wait, so two more than there
#      are processors runs at a time, file by file, the longest files first
#   3. the tests that measure, one after the other
#
# With arguments (paths, or options of pytest) all that they choose runs in one pass, without coverage.
set -eu

PYTHON=${PYTHON:-python3}
LONGEST="tests/survival tests/mta" # folders
CORE="spfmilter/policy/*,spfmilter/spf/*,spfmilter/reply/*,spfmilter/headers/*,spfmilter/message/*,spfmilter/session.py"

if [ $# -gt 0 ]; then
    exec "$PYTHON" -m pytest "$@"
fi

rest=
for path in tests/[a-z]*/ tests/test_*.py; do
    case " $LONGEST " in *" ${path%/} "*) ;; *) rest="$rest $path" ;; esac
done

echo "== pure tests"
mkdir -p .cache
"$PYTHON" -m pytest -q -n auto --maxprocesses=8 --dist worksteal -m 'not (outside or alone or soak)' --cov --cov-report=
"$PYTHON" -m coverage report --skip-covered --sort=cover > .cache/uncovered.txt || floor=missed
tail -n 20 .cache/uncovered.txt
"$PYTHON" -m coverage report --include="$CORE" --skip-covered --fail-under=99 # what decides is tested to the last lines
[ "${floor:-reached}" = reached ] # the floor of the whole package: [tool.coverage.report]
echo "== tests with servers"
# shellcheck disable=SC2086 # lists
"$PYTHON" -m pytest -q -n $(($(nproc) + 2)) --maxprocesses=8 --dist loadfile --no-loadscope-reorder --durations=25 \
    -m 'outside and not (alone or soak)' $LONGEST $rest
echo "== tests that measure, one after the other"
"$PYTHON" -m pytest -q -m 'alone and not soak'
