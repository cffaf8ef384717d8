// From a kernel's C++ signature to a JavaScript function.
//
// A call has three steps: `read` takes the raw arguments into slots and checks their types; `convert` makes
// the tuple of plain arguments of one version of the kernel and checks the values of its scalars; the kernel,
// called with the tuple, checks lengths and contents and computes. Nothing after the first step knows of
// JavaScript, so a tuple can as well be kept and called later: that is a recorded call.
#pragma once

#include <node_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "arguments.h"
#include "expect.h"
#include "workspaces.h"

namespace axpy::bind {

inline constexpr size_t maxArguments = 16;

using Values = std::array<napi_value, maxArguments>;

class Recorded;

/// An array of a call, and where it was: the position of the argument and, in a list, of the array.
struct Held {
  napi_value value;
  const void* data;
  size_t position;
  int64_t item;
};

/// A kernel as JavaScript sees it.
struct Kernel {
  const char* name;
  size_t count;
  std::array<const char*, maxArguments> arguments;
  napi_callback callback;
  /// Reads a call without making it, and adds to `held` its arrays that have elements. Throws a Violation;
  /// returns nullptr when an exception is pending.
  std::unique_ptr<Recorded> (*record)(napi_env, const Kernel&, const Values&, std::vector<Held>& held);
  /// What an argument is, for the manifest.
  std::string (*describe)(size_t position);
  /// Whether other processes make it at the same time.
  bool exchanges = false;
};

constexpr Kernel exchanging(Kernel kernel) {
  kernel.exchanges = true;
  return kernel;
}

/// The kernels of a file, which the module finds wherever they are: families join a list when the library is
/// loaded.
class Family {
 public:
  template <size_t N>
  explicit Family(const Kernel (&kernels)[N]) : kernels_(kernels), count_(N), next_(first_) {
    first_ = this;
  }
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  template <class F>
  static void forEachKernel(const F& visit) {
    for (const Family* family = first_; family; family = family->next_) {
      for (size_t i = 0; i < family->count_; i++) visit(family->kernels_[i]);
    }
  }

 private:
  inline static const Family* first_ = nullptr;
  const Kernel* kernels_;
  size_t count_;
  const Family* next_;
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
  /// What lies in [begin, end) is another thing than at the run before; and from now on stays as it is from
  /// run to run, or may not.
  virtual void setSteady([[maybe_unused]] const char* begin, [[maybe_unused]] const char* end,
                         [[maybe_unused]] bool isSteady) {}
  const Kernel& kernel() const { return kernel_; }

 protected:
  const Check& check() const { return check_; }

 private:
  const Kernel& kernel_;
  const Check check_;
};

/// One argument as read, of whatever kind it is. Only an array with elements or a list has a length.
struct Slot {
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type = napi_uint8_array;
  bool null = false;
  double number = 0;
  size_t firstItem = 0;  // of a list, among the items of the call
};

/// An array of a list.
struct Item : Slot {
  napi_value value = nullptr;
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
  static constexpr size_t count = 1 + sizeof...(Rest);

