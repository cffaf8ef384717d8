// Programs: lists of recorded calls, and the threads of each environment that make them.
//
// A program's calls are made on the thread of JavaScript (`run`) or on its executor (`runAsync`), never on
// both at once. An environment has as many executors as its programs name; those of different ones run at the
// same time, and have no memory in common that they write to. A program's arrays lie on SharedArrayBuffers,
// which nobody can detach, and which the program's object keeps alive; a queued run keeps that object.
#pragma once

#include <napi.h>

#include <array>
#include <memory>
#include <vector>

#include "bind.h"

namespace axpy::program {

using Calls = std::vector<std::unique_ptr<bind::Recorded>>;

class Executor;
struct Job;
struct Program;

/// Of one environment.
inline constexpr size_t maxExecutors = 64;

/// What an environment has for its programs. Belongs to the thread of JavaScript.
class Environment {
 public:
  Environment();
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  void initialize(napi_env env);
  /// createProgram(calls, executor, threads)
  napi_value create(napi_env env, napi_callback_info info);

 private:
  static napi_value construct(napi_env env, napi_callback_info info);
  static napi_value run(napi_env env, napi_callback_info info);
  static napi_value times(napi_env env, napi_callback_info info);
  static napi_value runAsync(napi_env env, napi_callback_info info);
  static napi_value setSteady(napi_env env, napi_callback_info info);
  static void deliver(napi_env env, napi_value, void* self, void*);
  static void end(void* self);

  bool read(napi_env env, napi_value list, Calls& calls, napi_value buffers) const;
  /// Waits for the executor of a program, where it has begun to work.
  static void await(const Program& program);
  bool open(napi_env env);
  bool start(napi_env env, size_t executor);
  void settle(napi_env env, const Job& job);

  napi_env env_ = nullptr;
  napi_ref constructor_ = nullptr;
  /// Each from its first `runAsync` to the end of the environment.
  std::array<std::unique_ptr<Executor>, maxExecutors> executors_;
  napi_threadsafe_function doorbell_ = nullptr;
  size_t unsettled_ = 0;
};

}  // namespace axpy::program
