// A chain of elementwise instructions, perhaps ended by reductions, in one pass over memory.

#include <algorithm>
#include <array>
#include <vector>

#include "chain.h"
#include "kernels.h"
#include "parallel.h"
#include "strips.h"
#include "workspaces.h"

namespace axpy {
namespace {

/// A call that runs.
template <class T>
class Fused {
 public:
  Fused(const Check& check, const List<T>& outs, const MixedList<T>& ins, const Array<const int32_t>& layout,
        const Array<const int32_t>& code, const Array<const double>& constants)
      : chain_(check, outs, ins, layout, code, constants) {}

  bool isCurrent() const { return chain_.isCurrent(); }
  void run();

 private:
  /// As reduce.h has it; without `stores` values are computed again and the outs left alone.
  struct Source {
    const Fused& call;
    Workspaces<T>& spaces;
    bool stores;
    class Reader;
  };

  void readNumbers();
  void keepIns();
  const T* number(int value) const { return numbers_.data() + value * sameNumbers<T>; }
  /// What reductions keep of a row that comes by parts.
  int64_t rowRoom() const {
    return static_cast<int64_t>(chain_.reductions.size() * rowUnit * sizeof(double) / sizeof(T));
  }
  /// Values of a piece at most.
  int64_t scratch() const { return std::min(reduceBlock, chain_.positions); }

  const Chain<T> chain_;
  /// What is one number for all, and of others the first one where that is asked for.
  std::vector<T> numbers_;
  std::vector<In<T>> lasting_;
  std::vector<std::vector<char>> kept_;
};

template <class T>
void Fused<T>::readNumbers() {
  numbers_.resize(chain_.given * sameNumbers<T>);
  for (int v = 0; v < chain_.given; v++) {
    T* const same = numbers_.data() + v * sameNumbers<T>;
    if (!chain_.isIn(v)) {
      std::fill_n(same, sameNumbers<T>, static_cast<T>(chain_.constants[v - chain_.ins.size()]));
    } else if (chain_.positions > 0 && chain_.isNumberWanted[v]) {
      std::fill_n(same, sameNumbers<T>, chain_.ins[v].number());
    }
  }
}

/// Copies of what is overwritten before it is read again.
template <class T>
void Fused<T>::keepIns() {
  kept_.clear();
  lasting_ = chain_.ins;
  for (In<T>& in : lasting_) {
    const bool isOverwritten = std::any_of(chain_.ends.begin(), chain_.ends.end(), [&](const End<T>& end) {
      return end.reduction < 0 && in.overlaps(end.out);
    });
    if (isOverwritten) in.keep(kept_);
  }
}

/// Computes pieces for one task.
template <class T>
class Fused<T>::Source::Reader {
 public:
  using Source = Fused<T>::Source;

  explicit Reader(const Source& source)
      : call_(source.call),
        chain_(call_.chain_),
        stores_(source.stores),
        ins_(stores_ ? chain_.ins : call_.lasting_),
        lease_(source.spaces),
        rows_(reinterpret_cast<double*>(lease_.data())),
        registers_(lease_.data() + call_.rowRoom()),
        scratch_(registers_ + chain_.registers * chain_.block) {
    findEnds();
    findGiven();
    const Instructions& list = chain_.list;
    for (int v = list.firstResult; v < list.values; v++) findStep(v);
    findStrips(steps_.data(), stepCount_);
  }

