// Lists of elementwise instructions, as the kernels `elementwise` and `fused` take them: what they say, held
// against the contract, and how a block of elements is computed.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "arguments.h"
#include "codes.h"

namespace axpy {

/// What an instruction computes: an element of a family, one for each code of its list. Arrays are operands
/// that may be any values, parameters are scalars behind them, −1 for none.
struct Op {
  enum Form {
    unary,           // x; p, q
    binary,          // a, b
    where,           // condition, a, b
    unaryGradient,   // gradient, x or y; p, q
    binaryGradient,  // gradient, a, b
    loss,            // prediction, target; parameter, scale
    lossGradient,    // gradient, prediction, target; parameter, scale
    lossSlope,       // the same by one gradient for all elements, a scalar or an array's first number
  };
  Form form;
  int code;
  int operand;  // by which a gradient is
  int arrays, parameters;

  /// Whether an operand may be one number that stands for all elements.
  bool takesNumber(int at) const { return form <= where || (form == lossSlope && at == 0); }
  UnaryOp unaryOp() const { return static_cast<UnaryOp>(code); }
  BinaryOp binaryOp() const { return static_cast<BinaryOp>(code); }
  LossOp lossOp() const { return static_cast<LossOp>(code); }
  /// Whether it is so costly that a few thousand elements are worth a thread.
  bool isHeavy() const;
};

/// Numbered family by family.
extern const std::vector<Op> ops;
/// Those that the kernel `elementwise` has come first.
extern const int elementwiseOps;

constexpr int maxValues = 256;
constexpr int maxOperands = 5;

struct Instruction {
  const Op* op;
  /// Numbers of values; −1 for none.
  std::array<int, maxOperands> operands;

  bool reads(int value) const { return std::find(operands.begin(), operands.end(), value) != operands.end(); }
};

/// A list that has been checked. Values are what is given and then the results; each is elements or a scalar.
/// Arrays are not initialised: a call reads what it wrote.
struct Instructions {
  /// Whether results of scalars alone are scalars, of which there is one for all elements.
  bool folds = false;
  int firstResult = 0, values = 0;
  std::array<Instruction, maxValues> instructions;
  std::array<bool, maxValues> isScalar;
  /// The register of a result of elements.
  std::array<int, maxValues> registerOf;
  int registers = 0;

  const Instruction& of(int value) const { return instructions[value - firstResult]; }
  /// Whether it is one of two values, as a scalar tells.
  bool isChoice(int value) const {
    return folds && value >= firstResult && !isScalar[value] && of(value).op->form == Op::where &&
           isScalar[of(value).operands[0]];
  }
  /// Gives each result of elements a register, which is free again after the last instruction that reads it;
  /// that instruction's own result may take it. What is kept has it to the end.
  void assignRegisters(const int* kept, int count);
};

/// Reads the argument `code`, of which it takes a copy, as another thread may write to the array.
class CodeReader {
 public:
  CodeReader(const Check& check, const Array<const int32_t>& code)
      : check_(check),
        position_(code.position),
        code_(code.data, code.data + std::min(code.length, longest)),
        length_(code.length) {}

  int64_t length() const { return length_; }
  [[noreturn]] void refuseLength(const std::string& expectation) const {
    check_.fail(position_, "to have length " + expectation, std::to_string(length_));
  }
  [[noreturn]] void refuse(int64_t at, const std::string& expectation) const {
    check_.failAt(position_, at, "to be " + expectation, std::to_string(code_[at]));
  }
  int countAt(int64_t at, int least) const;
  /// The number of a value below `end`.
  int valueAt(int64_t at, int least, int64_t end) const;
  /// That of a scalar, or −1.
  int scalarAt(int64_t at, const Instructions& list, int64_t end) const;
  int codeAt(int64_t at, int least, int end) const;

  /// The instructions from a place on to the end, of ops below a number. What is given is in `list` already,
  /// but for how many values there are, of which no more than `maxValues` are allowed.
  void readInstructions(Instructions& list, int64_t at, int64_t given, int opCount) const;

 private:
  static constexpr int64_t longest = 8192;  // no list of so few values has more

  const Check& check_;
  const int position_;
  const std::vector<int32_t> code_;
  const int64_t length_;
};

/// Elements of a block: so few that the values at hand stay in the first cache.
template <class T>
constexpr int64_t instructionBlock = 4096 / sizeof(T);

/// Where the elements of a block are; with step 0 one number that stands for all.
template <class V>
struct Operand {
  const V* data;
  int64_t step;
};

/// Computes n elements, of operands that have step 1 unless the op takes a number there. What is written may
/// be what is read.
template <class V>
void compute(const Op& op, V* out, int64_t n, const Operand<V>* operands, const double* parameters);

}  // namespace axpy
