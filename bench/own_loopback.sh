#!/bin/sh
# own_loopback.sh COMMAND…: runs it with a loopback of its own, on which nothing is paced.
#
# bbr, where it is the default, paces what is sent over loopback too, with a timer for every packet:
# then the pace is measured, and its timers. A route says which congestion control its connections
# have, whoever opens them (ip-route(8)); a namespace keeps that from everybody else. It needs root:
# without, the command runs with the loopback that is here.
set -eu
if ! unshare --net true 2>/dev/null || ! command -v ip >/dev/null; then
  echo "own_loopback.sh: no root, or no ip: with the loopback that is here" >&2
  exec "$@"
fi
LOOPBACK="a loopback of its own, with cubic" exec unshare --net sh -euc '
  ip link set lo up
  for to in 127.0.0.0/8 127.0.0.1; do
    ip route replace local $to dev lo table local proto kernel scope host src 127.0.0.1 congctl cubic
  done
  exec "$@"' sh "$@"
