// Where the pixels lie that targets of a gather are sums over: in the image itself where all of them are
// within it, else copied into lines with zeros around them, or, where lines would take more than what is
// gathered, one row for each target (im2col).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "geometry.h"

namespace axpy {

/// The terms of a product: `count` runs of `length` each. Term k of run s of a row is at offsets[s] + k·step
/// of where the row begins.
struct Runs {
  const int64_t* offsets;
  int64_t count, length, step;
};

/// Where a row of a product comes from and where it goes.
template <class T>
struct Row {
  const T* a;
  T* c;
};

/// Targets in `rows` rows, counted over all images, `width` of each from `left` on.
struct Tile {
  int64_t row, rows, left, width;

  int64_t pixels() const { return rows * width; }
};

/// A partition of all targets of a gather into tiles of at most about so many pixels, and so many tiles that
/// a few threads share them evenly.
class Tiles {
 public:
  Tiles(const Gather& gather, int64_t pixels)
      : allRows_(gather.batch * gather.y.count), allColumns_(gather.x.count) {
    // Parts of rows where a row is long, else whole rows.
    if (allColumns_ >= pixels) {
      rows_ = 1;
      width_ = share(allColumns_, pixels, 1);
    } else {
      rows_ = share(allRows_, pixels / allColumns_, allColumns_);
      width_ = allColumns_;
    }
    across_ = (allColumns_ + width_ - 1) / width_;
    down_ = (allRows_ + rows_ - 1) / rows_;
  }

  int64_t count() const { return down_ * across_; }
  /// The largest of them.
  int64_t rows() const { return rows_; }
  int64_t width() const { return width_; }
  Tile operator[](int64_t i) const {
    const int64_t row = i / across_ * rows_, left = i % across_ * width_;
    return {row, std::min(rows_, allRows_ - row), left, std::min(width_, allColumns_ - left)};
  }

 private:
  static int64_t roundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

  /// How many of `all` a tile takes, from half of `most` up to it: those with the least work, counted in
  /// whole blocks of six pixels and in rounds of four tiles.
  static int64_t share(int64_t all, int64_t most, int64_t pixels) {
    int64_t best = most, least = std::numeric_limits<int64_t>::max();
    for (int64_t n = most; n >= std::max<int64_t>(1, most / 2); n--) {
      const int64_t work = roundUp((all + n - 1) / n, 4) * roundUp(n * pixels, 6);
      if (work >= least) continue;
      least = work;
      best = n;
    }
    return best;
  }
  int64_t allRows_, allColumns_, rows_, width_, across_, down_;
};

/// How many pixels read and write about so many elements. In float64, as steps may be of any size.
inline double pixelsOf(double elements, const Gather& gather, int64_t channels, int64_t outChannels) {
  const double read =
      static_cast<double>(channels) * static_cast<double>(gather.y.step) * static_cast<double>(gather.x.step);
  return elements / (read + static_cast<double>(outChannels));
}

/// The patches of the targets of a gather, which has a tap and a target at least.
template <class T>
class Patches {
 public:
  /// Patches of all `channels`, of which a group takes `width`. Each in a row of its own if `spread`.
  Patches(const Gather& gather, int64_t channels, int64_t width, const Tiles& tiles, bool spread)
      : gather_(gather), channels_(channels) {
    const Axis &y = gather.y, &x = gather.x;
    const auto extentX = static_cast<double>(x.offsets.back() - x.offsets.front());
    const double lineWidth =
        static_cast<double>(tiles.width() - 1) * static_cast<double>(x.step) + extentX + 1;
    const double spreadSize = static_cast<double>(tiles.rows() * tiles.width() * gather.taps());
    if (!spread && isWithin(y) && isWithin(x)) {
      form_ = Form::inPlace;
      line_ = x.source * channels;
    } else if (const double lines = linesOf(tiles.rows()) * lineWidth; !spread && lines <= spreadSize) {
      form_ = Form::lines;
      line_ = static_cast<int64_t>(lineWidth) * channels;
      size_ = static_cast<int64_t>(lines) * channels;
    } else {
      form_ = Form::spread;
      size_ = static_cast<int64_t>(spreadSize) * channels;
    }
    step_ = form_ == Form::spread ? gather.taps() * channels : x.step * channels;
    for (int64_t i = 0; i < y.size(); i++) {
      for (int64_t j = 0; j < x.size(); j++) {
        taps_.push_back(form_ == Form::spread ? (i * x.size() + j) * channels
                                              : (y.offsets[i] - y.offsets[0]) * line_ +
                                                    (x.offsets[j] - x.offsets[0]) * channels);
      }
    }
    run_ = width;
    if (width < channels) {
      runs_ = taps_;
      return;
    }
    // Taps side by side make one run.
    const int64_t together = form_ == Form::spread ? gather.taps() : x.isRun() ? x.size() : 1;
    run_ *= together;
    for (size_t i = 0; i < taps_.size(); i += static_cast<size_t>(together)) runs_.push_back(taps_[i]);
  }

