// Signals belong to Node's own threads: a thread of ours is started with all of them blocked.
#pragma once

#include <csignal>

namespace axpy {

/// Blocks every signal on this thread while it lives; a thread started meanwhile inherits that for good.
class [[maybe_unused]] SignalsBlocked {
#if !defined(_WIN32)  // which has none
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t previous_;
#endif
};

}  // namespace axpy
