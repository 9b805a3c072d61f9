/* attention_loops.h - the loops of attention.c for one type of sums and one of
 * memory; included with REAL, STORED, READ(x), WRITE(x) and NAME(x) defined.
 *
 * A block of one side's places, `own`, meets the other side tile by tile.  What
 * is multiplied along the features stands turned, so that all inner loops run
 * over neighbours in memory.
 */

typedef struct NAME(Tile) {
  REAL row[TILE][MOST_FEATURES], turned[MOST_FEATURES][TILE];
} NAME(Tile);

/* Places first to first + count of one head, as they stand and turned; past them zeros. */
MT_CLONES static void NAME(load_tile)(NAME(Tile) *tile, const STORED *from, int64_t width, int64_t count) {
  for (int64_t i = 0; i < TILE; i++)
    for (int64_t e = 0; e < width; e++) {
      REAL x = i < count ? READ(from[i * width + e]) : 0;
      tile->row[i][e] = x;
      tile->turned[e][i] = x;
    }
}

/* sum[i] = x . place i of the tile */
MT_CLONES static void NAME(products)(REAL *restrict sum, const REAL *restrict x, const NAME(Tile) *tile, int64_t width) {
  for (int i = 0; i < TILE; i++) sum[i] = 0;
  for (int64_t e = 0; e < width; e++) {
    const REAL at = x[e];
    for (int i = 0; i < TILE; i++) sum[i] += at * tile->turned[e][i];
  }
}

/* sum += weight[i] times place i, for all i from first to before end */
MT_CLONES static void NAME(add_rows)(REAL *restrict sum, const REAL *restrict weight, const NAME(Tile) *tile, int64_t width,
                                     int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) {
    const REAL by = weight[i];
    for (int64_t e = 0; e < width; e++) sum[e] += by * tile->row[i][e];
  }
}

MT_CLONES static void NAME(write_row)(STORED *to, const REAL *sum, REAL by, int64_t width) {
  for (int64_t e = 0; e < width; e++) to[e] = WRITE(sum[e] * by);
}

/* ---- forward: a row keeps its highest score so far and its sums relative to that ---- */

typedef struct NAME(Row) {
  REAL highest, total, sum[MOST_FEATURES];
} NAME(Row);

/* Columns 0 to n of a tile come to a row; score[] becomes their weights. */
MT_CLONES static void NAME(weigh)(NAME(Row) *row, REAL *restrict score, int64_t n, REAL scale, int64_t width) {
  REAL highest = row->highest, total = 0;
  for (int64_t j = 0; j < n; j++) score[j] *= scale;
  for (int64_t j = 0; j < n; j++) highest = score[j] > highest ? score[j] : highest;
  const REAL base = highest == -INFINITY ? 0 : highest, shrink = exp(row->highest - base);
  VECTORS
  for (int64_t j = 0; j < n; j++) score[j] = exp(score[j] - base);
  for (int64_t j = 0; j < n; j++) total += score[j];
  row->highest = highest;
  row->total = row->total * shrink + total;
  for (int64_t e = 0; e < width; e++) row->sum[e] *= shrink;
}

static void NAME(rows)(const Attention *a, int64_t head, int64_t first, const STORED *q, const STORED *k, const STORED *v, STORED *o,
                       REAL *lse) {
  const int64_t width = a->width, n = least(BLOCK, a->rows - first), end = columns_seen(a, first + n - 1);
  NAME(Tile) keys, values;
  NAME(Row) row[BLOCK];
  REAL own[BLOCK][MOST_FEATURES], score[TILE];
  for (int64_t i = 0; i < n; i++) {
    row[i] = (NAME(Row)){.highest = -INFINITY};
    for (int64_t e = 0; e < width; e++) own[i][e] = READ(q[((head * a->rows + first + i) * width) + e]);
  }
  for (int64_t column = 0; column < end; column += TILE) {
    const int64_t at = (head * a->columns + column) * width;
    NAME(load_tile)(&keys, k + at, width, least(TILE, a->columns - column));
    if (o) NAME(load_tile)(&values, v + at, width, least(TILE, a->columns - column));
    for (int64_t i = 0; i < n; i++) {
      const int64_t seen = least(TILE, columns_seen(a, first + i) - column);
      NAME(products)(score, own[i], &keys, width);
      NAME(weigh)(&row[i], score, seen, (REAL)a->scale, o ? width : 0);
      if (o) NAME(add_rows)(row[i].sum, score, &values, width, 0, seen);
    }
  }
  for (int64_t i = 0; i < n; i++) {
    const int64_t at = head * a->rows + first + i;
    if (o) NAME(write_row)(o + at * width, row[i].sum, 1 / row[i].total, width);
    else lse[at] = row[i].highest + log(row[i].total);
  }
}

/* ---- backward ------------------------------------------------------------------------ */

/* From scores and products of g and v to weights and the adjoints of the scores. */
MT_CLONES static void NAME(derive)(REAL *restrict score, REAL *restrict adjoint, const REAL *restrict lse, const REAL *restrict along,
                                   int step, REAL scale) {
  VECTORS
  for (int i = 0; i < TILE; i++) score[i] = exp(score[i] * scale - lse[i * step]);
  for (int i = 0; i < TILE; i++) adjoint[i] = score[i] * (adjoint[i] - along[i * step]);
}

