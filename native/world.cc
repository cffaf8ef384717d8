#include "world.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <thread>

namespace axpy {

namespace {

using Clock = World::Clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double nanoseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::nano>(duration).count();
}

/// After so long a wait it is told to the others.
constexpr double patience = 1;
/// What ranks have to end in order after one of them has failed.
constexpr double grace = 2;
constexpr int tag = 1;

/// A kind as a number, which ranks compare. FNV-1a; 32 bits are exact in a double.
double hashOf(const char* text) {
  uint32_t hash = 2166136261U;
  for (; *text; text++) hash = (hash ^ static_cast<unsigned char>(*text)) * 16777619U;
  return hash;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.15g", value);
  return text;
}

}  // namespace

World& World::open(const std::vector<std::string>& paths, double timeout) {
  static std::mutex once;
  const std::lock_guard<std::mutex> lock(once);
  if (current()) throw Disconnected("the world of this process is open already");
  // For good: MPI cannot be opened twice, and threads may look at it as the process ends.
  auto* const world = new World(mpi::openLibrary(paths), timeout);
  current_.store(world, std::memory_order_release);
  return *world;
}

World::World(mpi::Library library, double timeout) : library_(std::move(library)), timeout_(timeout) {
  int isOpen = 0, provided = 0;
  check(library_.initialized(&isOpen), "MPI_Initialized");
  if (isOpen) throw Disconnected("MPI is in use in this process already, by something else");
  check(library_.initThread(nullptr, nullptr, library_.serialized, &provided), "MPI_Init_thread");
  if (provided < library_.serialized) {
    throw Disconnected(version() + " does not let more than one thread call it (MPI_THREAD_SERIALIZED)");
  }
  check(library_.commDup(library_.world, &exchanges_), "MPI_Comm_dup");
  check(library_.commDup(library_.world, &talk_), "MPI_Comm_dup");
  check(library_.commSetErrhandler(exchanges_, library_.errorsReturn), "MPI_Comm_set_errhandler");
  check(library_.commSetErrhandler(talk_, library_.errorsReturn), "MPI_Comm_set_errhandler");
  check(library_.commRank(exchanges_, &rank_), "MPI_Comm_rank");
  check(library_.commSize(exchanges_, &size_), "MPI_Comm_size");
  headers_.resize(size_);
  others_.resize(size_);

  constexpr int width = 256;
  std::vector<char> own(width), all(static_cast<size_t>(width) * size_);
  char text[4096] = {};
  int length = 0;
  check(library_.getProcessorName(text, &length), "MPI_Get_processor_name");
  std::copy_n(text, std::min<size_t>(std::strlen(text), width - 1), own.data());
  check(library_.allgather(own.data(), width, library_.byte, all.data(), width, library_.byte, exchanges_),
        "MPI_Allgather");
  for (int i = 0; i < size_; i++) hosts_.emplace_back(all.data() + static_cast<size_t>(width) * i);
}

void World::check(int code, const char* what) const {
  if (code != 0) throw Disconnected(std::string(what) + ": " + library_.describe(code));
}

std::string World::name(int rank) const { return "rank " + std::to_string(rank) + " (" + hosts_[rank] + ")"; }

void World::fail(const std::string& message) {
  if (broken_.empty()) broken_ = message;
  throw Disconnected(message);
}

void World::throwIfBroken() const {
  if (!broken_.empty()) throw Disconnected(broken_);
  if (isClosed_ || interrupted_.load(std::memory_order_relaxed)) {
    throw Disconnected("the exchange was given up: this process ends");
  }
}

// ── what is under way
// ───────────────────────────────────────────────────────────────────────────────────────────────

void World::beginAny(Request& request, const char* what) {
  throwIfBroken();
  if (request.isActive) throw Disconnected(std::string(what) + " has begun already and not ended");
  exchange_++;
  request.begun = Clock::now();
  request.isActive = true;
  underWay_.fetch_add(1, std::memory_order_relaxed);
}

bool World::test(Request& request) {
  if (!request.isActive) return true;
  int isDone = 0;
  mpi::Status status;
  const int code = library_.test(&request.handle, &isDone, &status);
  if (code != 0) fail("MPI_Test: " + library_.describe(code));
  if (!isDone) return false;
  request.isActive = false;
  request.ended = Clock::now();
  underWay_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void World::poll() {
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !broken_.empty()) return;
  test(gathering_);
  for (Request& request : reductions_) test(request);
}

