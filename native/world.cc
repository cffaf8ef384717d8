#include "world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>

#include "signals.h"

namespace axpy {

namespace {

using Clock = World::Clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double nanoseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::nano>(duration).count();
}

/// What ranks have to end in order after one of them has failed, in seconds.
constexpr double grace = 2;
constexpr int tag = 1;
/// What one request has at most. MPI counts by int, and some libraries count bytes by it.
constexpr int64_t mostBytes = int64_t{1} << 27;

/// After how much of a wait, in seconds, it is told to the others: early enough to be there before they give
/// up, and so late that ranks which wait for each other in every step do not spend their time with it.
double patience(double timeout) { return std::min(timeout / 4, std::max(1., timeout / 20)); }

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

/// MPI libraries take over signals for reports of their own, Open MPI that of a bad address, by which V8
/// finds that WebAssembly went out of bounds. What handled a signal before goes on to.
class [[maybe_unused]] HandlersKept {
#if !defined(_WIN32)
 public:
  HandlersKept() {
    for (int i = 1; i < count; i++) isKnown_[i] = sigaction(i, nullptr, &before_[i]) == 0;
  }
  ~HandlersKept() {
    for (int i = 1; i < count; i++) {
      if (isKnown_[i] && before_[i].sa_handler != SIG_DFL) sigaction(i, &before_[i], nullptr);
    }
  }
  HandlersKept(const HandlersKept&) = delete;
  HandlersKept& operator=(const HandlersKept&) = delete;

 private:
  static constexpr int count = 32;
  struct sigaction before_[count] = {};
  bool isKnown_[count] = {};
#endif
};

}  // namespace

// ── beginning
// ───────────────────────────────────────────────────────────────────────────────────────────────

bool World::Opener::run(std::function<void()> task, double seconds) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    task_ = std::move(task);
    isDone_.store(false);
    if (!hasStarted_) {
      // Threads that the library starts have its signals blocked as well.
      const SignalsBlocked blocked;
      std::thread(&Opener::loop, this).detach();
      hasStarted_ = true;
    }
  }
  wake_.notify_one();
  const Clock::time_point start = Clock::now();
  while (!isDone_.load()) {
    if (secondsSince(start) > seconds) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  if (const std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
  return true;
}

void World::Opener::loop() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return static_cast<bool>(task_); });
      task = std::exchange(task_, nullptr);
    }
    try {
      task();
    } catch (...) {
      error_ = std::current_exception();
    }
    isDone_.store(true);
  }
}

World& World::open(const std::vector<std::string>& paths, double timeout) {
  static std::mutex once;
  static bool hasTried = false;
  const std::lock_guard<std::mutex> lock(once);
  if (current()) throw Disconnected("the world of this process is open already");
  if (hasTried) throw Disconnected("this process has tried to join its job before, and could not");
  const HandlersKept kept;
  mpi::Library library = mpi::openLibrary(paths);
  hasTried = true;
  // For good: MPI cannot be opened twice, and threads may look at it as the process ends.
  auto* const world = new World(std::move(library), timeout);
  if (!world->opener_.run([world] { world->start(); }, timeout)) {
    throw Disconnected("expected all ranks to join the job within " + number(timeout) +
                       " s, and not all did");
  }
  current_.store(world, std::memory_order_release);
  return *world;
}

