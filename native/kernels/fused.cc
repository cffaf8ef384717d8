// A chain of elementwise instructions, perhaps ended by reductions, in one pass over memory.

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "instructions.h"
#include "kernels.h"
#include "parallel.h"
#include "reduce.h"
#include "workspaces.h"

namespace axpy {
namespace {

/// So many bytes do not stay in the second cache from one call to the next.
constexpr int64_t largeBytes = int64_t{1} << 21;

/// Elements of a block of a chain with so many values at hand, which together stay in the first cache; long
/// blocks where these are few, as each costs something by itself.
template <class T>
int64_t blockOf(int64_t atHand) {
  constexpr int64_t cacheBytes = 48 << 10, unit = 256, longest = 4 * instructionBlock<T>;
  const int64_t fitting = cacheBytes / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(1, atHand);
  return std::clamp(fitting / unit * unit, instructionBlock<T>, longest);
}

/// Elements from `from` on, `step` apart, as those of T.
template <class T, class From>
void copyRun(T* to, const From* from, int64_t step, int64_t n) {
  if (step == 0) {
    std::fill_n(to, n, static_cast<T>(*from));
  } else if (step == 1) {
    std::transform(from, from + n, to, [](From x) { return static_cast<T>(x); });
  } else {
    for (int64_t i = 0; i < n; i++) to[i] = static_cast<T>(from[i * step]);
  }
}

/// Where the positions are in an array.
class Places {
 public:
  /// Of dims and strides, `rank` long, whose reach has been checked.
  Places(const int32_t* dims, int64_t offset, const int32_t* strides, int rank) : offset_(offset) {
    // Neighbouring axes that are stepped through evenly are one.
    for (int axis = 0; axis < rank; axis++) {
      if (dims[axis] == 1) continue;
      const int64_t stride = strides[axis];
      if (rank_ > 0 && strides_[rank_ - 1] == stride * dims[axis]) {
        dims_[rank_ - 1] *= dims[axis];
        strides_[rank_ - 1] = stride;
      } else {
        dims_[rank_] = dims[axis];
        strides_[rank_++] = stride;
      }
    }
  }

  /// So many, one after the other.
  static Places run(int64_t count) {
    const auto dim = static_cast<int32_t>(count), stride = int32_t{1};
    return {&dim, 0, &stride, 1};
  }

  int64_t offset() const { return offset_; }
  /// Whether all of them are one element.
  bool areOne() const { return rank_ == 0 || (rank_ == 1 && strides_[0] == 0); }
  /// Whether they follow one another.
  bool areRun() const { return rank_ == 0 || (rank_ == 1 && strides_[0] == 1); }

  /// Calls run(element, step, n) for the positions from `begin` on, `count` of them.
  template <class F>
  void forRuns(int64_t begin, int64_t count, const F& run) const {
    if (rank_ == 0) return run(offset_, int64_t{0}, count);
    const int last = rank_ - 1;
    if (last == 0) return run(offset_ + begin * strides_[0], strides_[0], count);
    int64_t at = offset_;
    std::array<int64_t, Layout::maxRank> index;
    for (int axis = last; axis >= 0; axis--) {
      index[axis] = begin % dims_[axis];
      begin /= dims_[axis];
      at += index[axis] * strides_[axis];
    }
    for (;;) {
      const int64_t n = std::min(count, dims_[last] - index[last]);
      run(at, strides_[last], n);
      count -= n;
      if (count == 0) return;
      at -= index[last] * strides_[last];
      index[last] = 0;
      for (int axis = last - 1; axis >= 0; axis--) {
        const bool wraps = ++index[axis] == dims_[axis];
        at += strides_[axis] * (wraps ? 1 - dims_[axis] : 1);
        if (!wraps) break;
        index[axis] = 0;
      }
    }
  }

 private:
  int64_t offset_;
  int rank_ = 0;
  std::array<int64_t, Layout::maxRank> dims_, strides_;
};

/// An array that is read at its places.
template <class T>
class In {
 public:
  In(const Mixed<T>& array, const Places& places)
      : data_(array.data), length_(array.length), isInteger_(array.isInteger), places_(places) {}

