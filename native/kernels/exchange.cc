// Exchanges with the other ranks of a job (world.h). A process of its own is one rank, and exchanges nothing.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels.h"
#include "parallel.h"
#include "workspaces.h"
#include "world.h"

namespace axpy {

namespace {

/// What `world` holds, in this order.
enum { ranks, exchanges, bytes, waited, taken, worldFields };

/// The world that an exchange is made in; nullptr for a rank of its own.
World* worldOf(const Check& check, const Array<double>& world) {
  check.length(world, worldFields);
  if (world[ranks] == 1) return nullptr;
  World* const current = World::current();
  if (!current || world[ranks] != current->size()) {
    check.failAt(world.position, ranks,
                 current ? "to be 1 or " + std::to_string(current->size())
                         : "to be 1, as this process is no rank of a job",
                 formatNumber(world[ranks]));
  }
  return current;
}

void count(const Array<double>& world) { world[exchanges] += 1; }

void count(const Array<double>& world, const World::Account& account) {
  world[bytes] += account.bytes;
  world[waited] += account.waited;
  world[taken] += account.taken;
}

template <class T>
std::vector<World::Part> partsOf(const List<T>& parts) {
  std::vector<World::Part> result;
  result.reserve(parts.length);
  for (int64_t i = 0; i < parts.length; i++) {
    result.push_back(
        {reinterpret_cast<char*>(parts[i].data), parts[i].length * static_cast<int64_t>(sizeof(T))});
  }
  return result;
}

}  // namespace

void allGatherBegin(const Check& check, Array<double> all, Array<const double> own, Array<double> world,
                    Code<ExchangeKind> kind, Size key) {
  World* const current = worldOf(check, world);
  check.length(all, world[ranks] * static_cast<double>(own.length));
  if (own.length > World::maxWidth) {
    check.fail(own.position, "to have at most " + std::to_string(World::maxWidth) + " elements",
               std::to_string(own.length));
  }
  count(world);
  if (current) {
    current->beginGather(own.data, own.length, Codes<ExchangeKind>::names[static_cast<size_t>(kind.value)],
                         static_cast<double>(key.value));
  } else {
    std::copy_n(own.data, own.length, all.data);
  }
}

void allGatherEnd(const Check& check, Array<double> all, Array<double> world) {
  World* const current = worldOf(check, world);
  const double width = static_cast<double>(all.length) / world[ranks];
  if (width != std::floor(width) || width > World::maxWidth) {
    check.fail(all.position, "to have at most " + std::to_string(World::maxWidth) + " elements for each rank",
               std::to_string(all.length));
  }
  if (current) count(world, current->endGather(all.data, static_cast<int64_t>(width)));
}

template <class T>
void allReduceBegin(const Check& check, const List<T>& parts, Array<double> world, Ticket ticket) {
  World* const current = worldOf(check, world);
  count(world);
  if (current) current->beginReduce(static_cast<int>(ticket), partsOf(parts), sizeof(T));
}

template <class T>
void allReduceEnd(const Check& check, const List<T>& parts, Array<double> world, Ticket ticket,
                  Number scale) {
  World* const current = worldOf(check, world);
  if (current) count(world, current->endReduce(static_cast<int>(ticket), partsOf(parts)));
  if (scale == 1) return;
  for (int64_t i = 0; i < parts.length; i++) {
    T* const part = parts[i].data;
    parallel::forRange(parts[i].length, parallel::lightChunk, [&](int64_t begin, int64_t end) {
      applyUnary(part + begin, part + begin, end - begin, UnaryOp::scale, scale, 0);
    });
  }
}

template <class T>
void broadcast(const Check& check, const List<T>& parts, Array<double> world, Size root) {
  World* const current = worldOf(check, world);
  if (static_cast<double>(root.value) >= world[ranks]) {
    check.fail(2, "to be below " + formatNumber(world[ranks]), std::to_string(root.value));
  }
  count(world);
  if (!current) return;
  for (const World::Part& part : partsOf(parts)) {
    count(world, current->broadcast(part.data, part.bytes, static_cast<int>(root.value)));
  }
}

template <class T>
void scatter(const Check& check, Array<T> part, Array<const T> all, Array<const int32_t> counts,
             Array<double> world, Size root) {
  World* const current = worldOf(check, world);
  check.length(counts, world[ranks]);
  int64_t total = 0;
  for (int64_t i = 0; i < counts.length; i++) {
    if (counts[i] < 0) check.failAt(counts.position, i, "to be at least 0", std::to_string(counts[i]));
    total += counts[i];
  }
  // As MPI counts by int where a rank's elements begin.
  constexpr int64_t most = std::numeric_limits<int>::max();
  if (total > most) {
    check.fail(counts.position, "to be together at most " + std::to_string(most), std::to_string(total));
  }
  if (static_cast<double>(root.value) >= world[ranks]) {
    check.fail(4, "to be below " + formatNumber(world[ranks]), std::to_string(root.value));
  }
  const int rank = current ? current->rank() : 0;
  check.length(part, counts[rank]);
  if (rank == root.value) check.length(all, static_cast<double>(total));
  count(world);
  if (current) {
    count(world, current->scatter(part.data, all.data, counts.data, sizeof(T), static_cast<int>(root.value)));
  } else {
    std::copy_n(all.data, all.length, part.data);
  }
}

constexpr bind::Kernel kernels[] = {
    bind::exchanging(AXPY_KERNEL(allGatherBegin, "all", "own", "world", "kind", "key")),
    bind::exchanging(AXPY_KERNEL(allGatherEnd, "all", "world")),
    bind::exchanging(AXPY_FLOAT_KERNEL(allReduceBegin, "parts", "world", "ticket")),
    bind::exchanging(AXPY_FLOAT_KERNEL(allReduceEnd, "parts", "world", "ticket", "scale")),
    bind::exchanging(AXPY_DATA_KERNEL(broadcast, "parts", "world", "root")),
    bind::exchanging(AXPY_DATA_KERNEL(scatter, "part", "all", "counts", "world", "root")),
};
const bind::Family family(kernels);

}  // namespace axpy
