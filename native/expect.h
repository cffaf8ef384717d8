// What a kernel's argument of each C++ type expects of JavaScript.
#pragma once

#include <node_api.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "arguments.h"
#include "codes.h"

namespace axpy::bind {

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
  static constexpr bool isArray = false, isList = false, isMixed = false, nullable = false;
};
template <class T>
struct Traits<Array<T>> {
  using Element = std::remove_const_t<T>;
  static constexpr bool isArray = true, isList = false, isMixed = false, nullable = false,
                        written = !std::is_const_v<T>;
};
template <class T>
struct Traits<Nullable<T>> : Traits<Array<T>> {
  static constexpr bool nullable = true;
};
template <class T>
struct Traits<List<T>> {
  using Element = std::remove_const_t<T>;
  static constexpr bool isArray = false, isList = true, isMixed = false, nullable = false,
                        written = !std::is_const_v<T>;
};
/// Beside arrays of the type of the call, those of int32.
template <class T>
struct Traits<MixedList<T>> : Traits<List<const T>> {
  static constexpr bool isMixed = true;
};
template <>
struct Traits<Layout> : Traits<Array<const int32_t>> {};
template <>
struct Traits<Geometry> : Traits<Layout> {};
template <>
struct Traits<NullableLayout> : Traits<Nullable<const int32_t>> {};
/// Of any type; `void` stands for it.
template <>
struct Traits<AnyArray> : Traits<Array<void>> {};
template <>
struct Traits<ConstAnyArray> : Traits<Array<const void>> {};

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
struct Scalar<Ticket> {
  static std::string expectation() { return "an integer from 0 to 255"; }
  static bool accepts(double v) { return v >= 0 && v <= 255 && v == std::floor(v); }
  static Ticket make(double v, int) { return {static_cast<int64_t>(v)}; }
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
  static bool accepts(double v) { return Scalar<Size>::accepts(v); }
  static Stride make(double v, int position) { return {v, position}; }
};
template <class Op>
struct Scalar<Code<Op>> {
  static constexpr int last = static_cast<int>(Codes<Op>::names.size()) - 1;
  static std::string expectation() { return "a code from 0 to " + std::to_string(last); }
  static bool accepts(double v) { return v >= 0 && v <= last && v == std::floor(v); }
  static Code<Op> make(double v, int position) { return {static_cast<Op>(static_cast<int>(v)), position}; }
};
template <class Op>
struct Scalar<OptionalCode<Op>> {
  static std::string expectation() { return "a code from -1 to " + std::to_string(Scalar<Code<Op>>::last); }
  static bool accepts(double v) { return v == -1 || Scalar<Code<Op>>::accepts(v); }
  static OptionalCode<Op> make(double v, int) { return {static_cast<int>(v)}; }
};
template <>
struct Scalar<OutputCode> {
  static std::string expectation() {
    return "-1 or the code of an op whose gradient follows from the output";
  }
  static bool accepts(double v) {
    return v == -1 || (Scalar<Code<UnaryOp>>::accepts(v) && readsOutput(Scalar<Code<UnaryOp>>::make(v, 0)));
  }
  static OutputCode make(double v, int) { return {{static_cast<int>(v)}}; }
};

}  // namespace axpy::bind
