// The processes of a job ("ranks") that train together, and what they exchange. One world a process, opened
// once, whichever environment does it; the kernels of exchange.cc are what it is used by.
//
// MPI is called by one thread at a time (MPI_THREAD_SERIALIZED): every call is made under a mutex. It moves
// data on only while it is called, so who has begun an exchange and goes on computing calls `progress` now
// and then: programs do, before each of their kernels.
//
// Nothing waits for ever. Who has waited for a second tells the others at which exchange; who ends with an
// error tells them why. So a rank that waits in vain knows whom for, and says so.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mpi.h"

namespace axpy {

/// An exchange that cannot be made, for what happened in this process or in another one.
struct Disconnected : std::exception {
  std::string message;
  explicit Disconnected(std::string message) : message(std::move(message)) {}
  const char* what() const noexcept override { return message.c_str(); }
};

class World {
 public:
  using Clock = std::chrono::steady_clock;

  /// Reductions that may be under way at a time.
  static constexpr int tickets = 256;
  /// Numbers of its own that a rank can give to a gathering.
  static constexpr int64_t maxWidth = 16;

  /// Opens the world of this process with the first MPI of these files, or throws mpi::Unavailable or
  /// Disconnected. Once; later calls throw.
  static World& open(const std::vector<std::string>& paths, double timeout);
  /// nullptr before.
  static World* current() { return current_.load(std::memory_order_acquire); }
  /// Moves on what has begun, where something has. Costs a load where nothing has.
  static void progress() {
    if (underWay_.load(std::memory_order_relaxed) != 0) current()->poll();
  }
  /// Exchanges that wait give up, and no others begin: the process ends.
  static void interrupt() { interrupted_.store(true, std::memory_order_relaxed); }

  int rank() const { return rank_; }
  int size() const { return size_; }
  std::string version() const { return library_.version(); }
  const std::vector<std::string>& hosts() const { return hosts_; }

  /// What is counted of the exchanges of a program.
  struct Account {
    double bytes = 0, waited = 0, taken = 0;  // taken and waited in nanoseconds
  };

  /// Begins to gather `width` numbers of each rank. All ranks must be about to do the same: `kind` and `key`
  /// say what, and the others are told.
  void beginGather(const double* own, int64_t width, const char* kind, double key);
  /// Waits for it: all[size × width]. Throws Disconnected where a rank is about to do something else.
  Account endGather(double* all, int64_t width);
  /// Begins to add up arrays, in place.
  template <class T>
  void beginReduce(int slot, T* data, int64_t length);
  Account endReduce(int slot);
  /// Sends bytes of one rank to all.
  Account broadcast(void* data, int64_t bytes, int root);

  /// Tells the others that this rank ends, and why.
  void leave(const std::string& why);
  /// The end: with all ranks where the code is 0 and nothing has failed, else by ending the job. MPI is of no
  /// use afterwards.
  void close(int code);

 private:
  struct Request {
    mpi::Handle handle = 0;
    bool isActive = false;
    Clock::time_point begun, ended;
  };
  enum class Word : int32_t { waiting, left };
  /// What ranks tell each other beside exchanges.
  struct Message {
    Word word;
    int32_t unused = 0;
    int64_t exchange;
    char text[496];
  };
  struct Outgoing {
    Message message;
    std::vector<Request> requests;
  };
  /// What is known of another rank.
  struct Known {
    int64_t waitsAt = 0;  // the latest exchange it told to wait for
    bool hasLeft = false;
    std::string why;
  };
  struct Header {
    double exchange, kind, key;
    std::array<double, maxWidth> own;
  };

  World(mpi::Library library, double timeout);

  void check(int code, const char* what) const;
  void beginAny(Request& request, const char* what);
  /// Whether it has ended, of one that is under way. With the mutex.
  bool test(Request& request);
  void poll();
  /// Waits until `isDone`, which is called with the mutex. Throws Disconnected.
  template <class F>
  void await(const F& isDone, double seconds);
  void tell(Word word, int64_t exchange, const std::string& text);
  void listen();
  std::string name(int rank) const;
  [[noreturn]] void fail(const std::string& message);
  void throwIfBroken() const;
  std::string missing() const;

  mpi::Library library_;
  const double timeout_;  // seconds
  int rank_ = 0, size_ = 1;
  std::vector<std::string> hosts_;
  mpi::Handle exchanges_ = 0, talk_ = 0;  // communicators

  mutable std::mutex mutex_;  // held by whoever calls MPI
  int64_t exchange_ = 0;      // how many have begun
  Request gathering_;
  Header header_{};
  const char* kind_ = "";
  std::vector<Header> headers_;
  std::array<Request, tickets> reductions_;
  std::array<int64_t, tickets> reduced_{};  // bytes
  std::list<Outgoing> outgoing_;
  std::vector<Known> others_;
  std::string broken_;
  bool isClosed_ = false;

  inline static std::atomic<World*> current_{nullptr};
  inline static std::atomic<int> underWay_{0};
  inline static std::atomic<bool> interrupted_{false};
};

}  // namespace axpy
