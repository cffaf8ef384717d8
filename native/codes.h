// Op codes of the kernel contract, in the order of lib/kernels/codes.ts. The manifest reports the names, and
// loading fails when the two files differ.
#pragma once

#include <array>

namespace axpy {

enum class UnaryOp : int {
  neg,
  exp,
  log,
  sqrt,
  abs,
  square,
  reciprocal,
  sign,
  powScalar,
  scale,
  clip,
  relu,
  leakyRelu,
  elu,
  gelu,
  silu,
  softplus,
  sigmoid,
  tanh,
  log1p,
  expm1,
  logSigmoid,
  sin,
  cos,
  floor,
  ceil,
  round,
};

enum class BinaryOp : int {
  add,
  sub,
  mul,
  div,
  pow,
  maximum,
  minimum,
  equal,
  notEqual,
  greater,
  greaterEqual,
  less,
  lessEqual,
};

enum class ReduceOp : int { sum, product, max, min, sumOfSquares, norm };

enum class LossOp : int {
  squaredError,
  absoluteError,
  huber,
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  crossEntropy
};

enum class ExchangeKind : int { step, scores, values, batch, state, scatter };

/// The names of an enum, in order, and what the manifest calls the list.
template <class Op>
struct Codes;

template <>
struct Codes<UnaryOp> {
  static constexpr const char* list = "unaryOps";
  static constexpr std::array names = {
      "neg",   "exp",   "log",   "sqrt",       "abs", "square", "reciprocal", "sign",     "powScalar",
      "scale", "clip",  "relu",  "leakyRelu",  "elu", "gelu",   "silu",       "softplus", "sigmoid",
      "tanh",  "log1p", "expm1", "logSigmoid", "sin", "cos",    "floor",      "ceil",     "round"};
};

template <>
struct Codes<BinaryOp> {
  static constexpr const char* list = "binaryOps";
  static constexpr std::array names = {"add",          "sub",     "mul",      "div",      "pow",
                                       "maximum",      "minimum", "equal",    "notEqual", "greater",
                                       "greaterEqual", "less",    "lessEqual"};
};

template <>
struct Codes<ReduceOp> {
  static constexpr const char* list = "reduceOps";
  static constexpr std::array names = {"sum", "product", "max", "min", "sumOfSquares", "norm"};
};

template <>
struct Codes<LossOp> {
  static constexpr const char* list = "lossOps";
  static constexpr std::array names = {
      "squaredError", "absoluteError", "huber", "binaryCrossEntropy", "binaryCrossEntropyWithLogits",
      "crossEntropy"};
};

template <>
struct Codes<ExchangeKind> {
  static constexpr const char* list = "exchangeKinds";
  static constexpr std::array names = {"step", "scores", "values", "batch", "state", "scatter"};
};

static_assert(Codes<UnaryOp>::names.size() == static_cast<int>(UnaryOp::round) + 1);
static_assert(Codes<BinaryOp>::names.size() == static_cast<int>(BinaryOp::lessEqual) + 1);
static_assert(Codes<ReduceOp>::names.size() == static_cast<int>(ReduceOp::norm) + 1);
static_assert(Codes<LossOp>::names.size() == static_cast<int>(LossOp::crossEntropy) + 1);
static_assert(Codes<ExchangeKind>::names.size() == static_cast<int>(ExchangeKind::scatter) + 1);

/// The ops of `gradientFromOutput`: their derivative is a function of the output alone.
constexpr bool readsOutput(UnaryOp op) {
  switch (op) {
    case UnaryOp::exp:
    case UnaryOp::sqrt:
    case UnaryOp::reciprocal:
    case UnaryOp::relu:
    case UnaryOp::leakyRelu:
    case UnaryOp::elu:
    case UnaryOp::softplus:
    case UnaryOp::sigmoid:
    case UnaryOp::tanh:
    case UnaryOp::logSigmoid:
      return true;
    default:
      return false;
  }
}

/// The ops whose derivative is a constant, and that read neither input nor output.
constexpr bool readsInput(UnaryOp op) {
  return !readsOutput(op) && op != UnaryOp::neg && op != UnaryOp::scale;
}

}  // namespace axpy