static void NAME(dq)(const Attention *a, int64_t head, int64_t first, const STORED *q, const STORED *k, const STORED *v, const REAL *lse,
                     const STORED *g, const REAL *along, STORED *dq) {
  const int64_t width = a->width, n = least(BLOCK, a->rows - first), end = columns_seen(a, first + n - 1);
  NAME(Tile) keys, values;
  REAL own_q[BLOCK][MOST_FEATURES], own_g[BLOCK][MOST_FEATURES], sum[BLOCK][MOST_FEATURES] = {{0}}, score[TILE], adjoint[TILE];
  for (int64_t i = 0; i < n; i++)
    for (int64_t e = 0; e < width; e++) {
      const int64_t at = (head * a->rows + first + i) * width + e;
      own_q[i][e] = READ(q[at]), own_g[i][e] = READ(g[at]);
    }
  for (int64_t column = 0; column < end; column += TILE) {
    const int64_t at = (head * a->columns + column) * width;
    NAME(load_tile)(&keys, k + at, width, least(TILE, a->columns - column));
    NAME(load_tile)(&values, v + at, width, least(TILE, a->columns - column));
    for (int64_t i = 0; i < n; i++) {
      const int64_t row = head * a->rows + first + i;
      NAME(products)(score, own_q[i], &keys, width);
      NAME(products)(adjoint, own_g[i], &values, width);
      NAME(derive)(score, adjoint, lse + row, along + row, 0, (REAL)a->scale);
      NAME(add_rows)(sum[i], adjoint, &keys, width, 0, least(TILE, columns_seen(a, first + i) - column));
    }
  }
  for (int64_t i = 0; i < n; i++)
    NAME(write_row)(dq + (head * a->rows + first + i) * width, sum[i], (REAL)a->scale, width);
}

static void NAME(dkv)(const Attention *a, int64_t head, int64_t first, const STORED *q, const STORED *k, const STORED *v, const REAL *lse,
                      const STORED *g, const REAL *along, STORED *dk, STORED *dv) {
  const int64_t width = a->width, n = least(BLOCK, a->columns - first);
  NAME(Tile) queries, adjoints;
  REAL own_k[BLOCK][MOST_FEATURES], own_v[BLOCK][MOST_FEATURES], sum_k[BLOCK][MOST_FEATURES] = {{0}},
      sum_v[BLOCK][MOST_FEATURES] = {{0}}, score[TILE], adjoint[TILE], row_lse[TILE] = {0}, row_along[TILE] = {0};
  for (int64_t j = 0; j < n; j++)
    for (int64_t e = 0; e < width; e++) {
      const int64_t at = (head * a->columns + first + j) * width + e;
      own_k[j][e] = READ(k[at]), own_v[j][e] = READ(v[at]);
    }
  for (int64_t row = a->mask == MT_CAUSAL ? first : 0; row < a->rows; row += TILE) {
    const int64_t at = head * a->rows + row, end = least(TILE, a->rows - row);
    NAME(load_tile)(&queries, q + at * width, width, end);
    NAME(load_tile)(&adjoints, g + at * width, width, end);
    for (int64_t i = 0; i < end; i++) row_lse[i] = lse[at + i], row_along[i] = along[at + i];
    for (int64_t j = 0; j < n; j++) {
      const int64_t begin = a->mask == MT_CAUSAL && first + j > row ? first + j - row : 0;
      NAME(products)(score, own_k[j], &queries, width);
      NAME(products)(adjoint, own_v[j], &adjoints, width);
      NAME(derive)(score, adjoint, row_lse, row_along, 1, (REAL)a->scale);
      NAME(add_rows)(sum_v[j], score, &adjoints, width, begin, end);
      NAME(add_rows)(sum_k[j], adjoint, &queries, width, begin, end);
    }
  }
  for (int64_t j = 0; j < n; j++) {
    const int64_t at = (head * a->columns + first + j) * width;
    NAME(write_row)(dk + at, sum_k[j], (REAL)a->scale, width);
    NAME(write_row)(dv + at, sum_v[j], 1, width);
  }
}

/* ---- all heads: blocks are independent, so threads change no bits ------------------------- */

static void NAME(all_rows)(const Attention *a, const STORED *q, const STORED *k, const STORED *v, STORED *o, REAL *lse) {
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (int64_t head = 0; head < a->heads; head++)
    for (int64_t first = 0; first < a->rows; first += BLOCK) NAME(rows)(a, head, first, q, k, v, o, lse);
}

static void NAME(all_dq)(const Attention *a, const STORED *q, const STORED *k, const STORED *v, const REAL *lse, const STORED *g,
                         const REAL *along, STORED *dq) {
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (int64_t head = 0; head < a->heads; head++)
    for (int64_t first = 0; first < a->rows; first += BLOCK) NAME(dq)(a, head, first, q, k, v, lse, g, along, dq);
}

static void NAME(all_dkv)(const Attention *a, const STORED *q, const STORED *k, const STORED *v, const REAL *lse, const STORED *g,
                          const REAL *along, STORED *dk, STORED *dv) {
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (int64_t head = 0; head < a->heads; head++)
    for (int64_t first = 0; first < a->columns; first += BLOCK) NAME(dkv)(a, head, first, q, k, v, lse, g, along, dk, dv);
}

#undef REAL
#undef STORED
#undef READ
#undef WRITE
#undef NAME
