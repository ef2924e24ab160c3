#!/bin/sh
# Makes .cache/fuzz/sanitized: a virtual environment with spfmilter and a pymilter whose C code is watched by
# AddressSanitizer and UndefinedBehaviorSanitizer; and .cache/fuzz/libmilter: libmilter, built likewise from Debian's
# source package, with the switches of Debian's own build. `make fuzz` runs the daemon with both.
#
# Needs gcc with its sanitizers, and for libmilter dpkg-dev and a mirror that has source packages; where they are
# missing, says so. Exit codes: 0; 69 where there are no sanitizers at all.
set -eu

PYTHON=${PYTHON:-python3}
cd "$(dirname "$0")/.."
VENV=.cache/fuzz/sanitized
LIBMILTER=$PWD/.cache/fuzz/libmilter
# Recover: one run tells of several faults, and of a known one that has no effect it does not end.
FLAGS="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fsanitize-recover=all"

have_sanitizers() {
    trial=$(mktemp -d)
    echo 'int main(void) { return 0; }' >"$trial/a.c"
    # shellcheck disable=SC2086
    gcc $FLAGS "$trial/a.c" -o "$trial/a" 2>/dev/null && "$trial/a"
    found=$?
    rm -rf "$trial"
    return $found
}

# Debian's machines know binary packages only, mostly: the same sources, asked for source packages, in lists of our own.
fetch_source() {
    mkdir -p lists/partial parts
    for file in /etc/apt/sources.list.d/*.sources; do
        [ ! -e "$file" ] || sed 's/^Types: .*/Types: deb-src/' "$file" >"parts/$(basename "$file")"
    done
    if [ -e /etc/apt/sources.list ]; then
        sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >parts/own.list
    fi
    own="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$PWD/parts -o Dir::State::Lists=$PWD/lists"
    # shellcheck disable=SC2086
    apt-get -qq $own update 2>/dev/null || true # a source without deb-src is no reason to have none
    # shellcheck disable=SC2086
    apt-get -qq $own source sendmail 2>/dev/null
}

build_libmilter() {
    work=$(mktemp -d)
    (
        cd "$work"
        fetch_source || exit 1
        cd sendmail-*/ || exit 1
        cp libsm/errstring.c libsm/strl.c libmilter/
        cp include/sm/os/sm_os_linux.h libmilter/sm_os.h
        rm libmilter/example.c
        mkdir -p "$LIBMILTER"
        # shellcheck disable=SC2086
        gcc $FLAGS -w -fPIC -shared -pthread -Wl,-soname,libmilter.so.1.0.1 -Iinclude -Isendmail -Ilibmilter \
            -DNOT_SENDMAIL -Dsm_snprintf=snprintf -D_FFR_WORKERS_POOL=1 -DSM_CONF_POLL=1 -DNETINET6 \
            -D_FFR_MILTER_ROOT_UNSAFE -DXP_MT -D_REENTRANT libmilter/*.c -lresolv -o "$LIBMILTER/libmilter.so.1.0.1"
    )
    built=$?
    rm -rf "$work"
    return $built
}

if ! have_sanitizers; then
    echo "tools/sanitize.sh: gcc has no sanitizers here (Debian: libgcc-12-dev has them); the C code is not watched" >&2
    exit 69
fi
if [ ! -e "$LIBMILTER/libmilter.so.1.0.1" ]; then
    if ! command -v dpkg-source >/dev/null || ! (build_libmilter); then
        rm -rf "$LIBMILTER"
        echo "tools/sanitize.sh: libmilter cannot be built here (needs dpkg-dev and source packages); pymilter alone is watched" >&2
    fi
fi
if [ ! -e "$VENV/.made" ] || [ pyproject.toml -nt "$VENV/.made" ]; then
    rm -rf "$VENV"
    "$PYTHON" -m venv "$VENV"
    # No cache: else this build of pymilter would be in the next environment that asks pip for one.
    CFLAGS=$FLAGS LDFLAGS=-fsanitize=address,undefined "$VENV/bin/pip" install --quiet --no-cache-dir \
        --no-binary pymilter --editable '.[redis]'
    touch "$VENV/.made"
fi