template <class F>
void World::await(const F& isDone, double seconds) {
  const Clock::time_point start = Clock::now();
  bool hasTold = false;
  double heard = 0;
  for (;;) {
    double waited = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      throwIfBroken();
      if (isDone()) return;
      waited = secondsSince(start);
      // Others are heard a thousand times a second at most, as that costs more than a look at a request.
      if (waited - heard > 1e-3) {
        heard = waited;
        listen();
        for (int i = 0; i < size_; i++) {
          if (others_[i].hasLeft) fail(name(i) + " has ended: " + others_[i].why);
        }
        if (!hasTold && waited > std::min(patience, seconds / 4)) {
          hasTold = true;
          tell(Word::waiting, exchange_, "");
        }
        if (waited > seconds) {
          fail("expected all ranks at exchange " + std::to_string(exchange_) + " within " + number(seconds) +
               " s, got no word of " + missing());
        }
      }
    }
    // Data moves while it is looked for; who waits for long waits for another process to compute.
    if (waited < 0.1) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
}

std::string World::missing() const {
  std::string names;
  for (int i = 0; i < size_; i++) {
    if (i == rank_ || others_[i].waitsAt >= exchange_) continue;
    names += (names.empty() ? "" : ", ") + name(i);
    if (others_[i].waitsAt > 0)
      names += ", which waited at " + std::to_string(others_[i].waitsAt) + " before";
  }
  return names.empty() ? "none: all wait, and nothing comes through" : names;
}

// ── exchanges
// ───────────────────────────────────────────────────────────────────────────────────────────────

void World::beginGather(const double* own, int64_t width, const char* kind, double key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  beginAny(gathering_, "a gathering");
  kind_ = kind;
  header_ = {static_cast<double>(exchange_), hashOf(kind), key, {}};
  std::copy_n(own, width, header_.own.begin());
  constexpr int bytes = sizeof(Header);
  check(library_.iallgather(&header_, bytes, library_.byte, headers_.data(), bytes, library_.byte, exchanges_,
                            &gathering_.handle),
        "MPI_Iallgather");
}

World::Account World::endGather(double* all, int64_t width) {
  const Clock::time_point start = Clock::now();
  await([this] { return test(gathering_); }, timeout_);
  const Clock::time_point end = Clock::now();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (int i = 0; i < size_; i++) {
    const Header& header = headers_[i];
    if (header.exchange == header_.exchange && header.kind == header_.kind && header.key == header_.key)
      continue;
    const std::string here = "exchange " + number(header_.exchange) + ", " + kind_;
    const char* const what = header.exchange != header_.exchange ? "another one"
                             : header.kind != header_.kind       ? "something else"
                                                                 : "the same of other arrays";
    fail("expected all ranks at " + here + ", got " + name(i) + " at " + what +
         (header.exchange != header_.exchange ? " (" + number(header.exchange) + ")" : ""));
  }
  for (int i = 0; i < size_; i++) std::copy_n(headers_[i].own.begin(), width, all + i * width);
  return {static_cast<double>(sizeof(Header)), nanoseconds(end - start),
          nanoseconds(gathering_.ended - gathering_.begun)};
}

template <class T>
void World::beginReduce(int slot, T* data, int64_t length) {
  const std::lock_guard<std::mutex> lock(mutex_);
  beginAny(reductions_[slot], "a reduction");
  reduced_[slot] = length * static_cast<int64_t>(sizeof(T));
  const mpi::Handle type = sizeof(T) == sizeof(float) ? library_.float32 : library_.float64;
  check(library_.iallreduce(library_.inPlace, data, static_cast<int>(length), type, library_.sum, exchanges_,
                            &reductions_[slot].handle),
        "MPI_Iallreduce");
}

template void World::beginReduce(int, float*, int64_t);
template void World::beginReduce(int, double*, int64_t);

World::Account World::endReduce(int slot) {
  const Clock::time_point start = Clock::now();
  Request& request = reductions_[slot];
  if (request.begun == Clock::time_point()) throw Disconnected("a reduction that has not begun cannot end");
  // All that is under way moves on meanwhile, in the order in which it began.
  await(
      [&] {
        test(gathering_);
        for (Request& other : reductions_) test(other);
        return !request.isActive;
      },
      timeout_);
  const Clock::time_point end = Clock::now();
  return {static_cast<double>(reduced_[slot]), nanoseconds(end - start),
          nanoseconds(request.ended - request.begun)};
}

