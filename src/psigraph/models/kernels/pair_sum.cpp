// Sums of messages over the neighbours in a batch of graphs, forward and backward, over undirected pairs.
//
// A message is o3.TensorProduct ("uvu") of the sender's state with the pair's harmonics and its radial weights:
// message[k] = w[WEIGHT[k]] Σ c x[a] y[b]. "paths.h" is generated from e3nn (build.py) and holds these sums.
// The weights are rows of a table over the distance, mixed by `order` coefficients; order 1 is one row for each pair.
//
// A state is SCALARS scalars, then VECTORS numbers in which the rotations act. The scalars' messages are products
// with a harmonic: their loops run over channels. The rest is computed for LANES pairs at once, in vectors `V`.
// Threads own whole graphs, which share no node, and a fixed share of them: no atomics, and equal results each time.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "paths.h"

namespace {

constexpr int ROW = SCALARS * SCALAR_HARMONICS + OUTPUTS;  // numbers in a message, in the order of this file
constexpr int FIRST = SCALARS * SCALAR_HARMONICS;          // where the outputs of vector and tensor begin
constexpr int PADDED = 48;                                 // WEIGHTS, so that rows of weights are whole vectors
static_assert(WEIGHTS <= PADDED, "widen PADDED");

template <class T>
struct Batch {
  int64_t stride, graphs, atoms, order, rows;
  const T* harmonics;       // (HARMONICS, stride): pair p is column p; stride >= pairs + LANES
  const int64_t* pairs;     // (pairs, 2) nodes, first direction 0 -> 1; nodes are the atoms, then the field nodes
  const int64_t* starts;    // (2, graphs + 1) each graph's first pair of atoms, and first pair with its field node
  const int64_t* knot;      // (pairs,) first row in the table
  const T* coefficient;     // (pairs, order)
  const T* state;           // (atoms + graphs, STATE)
  const T* table;           // (rows, WEIGHTS)

  int64_t first_atom(int64_t g) const { return starts[graphs + 1 + g] - starts[graphs + 1]; }
  int64_t size(int64_t g) const { return first_atom(g + 1) - first_atom(g) + 1; }  // atoms and the field node
  int64_t local(int64_t g, int64_t node) const { return node < atoms ? node - first_atom(g) : size(g) - 1; }
  int64_t node(int64_t g, int64_t l) const { return l < size(g) - 1 ? first_atom(g) + l : atoms + g; }
};

template <class V, class T>
V load(const T* from) {
  V out;
  std::memcpy(&out, from, sizeof(V));
  return out;
}

template <class V, class T>
void store(T* to, V value) {
  std::memcpy(to, &value, sizeof(V));
}

template <class T>
struct Block {
  static constexpr int LANES = 64 / sizeof(T);
  typedef T V __attribute__((vector_size(64)));                   // one number of each lane
  typedef T C __attribute__((vector_size(SCALARS * sizeof(T))));  // the channels of one lane

  int64_t first;                    // pair of lane 0
  int count;                        // lanes in use
  int64_t node[2][LANES], local[2][LANES];  // sender and receiver
  V x[2][VECTORS], y[HARMONICS], w[WEIGHTS - SCALARS * DEGREES];
  alignas(64) T weight[LANES][PADDED];

  Block(const Batch<T>& b, int64_t g, int64_t p, int64_t end) : first(p), count(std::min<int64_t>(LANES, end - p)) {
    for (int lane = 0; lane < LANES; ++lane) {
      const int64_t pair = first + std::min(lane, count - 1);
      for (int side = 0; side < 2; ++side) {
        node[side][lane] = b.pairs[2 * pair + side];
        local[side][lane] = b.local(g, node[side][lane]);
        for (int a = 0; a < VECTORS; ++a) x[side][a][lane] = b.state[node[side][lane] * STATE + SCALARS + a];
      }
      mix(b, pair, weight[lane]);
      for (int n = SCALARS * DEGREES; n < WEIGHTS; ++n) w[n - SCALARS * DEGREES][lane] = weight[lane][n];
    }
    for (int h = 0; h < HARMONICS; ++h) std::memcpy(&y[h], b.harmonics + h * b.stride + first, sizeof(V));
  }

  static void mix(const Batch<T>& b, int64_t pair, T* out) {
    std::memset(out, 0, PADDED * sizeof(T));
    for (int q = 0; q < b.order; ++q) {
      const T* row = b.table + (b.knot[pair] + q) * WEIGHTS;
      const T c = b.coefficient[pair * b.order + q];
      for (int n = 0; n < WEIGHTS; ++n) out[n] += c * row[n];
    }
  }

