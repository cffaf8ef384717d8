// Answers on stdout, for each line of numbers on stdin, with the seconds that a pass of a layer takes in oneDNN, in the
// layouts it chooses itself: the best of so many. 0 where it has no such pass.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <dnnl.hpp>
#include <iostream>
#include <unordered_map>

using namespace dnnl;

struct Request {
  memory::dim pass, times, batch, side, channels, out, outChannels, kernel, stride, padding, groups;
};

struct Passes {
  memory::desc x, w, y;
  memory::dims strides, before, after;

  explicit Passes(const Request& r) {
    const auto any = memory::format_tag::any;
    const auto f32 = memory::data_type::f32;
    x = {{r.batch, r.channels, r.side, r.side}, f32, any};
    y = {{r.batch, r.outChannels, r.out, r.out}, f32, any};
    w = r.groups == 1
            ? memory::desc({r.outChannels, r.channels, r.kernel, r.kernel}, f32, any)
            : memory::desc({r.groups, r.outChannels / r.groups, r.channels / r.groups, r.kernel, r.kernel}, f32, any);
    const auto end = (r.out - 1) * r.stride + r.kernel - r.side - r.padding;
    strides = {r.stride, r.stride};
    before = {r.padding, r.padding};
    after = {end, end};
  }
};

memory filled(const memory::desc& d, const engine& e) {
  memory m(d, e);
  auto* p = static_cast<float*>(m.get_data_handle());
  std::fill_n(p, d.get_size() / sizeof(float), 0.01f);
  return m;
}

int main() {
  const engine e(engine::kind::cpu, 0);
  stream s(e);
  Request r;
  while (std::cin >> r.pass >> r.times >> r.batch >> r.side >> r.channels >> r.out >> r.outChannels >> r.kernel >>
         r.stride >> r.padding >> r.groups) {
    double best = 1e9;
    try {
      const Passes p(r);
      const auto algorithm = algorithm::convolution_auto;
      const convolution_forward::primitive_desc forward(
          {prop_kind::forward_training, algorithm, p.x, p.w, p.y, p.strides, p.before, p.after}, e);
      primitive run;
      std::unordered_map<int, memory> given;
      if (r.pass == 0) {
        run = convolution_forward(forward);
        given = {{DNNL_ARG_SRC, filled(forward.src_desc(), e)},
                 {DNNL_ARG_WEIGHTS, filled(forward.weights_desc(), e)},
                 {DNNL_ARG_DST, filled(forward.dst_desc(), e)}};
      } else if (r.pass == 1) {
        const convolution_backward_data::primitive_desc d({algorithm, p.x, p.w, p.y, p.strides, p.before, p.after}, e,
                                                          forward);
        run = convolution_backward_data(d);
        given = {{DNNL_ARG_DIFF_SRC, filled(d.diff_src_desc(), e)},
                 {DNNL_ARG_WEIGHTS, filled(d.weights_desc(), e)},
                 {DNNL_ARG_DIFF_DST, filled(d.diff_dst_desc(), e)}};
      } else {
        const convolution_backward_weights::primitive_desc d(
            {algorithm, p.x, p.w, p.y, p.strides, p.before, p.after}, e, forward);
        run = convolution_backward_weights(d);
        given = {{DNNL_ARG_SRC, filled(d.src_desc(), e)},
                 {DNNL_ARG_DIFF_WEIGHTS, filled(d.diff_weights_desc(), e)},
                 {DNNL_ARG_DIFF_DST, filled(d.diff_dst_desc(), e)}};
      }
      for (memory::dim i = 0; i <= r.times; i++) {
        const auto start = std::chrono::steady_clock::now();
        run.execute(s, given);
        s.wait();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        if (i > 0) best = std::min(best, took.count());
      }
    } catch (const error&) {
      best = 0;
    }
    std::printf("%.9f\n", best);
    std::fflush(stdout);
  }
}