  void read(int64_t begin, int64_t rows, int64_t columns, int64_t stride) {
    begin_ = begin;
    columns_ = columns;
    stride_ = stride;
    if (stride == columns) {
      columns *= rows;
      rows = 1;
    }
    const int64_t block = chain_.block;
    // Whoever reads one run is likely to read the positions behind it next.
    const int64_t readable = rows == 1 ? chain_.positions - begin : columns;
    const bool isNarrow = rows > 1 && 4 * columns < block;
    const int64_t height = isNarrow ? std::max<int64_t>(1, block / std::max<int64_t>(1, columns)) : 1;
    for (int64_t r = 0; r < rows; r += height) {
      for (int64_t i = 0; i < columns; i += block) {
        compute({begin + r * stride + i, std::min(height, rows - r), std::min(block, columns - i), stride,
                 r * columns + i, std::min(block, readable - i - block)});
      }
    }
  }
  void reduce(int64_t begin, int64_t n, const Reduction<T>* reductions, double* sums, int64_t apart) {
    const auto count = static_cast<int>(chain_.reductions.size());
    if (!chain_.isRun) {
      read(begin, 1, n, 0);
      for (int which = 0; which < count; which++) {
        reduceRowsOf(sums + which * apart, values(which), 1, n, reductions[which].op);
      }
      return;
    }
    // What strips make is reduced while it is near; other lists gain nothing by that.
    for (int64_t i = 0; i < n; i += chain_.block) {
      const Block block{begin + i, 1, std::min(chain_.block, n - i),
                        0,         0, std::min(chain_.block, chain_.positions - begin - i - chain_.block)};
      compute(block);
      const bool isLast = i + chain_.block >= n;
      for (int which = 0; which < count; which++) {
        const T* const stored = storedOf_[which];
        const double sum =
            reducePart(rows_ + which * rowUnit, stored ? stored + block.begin : scratchOf(which),
                       block.columns, i == 0, isLast, reductions[which].op);
        if (isLast) sums[which * apart] = sum;
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
  /// A pointer of a step that each block has another of.
  struct Moving {
    const T** slot;
    const Place* place;
  };

  T* registerAt(int number) const { return registers_ + number * chain_.block; }
  T* scratchOf(int which) const { return scratch_ + which * call_.scratch(); }

  /// The places of results: in a register, or where they end.
  void findEnds() {
    const Instructions& list = chain_.list;
    for (int v = list.firstResult; v < list.values; v++) {
      T* const own = registerAt(list.registerOf[v]);
      places_[v] = {Place::still, own, own};
    }
    std::fill_n(isEnd_.begin(), list.values, false);
    for (const End<T>& end : chain_.ends) {
      const bool isStored = end.reduction < 0;
      isEnd_[end.value] = true;
      if (!isStored) storedOf_[end.reduction] = nullptr;
      if (isStored && !stores_) continue;
      if (!isStored && stores_ && end.stored >= 0) {
        storedOf_[end.reduction] = chain_.ends[end.stored].first();
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
    for (int v = 0; v < chain_.given; v++) {
      const int number = chain_.registerOfGiven[v];
      T* const own = number < 0 ? nullptr : registerAt(number);
      places_[v] = {Place::still, own, own};
      if (chain_.isNumber(v)) {
        if (own) std::fill_n(own, chain_.block, *call_.number(v));
      } else if (!chain_.isGathered[v]) {
        // Nothing is written there.
        places_[v] = {Place::byPosition, const_cast<T*>(ins_[v].at(0)), own};
      }
    }
  }

  void findStep(int v) {
    const auto& [op, operands] = chain_.list.of(v);
    Step<T>& step = steps_[stepCount_++];
    step.op = op;
    step.value = v;
    step.isKept = isEnd_[v];
    step.out = places_[v].at;
    if (places_[v].kind != Place::still)
      moving_[movingCount_++] = {const_cast<const T**>(&step.out), &places_[v]};
    for (int i = 0; i < op->arrays; i++) {
      const int x = operands[i] < 0 ? operands[0] : operands[i];
      const bool isOne = op->takesNumber(i) && (chain_.isNumber(x) || op->form == Op::lossSlope);
      step.reads[i] = x;
      step.from[i] = isOne ? Operand<T>{call_.number(x), 0} : Operand<T>{places_[x].at, 1};
      if (!isOne && places_[x].kind != Place::still)
        moving_[movingCount_++] = {&step.from[i].data, &places_[x]};
    }
    for (int i = 0; i < op->parameters; i++) {
      const int x = operands[op->arrays + i];
      const bool isScale = op->form >= Op::loss && i == 1;
      step.parameters[i] = x >= 0 ? chain_.constants[x - ins_.size()] : isScale ? 1 : 0;
    }
  }

  void compute(const Block& block) {
    for (int v = 0; v < static_cast<int>(ins_.size()); v++) {
      if (chain_.isNumber(v) || !(chain_.isGathered[v] || block.rows > 1)) continue;
      for (int64_t r = 0; r < block.rows; r++) {
        ins_[v].gather(places_[v].own + r * block.columns, block.begin + r * block.stride, block.columns);
      }
    }
    for (int i = 0; i < movingCount_; i++) *moving_[i].slot = moving_[i].place->of(block);
    for (int i = 0; i < stepCount_;) {
      const int first = i;
      i += computeRun(&steps_[i], stepCount_ - i, block.size());
      if (chain_.isLarge) prefetch(block, first, i);
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
  void prefetch(const Block& block, int first, int end) const {
    constexpr int64_t line = 64;
    const int64_t bytes = std::max<int64_t>(0, block.next) * static_cast<int64_t>(sizeof(T));
    const int64_t share = (bytes / stepCount_ + line - 1) / line * line;
    const int64_t from = std::min(first * share, bytes), to = std::min(end * share, bytes);
    for (size_t v = 0; v < ins_.size(); v++) {
      if (places_[v].kind != Place::byPosition) continue;
      const char* const next = reinterpret_cast<const char*>(places_[v].at + block.begin + block.columns);
      for (int64_t at = from; at < to; at += line) __builtin_prefetch(next + at);
    }
  }

  /// Elements of a value from `first` of the block on, `step` apart, unless they are there already.
  void store(int value, const Block& block, int64_t first, T* to, int64_t step, int64_t n) const {
    const bool isNumber = chain_.isNumber(value);
    const T* const from = isNumber ? call_.number(value) : places_[value].of(block) + first;
    if (from == to) return;
    if (step != 1) {
      for (int64_t i = 0; i < n; i++) to[i * step] = from[isNumber ? 0 : i];
    } else if (isNumber) {
      std::fill_n(to, n, *from);
    } else {
      std::copy_n(from, n, to);
    }
  }

  const Fused& call_;
  const Chain<T>& chain_;
  const bool stores_;
  const std::vector<In<T>>& ins_;
  const typename Workspaces<T>::Lease lease_;
  double* const rows_;
  T* const registers_;
  T* const scratch_;
  std::array<bool, maxValues> isEnd_;
  std::array<Place, maxValues> places_;
  std::array<Step<T>, maxValues> steps_;
  std::array<Moving, maxValues * 4> moving_;
  std::array<const End<T>*, maxValues> ends_;
  std::array<const T*, maxValues> storedOf_;
  int stepCount_ = 0, movingCount_ = 0, endCount_ = 0;
  int64_t begin_ = 0, columns_ = 0, stride_ = 0;
};

template <class T>
void Fused<T>::run() {
  readNumbers();
  if (chain_.mayBeAgain) keepIns();
  const auto& reductions = chain_.reductions;
  const auto count = static_cast<int>(reductions.size());
  Workspaces<T> spaces(chain_.positions / std::min(chain_.chunk, parallel::heavyChunk) + 1,
                       rowRoom() + chain_.registers * chain_.block + count * scratch());
  const Source source{*this, spaces, true};
  if (count == 0) {
    parallel::forRange(chain_.positions, chain_.chunk, [&](int64_t begin, int64_t end) {
      typename Source::Reader(source).read(begin, 1, end - begin, 0);
    });
    return;
  }
  Reducing(source, reductions.data(), count).run(chain_.shape);
  if (!chain_.mayBeAgain) return;
  const Source again{*this, spaces, false};
  for (int which = 0; which < count; which++) {
    if (!mayLeaveRange<T>(reductions[which].op)) continue;
    typename Source::Reader reader(again);
    mend(reader, which, reductions[which], chain_.shape);
  }
}

}  // namespace

template <class T>
void fused(const Check& check, const List<T>& outs, const MixedList<T>& ins, Array<const int32_t> layout,
           Array<const int32_t> code, Array<const double> constants) {
  Fused<T>(check, outs, ins, layout, code, constants).run();
}

template <>
struct bind::Prepared<fused<float>> {
  using Type = Fused<float>;
};
template <>
struct bind::Prepared<fused<double>> {
  using Type = Fused<double>;
};

constexpr bind::Kernel kernels[] = {
    AXPY_FLOAT_KERNEL(fused, "outs", "ins", "layout", "code", "constants"),
};
const bind::Family family(kernels);

}  // namespace axpy