  // out[k] = Σ c x[a] y[b], the message of vector and tensor before its weight
  template <size_t... I>
  static void contract(const V* x, const V* y, V* out, std::index_sequence<I...>) {
    ((out[TERMS[I].k] += T(TERMS[I].c) * x[TERMS[I].a] * y[TERMS[I].b]), ...);
  }
  // grad[a] += Σ c q[k] y[b]
  template <size_t... I>
  static void contract_back(const V* q, const V* y, V* grad, std::index_sequence<I...>) {
    ((grad[TERMS[I].a] += T(TERMS[I].c) * q[TERMS[I].k] * y[TERMS[I].b]), ...);
  }
};

constexpr auto EVERY_TERM = std::make_index_sequence<sizeof(TERMS) / sizeof(TERMS[0])>();

// Adds the messages of a block's pairs, both ways, to `sum` (size(g), ROW).
template <class T>
void add_messages(const Batch<T>& b, const Block<T>& block, T* sum) {
  using B = Block<T>;
  using C = typename B::C;
  typename B::V out[2][OUTPUTS] = {};
  for (int side = 0; side < 2; ++side) {
    B::contract(block.x[side], block.y, out[side], EVERY_TERM);
    for (int k = 0; k < OUTPUTS; ++k) out[side][k] *= block.w[WEIGHT[k] - SCALARS * DEGREES] * (side ? T(SIGN[k]) : T(1));
  }
  for (int lane = 0; lane < block.count; ++lane) {
    for (int side = 0; side < 2; ++side) {
      const C s = load<C>(b.state + block.node[side][lane] * STATE);
      T* row = sum + block.local[1 - side][lane] * ROW;
      C weighted[DEGREES];
      for (int l = 0; l < DEGREES; ++l) weighted[l] = load<C>(block.weight[lane] + l * SCALARS) * s;
#pragma GCC unroll 16
      for (int h = 0; h < SCALAR_HARMONICS; ++h) {
        const T y = side ? block.y[h][lane] * T(SCALAR_SIGN[h]) : block.y[h][lane];
        store(row + h * SCALARS, load<C>(row + h * SCALARS) + y * weighted[DEGREE[h]]);
      }
      for (int k = 0; k < OUTPUTS; ++k) row[FIRST + k] += out[side][k][lane];
    }
  }
}

// Adds a block's part of the gradients: to `state` (nodes, STATE) and, by pair, to `weight` (LANES, PADDED).
// `grad` (size(g), ROW) is the gradient of the sums.
template <class T>
void add_gradients(const Batch<T>& b, const Block<T>& block, const T* grad, T* state, T (*weight)[PADDED]) {
  using B = Block<T>;
  using C = typename B::C;
  typename B::V out[2][OUTPUTS] = {}, g[2][OUTPUTS], w[OUTPUTS], back[2][VECTORS] = {};
  for (int lane = 0; lane < B::LANES; ++lane) {
    for (int k = 0; k < OUTPUTS; ++k) {
      g[0][k][lane] = grad[block.local[1][lane] * ROW + FIRST + k];
      g[1][k][lane] = grad[block.local[0][lane] * ROW + FIRST + k] * T(SIGN[k]);
      w[k][lane] = block.weight[lane][WEIGHT[k]];
    }
  }
  typename B::V by_path[WEIGHTS] = {};
  for (int side = 0; side < 2; ++side) {
    B::contract(block.x[side], block.y, out[side], EVERY_TERM);
    for (int k = 0; k < OUTPUTS; ++k) {
      by_path[WEIGHT[k]] += out[side][k] * g[side][k];
      g[side][k] *= w[k];
    }
    B::contract_back(g[side], block.y, back[side], EVERY_TERM);
  }
  for (int lane = 0; lane < block.count; ++lane) {
    for (int n = SCALARS * DEGREES; n < WEIGHTS; ++n) weight[lane][n] = by_path[n][lane];
    for (int side = 0; side < 2; ++side) {
      const int64_t sender = block.node[side][lane];
      const C s = load<C>(b.state + sender * STATE);
      const T* row = grad + block.local[1 - side][lane] * ROW;
      C by_degree[DEGREES] = {};
#pragma GCC unroll 16
      for (int h = 0; h < SCALAR_HARMONICS; ++h) {
        const T y = side ? block.y[h][lane] * T(SCALAR_SIGN[h]) : block.y[h][lane];
        by_degree[DEGREE[h]] += y * load<C>(row + h * SCALARS);
      }
      T* mine = state + sender * STATE;
      C by_state = load<C>(mine);
      for (int l = 0; l < DEGREES; ++l) {
        by_state += load<C>(block.weight[lane] + l * SCALARS) * by_degree[l];
        store(weight[lane] + l * SCALARS, load<C>(weight[lane] + l * SCALARS) + s * by_degree[l]);
      }
      store(mine, by_state);
      for (int a = 0; a < VECTORS; ++a) mine[SCALARS + a] += back[side][a][lane];
    }
  }
}

// Calls f(block) for all pairs of graph g, those of atoms, then those with the field node.
template <class T, class F>
void for_each_block(const Batch<T>& b, int64_t g, F f) {
  for (int part = 0; part < 2; ++part) {
    const int64_t *begin = b.starts + part * (b.graphs + 1) + g, end = begin[1];
    for (int64_t p = begin[0]; p < end; p += Block<T>::LANES) f(Block<T>(b, g, p, end));
  }
}

// Calls f(thread, g) for every graph; thread t of n has a contiguous share with about the same number of pairs.
template <class T, class F>
void for_each_graph(const Batch<T>& b, int threads, F f) {
  auto work = [&](int64_t g) { return b.starts[g] - b.starts[0] + b.first_atom(g); };
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int t = 0; t < threads; ++t) {
    const int64_t total = work(b.graphs), from = total * t / threads, to = total * (t + 1) / threads;
    for (int64_t g = 0; g < b.graphs; ++g)
      if (work(g) >= from && work(g) < to) f(t, g);
  }
}

