// From a kernel's C++ signature to a JavaScript function.
//
// A call has three steps: `read` takes the raw arguments into slots and checks their types; `convert` makes
// the tuple of plain arguments of one version of the kernel and checks the values of its scalars; the kernel,
// called with the tuple, checks lengths and contents and computes. Nothing after the first step knows of
// JavaScript, so a tuple can as well be kept and called later: that is a recorded call.
#pragma once

#include <napi.h>

#include <array>
#include <cmath>
#include <exception>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "arguments.h"
#include "codes.h"

namespace axpy::bind {

inline constexpr size_t maxArguments = 16;

using Values = std::array<napi_value, maxArguments>;

struct Slot;
class Recorded;

/// A kernel as JavaScript sees it.
struct Kernel {
  const char* name;
  size_t count;
  std::array<const char*, maxArguments> arguments;
  napi_callback callback;
  /// Reads a call without making it. Throws a Violation; returns nullptr when an exception is pending.
  /// `slots` has room for `maxArguments`.
  std::unique_ptr<Recorded> (*record)(napi_env, const Kernel&, const Values&, Slot* slots);
};

/// A call that has been read, to be made any number of times, by one thread at a time. The arrays have to
/// outlive it.
class Recorded {
 public:
  explicit Recorded(const Kernel& kernel) : kernel_(kernel), check_(kernel.name, kernel.arguments.data()) {}
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;
  virtual ~Recorded() = default;

  /// Throws what the kernel throws.
  virtual void run() = 0;
  const Kernel& kernel() const { return kernel_; }

 protected:
  const Check& check() const { return check_; }

 private:
  const Kernel& kernel_;
  const Check check_;
};

/// One argument as read, of whatever kind it is. Only an array with elements has a length.
struct Slot {
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type = napi_uint8_array;
  bool null = false;
  double number = 0;
};

// ── what each C++ type expects
// ──────────────────────────────────────────────────────────────────────────────────────

template <class T>
inline constexpr napi_typedarray_type arrayType = napi_uint8_array;
template <>
inline constexpr napi_typedarray_type arrayType<float> = napi_float32_array;
template <>
inline constexpr napi_typedarray_type arrayType<double> = napi_float64_array;
template <>
inline constexpr napi_typedarray_type arrayType<int32_t> = napi_int32_array;
template <>
inline constexpr napi_typedarray_type arrayType<uint32_t> = napi_uint32_array;

template <class A>
struct Traits {
  static constexpr bool isArray = false, nullable = false;
};
template <class T>
struct Traits<Array<T>> {
  using Element = std::remove_const_t<T>;
  static constexpr bool isArray = true, nullable = false;
};
template <class T>
struct Traits<Nullable<T>> {
  using Element = std::remove_const_t<T>;
  static constexpr bool isArray = true, nullable = true;
};
template <>
struct Traits<Layout> {
  using Element = int32_t;
  static constexpr bool isArray = true, nullable = false;
};
template <>
struct Traits<Geometry> : Traits<Layout> {};
template <>
struct Traits<NullableLayout> {
  using Element = int32_t;
  static constexpr bool isArray = true, nullable = true;
};

/// What a scalar has to be, in words.
template <class A>
struct Scalar;
template <>
struct Scalar<Size> {
  static std::string expectation() { return "an integer from 0 to 2147483647"; }
  static bool accepts(double v) { return v >= 0 && v <= 2147483647 && v == std::floor(v); }
  static Size make(double v, int) { return {static_cast<int64_t>(v)}; }
};
template <>
struct Scalar<PositiveSize> {
  static std::string expectation() { return "an integer from 1 to 2147483647"; }
  static bool accepts(double v) { return v >= 1 && Scalar<Size>::accepts(v); }
  static PositiveSize make(double v, int) { return {{static_cast<int64_t>(v)}}; }
};
template <>
struct Scalar<Flag> {
  static std::string expectation() { return "0 or 1"; }
  static bool accepts(double v) { return v == 0 || v == 1; }
  static Flag make(double v, int) { return {v != 0}; }
};
template <>
struct Scalar<Number> {
  static std::string expectation() { return "a finite number"; }
  static bool accepts(double v) { return std::isfinite(v); }
  static Number make(double v, int position) { return {v, position}; }
};
template <>
struct Scalar<Rate> {
  static std::string expectation() { return "at least 0 and less than 1"; }
  static bool accepts(double v) { return v >= 0 && v < 1; }
  static Rate make(double v, int) { return {v}; }
};
template <>
struct Scalar<AnyNumber> {
  static std::string expectation() { return "a number"; }
  static bool accepts(double) { return true; }
  static AnyNumber make(double v, int position) { return {v, position}; }
};
template <>
struct Scalar<Stride> {
  // Which two values it may have is for the kernel to say.
  static std::string expectation() { return Scalar<Size>::expectation(); }
  static bool accepts(double) { return true; }
  static Stride make(double v, int position) { return {v, position}; }
};
template <class Op>
struct Scalar<Code<Op>> {
  static constexpr int last = static_cast<int>(Codes<Op>::names.size()) - 1;
  static std::string expectation() { return "a code from 0 to " + std::to_string(last); }
  static bool accepts(double v) { return v >= 0 && v <= last && v == std::floor(v); }
  static Code<Op> make(double v, int) { return {static_cast<Op>(static_cast<int>(v))}; }
};
template <class Op>
struct Scalar<OptionalCode<Op>> {
  static std::string expectation() { return "a code from -1 to " + std::to_string(Scalar<Code<Op>>::last); }
  static bool accepts(double) { return true; }
  static OptionalCode<Op> make(double v, int position) { return {v, position}; }
};

// ── signatures
// ──────────────────────────────────────────────────────────────────────────────────────────────────────

template <class F>
struct Signature;
template <class... A>
struct Signature<void (*)(const Check&, A...)> {
  using Tuple = std::tuple<std::remove_cv_t<std::remove_reference_t<A>>...>;
  static constexpr size_t count = sizeof...(A);
  template <size_t I>
  using Argument = std::tuple_element_t<I, Tuple>;
};

/// The versions of one kernel: one, or one for each of float, double (and int32_t).
template <auto First, auto... Rest>
struct Versions {
  using Pattern = Signature<decltype(First)>;
  using Last =
      Signature<std::tuple_element_t<sizeof...(Rest), std::tuple<decltype(First), decltype(Rest)...>>>;
  static constexpr size_t count = 1 + sizeof...(Rest);