World::Account World::broadcast(void* data, int64_t bytes, int root) {
  const Clock::time_point start = Clock::now();
  Request request;
  constexpr int64_t most = int64_t{1} << 30;
  auto* const begin = static_cast<char*>(data);
  for (int64_t at = 0; at < bytes; at += most) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      beginAny(request, "a broadcast");
      check(library_.ibcast(begin + at, static_cast<int>(std::min(most, bytes - at)), library_.byte, root,
                            exchanges_, &request.handle),
            "MPI_Ibcast");
    }
    await([&] { return test(request); }, timeout_);
  }
  const double taken = nanoseconds(Clock::now() - start);
  return {static_cast<double>(bytes), taken, taken};
}

// ── what ranks tell each other
// ───────────────────────────────────────────────────────────────────────────────────────────────

void World::tell(Word word, int64_t exchange, const std::string& text) {
  Outgoing& outgoing = outgoing_.emplace_back();
  outgoing.message = {word, 0, exchange, {}};
  std::copy_n(text.c_str(), std::min(text.size(), sizeof(outgoing.message.text) - 1), outgoing.message.text);
  for (int i = 0; i < size_; i++) {
    if (i == rank_) continue;
    Request& request = outgoing.requests.emplace_back();
    request.isActive = library_.isend(&outgoing.message, sizeof(Message), library_.byte, i, tag, talk_,
                                      &request.handle) == 0;
  }
}

/// With the mutex. What goes wrong here is no reason to end: exchanges tell of themselves.
void World::listen() {
  for (;;) {
    int isThere = 0;
    mpi::Status status;
    if (library_.iprobe(library_.anySource, library_.anyTag, talk_, &isThere, &status) != 0 || !isThere)
      break;
    const int from = status.words[library_.sourceWord];
    Message message{};
    if (from < 0 || from >= size_ ||
        library_.recv(&message, sizeof(Message), library_.byte, from, tag, talk_, &status) != 0) {
      break;
    }
    message.text[sizeof(message.text) - 1] = '\0';
    if (message.word == Word::left) {
      others_[from].hasLeft = true;
      others_[from].why = message.text;
    } else {
      others_[from].waitsAt = std::max(others_[from].waitsAt, message.exchange);
    }
  }
  outgoing_.remove_if([this](Outgoing& outgoing) {
    return std::all_of(outgoing.requests.begin(), outgoing.requests.end(), [this](Request& request) {
      if (!request.isActive) return true;
      int isDone = 0;
      mpi::Status status;
      if (library_.test(&request.handle, &isDone, &status) != 0) isDone = 1;
      request.isActive = !isDone;
      return !request.isActive;
    });
  });
}

void World::leave(const std::string& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (isClosed_) return;
  if (broken_.empty()) broken_ = "this rank has left: " + why;
  tell(Word::left, exchange_, why);
  listen();
}

void World::close(int code) {
  interrupt();
  const auto wait = [this](double seconds, const auto& isDone) {
    const Clock::time_point start = Clock::now();
    while (secondsSince(start) < seconds) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (isDone()) return true;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return false;
  };
  bool isWhole = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (isClosed_) return;
    isWhole = code == 0 && broken_.empty() && underWay_.load() == 0;
  }
  if (isWhole) {
    Request request;
    bool hasLeft = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      request.isActive = library_.ibarrier(exchanges_, &request.handle) == 0;
    }
    isWhole = wait(timeout_, [&] {
      listen();
      hasLeft = std::any_of(others_.begin(), others_.end(), [](const Known& known) { return known.hasLeft; });
      int isDone = 0;
      mpi::Status status;
      return hasLeft || library_.test(&request.handle, &isDone, &status) != 0 || isDone != 0;
    });
    isWhole = isWhole && !hasLeft;
  } else {
    // Those that wait for this rank have a moment to end as they want to.
    wait(grace, [this] {
      listen();
      for (int i = 0; i < size_; i++) {
        if (i != rank_ && !others_[i].hasLeft) return false;
      }
      return true;
    });
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  isClosed_ = true;
  if (isWhole) {
    library_.finalize();
  } else {
    library_.abort(library_.world, code == 0 ? 1 : code);
  }
}

}  // namespace axpy
