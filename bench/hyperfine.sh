#!/usr/bin/env bash
# hyperfine.sh [--runs N] [--only NAMES] [--keep]: by the clock, how long each server takes for one fixed job of
# bench/build/load, which compares every byte. --keep writes bench/results/hyperfine.md.
#
# hyperfine does not interleave its commands: what else the machine does meanwhile meets one server alone. It needs a
# quiet machine, and `make bench` tells more. The time has the load's own in it, and opening the connections.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<TEXT
bench/hyperfine.sh [options]: each server with one fixed job, by hyperfine

  --runs N       runs of each server in each job (10)
  --only NAMES   servers, as a,b (all that are here: bench/harness/command.ts)
  --keep         write bench/results/hyperfine.md
TEXT
}

runs=10 only="" keep=""
while [ $# -gt 0 ]; do
  case $1 in
    --runs) runs=${2?"--runs needs a number"}; shift 2 ;;
    --only) only=${2?"--only needs names"}; shift 2 ;;
    --keep) keep=yes; shift ;;
    --help | -h) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
done
command -v hyperfine >/dev/null || { echo "hyperfine is not here. Debian: apt-get install hyperfine" >&2; exit 1; }
make --no-print-directory -C bench programs peers

bun=node_modules/.bin/bun
work=$(mktemp -d)
servers=()
stop() { kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; servers=(); }
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
names=${only//,/ }
[ -n "$names" ] || names=$($bun bench/harness/command.ts)

# A job: a title, the mode of the server, the size of a message, options of the load.
job() { # TITLE MODE BYTES OPTIONS...
  local title=$1 mode=$2 bytes=$3 name port commands=()
  shift 3
  for name in $names; do
    rm -f "$work/$name"  # of the job before, whose port is closed
    eval "exec taskset -c 0 $($bun bench/harness/command.ts "$name" "$bytes" "$mode")" > "$work/$name" 2>"$work/$name.err" &
    servers+=($!)
    for _ in $(seq 100); do grep -qs listening "$work/$name" && break; kill -0 $! 2>/dev/null || break; sleep 0.1; done
    port=$(sed -n 's/^listening \([0-9]*\).*/\1/p' "$work/$name")
    if [ -z "$port" ]; then echo "Without $name: it does not start ($(head -n 1 "$work/$name.err"))" >&2; continue; fi
    commands+=(-n "$name" "bench/build/load -p $port -P 1 -w 0 -s $bytes $*")
  done
  hyperfine --shell none --style basic --warmup 2 --runs "$runs" --export-markdown "$work/table" "${commands[@]}" >&2
  stop
  printf '### %s\n\n`load -s %s %s`\n\n' "$title" "$bytes" "$*"
  cat "$work/table"
  echo
}

report() {
  printf '## By the clock\n\n`bench/hyperfine.sh --runs %s` on %s: %s.\n' "$runs" "$(date -u +%F)" \
    "$($bun -e 'console.log((await import("./bench/harness/report.ts")).describeMachine())')"
  cat <<'TEXT'
Server on CPU 0, load on CPU 1; every byte compared. Times are of the whole job, from the start of the load to its end;
"relative" is to the fastest. Servers run one after another, not interleaved: see `bench/README.md`.

TEXT
  job "64 B, 50 connections" echo 64 -c 50 -N 2000
  job "64 B, 50 connections, 16 in flight on each" echo 64 -c 50 -d 16 -N 30000
  job "netpoll-benchmark: frames of 1 KiB, 100 connections" framed 1024 -f -c 100 -N 1000
}

report > "$work/report"
cat "$work/report"
if [ -n "$keep" ]; then cp "$work/report" bench/results/hyperfine.md; fi
