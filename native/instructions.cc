#include "instructions.h"

#include "kernels.h"

namespace axpy {
namespace {

template <class List>
constexpr int countOf = static_cast<int>(Codes<List>::names.size());

template <class List>
void add(std::vector<Op>& all, Op::Form form, int operand, int arrays, int parameters) {
  for (int code = 0; code < countOf<List>; code++) all.push_back({form, code, operand, arrays, parameters});
}

std::vector<Op> everyOp() {
  std::vector<Op> all;
  add<UnaryOp>(all, Op::unary, 0, 1, 2);
  add<BinaryOp>(all, Op::binary, 0, 2, 0);
  all.push_back({Op::where, 0, 0, 3, 0});
  add<UnaryOp>(all, Op::unaryGradient, 0, 2, 2);
  for (const int operand : {0, 1}) add<BinaryOp>(all, Op::binaryGradient, operand, 3, 0);
  add<LossOp>(all, Op::loss, 0, 2, 2);
  for (const int operand : {0, 1}) add<LossOp>(all, Op::lossGradient, operand, 3, 2);
  for (const int operand : {0, 1}) add<LossOp>(all, Op::lossSlope, operand, 3, 2);
  return all;
}

}  // namespace

const std::vector<Op> ops = everyOp();
const int elementwiseOps = countOf<UnaryOp> + countOf<BinaryOp> + 1;

bool Op::isHeavy() const {
  switch (form) {
    case unary:
    case unaryGradient:
      return axpy::isHeavy(unaryOp());
    case binary:
    case binaryGradient:
      return binaryOp() == BinaryOp::pow;
    case where:
      return false;
    default:
      return true;
  }
}

// ── reading
// ─────────────────────────────────────────────────────────────────────────────────────────────────────────

int CodeReader::codeAt(int64_t at, int least, int end) const {
  const int32_t code = code_[at];
  if (code < least || code >= end) {
    refuse(at, "a code from " + std::to_string(least) + " to " + std::to_string(end - 1));
  }
  return code;
}

int CodeReader::countAt(int64_t at, int least) const {
  const int32_t count = code_[at];
  if (count < least || count > maxValues) {
    refuse(at, "a count from " + std::to_string(least) + " to " + std::to_string(maxValues));
  }
  return count;
}

int CodeReader::valueAt(int64_t at, int least, int64_t end) const {
  const int32_t value = code_[at];
  if (value < least || value >= end) {
    refuse(at, "a value from " + std::to_string(least) + " to " + std::to_string(end - 1));
  }
  return value;
}

int CodeReader::scalarAt(int64_t at, const Instructions& list, int64_t end) const {
  const int value = valueAt(at, -1, end);
  if (value >= 0 && !list.isScalar[value]) refuse(at, "a scalar");
  return value;
}

void CodeReader::readInstructions(Instructions& list, int64_t at, int64_t given, int opCount) const {
  const auto wantFew = [&](int64_t values) {
    if (values <= maxValues) return;
    check_.fail(position_, "to number at most " + std::to_string(maxValues) + " values",
                std::to_string(values));
  };
  wantFew(given);
  list.firstResult = list.values = static_cast<int>(given);
  while (at < length_) {
    wantFew(list.values + 1);
    const int value = list.values;
    Instruction& instruction = list.instructions[value - list.firstResult];
    const Op& op = ops[codeAt(at++, 0, opCount)];
    const int count = op.arrays + op.parameters;
    if (at + count > length_) refuseLength(std::to_string(at + count) + " or more");
    instruction.op = &op;
    instruction.operands.fill(-1);
    bool isScalar = list.folds;
    for (int i = 0; i < count; i++, at++) {
      const bool isArray = i < op.arrays;
      // The gradient of a function of constant slope needs neither its input nor its output.
      const bool mayLack =
          op.form == Op::unaryGradient && i == 1 && !readsOutput(op.unaryOp()) && !readsInput(op.unaryOp());
      // One gradient for all is none that the list computes.
      const int end = op.form == Op::lossSlope && i == 0 ? list.firstResult : value;
      const int operand = isArray ? valueAt(at, mayLack ? -1 : 0, end) : scalarAt(at, list, value);
      instruction.operands[i] = operand;
      isScalar = isScalar && (operand < 0 || list.isScalar[operand]);
    }
    list.isScalar[value] = isScalar;
    list.values++;
  }
}

// ── registers
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

void Instructions::assignRegisters(const int* kept, int count) {
  registers = 0;
  std::array<int, maxValues> last;  // the reader of each value, the number of values for the end
  std::fill_n(last.begin(), values, -1);
  for (int i = 0; i < count; i++) last[kept[i]] = values;
  for (int v = values - 1; v >= firstResult; v--) {
    if (isScalar[v]) continue;
    const int reader = isChoice(v) ? std::max(v, last[v]) : v;
    for (const int operand : of(v).operands) {
      if (operand >= 0) last[operand] = std::max(last[operand], reader);
    }
  }
  std::array<int, maxValues> free;
  int frees = 0;
  for (int v = firstResult; v < values; v++) {
    if (isScalar[v]) continue;
    const auto& operands = of(v).operands;
    for (int i = 0; i < maxOperands; i++) {
      const int operand = operands[i];
      const bool isRepeated =
          std::find(operands.begin(), operands.begin() + i, operand) != operands.begin() + i;
      if (operand < firstResult || isRepeated || isScalar[operand] || last[operand] != v) continue;
      if (!isChoice(operand)) free[frees++] = registerOf[operand];
    }
    if (!isChoice(v)) registerOf[v] = frees > 0 ? free[--frees] : registers++;
    // What nobody reads.
    if (!isChoice(v) && last[v] < 0) free[frees++] = registerOf[v];
  }
}

// ── computing
// ───────────────────────────────────────────────────────────────────────────────────────────────────────

template <class V>
void compute(const Op& op, V* out, int64_t n, const Operand<V>* operands, const double* parameters) {
  const Operand<V>&a = operands[0], &b = operands[1], &c = operands[2];
  switch (op.form) {
    case Op::unary:
      // A function of one array is told one.
      if (a.step == 0) std::fill_n(out, n, *a.data);
      return applyUnary(out, a.step == 0 ? out : a.data, n, op.unaryOp(), parameters[0], parameters[1]);
    case Op::binary:
      return applyBinary(out, n, a.data, a.step, b.data, b.step, op.binaryOp());
    case Op::where:
      return applyWhere(out, n, a.data, a.step, b.data, b.step, c.data, c.step);
    case Op::unaryGradient:
      return applyUnaryGradient(out, a.data, b.data, n, op.unaryOp(), parameters[0], parameters[1]);
    case Op::binaryGradient:
      return applyBinaryGradient(out, n, a.data, b.data, c.data, op.binaryOp(), op.operand);
    case Op::loss:
      return applyLoss(out, a.data, b.data, n, op.lossOp(), parameters[0], parameters[1]);
    case Op::lossGradient:
    case Op::lossSlope:
      return applyLossGradient(out, a.data, a.step, b.data, c.data, n, op.lossOp(), parameters[0],
                               parameters[1], op.operand == 1);
  }
}

template void compute(const Op&, float*, int64_t, const Operand<float>*, const double*);
template void compute(const Op&, double*, int64_t, const Operand<double>*, const double*);

}  // namespace axpy