  /// Whether it is the same number at all positions.
  bool isNumber() const { return places_.areOne(); }
  /// Whether its elements are those of the positions, one after the other.
  bool isWhole() const { return !isInteger_ && places_.areRun(); }
  T number() const {
    return isInteger_ ? static_cast<T>(static_cast<const int32_t*>(data_)[places_.offset()])
                      : static_cast<const T*>(data_)[places_.offset()];
  }
  /// Where a position is, of one that is read whole.
  const T* at(int64_t position) const { return static_cast<const T*>(data_) + places_.offset() + position; }

  /// The elements of the positions from `begin` on.
  void gather(T* to, int64_t begin, int64_t n) const {
    int64_t done = 0;
    places_.forRuns(begin, n, [&](int64_t at, int64_t step, int64_t run) {
      if (isInteger_) {
        copyRun(to + done, static_cast<const int32_t*>(data_) + at, step, run);
      } else {
        copyRun(to + done, static_cast<const T*>(data_) + at, step, run);
      }
      done += run;
    });
  }

  bool overlaps(const Array<T>& out) const {
    const auto* const first = static_cast<const char*>(data_);
    const auto* const other = reinterpret_cast<const char*>(out.data);
    const auto size = static_cast<size_t>(length_) * (isInteger_ ? sizeof(int32_t) : sizeof(T));
    return first < other + static_cast<size_t>(out.length) * sizeof(T) && other < first + size;
  }
  /// Takes a copy of the array into its place.
  void keep(std::vector<std::vector<char>>& copies) {
    const auto* const first = static_cast<const char*>(data_);
    const auto size = static_cast<size_t>(length_) * (isInteger_ ? sizeof(int32_t) : sizeof(T));
    data_ = copies.emplace_back(first, first + size).data();
  }

 private:
  const void* data_;
  int64_t length_;
  bool isInteger_;
  Places places_;
};

/// What the chain ends in: a value stored, or reduced.
template <class T>
struct End {
  int value;
  int reduction;  // −1 for one that is stored
  Array<T> out;
  /// Where the positions are in it, of one that is stored.
  std::optional<Places> places;
  /// Whether results go there at once, as nothing reads what was there before.
  bool isDirect = false;
  /// The end that stores the value of a reduction, in a run, or −1.
  int stored = -1;

  /// Where the first position is, of one that is stored.
  T* first() const { return out.data + places->offset(); }
};

/// A call, read and checked.
template <class T>
class Chain {
 public:
  Chain(const Check& check, const List<T>& outs, const MixedList<T>& ins, const Array<const int32_t>& layout,
        const Array<const int32_t>& code, const Array<const double>& constants);

  bool isCurrent() const { return contents_.areSame(); }
  void run();

 private:
  /// As reduce.h has it; without `stores` values are computed again and the outs left alone.
  struct Source {
    const Chain& chain;
    Workspaces<T>& spaces;
    bool stores;
    class Reader;
  };

  void readCode(const CodeReader& code, const Check& check, const List<T>& outs, int64_t ins,
                const Array<const double>& constants);
  void readLayout(const Check& check, const Array<const int32_t>& layout, const List<T>& outs,
                  const MixedList<T>& ins);
  void findPlaces();
  void readNumbers();
  void keepIns();

  bool isIn(int value) const { return value < static_cast<int>(ins_.size()); }
  bool isNumber(int value) const { return list_.isScalar[value] || (isIn(value) && ins_[value].isNumber()); }
  int64_t scratch() const { return std::min(reduceBlock, positions_); }

