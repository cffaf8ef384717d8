#include "program.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include "parallel.h"
#include "signals.h"
#include "world.h"

namespace axpy::program {

/// What the object of JavaScript wraps.
struct Program {
  Environment* environment;
  size_t executor = 0;
  int threads = 0;  // that it may have at most; 0 for all
  Calls calls;
  size_t exchanging = 0;  // how many of the calls there are up to the last one that exchanges something
  int64_t bytes = 0;
};

struct Job {
  Program* program;
  napi_ref object;  // keeps the program, and with it the memory of its arrays
  napi_deferred deferred;
  std::optional<bind::Failure> failure;
};

namespace {

/// Makes the calls one after the other, until one fails or `proceed`, called before each, returns false.
/// Where that leaves exchanges with other ranks half made, this rank makes no more of them, and the others
/// learn why.
template <class F>
std::optional<bind::Failure> replay(const Program& program, const F& proceed) {
  const parallel::Limit limit(program.threads);
  const char* kernel = "";
  const int64_t begun = World::begun();
  size_t made = 0;
  try {
    for (const auto& call : program.calls) {
      if (!proceed()) break;
      World::progress();
      kernel = call->kernel().name;
      call->run();
      made++;
    }
  } catch (...) {
    bind::Failure failure = bind::currentFailure(kernel);
    if (made < program.exchanging && World::begun() != begun) World::current()->leave(failure.message);
    return failure;
  }
  return std::nullopt;
}

}  // namespace

/// A list, as a job goes from one to the next without memory being asked for: nothing can fail there.
using Jobs = std::list<std::unique_ptr<Job>>;

/// One thread that runs programs in the order in which they were queued. Knows nothing of JavaScript.
class Executor {
 public:
  /// The doorbell is rung when there is something for `takeFinished`.
  explicit Executor(napi_threadsafe_function doorbell);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// A list of one job.
  void queue(Jobs job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      queued_.splice(queued_.end(), job);
      unfinished_.fetch_add(1, std::memory_order_relaxed);
    }
    wake_.notify_one();
  }

  /// Returns when nothing is queued or running.
  void wait() {
    if (unfinished_.load(std::memory_order_acquire) == 0) return;
    std::unique_lock<std::mutex> lock(mutex_);
    idle_.wait(lock, [this] { return unfinished_.load(std::memory_order_relaxed) == 0 || stopping_.load(); });
  }

  Jobs takeFinished() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(finished_, {});
  }

  /// Ends the thread, at the next kernel boundary if it is within a program. For any thread, more than once.
  void stop() {
    const std::lock_guard<std::mutex> alone(stop_);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_.store(true);
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  /// All that was not taken. After `stop`.
  Jobs takeAll() {
    Jobs all = takeFinished();
    all.splice(all.end(), queued_);
    return all;
  }

 private:
  void loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_.load() || !queued_.empty(); });
      if (stopping_.load()) return;
      Jobs running;
      running.splice(running.begin(), queued_, queued_.begin());
      lock.unlock();
      Job& job = *running.front();
      job.failure = replay(*job.program, [this] { return !stopping_.load(std::memory_order_relaxed); });
      lock.lock();
      finished_.splice(finished_.end(), running);
      if (unfinished_.fetch_sub(1, std::memory_order_release) == 1) idle_.notify_all();
      if (finished_.size() > 1 || stopping_.load()) continue;  // rung already, or nobody to hear it
      lock.unlock();
      napi_call_threadsafe_function(doorbell_, nullptr, napi_tsfn_nonblocking);
      lock.lock();
    }
  }

  const napi_threadsafe_function doorbell_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  Jobs queued_, finished_;             // guarded by mutex_
  std::atomic<size_t> unfinished_{0};  // queued or running; changed under mutex_
  std::atomic<bool> stopping_{false};
  std::mutex stop_;
  std::thread thread_;
};

