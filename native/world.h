// The processes of a job ("ranks") that train together, and what they exchange. One world a process, opened
// once, whichever environment does it; the kernels of exchange.cc are what it is used by.
//
// MPI is called by one thread at a time (MPI_THREAD_SERIALIZED): every call is made under a mutex. It moves
// data on only while it is called, so who has begun an exchange and goes on computing calls `progress` now
// and then: programs do, before each of their kernels.
//
// Nothing waits for ever. Who has waited for long tells the others at which exchange; who ends tells them
// why. So a rank that waits in vain knows whom for, and says so.
//
// Ranks match their exchanges by order alone, and MPI is free to do anything with two that are not the same.
// So a rank that has missed one makes no other: from then on the world is broken, and every exchange throws.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
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
  /// Moves on what has begun, where something has. Costs a load where nothing has. Throws nothing.
  static void progress() {
    if (underWay_.load(std::memory_order_relaxed) != 0) current()->poll();
  }

  int rank() const { return rank_; }
  int size() const { return size_; }
  std::string version() const { return library_.version(); }
  const std::vector<std::string>& hosts() const { return hosts_; }
  /// How many exchanges this process has begun.
  static int64_t begun() {
    const World* const world = current();
    return world ? world->exchange_.load(std::memory_order_relaxed) : 0;
  }
  /// Whether MPI may still write to what an exchange was given.
  static bool isUnderWay() { return underWay_.load(std::memory_order_relaxed) != 0; }

  /// What is counted of the exchanges of a program.
  struct Account {
    double bytes = 0, waited = 0, taken = 0;  // taken and waited in nanoseconds
  };

  /// Begins to gather `width` numbers of each rank. All ranks must be about to do the same: `kind` and `key`
  /// say what, and the others are told.
  void beginGather(const double* own, int64_t width, const char* kind, double key);
  /// Waits for it: all[size × width]. Throws Disconnected where a rank is about to do something else.
  Account endGather(double* all, int64_t width);
  /// Divides elements of `width` bytes, 4 or 8, of one rank among all: counts[rank] each, together as many as
  /// an int holds.
  Account scatter(void* part, const void* all, const int32_t* counts, int width, int root);

  /// Bytes of one array.
  struct Part {
    char* data;
    int64_t bytes;
  };
  /// Begins to add up the floats of arrays, `width` bytes each: in place where they lie one after the other,
  /// else in memory of the ticket. Nobody else may use the arrays until the end, and they have to outlive it.
  void beginReduce(int ticket, const std::vector<Part>& parts, int width);
  /// Ends it, for the arrays that it began with: throws Disconnected for others.
  Account endReduce(int ticket, const std::vector<Part>& parts);
  /// Sends bytes of one rank to all.
  Account broadcast(char* data, int64_t bytes, int root);

  /// Tells the others that this rank makes no more exchanges, and why.
  void leave(const std::string& why);
  /// The process ends. With all ranks, which it waits for, where the code is 0 and nothing has failed; else
  /// the job is ended as well, when this process has said whatever it has to say, and is gone.
  void close(int code);

 private:
  /// What has begun and not ended, in as many requests as it takes.
  struct Exchange {
    bool isOpen = false;
    std::vector<mpi::Handle> requests;  // those that are under way
  };
  struct Reduction : Exchange {
    char* data = nullptr;
    int64_t bytes = 0;
    std::vector<char> room;  // for what is scattered; kept, as the next step wants as much
  };
  /// waiting: at which exchange. left: no more of them, as something failed. done: after which one a rank
  /// ended as it should. gone: has nothing more to say.
  enum class Word : int32_t { waiting, left, done, gone };
  /// What ranks tell each other beside exchanges.
  struct Message {
    Word word;
    int32_t unused = 0;
    int64_t exchange;
    char text[496];
  };
  struct Outgoing {
    Message message;
    std::vector<mpi::Handle> requests;
  };
  /// What is known of another rank.
  struct Known {
    int64_t waitsAt = 0;  // the latest exchange it told to wait for
    int64_t doneAt = -1;  // the last one that it is going to make; -1 while there may be others
    bool hasLeft = false, isGone = false;
    std::string why;
  };
  struct Header {
    double exchange, kind, key;
    std::array<double, maxWidth> own;
  };

  /// The thread that opens MPI, and is the one that has to close it. It can be left behind where that hangs.
  class Opener {
   public:
    /// False where it has not returned within so many seconds. Throws what `task` throws.
    bool run(std::function<void()> task, double seconds);

   private:
    void loop();
    std::mutex mutex_;
    std::condition_variable wake_;
    std::function<void()> task_;
    std::exception_ptr error_;
    std::atomic<bool> isDone_{false};
    bool hasStarted_ = false;
  };

  World(mpi::Library library, double timeout) : library_(std::move(library)), timeout_(timeout) {}
  void start();
  void abort();

  // All of these with the mutex.
  void check(int code, const char* what);
  void begin(Exchange& exchange, const char* what);
  /// A request more of an exchange; its handle is to be written there.
  mpi::Handle* add(Exchange& exchange);
  /// Of an exchange of so many bytes that has ended, for which a call waited from `start` on.
  Account account(int64_t bytes, Clock::time_point start);
  /// Whether all its requests have ended.
  bool test(Exchange& exchange);
  void tell(Word word, int64_t exchange, const std::string& text);
  void listen();
  void leaveNow(const std::string& why);
  [[noreturn]] void fail(const std::string& message);
  void throwIfBroken() const;
  std::string missing() const;

  void poll();
  /// Waits for all requests of an exchange. With the mutex, which it lets go of meanwhile. Throws
  /// Disconnected.
  void await(Exchange& exchange, std::unique_lock<std::mutex>& lock, bool movesData);
  template <class F>
  bool wait(double seconds, const F& isDone);
  std::string name(int rank) const;

  mpi::Library library_;
  const double timeout_;  // seconds
  int rank_ = 0, size_ = 1;
  std::vector<std::string> hosts_;
  mpi::Handle exchanges_ = 0, talk_ = 0;  // communicators
  Opener opener_;

  mutable std::mutex mutex_;  // held by whoever calls MPI
  std::atomic<int64_t> exchange_{0};
  Exchange gathering_;
  Header header_{};
  const char* kind_ = "";
  std::vector<Header> headers_;
  std::array<Reduction, tickets> reductions_;
  // How long some exchange was under way: until `busySince_`, where one is now, and what of it was accounted
  // for.
  Clock::duration busy_{}, told_{};
  Clock::time_point busySince_;
  std::vector<Exchange*> active_;  // with requests, in the order in which they began
  std::list<Outgoing> outgoing_;
  std::vector<Known> others_;
  std::string broken_;
  bool isClosed_ = false;
  int code_ = 0;

  inline static std::atomic<World*> current_{nullptr};
  inline static std::atomic<int> underWay_{0};  // the length of active_
  inline static std::atomic<bool> isEnding_{false};
};

}  // namespace axpy