  Contents contents_;
  Instructions list_;
  int given_ = 0;  // ins and constants
  std::vector<double> constants_;
  std::vector<In<T>> ins_;
  std::vector<End<T>> ends_;
  std::vector<Reduction<T>> reductions_;
  Reduced shape_{};
  int64_t positions_ = 0, block_ = 0, chunk_ = 0;
  /// Whether the arrays are larger than the nearer caches.
  bool isLarge_ = false;
  /// What is one number for all, and of others the first one where that is asked for.
  std::array<T, maxValues> numbers_;
  std::array<bool, maxValues> isNumberWanted_;
  /// The registers of what is no result: gathered ins, numbers as arrays; −1 for none.
  std::array<int, maxValues> registerOfGiven_;
  int registers_ = 0;
  /// Whether an in is copied before anything of its block is written.
  std::array<bool, maxValues> isGathered_;
  /// Whether results may be taken again, from ins of which some are copies.
  bool mayBeAgain_ = false;
  std::vector<In<T>> lasting_;
  std::vector<std::vector<char>> kept_;
};

template <class T>
Chain<T>::Chain(const Check& check, const List<T>& outs, const MixedList<T>& ins,
                const Array<const int32_t>& layout, const Array<const int32_t>& code,
                const Array<const double>& constants) {
  contents_.keep(layout.data, layout.length);
  contents_.keep(code.data, code.length);
  contents_.keep(constants.data, constants.length);
  readCode(CodeReader(check, code), check, outs, ins.length, constants);
  readLayout(check, layout, outs, ins);
  findPlaces();
}

template <class T>
void Chain<T>::readCode(const CodeReader& code, const Check& check, const List<T>& outs, int64_t ins,
                        const Array<const double>& constants) {
  constexpr int width = 3;  // of an out: value, end, scale
  if (code.length() < 1) code.refuseLength("at least 1");
  const int count = code.countAt(0, 0);
  check.length(outs, count);
  if (code.length() < 1 + width * count) code.refuseLength("at least " + std::to_string(1 + width * count));
  const int64_t given = ins + constants.length;
  for (int64_t v = 0; v < std::min<int64_t>(given, maxValues); v++) list_.isScalar[v] = v >= ins;
  code.readInstructions(list_, 1 + width * count, given, static_cast<int>(ops.size()));
  given_ = static_cast<int>(given);
  constants_.assign(constants.data, constants.data + constants.length);
  std::vector<int> finite;
  for (int v = list_.firstResult; v < list_.values; v++) {
    const auto& [op, operands] = list_.of(v);
    if (op->form < Op::loss) continue;
    for (int i = 0; i < op->parameters; i++) finite.push_back(operands[op->arrays + i]);
  }
  for (int i = 0; i < count; i++) {
    const int64_t at = 1 + width * i;
    const int value = code.valueAt(at, 0, list_.values);
    const int end = code.codeAt(at + 1, -1, static_cast<int>(Codes<ReduceOp>::names.size()));
    const int scale = code.scalarAt(at + 2, list_, given);
    const auto op = static_cast<ReduceOp>(end);
    if (scale >= 0 && (end < 0 || op == ReduceOp::max || op == ReduceOp::min)) {
      code.refuse(at + 2, "-1 for what has no scale");
    }
    finite.push_back(scale);
    ends_.push_back({value, end < 0 ? -1 : static_cast<int>(reductions_.size()), outs[i], std::nullopt});
    if (end >= 0) reductions_.push_back({op, scale < 0 ? 1 : constants_[scale - ins], outs[i].data});
  }
  for (const int value : finite) {
    const int64_t at = value - ins;
    if (value < 0 || std::isfinite(constants_[at])) continue;
    check.failAt(constants.position, at, "to be a finite number", formatNumber(constants_[at]));
  }
}

template <class T>
void Chain<T>::readLayout(const Check& check, const Array<const int32_t>& layout, const List<T>& outs,
                          const MixedList<T>& ins) {
  constexpr int sizes = 5;  // k0, r0, k1, r1, rank
  constexpr int64_t longest = sizes + Layout::maxRank + 2 * maxValues * (Layout::maxRank + 1);
  const auto refuseLength = [&](const std::string& expectation) {
    check.fail(layout.position, "to have length " + expectation, std::to_string(layout.length));
  };
  if (layout.length < sizes) refuseLength("at least 5");
  const std::vector<int32_t> own(layout.data, layout.data + std::min(layout.length, longest));
  const auto wantAtLeastZero = [&](int64_t at) {
    if (own[at] < 0) check.failAt(layout.position, at, "to be at least 0", std::to_string(own[at]));
  };
  for (int64_t at = 0; at < 4; at++) wantAtLeastZero(at);
  const int rank = own[4];
  if (rank < 0 || rank > Layout::maxRank) {
    check.failAt(layout.position, 4, "to be a rank from 0 to 16", std::to_string(rank));
  }
  const int64_t stored =
      std::count_if(ends_.begin(), ends_.end(), [](const End<T>& end) { return end.reduction < 0; });
  const int64_t length = sizes + rank + ins.length * (rank + 1), longer = length + stored * (rank + 1);
  if (layout.length != length && layout.length != longer) {
    refuseLength(std::to_string(length) + (stored > 0 ? " or " + std::to_string(longer) : ""));
  }
  const bool hasPlaces = stored > 0 && layout.length == longer;
  const int32_t* const dims = own.data() + sizes;
  double elements = 1, reduced = 1;
  for (int i = 0; i < rank; i++) {
    wantAtLeastZero(sizes + i);
    elements *= dims[i];
  }
  for (int i = 0; i < 4; i++) reduced *= own[i];
  if (elements != reduced) {
    check.fail(layout.position, "to have k0·r0·k1·r1 = " + formatNumber(reduced) + " elements",
               formatNumber(elements));
  }
  if (elements > INT32_MAX)
    check.fail(layout.position, "to have at most 2147483647 elements", formatNumber(elements));
  positions_ = static_cast<int64_t>(elements);
  shape_ = {own[0], own[1], own[2], own[3]};
  // The places that an offset and strides of the layout say, in an array.
  const auto placesOf = [&](const int32_t* at, int position, int64_t i, int64_t arrayLength) {
    double low = *at, high = low;
    for (int axis = 0; axis < rank; axis++) {
      const double extent = (dims[axis] - 1.0) * at[1 + axis];
      (extent < 0 ? low : high) += extent;
    }
    if (elements > 0 && (low < 0 || high >= static_cast<double>(arrayLength))) {
      const std::string name = std::string(check.name(position)) + "[" + std::to_string(i) + "]";
      check.fail(layout.position, "to stay within " + name + " (length " + std::to_string(arrayLength) + ")",
                 "position " + formatNumber(low < 0 ? low : high));
    }
    return Places(dims, *at, at + 1, rank);
  };
  const int32_t* at = dims + rank + ins.length * (rank + 1);
  for (size_t i = 0; i < ends_.size(); i++) {
    End<T>& end = ends_[i];
    const auto which = static_cast<int64_t>(i);
    if (end.reduction < 0 && hasPlaces) {
      end.places = placesOf(at, outs.position, which, end.out.length);
      at += rank + 1;
      continue;
    }
    const double wanted = end.reduction < 0 ? elements : static_cast<double>(own[0]) * own[2];
    if (static_cast<double>(end.out.length) != wanted) {
      check.failAt(outs.position, which, "to have length " + formatNumber(wanted),
                   std::to_string(end.out.length));
    }
    if (end.reduction < 0) end.places = Places::run(positions_);
  }
  for (int64_t i = 0; i < ins.length; i++) {
    ins_.emplace_back(ins[i], placesOf(dims + rank + i * (rank + 1), ins.position, i, ins[i].length));
  }
}

template <class T>
void Chain<T>::findPlaces() {
  std::vector<int> kept;
  for (const End<T>& end : ends_) kept.push_back(end.value);
  list_.assignRegisters(kept.data(), static_cast<int>(kept.size()));
  registers_ = list_.registers;
  std::fill_n(registerOfGiven_.begin(), given_, -1);
  std::fill_n(isGathered_.begin(), given_, false);
  constexpr int few = 4;  // instructions worth the shorter chunk
  constexpr int64_t least = 2048;
  int64_t heavy = 0;
  for (int v = list_.firstResult; v < list_.values; v++) heavy += list_.of(v).op->isHeavy() ? 1 : 0;
  chunk_ = heavy > 0 ? std::max(least, parallel::heavyChunk / heavy / least * least)
           : list_.values - list_.firstResult > few ? parallel::heavyChunk
                                                    : parallel::lightChunk;
  mayBeAgain_ = std::any_of(reductions_.begin(), reductions_.end(),
                            [](const Reduction<T>& own) { return mayLeaveRange<T>(own.op); });
  isLarge_ = positions_ * static_cast<int64_t>(sizeof(T) * (ins_.size() + ends_.size())) > largeBytes;
  const auto isOverwritten = [&](int in) {
    return std::any_of(ends_.begin(), ends_.end(),
                       [&](const End<T>& end) { return end.reduction < 0 && ins_[in].overlaps(end.out); });
  };
  for (size_t i = 0; i < ends_.size(); i++) {
    End<T>& end = ends_[i];
    if (isIn(end.value) && !isNumber(end.value) && isOverwritten(end.value)) isGathered_[end.value] = true;
    if (end.reduction >= 0) {
      for (size_t j = 0; j < ends_.size(); j++) {
        const End<T>& other = ends_[j];
        if (other.reduction < 0 && other.value == end.value && other.places->areRun()) {
          end.stored = static_cast<int>(j);
        }
      }
      continue;
    }
    end.isDirect = end.value >= list_.firstResult && end.places->areRun();
    for (int v = std::max(end.value + 1, list_.firstResult); v < list_.values; v++) {
      for (const int operand : list_.of(v).operands) {
        if (operand >= 0 && isIn(operand) && ins_[operand].overlaps(end.out)) end.isDirect = false;
      }
    }
  }
  for (int v = 0; v < given_; v++) {
    isNumberWanted_[v] = isNumber(v);
    if (isNumber(v)) continue;
    isGathered_[v] = isGathered_[v] || !ins_[v].isWhole();
    registerOfGiven_[v] = registers_++;
  }
  for (int v = list_.firstResult; v < list_.values; v++) {
    const auto& [op, operands] = list_.of(v);
    if (op->form == Op::lossSlope) isNumberWanted_[operands[0]] = true;
    for (int i = 0; i < op->arrays; i++) {
      const int operand = operands[i];
      if (operand < 0 || operand >= given_ || !isNumber(operand) || op->takesNumber(i)) continue;
      if (registerOfGiven_[operand] < 0) registerOfGiven_[operand] = registers_++;
    }
  }
  block_ = std::min(blockOf<T>(registers_ + static_cast<int64_t>(ends_.size())), (positions_ + 15) / 16 * 16);
}

template <class T>
void Chain<T>::readNumbers() {
  for (int v = 0; v < given_; v++) {
    if (!isIn(v)) {
      numbers_[v] = static_cast<T>(constants_[v - ins_.size()]);
    } else if (positions_ > 0 && isNumberWanted_[v]) {
      numbers_[v] = ins_[v].number();
    }
  }
}

/// Copies of what is overwritten before it is read again.
template <class T>
void Chain<T>::keepIns() {
  kept_.clear();
  lasting_ = ins_;
  for (In<T>& in : lasting_) {
    const bool isOverwritten = std::any_of(ends_.begin(), ends_.end(), [&](const End<T>& end) {
      return end.reduction < 0 && in.overlaps(end.out);
    });
    if (isOverwritten) in.keep(kept_);
  }
}

/// Computes pieces for one task.
template <class T>
class Chain<T>::Source::Reader {
 public:
  using Source = Chain<T>::Source;

