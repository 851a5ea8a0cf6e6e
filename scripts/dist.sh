#!/usr/bin/env bash
# dist.sh DIRECTORY: everything that is published, into a new directory (make dist). A processor that no compiler is
# here for goes without; the last lines say so, and which package of Debian brings the compiler.
#
# The same sources and the same tools give the same bytes: nothing in here asks for the time, or for where it is.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1-} in "" | -*) echo "Use: scripts/dist.sh DIRECTORY" >&2; exit 2 ;; esac
root=$PWD
out=$(realpath -m "$1")
bin=$root/node_modules/.bin
# Outside of the repository: deno leaves out what git ignores, without a word.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C TZ=UTC DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
umask 022

# A library that names no C library: every symbol comes from the process that loads it, so that one file serves both
# glibc and musl. By its name a second thread finds it, when it came from memory (ffi/embedded.ts).
soname=libnetpoll-$(sha256sum libnetpoll.c | cut -c1-16).so
absent=()
library() { # ARCHITECTURE MACHINE OPTIONS...
  local arch=$1 machine=$2 cc=$2-linux-gnu-gcc package=gcc-${2/_/-}-linux-gnu
  shift 2
  # Debian's name, elsewhere plain gcc.
  if ! command -v "$cc" >/dev/null && [ "$(uname -m)" = "$machine" ]; then cc=gcc; fi
  if ! command -v "$cc" >/dev/null; then
    absent+=("Without the library for $arch: $cc is not here. Debian: apt-get install $package libc6-dev-${arch/x64/amd64}-cross")
    if [ "$(uname -m)" = "$machine" ]; then echo "${absent[-1]}" >&2; exit 1; fi
    return
  fi
  "$cc" -std=gnu11 -pthread -O2 -g0 -Wall -Wextra -Werror "$@" \
    -fPIC -shared -fvisibility=hidden -Wl,-z,now -Wl,-z,nodelete -Wl,-soname,"$soname" \
    -nostdlib -fno-stack-protector -U_FORTIFY_SOURCE -Wl,--build-id=none -s \
    -o "$work/package/lib/libnetpoll-linux-$arch.so" libnetpoll.c
  readelf --dynamic --wide "$work/package/lib/libnetpoll-linux-$arch.so" | grep NEEDED && exit 1
  chmod 644 "$work/package/lib/libnetpoll-linux-$arch.so"
}

mkdir -p "$work/package/lib" "$work/artefacts"
library x64 x86_64
library arm64 aarch64 -mno-outline-atomics

cd "$work/package"
cp -r "$root"/{mod.ts,src,ffi,libnetpoll.c,README.md,CHANGELOG.md,LICENSE} .
ln -s "$root/node_modules" node_modules
version=$("$bin/bun" "$root/scripts/package_config.ts" "$root" .)
"$bin/bun" "$root/scripts/embed.ts" . "$soname"
"$bin/deno" publish --quiet --dry-run --allow-dirty

# The notes of pack are about modules without public types, every one of them.
"$bin/deno" pack --quiet --allow-dirty --output "netpoll-$version.tgz" |& { grep -v '^Could not generate types' || true; }
mkdir npm
tar xzf "netpoll-$version.tgz" -C npm
rm "netpoll-$version.tgz"
"$bin/bun" "$root/scripts/npm_package.ts" "$root" npm/package
(cd npm && find package -type f | sort) |
  tar -C npm --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - -T - | gzip -n9 > "$work/artefacts/netpoll-$version.tgz"
# One file is imported by its path: its declarations stand beside it, and its first line says so to Deno.
echo '{ "compilerOptions": { "module": "nodenext", "target": "es2023", "types": ["node"], "skipLibCheck": true } }' > npm/tsconfig.json
"$bin/dts-bundle-generator" --silent --no-check --no-banner --export-referenced-types=false --out-file "netpoll-$version.d.ts" npm/package/mod.d.ts
rm -r npm
"$bin/esbuild" mod.ts --bundle --format=esm --platform=neutral --target=es2023 --log-level=warning --sourcemap \
  "--banner:js=// @ts-self-types=\"./netpoll-$version.d.ts\"" '--external:node:*' --outfile="netpoll-$version.js"
mv "netpoll-$version".{js,js.map,d.ts} "$work/artefacts/"
mkdir examples
cp "$root"/examples/{echo_server,one_line}.ts examples/
# For this machine's processor: for another, Bun would download itself.
arch=$(uname -m | sed -e s/x86_64/x64/ -e s/aarch64/arm64/)
"$bin/bun" build --compile examples/echo_server.ts --outfile="$work/artefacts/echo_server-linux-$arch" >/dev/null
rm -r examples node_modules

cp lib/*.so "$work/artefacts/"
mv "$work/package" "$work/artefacts/"
cd "$work/artefacts"
"$bin/bun" "$root/scripts/sbom.ts" "$root" . > "netpoll-$version.cdx.json"
find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | sort | xargs sha256sum > SHA256SUMS
# Of the checksums, too, and none of them: it names the commit, which the same bytes may have more than one of.
"$bin/bun" "$root/scripts/provenance.ts" "$root" . > "$work/provenance.json"
mv "$work/provenance.json" "netpoll-$version.provenance.json"
rm -rf "$out"
mkdir -p "$(dirname "$out")"
mv "$work/artefacts" "$out"
for line in "${absent[@]}"; do echo "$line" >&2; done
