#!/usr/bin/env bash
# Hosts on one machine: network namespaces joined by links of a stated rate and delay, and MPI over them. As root:
#
#     hosts.sh up 4 --rate 1gbit --delay 0.1ms    four hosts, 10.77.0.1 and on, each with a wire to a switch
#     hosts.sh run node train.mjs                 a rank on each, by MPICH; -n 2: on the first two; --mpi openmpi
#     hosts.sh exec 1 ping 10.77.0.1              any command on host 1, of 0 to 3
#     hosts.sh down                               ends what runs there and removes everything
#
# AXPY_NETWORK names a network, should there be several. The rate is that of each host, in each direction, the delay
# that from host to host. --mtu is 9000, of which TCP keeps 99.4 %. --kind says what makes them:
# - netem, the usual kind: veth, a bridge, tbf at the senders and netem at the switch, all of them the kernel's.
# - link, where the kernel has no netem: link.cc, which g++ compiles, hands packets on in user space.
# - tbf: rates alone, with the delay that veths have; the cheapest.
#
# How exact, on a virtual machine of two processors that are otherwise idle: iperf3 gets 99.4, 994 and 9850 to 9940
# of 100, 1000 and 10000 Mbit/s by link (99.2, 991 and 9760 by tbf), both ways at once as well. A ping takes 0.5 and
# 5 ms to 5 % (beside a transfer that fills the wire, 1 to 4 ms more), but shorter delays to 0.03 ms only: so much
# varies how long a virtual processor takes to wake. Pauses of the machine, which `down` shows as the longest time that
# a packet came late, add some milliseconds now and then. link takes 1.5 s of a processor for each GB at 1 Gbit/s,
# 0.7 s at 10 Gbit/s, where packets are larger, and 8 s at 100 Mbit/s, where they are not cut from larger ones; and it
# goes before whatever else runs. Four hosts that all send 1 Gbit/s take most of one processor: more hosts want lower
# rates. netem has been seen to work in an emulator alone, which tells nothing of how exact it is.
#
# Ranks that wait by asking all the time are in each other's way once there are more of them than processors, which
# real hosts would not be: MPICH's always do, Open MPI's yield. What is measured then is the machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self="$here/hosts.sh"
name=${AXPY_NETWORK:-axpy}
state="/run/axpy-network/$name"

fail() {
  echo "hosts: $*" >&2
  exit 2
}

# 1gbit, 100mbit, 2.5gbit: bytes a second
rate_of() {
  [[ $1 =~ ^([0-9]+(\.[0-9]+)?)(m|g)bit$ ]] || fail "expected a rate such as 100mbit or 2.5gbit, got $1"
  local -A units=([m]=1e6 [g]=1e9)
  awk "BEGIN { printf \"%.0f\", ${BASH_REMATCH[1]} * ${units[${BASH_REMATCH[3]}]} / 8 }"
}

# 50us, 0.1ms: nanoseconds
delay_of() {
  [[ $1 =~ ^([0-9]+(\.[0-9]+)?)(us|ms)$ ]] || fail "expected a delay such as 50us or 0.1ms, got $1"
  local -A units=([us]=1e3 [ms]=1e6)
  awk "BEGIN { printf \"%.0f\", ${BASH_REMATCH[1]} * ${units[${BASH_REMATCH[3]}]} }"
}

hosts() { cat "$state/hosts" 2>/dev/null || fail "there are no hosts, which \`$self up N\` makes"; }
spaces() { ip netns list | awk '{ print $1 }' | grep -E "^$name([0-9]+|switch)$" || true; }

# A command on host $1. Its name makes it a machine of its own to MPI, which else would go through shared memory.
inside() {
  ip netns exec "$name$1" unshare --uts bash -c 'hostname "$1"; shift; exec "$@"' - "$name$1" "${@:2}"
}

