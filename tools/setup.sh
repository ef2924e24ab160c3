#!/bin/sh
# Installs from Debian's (or a sister's) packages what this machine lacks:
#
#   tools/setup.sh build    what pip needs to build pymilter: compiler, Python headers, libmilter, venv
#   tools/setup.sh mta      what the demo needs: Postfix and NSD, as commands, not as services
#   tools/setup.sh lab      what the tests need beside: OpenDMARC, Redis, PostgreSQL and Unbound, likewise, and groff; Pigeonhole's
#                           sieve-test and SpamAssassin, which read header fields; promtool of Prometheus; ip(8); and
#                           Sendmail, unpacked into .cache/sendmail
#   tools/setup.sh peers    what the benchmarks compare with: pyspf-milter
#   tools/setup.sh web      what the tests of the help page need: Chromium, and fonts that have Chinese
#   tools/setup.sh systemd  what the tests of the unit file need: systemd-analyze and systemd-sysusers, as commands
#   tools/setup.sh packages what builds and tests the packages: git, bare Debian roots (mmdebstrap), a systemd that boots in them
#
# Does nothing, and quickly, where nothing is missing. PYTHON names the interpreter that the virtual environment is made
# from. Exit codes as in sysexits.h: 64 for a wrong call, 69 where something is missing that cannot be installed from here.
set -eu

PYTHON=${PYTHON:-python3}
PATH=$PATH:/usr/sbin:/sbin # where the servers are, but not on every user's PATH
SENDMAIL=$(dirname "$0")/../.cache/sendmail # where lab/sendmail.py looks for it

have() {
    command -v "$1" >/dev/null 2>&1
}

# The packages for the chosen interpreter; it may be another than Debian's own, which no package can complete.
python_packages() {
    if ! have "$PYTHON"; then
        if [ "$PYTHON" = python3 ]; then
            echo python3 python3-dev python3-venv
            return
        fi
        echo "tools/setup.sh: there is no $PYTHON on this machine" >&2
        exit 69
    fi
    "$PYTHON" - <<'PROBE'
import importlib.util
import os.path
import sys
import sysconfig

# Debian keeps the headers, and the pip that a new virtual environment gets, in packages apart.
version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
missing = []
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    missing.append(f"{version}-dev")
if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
    missing.append(f"{version}-venv")
if missing and sys.base_prefix != "/usr":
    sys.exit(f"tools/setup.sh: {sys.executable} is no Debian package and lacks what {' and '.join(missing)} would hold")
print(*missing)
PROBE
}

# The packages of a group that are missing here.
missing_for() {
    case $1 in
    build)
        have gcc || echo gcc libc6-dev
        [ -e /usr/include/libmilter/mfapi.h ] || [ -e /usr/local/include/libmilter/mfapi.h ] || echo libmilter-dev
        python_packages
        ;;
    mta)
        have postfix || echo postfix
        have nsd || echo nsd
        ;;
    lab)
        have opendmarc || echo opendmarc
        # opendmarc wants a helper for databases, whose default brings a MariaDB client; but one that is here stays.
        have opendmarc || [ -d /usr/share/dbconfig-common ] || echo dbconfig-no-thanks
        have redis-server || have valkey-server || echo redis-server
        ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || have postgres || echo postgresql
        have groff || echo groff-base
        have sieve-test || echo dovecot-sieve
        have spamassassin || echo spamassassin
        have unbound || echo unbound
        have promtool || echo prometheus
        have ip || echo iproute2
        ;;
    web)
        have chromium || echo chromium
        [ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ] || echo fonts-noto-cjk
        [ -e /usr/share/fonts/truetype/noto/NotoSerif-Bold.ttf ] || echo fonts-noto-core
        ;;
    systemd)
        have systemd-analyze && have systemd-sysusers || echo systemd
        ;;
    packages)
        have podman || echo podman
        have runc || echo runc
        have git || echo git
        have mmdebstrap || echo mmdebstrap
        [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
        have systemd-nspawn || echo systemd-container
        have newuidmap || echo uidmap
        have unshare && have nsenter || echo util-linux
        have ip || echo iproute2
        have rpmbuild || echo rpm
        have rpmlint || echo rpmlint
        have nix-instantiate || echo nix-bin
        ;;
    peers)
        have pyspf-milter || echo pyspf-milter
        ;;
    esac
}