template <class T>
void forward(const Batch<T>& b, int threads, T* out) {
  std::vector<std::vector<T>> sums(threads);
  for_each_graph(b, threads, [&](int t, int64_t g) {
    sums[t].assign(b.size(g) * ROW, T(0));
    for_each_block(b, g, [&](const Block<T>& block) { add_messages(b, block, sums[t].data()); });
    for (int64_t l = 0; l < b.size(g); ++l)
      for (int k = 0; k < ROW; ++k) out[b.node(g, l) * ROW + COLUMN[k]] = sums[t][l * ROW + k];
  });
}

template <class T>
void backward(const Batch<T>& b, int threads, const T* grad, T* state, T* table) {
  std::vector<std::vector<T>> sums(threads), tables(threads);
  for_each_graph(b, threads, [&](int t, int64_t g) {
    if (b.order > 1) tables[t].resize(b.rows * WEIGHTS);
    T* mine = b.order > 1 ? tables[t].data() : table;
    sums[t].resize(b.size(g) * ROW);
    for (int64_t l = 0; l < b.size(g); ++l)
      for (int k = 0; k < ROW; ++k) sums[t][l * ROW + k] = grad[b.node(g, l) * ROW + COLUMN[k]];
    for_each_block(b, g, [&](const Block<T>& block) {
      alignas(64) T weight[Block<T>::LANES][PADDED] = {};
      add_gradients(b, block, sums[t].data(), state, weight);
      for (int lane = 0; lane < block.count; ++lane)
        for (int q = 0; q < b.order; ++q) {
          T* row = mine + (b.knot[block.first + lane] + q) * WEIGHTS;
          const T c = b.coefficient[(block.first + lane) * b.order + q];
          for (int n = 0; n < WEIGHTS; ++n) row[n] += c * weight[lane][n];
        }
    });
  });
  for (const auto& mine : tables)
    for (size_t i = 0; i < mine.size(); ++i) table[i] += mine[i];
}

}  // namespace

#define PSIGRAPH_EXPORT(T, NAME)                                                                                      \
  extern "C" void psigraph_forward_##NAME(int64_t stride, int64_t graphs, int64_t atoms, int64_t order, int64_t rows, \
                                          int64_t threads, const T* harmonics, const int64_t* nodes,                  \
                                          const int64_t* starts, const int64_t* knot, const T* coefficient,           \
                                          const T* state, const T* table, T* out) {                                   \
    forward(Batch<T>{stride, graphs, atoms, order, rows, harmonics, nodes, starts, knot, coefficient, state, table},  \
            threads, out);                                                                                            \
  }                                                                                                                   \
  extern "C" void psigraph_backward_##NAME(int64_t stride, int64_t graphs, int64_t atoms, int64_t order,              \
                                           int64_t rows, int64_t threads, const T* harmonics, const int64_t* nodes,   \
                                           const int64_t* starts, const int64_t* knot, const T* coefficient,          \
                                           const T* state, const T* table, const T* grad, T* by_state, T* by_table) { \
    backward(Batch<T>{stride, graphs, atoms, order, rows, harmonics, nodes, starts, knot, coefficient, state, table}, \
             threads, grad, by_state, by_table);                                                                      \
  }

PSIGRAPH_EXPORT(float, f32)
PSIGRAPH_EXPORT(double, f64)