namespace {

/// The executors of the process. process.exit ends no environment; it goes on to the handlers of exit, where
/// OpenBLAS unmaps the buffers that a product may be using. So the executors are stopped there, first.
class Registry {
 public:
  void add(Executor* executor) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!registered_) {
      // Handlers run before the destructors of libraries, OpenBLAS's among them.
      std::atexit([] { instance().stopAll(); });
      registered_ = true;
    }
    executors_.push_back(executor);
  }
  void remove(const Executor* executor) {
    const std::lock_guard<std::mutex> lock(mutex_);
    executors_.erase(std::remove(executors_.begin(), executors_.end(), executor), executors_.end());
  }
  /// Never destroyed: an environment may end after the static destructors have begun.
  static Registry& instance() {
    static Registry& registry = *new Registry;
    return registry;
  }

 private:
  void stopAll() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Executor* executor : executors_) executor->stop();
  }

  std::mutex mutex_;
  bool registered_ = false;
  std::vector<Executor*> executors_;
};

}  // namespace

Executor::Executor(napi_threadsafe_function doorbell) : doorbell_(doorbell) {
  Registry::instance().add(this);
  try {
    const SignalsBlocked blocked;
    thread_ = std::thread(&Executor::loop, this);
  } catch (...) {
    Registry::instance().remove(this);
    throw;
  }
}

Executor::~Executor() {
  Registry::instance().remove(this);
  stop();
}

// ── the environment
// ───────────────────────────────────────────────────────────────────────────────────────────────

Environment::Environment() = default;
Environment::~Environment() = default;

namespace {

/// A function of JavaScript. No C++ exception may leave it.
template <napi_value (*function)(napi_env, napi_callback_info)>
napi_value shielded(napi_env env, napi_callback_info info) {
  try {
    return function(env, info);
  } catch (...) {
    const bind::Failure failure = bind::currentFailure("program");
    return bind::raise(env, failure.code, failure.message);
  }
}

/// Makes `holder` keep a value. Its own property is defined: setting it could run, and be swallowed by, a
/// setter of a prototype.
bool keep(napi_env env, napi_value holder, size_t index, napi_value value) {
  const std::string name = std::to_string(index);
  napi_property_descriptor property = {};
  property.utf8name = name.c_str();
  property.value = value;
  property.attributes = napi_default;
  return napi_define_properties(env, holder, 1, &property) == napi_ok;
}

const bind::Kernel* find(const std::string& name) {
  const bind::Kernel* found = nullptr;
  bind::Family::forEachKernel([&](const bind::Kernel& kernel) {
    if (name == kernel.name) found = &kernel;
  });
  return found;
}

}  // namespace

void Environment::initialize(napi_env env) {
  env_ = env;
  napi_property_descriptor methods[4] = {};
  methods[0].utf8name = "run";
  methods[0].method = shielded<run>;
  methods[1].utf8name = "runAsync";
  methods[1].method = shielded<runAsync>;
  methods[2].utf8name = "times";
  methods[2].method = shielded<times>;
  methods[3].utf8name = "setSteady";
  methods[3].method = shielded<setSteady>;
  napi_value constructor = nullptr;
  if (napi_define_class(env, "Program", NAPI_AUTO_LENGTH, shielded<construct>, this, 4, methods,
                        &constructor) == napi_ok) {
    napi_create_reference(env, constructor, 1, &constructor_);
  }
}

napi_value Environment::create(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3] = {}, constructor = nullptr, program = nullptr;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  napi_get_reference_value(env, constructor_, &constructor);
  napi_new_instance(env, constructor, 3, values, &program);
  return program;
}

void Environment::await(const Program& program) {
  if (Executor* executor = program.environment->executors_[program.executor].get()) executor->wait();
}

namespace {

/// An integer argument, 0 where it was left out. False, with an exception pending, unless it is in [0, most].
bool readCount(napi_env env, const char* name, napi_value value, size_t most, size_t& count) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  if (type == napi_undefined) return true;
  double number = -1;
  if (napi_get_value_double(env, value, &number) == napi_ok && number >= 0 &&
      number <= static_cast<double>(most) && number == std::floor(number)) {
    count = static_cast<size_t>(number);
    return true;
  }
  bind::raise(env, "AXPY_KERNEL",
              std::string("[createProgram] expected ") + name + " to be an integer from 0 to " +
                  std::to_string(most) + ", got " + bind::describe(env, value));
  return false;
}

}  // namespace

