#include "arguments.h"

#include <cstdio>
#include <cstdlib>
#include <cmath>

#include "geometry.h"

namespace axpy {

std::string formatNumber(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  if (value == 0) return "0";
  // The fewest digits that mean this number. (std::to_chars would know; libstdc++ has it since GCC 11 alone.)
  char text[32];
  for (int digits = 0; digits <= 16; digits++) {
    std::snprintf(text, sizeof text, "%.*e", digits, std::fabs(value));
    if (std::strtod(text, nullptr) == std::fabs(value)) break;
  }
  const std::string scientific(text);
  const size_t e = scientific.find('e');
  std::string digits = scientific.substr(0, 1);
  if (e > 2) digits += scientific.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  const int point = std::stoi(scientific.substr(e + 1)) + 1;  // digits before the decimal point
  std::string out;
  if (point > 21 || point < -5) {
    out = digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    out += point > 0 ? "e+" : "e-";
    out += std::to_string(std::abs(point - 1));
  } else if (point <= 0) {
    out = "0." + std::string(-point, '0') + digits;
  } else if (point >= count) {
    out = digits + std::string(point - count, '0');
  } else {
    out = digits.substr(0, point) + "." + digits.substr(point);
  }
  return (value < 0 ? "-" : "") + out;
}

void Check::fail(int position, const std::string& expectation, const std::string& got) const {
  throw Violation("AXPY_KERNEL", std::string("[") + kernel_ + "] expected " + names_[position] + " " +
                                     expectation + ", got " + got);
}

void Check::failAt(int position, int64_t index, const std::string& expectation,
                   const std::string& got) const {
  throw Violation("AXPY_KERNEL", std::string("[") + kernel_ + "] expected " + names_[position] + "[" +
                                     std::to_string(index) + "] " + expectation + ", got " + got);
}

void Check::failFinite(int position, double value, int64_t index) const {
  throw Violation("AXPY_NON_FINITE", std::string("[") + kernel_ + "] expected " + names_[position] +
                                         " to be finite, got " + formatNumber(value) + " at " +
                                         std::to_string(index));
}

void Check::failInt32(int position, int64_t index, double value) const {
  throw Violation("AXPY_DATA", std::string("[") + kernel_ + "] expected " + names_[position] + "[" +
                                   std::to_string(index) + "] to fit int32, got " + formatNumber(value) +
                                   ": use cast('float64')");
}

void Check::failLength(int position, int64_t got, double expected, bool orOne) const {
  fail(position, (orOne ? "to have length 1 or " : "to have length ") + formatNumber(expected),
       std::to_string(got));
}

void Check::failIndex(int position, int64_t at, int64_t index, int64_t bound) const {
  throw Violation("AXPY_INDEX", std::string("[") + kernel_ + "] expected " + names_[position] + "[" +
                                    std::to_string(at) + "] to be from 0 to " + std::to_string(bound - 1) +
                                    ", got " + std::to_string(index));
}

void Check::indices(const Array<const int32_t>& indices, int64_t bound) const {
  for (int64_t i = 0; i < indices.length; i++) index(indices.position, i, indices[i], bound);
}

void Check::stride(const Stride& stride, double step) const {
  if (stride != 0 && stride != step)
    fail(stride.position, "to be 0 or " + formatNumber(step), formatNumber(stride));
}

void Check::rank(const Layout& layout, int groups, int extra, int least, const char* form) const {
  const int64_t entries = layout.length - extra;
  if (entries < static_cast<int64_t>(groups) * least || entries % groups != 0 ||
      entries > groups * Layout::maxRank) {
    fail(layout.position, std::string("to have length ") + form, std::to_string(layout.length));
  }
}

void Check::dimensions(const Layout& layout, int rank) const {
  for (int i = 0; i < rank; i++) {
    if (layout.values[i] >= 0) continue;
    throw Violation("AXPY_KERNEL", std::string("[") + kernel_ + "] expected layout dimension " +
                                       std::to_string(i) + " to be at least 0, got " +
                                       std::to_string(layout.values[i]));
  }
}

double Check::elements(const Layout& layout, int rank) {
  double size = 1;
  for (int i = 0; i < rank; i++) size *= layout.values[i];
  return size;
}

double Check::broadcast(const Layout& layout, int groups) const {
  rank(layout, groups, 0, 1, groups == 3 ? "3·rank with rank from 1 to 16" : "4·rank with rank from 1 to 16");
  const int rank = layout.rank(groups);
  dimensions(layout, rank);
  for (int i = rank; i < groups * rank; i++) {
    if (layout.values[i] >= 0) continue;
    throw Violation("AXPY_KERNEL", std::string("[") + kernel_ + "] expected layout stride " +
                                       std::to_string(i) + " to be at least 0, got " +
                                       std::to_string(layout.values[i]));
  }
  return elements(layout, rank);
}

void Check::failReach(const Layout& layout, const char* operand, int64_t length, double position) const {
  fail(layout.position, std::string("to stay within ") + operand + " (length " + std::to_string(length) + ")",
       "position " + formatNumber(position));
}

void Check::reach(const Layout& layout, int groups, int index, const char* operand, int64_t length) const {
  const int rank = layout.rank(groups);
  const int32_t* strides = layout.group(groups, index);
  double last = 0;
  for (int i = 0; i < rank; i++) {
    if (layout.values[i] == 0) return;
    last += (layout.values[i] - 1.0) * strides[i];
  }
  if (last >= static_cast<double>(length)) failReach(layout, operand, length, last);
}

void Check::copyLayout(const Layout& layout, int64_t outLength, int64_t xLength, const char* out,
                       const char* x) const {
  rank(layout, 3, 2, 0, "3·rank + 2 with rank from 0 to 16");
  const int rank = layout.rank(3);
  dimensions(layout, rank);
  const double count = elements(layout, rank);
  if (count == 0) return;
  // More would write a position twice, in a time without a bound.
  if (count > static_cast<double>(outLength)) {
    fail(layout.position,
         std::string("to name at most as many elements as ") + out + " has (" + std::to_string(outLength) +
             ")",
         formatNumber(count));
  }
  for (int operand = 0; operand < 2; operand++) {
    double low = layout.values[3 * rank + operand];
    double high = low;
    for (int i = 0; i < rank; i++) {
      const double extent = (layout.values[i] - 1.0) * layout.values[(operand + 1) * rank + i];
      (extent < 0 ? low : high) += extent;
    }
    const int64_t length = operand == 0 ? outLength : xLength;
    if (low < 0) failReach(layout, operand == 0 ? out : x, length, low);
    if (high >= static_cast<double>(length)) failReach(layout, operand == 0 ? out : x, length, high);
  }
}

Window Check::window(const Geometry& geometry) const {
  constexpr int64_t count = Window::fields.size();
  if (geometry.length != count) failLength(geometry.position, geometry.length, count, false);
  const auto& v = geometry.values;
  for (int i = 0; i < count; i++) {
    // Kernel, strides, dilations and groups.
    const int least = (i >= 7 && i <= 12) || i == 15 ? 1 : 0;
    if (v[i] >= least) continue;
    fail(geometry.position, std::string(Window::fields[i]) + " to be at least " + std::to_string(least),
         std::to_string(v[i]));
  }
  return {v[0], v[1], v[2],  v[3],  v[4],  v[5],  v[6],  v[7],
          v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15]};
}

Window Check::convolution(const Geometry& geometry) const {
  const Window w = window(geometry);
  if (w.channels % w.groups != 0 || w.outChannels % w.groups != 0) {
    fail(geometry.position,
         "groups to divide channels " + std::to_string(w.channels) + " and outChannels " +
             std::to_string(w.outChannels),
         std::to_string(w.groups));
  }
  return w;
}

Window Check::pooling(const Geometry& geometry) const {
  const Window w = window(geometry);
  if (w.outChannels != w.channels) {
    fail(geometry.position, "outChannels to equal channels " + std::to_string(w.channels),
         std::to_string(w.outChannels));
  }
  if (w.groups != 1) fail(geometry.position, "groups to be 1", std::to_string(w.groups));
  // Positions in the window are int32.
  const int64_t positions = w.kernelHeight * w.kernelWidth;
  if (positions > INT32_MAX) {
    fail(geometry.position, "kernelHeight · kernelWidth to be at most 2147483647",
         formatNumber(static_cast<double>(positions)));
  }
  return w;
}

}  // namespace axpy