# What one way takes by now, in nanoseconds: half the median of pings.
one_way() {
  inside 0 ping -q -c 10 -i 0.01 10.77.0.2 >/dev/null
  inside 0 ping -c 101 -i 0.005 10.77.0.2 | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n |
    awk '{ time[NR] = $1 } END { printf "%.0f", time[int((NR + 1) / 2)] * 5e5 }'
}

stop_link() {
  [ -f "$state/pid" ] || return 0
  local pid
  pid=$(cat "$state/pid")
  kill "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
  rm "$state/pid"
}

delay_by_link() {
  stop_link
  local i namespaces=()
  for ((i = 0; i < count; i++)); do namespaces+=("$name$i"); done
  "$state/link" "$rate" "$1" "$mtu" 10.77.0.1 "${namespaces[@]}" >"$state/log" 2>&1 &
  echo $! >"$state/pid"
  disown
  until grep -q ready "$state/log"; do
    kill -0 "$(cat "$state/pid")" 2>/dev/null || fail "$(cat "$state/log")"
    sleep 0.02
  done
  for ((i = 0; i < count; i++)); do
    ip -n "$name$i" link set net0 gso_max_size "$packet"
    ip netns exec "$name$i" tc qdisc replace dev net0 root $tbf
  done
}

# Pairs of veth to a bridge, which has a namespace of its own.
start_switch() {
  local i
  ip netns add "${name}switch"
  ip -n "${name}switch" link add bridge type bridge
  ip -n "${name}switch" link set bridge mtu "$mtu" up
  for ((i = 0; i < count; i++)); do
    ip -n "${name}switch" link add "port$i" mtu "$mtu" type veth peer name net0 netns "$name$i" mtu "$mtu"
    ip -n "${name}switch" link set "port$i" master bridge up
    ip -n "$name$i" addr add "10.77.0.$((i + 1))/24" dev net0
    ip -n "$name$i" link set net0 gso_max_size "$packet" up
    ip netns exec "$name$i" tc qdisc replace dev net0 root $tbf
    ip netns exec "${name}switch" tc qdisc replace dev "port$i" root $tbf
  done
}

delay_by_netem() {
  local i
  for ((i = 0; i < count; i++)); do
    ip netns exec "${name}switch" tc qdisc replace dev "port$i" root netem \
      rate "$((rate * 8))bit" delay "$(($1 / 1000))us" limit 100000
  done
}

