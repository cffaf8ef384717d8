// The module: registers the kernels, and what an addon tells about itself. State is per environment, but for
// the pool.

#include <napi.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "bind.h"
#include "blas.h"
#include "codes.h"
#include "cores.h"
#include "machine.h"
#include "parallel.h"
#include "program.h"
#include "simd.h"
#include "world.h"

namespace axpy {
namespace bind {

struct Environment {
  Napi::FunctionReference errorFactory;
  program::Environment programs;
};

Failure currentFailure(const char* kernel) noexcept {
  try {
    const std::string name = std::string("[") + kernel + "] ";
    try {
      std::rethrow_exception(std::current_exception());
    } catch (const Violation& violation) {
      return {violation.code, violation.message};
    } catch (const Disconnected& disconnected) {
      return {"AXPY_DISTRIBUTED", name + disconnected.message};
    } catch (const std::bad_alloc&) {
      return {"AXPY_MEMORY", name + "expected memory to work in, got none from the system"};
    } catch (const std::exception& error) {
      return {"AXPY_KERNEL", name + error.what()};
    }
  } catch (...) {
    return {"AXPY_MEMORY", "out of memory"};  // so short that it needs none
  }
}

napi_value makeError(napi_env env, const char* code, const std::string& message) {
  const auto* state = Napi::Env(env).GetInstanceData<Environment>();
  napi_value arguments[2] = {};
  napi_value error = nullptr;
  if (napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &arguments[0]) != napi_ok ||
      napi_create_string_utf8(env, message.data(), message.size(), &arguments[1]) != napi_ok) {
    return nullptr;
  }
  if (!state || state->errorFactory.IsEmpty()) {
    napi_create_error(env, arguments[0], arguments[1], &error);
    return error;
  }
  napi_value undefined = nullptr, factory = nullptr;
  napi_get_undefined(env, &undefined);
  napi_get_reference_value(env, state->errorFactory, &factory);
  if (napi_call_function(env, undefined, factory, 2, arguments, &error) == napi_ok) return error;
  error = nullptr;
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) {
    napi_get_and_clear_last_exception(env, &error);
  }
  return error;
}

napi_value raise(napi_env env, const char* code, const std::string& message) {
  const napi_value error = makeError(env, code, message);
  if (error) napi_throw(env, error);
  return nullptr;
}

std::string describe(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  switch (type) {
    case napi_null:
      return "null";
    case napi_undefined:
      return "undefined";
    case napi_boolean:
      return "boolean";
    case napi_number:
      return "number";
    case napi_string:
      return "string";
    case napi_symbol:
      return "symbol";
    case napi_function:
      return "function";
    case napi_bigint:
      return "bigint";
    default:
      break;
  }
  // Getters and proxies may throw here.
  napi_value constructor = nullptr, name = nullptr;
  napi_valuetype nameType = napi_undefined;
  if (napi_get_named_property(env, value, "constructor", &constructor) == napi_ok &&
      napi_get_named_property(env, constructor, "name", &name) == napi_ok &&
      napi_typeof(env, name, &nameType) == napi_ok && nameType == napi_string) {
    const std::string text = Napi::String(env, name);
    if (!text.empty()) return text;
  }
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) {
    napi_value ignored;
    napi_get_and_clear_last_exception(env, &ignored);
  }
  return "object";
}

napi_value raiseType(napi_env env, const Kernel& kernel, const std::string& argument,
                     const std::string& expectation, napi_value value) {
  return raise(env, "AXPY_KERNEL",
               std::string("[") + kernel.name + "] expected " + argument + " " + expectation + ", got " +
                   describe(env, value));
}

std::string nameOf(const Kernel& kernel, size_t position, int64_t item) {
  const std::string name = kernel.arguments[position];
  return item < 0 ? name : name + "[" + std::to_string(item) + "]";
}

std::string arrayName(napi_typedarray_type type) {
  switch (type) {
    case napi_float32_array:
      return "a Float32Array";
    case napi_float64_array:
      return "a Float64Array";
    case napi_int32_array:
      return "an Int32Array";
    default:
      return "a Uint32Array";
  }
}