  /// Whether argument I is of the type that selects the version; the first version, the one for float, shows
  /// it.
  template <size_t I>
  static constexpr bool selects() {
    using A = Traits<typename Pattern::template Argument<I>>;
    if constexpr (A::isArray && count > 1) {
      return std::is_same_v<typename A::Element, float>;
    } else {
      return false;
    }
  }
  template <size_t... I>
  static constexpr size_t firstSelecting(std::index_sequence<I...>) {
    size_t first = Pattern::count;
    ((first == Pattern::count && selects<I>() ? void(first = I) : void()), ...);
    return first;
  }
  static constexpr size_t selector = firstSelecting(std::make_index_sequence<Pattern::count>());
};

// ── errors
// ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Why a call was not made, as it can be kept for later and for another thread.
struct Failure {
  const char* code;
  std::string message;
};

/// What the exception being handled means for a call of this kernel.
Failure currentFailure(const char* kernel);

/// An error made by the environment's own factory if there is one; what the factory throws, if it throws.
/// nullptr when the environment is ending.
napi_value makeError(napi_env env, const char* code, const std::string& message);
/// Throws it into JavaScript. Always returns nullptr.
napi_value raise(napi_env env, const char* code, const std::string& message);
/// null, undefined, the name of an object's class, or what typeof says.
std::string describe(napi_env env, napi_value value);
/// The same for an argument of the wrong type, which the message describes.
napi_value raiseType(napi_env env, const Kernel& kernel, size_t position, const std::string& expectation,
                     napi_value value);
/// "a Float32Array" and the like.
std::string arrayName(napi_typedarray_type type);
/// What a selecting argument that comes first may be, with so many versions.
std::string selectorNames(size_t versions);

// ── the call
// ────────────────────────────────────────────────────────────────────────────────────────────────────────

template <class V>
struct Call {
  using Pattern = typename V::Pattern;
  static constexpr size_t count = Pattern::count;

