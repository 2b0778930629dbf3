// What rows that edges join do together: sums of products over a row's edges, and dot products along edges.
//
// A row has `size` columns of each of `groups` groups, column c of group g at c groups + g. Threads own ranges of
// receivers, or of edges: no atomics, and the same order of terms, so the same results, for any number of threads.
#include <cstdint>
#include <cstring>

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