void World::start() {
  // Nobody else has the world yet.
  const auto check = [this](int code, const char* what) {
    if (code != 0) throw Disconnected(std::string(what) + ": " + library_.describe(code));
  };
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
  active_.reserve(tickets + 2);

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

std::string World::name(int rank) const { return "rank " + std::to_string(rank) + " (" + hosts_[rank] + ")"; }

// ── failing
// ───────────────────────────────────────────────────────────────────────────────────────────────

void World::check(int code, const char* what) {
  if (code != 0) fail(std::string(what) + ": " + library_.describe(code));
}

void World::fail(const std::string& message) {
  leaveNow(message);
  throw Disconnected(message);
}

/// Requests that are under way stay so for good: nobody can say what their memory holds, and nobody may have
/// it.
void World::leaveNow(const std::string& why) {
  if (isClosed_ || !broken_.empty()) return;
  broken_ = why.empty() ? "it says nothing" : why;
  tell(Word::left, exchange_, broken_);
}

void World::throwIfBroken() const {
  if (!broken_.empty()) throw Disconnected(broken_);
  if (isClosed_ || isEnding_.load(std::memory_order_relaxed)) {
    throw Disconnected("the exchange was given up: this process ends");
  }
}

void World::leave(const std::string& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  leaveNow(why);
  if (!isClosed_) listen();
}

// ── what is under way
// ───────────────────────────────────────────────────────────────────────────────────────────────

void World::begin(Exchange& exchange, const char* what) {
  throwIfBroken();
  if (exchange.isOpen) fail(std::string("expected ") + what + " to end before the next one begins");
  exchange.isOpen = true;
  exchange_.fetch_add(1, std::memory_order_relaxed);
}

mpi::Handle* World::add(Exchange& exchange) {
  if (exchange.requests.empty()) {
    if (active_.empty()) busySince_ = Clock::now();
    active_.push_back(&exchange);
    underWay_.store(static_cast<int>(active_.size()), std::memory_order_relaxed);
  }
  return &exchange.requests.emplace_back();
}

bool World::test(Exchange& exchange) {
  std::vector<mpi::Handle>& requests = exchange.requests;
  if (requests.empty()) return true;
  while (!requests.empty()) {
    int isDone = 0;
    mpi::Status status;
    check(library_.test(&requests.back(), &isDone, &status), "MPI_Test");
    if (!isDone) return false;
    requests.pop_back();
  }
  active_.erase(std::find(active_.begin(), active_.end(), &exchange));
  if (active_.empty()) busy_ += Clock::now() - busySince_;
  underWay_.store(static_cast<int>(active_.size()), std::memory_order_relaxed);
  return true;
}

World::Account World::account(int64_t bytes, Clock::time_point start) {
  const Clock::time_point now = Clock::now();
  const Clock::duration busy = busy_ + (active_.empty() ? Clock::duration::zero() : now - busySince_);
  const Clock::duration taken = busy - std::exchange(told_, busy);
  return {static_cast<double>(bytes), nanoseconds(now - start), nanoseconds(taken)};
}

void World::poll() {
  const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || isClosed_ || !broken_.empty()) return;
  try {
    // To look for one moves all of them.
    while (!active_.empty() && test(*active_.front())) {
    }
  } catch (const Disconnected&) {  // NOLINT(bugprone-empty-catch): who waits for it is told
  }
}

void World::await(Exchange& exchange, std::unique_lock<std::mutex>& lock, bool movesData) {
  const Clock::time_point start = Clock::now();
  bool hasTold = false;
  double heard = 0;
  for (;;) {
    throwIfBroken();
    if (test(exchange)) return;
    const double waited = secondsSince(start);
    // Others are heard a thousand times a second at most, as that costs more than a look at a request.
    if (waited - heard > 1e-3) {
      heard = waited;
      listen();
      for (int i = 0; i < size_; i++) {
        if (others_[i].hasLeft) fail(name(i) + " has ended: " + others_[i].why);
        if (others_[i].doneAt >= 0 && others_[i].doneAt < exchange_) {
          fail("expected all ranks at exchange " + number(static_cast<double>(exchange_)) + ", and " +
               name(i) + " has ended: " + others_[i].why);
        }
      }
      if (!hasTold && waited > patience(timeout_)) {
        hasTold = true;
        tell(Word::waiting, exchange_, "");
      }
      if (waited > timeout_) {
        fail("expected all ranks at exchange " + number(static_cast<double>(exchange_)) + " within " +
             number(timeout_) + " s, got no word of " + missing());
      }
    }
    lock.unlock();
    // Data moves while it is looked for, and then everybody is here. A gathering has next to none: it waits
    // for others to compute, who may want this core.
    if (waited < (movesData ? 1 : 2e-3)) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(waited < 1 ? 50 : 200));
    }
    lock.lock();
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
  begin(gathering_, "a gathering");
  kind_ = kind;
  header_ = {static_cast<double>(exchange_), hashOf(kind), key, {}};
  std::copy_n(own, width, header_.own.begin());
  constexpr int bytes = sizeof(Header);
  check(library_.iallgather(&header_, bytes, library_.byte, headers_.data(), bytes, library_.byte, exchanges_,
                            add(gathering_)),
        "MPI_Iallgather");
}