  napi_env env;
  const Kernel& kernel;
  const Values& values;
  std::array<Slot, count> slots{};

  Call(napi_env env, const Kernel& kernel, const Values& values) : env(env), kernel(kernel), values(values) {}

  /// False when an exception is pending.
  bool read() { return readAll(std::make_index_sequence<count>()); }

  template <size_t... I>
  bool readAll(std::index_sequence<I...>) {
    return (readOne<I>() && ...);
  }

  /// The version that the selecting array chooses.
  size_t version() const {
    if constexpr (V::count == 1) {
      return 0;
    } else {
      return versionOf(slots[V::selector].type);
    }
  }

  template <size_t I>
  bool readOne() {
    using A = typename Pattern::template Argument<I>;
    Slot& slot = slots[I];
    if constexpr (std::is_same_v<A, AnyArray>) {
      if (readArray(slot, values[I]) && isData(slot.type)) return attached<I>();
      return refuse(I, selectorNames(3));
    } else if constexpr (Traits<A>::isArray) {
      const bool isArray = readArray(slot, values[I]);
      if constexpr (I == V::selector) {
        if (isArray && isData(slot.type) && versionOf(slot.type) < V::count) return attached<I>();
        return refuse(I, selectorNames(V::count));
      } else {
        const napi_typedarray_type wanted = V::template selects<I>()
                                                ? slots[V::selector < count ? V::selector : 0].type
                                                : arrayType<typename Traits<A>::Element>;
        if (isArray && slot.type == wanted) return attached<I>();
        if (Traits<A>::nullable && !isArray && isNull(values[I])) {
          slot.null = true;
          return true;
        }
        std::string expectation = arrayName(wanted);
        if (V::template selects<I>()) expectation += std::string(" like ") + kernel.arguments[V::selector];
        if (Traits<A>::nullable) expectation += " or null";
        return refuse(I, expectation);
      }
    } else {
      if (napi_get_value_double(env, values[I], &slot.number) == napi_ok) return true;
      // The version for int32 may be stricter.
      using B = typename V::Last::template Argument<I>;
      const bool last =
          V::count == 3 && slots[V::selector < count ? V::selector : 0].type == napi_int32_array;
      return refuse(I, last ? Scalar<B>::expectation() : Scalar<A>::expectation());
    }
  }

  /// A detached array looks like an empty one; its buffer tells.
  template <size_t I>
  bool attached() {
    if (slots[I].length != 0) return true;
    napi_value buffer;
    bool detached = false;
    napi_get_typedarray_info(env, values[I], nullptr, nullptr, nullptr, &buffer, nullptr);
    napi_is_detached_arraybuffer(env, buffer, &detached);
    if (!detached) return true;
    raise(env, "AXPY_KERNEL",
          std::string("[") + kernel.name + "] expected " + kernel.arguments[I] +
              " to have an attached buffer, got a detached one");
    return false;
  }

