// The transforms of Winograd's F(4×4, 3×3), on vectors of channels. Included once per target, hence the
// toggle instead of a guard.
//
// They follow from polynomials at the points 0, ±a, ±b and ∞. With the usual a = 1, b = 2 the entries of the
// matrices spread further, and the rounding error with them: see docs/convolution.md.
#if defined(AXPY_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AXPY_WINOGRAD_INL_H_
#undef AXPY_WINOGRAD_INL_H_
#else
#define AXPY_WINOGRAD_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

#ifndef AXPY_WINOGRAD_SIDES
#define AXPY_WINOGRAD_SIDES
namespace axpy {

/// Of a tile of outputs, of the patch of inputs that it is computed from; and how many values a transformed
/// patch has.
constexpr int64_t tileSide = 4, patchSide = 6, products = 36;

}  // namespace axpy
#endif

HWY_BEFORE_NAMESPACE();
namespace axpy {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// ── the transforms, along one axis
// ───────────────────────────────────────────────────────────────────────────────────────────────────

constexpr float a = 0.625f, b = 1.5f;
constexpr float a2 = a * a, b2 = b * b, a3 = a2 * a, b3 = b2 * b;
/// 1 / Π (pᵢ − pⱼ), the scale of a row of G.
constexpr float scale0 = 1 / (a2 * b2), scaleA = 1 / (2 * a2 * (a2 - b2)), scaleB = 1 / (2 * b2 * (b2 - a2));

/// Bᵀ d, 6 from 6
struct PatchTransform {
  HWY_INLINE void operator()(const V* d, V* t) const {
    const D f;
    const V all = hn::Set(f, -(a2 + b2)), product = hn::Set(f, a2 * b2);
    t[0] = hn::MulAdd(product, d[0], hn::MulAdd(all, d[2], d[4]));
    const V evenA = hn::NegMulAdd(hn::Set(f, b2), d[2], d[4]),
            evenB = hn::NegMulAdd(hn::Set(f, a2), d[2], d[4]);
    const V oddA = hn::NegMulAdd(hn::Set(f, b2), d[1], d[3]),
            oddB = hn::NegMulAdd(hn::Set(f, a2), d[1], d[3]);
    t[1] = hn::MulAdd(hn::Set(f, a), oddA, evenA);
    t[2] = hn::NegMulAdd(hn::Set(f, a), oddA, evenA);
    t[3] = hn::MulAdd(hn::Set(f, b), oddB, evenB);
    t[4] = hn::NegMulAdd(hn::Set(f, b), oddB, evenB);
    t[5] = hn::MulAdd(product, d[1], hn::MulAdd(all, d[3], d[5]));
  }
};

/// Aᵀ m, 4 from 6
struct ProductsTransform {
  HWY_INLINE void operator()(const V* m, V* y) const {
    const D f;
    const V sumA = hn::Add(m[1], m[2]), sumB = hn::Add(m[3], m[4]);
    const V differenceA = hn::Sub(m[1], m[2]), differenceB = hn::Sub(m[3], m[4]);
    y[0] = hn::Add(m[0], hn::Add(sumA, sumB));
    y[1] = hn::MulAdd(hn::Set(f, a), differenceA, hn::Mul(hn::Set(f, b), differenceB));
    y[2] = hn::MulAdd(hn::Set(f, a2), sumA, hn::Mul(hn::Set(f, b2), sumB));
    y[3] = hn::MulAdd(hn::Set(f, a3), differenceA, hn::MulAdd(hn::Set(f, b3), differenceB, m[5]));
  }
};

/// A y, 6 from 4
struct GradientTransform {
  HWY_INLINE void operator()(const V* y, V* m) const {
    const D f;
    const V evenA = hn::MulAdd(hn::Set(f, a2), y[2], y[0]), evenB = hn::MulAdd(hn::Set(f, b2), y[2], y[0]);
    const V oddA = hn::MulAdd(hn::Set(f, a3), y[3], hn::Mul(hn::Set(f, a), y[1]));
    const V oddB = hn::MulAdd(hn::Set(f, b3), y[3], hn::Mul(hn::Set(f, b), y[1]));
    m[0] = y[0];
    m[1] = hn::Add(evenA, oddA);
    m[2] = hn::Sub(evenA, oddA);
    m[3] = hn::Add(evenB, oddB);
    m[4] = hn::Sub(evenB, oddB);
    m[5] = y[3];
  }
};

/// G g, 6 from 3
struct WeightTransform {
  HWY_INLINE void operator()(const V* g, V* u) const {
    const D f;
    const V evenA = hn::Mul(hn::Set(f, scaleA), hn::MulAdd(hn::Set(f, a2), g[2], g[0]));
    const V evenB = hn::Mul(hn::Set(f, scaleB), hn::MulAdd(hn::Set(f, b2), g[2], g[0]));
    const V oddA = hn::Mul(hn::Set(f, a * scaleA), g[1]), oddB = hn::Mul(hn::Set(f, b * scaleB), g[1]);
    u[0] = hn::Mul(hn::Set(f, scale0), g[0]);
    u[1] = hn::Add(evenA, oddA);
    u[2] = hn::Sub(evenA, oddA);
    u[3] = hn::Add(evenB, oddB);
    u[4] = hn::Sub(evenB, oddB);
    u[5] = g[2];
  }
};

/// Gᵀ u, 3 from 6
struct WeightGradientTransform {
  HWY_INLINE void operator()(const V* u, V* g) const {
    const D f;
    const V sumA = hn::Mul(hn::Set(f, scaleA), hn::Add(u[1], u[2]));
    const V sumB = hn::Mul(hn::Set(f, scaleB), hn::Add(u[3], u[4]));
    const V differenceA = hn::Mul(hn::Set(f, a * scaleA), hn::Sub(u[1], u[2]));
    g[0] = hn::MulAdd(hn::Set(f, scale0), u[0], hn::Add(sumA, sumB));
    g[1] = hn::MulAdd(hn::Set(f, b * scaleB), hn::Sub(u[3], u[4]), differenceA);
    g[2] = hn::MulAdd(hn::Set(f, a2), sumA, hn::MulAdd(hn::Set(f, b2), sumB, u[5]));
  }
};

/// F along both axes: from × from values of load(k) become to × to for store(k, value). The loops stay loops,
/// so that the registers hold one line of values at a time and not all of them.
template <int from, int to, class F, class Load, class Store>
HWY_INLINE void alongBoth(const F& transform, const Load& load, const Store& store) {
  const D d;
  HWY_ALIGN float between[to * from * hn::MaxLanes(d)];
  const auto at = [&](int i, int j)
                      HWY_ATTR { return between + static_cast<size_t>(i * from + j) * hn::Lanes(d); };
  V in[from], out[to];
  HWY_UNROLL(1)
  for (int j = 0; j < from; j++) {
    for (int i = 0; i < from; i++) in[i] = load(i * from + j);
    transform(in, out);
    for (int i = 0; i < to; i++) hn::Store(out[i], d, at(i, j));
  }
  HWY_UNROLL(1)
  for (int i = 0; i < to; i++) {
    for (int j = 0; j < from; j++) in[j] = hn::Load(d, at(i, j));
    transform(in, out);
    for (int j = 0; j < to; j++) store(i * to + j, out[j]);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace axpy
HWY_AFTER_NAMESPACE();

#endif  // AXPY_WINOGRAD_INL_H_