  /// Whether argument I is of the type that selects the version; the first version, the one for float, shows
  /// it.
  template <size_t I>
  static constexpr bool selects() {
    using A = Traits<typename Pattern::template Argument<I>>;
    if constexpr ((A::isArray || A::isList) && count > 1) {
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
Failure currentFailure(const char* kernel) noexcept;

/// An error made by the environment's own factory if there is one; what the factory throws, if it throws.
/// nullptr when the environment is ending.
napi_value makeError(napi_env env, const char* code, const std::string& message);
/// Throws it into JavaScript. Always returns nullptr.
napi_value raise(napi_env env, const char* code, const std::string& message);
/// null, undefined, the name of an object's class, or what typeof says.
std::string describe(napi_env env, napi_value value);
/// The same for an argument, or an array of a list, of the wrong type, which the message describes.
napi_value raiseType(napi_env env, const Kernel& kernel, const std::string& argument,
                     const std::string& expectation, napi_value value);
/// What messages call an argument or, with an item of at least 0, an array of it.
std::string nameOf(const Kernel& kernel, size_t position, int64_t item);
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
  static constexpr uint32_t surelyFetched = 64;
  template <size_t I>
  using Argument = typename Pattern::template Argument<I>;

  napi_env env;
  const Kernel& kernel;
  const Values& values;
  std::array<Slot, count> slots{};
  std::vector<Item> items{};

  Call(napi_env env, const Kernel& kernel, const Values& values) : env(env), kernel(kernel), values(values) {}

  /// False when an exception is pending.
  bool read() { return readAll(std::make_index_sequence<count>()); }

  /// Lists come first: a getter among their elements may detach what has been read before it.
  template <size_t... I>
  bool readAll(std::index_sequence<I...>) {
    return (fetch<I>() && ...) && (readOne<I>() && ...);
  }

  template <size_t I>
  bool fetch() {
    if constexpr (Traits<Argument<I>>::isList) {
      uint32_t length = 0;
      if (!isList(values[I])) return true;  // readOne refuses it
      napi_get_array_length(env, values[I], &length);
      slots[I].length = length;
      slots[I].firstItem = items.size();
      if (items.empty()) items.reserve(count * std::min(length, surelyFetched));
      for (uint32_t i = 0; i < length; i++) {
        Item& item = items.emplace_back();
        if (napi_get_element(env, values[I], i, &item.value) != napi_ok) return false;
        // A sparse list may be as long as it likes. What is no array is refused by readOne.
        bool isArray = true;
        if (i >= surelyFetched) napi_is_typedarray(env, item.value, &isArray);
        if (!isArray) break;
      }
    }
    return true;
  }

  /// The arrays that have elements.
  template <size_t... I>
  void hold(std::vector<Held>& held, std::index_sequence<I...>) const {
    (holdOne<I>(held), ...);
  }
  template <size_t I>
  void holdOne(std::vector<Held>& held) const {
    const Slot& slot = slots[I];
    if constexpr (Traits<Argument<I>>::isList) {
      for (size_t i = 0; i < slot.length; i++) {
        const Item& item = items[slot.firstItem + i];
        if (item.length != 0) held.push_back({item.value, item.data, I, static_cast<int64_t>(i)});
      }
    } else {
      if (slot.length != 0) held.push_back({values[I], slot.data, I, -1});
    }
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
    using A = Argument<I>;
    Slot& slot = slots[I];
    if constexpr (Traits<A>::isList) {
      return readList<I>();
    } else if constexpr (std::is_base_of_v<AnyArray, A>) {
      if (readArray(slot, values[I]) && isData(slot.type)) return attached(slot, values[I], I);
      return refuse(I, selectorNames(3));
    } else if constexpr (Traits<A>::isArray) {
      const bool isArray = readArray(slot, values[I]);
      if constexpr (I == V::selector) {
        if (isArray && isData(slot.type) && versionOf(slot.type) < V::count)
          return attached(slot, values[I], I);
        return refuse(I, selectorNames(V::count));
      } else {
        const napi_typedarray_type wanted = V::template selects<I>()
                                                ? slots[V::selector < count ? V::selector : 0].type
                                                : arrayType<typename Traits<A>::Element>;
        if (isArray && slot.type == wanted) return attached(slot, values[I], I);
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
      return napi_get_value_double(env, values[I], &slot.number) == napi_ok ||
             refuse(I, Scalar<A>::expectation());
    }
  }

  template <size_t I>
  bool readList() {
    Slot& slot = slots[I];
    if (!isList(values[I])) {
      slot.null = Traits<Argument<I>>::nullable && isNull(values[I]);
      return slot.null || refuse(I, Traits<Argument<I>>::nullable ? "an array or null" : "an array");
    }
    constexpr bool selecting = I == V::selector;
    if (selecting) slot.type = napi_float32_array;  // of no arrays
    for (size_t i = 0; i < slot.length; i++) {
      Item& item = items[slot.firstItem + i];
      const bool isArray = readArray(item, item.value);
      if (selecting && i == 0) {
        if (!(isArray && isData(item.type) && versionOf(item.type) < V::count)) {
          return refuse(I, selectorNames(V::count), 0);
        }
        slot.type = item.type;
      } else if (const auto wanted = slots[V::selector].type; !(isArray && isLike<I>(item.type, wanted))) {
        const std::string expectation = arrayName(wanted) + " like " + kernel.arguments[V::selector] + "[0]";
        const bool isMixed = Traits<Argument<I>>::isMixed;
        return refuse(I, expectation + (isMixed ? " or an Int32Array" : ""), static_cast<int64_t>(i));
      }
      if (!attached(item, item.value, I, static_cast<int64_t>(i))) return false;
    }
    return true;
  }

  template <size_t I>
  static bool isLike(napi_typedarray_type type, napi_typedarray_type wanted) {
    return type == wanted || (Traits<Argument<I>>::isMixed && type == napi_int32_array);
  }

  /// A detached array looks like an empty one; its buffer tells.
  bool attached(const Slot& slot, napi_value value, size_t position, int64_t item = -1) {
    if (slot.length != 0) return true;
    napi_value buffer;
    bool detached = false;
    napi_get_typedarray_info(env, value, nullptr, nullptr, nullptr, &buffer, nullptr);
    napi_is_detached_arraybuffer(env, buffer, &detached);
    if (!detached) return true;
    raise(env, "AXPY_KERNEL",
          std::string("[") + kernel.name + "] expected " + nameOf(kernel, position, item) +
              " to have an attached buffer, got a detached one");
    return false;
  }

  bool isList(napi_value value) {
    bool result = false;
    return napi_is_array(env, value, &result) == napi_ok && result;
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
  bool refuse(size_t position, const std::string& expectation, int64_t item = -1) {
    const napi_value value = item < 0 ? values[position] : items[slots[position].firstItem + item].value;
    raiseType(env, kernel, nameOf(kernel, position, item), "to be " + expectation, value);
    return false;
  }
};

/// Bytes from which on it is worth asking under which pages an array lies.
constexpr size_t spacious = size_t{4} << 20;

template <class A>
void convertOne(const Check& check, const Slot& slot, [[maybe_unused]] const Item* items, int position,
                A& out) {
  if constexpr (Traits<A>::isList) {
    out.position = position;
    out.null = slot.null;
    out.length = static_cast<int64_t>(slot.length);
    out.arrays.resize(slot.length);
    for (size_t i = 0; i < slot.length; i++) {
      const Item& item = items[slot.firstItem + i];
      if constexpr (Traits<A>::isMixed) {
        out.arrays[i] = {item.data, static_cast<int64_t>(item.length), position,
                         item.type == napi_int32_array};
      } else {
        convertOne(check, item, items, position, out.arrays[i]);
      }
    }
  } else if constexpr (std::is_base_of_v<AnyArray, A>) {
    static_cast<AnyArray&>(out) = {slot.data, static_cast<int64_t>(slot.length), position,
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
    if constexpr (Traits<A>::written) {
      const size_t bytes = slot.length * sizeof(typename Traits<A>::Element);
      if (bytes >= spacious) askForLargePages(slot.data, bytes);
    }
  } else {
    if (!Scalar<A>::accepts(slot.number)) {
      check.fail(position, "to be " + Scalar<A>::expectation(), formatNumber(slot.number));
    }
    out = Scalar<A>::make(slot.number, position);
  }
}

template <class Tuple, size_t... I>
void convert(const Check& check, const Slot* slots, const Item* items, Tuple& tuple,
             std::index_sequence<I...>) {
  (convertOne(check, slots[I], items, static_cast<int>(I), std::get<I>(tuple)), ...);
}

/// Calls the kernel.
template <auto Version, class Tuple>
void apply(const Check& check, const Tuple& tuple) {
  std::apply([&](const auto&... arguments) { Version(check, arguments...); }, tuple);
  if (guard::zone > 0) guard::throwIfDamaged();
}

template <auto Version>
void invoke(const Check& check, const Slot* slots, const Item* items) {
  using S = Signature<decltype(Version)>;
  typename S::Tuple tuple;
  convert(check, slots, items, tuple, std::make_index_sequence<S::count>());
  apply<Version>(check, tuple);
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
    constexpr void (*versions[])(const Check&, const Slot*, const Item*) = {invoke<Version>...};
    versions[call.version()](Check(kernel.name, kernel.arguments.data()), call.slots.data(),
                             call.items.data());
  } catch (...) {
    const Failure failure = currentFailure(kernel.name);
    return raise(env, failure.code, failure.message);
  }
  return nullptr;
}

// ── the recorded call
// ───────────────────────────────────────────────────────────────────────────────────────────────

struct Nothing {};

/// What a recorded call keeps from its first run on, beside its arguments: nothing, or an object of `Type`,
/// which is made of the check and the arguments, has checked all of them, and whose `run` is the call as long
/// as it `isCurrent`: the arrays that it was made of may have changed. With the position of an array as
/// `kept` it may keep what it makes of that one: `run` is told whether the array is as it was at the run
/// before and stays so, and `forget` that what was kept is no longer true.
template <auto Version>
struct Prepared {
  using Type = Nothing;
};

/// Keeps the tuple: types and scalars are checked once, and a replay is little more than the kernel itself.
template <auto Version>
class RecordedCall final : public Recorded {
 public:
  RecordedCall(const Kernel& kernel, const Slot* slots, const Item* items) : Recorded(kernel) {
    convert(check(), slots, items, tuple_, std::make_index_sequence<S::count>());
  }

  void run() override {
    if constexpr (std::is_same_v<Preparation, Nothing>) {
      reloadAll();
      apply<Version>(check(), tuple_);
    } else {
      if (!prepared_ || !prepared_->isCurrent()) {
        reloadAll();
        prepared_ = std::apply(
            [&](const auto&... arguments) { return std::make_unique<Preparation>(check(), arguments...); },
            tuple_);
      }
      if constexpr (keeps) {
        prepared_->run(isSteady_ && wasRun_);
        wasRun_ = true;
      } else {
        prepared_->run();
      }
      if (guard::zone > 0) guard::throwIfDamaged();
    }
  }

  void setSteady(const char* begin, const char* end, bool isSteady) override {
    if constexpr (keeps) {
      const auto& array = std::get<Prepared<Version>::kept>(tuple_);
      const char* const data = reinterpret_cast<const char*>(array.data);
      if (data < begin || reinterpret_cast<const char*>(array.data + array.length) > end) return;
      isSteady_ = isSteady;
      wasRun_ = false;
      if (prepared_) prepared_->forget();
    }
  }

 private:
  using S = Signature<decltype(Version)>;
  using Preparation = typename Prepared<Version>::Type;
  static constexpr bool keeps = requires { Prepared<Version>::kept; };

  void reloadAll() {
    std::apply([](auto&... arguments) { (reload(arguments), ...); }, tuple_);
  }
  /// A layout is content, which may have changed since.
  template <class A>
  static void reload([[maybe_unused]] A& argument) {
    if constexpr (std::is_base_of_v<Layout, A>) argument.load();
  }

  typename S::Tuple tuple_;
  std::unique_ptr<Preparation> prepared_;
  bool isSteady_ = false, wasRun_ = false;  // since it was said
};

template <auto Version>
std::unique_ptr<Recorded> makeRecorded(const Kernel& kernel, const Slot* slots, const Item* items) {
  return std::make_unique<RecordedCall<Version>>(kernel, slots, items);
}

template <auto... Version>
std::unique_ptr<Recorded> record(napi_env env, const Kernel& kernel, const Values& values,
                                 std::vector<Held>& held) {
  using V = Versions<Version...>;
  Call<V> call(env, kernel, values);
  if (!call.read()) return nullptr;
  call.hold(held, std::make_index_sequence<V::Pattern::count>());
  constexpr std::unique_ptr<Recorded> (*versions[])(const Kernel&, const Slot*,
                                                    const Item*) = {makeRecorded<Version>...};
  return versions[call.version()](kernel, call.slots.data(), call.items.data());
}

// ── registration
// ───────────────────────────────────────────────────────────────────────────────────────────────

/// The type in binding.d.ts, behind `written` if the kernel writes to it; of a scalar what it has to be.
template <class V, size_t I>
std::string describeArgument() {
  using A = typename V::Pattern::template Argument<I>;
  if constexpr (Traits<A>::isArray || Traits<A>::isList) {
    const std::string name = arrayName(arrayType<typename Traits<A>::Element>);
    std::string type = name.substr(name.find(' ') + 1);
    if (std::is_base_of_v<AnyArray, A>) type = "Data";
    if (V::template selects<I>()) type = V::count == 2 && !Traits<A>::isMixed ? "Float" : "Data";
    if (Traits<A>::isList) type = "readonly " + type + "[]";
    return (Traits<A>::written ? "written " : "") + type + (Traits<A>::nullable ? " | null" : "");
  } else {
    return Scalar<A>::expectation();
  }
}

template <auto... Version>
std::string describe(size_t position) {
  using V = Versions<Version...>;
  return []<size_t... I>(size_t at, std::index_sequence<I...>) {
    constexpr std::string (*all[])() = {describeArgument<V, I>...};
    return all[at]();
  }
  (position, std::make_index_sequence<V::Pattern::count>());
}

/// Declares a kernel by its versions, its name and the names of its arguments.
template <auto... Version, class... Names>
constexpr Kernel kernel(const char* name, Names... arguments) {
  static_assert(sizeof...(Names) == Versions<Version...>::Pattern::count, "a name for each argument");
  static_assert(sizeof...(Names) <= maxArguments);
  return {
      name, sizeof...(Names), {arguments...}, callback<Version...>, record<Version...>, describe<Version...>};
}

}  // namespace axpy::bind

/// A kernel of a family: in one version, in one for each float type, or in one for each type of data.
#define AXPY_KERNEL(function, ...) axpy::bind::kernel<function>(#function, __VA_ARGS__)
#define AXPY_FLOAT_KERNEL(function, ...) \
  axpy::bind::kernel<function<float>, function<double>>(#function, __VA_ARGS__)
#define AXPY_DATA_KERNEL(function, ...) \
  axpy::bind::kernel<function<float>, function<double>, function<int32_t>>(#function, __VA_ARGS__)