  explicit Reader(const Source& source)
      : chain_(source.chain),
        stores_(source.stores),
        ins_(stores_ ? chain_.ins_ : chain_.lasting_),
        lease_(source.spaces),
        registers_(lease_.data()),
        scratch_(registers_ + chain_.registers_ * chain_.block_) {
    findEnds();
    findGiven();
    const Instructions& list = chain_.list_;
    for (int v = list.firstResult; v < list.values; v++) findStep(v);
  }

  void read(int64_t begin, int64_t rows, int64_t columns, int64_t stride) {
    begin_ = begin;
    columns_ = columns;
    stride_ = stride;
    if (stride == columns) {
      columns *= rows;
      rows = 1;
    }
    const int64_t block = chain_.block_;
    // Whoever reads one run is likely to read the positions behind it next.
    const int64_t readable = rows == 1 ? chain_.positions_ - begin : columns;
    const bool isNarrow = rows > 1 && 4 * columns < block;
    const int64_t height = isNarrow ? std::max<int64_t>(1, block / std::max<int64_t>(1, columns)) : 1;
    for (int64_t r = 0; r < rows; r += height) {
      for (int64_t i = 0; i < columns; i += block) {
        compute({begin + r * stride + i, std::min(height, rows - r), std::min(block, columns - i), stride,
                 r * columns + i, std::min(block, readable - i - block)});
      }
    }
  }
  const T* values(int which) const {
    const T* const stored = storedOf_[which];
    return stored ? stored + begin_ : scratchOf(which);
  }
  int64_t stride(int which) const { return storedOf_[which] ? stride_ : columns_; }

