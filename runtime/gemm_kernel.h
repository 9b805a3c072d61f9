/* gemm_kernel.h - one instruction set's matrix product; gemm.c includes it once
 * for each (real, type in memory, vector width).  Expects REAL, STORED (that
 * of the operands, which are widened as they are packed), LANES, TARGET and NAME(x).
 *
 * op(A) is packed into panels of ROWS rows, op(B) into panels of LANES times
 * 1, 2 or 4 columns, both running along k, so that the inner loop reads
 * memory in order.  A tile of C stays in registers, named one by one: arrays
 * of accumulators are left in memory by the compilers we use.
 */
typedef REAL NAME(vector) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL))));

#define READ_AS(type, x) read_##type(x)
#define READ_OF(type, x) READ_AS(type, x)
#define READ(x) READ_OF(STORED, x)
#define LOAD(p) (*(const NAME(vector) *)(p))
#define STORE(p, v) (*(NAME(vector) *)(p) = (v))
#define ROWS_6(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define ROWS_12(X) ROWS_6(X) X(6) X(7) X(8) X(9) X(10) X(11)

/* tile = sum over p of a[p] b[p]': 6 x 4 vectors, and 12 x 2 and 12 x 1 for few columns. */
#define DECLARE(i) NAME(vector) c##i##_0 = {0}, c##i##_1 = {0}, c##i##_2 = {0}, c##i##_3 = {0};
#define MULTIPLY(i) { REAL x = a[i]; c##i##_0 += x * b0; c##i##_1 += x * b1; c##i##_2 += x * b2; c##i##_3 += x * b3; }
#define WRITE(i)                                                                                                       \
  STORE(tile + i * ld, c##i##_0);                                                                                      \
  STORE(tile + i * ld + LANES, c##i##_1);                                                                              \
  STORE(tile + i * ld + 2 * LANES, c##i##_2);                                                                          \
  STORE(tile + i * ld + 3 * LANES, c##i##_3);
#define ADD(i)                                                                                                         \
  c##i##_0 += LOAD(tile + i * ld);                                                                                     \
  c##i##_1 += LOAD(tile + i * ld + LANES);                                                                             \
  c##i##_2 += LOAD(tile + i * ld + 2 * LANES);                                                                         \
  c##i##_3 += LOAD(tile + i * ld + 3 * LANES);
TARGET static void NAME(tile4)(int64_t k, const REAL *a, const REAL *b, REAL *tile, int64_t ld, bool add) {
  ROWS_6(DECLARE)
  for (int64_t p = 0; p < k; p++, a += 6, b += 4 * LANES) {
    NAME(vector) b0 = LOAD(b), b1 = LOAD(b + LANES), b2 = LOAD(b + 2 * LANES), b3 = LOAD(b + 3 * LANES);
    ROWS_6(MULTIPLY)
  }
  if (add) { ROWS_6(ADD) }
  ROWS_6(WRITE)
}
#undef DECLARE
#undef MULTIPLY
#undef WRITE
#undef ADD

#define DECLARE(i) NAME(vector) c##i##_0 = {0}, c##i##_1 = {0};
#define MULTIPLY(i) { REAL x = a[i]; c##i##_0 += x * b0; c##i##_1 += x * b1; }
#define WRITE(i) STORE(tile + i * ld, c##i##_0); STORE(tile + i * ld + LANES, c##i##_1);
#define ADD(i) c##i##_0 += LOAD(tile + i * ld); c##i##_1 += LOAD(tile + i * ld + LANES);
TARGET static void NAME(tile2)(int64_t k, const REAL *a, const REAL *b, REAL *tile, int64_t ld, bool add) {
  ROWS_12(DECLARE)
  for (int64_t p = 0; p < k; p++, a += 12, b += 2 * LANES) {
    NAME(vector) b0 = LOAD(b), b1 = LOAD(b + LANES);
    ROWS_12(MULTIPLY)
  }
  if (add) { ROWS_12(ADD) }
  ROWS_12(WRITE)
}
#undef DECLARE
#undef MULTIPLY
#undef WRITE
#undef ADD

#define DECLARE(i) NAME(vector) c##i = {0};
#define MULTIPLY(i) c##i += a[i] * b0;
#define WRITE(i) STORE(tile + i * ld, c##i);
#define ADD(i) c##i += LOAD(tile + i * ld);
TARGET static void NAME(tile1)(int64_t k, const REAL *a, const REAL *b, REAL *tile, int64_t ld, bool add) {
  ROWS_12(DECLARE)
  for (int64_t p = 0; p < k; p++, a += 12, b += LANES) {
    NAME(vector) b0 = LOAD(b);
    ROWS_12(MULTIPLY)
  }
  if (add) { ROWS_12(ADD) }
  ROWS_12(WRITE)
}
#undef DECLARE
#undef MULTIPLY
#undef WRITE
#undef ADD

/* Lines that stand side by side in memory; inlined for each width, since a call to memcpy costs more than it moves. */
TARGET static inline __attribute__((always_inline)) void NAME(copy_lines)(REAL *out, const STORED *x, int64_t k_step,
                                                                          int64_t k, int64_t width, int64_t count) {
  for (int64_t p = 0; p < k; p++, out += width, x += k_step)
    for (int64_t i = 0; i < count; i++) out[i] = READ(x[i]);
}

/* Lines that run along k: eight elements of each at a time, so that the panel is written in order. */
TARGET static inline __attribute__((always_inline)) void NAME(turn_lines)(REAL *out, const STORED *x, int64_t line_step,
                                                                          int64_t k, int64_t width, int64_t count) {
  int64_t p = 0;
  for (; p + 8 <= k; p += 8)
    for (int64_t i = 0; i < count; i++) {
      const STORED *from = x + i * line_step + p;
      REAL *to = out + p * width + i;
      for (int64_t q = 0; q < 8; q++) to[q * width] = READ(from[q]);
    }
  for (; p < k; p++)
    for (int64_t i = 0; i < count; i++) out[p * width + i] = READ(x[i * line_step + p]);
}

/* `count` lines of `width` elements along k, zeros behind the last: out[p][i] = x(i, p).
 * One of the steps is 1; whole panels have loops of fixed width. */
TARGET static void NAME(pack)(REAL *out, const STORED *x, int64_t line_step, int64_t k_step, int64_t count, int64_t width,
                              int64_t k) {
  if (count < width) memset(out, 0, (size_t)(width * k) * sizeof *out);
  if (line_step == 1) {
    if (count < width) NAME(copy_lines)(out, x, k_step, k, width, count);
    else if (width == 6) NAME(copy_lines)(out, x, k_step, k, 6, 6);
    else if (width == 12) NAME(copy_lines)(out, x, k_step, k, 12, 12);
    else if (width == LANES) NAME(copy_lines)(out, x, k_step, k, LANES, LANES);
    else if (width == 2 * LANES) NAME(copy_lines)(out, x, k_step, k, 2 * LANES, 2 * LANES);
    else NAME(copy_lines)(out, x, k_step, k, 4 * LANES, 4 * LANES);
  } else {
    if (count < width) NAME(turn_lines)(out, x, line_step, k, width, count);
    else if (width == 6) NAME(turn_lines)(out, x, line_step, k, 6, 6);
    else if (width == 12) NAME(turn_lines)(out, x, line_step, k, 12, 12);
    else if (width == LANES) NAME(turn_lines)(out, x, line_step, k, LANES, LANES);
    else if (width == 2 * LANES) NAME(turn_lines)(out, x, line_step, k, 2 * LANES, 2 * LANES);
    else NAME(turn_lines)(out, x, line_step, k, 4 * LANES, 4 * LANES);
  }
}

/* One block of C: `m` rows from packed A (its panels made here) against packed panels [first, last) of B. */
TARGET static void NAME(block)(const MtProduct *g, int vectors, int64_t row, int64_t m, int64_t k0, int64_t k,
                               int64_t first, int64_t last, REAL *packed_a, const REAL *packed_b) {
  int64_t rows = vectors == 4 ? 6 : 12, columns = vectors * LANES;
  const STORED *a = g->a;
  REAL *c = g->c, spill[12 * 4 * LANES];
  for (int64_t i = 0; i < m; i += rows)
    NAME(pack)
    (packed_a + i * k, a + (row + i) * g->a_row + k0 * g->a_k, g->a_row, g->a_k, m - i < rows ? m - i : rows, rows, k);
  for (int64_t j = first; j < last; j++)
    for (int64_t i = 0; i < m; i += rows) {
      int64_t mi = m - i < rows ? m - i : rows, nj = g->n - j * columns < columns ? g->n - j * columns : columns,
              ld = g->ldc;
      REAL *at = c + (row + i) * ld + j * columns, *tile = at;
      bool whole = mi == rows && nj == columns, add = k0 > 0;
      const REAL *pa = packed_a + i * k, *pb = packed_b + j * columns * k;
      if (!whole) tile = spill, ld = columns;
      if (vectors == 4) NAME(tile4)(k, pa, pb, tile, ld, add && whole);
      else if (vectors == 2) NAME(tile2)(k, pa, pb, tile, ld, add && whole);
      else NAME(tile1)(k, pa, pb, tile, ld, add && whole);
      for (int64_t r = 0; !whole && r < mi; r++)
        for (int64_t s = 0; s < nj; s++) at[r * g->ldc + s] = spill[r * columns + s] + (add ? at[r * g->ldc + s] : 0);
    }
}

/* How a product is shared out: B's panels are packed by all, then each takes blocks of C. */
typedef struct NAME(Plan) {
  const MtProduct *g;
  int vectors;
  int64_t columns, panels, row_blocks, column_blocks, k_block;
  REAL *packed_b;
} NAME(Plan);

/* The part of one thread of `threads`. */
TARGET static void NAME(share)(const NAME(Plan) *plan, int thread, int threads) {
  const MtProduct *g = plan->g;
  int64_t columns = plan->columns, blocks = plan->row_blocks * plan->column_blocks;
  REAL *packed_a = gemm_room(1, (size_t)((M_BLOCK + 12) * plan->k_block) * sizeof *packed_a);
  for (int64_t k0 = 0; k0 < g->k; k0 += K_BLOCK) {
    int64_t k = g->k - k0 < K_BLOCK ? g->k - k0 : K_BLOCK;
    for (int64_t j = plan->panels * thread / threads; j < plan->panels * (thread + 1) / threads; j++)
      NAME(pack)
      (plan->packed_b + j * columns * k, (const STORED *)g->b + j * columns * g->b_column + k0 * g->b_k, g->b_column,
       g->b_k, g->n - j * columns < columns ? g->n - j * columns : columns, columns, k);
    team_wait(threads);
    for (int64_t t = blocks * thread / threads; t < blocks * (thread + 1) / threads; t++) {
      int64_t row = t / plan->column_blocks * M_BLOCK, part = t % plan->column_blocks;
      NAME(block)
      (g, plan->vectors, row, g->m - row < M_BLOCK ? g->m - row : M_BLOCK, k0, k,
       plan->panels * part / plan->column_blocks, plan->panels * (part + 1) / plan->column_blocks, packed_a,
       plan->packed_b);
    }
    team_wait(threads);
  }
}

static void NAME(product)(const MtProduct *g, int threads) {
  int vectors = g->n <= LANES ? 1 : g->n <= 2 * LANES ? 2 : 4;
  NAME(Plan) plan = {.g = g, .vectors = vectors, .columns = vectors * LANES, .column_blocks = 1};
  plan.panels = (g->n + plan.columns - 1) / plan.columns;
  plan.k_block = g->k < K_BLOCK ? g->k : K_BLOCK;
  plan.row_blocks = (g->m + M_BLOCK - 1) / M_BLOCK;
  while (plan.row_blocks * plan.column_blocks < threads && plan.column_blocks < plan.panels) plan.column_blocks++;
  plan.packed_b = gemm_room(0, (size_t)(plan.panels * plan.columns * plan.k_block) * sizeof *plan.packed_b);
  if (threads > 1) {
#pragma omp parallel num_threads(threads)
    NAME(share)(&plan, omp_get_thread_num(), omp_get_num_threads());
  } else {
    NAME(share)(&plan, 0, 1); /* without a team: starting one costs as much as a small product */
  }
}

#undef READ_AS
#undef READ_OF
#undef READ
#undef LOAD
#undef STORE
#undef ROWS_6
#undef ROWS_12
#undef REAL
#undef STORED
#undef LANES
#undef TARGET
#undef NAME
