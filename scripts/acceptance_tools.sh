#!/usr/bin/env bash
# Installs the clients of others that tests/acceptance runs, as far as it can: Debian's packages as root, and
# npm's into tests/acceptance. What is absent afterwards, the tests skip by name.
set -uo pipefail
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive

# Debian's package for each command.
PACKAGES=(
  wrk:wrk ab:apache2-utils h2load:nghttp2-client curl:curl nc:netcat-openbsd python3:python3
  redis-cli:redis-tools redis-benchmark:redis-tools redis-server:redis-server
  iperf3:iperf3 psql:postgresql
  openssl:openssl nginx:nginx-light haproxy:haproxy stunnel:stunnel4 go:golang-go
  dig:dnsutils dnsperf:dnsperf logger:bsdutils tftp:tftp-hpa busybox:busybox ntpdate:ntpdate ip:iproute2
  systemd-socket-activate:systemd chromium:chromium
  memccapable:libmemcached-tools memcached:memcached mosquitto_sub:mosquitto-clients
)

missing=()
for entry in "${PACKAGES[@]}"; do
  command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
done
# Debian's nginx passes on what is no HTTP by a package of its own.
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing+=(libnginx-mod-stream)
# Modules of Debian's own Python.
for module in statsd pymemcache pylibmc socks websocket websockets; do
  /usr/bin/python3 -c "import $module" 2>/dev/null || missing+=("python3-$module")
done
/usr/bin/python3 -c "import paho.mqtt.client" 2>/dev/null || missing+=(python3-paho-mqtt)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, and this is not root on Debian: ${missing[*]}; tests that need them are skipped"
  else
    apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null ||
      echo "Cannot install ${missing[*]}; tests that need them are skipped"
  fi
fi

clients=tests/acceptance
if [ -f $clients/package-lock.json ] &&
  [ ! $clients/node_modules/.package-lock.json -nt $clients/package-lock.json ]; then
  npm ci --prefix $clients || echo "Cannot install the clients of npm; tests that need them are skipped"
fi