 private:
  /// Runs of positions, where they are among those of the piece, and how many are read next.
  struct Block {
    int64_t begin, rows, columns, stride, place, next;
    int64_t size() const { return rows * columns; }
  };
  /// Where the elements of a value are: from a place on, or at those of the block from there, by positions or
  /// by places in the piece; in a register instead where the block is of several runs.
  struct Place {
    enum Kind { still, byPosition, byPlace } kind;
    T* at;
    T* own;  // the register

    T* of(const Block& block) const {
      if (kind == byPlace) return at + block.place;
      return kind == still ? at : block.rows > 1 ? own : at + block.begin;
    }
  };
  struct Step {
    const Op* op;
    T* out;
    std::array<Operand<T>, 3> from;
    std::array<double, 2> parameters;
  };
  /// A pointer of a step that each block has another of.
  struct Moving {
    const T** slot;
    const Place* place;
  };

  T* registerAt(int number) const { return registers_ + number * chain_.block_; }
  T* scratchOf(int which) const { return scratch_ + which * chain_.scratch(); }

  /// The places of results: in a register, or where they end.
  void findEnds() {
    const Instructions& list = chain_.list_;
    for (int v = list.firstResult; v < list.values; v++) {
      T* const own = registerAt(list.registerOf[v]);
      places_[v] = {Place::still, own, own};
    }
    for (const End<T>& end : chain_.ends_) {
      const bool isStored = end.reduction < 0;
      if (!isStored) storedOf_[end.reduction] = nullptr;
      if (isStored && !stores_) continue;
      if (!isStored && stores_ && end.stored >= 0) {
        storedOf_[end.reduction] = chain_.ends_[end.stored].first();
        continue;
      }
      ends_[endCount_++] = &end;
      Place& place = places_[end.value];
      if (end.value < list.firstResult || place.kind != Place::still || (isStored && !end.isDirect)) continue;
      place.kind = isStored ? Place::byPosition : Place::byPlace;
      place.at = isStored ? end.first() : scratchOf(end.reduction);
    }
  }

