// Lists of elementwise instructions, by blocks that stay in the first cache.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "kernels.h"
#include "parallel.h"
#include "range.h"
#include "workspaces.h"

namespace axpy {
namespace {

constexpr int maxValues = 256;
constexpr int unaryCount = static_cast<int>(Codes<UnaryOp>::names.size());
constexpr int binaryCount = static_cast<int>(Codes<BinaryOp>::names.size());
constexpr int whereOp = unaryCount + binaryCount;

/// Elements of a block: so few that the values at hand stay in the first cache.
template <class T>
constexpr int64_t blockOf = 4096 / sizeof(T);

struct Instruction {
  int op;
  /// Numbers of values; −1 for none.
  std::array<int, 3> operands;
};

/// The code, copied and checked, as another thread may write to the array. A value is elements (an array of
/// the group or a result in a register) or a scalar. Arrays are not initialised: a call reads what it wrote.
struct Instructions {
  int outs, ins, scalars;  // of a group
  int firstScalar, firstShared, firstConstant, firstResult, values;
  std::array<int, maxValues> becomes;  // what the outs and the scalars become
  std::array<Instruction, maxValues> instructions;
  std::array<bool, maxValues> isScalar;
  /// The register of a result of elements.
  std::array<int, maxValues> registerOf;
  /// That of an out that may become an array of the group: all such are copied before any is written.
  std::array<int, maxValues> copyOf;
  int registers = 0;
  /// The place of a scalar that elements meet, among those of a group; −1 for others.
  std::array<int, maxValues> placeOf;
  int places = 0;

  const Instruction& of(int value) const { return instructions[value - firstResult]; }
  int count() const { return values - firstResult; }
  /// Whether it is one of two values, as a scalar of the group tells.
  bool isChoice(int value) const {
    return value >= firstResult && !isScalar[value] && of(value).op == whereOp &&
           isScalar[of(value).operands[0]];
  }
};

class Reader {
 public:
  Reader(const Check& check, const Array<const int32_t>& code, Instructions& list)
      : check_(check), code_(code), list_(list) {}

  void read(int64_t shared, int64_t constants) {
    if (code_.length < 3)
      check_.fail(code_.position, "to have length at least 3", std::to_string(code_.length));
    list_.outs = countAt(0, 1);
    list_.ins = countAt(1, 0);
    list_.scalars = countAt(2, 0);
    const int64_t results = list_.outs + list_.scalars;
    const int64_t rest = code_.length - 3 - results;
    if (rest < 0 || rest % 4 != 0) {
      check_.fail(code_.position, "to have length " + std::to_string(3 + results) + " + 4·instructions",
                  std::to_string(code_.length));
    }
    const int64_t values = list_.outs + list_.ins + list_.scalars + shared + constants + rest / 4;
    if (values > maxValues) {
      check_.fail(code_.position, "to number at most " + std::to_string(maxValues) + " values",
                  std::to_string(values));
    }
    list_.firstScalar = list_.outs + list_.ins;
    list_.firstShared = list_.firstScalar + list_.scalars;
    list_.firstConstant = list_.firstShared + static_cast<int>(shared);
    list_.firstResult = list_.firstConstant + static_cast<int>(constants);
    list_.values = static_cast<int>(values);
    for (int v = 0; v < list_.firstResult; v++) list_.isScalar[v] = v >= list_.firstScalar;
    for (int v = list_.firstResult; v < list_.values; v++)
      readInstruction(v, 3 + results + 4 * (v - list_.firstResult));
    for (int i = 0; i < results; i++) {
      list_.becomes[i] = valueAt(3 + i, 0, list_.values);
      if (i >= list_.outs) wantScalar(3 + i, list_.becomes[i]);
    }
    assignRegisters();
    assignPlaces();
  }

 private:
  [[noreturn]] void refuse(int64_t at, const std::string& expectation, int64_t got) const {
    check_.failAt(code_.position, at, "to be " + expectation, std::to_string(got));
  }
  int countAt(int64_t at, int least) const {
    const int32_t count = code_[at];
    if (count < least || count > maxValues) {
      refuse(at, "a count from " + std::to_string(least) + " to " + std::to_string(maxValues), count);
    }
    return count;
  }
  /// The number of a value below `end`.
  int valueAt(int64_t at, int least, int end) const {
    const int32_t value = code_[at];
    if (value < least || value >= end) {
      refuse(at, "a value from " + std::to_string(least) + " to " + std::to_string(end - 1), value);
    }
    return value;
  }
  void wantScalar(int64_t at, int value) const {
    if (value >= 0 && !list_.isScalar[value]) refuse(at, "a scalar", value);
  }