std::string selectorNames(size_t versions) {
  return versions == 2 ? "a Float32Array or Float64Array" : "a Float32Array, Float64Array or Int32Array";
}

}  // namespace bind

namespace {

template <class Op>
void listCodes(Napi::Env env, Napi::Object codes) {
  auto names = Napi::Array::New(env);
  for (const char* name : Codes<Op>::names) names[names.Length()] = Napi::String::New(env, name);
  codes[Codes<Op>::list] = names;
}

Napi::Value manifest(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto list = Napi::Object::New(env);
  bind::Family::forEachKernel([&](const bind::Kernel& kernel) {
    auto arguments = Napi::Object::New(env);
    for (size_t i = 0; i < kernel.count; i++) arguments[kernel.arguments[i]] = kernel.describe(i);
    list[kernel.name] = arguments;
  });
  auto codes = Napi::Object::New(env);
  listCodes<UnaryOp>(env, codes);
  listCodes<BinaryOp>(env, codes);
  listCodes<ReduceOp>(env, codes);
  listCodes<LossOp>(env, codes);
  listCodes<ExchangeKind>(env, codes);
  auto result = Napi::Object::New(env);
  result["kernels"] = list;
  result["codes"] = codes;
  return result;
}

Napi::Value information(const Napi::CallbackInfo& info) {
  auto result = Napi::Object::New(info.Env());
  result["blas"] = blas::description();
  result["simd"] = simd::name();
  result["threads"] = parallel::threads();
  return result;
}

Napi::Value limits(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Limits measured = measureLimits();
  auto result = Napi::Object::New(env);
  result["float32"] = measured.float32;
  result["float64"] = measured.float64;
  auto bandwidths = Napi::Array::New(env);
  for (const Bandwidth& bandwidth : measured.bandwidths) {
    auto entry = Napi::Object::New(env);
    entry["bytes"] = bandwidth.bytes;
    entry["rate"] = bandwidth.rate;
    bandwidths[bandwidths.Length()] = entry;
  }
  result["bandwidths"] = bandwidths;
  return result;
}

Napi::Value setThreads(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Value count = info[0];
  const double number = count.IsNumber() ? count.As<Napi::Number>().DoubleValue() : 0;
  if (number >= 1 && number <= parallel::maxThreads && number == std::floor(number)) {
    parallel::setThreads(static_cast<int>(number));
  } else {
    const std::string got = count.IsNumber() ? formatNumber(number) : bind::describe(env, count);
    bind::raise(env, "AXPY_ARGUMENT",
                "[setThreads] expected count to be an integer from 1 to 64, got " + got);
  }
  return env.Undefined();
}

Napi::Value setErrorFactory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info[0].IsFunction()) {
    env.GetInstanceData<bind::Environment>()->errorFactory = Napi::Persistent(info[0].As<Napi::Function>());
  } else {
    bind::raise(env, "AXPY_ARGUMENT",
                "[setErrorFactory] expected factory to be a function, got " + bind::describe(env, info[0]));
  }
  return env.Undefined();
}