/// False when an exception is pending.
bool Environment::read(napi_env env, napi_value list, Calls& calls, napi_value buffers) const {
  const auto refuse = [env](const std::string& expectation) {
    bind::raise(env, "AXPY_KERNEL", "[createProgram] expected " + expectation);
    return false;
  };
  const auto isArray = [env](napi_value value) {
    bool result = false;
    return napi_is_array(env, value, &result) == napi_ok && result;
  };
  if (!isArray(list)) return refuse("calls to be an array, got " + bind::describe(env, list));
  uint32_t length = 0;
  napi_get_array_length(env, list, &length);
  std::unordered_set<const void*> known;
  std::vector<bind::Held> held;
  size_t kept = 0;
  for (uint32_t i = 0; i < length; i++) {
    const Napi::HandleScope scope(env);
    const std::string title = "call " + std::to_string(i);
    napi_value entry = nullptr, name = nullptr;
    if (napi_get_element(env, list, i, &entry) != napi_ok) return false;
    if (!isArray(entry)) return refuse(title + " to be an array, got " + bind::describe(env, entry));
    if (napi_get_element(env, entry, 0, &name) != napi_ok) return false;
    napi_valuetype type = napi_undefined;
    napi_typeof(env, name, &type);
    if (type != napi_string) return refuse(title + " to name a kernel, got " + bind::describe(env, name));
    const std::string text = Napi::String(env, name);
    const bind::Kernel* kernel = find(text);
    if (!kernel) return refuse(title + " to name a kernel, got \"" + text + "\"");

    bind::Values values{};
    for (uint32_t j = 0; j < kernel->count; j++) {
      if (napi_get_element(env, entry, j + 1, &values[j]) != napi_ok) return false;
    }
    held.clear();
    try {
      auto call = kernel->record(env, *kernel, values, held);
      if (!call) return false;
      calls.push_back(std::move(call));
    } catch (...) {
      const bind::Failure failure = bind::currentFailure(kernel->name);
      bind::raise(env, failure.code, failure.message);
      return false;
    }
    for (const bind::Held& array : held) {
      if (!known.insert(array.data).second) continue;
      napi_value buffer = nullptr;
      napi_get_typedarray_info(env, array.value, nullptr, nullptr, nullptr, &buffer, nullptr);
      bool ordinary = true;
      napi_is_arraybuffer(env, buffer, &ordinary);  // false for a SharedArrayBuffer
      if (ordinary) {
        return refuse(title + " (" + kernel->name + ") to have its " +
                      bind::nameOf(*kernel, array.position, array.item) +
                      " on a SharedArrayBuffer, got an ordinary one");
      }
      if (!keep(env, buffers, kept++, buffer)) return false;
    }
  }
  return true;
}

napi_value Environment::construct(napi_env env, napi_callback_info info) {
  size_t count = 3, threads = 0;
  napi_value values[3] = {}, self = nullptr, target = nullptr;
  void* environment = nullptr;
  napi_get_cb_info(env, info, &count, values, &self, &environment);
  if (napi_get_new_target(env, info, &target) != napi_ok || !target) {
    return bind::raise(env, "AXPY_KERNEL", "[createProgram] expected to be called with new");
  }
  auto program = std::make_unique<Program>();
  program->environment = static_cast<Environment*>(environment);
  if (!readCount(env, "executor", values[1], maxExecutors - 1, program->executor) ||
      !readCount(env, "threads", values[2], parallel::maxThreads, threads)) {
    return nullptr;
  }
  program->threads = static_cast<int>(threads);
  napi_value buffers = nullptr;
  if (napi_create_object(env, &buffers) != napi_ok) return nullptr;
  if (!program->environment->read(env, values[0], program->calls, buffers)) return nullptr;

  for (size_t i = 0; i < program->calls.size(); i++) {
    if (program->calls[i]->kernel().exchanges) program->exchanging = i + 1;
  }

  // The object holds the buffers, and not the addon, so that the garbage collector sees all there is to see.
  napi_property_descriptor property = {};
  property.value = buffers;
  property.attributes = napi_default;
  if (napi_create_symbol(env, nullptr, &property.name) != napi_ok ||
      napi_define_properties(env, self, 1, &property) != napi_ok) {
    return nullptr;
  }
  // An estimate, so that programs that are dropped make the garbage collector look for them.
  program->bytes = static_cast<int64_t>(sizeof(Program) + program->calls.size() * 256);
  const auto finalize = [](napi_env finalEnv, void* data, void*) {
    auto* const dropped = static_cast<Program*>(data);
    int64_t total = 0;
    napi_adjust_external_memory(finalEnv, -dropped->bytes, &total);
    delete dropped;
  };
  if (napi_wrap(env, self, program.get(), finalize, nullptr, nullptr) != napi_ok) return nullptr;
  int64_t total = 0;
  napi_adjust_external_memory(env, program->bytes, &total);
  program.release();  // NOLINT(bugprone-unused-return-value): the wrapper has it
  return self;
}

