#!/bin/sh
# server-from-suite.sh TARGET SUITE MAJOR: unpacks a newer Debian suite's PostgreSQL (server, contrib, headers) into TARGET,
# beside the system and without touching it, with that suite's own loader and libraries in TARGET/syslib.
# The programs name their loader by an absolute path; who moves the tree sets it again with TARGET/syslib/patchelf.
set -eu
suite=$2 major=$3
mkdir -p "$1"
target=$(cd "$1" && pwd -P)
work=$target/.work unpacked=$target/.work/root bin=$target/lib/postgresql/$major/bin
die() { printf '%s\n' "server-from-suite.sh: $*" >&2; exit 1; }
command -v apt-get >/dev/null || die "apt-get was not found: servers of other suites can be had on Debian alone"

# The mirror that this machine uses anyway.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
  grep -E '^(deb |URIs:)' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
[ -n "$mirror" ] || die "no Debian mirror in the machine's apt sources"

rm -rf "$work"
for dir in lists/partial cache/archives/partial state etc root; do mkdir -p "$work/$dir"; done
for dir in lib share include; do mkdir -p "$target/$dir/postgresql"; done
rm -rf "$target/syslib" "$target/lib/postgresql/$major" "$target/share/postgresql/$major" "$target/include/postgresql/$major"
mkdir -p "$target/syslib"
: >"$work/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/etc/suite.list"

apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/etc/suite.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State="$work/state" -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
    -o Dir::State::status="$work/status" -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}
apt update
# An empty status file makes apt resolve everything, libc too.
apt -y --no-install-recommends --download-only install "postgresql-$major" patchelf >/dev/null
(cd "$work/cache/archives" && apt download "postgresql-server-dev-$major")
for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$unpacked"; done

for dir in lib share include; do cp -a "$unpacked/usr/$dir/postgresql/$major" "$target/$dir/postgresql/"; done
# Headers of the client side are needed by some server headers.
cp -a "$unpacked"/usr/include/postgresql/*.h "$target/include/postgresql/" 2>/dev/null || :
rm -rf "$target/lib/postgresql/$major/lib/bitcode" "$target/lib/postgresql/$major"/lib/llvmjit*

loader=$(find "$unpacked" -name 'ld-linux-*.so.*' | sort | head -n 1)
[ -n "$loader" ] || die "the suite's libc has no loader"
libraries=$(find "$unpacked/usr/lib" "$unpacked/lib" -maxdepth 1 -name '*-linux-gnu*' -type d 2>/dev/null | tr '\n' ':')
cp -L "$loader" "$target/syslib/"
cp -L "$unpacked/usr/bin/patchelf" "$target/syslib/"
for file in "$bin"/* "$target/lib/postgresql/$major"/lib/*.so "$target/syslib/patchelf"; do
  "$loader" --library-path "$libraries" --list "$file" 2>/dev/null || :
done | awk '$3 ~ /^\// { print $3 }' | sort -u | while read -r library; do cp -L "$library" "$target/syslib/"; done
new=$target/syslib/$(basename "$loader")
for file in "$bin"/*; do
  "$new" --library-path "$target/syslib" "$target/syslib/patchelf" --set-interpreter "$new" --force-rpath \
    --set-rpath "$target/syslib" "$file" 2>/dev/null || :
done
rm -rf "$work"
"$bin/postgres" --version