World::Account World::endGather(double* all, int64_t width) {
  const Clock::time_point start = Clock::now();
  std::unique_lock<std::mutex> lock(mutex_);
  if (!gathering_.isOpen) throw Disconnected("expected a gathering to begin before it ends");
  await(gathering_, lock, false);
  gathering_.isOpen = false;
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
  return account(sizeof(Header), start);
}

namespace {

struct Extent {
  char* data = nullptr;  // of the first part with elements
  int64_t bytes = 0;
  bool isRun = true;  // whether each part begins where the one before ends
};

Extent extentOf(const std::vector<World::Part>& parts) {
  Extent extent;
  const char* end = nullptr;
  for (const World::Part& part : parts) {
    if (part.bytes == 0) continue;
    if (!extent.data) extent.data = part.data;
    if (end && part.data != end) extent.isRun = false;
    end = part.data + part.bytes;
    extent.bytes += part.bytes;
  }
  return extent;
}

}  // namespace

void World::beginReduce(int ticket, const std::vector<Part>& parts, int width) {
  const Extent extent = extentOf(parts);
  const std::lock_guard<std::mutex> lock(mutex_);
  Reduction& reduction = reductions_[ticket];
  throwIfBroken();
  if (!extent.isRun && !reduction.isOpen) {
    reduction.room.resize(extent.bytes);
    char* at = reduction.room.data();
    for (const Part& part : parts) at = std::copy_n(part.data, part.bytes, at);
  }
  begin(reduction, "a reduction");
  reduction.data = extent.isRun ? extent.data : reduction.room.data();
  reduction.bytes = extent.bytes;
  const mpi::Handle type = width == sizeof(float) ? library_.float32 : library_.float64;
  for (int64_t at = 0; at < extent.bytes; at += mostBytes) {
    const int count = static_cast<int>(std::min(mostBytes, extent.bytes - at) / width);
    check(library_.iallreduce(library_.inPlace, reduction.data + at, count, type, library_.sum, exchanges_,
                              add(reduction)),
          "MPI_Iallreduce");
  }
}

World::Account World::endReduce(int ticket, const std::vector<Part>& parts) {
  const Clock::time_point start = Clock::now();
  const Extent extent = extentOf(parts);
  std::unique_lock<std::mutex> lock(mutex_);
  Reduction& reduction = reductions_[ticket];
  if (!reduction.isOpen) throw Disconnected("expected a reduction to begin before it ends");
  const char* const data = extent.isRun ? extent.data : reduction.room.data();
  if (extent.bytes != reduction.bytes || data != reduction.data) {
    throw Disconnected("expected a reduction to end for the arrays that it began with");
  }
  await(reduction, lock, true);
  reduction.isOpen = false;
  if (!extent.isRun) {
    const char* at = reduction.room.data();
    for (const Part& part : parts) {
      std::copy_n(at, part.bytes, part.data);
      at += part.bytes;
    }
  }
  return account(reduction.bytes, start);
}

World::Account World::broadcast(char* data, int64_t bytes, int root) {
  const Clock::time_point start = Clock::now();
  std::unique_lock<std::mutex> lock(mutex_);
  // For good where it fails: MPI is not done with it then.
  auto* const exchange = new Exchange;
  begin(*exchange, "a broadcast");
  for (int64_t at = 0; at < bytes; at += mostBytes) {
    const int count = static_cast<int>(std::min(mostBytes, bytes - at));
    check(library_.ibcast(data + at, count, library_.byte, root, exchanges_, add(*exchange)), "MPI_Ibcast");
  }
  await(*exchange, lock, true);
  delete exchange;
  return account(bytes, start);
}

World::Account World::scatter(void* part, const void* all, const int32_t* counts, int width, int root) {
  const Clock::time_point start = Clock::now();
  struct Scattering : Exchange {
    std::vector<int> counts, places;
  };
  std::unique_lock<std::mutex> lock(mutex_);
  // For good where it fails, as above; MPI reads the counts until the end.
  auto* const exchange = new Scattering;
  exchange->counts.assign(counts, counts + size_);
  exchange->places.resize(size_);
  std::partial_sum(counts, counts + size_ - 1, exchange->places.begin() + 1);
  begin(*exchange, "a scattering");
  // Integers are moved as what has as many bytes.
  const mpi::Handle type = width == sizeof(float) ? library_.float32 : library_.float64;
  check(library_.iscatterv(all, exchange->counts.data(), exchange->places.data(), type, part, counts[rank_],
                           type, root, exchanges_, add(*exchange)),
        "MPI_Iscatterv");
  await(*exchange, lock, true);
  delete exchange;
  return account(int64_t{counts[rank_]} * width, start);
}

