// Lists of elementwise instructions, by blocks that stay in the first cache.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "instructions.h"
#include "kernels.h"
#include "parallel.h"
#include "range.h"
#include "strips.h"
#include "workspaces.h"

namespace axpy {
namespace {

/// A list over groups of arrays.
struct GroupList : Instructions {
  int outs, ins, scalars;  // of a group
  int firstScalar, firstShared, firstConstant;
  std::array<int, maxValues> becomes;  // what the outs and the scalars become
  /// The register of an out that may become an array of the group: all such are copied before any is written.
  std::array<int, maxValues> copyOf;
  /// The place of a scalar that elements meet, among those of a group; −1 for others.
  std::array<int, maxValues> placeOf;
  int places = 0;
};

void assignPlaces(GroupList& list) {
  std::fill_n(list.placeOf.begin(), list.values, -1);
  const auto meet = [&](int value) {
    if (value >= 0 && list.isScalar[value] && list.placeOf[value] < 0) list.placeOf[value] = list.places++;
  };
  for (int v = list.firstResult; v < list.values; v++) {
    if (list.isScalar[v]) continue;
    for (const int operand : list.of(v).operands) meet(operand);
  }
  for (int i = 0; i < list.outs; i++) meet(list.becomes[i]);
}

void readGroupList(const CodeReader& code, int64_t shared, int64_t constants, GroupList& list) {
  if (code.length() < 3) code.refuseLength("at least 3");
  list.folds = true;
  list.outs = code.countAt(0, 1);
  list.ins = code.countAt(1, 0);
  list.scalars = code.countAt(2, 0);
  const int results = list.outs + list.scalars;
  if (code.length() < 3 + results) code.refuseLength("at least " + std::to_string(3 + results));
  list.firstScalar = list.outs + list.ins;
  list.firstShared = list.firstScalar + list.scalars;
  list.firstConstant = list.firstShared + static_cast<int>(std::min<int64_t>(shared, maxValues));
  const int64_t given = list.firstShared + shared + constants;
  for (int v = 0; v < std::min<int64_t>(given, maxValues); v++) list.isScalar[v] = v >= list.firstScalar;
  code.readInstructions(list, 3 + results, given, elementwiseOps);
  for (int i = 0; i < results; i++) {
    list.becomes[i] = code.valueAt(3 + i, 0, list.values);
    if (i >= list.outs && !list.isScalar[list.becomes[i]]) code.refuse(3 + i, "a scalar");
  }
  list.assignRegisters(list.becomes.data(), list.outs);
  for (int i = 0; i < list.outs; i++) {
    const int value = list.becomes[i];
    const bool mayBeArray = value < list.firstScalar ? value != i : list.isChoice(value);
    list.copyOf[i] = mayBeArray ? list.registers++ : -1;
  }
  assignPlaces(list);
}

/// Computes the scalars of one group after the other, advances their rows and notes those that elements meet.
void computeScalars(const GroupList& list, const Array<double>& scalars, const int* rows,
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
      if (g > 0 && std::all_of(operands.begin(), operands.end(), isSame)) {
        values[v] = before[v];
        continue;
      }
      std::array<double, maxOperands> x;
      std::array<Operand<double>, maxOperands> from;
      for (int i = 0; i < maxOperands; i++) {
        x[i] = operands[i] < 0 ? 0 : values[operands[i]];
        from[i] = {&x[i], 1};
      }
      compute(*op, &values[v], 1, from.data(), x.data() + op->arrays);
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

  void make(const GroupList& list, const double* met) {
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

/// Computes n elements of each wanted result in float64 into its register, of `room` elements; `arrays` are
/// those of the group. What is kept is rounded to float.
void computeWide(const GroupList& list, const Choices& choices, const double* met,
                 const double* const* arrays, double* registers, int64_t room, int64_t n) {
  for (int v = list.firstResult; v < list.values; v++) {
    if (!choices.isWanted[v] || list.isScalar[v]) continue;
    const auto& [op, operands] = list.of(v);
    double* out = registers + list.registerOf[v] * room;
    std::array<Operand<double>, maxOperands> from;
    std::array<double, maxOperands> parameters;
    for (int i = 0; i < op->arrays; i++) {
      const int x = choices.source[operands[i]];
      if (list.isScalar[x]) {
        from[i] = {met + list.placeOf[x], 0};
      } else {
        from[i] = {x < list.firstScalar ? arrays[x] : registers + list.registerOf[x] * room, 1};
      }
    }
    for (int i = 0; i < op->parameters; i++) {
      const int x = operands[op->arrays + i];
      parameters[i] = x < 0 ? 0 : met[list.placeOf[x]];
    }
    compute(*op, out, n, from.data(), parameters.data());
    if (!choices.isKept[v]) continue;
    for (int64_t i = 0; i < n; i++) out[i] = static_cast<double>(static_cast<float>(out[i]));
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
  Worker(const GroupList& list, const List<T>& outs, const List<const T>& ins, const double* met, bool wide,
         T* memory)
      : list_(list),
        outs_(outs),
        ins_(ins),
        met_(met),
        wide_(wide && std::is_same_v<T, float>),
        registers_(memory),
        copies_(memory + list.registers * instructionBlock<T>),
        numbers_(copies_ + list.firstScalar * instructionBlock<T>) {}

  /// Elements of the memory that a worker has.
  static int64_t room(const GroupList& list) {
    return (list.registers + list.firstScalar) * instructionBlock<T> + list.places * sameNumbers<T>;
  }

  /// Elements [begin, end) of a group, which has the scalars of its own; small pieces wait for others.
  void add(int64_t group, int64_t begin, int64_t end) {
    for (; begin < end; begin += instructionBlock<T>) {
      const int64_t count = std::min(end - begin, instructionBlock<T>);
      const bool fits = pieces_ < maxPieces && elements_ + count <= instructionBlock<T>;
      if (pieces_ > 0 && !(fits && hasSameScalars(pending_[0].group, group))) flush();
      pending_[pieces_++] = {group, begin, count};
      elements_ += count;
    }
  }

  void flush() {
    if (pieces_ == 0) return;
    const double* met = scalarsOf(pending_[0].group);
    if (planned_ < 0 || !hasSameScalars(planned_, pending_[0].group)) plan(pending_[0].group);
    std::array<const T*, maxValues> arrays;
    for (int a = 0; a < list_.firstScalar; a++) {
      if (choices_.isWanted[a]) arrays[a] = pieces_ == 1 ? arrayOf(a, pending_[0]) : gathered(a);
    }
    for (int i = 0; i < movingCount_; i++) *moving_[i].slot = arrays[moving_[i].array];
    for (int i = 0; i < stepCount_;) i += computeRun(&steps_[i], stepCount_ - i, elements_);
    if (!wide_ || (areFit_ && areRight())) {
      write(registers_, instructionBlock<T>, arrays.data(), met, pending_.data(), pieces_);
    } else {
      for (int i = 0; i < pieces_; i++) takeAgain(met, pending_[i]);
    }
    pieces_ = 0;
    elements_ = 0;
  }

 private:
  static constexpr int maxPieces = 64;

  /// A pointer of a step that each block has another of: to an array of a group.
  struct Moving {
    const T** slot;
    int array;
  };

  const double* scalarsOf(int64_t group) const { return met_ + group * list_.places; }
  bool hasSameScalars(int64_t a, int64_t b) const {
    // Without scalars both pointers may be null, which memcmp must not get.
    return list_.places == 0 || std::memcmp(scalarsOf(a), scalarsOf(b), list_.places * sizeof(double)) == 0;
  }

  const T* arrayOf(int a, const Piece& piece) const {
    const int64_t begin = piece.begin;
    return a < list_.outs ? outs_[piece.group * list_.outs + a].data + begin
                          : ins_[piece.group * list_.ins + a - list_.outs].data + begin;
  }

  const T* gathered(int a) const {
    T* const copy = copies_ + a * instructionBlock<T>;
    T* to = copy;
    for (int i = 0; i < pieces_; to += pending_[i++].count) {
      std::copy_n(arrayOf(a, pending_[i]), pending_[i].count, to);
    }
    return copy;
  }

  T* registerOf(int value) const { return registers_ + list_.registerOf[value] * instructionBlock<T>; }

  /// The steps for groups that have the scalars of this one.
  void plan(int64_t group) {
    planned_ = group;
    const double* const met = scalarsOf(group);
    choices_.make(list_, met);
    areFit_ = std::all_of(met, met + list_.places, fits<T>);
    for (int place = 0; place < list_.places; place++) {
      std::fill_n(numbers_ + place * sameNumbers<T>, sameNumbers<T>, static_cast<T>(met[place]));
    }
    stepCount_ = movingCount_ = 0;
    for (int v = list_.firstResult; v < list_.values; v++) {
      if (choices_.isWanted[v] && !list_.isScalar[v]) addStep(v, met);
    }
    findStrips(steps_.data(), stepCount_);
  }

  void addStep(int v, const double* met) {
    const auto& [op, operands] = list_.of(v);
    Step<T>& step = steps_[stepCount_++];
    step.op = op;
    step.value = v;
    step.isKept = choices_.isKept[v];
    step.out = registerOf(v);
    for (int i = 0; i < op->arrays; i++) {
      const int x = choices_.source[operands[i]];
      step.reads[i] = x;
      if (list_.isScalar[x]) {
        step.from[i] = {numbers_ + list_.placeOf[x] * sameNumbers<T>, 0};
      } else if (x < list_.firstScalar) {
        step.from[i].step = 1;
        moving_[movingCount_++] = {&step.from[i].data, x};
      } else {
        step.from[i] = {registerOf(x), 1};
      }
    }
    for (int i = 0; i < op->parameters; i++) {
      const int x = operands[op->arrays + i];
      step.parameters[i] = x < 0 ? 0 : met[list_.placeOf[x]];
    }
  }

  /// Whether nothing left the range of float32 on the way into the registers.
  bool areRight() const {
    for (int i = 0; i < list_.outs; i++) {
      const int value = choices_.source[list_.becomes[i]];
      if (value < list_.firstResult || list_.isScalar[value]) continue;
      if (!areFinite(registerOf(value), elements_)) return false;
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
        } else if constexpr (std::is_same_v<V, T>) {
          std::copy_n(from[i] + at, pieces[p].count, to);
        } else {
          std::transform(from[i] + at, from[i] + at + pieces[p].count, to,
                         [](V x) { return static_cast<T>(x); });
        }
      }
    }
  }

  /// The piece in float64, in the same memory by halves of a block.
  void takeAgain(const double* met, const Piece& piece) {
    constexpr int64_t room = instructionBlock<T> * sizeof(T) / sizeof(double);
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
      computeWide(list_, choices_, met, arrays.data(), registers, room, half.count);
      write(registers, room, arrays.data(), met, &half, 1);
    }
  }

  const GroupList& list_;
  const List<T>& outs_;
  const List<const T>& ins_;
  const double* const met_;
  const bool wide_;
  T* const registers_;
  T* const copies_;
  T* const numbers_;
  /// A group of those for which the choices and the steps are, or −1.
  int64_t planned_ = -1;
  Choices choices_;
  /// Whether the scalars that elements meet are within the range of float32.
  bool areFit_ = false;
  std::array<Step<T>, maxValues> steps_;
  std::array<Moving, maxValues * 3> moving_;
  int stepCount_ = 0, movingCount_ = 0;
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
  GroupList list;
  readGroupList(CodeReader(check, code), shared.length, constants.length, list);
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
  Workspaces<T> spaces((total + chunk - 1) / chunk, Worker<T>::room(list));
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