  void readInstruction(int value, int64_t at) {
    const int32_t op = code_[at];
    if (op < 0 || op > whereOp) refuse(at, "a code from 0 to " + std::to_string(whereOp), op);
    const bool isUnary = op < unaryCount;
    const int least[] = {0, isUnary ? -1 : 0, op == whereOp ? 0 : -1};
    Instruction& instruction = list_.instructions[value - list_.firstResult];
    instruction.op = op;
    bool isScalar = true;
    for (int i = 0; i < 3; i++) {
      const int64_t place = at + 1 + i;
      const int operand = valueAt(place, least[i], op < whereOp && !isUnary && i == 2 ? 0 : value);
      if (isUnary && i > 0) wantScalar(place, operand);
      instruction.operands[i] = operand;
      if (operand >= 0 && !list_.isScalar[operand]) isScalar = false;
    }
    list_.isScalar[value] = isScalar;
  }

  /// A register is free again after the last instruction that reads its value; that instruction's own result
  /// may take it.
  void assignRegisters() {
    std::array<int, maxValues> last;  // the reader of each value, the number of values for the end
    std::fill_n(last.begin(), list_.values, -1);
    for (int i = 0; i < list_.outs; i++) last[list_.becomes[i]] = list_.values;
    for (int v = list_.values - 1; v >= list_.firstResult; v--) {
      if (list_.isScalar[v]) continue;
      const int reader = list_.isChoice(v) ? std::max(v, last[v]) : v;
      for (const int operand : list_.of(v).operands) {
        if (operand >= 0) last[operand] = std::max(last[operand], reader);
      }
    }
    std::array<int, maxValues> free;
    int frees = 0;
    for (int v = list_.firstResult; v < list_.values; v++) {
      if (list_.isScalar[v]) continue;
      const auto& operands = list_.of(v).operands;
      for (int i = 0; i < 3; i++) {
        const int operand = operands[i];
        const bool isRepeated = (i > 0 && operand == operands[0]) || (i > 1 && operand == operands[1]);
        if (operand < list_.firstResult || isRepeated || list_.isScalar[operand] || last[operand] != v)
          continue;
        if (!list_.isChoice(operand)) free[frees++] = list_.registerOf[operand];
      }
      if (!list_.isChoice(v)) list_.registerOf[v] = frees > 0 ? free[--frees] : list_.registers++;
    }
    for (int i = 0; i < list_.outs; i++) {
      const int value = list_.becomes[i];
      const bool mayBeArray = value < list_.firstScalar ? value != i : list_.isChoice(value);
      list_.copyOf[i] = mayBeArray ? list_.registers++ : -1;
    }
  }

  void assignPlaces() {
    std::fill_n(list_.placeOf.begin(), list_.values, -1);
    const auto meet = [&](int value) {
      if (value >= 0 && list_.isScalar[value] && list_.placeOf[value] < 0)
        list_.placeOf[value] = list_.places++;
    };
    for (int v = list_.firstResult; v < list_.values; v++) {
      if (list_.isScalar[v]) continue;
      for (const int operand : list_.of(v).operands) meet(operand);
    }
    for (int i = 0; i < list_.outs; i++) meet(list_.becomes[i]);
  }

