/* test_index.c - index expressions against plain arithmetic.
 *
 * Expressions are simplified as they are built, so what is tested is that
 * they still mean the same at every point of small spaces, that their ranges
 * hold, and that splitting and merging axes leaves nothing behind.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

static Arena *arena;
static uint64_t seed;

static void set_up(void) {
  arena = arena_new();
  seed = 1;
}
static void tear_down(void) { arena_free(arena); }

/* Below n; xorshift, so that every run draws the same. */
static int draw(int n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (int)(seed % (uint64_t)n);
}

static const char *const axes[] = {"i", "j", "k", "l", "m", "n", "o", "p"};

static const char *text_of(const Index *x) {
  Text out = {0};
  index_print(&out, x, axes);
  return text_take(&out, arena);
}

/* As C computes it, checking that every part lies in the range it claims. */
static int64_t value_at(const Index *x, const int64_t *point) {
  int64_t v = 0;
  switch (x->kind) {
  case INDEX_CONST: v = x->value; break;
  case INDEX_AXIS: v = point[x->axis]; break;
  case INDEX_ADD: v = value_at(x->a, point) + value_at(x->b, point); break;
  case INDEX_MUL: v = value_at(x->a, point) * x->value; break;
  case INDEX_DIV: v = value_at(x->a, point) / x->value; break;
  case INDEX_MOD: v = value_at(x->a, point) % x->value; break;
  }
  ck_assert_msg(v >= x->low && v < x->low + x->extent, "%s is %lld, not in [%lld, %lld)", text_of(x), (long long)v,
                (long long)x->low, (long long)(x->low + x->extent));
  return v;
}

static bool next_point(const int64_t *size, int rank, int64_t *point) {
  for (int i = rank - 1; i >= 0; i--) {
    if (++point[i] < size[i]) return true;
    point[i] = 0;
  }
  return false;
}

/* ---- random expressions ---- */

enum { N_AXES = 3, N_POINTS = 5 * 5 * 5 };
static const int64_t sizes[N_AXES] = {5, 4, 3};

/* The expression and, computed on its own, its value at every point. */
typedef struct Pair {
  const Index *index;
  int64_t value[N_POINTS];
} Pair;

static Pair leaf(void) {
  Pair p;
  int axis = draw(N_AXES + 1), constant = draw(7);
  int64_t point[N_AXES] = {0};
  p.index = axis == N_AXES ? index_const(arena, constant) : index_axis(arena, axis, sizes[axis]);
  for (int n = 0; n < 5 * 4 * 3; n++, next_point(sizes, N_AXES, point))
    p.value[n] = axis == N_AXES ? constant : point[axis];
  return p;
}

static Pair expression(int depth) {
  if (depth == 0 || draw(6) == 0) return leaf();
  Pair a = expression(depth - 1), b;
  int by = 1 + draw(12);
  switch (draw(4)) {
  case 0:
    b = expression(depth - 1);
    a.index = index_add(arena, a.index, b.index);
    for (int n = 0; n < 60; n++) a.value[n] += b.value[n];
    break;
  case 1:
    a.index = index_mul(arena, a.index, by - 1);
    for (int n = 0; n < 60; n++) a.value[n] *= by - 1;
    break;
  case 2:
    a.index = index_div(arena, a.index, by);
    for (int n = 0; n < 60; n++) a.value[n] /= by;
    break;
  default:
    a.index = index_mod(arena, a.index, by);
    for (int n = 0; n < 60; n++) a.value[n] %= by;
    break;
  }
  return a;
}

START_TEST(expressions_keep_their_values) {
  for (int round = 0; round < 4000; round++) {
    Pair p = expression(1 + round % 6);
    int64_t point[N_AXES] = {0};
    for (int n = 0; n < 60; n++, next_point(sizes, N_AXES, point))
      ck_assert_msg(value_at(p.index, point) == p.value[n], "%s at %lld, %lld, %lld is not %lld", text_of(p.index),
                    (long long)point[0], (long long)point[1], (long long)point[2], (long long)p.value[n]);
  }
}
END_TEST