namespace {

/// nullptr, with an exception pending, when it is not one.
Program* programOf(napi_env env, napi_callback_info info, napi_value* self) {
  size_t count = 0;
  void* program = nullptr;
  napi_get_cb_info(env, info, &count, nullptr, self, nullptr);
  if (napi_unwrap(env, *self, &program) != napi_ok) {
    bind::raise(env, "AXPY_KERNEL", "[run] expected this to be a Program, got " + bind::describe(env, *self));
  }
  return static_cast<Program*>(program);
}

}  // namespace

napi_value Environment::run(napi_env env, napi_callback_info info) {
  napi_value self = nullptr;
  const Program* program = programOf(env, info, &self);
  if (!program) return nullptr;
  await(*program);
  const auto failure = replay(*program, [] { return true; });
  if (!failure) return nullptr;
  // MPI writes to what it was given even when nobody waits for it any more: the memory is kept for good.
  napi_ref kept = nullptr;
  if (World::isUnderWay()) napi_create_reference(env, self, 1, &kept);
  bind::raise(env, failure->code, failure->message);
  return nullptr;
}

napi_value Environment::setSteady(napi_env env, napi_callback_info info) {
  size_t count = 2, length = 0;
  napi_value values[2] = {}, self = nullptr;
  void *program = nullptr, *data = nullptr;
  bool isSteady = false;
  napi_typedarray_type type = napi_float32_array;
  napi_get_cb_info(env, info, &count, values, &self, nullptr);
  if (napi_unwrap(env, self, &program) != napi_ok) {
    return bind::raise(env, "AXPY_KERNEL",
                       "[setSteady] expected this to be a Program, got " + bind::describe(env, self));
  }
  if (napi_get_typedarray_info(env, values[0], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      !(type == napi_float32_array || type == napi_float64_array)) {
    return bind::raise(env, "AXPY_KERNEL",
                       "[setSteady] expected array to be a Float32Array or a Float64Array, got " +
                           bind::describe(env, values[0]));
  }
  if (napi_get_value_bool(env, values[1], &isSteady) != napi_ok) {
    return bind::raise(
        env, "AXPY_KERNEL",
        "[setSteady] expected isSteady to be a boolean, got " + bind::describe(env, values[1]));
  }
  const Program& own = *static_cast<Program*>(program);
  await(own);
  const char* const begin = static_cast<const char*>(data);
  const char* const end = begin + length * (type == napi_float32_array ? sizeof(float) : sizeof(double));
  for (const auto& call : own.calls) call->setSteady(begin, end, isSteady);
  return nullptr;
}

napi_value Environment::times(napi_env env, napi_callback_info info) {
  napi_value self = nullptr, buffer = nullptr, result = nullptr;
  const Program* program = programOf(env, info, &self);
  if (!program) return nullptr;
  const size_t count = program->calls.size();
  void* data = nullptr;
  if (napi_create_arraybuffer(env, count * sizeof(double), &data, &buffer) != napi_ok) return nullptr;
  std::vector<std::chrono::steady_clock::time_point> starts;
  starts.reserve(count + 1);
  await(*program);
  const auto failure = replay(*program, [&] {
    starts.push_back(std::chrono::steady_clock::now());
    return true;
  });
  if (failure) return bind::raise(env, failure->code, failure->message);
  starts.push_back(std::chrono::steady_clock::now());
  for (size_t i = 0; i < count; i++) {
    static_cast<double*>(data)[i] =
        std::chrono::duration<double, std::nano>(starts[i + 1] - starts[i]).count();
  }
  napi_create_typedarray(env, napi_float64_array, count, buffer, 0, &result);
  return result;
}

napi_value Environment::runAsync(napi_env env, napi_callback_info info) {
  napi_value self = nullptr;
  Program* program = programOf(env, info, &self);
  if (!program) return nullptr;
  Environment& environment = *program->environment;
  auto& executor = environment.executors_[program->executor];
  if (!executor && !environment.start(env, program->executor)) return nullptr;
  Jobs jobs;
  Job& job = *jobs.emplace_back(std::make_unique<Job>());
  job.program = program;
  napi_value promise = nullptr;
  if (napi_create_reference(env, self, 1, &job.object) != napi_ok) return nullptr;
  if (napi_create_promise(env, &job.deferred, &promise) != napi_ok) {
    napi_delete_reference(env, job.object);
    return nullptr;
  }
  if (environment.unsettled_++ == 0) napi_ref_threadsafe_function(env, environment.doorbell_);
  executor->queue(std::move(jobs));
  return promise;
}

/// The doorbell of all executors, which keeps the process alive only while something is unsettled.
bool Environment::open(napi_env env) {
  if (doorbell_) return true;
  napi_value name = nullptr;
  napi_create_string_utf8(env, "axpy", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, deliver,
                                      &doorbell_) != napi_ok) {
    doorbell_ = nullptr;
    return false;
  }
  napi_unref_threadsafe_function(env, doorbell_);
  // Hooks run last in, first out: this one has to come before that of the doorbell, hence after it here.
  napi_add_env_cleanup_hook(env, end, this);
  return true;
}