  void findGiven() {
    for (int v = 0; v < chain_.given_; v++) {
      const int number = chain_.registerOfGiven_[v];
      T* const own = number < 0 ? nullptr : registerAt(number);
      places_[v] = {Place::still, own, own};
      if (chain_.isNumber(v)) {
        if (own) std::fill_n(own, chain_.block_, chain_.numbers_[v]);
      } else if (!chain_.isGathered_[v]) {
        // Nothing is written there.
        places_[v] = {Place::byPosition, const_cast<T*>(ins_[v].at(0)), own};
      }
    }
  }

  void findStep(int v) {
    const auto& [op, operands] = chain_.list_.of(v);
    Step& step = steps_[stepCount_++];
    step.op = op;
    step.out = places_[v].at;
    if (places_[v].kind != Place::still)
      moving_[movingCount_++] = {const_cast<const T**>(&step.out), &places_[v]};
    for (int i = 0; i < op->arrays; i++) {
      const int x = operands[i] < 0 ? operands[0] : operands[i];
      const bool isOne = op->takesNumber(i) && (chain_.isNumber(x) || op->form == Op::lossSlope);
      step.from[i] = isOne ? Operand<T>{&chain_.numbers_[x], 0} : Operand<T>{places_[x].at, 1};
      if (!isOne && places_[x].kind != Place::still)
        moving_[movingCount_++] = {&step.from[i].data, &places_[x]};
    }
    for (int i = 0; i < op->parameters; i++) {
      const int x = operands[op->arrays + i];
      const bool isScale = op->form >= Op::loss && i == 1;
      step.parameters[i] = x >= 0 ? chain_.constants_[x - ins_.size()] : isScale ? 1 : 0;
    }
  }