START_TEST(sums_have_one_form) {
  const Index *i = index_axis(arena, 0, 5), *j = index_axis(arena, 1, 4), *one = index_const(arena, 1);
  const Index *a = index_add(arena, index_add(arena, one, j), index_mul(arena, i, 4));
  const Index *b = index_add(arena, index_mul(arena, i, 4), index_add(arena, j, one));
  ck_assert(index_equal(a, b));
  ck_assert_str_eq(text_of(a), "i * 4 + j + 1");
  ck_assert(!index_equal(a, index_add(arena, b, one)));
  ck_assert_str_eq(text_of(index_add(arena, index_mul(arena, i, 2), index_mul(arena, i, 3))), "i * 5");
  ck_assert_str_eq(text_of(index_add(arena, i, index_mul(arena, i, -1))), "0");
  ck_assert_str_eq(text_of(index_add(arena, i, index_const(arena, -2))), "i - 2");
  ck_assert_str_eq(text_of(index_axis(arena, 3, 1)), "0");
}
END_TEST

START_TEST(division_knows_ranges) {
  const Index *i = index_axis(arena, 0, 6), *j = index_axis(arena, 1, 4),
              *flat = index_add(arena, index_mul(arena, i, 4), j);
  ck_assert_str_eq(text_of(index_div(arena, flat, 4)), "i");
  ck_assert_str_eq(text_of(index_mod(arena, flat, 4)), "j");
  ck_assert_str_eq(text_of(index_div(arena, flat, 24)), "0");
  ck_assert_str_eq(text_of(index_mod(arena, flat, 24)), "i * 4 + j");
  ck_assert_str_eq(text_of(index_div(arena, flat, 8)), "i / 2");
  ck_assert_str_eq(text_of(index_mod(arena, flat, 8)), "(i % 2) * 4 + j");
  ck_assert_str_eq(text_of(index_div(arena, flat, 2)), "i * 2 + j / 2");
  ck_assert_str_eq(text_of(index_mod(arena, flat, 2)), "j % 2");
  ck_assert_str_eq(text_of(index_div(arena, index_div(arena, flat, 5), 2)), "(i * 4 + j) / 10");
  ck_assert_str_eq(text_of(index_div(arena, index_mod(arena, flat, 6), 3)), "((i * 4 + j) / 3) % 2");
  const Index *q = index_div(arena, flat, 5), *r = index_mod(arena, flat, 5);
  ck_assert_str_eq(text_of(index_add(arena, r, index_mul(arena, q, 5))), "i * 4 + j");
}
END_TEST

/* ---- views ---- */

static Type type_of(const int64_t *size, int rank) {
  Type t = {.dtype = F32, .rank = rank};
  for (int i = 0; i < rank; i++) t.dim[i] = dim_literal(size[i]);
  return t;
}

/* Row-major position of a point, and back. */
static int64_t position(const Type *t, const int64_t *point) {
  int64_t at = 0;
  for (int i = 0; i < t->rank; i++) at = at * t->dim[i].size + point[i];
  return at;
}

static void point_at(const Type *t, int64_t at, int64_t *point) {
  for (int i = t->rank - 1; i >= 0; i--) {
    point[i] = at % t->dim[i].size;
    at /= t->dim[i].size;
  }
}

/* Where element `at` of a view comes from, or -1: written out from ops.def, nothing shared with index.c. */
static int64_t origin(const Node *view, int64_t at) {
  const Type *from = &view->in[0]->type, *to = &view->type;
  const Attrs *a = &view->attrs;
  int64_t out[MAX_RANK], in[MAX_RANK];
  if (view->op == OP_reshape) return at;
  point_at(to, at, out);
  if (view->op == OP_skew || view->op == OP_unskew) { /* the position that takes the window's element here or there */
    int64_t h, limit = from->dim[a->axis].size;
    memcpy(in, out, sizeof in);
    if (view->op == OP_skew) {
      h = out[a->axis] * a->stride + out[a->window] * a->dilation - a->padding;
    } else {
      for (h = 0; h < limit; h++)
        if (h * a->stride + out[a->window] * a->dilation - a->padding == out[a->axis]) break;
    }
    in[a->axis] = h;
    return h < 0 || h >= limit ? -1 : position(from, in);
  }
  for (int i = 0; i < to->rank; i++) {
    int64_t moved = out[i] - a->start[i];
    switch (view->op) {
    case OP_transpose: in[a->axes[i]] = out[i]; break;
    case OP_slice: in[i] = a->start[i] + out[i] * a->step[i]; break;
    case OP_pad:
      if (moved % a->step[i] || moved / a->step[i] < 0 || moved / a->step[i] >= from->dim[i].size) return -1;
      in[i] = moved / a->step[i];
      break;
    default:
      if (i >= to->rank - from->rank) {
        int own = i - (to->rank - from->rank);
        in[own] = from->dim[own].size == 1 ? 0 : out[i];
      }
    }
  }
  return position(from, in);
}