up() {
  local count=${1:-} rate=1gbit delay=0.1ms mtu=9000 kind='' i measured tbf
  [[ $count =~ ^[0-9]+$ ]] && ((count >= 2 && count <= 64)) || fail "expected how many hosts, 2 to 64, got '$count'"
  shift
  while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "expected a value after $1"
    case "$1" in
      --rate) rate=$2 ;;
      --delay) delay=$2 ;;
      --mtu) mtu=$2 ;;
      --kind) kind=$2 ;;
      *) fail "expected --rate, --delay, --mtu or --kind, got $1" ;;
    esac
    shift 2
  done
  rate=$(rate_of "$rate")
  delay=$(delay_of "$delay")
  ((rate >= 125000)) || fail 'expected a rate of 1mbit at least'
  [[ $mtu =~ ^[0-9]+$ ]] && ((mtu >= 1280 && mtu <= 60000)) || fail "expected an MTU of 1280 to 60000, got $mtu"
  [[ $kind =~ ^(|netem|link|tbf)$ ]] || fail "expected the kind netem, link or tbf, got $kind"
  [ "$(id -u)" = 0 ] || fail 'namespaces are made by root alone'
  [ -z "$(spaces)" ] || fail "there are hosts already, which \`$self down\` removes"

  mkdir -p "$state"
  echo "$count" >"$state/hosts"
  trap 'code=$?; [ $code = 0 ] || down >/dev/null; exit $code' EXIT
  # Packets of half a millisecond at most, or one that is not cut; queues at senders of a millisecond, or two
  # packets, as those of network cards are managed; windows as usual, or for what four times is under way.
  local packet=$((rate / 2000 > 65000 ? 65000 : rate / 2000))
  packet=$((packet > mtu + 300 ? packet : mtu + 300))
  local limit=$((rate / 1000 > 3 * packet ? rate / 1000 : 3 * packet))
  local window=$((4 * 2 * delay * (rate / 1000) / 1000000))
  window=$((window > 4194304 ? window : 4194304))
  tbf="tbf rate $((rate * 8))bit burst $((rate / 5000 + packet + 1000)) latency 1s"
  for ((i = 0; i < count; i++)); do
    ip netns add "$name$i"
    ip -n "$name$i" link set lo up
    # Congestion control that takes loss alone for a sign, of which there is none.
    ip netns exec "$name$i" sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 \
      net.ipv4.tcp_congestion_control=reno net.ipv4.tcp_limit_output_bytes="$limit" \
      net.ipv4.tcp_wmem="4096 65536 $window" net.ipv4.tcp_rmem="4096 131072 $window"
  done
  if [ -z "$kind" ]; then
    kind=link
    if ip netns exec "${name}0" tc qdisc replace dev lo root netem delay 1ms 2>/dev/null; then
      kind=netem
      ip netns exec "${name}0" tc qdisc del dev lo root
    fi
  fi
  # The delay is what a ping takes one way: what the kernel and late timers add is measured, and taken off.
  [ "$kind" = link ] || start_switch
  [ "$kind" != link ] || g++ -std=c++17 -O2 "$here/link.cc" -o "$state/link"
  if [ "$kind" != tbf ]; then
    local added=$delay
    for i in 1 2 3; do
      "delay_by_$kind" "$added"
      measured=$(one_way)
      added=$((added + delay - measured))
      added=$((added > 0 ? added : 0))
      ((20 * measured < 19 * delay || 20 * measured > 21 * delay)) || break
    done
  fi
  measured=$(one_way)
  echo "$count hosts by $kind, $((rate / 125000)) Mbit/s, a ping takes $((measured / 1000)) us one way"
}

down() {
  local space
  for space in $(spaces); do
    ip netns pids "$space" | xargs -r kill -9 2>/dev/null || true
  done
  stop_link
  [ ! -f "$state/log" ] || tail -1 "$state/log"
  for space in $(spaces); do ip netns del "$space"; done
  rm -rf "$state"
  rmdir /run/axpy-network 2>/dev/null || true
}

# As ssh, which MPI starts its daemons by: options, a host, and words for its shell.
remote() {
  while [[ $1 == -* ]]; do shift; done
  local host=$((${1##*.} - 1))
  shift
  inside "$host" bash -c "$*"
}

run() {
  local mpi=mpich ranks='' list='' i count
  count=$(hosts)
  while [[ ${1:-} == -* ]]; do
    case "$1" in
      --mpi) mpi=${2:-} ;;
      -n) ranks=${2:-} ;;
      *) fail "expected --mpi or -n, got $1" ;;
    esac
    shift 2
  done
  ranks=${ranks:-$count}
  for ((i = 1; i <= count; i++)); do list+="${list:+,}10.77.0.$i"; done
  case "$mpi" in
    mpich)
      export UCX_TLS=tcp,self UCX_NET_DEVICES=net0 FI_PROVIDER=tcp FI_TCP_IFACE=net0
      inside 0 mpiexec.hydra -launcher ssh -launcher-exec "$self" -hosts "$list" -n "$ranks" -ppn 1 "$@"
      ;;
    openmpi)
      inside 0 mpirun.openmpi --allow-run-as-root --mca plm rsh --mca plm_rsh_agent "$self" \
        --mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include net0 --mca oob_tcp_if_include net0 \
        --mca mpi_yield_when_idle 1 --bind-to none --map-by node -H "$list" -n "$ranks" "$@"
      ;;
    *) fail "expected mpich or openmpi, got $mpi" ;;
  esac
}

case "${1:-}" in
  up | down | run) "$@" ;;
  exec) inside "${@:2}" ;;
  -* | 10.77.0.*) remote "$@" ;;
  *) fail "expected up, down, run or exec, got ${1:-nothing}" ;;
esac
