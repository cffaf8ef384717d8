// A network in user space, for kernels without netem: joins hosts (network namespaces) by links of a stated
// rate and delay. hosts.sh compiles and starts it.
//
//     link RATE DELAY MTU ADDRESS NAMESPACE…      in bytes a second, nanoseconds, bytes
//
// Each namespace gets a device `net0` with an address, ADDRESS for the first and one more for each that
// follows. Every host has a full-duplex wire of RATE to a switch that loses nothing. When a packet is where
// is worked out, not waited for: it has left its host when the packets before it have and its own bytes are
// through, it is at the switch DELAY later, and it is with the other host when the wire there has taken its
// bytes, which starts as they arrive (so a wire that is idle adds nothing). Only then is it handed over. A
// timer that is late thus makes one packet late, not all that follow.
//
// Packets are as large as the sender's TCP makes them (up to 64 kB, cut and summed by nobody, as between
// veths), and count what they would take up cut by MTU. How much waits here is bounded: by the senders'
// windows, and by `most`, where the newest is dropped. On SIGTERM it prints what it did and ends; the devices
// go with it.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace {

using Time = int64_t;  // nanoseconds

// What is before each packet: whether it is to be cut, and where. Read and handed on, for its size alone.
struct Header {
  uint8_t flags, kind;
  uint16_t headers, piece, checksum_start, checksum_offset;
};
static_assert(sizeof(Header) == 10);

constexpr size_t room = sizeof(Header) + 65536;
constexpr size_t most = 256u << 20;  // bytes that wait at all hosts together
constexpr Time never = INT64_MAX;

volatile sig_atomic_t ended = 0;

[[noreturn]] void fail(const std::string& what) {
  fprintf(stderr, "link: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

Time clock_now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<Time>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

struct Packet {
  std::unique_ptr<char[]> bytes;
  size_t length;  // with its Header
  Time takes;     // on a wire
  Time due;       // at the switch, then at the host it goes to
  size_t to;
};

struct Host {
  int device = -1;
  Time sent = 0;            // when the last packet has left
  Time received = 0;        // when the last one is there
  std::deque<Packet> wire;  // under way to the switch, by due
  std::deque<Packet> port;  // under way from it
};

int open_device(const std::string& space, size_t mtu, uint32_t address) {
  const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int there = open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC);
  if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0) fail("namespace " + space);
  const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) fail("/dev/net/tun");
  ifreq request{};
  strcpy(request.ifr_name, "net0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(device, TUNSETIFF, &request) != 0) fail("TUNSETIFF in " + space);
  if (ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) fail("TUNSETOFFLOAD");
  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  auto set = [&](unsigned long what, const char* name) {
    if (ioctl(control, what, &request) != 0) fail(name);
  };
  request.ifr_mtu = static_cast<int>(mtu);
  set(SIOCSIFMTU, "SIOCSIFMTU");
  auto* socket_address = reinterpret_cast<sockaddr_in*>(&request.ifr_addr);
  *socket_address = {};
  socket_address->sin_family = AF_INET;
  socket_address->sin_addr.s_addr = htonl(address);
  set(SIOCSIFADDR, "SIOCSIFADDR");
  socket_address->sin_addr.s_addr = htonl(0xffffff00);
  set(SIOCSIFNETMASK, "SIOCSIFNETMASK");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  set(SIOCSIFFLAGS, "SIOCSIFFLAGS");
  close(control);
  if (setns(home, CLONE_NEWNET) != 0) fail("setns");
  close(there);
  close(home);
  return device;
}

}  // namespace