bool Environment::start(napi_env env, size_t executor) {
  if (!open(env)) return false;
  try {
    executors_[executor] = std::make_unique<Executor>(doorbell_);
  } catch (const std::exception& error) {
    bind::raise(env, "AXPY_THREAD", std::string("[runAsync] no thread could be started: ") + error.what());
    return false;
  }
  return true;
}

/// On the thread of JavaScript, after the doorbell was rung.
void Environment::deliver(napi_env env, napi_value, void* self, void*) {
  // Without an environment the doorbell is being taken down, after `end`.
  if (!env) return;
  auto& environment = *static_cast<Environment*>(self);
  for (const auto& executor : environment.executors_) {
    if (!executor) continue;
    for (const auto& job : executor->takeFinished()) {
      const Napi::HandleScope scope(env);
      environment.settle(env, *job);
    }
  }
}

void Environment::settle(napi_env env, const Job& job) {
  // First, since an error factory may call back into here.
  if (--unsettled_ == 0) napi_unref_threadsafe_function(env, doorbell_);
  // As in `run`, MPI may still write to the memory of a run that failed.
  if (!job.failure || !World::isUnderWay()) napi_delete_reference(env, job.object);
  // These fail, harmlessly, when the environment is being terminated.
  napi_value undefined = nullptr;
  napi_get_undefined(env, &undefined);
  if (!job.failure) {
    napi_resolve_deferred(env, job.deferred, undefined);
  } else {
    const napi_value error = bind::makeError(env, job.failure->code, job.failure->message);
    napi_reject_deferred(env, job.deferred, error ? error : undefined);
  }
}

/// The environment ends, by itself or terminated: nothing may touch its memory from here on. What was queued
/// is dropped with its promises.
void Environment::end(void* self) {
  auto& environment = *static_cast<Environment*>(self);
  for (auto& executor : environment.executors_) {
    if (!executor) continue;
    executor->stop();
    for (const auto& job : executor->takeAll()) napi_delete_reference(environment.env_, job->object);
    executor.reset();
  }
  napi_release_threadsafe_function(environment.doorbell_, napi_tsfn_abort);
}

}  // namespace axpy::program