  void compute(const Block& block) {
    for (int v = 0; v < static_cast<int>(ins_.size()); v++) {
      if (chain_.isNumber(v) || !(chain_.isGathered_[v] || block.rows > 1)) continue;
      for (int64_t r = 0; r < block.rows; r++) {
        ins_[v].gather(places_[v].own + r * block.columns, block.begin + r * block.stride, block.columns);
      }
    }
    for (int i = 0; i < movingCount_; i++) *moving_[i].slot = moving_[i].place->of(block);
    for (int i = 0; i < stepCount_; i++) {
      const Step& step = steps_[i];
      axpy::compute(*step.op, step.out, block.size(), step.from.data(), step.parameters.data());
      if (chain_.isLarge_) prefetch(block, i);
    }
    for (int i = 0; i < endCount_; i++) {
      const End<T>& end = *ends_[i];
      if (end.reduction >= 0) {
        store(end.value, block, 0, scratchOf(end.reduction) + block.place, 1, block.size());
        continue;
      }
      for (int64_t r = 0; r < block.rows; r++) {
        int64_t first = r * block.columns;
        end.places->forRuns(block.begin + r * block.stride, block.columns,
                            [&](int64_t at, int64_t step, int64_t n) {
                              store(end.value, block, first, end.out.data + at, step, n);
                              first += n;
                            });
      }
    }
  }

  /// What the next block reads, a share with each step: memory and arithmetic at the same time.
  void prefetch(const Block& block, int step) const {
    constexpr int64_t line = 64;
    const int64_t bytes = std::max<int64_t>(0, block.next) * static_cast<int64_t>(sizeof(T));
    const int64_t share = (bytes / stepCount_ + line - 1) / line * line;
    const int64_t from = std::min(step * share, bytes), to = std::min(from + share, bytes);
    for (size_t v = 0; v < ins_.size(); v++) {
      if (places_[v].kind != Place::byPosition) continue;
      const char* const next = reinterpret_cast<const char*>(places_[v].at + block.begin + block.columns);
      for (int64_t at = from; at < to; at += line) __builtin_prefetch(next + at);
    }
  }

  /// Elements of a value from `first` of the block on, `step` apart, unless they are there already.
  void store(int value, const Block& block, int64_t first, T* to, int64_t step, int64_t n) const {
    const bool isNumber = chain_.isNumber(value);
    const T* const from = isNumber ? &chain_.numbers_[value] : places_[value].of(block) + first;
    if (from == to) return;
    if (step != 1) {
      for (int64_t i = 0; i < n; i++) to[i * step] = from[isNumber ? 0 : i];
    } else if (isNumber) {
      std::fill_n(to, n, *from);
    } else {
      std::copy_n(from, n, to);
    }
  }

  const Chain& chain_;
  const bool stores_;
  const std::vector<In<T>>& ins_;
  const typename Workspaces<T>::Lease lease_;
  T* const registers_;
  T* const scratch_;
  std::array<Place, maxValues> places_;
  std::array<Step, maxValues> steps_;
  std::array<Moving, maxValues * 4> moving_;
  std::array<const End<T>*, maxValues> ends_;
  std::array<const T*, maxValues> storedOf_;
  int stepCount_ = 0, movingCount_ = 0, endCount_ = 0;
  int64_t begin_ = 0, columns_ = 0, stride_ = 0;
};

template <class T>
void Chain<T>::run() {
  readNumbers();
  if (mayBeAgain_) keepIns();
  const int64_t reductions = static_cast<int64_t>(reductions_.size());
  Workspaces<T> spaces(positions_ / std::min(chunk_, parallel::heavyChunk) + 1,
                       registers_ * block_ + reductions * scratch());
  const Source source{*this, spaces, true};
  if (reductions == 0) {
    parallel::forRange(positions_, chunk_, [&](int64_t begin, int64_t end) {
      typename Source::Reader(source).read(begin, 1, end - begin, 0);
    });
    return;
  }
  Reducing(source, reductions_.data(), static_cast<int>(reductions)).run(shape_);
  if (!mayBeAgain_) return;
  const Source again{*this, spaces, false};
  for (int which = 0; which < reductions; which++) {
    if (!mayLeaveRange<T>(reductions_[which].op)) continue;
    typename Source::Reader reader(again);
    mend(reader, which, reductions_[which], shape_);
  }
}

}  // namespace

template <class T>
void fused(const Check& check, const List<T>& outs, const MixedList<T>& ins, Array<const int32_t> layout,
           Array<const int32_t> code, Array<const double> constants) {
  Chain<T>(check, outs, ins, layout, code, constants).run();
}

template <>
struct bind::Prepared<fused<float>> {
  using Type = Chain<float>;
};
template <>
struct bind::Prepared<fused<double>> {
  using Type = Chain<double>;
};

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(fused, "outs", "ins", "layout", "code", "constants"),
};
const bind::Family family(kernels);

}  // namespace axpy
