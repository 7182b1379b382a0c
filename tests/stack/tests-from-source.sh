#!/bin/sh
# tests-from-source.sh TARGET SUITE MAJOR VERSION PG_CONFIG: fetches the source package of exactly that version of a Debian PostgreSQL server
# from the machine's own mirror, and unpacks its regression tests into TARGET/regress, with the libraries that they load compiled into TARGET/lib.
# Nothing of the system is touched: apt's lists and cache are TARGET's own.
set -eu
suite=$2 major=$3 version=$4 config=$5
mkdir -p "$1"
target=$(cd "$1" && pwd -P)
work=$target/.work
die() { printf '%s\n' "tests-from-source.sh: $*" >&2; exit 1; }
command -v apt-get >/dev/null || die "apt-get was not found: the source package can be had on Debian alone"

# The mirrors that this machine uses anyway.
mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -E '^(deb |URIs:)' | grep -oE "https?://[^ ]+/$1/?( |\$)" | head -n 1 | tr -d ' '
}
main=$(mirror debian) security=$(mirror debian-security)
[ -n "$main" ] || die "no Debian mirror in the machine's apt sources"

rm -rf "$work" "$target/regress" "$target/lib"
for dir in lists/partial cache/archives/partial state etc source; do mkdir -p "$work/$dir"; done
: >"$work/status"
key=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb-src [signed-by=$key] $main $suite main" >"$work/etc/source.list"
case $suite in
sid) ;;
*) [ -z "$security" ] || echo "deb-src [signed-by=$key] $security $suite-security main" >>"$work/etc/source.list" ;;
esac

apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/etc/source.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State="$work/state" -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
    -o Dir::State::status="$work/status" -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}
apt update
(cd "$work/source" && apt source --download-only "postgresql-$major=$version" >/dev/null)
archive=$(find "$work/source" -name '*.orig.tar.*' ! -name '*.asc' | head -n 1)
[ -n "$archive" ] || die "no source of postgresql-$major $version"
tar -xf "$archive" -C "$work/source" --strip-components=1 --wildcards '*/src/test/regress/*' '*/contrib/spi/*'

# The libraries that the tests load, for the headers of this server, compiled as their Makefile has it.
mkdir -p "$target/lib"
for file in src/test/regress/regress.c contrib/spi/refint.c contrib/spi/autoinc.c; do
  gcc -w -O1 -fPIC -shared -DREFINT_VERBOSE -I "$work/source/src/test/regress" -I "$("$config" --includedir-server)" \
    -o "$target/lib/$(basename "$file" .c).so" "$work/source/$file"
done
mv "$work/source/src/test/regress" "$target/regress"
rm -rf "$work"
ls "$target/regress/sql" | wc -l
