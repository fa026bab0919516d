#!/bin/sh
# Install GPAW into an environment, from a wheel that is built once for each Python and siteconfig and kept in the user's cache:
#   sh constraints/gpaw.sh .venv/bin/python [arguments for pip]
# There is no wheel of GPAW on the package index, and pip would keep one it built under another siteconfig: so the wheel is ours.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$1
shift
pinned() { grep -i "^$1==" "$here/pins.txt"; }
gpaw=$(pinned gpaw)

have=$("$python" -c "from importlib.metadata import version as v; print('gpaw==' + v('gpaw'))" 2>/dev/null || true)
if [ "$have" = "$gpaw" ]; then exit 0; fi

tag=$("$python" -c '
import hashlib, platform, sys, sysconfig
text = open(sys.argv[1], "rb").read()
print(sys.argv[2].replace("==", "-"), sys.implementation.cache_tag, platform.machine(), hashlib.sha256(text).hexdigest()[:12], sep="-")
' "$here/gpaw_siteconfig.py" "$gpaw")
kept="${ADIABAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/adiabat}/gpaw/$tag"

if ! ls "$kept"/gpaw-*.whl >/dev/null 2>&1; then
  command -v g++ >/dev/null || { echo "adiabat: GPAW needs g++ to be built. Debian, Ubuntu: apt-get install g++" >&2; exit 1; }
  "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' || {
    echo "adiabat: GPAW needs Python's header files to be built. Debian, Ubuntu: apt-get install python3-dev" >&2; exit 1; }
  echo "adiabat: building GPAW once for this Python (about two minutes), kept in $kept"
  mkdir -p "$(dirname "$kept")"
  building=$(mktemp -d "$kept.XXXXXX")
  trap 'rm -rf "$building"' EXIT INT TERM
  # A half-built wheel is never seen under its final name.
  GPAW_CONFIG="$here/gpaw_siteconfig.py" "$python" -m pip wheel --disable-pip-version-check --quiet --no-cache-dir --no-binary gpaw \
    --no-deps --wheel-dir "$building" "$@" "$gpaw"
  rm -rf "$kept" && mv "$building" "$kept"
fi
"$python" -m pip install --disable-pip-version-check --quiet -c "$here/pins.txt" "$@" "$kept"/gpaw-*.whl "$(pinned gpaw-data)"