  const Check& check_;
  const Array<const int32_t>& code_;
  Instructions& list_;
};

double scalarOf(int op, const std::array<double, 3>& x) {
  if (op == whereOp) return x[0] == 0 ? x[2] : x[1];
  double result;
  if (op < unaryCount) {
    applyUnary(&result, &x[0], 1, static_cast<UnaryOp>(op), x[1], x[2]);
  } else {
    applyBinary(&result, 1, &x[0], 1, &x[1], 1, static_cast<BinaryOp>(op - unaryCount));
  }
  return result;
}

/// Computes the scalars of one group after the other, advances their rows and notes those that elements meet.
void computeScalars(const Instructions& list, const Array<double>& scalars, const int* rows,
                    const Array<const double>& shared, const Array<const double>& constants, int64_t groups,
                    double* met) {
  std::array<double, maxValues> values, before;
  std::copy_n(shared.data, shared.length, values.begin() + list.firstShared);
  std::copy_n(constants.data, constants.length, values.begin() + list.firstConstant);
  const auto isSame = [&](int value) {
    const bool isCommon = value < 0 || (value >= list.firstShared && value < list.firstResult);
    return isCommon || std::bit_cast<uint64_t>(values[value]) == std::bit_cast<uint64_t>(before[value]);
  };
  for (int64_t g = 0; g < groups; g++) {
    double* row = list.scalars > 0 ? scalars.data + int64_t{rows[g]} * list.scalars : nullptr;
    for (int i = 0; i < list.scalars; i++) values[list.firstScalar + i] = row[i];
    for (int v = list.firstResult; v < list.values; v++) {
      if (!list.isScalar[v]) continue;
      const auto& [op, operands] = list.of(v);
      // Most groups are as far as the one before, and powers are expensive.
      if (g > 0 && isSame(operands[0]) && isSame(operands[1]) && isSame(operands[2])) {
        values[v] = before[v];
        continue;
      }
      std::array<double, 3> x;
      for (int i = 0; i < 3; i++) x[i] = operands[i] < 0 ? 0 : values[operands[i]];
      values[v] = scalarOf(op, x);
    }
    for (int i = 0; i < list.scalars; i++) row[i] = values[list.becomes[list.outs + i]];
    for (int v = list.firstScalar; v < list.values; v++) {
      if (list.placeOf[v] >= 0) met[list.placeOf[v]] = values[v];
    }
    met += list.places;
    std::copy(values.begin() + list.firstScalar, values.begin() + list.values,
              before.begin() + list.firstScalar);
  }
}

/// What the instructions do to a group, or to several with the same scalars: those that are wanted, once
/// choices are made.
struct Choices {
  std::array<bool, maxValues> isWanted;
  std::array<bool, maxValues> isKept;  // as an out, in the precision of the arrays
  std::array<int, maxValues> source;   // itself, or the value chosen

  void make(const Instructions& list, const double* met) {
    std::fill_n(isWanted.begin(), list.values, false);
    for (int v = 0; v < list.values; v++) {
      source[v] = v;
      isKept[v] = false;
      if (!list.isChoice(v)) continue;
      const auto& operands = list.of(v).operands;
      source[v] = source[operands[met[list.placeOf[operands[0]]] == 0 ? 2 : 1]];
    }
    for (int i = 0; i < list.outs; i++) {
      const int value = source[list.becomes[i]];
      isWanted[value] = isKept[value] = true;
    }
    for (int v = list.values - 1; v >= list.firstResult; v--) {
      if (!isWanted[v] || list.isScalar[v]) continue;
      for (const int operand : list.of(v).operands) {
        if (operand >= 0) isWanted[source[operand]] = true;
      }
    }
  }
};

/// Computes n elements of each wanted result into its register, of `room` elements; `arrays` are those of the
/// group. With `round`, what is kept is rounded to float.
template <class V>
void computeBlock(const Instructions& list, const Choices& choices, const double* met, const V* const* arrays,
                  V* registers, int64_t room, int64_t n, bool round) {
  for (int v = list.firstResult; v < list.values; v++) {
    if (!choices.isWanted[v] || list.isScalar[v]) continue;
    const auto& [op, operands] = list.of(v);
    V* out = registers + list.registerOf[v] * room;
    if (op < unaryCount) {
      const auto parameter = [&](int operand) { return operand < 0 ? 0 : met[list.placeOf[operand]]; };
      const int x = choices.source[operands[0]];
      const V* from = x < list.firstScalar ? arrays[x] : registers + list.registerOf[x] * room;
      if (list.isScalar[x]) from = std::fill_n(out, n, static_cast<V>(met[list.placeOf[x]])) - n;
      applyUnary(out, from, n, static_cast<UnaryOp>(op), parameter(operands[1]), parameter(operands[2]));
    } else {
      std::array<V, 3> same;
      std::array<const V*, 3> from;
      std::array<int64_t, 3> step;
      for (int i = 0; i < (op == whereOp ? 3 : 2); i++) {
        const int x = choices.source[operands[i]];
        step[i] = list.isScalar[x] ? 0 : 1;
        if (list.isScalar[x]) same[i] = static_cast<V>(met[list.placeOf[x]]);
        from[i] = list.isScalar[x]       ? &same[i]
                  : x < list.firstScalar ? arrays[x]
                                         : registers + list.registerOf[x] * room;
      }
      if (op == whereOp) {
        applyWhere(out, n, from[0], step[0], from[1], step[1], from[2], step[2]);
      } else {
        applyBinary(out, n, from[0], step[0], from[1], step[1], static_cast<BinaryOp>(op - unaryCount));
      }
    }
    if (round && choices.isKept[v]) {
      for (int64_t i = 0; i < n; i++) out[i] = static_cast<V>(static_cast<float>(out[i]));
    }
  }
}

/// So many elements of a group.
struct Piece {
  int64_t group, begin, count;
};

/// What one thread does with the groups.
template <class T>
class Worker {
 public:
  Worker(const Instructions& list, const List<T>& outs, const List<const T>& ins, const double* met,
         bool wide, T* registers)
      : list_(list),
        outs_(outs),
        ins_(ins),
        met_(met),
        wide_(wide && std::is_same_v<T, float>),
        registers_(registers),
        copies_(registers + list.registers * blockOf<T>) {}