  /// Elements of workspace for a tile.
  int64_t size() const { return size_; }
  /// Where each tap is, from the beginning of a patch on.
  const std::vector<int64_t>& taps() const { return taps_; }
  /// The same, in runs.
  const std::vector<int64_t>& runs() const { return runs_; }
  int64_t run() const { return run_; }
  /// From a patch to the next in its row.
  int64_t step() const { return step_; }

  /// Makes the patches of a tile; the first of its row r then begins at lines[r] of what is returned.
  const T* gather(const Tile& tile, const T* x, T* space, int64_t* lines) const {
    switch (form_) {
      case Form::inPlace:
        for (int64_t r = 0; r < tile.rows; r++) {
          const int64_t n = (tile.row + r) / gather_.y.count, ty = (tile.row + r) % gather_.y.count;
          const int64_t sy = n * gather_.y.source + ty * gather_.y.step + gather_.y.offsets[0];
          lines[r] = sy * line_ + (tile.left * gather_.x.step + gather_.x.offsets[0]) * channels_;
        }
        return x;
      case Form::lines:
        copyLines(tile, x, space, lines);
        return space;
      default:
        spread(tile, x, space, lines);
        return space;
    }
  }

 private:
  enum class Form { inPlace, lines, spread };

  static bool isWithin(const Axis& a) {
    return a.offsets.front() >= 0 && (a.count - 1) * a.step + a.offsets.back() < a.source;
  }

  /// At most so many lines of the source meet `rows` rows of targets; as a double, since they may be more
  /// than any array holds.
  double linesOf(int64_t rows) const {
    const Axis& y = gather_.y;
    const auto step = static_cast<double>(y.step),
               extent = static_cast<double>(y.offsets.back() - y.offsets.front()) + 1;
    const int64_t images = std::min(rows, (rows + y.count - 2) / y.count + 1);
    return static_cast<double>(rows) * step + static_cast<double>(images) * std::max(0.0, extent - step);
  }

  void copyLines(const Tile& tile, const T* x, T* to, int64_t* lines) const {
    const Axis& y = gather_.y;
    const int64_t extent = y.offsets.back() - y.offsets.front() + 1;
    T* next = to;
    for (int64_t r = 0; r < tile.rows;) {
      const int64_t n = (tile.row + r) / y.count, ty = (tile.row + r) % y.count;
      const int64_t count = std::min(tile.rows - r, y.count - ty);
      for (int64_t i = 0; i < count; i++) lines[r + i] = (next - to) + i * y.step * line_;
      const int64_t top = ty * y.step + y.offsets.front();
      const int64_t until = top + (count - 1) * y.step + extent;
      for (int64_t sy = top; sy < until; sy++, next += line_) {
        const bool isInside = sy >= 0 && sy < y.source;
        copyLine(next, isInside ? x + (n * y.source + sy) * gather_.x.source * channels_ : nullptr,
                 tile.left * gather_.x.step + gather_.x.offsets.front());
      }
      r += count;
    }
  }

  /// A line of the source from pixel `left` on, with zeros where it is not.
  void copyLine(T* to, const T* source, int64_t left) const {
    const int64_t width = line_ / channels_;
    const int64_t begin = source ? std::clamp<int64_t>(-left, 0, width) : width;
    const int64_t end = source ? std::clamp<int64_t>(gather_.x.source - left, begin, width) : width;
    std::fill_n(to, begin * channels_, T(0));
    if (end > begin)
      std::copy_n(source + (left + begin) * channels_, (end - begin) * channels_, to + begin * channels_);
    std::fill_n(to + end * channels_, (width - end) * channels_, T(0));
  }

  void spread(const Tile& tile, const T* x, T* to, int64_t* lines) const {
    const Axis &y = gather_.y, &a = gather_.x;
    for (int64_t r = 0; r < tile.rows; r++) {
      lines[r] = r * tile.width * step_;
      const int64_t n = (tile.row + r) / y.count, ty = (tile.row + r) % y.count;
      for (int64_t tx = tile.left; tx < tile.left + tile.width; tx++) {
        for (const int64_t offsetY : y.offsets) {
          const int64_t sy = ty * y.step + offsetY;
          for (const int64_t offsetX : a.offsets) {
            const int64_t sx = tx * a.step + offsetX;
            if (sy < 0 || sy >= y.source || sx < 0 || sx >= a.source) {
              std::fill_n(to, channels_, T(0));
            } else {
              std::copy_n(x + ((n * y.source + sy) * a.source + sx) * channels_, channels_, to);
            }
            to += channels_;
          }
        }
      }
    }
  }

  const Gather& gather_;
  const int64_t channels_;
  Form form_;
  int64_t line_ = 0, size_ = 0, step_, run_;
  std::vector<int64_t> taps_, runs_;
};

}  // namespace axpy