# Sets AS_ROOT to what runs a command as root: nothing or sudo. Fails if there is neither.
find_root() {
    if [ "$(id -u)" = 0 ]; then
        AS_ROOT=
    elif have sudo && sudo true; then
        AS_ROOT=sudo
    else
        return 1
    fi
}

# A Debian package starts its service as soon as it is installed, unless policy-rc.d says 101, "forbidden by policy".
# This is for the duration of the install only, and an administrator's own policy-rc.d stays untouched.
forbid_services() {
    [ -e /usr/sbin/policy-rc.d ] && return
    trap 'allow_services' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' | $AS_ROOT tee /usr/sbin/policy-rc.d >/dev/null
    $AS_ROOT chmod 755 /usr/sbin/policy-rc.d
}

allow_services() {
    $AS_ROOT rm -f /usr/sbin/policy-rc.d
}

install_packages() {
    for package in "$@"; do
        have debconf-set-selections || break
        case $package in
        # "No configuration" leaves /etc/postfix without a main.cf: the lab's own instances bring theirs.
        postfix) echo "postfix postfix/main_mailer_type select No configuration" ;;
        # No database: the lab's own instances report nothing.
        opendmarc) echo "opendmarc opendmarc/dbconfig-install boolean false" ;;
        esac | $AS_ROOT debconf-set-selections
    done
    forbid_services
    $AS_ROOT env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    $AS_ROOT env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@"
    for service in postfix nsd opendmarc redis-server unbound prometheus pyspf-milter dovecot postgresql; do
        # Not started now, they would be at the next boot: a developer's machine is not to become a mail server by this.
        case " $* " in
        *" $service "* | *" $service-"*) if have systemctl; then $AS_ROOT systemctl --quiet disable "$service" || true; fi ;;
        esac
    done
}

# Sendmail's package conflicts with Postfix's, since a machine has one MTA of its own: so it is not installed, but its
# files are put into a folder, and what they need is installed.
unpack_sendmail() {
    $AS_ROOT env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    libraries=$(apt-cache depends sendmail-bin | sed -n 's/^ *Depends: \(lib[^<]*\)$/\1/p')
    # shellcheck disable=SC2086
    $AS_ROOT env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends --no-upgrade install \
        m4 openssl libsasl2-modules $libraries
    rm -rf "$SENDMAIL.new"
    mkdir -p "$SENDMAIL.new"
    (
        cd "$SENDMAIL.new"
        apt-get -qq download sendmail-bin sendmail-cf
        for package in *.deb; do
            dpkg -x "$package" .
        done
        rm -f -- *.deb
    )
    rm -rf "$SENDMAIL"
    mv "$SENDMAIL.new" "$SENDMAIL"
}

lacks_sendmail() {
    case " $* " in
    *" lab "*) [ ! -x "$SENDMAIL/usr/libexec/sendmail/sendmail" ] ;;
    *) false ;;
    esac
}

[ $# -gt 0 ] || set -- help
for group in "$@"; do
    case $group in
    build | mta | lab | web | systemd | peers | packages) ;;
    *)
        echo "usage: tools/setup.sh [build] [mta] [lab] [web] [systemd] [peers] [packages]" >&2
        exit 64
        ;;
    esac
done

packages=
for group in "$@"; do
    found=$(missing_for "$group") || exit 69
    packages="$packages $found"
done
sendmail=
if lacks_sendmail "$@"; then
    sendmail=sendmail
fi
# Unquoted on purpose: the list is split into words, and what is missing nowhere leaves none.
# shellcheck disable=SC2086
set -- $packages
[ $# -gt 0 ] || [ "$sendmail" ] || exit 0

if ! have apt-get; then
    echo "tools/setup.sh: no apt-get here; please install what Debian calls: $* $sendmail" >&2
    exit 69
fi
if ! find_root; then
    echo "tools/setup.sh: neither root nor sudo; please have these installed: apt-get install $* $sendmail" >&2
    exit 69
fi
if [ $# -gt 0 ]; then
    echo "tools/setup.sh: installing $*"
    install_packages "$@"
fi
if [ "$sendmail" ]; then
    echo "tools/setup.sh: unpacking Sendmail into .cache/sendmail"
    unpack_sendmail
fi