  /// Elements [begin, end) of a group, which has the scalars of its own; small pieces wait for others.
  void add(int64_t group, int64_t begin, int64_t end) {
    for (; begin < end; begin += blockOf<T>) {
      const int64_t count = std::min(end - begin, blockOf<T>);
      const bool fits = pieces_ < maxPieces && elements_ + count <= blockOf<T>;
      if (pieces_ > 0 && !(fits && hasSameScalars(pending_[0].group, group))) flush();
      pending_[pieces_++] = {group, begin, count};
      elements_ += count;
    }
  }

  void flush() {
    if (pieces_ == 0) return;
    const double* met = scalarsOf(pending_[0].group);
    choices_.make(list_, met);
    std::array<const T*, maxValues> arrays;
    for (int a = 0; a < list_.firstScalar; a++) {
      if (choices_.isWanted[a]) arrays[a] = pieces_ == 1 ? arrayOf(a, pending_[0]) : gathered(a);
    }
    computeBlock(list_, choices_, met, arrays.data(), registers_, blockOf<T>, elements_, false);
    if (!wide_ || areRight(met)) {
      write(registers_, blockOf<T>, arrays.data(), met, pending_.data(), pieces_);
    } else {
      for (int i = 0; i < pieces_; i++) computeWide(met, pending_[i]);
    }
    pieces_ = 0;
    elements_ = 0;
  }

 private:
  static constexpr int maxPieces = 64;

  const double* scalarsOf(int64_t group) const { return met_ + group * list_.places; }
  bool hasSameScalars(int64_t a, int64_t b) const {
    return std::memcmp(scalarsOf(a), scalarsOf(b), list_.places * sizeof(double)) == 0;
  }

  const T* arrayOf(int a, const Piece& piece) const {
    const int64_t begin = piece.begin;
    return a < list_.outs ? outs_[piece.group * list_.outs + a].data + begin
                          : ins_[piece.group * list_.ins + a - list_.outs].data + begin;
  }

  const T* gathered(int a) const {
    T* const copy = copies_ + a * blockOf<T>;
    T* to = copy;
    for (int i = 0; i < pieces_; to += pending_[i++].count) {
      std::copy_n(arrayOf(a, pending_[i]), pending_[i].count, to);
    }
    return copy;
  }

  /// Whether nothing left the range of float32 on the way into the registers.
  bool areRight(const double* met) const {
    if (!std::all_of(met, met + list_.places, fits<T>)) return false;
    for (int i = 0; i < list_.outs; i++) {
      const int value = choices_.source[list_.becomes[i]];
      if (value < list_.firstResult || list_.isScalar[value]) continue;
      if (!areFinite(registers_ + list_.registerOf[value] * blockOf<T>, elements_)) return false;
    }
    return true;
  }

  /// The outs of the pieces, one after the other, from the registers.
  template <class V>
  void write(V* registers, int64_t room, const V* const* arrays, const double* met, const Piece* pieces,
             int count) {
    std::array<const V*, maxValues> from;
    const int64_t n = count == 1 ? pieces[0].count : elements_;
    for (int i = 0; i < list_.outs; i++) {
      const int value = choices_.source[list_.becomes[i]];
      from[i] = nullptr;
      if (value == i || list_.isScalar[value]) continue;
      V* const own =
          registers + (value < list_.firstScalar ? list_.copyOf[i] : list_.registerOf[value]) * room;
      if (value < list_.firstScalar) std::copy_n(arrays[value], n, own);
      from[i] = own;
    }
    for (int i = 0; i < list_.outs; i++) {
      const int value = choices_.source[list_.becomes[i]];
      if (value == i) continue;
      for (int p = 0, at = 0; p < count; at += pieces[p++].count) {
        T* const to = outs_[pieces[p].group * list_.outs + i].data + pieces[p].begin;
        if (from[i] == nullptr) {
          std::fill_n(to, pieces[p].count, static_cast<T>(met[list_.placeOf[value]]));
        } else {
          std::transform(from[i] + at, from[i] + at + pieces[p].count, to,
                         [](V x) { return static_cast<T>(x); });
        }
      }
    }
  }