  bool readArray(Slot& slot, napi_value value) {
    return napi_get_typedarray_info(env, value, &slot.type, &slot.length, &slot.data, nullptr, nullptr) ==
           napi_ok;
  }
  bool isNull(napi_value value) {
    napi_valuetype type;
    return napi_typeof(env, value, &type) == napi_ok && type == napi_null;
  }
  static bool isData(napi_typedarray_type type) {
    return type == napi_float32_array || type == napi_float64_array || type == napi_int32_array;
  }
  static size_t versionOf(napi_typedarray_type type) {
    return type == napi_float32_array ? 0 : type == napi_float64_array ? 1 : 2;
  }
  bool refuse(size_t position, const std::string& expectation) {
    raiseType(env, kernel, position, "to be " + expectation, values[position]);
    return false;
  }
};

template <class A>
void convertOne(const Check& check, const Slot& slot, int position, A& out) {
  if constexpr (std::is_same_v<A, AnyArray>) {
    out = {slot.data, static_cast<int64_t>(slot.length), position,
           slot.type == napi_float32_array   ? AnyArray::float32
           : slot.type == napi_float64_array ? AnyArray::float64
                                             : AnyArray::int32};
  } else if constexpr (std::is_base_of_v<Layout, A>) {
    out.position = position;
    out.null = slot.null;
    out.length = slot.null ? 0 : static_cast<int64_t>(slot.length);
    out.source = static_cast<const int32_t*>(slot.data);
    out.load();
  } else if constexpr (Traits<A>::isArray) {
    out.data = static_cast<decltype(out.data)>(slot.null ? nullptr : slot.data);
    out.length = slot.null ? 0 : static_cast<int64_t>(slot.length);
    out.position = position;
    out.null = slot.null;
  } else {
    if (!Scalar<A>::accepts(slot.number)) {
      check.fail(position, "to be " + Scalar<A>::expectation(), formatNumber(slot.number));
    }
    out = Scalar<A>::make(slot.number, position);
  }
}

template <class Tuple, size_t... I>
void convert(const Check& check, const Slot* slots, Tuple& tuple, std::index_sequence<I...>) {
  (convertOne(check, slots[I], static_cast<int>(I), std::get<I>(tuple)), ...);
}

template <auto Version>
void invoke(const Check& check, const Slot* slots) {
  using S = Signature<decltype(Version)>;
  typename S::Tuple tuple;
  convert(check, slots, tuple, std::make_index_sequence<S::count>());
  std::apply([&](const auto&... arguments) { Version(check, arguments...); }, tuple);
}

template <auto... Version>
napi_value callback(napi_env env, napi_callback_info info) {
  using V = Versions<Version...>;
  Values values;
  size_t count = V::Pattern::count;  // what is missing reads as undefined
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, values.data(), nullptr, &data) != napi_ok) return nullptr;
  const Kernel& kernel = *static_cast<const Kernel*>(data);
  try {
    Call<V> call(env, kernel, values);
    if (!call.read()) return nullptr;
    constexpr void (*versions[])(const Check&, const Slot*) = {invoke<Version>...};
    versions[call.version()](Check(kernel.name, kernel.arguments.data()), call.slots.data());
  } catch (...) {
    const Failure failure = currentFailure(kernel.name);
    return raise(env, failure.code, failure.message);
  }
  return nullptr;
}

// ── the recorded call
// ───────────────────────────────────────────────────────────────────────────────────────────────

/// Keeps the tuple: types and scalars are checked once, and a replay is little more than the kernel itself.
template <auto Version>
class RecordedCall final : public Recorded {
 public:
  RecordedCall(const Kernel& kernel, const Slot* slots) : Recorded(kernel) {
    convert(check(), slots, tuple_, std::make_index_sequence<S::count>());
  }

  void run() override {
    std::apply(
        [this](auto&... arguments) {
          (reload(arguments), ...);
          Version(check(), std::as_const(arguments)...);
        },
        tuple_);
  }

 private:
  using S = Signature<decltype(Version)>;

  /// A layout is content, which may have changed since.
  template <class A>
  static void reload([[maybe_unused]] A& argument) {
    if constexpr (std::is_base_of_v<Layout, A>) argument.load();
  }

  typename S::Tuple tuple_;
};

template <auto Version>
std::unique_ptr<Recorded> makeRecorded(const Kernel& kernel, const Slot* slots) {
  return std::make_unique<RecordedCall<Version>>(kernel, slots);
}

template <auto... Version>
std::unique_ptr<Recorded> record(napi_env env, const Kernel& kernel, const Values& values, Slot* slots) {
  using V = Versions<Version...>;
  Call<V> call(env, kernel, values);
  if (!call.read()) return nullptr;
  std::copy(call.slots.begin(), call.slots.end(), slots);
  constexpr std::unique_ptr<Recorded> (*versions[])(const Kernel&, const Slot*) = {makeRecorded<Version>...};
  return versions[call.version()](kernel, slots);
}

/// Declares a kernel by its versions, its name and the names of its arguments.
template <auto... Version, class... Names>
constexpr Kernel kernel(const char* name, Names... arguments) {
  static_assert(sizeof...(Names) == Versions<Version...>::Pattern::count, "a name for each argument");
  static_assert(sizeof...(Names) <= maxArguments);
  return {name, sizeof...(Names), {arguments...}, callback<Version...>, record<Version...>};
}

}  // namespace axpy::bind