int main(int count, char** words) {
  if (count < 6) {
    fprintf(stderr, "link RATE DELAY MTU ADDRESS NAMESPACE…\n");
    return 2;
  }
  const double nanoseconds_a_byte = 1e9 / strtod(words[1], nullptr);
  const Time delay = strtoll(words[2], nullptr, 10);
  const size_t mtu = strtoul(words[3], nullptr, 10);
  const uint32_t first = ntohl(inet_addr(words[4]));
  std::vector<Host> hosts(static_cast<size_t>(count) - 5);
  for (size_t i = 0; i < hosts.size(); i++)
    hosts[i].device = open_device(words[5 + i], mtu, first + static_cast<uint32_t>(i));

  // Whatever else runs on this machine's processors, the wires come first.
  const sched_param priority{1};
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) setpriority(PRIO_PROCESS, 0, -20);
  prctl(PR_SET_TIMERSLACK, 1);
  mlockall(MCL_CURRENT | MCL_FUTURE);
  struct sigaction action {};
  action.sa_handler = [](int) { ended = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  // Signals come while it waits, and only then: none falls between the question whether it has ended and the
  // wait.
  sigset_t blocked, open_signals;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  sigprocmask(SIG_BLOCK, &blocked, &open_signals);
  puts("ready");
  fflush(stdout);

  std::vector<std::unique_ptr<char[]>> spare;
  std::vector<pollfd> polled(hosts.size());
  for (size_t i = 0; i < hosts.size(); i++) polled[i] = {hosts[i].device, POLLIN, 0};
  size_t waiting = 0, dropped = 0, packets = 0, carried = 0;
  Time latest = 0;

  auto take = [&](Host& host) {
    for (int several = 0; several < 16; several++) {
      std::unique_ptr<char[]> bytes;
      if (spare.empty()) {
        bytes.reset(new char[room]);
      } else {
        bytes = std::move(spare.back());
        spare.pop_back();
      }
      const ssize_t got = read(host.device, bytes.get(), room);
      if (got <= 0) {
        spare.push_back(std::move(bytes));
        return;
      }
      const Time now = clock_now();
      const size_t length = static_cast<size_t>(got);
      Header header;
      memcpy(&header, bytes.get(), sizeof header);
      const char* ip = bytes.get() + sizeof header;
      uint32_t destination = 0;
      if (length >= sizeof header + 20 && (ip[0] & 0xf0) == 0x40) memcpy(&destination, ip + 16, 4);
      const size_t to = ntohl(destination) - first;
      if (to >= hosts.size() || waiting + length > most) {
        dropped += to < hosts.size();
        spare.push_back(std::move(bytes));
        continue;
      }
      size_t size = length - sizeof header;
      if (header.kind != 0 && header.piece > 0 && size > header.headers) {
        const size_t pieces = (size - header.headers + header.piece - 1) / header.piece;
        size += (pieces - 1) * header.headers;
      }
      const Time takes = static_cast<Time>(static_cast<double>(size) * nanoseconds_a_byte);
      host.sent = std::max(host.sent, now) + takes;
      waiting += length;
      host.wire.push_back({std::move(bytes), length, takes, host.sent + delay, to});
    }
  };

  auto next_at_switch = [&]() {
    Host* next = nullptr;
    for (Host& host : hosts)
      if (!host.wire.empty() && (!next || host.wire.front().due < next->wire.front().due)) next = &host;
    return next;
  };

  while (!ended) {
    // At the switch, in the order in which they come; what has come is known once every wire has been asked.
    const Time now = clock_now();
    for (Host* from; (from = next_at_switch()) && from->wire.front().due <= now;) {
      Packet packet = std::move(from->wire.front());
      from->wire.pop_front();
      Host& host = hosts[packet.to];
      packet.due = host.received = std::max(packet.due, host.received + packet.takes);
      host.port.push_back(std::move(packet));
    }
    Time next = never;
    for (Host& host : hosts) {
      while (!host.port.empty() && host.port.front().due <= now) {
        Packet& packet = host.port.front();
        // A packet that the host has no memory for is lost, as on a wire.
        if (write(host.device, packet.bytes.get(), packet.length) < 0) dropped++;
        latest = std::max(latest, now - packet.due);
        packets++;
        carried += packet.length;
        waiting -= packet.length;
        if (spare.size() < 256) spare.push_back(std::move(packet.bytes));
        host.port.pop_front();
      }
      if (!host.port.empty()) next = std::min(next, host.port.front().due);
      if (!host.wire.empty()) next = std::min(next, host.wire.front().due);
    }
    const Time left = std::max<Time>(next == never ? 0 : next - clock_now(), 0);
    const timespec wait{static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
    if (ppoll(polled.data(), polled.size(), next == never ? nullptr : &wait, &open_signals) > 0)
      for (size_t i = 0; i < hosts.size(); i++)
        if (polled[i].revents & POLLIN) take(hosts[i]);
  }

  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const double seconds = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  printf("%zu packets, %.1f MB, %zu dropped, %.2f s of CPU, at most %.3f ms late\n", packets,
         static_cast<double>(carried) * 1e-6, dropped, seconds, static_cast<double>(latest) * 1e-6);
  return 0;
}