  /// The piece in float64, in the same memory by halves of a block.
  void computeWide(const double* met, const Piece& piece) {
    constexpr int64_t room = blockOf<T> * sizeof(T) / sizeof(double);
    auto* const registers = reinterpret_cast<double*>(registers_);
    double* const copies = registers + list_.registers * room;
    for (int64_t i = 0; i < piece.count; i += room) {
      const Piece half{piece.group, piece.begin + i, std::min(room, piece.count - i)};
      std::array<const double*, maxValues> arrays;
      for (int a = 0; a < list_.firstScalar; a++) {
        if (!choices_.isWanted[a]) continue;
        std::copy_n(arrayOf(a, half), half.count, copies + a * room);
        arrays[a] = copies + a * room;
      }
      computeBlock(list_, choices_, met, arrays.data(), registers, room, half.count, true);
      write(registers, room, arrays.data(), met, &half, 1);
    }
  }

  const Instructions& list_;
  const List<T>& outs_;
  const List<const T>& ins_;
  const double* const met_;
  const bool wide_;
  T* const registers_;
  T* const copies_;
  Choices choices_;
  std::array<Piece, maxPieces> pending_;
  int pieces_ = 0;
  int64_t elements_ = 0;
};

template <class T, class U>
void checkLengths(const Check& check, const List<T>& arrays, int each, const List<U>& outs, int outsEach) {
  for (int64_t i = 0; i < arrays.length; i++) {
    const int64_t wanted = outs[i / each * outsEach].length;
    if (arrays[i].length == wanted) continue;
    check.failAt(arrays.position, i, "to have length " + std::to_string(wanted),
                 std::to_string(arrays[i].length));
  }
}

}  // namespace

template <class T>
void elementwise(const Check& check, const List<T>& outs, const List<const T>& ins, Array<double> scalars,
                 Array<const int32_t> rows, Array<const double> shared, Array<const double> constants,
                 Array<const int32_t> code, Flag wide) {
  Instructions list;
  Reader(check, code, list).read(shared.length, constants.length);
  const int64_t groups = outs.length / list.outs;
  if (outs.length % list.outs != 0) {
    check.fail(outs.position, "to have a length that " + std::to_string(list.outs) + " divides",
               std::to_string(outs.length));
  }
  check.length(ins, static_cast<double>(groups * list.ins));
  checkLengths(check, outs, list.outs, outs, list.outs);
  if (list.ins > 0) checkLengths(check, ins, list.ins, outs, list.outs);
  check.length(rows, list.scalars == 0 ? 0 : static_cast<double>(groups));
  if (list.scalars == 0 ? scalars.length != 0 : scalars.length % list.scalars != 0) {
    check.fail(scalars.position, "to have a length that is a multiple of " + std::to_string(list.scalars),
               std::to_string(scalars.length));
  }
  const Buffer<int32_t> own(rows.length);
  std::copy_n(rows.data, rows.length, own.data());
  check.indices({own.data(), rows.length, rows.position},
                list.scalars == 0 ? 0 : scalars.length / list.scalars);

  // Each array counts as whole cache lines, in one partition over all elements: many small arrays cost no
  // more than a large one.
  constexpr int64_t line = 16;
  constexpr int64_t chunk = parallel::heavyChunk;
  static_assert(chunk % line == 0);
  const auto lengthOf = [&](int64_t group) { return outs[group * list.outs].length; };
  const auto room = [&](int64_t group) { return (lengthOf(group) + line - 1) / line * line; };
  int64_t total = 0;
  for (int64_t g = 0; g < groups; g++) total += room(g);
  Workspaces<T> spaces((total + chunk - 1) / chunk, (list.registers + list.firstScalar) * blockOf<T>);
  const Buffer<double> met(groups * list.places);
  computeScalars(list, scalars, own.data(), shared, constants, groups, met.data());
  parallel::forRange(total, chunk, [&](int64_t begin, int64_t end) {
    const typename Workspaces<T>::Lease lease(spaces);
    Worker<T> worker(list, outs, ins, met.data(), wide, lease.data());
    int64_t start = 0;  // of the group
    for (int64_t g = 0; g < groups && start < end; start += room(g), g++) {
      worker.add(g, std::max(begin - start, int64_t{0}), std::min(end - start, lengthOf(g)));
    }
    worker.flush();
  });
}

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(elementwise, "outs", "ins", "scalars", "rows", "shared", "constants", "code", "wide"),
};
const bind::Family family(kernels);

}  // namespace axpy
