#include "chain.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "parallel.h"

namespace axpy {
namespace {

/// So many bytes do not stay in the second cache from one call to the next.
constexpr int64_t largeBytes = int64_t{1} << 21;

/// Elements of a block of a chain with so many values at hand, which together stay in the first cache; long
/// blocks where these are few and instructions go over the whole block, as each costs something by itself.
template <class T>
int64_t blockOf(int64_t atHand, bool isRun) {
  constexpr int64_t cacheBytes = 48 << 10, unit = 256, longest = 4 * instructionBlock<T>;
  const int64_t fitting = cacheBytes / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(1, atHand);
  return isRun ? instructionBlock<T> : std::clamp(fitting / unit * unit, instructionBlock<T>, longest);
}

}  // namespace

template <class T>
Chain<T>::Chain(const Check& check, const List<T>& outs, const MixedList<T>& arrays,
                const Array<const int32_t>& layout, const Array<const int32_t>& code,
                const Array<const double>& numbers) {
  contents_.keep(layout.data, layout.length);
  contents_.keep(code.data, code.length);
  contents_.keep(numbers.data, numbers.length);
  readCode(CodeReader(check, code), check, outs, arrays.length, numbers);
  readLayout(check, layout, outs, arrays);
  findPlaces();
  assignRegisters();
}

template <class T>
void Chain<T>::readCode(const CodeReader& code, const Check& check, const List<T>& outs, int64_t inCount,
                        const Array<const double>& numbers) {
  constexpr int width = 3;  // of an out: value, end, scale
  if (code.length() < 1) code.refuseLength("at least 1");
  const int count = code.countAt(0, 0);
  check.length(outs, count);
  if (code.length() < 1 + width * count) code.refuseLength("at least " + std::to_string(1 + width * count));
  const int64_t all = inCount + numbers.length;
  for (int64_t v = 0; v < std::min<int64_t>(all, maxValues); v++) list.isScalar[v] = v >= inCount;
  code.readInstructions(list, 1 + width * count, all, static_cast<int>(ops.size()));
  given = static_cast<int>(all);
  constants.assign(numbers.data, numbers.data + numbers.length);
  std::vector<int> finite;
  for (int v = list.firstResult; v < list.values; v++) {
    const auto& [op, operands] = list.of(v);
    if (op->form < Op::loss) continue;
    for (int i = 0; i < op->parameters; i++) finite.push_back(operands[op->arrays + i]);
  }
  for (int i = 0; i < count; i++) {
    const int64_t at = 1 + width * i;
    const int value = code.valueAt(at, 0, list.values);
    const int end = code.codeAt(at + 1, -1, static_cast<int>(Codes<ReduceOp>::names.size()));
    const int scale = code.scalarAt(at + 2, list, all);
    const auto op = static_cast<ReduceOp>(end);
    if (scale >= 0 && (end < 0 || op == ReduceOp::max || op == ReduceOp::min)) {
      code.refuse(at + 2, "-1 for what has no scale");
    }
    finite.push_back(scale);
    ends.push_back({value, end < 0 ? -1 : static_cast<int>(reductions.size()), outs[i], std::nullopt});
    if (end >= 0) reductions.push_back({op, scale < 0 ? 1 : constants[scale - inCount], outs[i].data});
  }
  for (const int value : finite) {
    const int64_t at = value - inCount;
    if (value < 0 || std::isfinite(constants[at])) continue;
    check.failAt(numbers.position, at, "to be a finite number", formatNumber(constants[at]));
  }
}

template <class T>
void Chain<T>::readLayout(const Check& check, const Array<const int32_t>& layout, const List<T>& outs,
                          const MixedList<T>& arrays) {
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
      std::count_if(ends.begin(), ends.end(), [](const End<T>& end) { return end.reduction < 0; });
  const int64_t length = sizes + rank + arrays.length * (rank + 1), longer = length + stored * (rank + 1);
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
  positions = static_cast<int64_t>(elements);
  shape = {own[0], own[1], own[2], own[3]};
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
  const int32_t* at = dims + rank + arrays.length * (rank + 1);
  for (size_t i = 0; i < ends.size(); i++) {
    End<T>& end = ends[i];
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
    if (end.reduction < 0) end.places = Places::run(positions);
  }
  for (int64_t i = 0; i < arrays.length; i++) {
    ins.emplace_back(arrays[i], placesOf(dims + rank + i * (rank + 1), arrays.position, i, arrays[i].length));
  }
}

template <class T>
int64_t Chain<T>::heavyInstructions() const {
  int64_t heavy = 0;
  for (int v = list.firstResult; v < list.values; v++) heavy += list.of(v).op->isHeavy() ? 1 : 0;
  return heavy;
}

template <class T>
void Chain<T>::findPlaces() {
  std::fill_n(isGathered.begin(), given, false);
  constexpr int few = 4;  // instructions worth the shorter chunk
  constexpr int64_t least = 2048;
  const int64_t heavy = heavyInstructions();
  chunk = heavy > 0 ? std::max(least, parallel::heavyChunk / heavy / least * least)
          : list.values - list.firstResult > few ? parallel::heavyChunk
                                                 : parallel::lightChunk;
  isRun = heavy == 0 && list.values - list.firstResult > 1;
  mayBeAgain = std::any_of(reductions.begin(), reductions.end(),
                           [](const Reduction<T>& own) { return mayLeaveRange<T>(own.op); });
  isLarge = positions * static_cast<int64_t>(sizeof(T) * (ins.size() + ends.size())) > largeBytes;
  const auto isOverwritten = [&](int in) {
    return std::any_of(ends.begin(), ends.end(),
                       [&](const End<T>& end) { return end.reduction < 0 && ins[in].overlaps(end.out); });
  };
  for (size_t i = 0; i < ends.size(); i++) {
    End<T>& end = ends[i];
    if (isIn(end.value) && !isNumber(end.value) && isOverwritten(end.value)) isGathered[end.value] = true;
    if (end.reduction >= 0) {
      for (size_t j = 0; j < ends.size(); j++) {
        const End<T>& other = ends[j];
        if (other.reduction < 0 && other.value == end.value && other.places->areRun()) {
          end.stored = static_cast<int>(j);
        }
      }
      continue;
    }
    end.isDirect = end.value >= list.firstResult && end.places->areRun();
    for (int v = std::max(end.value + 1, list.firstResult); v < list.values; v++) {
      for (const int operand : list.of(v).operands) {
        if (operand >= 0 && isIn(operand) && ins[operand].overlaps(end.out)) end.isDirect = false;
      }
    }
  }
  for (int v = 0; v < given; v++) {
    if (!isNumber(v) && !ins[v].isWhole()) isGathered[v] = true;
  }
}

template <class T>
void Chain<T>::assignRegisters() {
  std::vector<int> kept;
  for (const End<T>& end : ends) kept.push_back(end.value);
  list.assignRegisters(kept.data(), static_cast<int>(kept.size()));
  registers = list.registers;
  for (int v = 0; v < given; v++) {
    isNumberWanted[v] = isNumber(v);
    registerOfGiven[v] = isNumber(v) ? -1 : registers++;
  }
  for (int v = list.firstResult; v < list.values; v++) {
    const auto& [op, operands] = list.of(v);
    if (op->form == Op::lossSlope) isNumberWanted[operands[0]] = true;
    for (int i = 0; i < op->arrays; i++) {
      const int operand = operands[i];
      if (operand < 0 || operand >= given || !isNumber(operand) || op->takesNumber(i)) continue;
      if (registerOfGiven[operand] < 0) registerOfGiven[operand] = registers++;
    }
  }
  const int64_t atHand = registers + static_cast<int64_t>(ends.size());
  block = std::min(blockOf<T>(atHand, isRun), (positions + 15) / 16 * 16);
}

template struct Chain<float>;
template struct Chain<double>;

}  // namespace axpy