static int random_factors(int64_t count, int64_t *size) {
  int rank = 0;
  while (count > 1 && rank < 4) {
    int64_t f = rank == 3 ? count : 1 + draw((int)count);
    if (count % f) continue;
    size[rank++] = f;
    count /= f;
  }
  if (count > 1) size[rank - 1] *= count;
  return rank;
}

static Node *random_view(Builder *b, Node *x) {
  const Type *t = &x->type;
  int64_t size[MAX_RANK], start[MAX_RANK], step[MAX_RANK];
  int order[MAX_RANK], rank = t->rank;
  Attrs attrs;
  Type to;
  switch (draw(7)) {
  case 5:
  case 6:
    if (rank < 2) return x;
    attrs = (Attrs){.axis = draw(rank), .stride = 1 + draw(3), .dilation = 1 + draw(2), .padding = draw(3)};
    attrs.window = (attrs.axis + 1 + draw(rank - 1)) % rank;
    return b_skew(b, draw(2) ? OP_skew : OP_unskew, x, dim_literal(1 + draw(6)), &attrs);
  case 0:
    to = type_of(size, random_factors(type_count(t), size));
    return b_reshape(b, x, &to);
  case 1:
    for (int i = 0; i < rank; i++) order[i] = i;
    for (int i = rank - 1; i > 0; i--) {
      int k = draw(i + 1), kept = order[i];
      order[i] = order[k];
      order[k] = kept;
    }
    return b_transpose(b, x, order);
  case 2:
    if (rank == 5) return x;
    size[0] = 2;
    for (int i = 0; i < rank; i++) size[i + 1] = t->dim[i].size == 1 ? 1 + draw(3) : t->dim[i].size;
    to = type_of(size, rank + 1);
    return b_broadcast(b, x, &to);
  case 3:
    for (int i = 0; i < rank; i++) {
      step[i] = 1 + draw(2);
      start[i] = draw((int)t->dim[i].size);
      size[i] = 1 + (t->dim[i].size - 1 - start[i]) / step[i];
      if (draw(2)) start[i] += (size[i] - 1) * step[i], step[i] = -step[i];
    }
    to = type_of(size, rank);
    return b_slice(b, x, &to, start, step);
  default:
    for (int i = 0; i < rank; i++) {
      step[i] = 1 + draw(2);
      start[i] = draw(3);
      size[i] = start[i] + (t->dim[i].size - 1) * step[i] + 1 + draw(2);
      if (draw(2)) start[i] += (t->dim[i].size - 1) * step[i], step[i] = -step[i];
    }
    to = type_of(size, rank);
    return b_pad(b, x, &to, start, step);
  }
}

static bool holds(const IndexTests *tests, const int64_t *point) {
  for (int i = 0; i < tests->n; i++) {
    int64_t v = value_at(tests->test[i], point);
    if (v < 0 || v % tests->by[i] || v / tests->by[i] >= tests->limit[i]) return false;
  }
  return true;
}

/* Follow one element back through the views, by index.c and by hand. */
static void check_chain(const Node *last, const int64_t *point) {
  const Index *at[MAX_RANK], *in[MAX_RANK];
  int64_t where = position(&last->type, point);
  for (int i = 0; i < last->type.rank; i++) at[i] = index_axis(arena, i, last->type.dim[i].size);
  for (const Node *n = last; n->n_in; n = n->in[0]) {
    IndexTests tests;
    index_view(arena, n, at, in, &tests);
    where = origin(n, where);
    ck_assert_int_eq(holds(&tests, point), where >= 0);
    if (where < 0) return;
    memcpy(at, in, sizeof at);
    const Index *flat = index_flat(arena, &n->in[0]->type, at);
    ck_assert_msg(value_at(flat, point) == where, "through %s: %s is not %lld", op_info[n->op].name, text_of(flat),
                  (long long)where);
  }
}