// ── what ranks tell each other
// ───────────────────────────────────────────────────────────────────────────────────────────────

void World::tell(Word word, int64_t exchange, const std::string& text) {
  Outgoing& outgoing = outgoing_.emplace_back();
  outgoing.message = {word, 0, exchange, {}};
  std::copy_n(text.c_str(), std::min(text.size(), sizeof(outgoing.message.text) - 1), outgoing.message.text);
  for (int i = 0; i < size_; i++) {
    if (i == rank_) continue;
    mpi::Handle request = 0;
    if (library_.isend(&outgoing.message, sizeof(Message), library_.byte, i, tag, talk_, &request) == 0)
      outgoing.requests.push_back(request);
  }
}

/// What goes wrong here is no reason to end: exchanges tell of themselves.
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
    Known& known = others_[from];
    switch (message.word) {
      case Word::waiting:
        known.waitsAt = std::max(known.waitsAt, message.exchange);
        break;
      case Word::left:
        known.hasLeft = true;
        known.why = message.text;
        break;
      case Word::done:
        known.doneAt = message.exchange;
        known.why = message.text;
        break;
      case Word::gone:
        known.isGone = true;
        break;
    }
  }
  outgoing_.remove_if([this](Outgoing& outgoing) {
    std::vector<mpi::Handle>& requests = outgoing.requests;
    while (!requests.empty()) {
      int isDone = 0;
      mpi::Status status;
      if (library_.test(&requests.back(), &isDone, &status) == 0 && !isDone) return false;
      requests.pop_back();
    }
    return true;
  });
}

// ── ending
// ───────────────────────────────────────────────────────────────────────────────────────────────

/// Looks at `isDone`, with the mutex, until it is true or so many seconds have passed.
template <class F>
bool World::wait(double seconds, const F& isDone) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (isDone()) return true;
    }
    const double waited = secondsSince(start);
    if (waited > seconds) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(waited < 1 ? 200 : 5000));
  }
}

void World::close(int code) {
  // Who waits on another thread gives up.
  isEnding_.store(true, std::memory_order_relaxed);
  bool isWhole = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (isClosed_) return;
    isWhole = code == 0 && broken_.empty() && active_.empty();
    if (isWhole) tell(Word::done, exchange_, "its process came to its end");
  }
  // The others may have much to do that is no exchange. Who hangs there hangs without this process, too. All
  // that was sent has to have arrived, as some libraries complain of what was not asked for.
  isWhole = isWhole && wait(1e300, [this] {
              listen();
              bool areDone = outgoing_.empty();
              for (int i = 0; i < size_; i++) {
                if (i == rank_) continue;
                if (others_[i].hasLeft) broken_ = name(i) + " has ended: " + others_[i].why;
                areDone = areDone && others_[i].doneAt >= 0;
              }
              return areDone || !broken_.empty();
            });
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    isWhole = isWhole && broken_.empty();
    if (isWhole) {
      isClosed_ = true;
    } else {
      leaveNow(code == 0 ? "its process came to its end"
                         : "its process exited with code " + std::to_string(code));
      code_ = code == 0 ? 1 : code;
      listen();
    }
  }
  if (isWhole) {
    // All have said that they are done, and leave at one time.
    opener_.run(
        [this] {
          library_.barrier(library_.world);
          if (!library_.leave()) library_.finalize();
        },
        1e300);
  } else {
    // An error that nobody caught is printed between this and the end.
    std::atexit([] { current()->abort(); });
  }
}

void World::abort() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (isClosed_) return;
    tell(Word::gone, exchange_, "");
  }
  // Those that wait for this rank have a moment to say so, and to end as they want to.
  wait(grace, [this] {
    listen();
    for (int i = 0; i < size_; i++) {
      if (i != rank_ && !others_[i].isGone) return false;
    }
    return true;
  });
  {
    // Not while it aborts, which ends this process from within: other threads must not be left waiting.
    const std::lock_guard<std::mutex> lock(mutex_);
    isClosed_ = true;
  }
  library_.abort(library_.world, code_);
}

}  // namespace axpy