/// An export beside the kernels. No C++ exception may leave it.
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value shielded(const Napi::CallbackInfo& info) {
  try {
    return function(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    const bind::Failure failure = bind::currentFailure("axpy");
    bind::raise(info.Env(), failure.code, failure.message);
    return info.Env().Undefined();
  }
}

/// openWorld(libraries, timeout)
Napi::Value openWorld(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto given = info[0].As<Napi::Array>();
  std::vector<std::string> libraries;
  for (uint32_t i = 0; i < given.Length(); i++) libraries.push_back(given.Get(i).As<Napi::String>());
  try {
    const World& world = World::open(libraries, info[1].As<Napi::Number>().DoubleValue());
    auto result = Napi::Object::New(env);
    result["rank"] = world.rank();
    result["size"] = world.size();
    result["library"] = world.version();
    auto hosts = Napi::Array::New(env);
    for (const std::string& host : world.hosts()) hosts[hosts.Length()] = Napi::String::New(env, host);
    result["hosts"] = hosts;
    return result;
  } catch (const mpi::Unavailable& unavailable) {
    bind::raise(env, "AXPY_DISTRIBUTED", "[distribute] " + unavailable.message);
  } catch (const Disconnected& disconnected) {
    bind::raise(env, "AXPY_DISTRIBUTED", "[distribute] " + disconnected.message);
  }
  return env.Undefined();
}

/// leaveWorld(why)
Napi::Value leaveWorld(const Napi::CallbackInfo& info) {
  if (World* const world = World::current()) world->leave(info[0].As<Napi::String>());
  return info.Env().Undefined();
}

/// closeWorld(code)
Napi::Value closeWorld(const Napi::CallbackInfo& info) {
  if (World* const world = World::current()) world->close(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

napi_value createProgram(napi_env env, napi_callback_info info) {
  return Napi::Env(env).GetInstanceData<bind::Environment>()->programs.create(env, info);
}

/// Once a process: the first environment sets the number of threads, and later ones leave it as it has
/// become. Returns a message when AXPY_THREADS is of no use; empty, it counts as unset.
std::string initializeProcess() {
  static const std::string failure = [] {
    blas::initialize();
    int count = std::min(availableCores(), parallel::maxThreads);
    std::string message;
    const char* wanted = std::getenv("AXPY_THREADS");
    if (wanted && *wanted) {
      const char* end = wanted + std::strlen(wanted);
      int value = 0;
      const auto parsed = std::from_chars(wanted, end, value);
      if (parsed.ec == std::errc() && parsed.ptr == end && value >= 1 && value <= parallel::maxThreads) {
        count = value;
      } else {
        message = std::string("expected AXPY_THREADS to be an integer from 1 to 64, got ") + wanted;
      }
    }
    parallel::setThreads(count);
    return message;
  }();
  return failure;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  try {
    const std::string failure = initializeProcess();
    if (!failure.empty()) {
      bind::raise(env, "AXPY_ARGUMENT", failure);
      return exports;
    }
  } catch (const blas::Unavailable& error) {
    bind::raise(env, "AXPY_BACKEND", error.what());
    return exports;
  }
  auto* const state = new bind::Environment;
  env.SetInstanceData(state);
  state->programs.initialize(env);
  bind::Family::forEachKernel([&](const bind::Kernel& kernel) {
    napi_value function = nullptr;
    napi_create_function(env, kernel.name, NAPI_AUTO_LENGTH, kernel.callback,
                         const_cast<bind::Kernel*>(&kernel), &function);
    napi_set_named_property(env, exports, kernel.name, function);
  });
  napi_value function = nullptr;
  napi_create_function(env, "createProgram", NAPI_AUTO_LENGTH, createProgram, nullptr, &function);
  exports["createProgram"] = Napi::Value(env, function);
  exports["info"] = Napi::Function::New(env, shielded<information>, "info");
  exports["limits"] = Napi::Function::New(env, shielded<limits>, "limits");
  exports["setThreads"] = Napi::Function::New(env, shielded<setThreads>, "setThreads");
  exports["manifest"] = Napi::Function::New(env, shielded<manifest>, "manifest");
  exports["openWorld"] = Napi::Function::New(env, shielded<openWorld>, "openWorld");
  exports["leaveWorld"] = Napi::Function::New(env, shielded<leaveWorld>, "leaveWorld");
  exports["closeWorld"] = Napi::Function::New(env, shielded<closeWorld>, "closeWorld");
  exports["setErrorFactory"] = Napi::Function::New(env, shielded<setErrorFactory>, "setErrorFactory");
  return exports;
}

}  // namespace
}  // namespace axpy

static Napi::Object initializeAxpy(Napi::Env env, Napi::Object exports) {
  try {
    return axpy::initialize(env, exports);
  } catch (...) {
    const axpy::bind::Failure failure = axpy::bind::currentFailure("axpy");
    axpy::bind::raise(env, failure.code, failure.message);
    return exports;
  }
}

NODE_API_MODULE(axpy, initializeAxpy)
