// Programs: lists of recorded calls, and the thread of each environment that makes them.
//
// A program's calls are made on the thread of JavaScript (`run`) or on the executor (`runAsync`), never on
// both at once. Its arrays lie on SharedArrayBuffers, which nobody can detach, and which the program's object
// keeps alive; a queued run keeps that object.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "bind.h"

namespace axpy::program {

using Calls = std::vector<std::unique_ptr<bind::Recorded>>;

class Executor;
struct Job;

/// What an environment has for its programs. Belongs to the thread of JavaScript.
class Environment {
 public:
  Environment();
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  void initialize(napi_env env);
  /// createProgram(calls)
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
  bool start(napi_env env);
  void settle(napi_env env, const Job& job);

  napi_env env_ = nullptr;
  napi_ref constructor_ = nullptr;
  /// From the first `runAsync` to the end of the environment.
  std::unique_ptr<Executor> executor_;
  napi_threadsafe_function doorbell_ = nullptr;
  size_t unsettled_ = 0;
};

}  // namespace axpy::program
