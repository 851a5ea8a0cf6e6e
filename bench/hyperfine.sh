#!/bin/sh
# Times one fixed job, echoed by each server in turn: hyperfine.sh [name,name…]
#
# An outside judge of the same thing: bench/figures.ts measures CPU, hyperfine the time on the clock, with its σ.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
servers=${1:-c,bun-sync,bun-async,deno-sync,deno-async,bun-listen,deno-listen,node-net}
connections=50 messages=4000 bytes=64
load_cpu=$(($(nproc) > 1 ? 1 : 0)) # the server has CPU 0

if ! command -v hyperfine >/dev/null; then
  echo "hyperfine.sh needs hyperfine: install it (Debian: apt-get install hyperfine), then run this again" >&2
  exit 1
fi

scratch=$(mktemp -d)
stop_all() {
  for file in "$scratch"/*.pid; do
    [ -e "$file" ] && kill "$(cat "$file")" 2>/dev/null
  done
  rm -rf "$scratch"
}
# hyperfine leaves out --cleanup when a command fails.
trap stop_all EXIT
trap 'exit 130' INT TERM

cat >"$scratch/start" <<'SCRIPT'
#!/bin/sh
# start TOP NAME BYTES: starts a server in the background and waits until it listens.
cd "$1"
command=$("$1/node_modules/.bin/bun" bench/harness/command.ts "$2" "$3")
eval "exec taskset -c 0 ${command#exec }" >"$SCRATCH/$2.out" 2>"$SCRATCH/$2.err" </dev/null &
echo $! >"$SCRATCH/$2.pid"
tries=100
until grep -q '^listening' "$SCRATCH/$2.out"; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { cat "$SCRATCH/$2.err" >&2; exit 1; }
  sleep 0.1
done
sed 's/listening //' "$SCRATCH/$2.out" >"$SCRATCH/$2.port"
SCRIPT
chmod +x "$scratch/start"
export SCRATCH="$scratch"

mkdir -p "$top/bench/results"
hyperfine --warmup 1 --runs 7 -L server "$servers" -n '{server}' \
  --setup "'$scratch/start' '$top' {server} $bytes" \
  --cleanup "kill \$(cat '$scratch/{server}.pid'); rm '$scratch/{server}.pid'" \
  --export-json "$top/bench/results/hyperfine.json" --export-markdown "$top/bench/results/hyperfine.md" \
  "'$top/bench/build/load' -p \$(cat '$scratch/{server}.port') -c $connections -s $bytes -N $messages -P $load_cpu"
