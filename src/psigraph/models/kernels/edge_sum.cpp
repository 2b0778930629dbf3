// What rows that edges join do together: sums of products over a row's edges, dot products along edges, and sums of
// gated SiLU messages over undirected pairs.
//
// A row has `size` columns of each of `groups` groups, column c of group g at c groups + g. Threads own ranges of
// receivers, or of edges: no atomics, and the same order of terms, so the same results, for any number of threads.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

// Rows of `stride` numbers from `start` on.
template <class T>
struct Rows {
  T* start;
  int64_t stride;
  T* operator[](int64_t row) const { return start + row * stride; }
};

// Edges from senders to receivers, and what they are given; `out` has `rows` rows, which begin at 0.
template <class T>
struct Call {
  int64_t edges, rows, groups, size, threads;
  const int64_t *receivers, *senders;
  Rows<const T> a, b;
  Rows<T> out;
};

// One number of each group: a vector register where GROUPS is known and a power of 2, else as many as `groups` says.
template <class T, int GROUPS>
struct Lane {
  typedef T V __attribute__((vector_size(GROUPS * sizeof(T))));
  static void add(T* out, const T* a, const T* b, int64_t) {
    V o, x, y;
    std::memcpy(&o, out, sizeof(V));
    std::memcpy(&x, a, sizeof(V));
    std::memcpy(&y, b, sizeof(V));
    o += x * y;
    std::memcpy(out, &o, sizeof(V));
  }
};

template <class T>
struct Lane<T, 0> {
  static void add(T* __restrict out, const T* __restrict a, const T* __restrict b, int64_t groups) {
    for (int64_t g = 0; g < groups; ++g) out[g] += a[g] * b[g];
  }
};

// out[r][c, g] += factor[e][g] values[s][c, g] over the edges e = (r, s)
template <class T, int GROUPS>
void sum(const Call<T>& call) {
  const int64_t groups = GROUPS ? GROUPS : call.groups;
#pragma omp parallel for num_threads(call.threads) schedule(static, 1)
  for (int64_t t = 0; t < call.threads; ++t) {
    const int64_t low = call.rows * t / call.threads, high = call.rows * (t + 1) / call.threads;
    for (int64_t e = 0; e < call.edges; ++e) {
      const int64_t r = call.receivers[e];
      if (r < low || r >= high) continue;
      const T *factor = call.a[e], *values = call.b[call.senders[e]];
      T* out = call.out[r];
      for (int64_t c = 0; c < call.size; ++c) Lane<T, GROUPS>::add(out + c * groups, factor, values + c * groups, groups);
    }
  }
}

// out[e][g] += Σ_c left[r][c, g] right[s][c, g] of every edge e = (r, s)
template <class T, int GROUPS>
void dot(const Call<T>& call) {
  const int64_t groups = GROUPS ? GROUPS : call.groups;
#pragma omp parallel for num_threads(call.threads) schedule(static)
  for (int64_t e = 0; e < call.edges; ++e) {
    const T *left = call.a[call.receivers[e]], *right = call.b[call.senders[e]];
    T* out = call.out[e];
    for (int64_t c = 0; c < call.size; ++c) Lane<T, GROUPS>::add(out, left + c * groups, right + c * groups, groups);
  }
}

// e^x to rounding for |x| <= LARGEST and constant beyond, without branches: the library's is not computed in vectors.
// e^x = 2^n e^r with |r| <= ln 2 / 2, and e^r by its Taylor series, cut off where terms fall below rounding.
template <class T>
inline T exponential(T x) {
  constexpr bool single = sizeof(T) == 4;
  using Bits = std::conditional_t<single, int32_t, int64_t>;
  constexpr int TERMS = single ? 7 : 13, MANTISSA = single ? 23 : 52, BIAS = single ? 127 : 1023;
  constexpr T LARGEST = single ? 87 : 708, PER_OCTAVE = 1.4426950408889634;
  constexpr T LN2_HIGH = single ? 0.693359375 : 0.693147180369123816490, LN2_LOW = 0.6931471805599453094L - LN2_HIGH;
  x = x < -LARGEST ? -LARGEST : x > LARGEST ? LARGEST : x;
  const T n = std::rint(x * PER_OCTAVE), r = x - n * LN2_HIGH - n * LN2_LOW;
  T series = 1;
#pragma GCC unroll 16
  for (int k = TERMS; k > 0; --k) series = 1 + series * r * (T(1) / k);
  return series * __builtin_bit_cast(T, Bits((Bits(n) + BIAS) << MANTISSA));
}

// Messages silu(to[r] + from[s] + shift[p]) gate[p] from s to r, both ways along every pair p. A row of nodes holds `to`,
// then `from`, each of `width` columns, and so does a row of their gradient. Threads own columns.
template <class T>
struct Messages {
  int64_t count, width, threads;
  const int64_t* pairs;  // (count, 2)
  Rows<const T> nodes, shift, gate;