START_TEST(views_follow_elements) {
  for (int round = 0; round < 300; round++) {
    Arena *kept = arena;
    arena = arena_new();
    Graph *graph = graph_new(program_new(arena, "t", "t.mt"), "g", NULL);
    Builder b = {graph, NULL, "v"};
    int64_t size[] = {1 + draw(4), 1 + draw(6), 1 + draw(4)}, point[MAX_RANK] = {0}, extent[MAX_RANK];
    Attrs attrs = {.path = "x", .shape = type_of(size, 3)};
    Node *x = node_new(graph, OP_input, NULL, 0, &attrs, "x", NULL);
    for (int i = 1 + draw(4); i > 0 && type_count(&x->type) < 400; i--) x = random_view(&b, x);
    for (int i = 0; i < x->type.rank; i++) extent[i] = x->type.dim[i].size;
    int step = 1 + (int)(type_count(&x->type) / 60), n = 0;
    do {
      if (n++ % step == 0) check_chain(x, point);
    } while (next_point(extent, x->type.rank, point));
    arena_free(arena);
    arena = kept;
  }
}
END_TEST

/* [a, b, c, d] to another shape and back is every plain axis again, whatever lies between. */
START_TEST(reshape_and_back_is_nothing) {
  Graph *graph = graph_new(program_new(arena, "t", "t.mt"), "g", NULL);
  Builder b = {graph, NULL, "v"};
  for (int round = 0; round < 300; round++) {
    int64_t size[] = {2 + draw(5), 2 + draw(5), 2 + draw(5), 2 + draw(5)}, other[MAX_RANK];
    Attrs attrs = {.path = "x", .shape = type_of(size, 4)};
    Node *x = node_new(graph, OP_input, NULL, 0, &attrs, "x", NULL);
    Type middle = type_of(other, random_factors(type_count(&x->type), other));
    Node *there = b_reshape(&b, x, &middle), *back = b_reshape(&b, there, &x->type);
    const Index *at[MAX_RANK], *between[MAX_RANK], *in[MAX_RANK];
    IndexTests tests;
    if (there == x) continue;
    for (int i = 0; i < 4; i++) at[i] = index_axis(arena, i, size[i]);
    index_view(arena, back, at, between, &tests);
    index_view(arena, there, between, in, &tests);
    for (int i = 0; i < 4; i++) ck_assert_msg(index_equal(in[i], at[i]), "axis %d comes back as %s", i, text_of(in[i]));
  }
}
END_TEST

START_TEST(batch_uses_its_capacity) {
  Symbol batch = {.name = "B", .size = 64, .rows = true};
  Type t = {.dtype = F32, .rank = 2, .dim = {dim_symbol(&batch), dim_literal(10)}};
  const Index *at[] = {index_axis(arena, 0, 64), index_axis(arena, 1, 10)};
  ck_assert_str_eq(text_of(index_flat(arena, &t, at)), "i * 10 + j");
  Type turned = {.dtype = F32, .rank = 2, .dim = {dim_literal(10), dim_symbol(&batch)}};
  const Index *back[] = {at[1], at[0]};
  ck_assert_str_eq(text_of(index_flat(arena, &turned, back)), "j * 64 + i");
  Type one = {.dtype = F32, .rank = 1, .dim = {{.size = 1, .rows = &batch}}};
  const Index *in[1];
  index_broadcast(arena, &one, at, &one, in);
  ck_assert_str_eq(text_of(in[0]), "i");
}
END_TEST

Suite *index_suite(void) {
  Suite *suite = suite_create("index");
  TCase *tests = tcase_create("index");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, expressions_keep_their_values);
  tcase_add_test(tests, sums_have_one_form);
  tcase_add_test(tests, division_knows_ranges);
  tcase_add_test(tests, views_follow_elements);
  tcase_add_test(tests, reshape_and_back_is_nothing);
  tcase_add_test(tests, batch_uses_its_capacity);
  suite_add_tcase(suite, tests);
  return suite;
}
