#!/bin/sh
# Times one fixed job, echoed by each server in turn, as hyperfine's users run it; --help says more.
#
# An outside judge of the same thing: figures.ts measures CPU, hyperfine the time on the clock, with its σ.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
bun="$top/node_modules/.bin/bun"
connections=50 messages=4000 bytes=64 runs=10
load_cpu=$(($(nproc) > 1 ? 1 : 0)) # the server has CPU 0

usage() {
  cat <<HELP
usage: hyperfine.sh [-c CONNECTIONS] [-n MESSAGES] [-s BYTES] [-r RUNS] [name,name…]

Times how long a client (bench/native/load.c) takes for MESSAGES ($messages) echoes of BYTES ($bytes) on each of
CONNECTIONS ($connections), with every byte verified: RUNS ($runs) times with each server. The server is pinned to
CPU 0, the client to CPU $load_cpu. Without names, all servers that are here take part; who is not is named.
Exports bench/results/hyperfine.md and .json.

servers: $("$bun" "$top/bench/harness/command.ts" --list | tr '\n' ' ')
HELP
}

while getopts c:n:s:r:h-: option; do
  case $option in
    c) connections=$OPTARG ;;
    n) messages=$OPTARG ;;
    s) bytes=$OPTARG ;;
    r) runs=$OPTARG ;;
    h) usage; exit 0 ;;
    -) if [ "$OPTARG" = help ]; then usage; exit 0; fi; usage >&2; exit 2 ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))

if ! command -v hyperfine >/dev/null; then
  echo "hyperfine.sh needs hyperfine: install it (Debian: apt-get install hyperfine), then run this again" >&2
  exit 1
fi

# One name a line; who cannot take part, and why, goes to standard error.
servers=$("$bun" "$top/bench/harness/command.ts" --present ${1+"$1"} | paste -sd , -)

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
hyperfine --warmup 1 --runs "$runs" -L server "$servers" -n '{server}' \
  --setup "'$scratch/start' '$top' {server} $bytes" \
  --cleanup "kill \$(cat '$scratch/{server}.pid'); rm '$scratch/{server}.pid'" \
  --export-json "$top/bench/results/hyperfine.json" --export-markdown "$scratch/table" \
  "'$top/bench/build/load' -p \$(cat '$scratch/{server}.port') -c $connections -s $bytes -N $messages -P $load_cpu"

{
  echo "## The time that a fixed job takes"
  echo
  echo "\`bench/hyperfine.sh -c $connections -n $messages -s $bytes -r $runs $servers\` on $(date -u +%F):"
  "$bun" "$top/bench/harness/command.ts" --machine
  echo
  cat "$scratch/table"
} >"$top/bench/results/hyperfine.md"
