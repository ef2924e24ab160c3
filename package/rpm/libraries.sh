#!/bin/sh
# libraries.sh PYTHON BUILDROOT ENVIRONMENT MODULES: completes the private environment, into which spfmilter itself has
# been installed, in the folder of the sources. Writes the files of the two packages into daemon.files and web.files.
#
# A virtual environment is a link to the interpreter, a file of three lines and a folder of modules. `python -m venv`
# would write the names of the build's folders into more files than that.
set -eu
python=$1 buildroot=$2 environment=$3 modules=$4
# pip compiles in a folder with a new name each time. With debugging information the linker's build id would depend on it.
export CFLAGS="${CFLAGS-} -g0"
export PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

install_lock() { # LOCK FOLDER
    PYTHONPATH=$PWD/tools-of-build "$python" -m pip install --quiet --no-deps --no-compile --no-build-isolation \
        --require-hashes --find-links libraries --target "$2" -r "package/locks/$1.txt"
    rm -rf "$2/bin" "$2/include" "$2/share" "$2/alembic/templates"
    # Which files there are, and who installed them, the package manager knows. Metadata and licences stay.
    find "$2" -path '*.dist-info/*' \
        \( -name RECORD -o -name INSTALLER -o -name REQUESTED -o -name WHEEL -o -name direct_url.json \) -delete
    # Sources of compiled modules, type hints and tests are of no use at run time.
    find "$2" \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name py.typed \) -delete
    find "$2" -mindepth 2 \( -name tests -o -name __pycache__ \) -type d -prune -exec rm -rf {} +
    find "$2" -name '*.so' -exec strip --strip-unneeded {} +
    # Modules are imported, and not run.
    find "$2" -name '*.py' -exec chmod 644 {} + -exec sed -i '1{/^#!/d}' {} +
}

top=$buildroot$environment target=$buildroot$modules
install_lock private "$target"
mkdir -p web/site-packages
install_lock private-web web/site-packages

# Babel knows a thousand regions. The help page needs those of its languages; all of them inherit from "root".
languages=$(ls spfmilter/locale | sed 's/_.*//' | sort -u | tr '\n' '|')
find web/site-packages/babel/locale-data -name '*.dat' |
    grep -Ev "/(${languages}en|root)[_.]" | xargs rm -f

mkdir -p "$top/bin"
ln -s "../../../bin/$python" "$top/bin/python3"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n' "$version" >"$top/pyvenv.cfg"

# Checked by content, not by time: the same in each build. pyspf writes some escapes as Python 2 did (SyntaxWarning).
for folder in "$target" web/site-packages; do
    "$python" -W ignore -m compileall -q --invalidation-mode unchecked-hash -s "$folder" -p "$modules" "$folder"
done

# Before the two become one folder. No %lang: the languages are those of senders, not of this system's administrator.
{
    echo "%dir $environment"
    find "$top" -mindepth 1 -type d -printf '%%dir %p\n' | sed "s|$buildroot||" | sort
    find "$top" ! -type d | sed "s|$buildroot||" | sort
} >daemon.files
{
    # In both packages: the one that is removed last removes them.
    for folder in "$environment" "$environment/lib" "${modules%/*}" "$modules"; do
        echo "%dir $folder"
    done
    (cd web/site-packages && find . -mindepth 1 -type d ! -name __pycache__ -printf "%%dir $modules/%P\n" | sort)
    (cd web/site-packages && find . -mindepth 2 -type d -name __pycache__ -printf "%%dir $modules/%P\n" | sort)
    (cd web/site-packages && find . ! -type d -printf "$modules/%P\n" | sort)
} >web.files
cp -a web/site-packages/. "$target/"