  // Calls f(pair, receiver, sender, first column, columns) for both ways of every pair, a thread's columns at a time.
  template <class F>
  void for_each_way(F f) const {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int64_t t = 0; t < threads; ++t) {
      const int64_t low = width * t / threads, columns = width * (t + 1) / threads - low;
      for (int64_t p = 0; columns && p < count; ++p)
        for (int way = 0; way < 2; ++way) f(p, pairs[2 * p + way], pairs[2 * p + 1 - way], low, columns);
    }
  }

  // Adds to out (nodes, width) the messages that each node receives.
  void sum(Rows<T> out) const {
    for_each_way([&](int64_t p, int64_t r, int64_t s, int64_t low, int64_t columns) {
      const T *to = nodes[r] + low, *from = nodes[s] + width + low, *e = shift[p] + low, *g = gate[p] + low;
      T* o = out[r] + low;
#pragma omp simd
      for (int64_t k = 0; k < columns; ++k) {
        const T x = to[k] + from[k] + e[k];
        o[k] += g[k] * x / (1 + exponential(-x));
      }
    });
  }

  // Adds to the gradients by nodes, shift and gate, of the gradient by the sums.
  void gradients(Rows<const T> grad, Rows<T> by_nodes, Rows<T> by_shift, Rows<T> by_gate) const {
    for_each_way([&](int64_t p, int64_t r, int64_t s, int64_t low, int64_t columns) {
      const T *to = nodes[r] + low, *from = nodes[s] + width + low, *e = shift[p] + low, *g = gate[p] + low;
      const T* up = grad[r] + low;
      T *by_to = by_nodes[r] + low, *by_from = by_nodes[s] + width + low, *by_e = by_shift[p] + low;
      T* by_g = by_gate[p] + low;
#pragma omp simd
      for (int64_t k = 0; k < columns; ++k) {
        const T x = to[k] + from[k] + e[k], share = 1 / (1 + exponential(-x));
        const T by_x = up[k] * g[k] * share * (1 + x * (1 - share));
        by_g[k] += up[k] * x * share;
        by_to[k] += by_x;
        by_from[k] += by_x;
        by_e[k] += by_x;
      }
    });
  }
};

}  // namespace

#define PSIGRAPH_EDGE(F, T, NAME)                                                                                  \
  extern "C" void psigraph_edge_##F##_##NAME(int64_t edges, int64_t rows, int64_t groups, int64_t size,            \
                                             int64_t threads, int64_t a_stride, int64_t b_stride,                  \
                                             int64_t out_stride, const int64_t* receivers, const int64_t* senders, \
                                             const T* a, const T* b, T* out) {                                     \
    const Call<T> call{edges,     rows,    groups,        size,          threads,                                  \
                       receivers, senders, {a, a_stride}, {b, b_stride}, {out, out_stride}};                       \
    switch (groups) { /* numbers of groups that occur have code of their own */                                    \
      case 2: return F<T, 2>(call);                                                                                \
      case 4: return F<T, 4>(call);                                                                                \
      case 8: return F<T, 8>(call);                                                                                \
      case 16: return F<T, 16>(call);                                                                              \
      default: return F<T, 0>(call);                                                                               \
    }                                                                                                              \
  }

PSIGRAPH_EDGE(sum, float, f32)
PSIGRAPH_EDGE(sum, double, f64)
PSIGRAPH_EDGE(dot, float, f32)
PSIGRAPH_EDGE(dot, double, f64)

#define PSIGRAPH_PAIR(T, NAME)                                                                                     \
  extern "C" void psigraph_pair_silu_##NAME(int64_t count, int64_t width, int64_t threads, int64_t nodes_stride,   \
                                            int64_t shift_stride, int64_t gate_stride, int64_t out_stride,         \
                                            const int64_t* pairs, const T* nodes, const T* shift, const T* gate,   \
                                            T* out) {                                                              \
    Messages<T>{count, width, threads, pairs, {nodes, nodes_stride}, {shift, shift_stride}, {gate, gate_stride}}   \
        .sum({out, out_stride});                                                                                   \
  }                                                                                                                \
  extern "C" void psigraph_pair_silu_backward_##NAME(                                                              \
      int64_t count, int64_t width, int64_t threads, int64_t nodes_stride, int64_t shift_stride,                   \
      int64_t gate_stride, int64_t grad_stride, int64_t by_nodes_stride, int64_t by_shift_stride,                  \
      int64_t by_gate_stride, const int64_t* pairs, const T* nodes, const T* shift, const T* gate, const T* grad,  \
      T* by_nodes, T* by_shift, T* by_gate) {                                                                      \
    Messages<T>{count, width, threads, pairs, {nodes, nodes_stride}, {shift, shift_stride}, {gate, gate_stride}}   \
        .gradients({grad, grad_stride}, {by_nodes, by_nodes_stride}, {by_shift, by_shift_stride},                  \
                   {by_gate, by_gate_stride});                                                                     \
  }

PSIGRAPH_PAIR(float, f32)
PSIGRAPH_PAIR(double, f64)
