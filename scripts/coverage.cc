// In the build that counts what runs: its counters are written at SIGTERM too, by which vitest ends its
// processes. To exit may take a process longer than it is given.
#include <csignal>

extern "C" void __gcov_dump();

namespace {

[[gnu::constructor]] void writeAtTermination() {
  std::signal(SIGTERM, [](int signal) {
    __gcov_dump();
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  });
}

}  // namespace
