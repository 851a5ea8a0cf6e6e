#!/usr/bin/env bash
# matrix.sh [RUNTIME@VERSION...]: the suite in other versions of the runtimes, each from npm, in a directory of its own.
#
# Without arguments: the lowest versions that are supported (ffi/runtime.ts) and the latest ones. Prints a table, and fails
# if one of them does. TESTS=... names other tests; the benches' own and the rules of the house are the same everywhere.
set -uo pipefail
cd "$(dirname "$0")/.."

lowest() { sed -n "s/^  $1: \"\(.*\)\",\$/\1/p" ffi/runtime.ts; }
[ $# -gt 0 ] || set -- "deno@$(lowest deno)" deno@latest "bun@$(lowest bun)" bun@latest

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export NETPOLL_LIB=$PWD/libnetpoll-faults.so DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
tests=${TESTS:-$(ls -d tests/*/ tests/examples_test.ts | grep -vE '^tests/(bench|native|std-assert|support)/')}
failed=0
rows=()

# What a runner says in the end, as "N passed, N failed, N skipped".
counts() {
  awk '
    /^(ok|FAILED) \| [0-9]+ passed/ {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) == "passed") passed = $i
        if ($(i + 1) == "failed") failed = $i
        if ($(i + 1) == "ignored") skipped = $i
      }
    }
    /^ *[0-9]+ pass$/ { passed = $1 }
    /^ *[0-9]+ fail$/ { failed = $1 }
    /^ *[0-9]+ skip$/ { skipped = $1 }
    END { printf "%d passed, %d failed, %d skipped", passed, failed, skipped }
  ' "$1"
}

for runtime in "$@"; do
  kind=${runtime%@*}
  place=$work/$runtime
  log=$work/$runtime.log
  mkdir -p "$place"
  echo '{ "private": true }' > "$place/package.json"
  if ! npm install --prefix "$place" --silent --no-audit --no-fund "$runtime" >"$log" 2>&1; then
    rows+=("| $runtime | not installed | $(tail -1 "$log") |")
    failed=1
    continue
  fi
  command=$place/node_modules/.bin/$kind
  version=$("$command" --version | sed -nE '1s/^(deno )?([0-9.]+).*/\2/p')
  echo "== $kind $version"
  export DENO_DIR=$work/deno-$version
  case $kind in
    deno) timeout -k 5 600 "$command" test -A --no-check $tests >"$log" 2>&1 ;;
    bun) timeout -k 5 600 "$command" test --isolate --timeout=60000 $tests >"$log" 2>&1 ;;
  esac
  code=$?
  result=ok
  if [ $code -ne 0 ]; then
    result=FAILED
    failed=1
    grep -E '\.\.\. FAILED|^\(fail\)' "$log"
  fi
  rows+=("| $kind $version | $result | $(counts "$log") |")
  echo "   $result: $(counts "$log")"
done

printf '\n| runtime | result | tests |\n| --- | --- | --- |\n'
printf '%s\n' "${rows[@]}"
exit $failed
