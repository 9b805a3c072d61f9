/* test_simplify.c - each rewrite fires where it should, and changes no value.
 *
 * The operands hold every number that algebra gets wrong: infinities, NaN, both
 * zeros, denormals, the largest and the smallest; binary ops see all pairs of
 * them.  Values before and after are compared bit for bit.  Then what must not
 * be rewritten, although a textbook would; and split.
 */
#include <check.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/graph_kit.h"

static const double special[] = {0.0,    -0.0,    1,       -1,  INFINITY, -INFINITY, NAN,
                                 5e-324, -1e-310, 1.7e308, 0.5, -3.7,     2,         1e-200};
enum { SPECIAL = sizeof special / sizeof special[0], ROWS = 2 };

typedef struct Operands {
  Kit *kit;
  Builder *b;
  Node *x, *y; /* [14, 1] and [14]: together all pairs */
  Node *m;     /* [2, 14] */
  Node *c;     /* bool [14] */
} Operands;

static Operands operands(Kit *kit) {
  Operands o = {.kit = kit, .b = &kit->b};
  o.x = kit_state(kit, "x", kit_type(F64, 2, (int64_t[]){SPECIAL, 1}));
  o.y = kit_state(kit, "y", kit_type(F64, 1, (int64_t[]){SPECIAL}));
  o.m = kit_state(kit, "m", kit_type(F64, 2, (int64_t[]){ROWS, SPECIAL}));
  Node *c = kit_state(kit, "c", kit_type(F64, 1, (int64_t[]){SPECIAL}));
  for (int i = 0; i < SPECIAL; i++) {
    kit_data(kit, o.x)[i] = kit_data(kit, o.y)[i] = kit_data(kit, o.m)[i] = special[i];
    kit_data(kit, o.m)[SPECIAL + i] = special[(i * 5 + 3) % SPECIAL];
    kit_data(kit, c)[i] = i % 3 - 1;
  }
  o.c = b_scalar(o.b, OP_gt, c, 0);
  return o;
}

/* ---- one small graph a rewrite --------------------------------------------------- */

static Type shape(int rank, int64_t a, int64_t b, int64_t c) { return kit_type(F64, rank, (int64_t[]){a, b, c}); }
static Node *un(Operands *o, Op op, Node *x) { return b_unary(o->b, op, x); }
static Node *bin(Operands *o, Op op, Node *x, Node *y) { return b_binary(o->b, op, x, y); }
static Node *num(Operands *o, double value) { return b_const(o->b, F64, value); }
static Node *scaled(Operands *o, Op op, double value) { return bin(o, op, o->y, num(o, value)); }
static Node *wide(Operands *o, Node *x) {
  Type t = shape(2, ROWS, SPECIAL, 0);
  return b_broadcast(o->b, x, &t);
}
static Node *shaped(Operands *o, Node *x, Type t) { return b_reshape(o->b, x, &t); }
/* The constructors leave out what does nothing, so here are those that do not. */
static Node *raw(Operands *o, Op op, Node *x, Attrs attrs) { return kit_op(o->kit, op, 1, &x, attrs); }
static Node *turned(Operands *o, Node *x) { return b_transpose(o->b, x, (int[]){1, 0}); }
static Node *cut(Operands *o, Op op, Node *x, Type t, int64_t start, int64_t step) {
  return raw(o, op, x, (Attrs){.shape = t, .start = {0, start}, .step = {1, step}});
}

static Node *map_broadcast(Operands *o) { return bin(o, OP_mul, o->m, wide(o, o->y)); }
static Node *map_small(Operands *o) { return un(o, OP_exp, wide(o, o->y)); }
static Node *map_fold(Operands *o) { return bin(o, OP_mul, o->y, bin(o, OP_div, num(o, 1), num(o, 3))); }
static Node *stop(Operands *o) { return un(o, OP_stop, o->y); }
static Node *copy(Operands *o) { return un(o, OP_copy, o->y); }
static Node *mul_one(Operands *o) { return scaled(o, OP_mul, 1); }
static Node *mul_minus(Operands *o) { return scaled(o, OP_mul, -1); }
static Node *mul_neg(Operands *o) { return bin(o, OP_mul, un(o, OP_neg, o->x), un(o, OP_neg, o->y)); }
static Node *mul_neg_number(Operands *o) { return bin(o, OP_mul, un(o, OP_neg, o->x), num(o, 0.3)); }
static Node *div_one(Operands *o) { return scaled(o, OP_div, 1); }
static Node *div_neg(Operands *o) { return bin(o, OP_div, un(o, OP_neg, o->x), un(o, OP_neg, o->y)); }
static Node *div_power(Operands *o) { return scaled(o, OP_div, -64); }
static Node *add_zero(Operands *o) { return scaled(o, OP_add, -0.0); }
static Node *add_neg(Operands *o) { return bin(o, OP_add, o->x, un(o, OP_neg, o->y)); }
static Node *add_neg_left(Operands *o) { return bin(o, OP_add, un(o, OP_neg, o->x), o->y); }
static Node *sub_zero(Operands *o) { return scaled(o, OP_sub, 0); }
static Node *sub_neg(Operands *o) { return bin(o, OP_sub, o->x, un(o, OP_neg, o->y)); }
static Node *neg_neg(Operands *o) { return un(o, OP_neg, un(o, OP_neg, o->y)); }
static Node *neg_scaled(Operands *o) { return un(o, OP_neg, scaled(o, OP_div, 3)); }
static Node *abs_neg(Operands *o) { return un(o, OP_abs, un(o, OP_neg, o->y)); }
static Node *abs_abs(Operands *o) { return un(o, OP_abs, un(o, OP_abs, o->y)); }
static Node *relu_relu(Operands *o) { return un(o, OP_relu, un(o, OP_relu, o->y)); }
static Node *pow_minus(Operands *o) { return scaled(o, OP_pow, -1); }
static Node *pow_zero(Operands *o) { return scaled(o, OP_pow, 0); }
static Node *pow_one(Operands *o) { return scaled(o, OP_pow, 1); }
static Node *pow_two(Operands *o) { return scaled(o, OP_pow, 2); }
static Node *pow_three(Operands *o) { return scaled(o, OP_pow, 3); }
static Node *maximum_same(Operands *o) { return bin(o, OP_maximum, o->y, o->y); }
static Node *minimum_same(Operands *o) { return bin(o, OP_minimum, o->y, o->y); }
static Node *and_same(Operands *o) { return bin(o, OP_and, o->c, o->c); }
static Node *or_same(Operands *o) { return bin(o, OP_or, o->c, o->c); }
static Node *not_not(Operands *o) { return un(o, OP_not, un(o, OP_not, o->c)); }
static Node *where_const(Operands *o) { return b_where(o->b, b_const(o->b, BOOL, 0), o->x, o->y); }
static Node *where_same(Operands *o) { return b_where(o->b, o->c, o->y, o->y); }
static Node *where_not(Operands *o) { return b_where(o->b, un(o, OP_not, o->c), o->x, o->y); }
static Node *cast_same(Operands *o) { return raw(o, OP_cast, o->y, (Attrs){.shape = type_scalar(F64)}); }
static Node *cast_cast(Operands *o) { return b_cast(o->b, b_cast(o->b, o->c, F32), F64); }
static Node *reshape_none(Operands *o) {
  return raw(o, OP_reshape, o->m, (Attrs){.shape = shape(2, ROWS, SPECIAL, 0)});
}
static Node *reshape_reshape(Operands *o) {
  return shaped(o, shaped(o, o->m, shape(1, ROWS * SPECIAL, 0, 0)), shape(2, SPECIAL, ROWS, 0));
}
static Node *reshape_number(Operands *o) { return shaped(o, wide(o, num(o, NAN)), shape(1, ROWS * SPECIAL, 0, 0)); }
static Node *reshape_reduce(Operands *o) {
  return shaped(o, b_reduce(o->b, OP_sum, o->m, 1, (int[]){1}, false), shape(2, ROWS, 1, 0));
}
static Node *reshape_kept(Operands *o) {
  return shaped(o, b_reduce(o->b, OP_max, o->m, 1, (int[]){1}, true), shape(1, ROWS, 0, 0));
}
static Node *transpose_none(Operands *o) { return raw(o, OP_transpose, o->m, (Attrs){.n_axes = 2, .axes = {0, 1}}); }
static Node *transpose_transpose(Operands *o) {
  Node *t = b_transpose(o->b, shaped(o, o->m, shape(3, ROWS, 2, SPECIAL / 2)), (int[]){2, 0, 1});
  return b_transpose(o->b, t, (int[]){0, 2, 1});
}
static Node *transpose_number(Operands *o) { return turned(o, wide(o, num(o, -0.0))); }
static Node *transpose_ones(Operands *o) { return turned(o, o->x); }
static Node *transpose_matmul(Operands *o) {
  return turned(o, b_matmul(o->b, o->m, shaped(o, o->m, shape(2, SPECIAL, ROWS, 0)), false, false));
}
static Node *matmul_left(Operands *o) { return b_matmul(o->b, turned(o, o->m), o->m, false, false); }
static Node *matmul_right(Operands *o) { return b_matmul(o->b, o->m, turned(o, o->m), false, false); }
static Node *broadcast_none(Operands *o) {
  return raw(o, OP_broadcast, o->m, (Attrs){.shape = shape(2, ROWS, SPECIAL, 0)});
}
static Node *broadcast_broadcast(Operands *o) {
  Type t = shape(2, 1, SPECIAL, 0);
  return wide(o, b_broadcast(o->b, num(o, INFINITY), &t));
}
static Node *broadcast_reshape(Operands *o) { return wide(o, shaped(o, o->y, shape(2, 1, SPECIAL, 0))); }
static Node *broadcast_ones(Operands *o) {
  return raw(o, OP_broadcast, o->y, (Attrs){.shape = shape(2, 1, SPECIAL, 0)});
}
static Node *slice_none(Operands *o) { return cut(o, OP_slice, o->m, shape(2, ROWS, SPECIAL, 0), 0, 1); }
static Node *slice_slice(Operands *o) {
  return cut(o, OP_slice, cut(o, OP_slice, o->m, shape(2, ROWS, 6, 0), 1, 2), shape(2, ROWS, 2, 0), 1, 3);
}
static Node *slice_pad(Operands *o) {
  return cut(o, OP_slice, cut(o, OP_pad, o->m, shape(2, ROWS, 40, 0), 2, 2), shape(2, ROWS, SPECIAL, 0), 2, 2);
}
/* m before `limit`, doubles of it behind; the slice has every third element from `start` on. */
static Node *slice_of_choice(Operands *o, int limit, int start, int step) {
  Type row = kit_type(I32, 1, (int64_t[]){SPECIAL});
  Node *low = bin(o, OP_lt, b_iota(o->b, &row, 0), b_const(o->b, I32, limit));
  return cut(o, OP_slice, b_where(o->b, low, o->m, bin(o, OP_add, o->m, o->m)), shape(2, ROWS, 3, 0), start, step);
}
static Node *slice_where(Operands *o) { return bin(o, OP_add, slice_of_choice(o, 7, 0, 3), slice_of_choice(o, 7, 13, -3)); }
static Node *slice_where_number(Operands *o) {
  Type row = kit_type(I32, 1, (int64_t[]){SPECIAL});
  Node *low = bin(o, OP_lt, b_iota(o->b, &row, 0), b_const(o->b, I32, 4));
  return cut(o, OP_slice, b_where(o->b, low, o->m, num(o, -0.0)), shape(2, ROWS, 3, 0), 4, 1);
}
static Node *pad_none(Operands *o) { return cut(o, OP_pad, o->m, shape(2, ROWS, SPECIAL, 0), 0, 1); }
static Node *pad_pad(Operands *o) {
  return cut(o, OP_pad, cut(o, OP_pad, o->m, shape(2, ROWS, 30, 0), 1, 2), shape(2, ROWS, 99, 0), 4, 3);
}
static Node *reduce_ones(Operands *o) { return b_reduce(o->b, OP_max, o->x, 1, (int[]){1}, false); }
static Node *reduce_some(Operands *o) { return b_reduce(o->b, OP_min, o->x, 2, (int[]){0, 1}, true); }
static Node *sum_ones(Operands *o) { return b_reduce(o->b, OP_sum, o->x, 1, (int[]){1}, false); }


/* where(iota == labels, v, zero) over `classes`; labels stand below, in and above the range. */
static Node *one_hot(Operands *o, Node *v, double zero, int64_t classes) {
  Node *labels = kit_state(o->kit, "labels", kit_type(I32, 2, (int64_t[]){SPECIAL, 1}));
  for (int i = 0; i < SPECIAL; i++) kit_data(o->kit, labels)[i] = (i * 5 + 2) % 7 - 2;
  Type row = kit_type(I32, 1, &classes);
  return b_where(o->b, bin(o, OP_eq, b_iota(o->b, &row, 0), labels), v, num(o, zero));
}
static Node *sum_last(Operands *o, Node *x, bool keep) { return b_reduce(o->b, OP_sum, x, 1, (int[]){1}, keep); }
static Node *picked(Operands *o) { return sum_last(o, one_hot(o, o->x, 0, 3), false); }
static Node *picked_minus(Operands *o) { return sum_last(o, one_hot(o, o->x, -0.0, 2), true); }
static Node *picked_neg(Operands *o) { return sum_last(o, un(o, OP_neg, one_hot(o, o->x, 0, 4)), true); }
static Node *picked_number(Operands *o) { return sum_last(o, one_hot(o, num(o, 0.3), 0, 3), false); }
static Node *picked_columns(Operands *o) { /* labels along the columns of v: [14], over axis 0 */
  Node *labels = kit_state(o->kit, "labels", kit_type(I32, 1, (int64_t[]){SPECIAL}));
  for (int i = 0; i < SPECIAL; i++) kit_data(o->kit, labels)[i] = i % 6 - 2;
  Type column = kit_type(I32, 2, (int64_t[]){3, 1});
  Node *hit = bin(o, OP_eq, labels, b_iota(o->b, &column, 0));
  return b_reduce(o->b, OP_sum, b_where(o->b, hit, o->y, num(o, 0)), 1, (int[]){0}, false);
}

typedef enum Exact { EXACT, ROUNDS } Exact;
static const struct Case {
  const char *rewrite;
  Node *(*build)(Operands *);
  Exact exact;
} cases[] = {
    {"map.broadcast", map_broadcast, EXACT},
    {"map.broadcast", map_small, EXACT},
    {"map.fold", map_fold, EXACT},
    {"stop", stop, EXACT},
    {"copy", copy, EXACT},
    {"mul.one", mul_one, EXACT},
    {"mul.minus", mul_minus, EXACT},
    {"mul.neg", mul_neg, EXACT},
    {"mul.neg", mul_neg_number, EXACT},
    {"div.one", div_one, EXACT},
    {"div.neg", div_neg, EXACT},
    {"div.power", div_power, EXACT},
    {"add.zero", add_zero, EXACT},
    {"add.neg", add_neg, EXACT},
    {"add.neg", add_neg_left, EXACT},
    {"sub.zero", sub_zero, EXACT},
    {"sub.neg", sub_neg, EXACT},
    {"neg.neg", neg_neg, EXACT},
    {"neg.scaled", neg_scaled, EXACT},
    {"abs.sign", abs_neg, EXACT},
    {"abs.sign", abs_abs, EXACT},
    {"relu.relu", relu_relu, EXACT},
    {"pow.number", pow_minus, EXACT},
    {"pow.number", pow_zero, EXACT},
    {"pow.number", pow_one, EXACT},
    {"pow.number", pow_two, ROUNDS},
    {"pow.number", pow_three, ROUNDS},
    {"maximum.same", maximum_same, EXACT},
    {"minimum.same", minimum_same, EXACT},
    {"and.same", and_same, EXACT},
    {"or.same", or_same, EXACT},
    {"not.not", not_not, EXACT},
    {"where.const", where_const, EXACT},
    {"where.same", where_same, EXACT},
    {"where.not", where_not, EXACT},
    {"cast.same", cast_same, EXACT},
    {"cast.cast", cast_cast, EXACT},
    {"reshape.none", reshape_none, EXACT},
    {"reshape.reshape", reshape_reshape, EXACT},
    {"reshape.number", reshape_number, EXACT},
    {"reshape.reduce", reshape_reduce, EXACT},
    {"reshape.reduce", reshape_kept, EXACT},
    {"transpose.none", transpose_none, EXACT},
    {"transpose.transpose", transpose_transpose, EXACT},
    {"transpose.number", transpose_number, EXACT},
    {"transpose.ones", transpose_ones, EXACT},
    {"transpose.matmul", transpose_matmul, EXACT},
    {"matmul.transpose", matmul_left, EXACT},
    {"matmul.transpose", matmul_right, EXACT},
    {"broadcast.none", broadcast_none, EXACT},
    {"broadcast.broadcast", broadcast_broadcast, EXACT},
    {"broadcast.reshape", broadcast_reshape, EXACT},
    {"broadcast.ones", broadcast_ones, EXACT},
    {"slice.none", slice_none, EXACT},
    {"slice.slice", slice_slice, EXACT},
    {"slice.pad", slice_pad, EXACT},
    {"slice.where", slice_where, EXACT},
    {"slice.where", slice_where_number, EXACT},
    {"pad.none", pad_none, EXACT},
    {"pad.pad", pad_pad, EXACT},
    {"reduce.ones", reduce_ones, EXACT},
    {"reduce.ones", reduce_some, EXACT},
    {"reduce.ones", sum_ones, EXACT},
    {"sum.onehot", picked, EXACT},
    {"sum.onehot", picked_minus, EXACT},
    {"sum.onehot", picked_neg, EXACT},
    {"sum.onehot", picked_number, EXACT},
    {"sum.onehot", picked_columns, EXACT},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* ---- running them ------------------------------------------------------------------ */

/* A graph that computes what `build` makes, through `until`; the trace of rewrites to be freed. */
static Kit *case_kit(Node *(*build)(Operands *), const char *until, long limit, char **trace) {
  Kit *kit = kit_new(1);
  Operands o = operands(kit);
  graph_output(kit->graph, OUT_VALUE, "y", build(&o));
  size_t size;
  FILE *out = open_memstream(trace, &size);
  ck_assert(kit_run(kit, 2, until, limit, out));
  fclose(out);
  return kit;
}

static bool traced(const char *trace, const char *rewrite) {
  size_t length = strlen(rewrite);
  for (const char *line = trace; *line; line = strchr(line, '\n') + 1)
    if (!strncmp(line, rewrite, length) && line[length] == ' ') return true;
  return false;
}

static bool same_value(double a, double b, Exact exact) {
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  if (signbit(a) != signbit(b)) return false;
  if (exact == ROUNDS && isfinite(a) && isfinite(b)) return fabs(a - b) <= 4e-16 * fabs(b);
  return a == b;
}

static void assert_same_values(Kit *kit, Kit *other, Exact exact, const char *what) {
  Values a = kit_evaluate(kit), b = kit_evaluate(other);
  ck_assert_int_eq(a.at[0].count, b.at[0].count);
  for (int64_t i = 0; i < a.at[0].count; i++)
    ck_assert_msg(same_value(a.at[0].data[i], b.at[0].data[i], exact), "%s: element %d is %a, was %a", what, (int)i,
                  a.at[0].data[i], b.at[0].data[i]);
  values_free(&a);
  values_free(&b);
}

START_TEST(fires_and_keeps_values) {
  const struct Case *c = &cases[_i];
  char *before, *after;
  Kit *plain = case_kit(c->build, "gradient", LONG_MAX, &before),
      *kit = case_kit(c->build, "simplify", LONG_MAX, &after);
  ck_assert_msg(traced(after, c->rewrite), "%s did not fire; these did:\n%s", c->rewrite, after);
  ck_assert_str_eq(before, "");
  assert_same_values(kit, plain, c->exact, c->rewrite);
  kit_free(plain);
  kit_free(kit);
  free(before);
  free(after);
}
END_TEST

START_TEST(limit_of_zero_changes_nothing) {
  char *before, *after;
  Kit *plain = case_kit(cases[_i].build, "gradient", LONG_MAX, &before),
      *kit = case_kit(cases[_i].build, "simplify", 0, &after);
  ck_assert_str_eq(after, "");
  ck_assert_int_eq(kit->graph->n_nodes, plain->graph->n_nodes);
  assert_same_values(kit, plain, EXACT, cases[_i].rewrite);
  kit_free(plain);
  kit_free(kit);
  free(before);
  free(after);
}
END_TEST

/* The tables of the pass, read from its source: each row has a case here. */
START_TEST(every_rewrite_has_a_case) {
  static const char *const files[] = {SOURCE_DIR "/passes/simplify_maps.c", SOURCE_DIR "/passes/simplify_views.c"};
  int rows = 0;
  for (int i = 0; i < 2; i++) {
    FILE *in = fopen(files[i], "r");
    ck_assert_ptr_nonnull(in);
    char line[256], name[64], op[64];
    while (fgets(line, sizeof line, in)) {
      if (sscanf(line, " {\"%63[a-z.]\", %63[A-Za-z_],", name, op) != 2) continue;
      bool found = false;
      for (int k = 0; k < CASES; k++) found |= !strcmp(cases[k].rewrite, name);
      ck_assert_msg(found, "no case for the rewrite %s", name);
      rows++;
    }
    fclose(in);
  }
  ck_assert_int_gt(rows, 40);
}
END_TEST

/* ---- what must stay ------------------------------------------------------------------ */

static Node *keep_add_zero(Operands *o) { return scaled(o, OP_add, 0); }
static Node *keep_mul_zero(Operands *o) { return scaled(o, OP_mul, 0); }
static Node *keep_zero_sub(Operands *o) { return bin(o, OP_sub, num(o, 0), o->y); }
static Node *keep_sub_minus_zero(Operands *o) { return scaled(o, OP_sub, -0.0); }
static Node *keep_sub_same(Operands *o) { return bin(o, OP_sub, o->y, o->y); }
static Node *keep_div_same(Operands *o) { return bin(o, OP_div, o->y, o->y); }
static Node *keep_log_exp(Operands *o) { return un(o, OP_log, un(o, OP_exp, o->y)); }
static Node *keep_sqrt_square(Operands *o) { return un(o, OP_sqrt, bin(o, OP_mul, o->y, o->y)); }
static Node *keep_pow_half(Operands *o) { return scaled(o, OP_pow, 0.5); }
static Node *keep_div_three(Operands *o) { return scaled(o, OP_div, 3); }
static Node *keep_div_tiny(Operands *o) { return scaled(o, OP_div, 0x1p-1040); }
static Node *keep_eq_same(Operands *o) { return bin(o, OP_eq, o->y, o->y); }
static Node *keep_cast_narrow(Operands *o) { return b_cast(o->b, b_cast(o->b, o->y, F32), F64); }
static Node *keep_scatter(Operands *o) {
  return cut(o, OP_slice, cut(o, OP_pad, o->m, shape(2, ROWS, 40, 0), 2, 2), shape(2, ROWS, SPECIAL, 0), 1, 2);
}
static Node *keep_turned(Operands *o) { return cut(o, OP_slice, o->m, o->m->type, SPECIAL - 1, -1); }
static Node *keep_turned_pad(Operands *o) { return cut(o, OP_pad, o->m, o->m->type, SPECIAL - 1, -1); }
static Node *keep_some_of_each(Operands *o) { return bin(o, OP_add, slice_of_choice(o, 6, 0, 3), slice_of_choice(o, 8, 13, -3)); }
static Node *keep_where_zero(Operands *o) { return b_where(o->b, o->c, num(o, 0), num(o, -0.0)); }
static Node *keep_middle_transpose(Operands *o) {
  Node *t = shaped(o, o->m, shape(3, ROWS, 2, SPECIAL / 2));
  return b_transpose(o->b, t, (int[]){1, 0, 2});
}
static Node *keep_overflow(Operands *o) { /* infinite in f32, though not in double */
  Node *big = b_const(o->b, F32, 1e38);
  return bin(o, OP_mul, o->y, bin(o, OP_mul, big, big));
}
static Node *keep_jump(Operands *o) { /* 1 + 1e-9 is 1 in f32, so what is equal there is not here */
  return b_where(o->b, bin(o, OP_eq, b_const(o->b, F32, 1), b_const(o->b, F32, 1 + 1e-9)), o->x, o->y);
}

static Node *keep_picked_row(Operands *o) { /* what is picked differs along the axis */
  Type row = kit_type(F64, 1, (int64_t[]){3});
  Node *v = kit_state(o->kit, "v", row);
  kit_data(o->kit, v)[1] = 1;
  return sum_last(o, one_hot(o, v, 0, 3), false);
}
static Node *keep_not_zero(Operands *o) { return sum_last(o, one_hot(o, o->x, 1, 3), false); }
static Node *keep_wide_labels(Operands *o) { /* labels that vary along the axis may all be hit */
  Type row = kit_type(I32, 1, (int64_t[]){3});
  Node *labels = kit_state(o->kit, "labels", row);
  for (int i = 0; i < 3; i++) kit_data(o->kit, labels)[i] = i;
  return sum_last(o, b_where(o->b, bin(o, OP_eq, b_iota(o->b, &row, 0), labels), o->x, num(o, 0)), false);
}

static Node *(*const keepers[])(Operands *) = {
    keep_add_zero,    keep_mul_zero,    keep_zero_sub,   keep_sub_minus_zero,   keep_sub_same, keep_div_same,
    keep_log_exp,     keep_sqrt_square, keep_pow_half,   keep_div_three,        keep_div_tiny, keep_eq_same,
    keep_cast_narrow, keep_scatter,     keep_where_zero, keep_middle_transpose, keep_overflow, keep_jump,
    keep_picked_row,  keep_not_zero,    keep_wide_labels, keep_turned,          keep_turned_pad, keep_some_of_each,
};

START_TEST(stays) {
  char *trace;
  Kit *kit = case_kit(keepers[_i], "simplify", LONG_MAX, &trace);
  ck_assert_msg(!*trace, "row %d: %s", _i, trace);
  kit_free(kit);
  free(trace);
}
END_TEST

/* Would a wrong rewrite be noticed?  x + 0 in place of x, and the like, differ in some element. */
START_TEST(wrong_rewrites_would_be_noticed) {
  static const struct {
    Node *(*wrong)(Operands *), *(*right)(Operands *);
  } pairs[] = {
      {keep_add_zero, copy}, {keep_sub_minus_zero, copy}, {keep_zero_sub, mul_minus},
      {keep_log_exp, copy},  {keep_sqrt_square, abs_abs},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    char *a, *b;
    Kit *wrong = case_kit(pairs[i].wrong, "gradient", LONG_MAX, &a),
        *right = case_kit(pairs[i].right, "gradient", LONG_MAX, &b);
    Values x = kit_evaluate(wrong), y = kit_evaluate(right);
    ck_assert_msg(!values_equal(&x, &y), "pair %d", (int)i);
    values_free(&x);
    values_free(&y);
    kit_free(wrong);
    kit_free(right);
    free(a);
    free(b);
  }
}
END_TEST

/* ---- split --------------------------------------------------------------------------- */

static const struct Split {
  int rank;
  int64_t size[4];
  int n_axes, axes[4];
  const char *how;
} splits[] = {
    {2, {100, 64}, 2, {0, 1}, "split.all"},
    {3, {40, 3, 200}, 3, {0, 1, 2}, "split.all"},
    {3, {6, 5, 7}, 2, {0, 2}, "split.mixed"},
    {4, {3, 4, 5, 6}, 3, {0, 2, 3}, "split.mixed"},
    {1, {32768}, 1, {0}, "split.vector"},
    {1, {20000}, 1, {0}, "split.vector"},
    {2, {5000, 2}, 2, {0, 1}, "split.all"},
    {3, {40, 64, 9}, 2, {0, 1}, "split.columns"},
    {4, {20, 16, 8, 9}, 3, {0, 1, 2}, "split.columns"},
    {3, {50, 60, 9}, 2, {0, 1}, NULL}, /* two parts would be left, or short ones */
    {3, {20, 64, 9}, 2, {0, 1}, NULL},
    {3, {32, 64, 4097}, 2, {0, 1}, NULL},
    {1, {16384}, 1, {0}, NULL},
    {1, {65537}, 1, {0}, NULL},
    {2, {10, 10}, 2, {0, 1}, NULL},
    {2, {100, 64}, 1, {1}, NULL},
    {2, {100, 64}, 1, {0}, NULL},
    {3, {100, 5, 8}, 1, {1}, NULL},
    {2, {0, 6000}, 2, {0, 1}, NULL},
};

/* Each is summed, and searched with a NaN among the elements, with axes kept and dropped. */
START_TEST(split_keeps_values) {
  static const Op ops[] = {OP_sum, OP_max, OP_min};
  const struct Split *s = &splits[_i];
  for (int k = 0; k < 6; k++) {
    if (ops[k % 3] != OP_sum && s->size[0] == 0) continue;
    Kit *kit = kit_new((uint64_t)_i);
    Node *x = kit_state(kit, "x", kit_type(F64, s->rank, s->size));
    int64_t count = type_count(&x->type);
    for (int64_t i = 0; i < count; i++) kit_data(kit, x)[i] = (double)kit_random(kit, 2000) - 1000; /* sums are exact */
    if (ops[k % 3] != OP_sum) kit_data(kit, x)[count / 3] = NAN;
    graph_output(kit->graph, OUT_VALUE, "y", b_reduce(&kit->b, ops[k % 3], x, s->n_axes, s->axes, k >= 3));
    ck_assert(kit_run(kit, 2, "simplify", LONG_MAX, NULL));
    Values before = kit_evaluate(kit);
    char *trace;
    size_t size;
    FILE *out = open_memstream(&trace, &size);
    ck_assert(kit_run(kit, 2, "split", LONG_MAX, out));
    fclose(out);
    Values after = kit_evaluate(kit);
    ck_assert_msg(values_equal(&before, &after), "row %d", _i);
    if (s->how)
      ck_assert_msg(traced(trace, s->how), "row %d: %s", _i, trace);
    else
      ck_assert_str_eq(trace, "");
    values_free(&before);
    values_free(&after);
    free(trace);
    kit_free(kit);
  }
}
END_TEST

/* Afterwards no reduction of much makes a single value, and none has two patterns. */
START_TEST(split_leaves_one_pattern) {
  const struct Split *s = &splits[_i];
  if (!s->how) return;
  Kit *kit = kit_new(1);
  Node *x = kit_state(kit, "x", kit_type(F64, s->rank, s->size));
  graph_output(kit->graph, OUT_VALUE, "y", b_reduce(&kit->b, OP_sum, x, s->n_axes, s->axes, false));
  ck_assert(kit_run(kit, 2, "split", LONG_MAX, NULL));
  for (int i = 0; i < kit->graph->n_nodes; i++) {
    const Node *n = kit->graph->nodes[i];
    if (n->op != OP_sum) continue;
    bool all = n->attrs.n_axes == n->in[0]->type.rank,
         trailing = n->attrs.axes[n->attrs.n_axes - 1] == n->in[0]->type.rank - 1;
    if (all) ck_assert_int_le(type_count(&n->in[0]->type), 16384);
    if (!all && trailing) ck_assert_int_eq(n->attrs.axes[0], n->in[0]->type.rank - n->attrs.n_axes);
  }
  kit_free(kit);
}
END_TEST

/* The largest divisor up to 1024, or else the least above, up to 8192; 0: it stays whole. */
static const struct { int64_t size, row; } cuts[] = {
    {32768, 1024}, {17161, 131}, {16637, 131}, {17527, 1031}, {24573, 8191}, {24627, 0}, {16400, 820}, {16385, 565}, {16512, 688}, {20000, 1000}, {16386, 2731}};
START_TEST(vectors_are_cut_into_good_rows) {
  Kit *kit = kit_new(1);
  Node *x = kit_state(kit, "x", kit_type(F32, 1, &cuts[_i].size));
  graph_output(kit->graph, OUT_VALUE, "y", kit_sum(kit, x));
  ck_assert(kit_run(kit, 2, "split", LONG_MAX, NULL));
  const Node *sum = kit->graph->outputs[0].node, *first = sum->in[0];
  ck_assert_int_eq(first->op, cuts[_i].row ? OP_sum : OP_state);
  if (cuts[_i].row) ck_assert_int_eq(first->in[0]->type.dim[1].size, cuts[_i].row);
  kit_free(kit);
}
END_TEST

/* A batch of fewer rows than its capacity, merged with another axis: cut within a row. */
START_TEST(split_within_rows) {
  Kit *kit = kit_new(1);
  Node *x = kit_batch(kit, "x", F64, 16, 3, 1, (int64_t[]){2048});
  for (int i = 0; i < 3 * 2048; i++) kit_data(kit, x)[i] = (double)kit_random(kit, 2000) - 1000;
  Type flat = {.dtype = F64, .rank = 1, .dim = {{.size = 16 * 2048, .text = "B * 2048", .rows = kit->rows}}};
  graph_output(kit->graph, OUT_VALUE, "y",
               b_reduce(&kit->b, OP_sum, b_reshape(&kit->b, x, &flat), 1, (int[]){0}, false));
  Values before = kit_evaluate(kit);
  ck_assert(kit_run(kit, 2, "split", LONG_MAX, NULL));
  Values after = kit_evaluate(kit);
  ck_assert(values_equal(&before, &after));
  int sums = 0;
  for (int i = 0; i < kit->graph->n_nodes; i++) sums += kit->graph->nodes[i]->op == OP_sum;
  ck_assert_int_eq(sums, 2);
  values_free(&before);
  values_free(&after);
  kit_free(kit);
}
END_TEST

/* ---- which constants fold ----------------------------------------------------------- */

static const struct {
  Op op;
  DType in, out; /* out: of casts */
  double a, b;
  bool folds;
  double value;
} folds[] = {
    {OP_add, F32, F32, 1, 2, true, 3},
    {OP_mul, F32, F32, 1e30, 1e30, false, 0}, /* an infinity in f32 */
    {OP_mul, F64, F64, 1e30, 1e30, true, 1e30 * 1e30},
    {OP_mul, F32, F32, 1e-30, 1e-30, false, 0}, /* a zero in f32 */
    {OP_mul, F32, F32, 0, 3, true, 0},
    {OP_mul, I32, I32, 65536, 65537, true, 65536}, /* integers wrap */
    {OP_mul, I32, I32, 65536, 32768, true, -2147483648},
    {OP_mul, I32, I32, 3, -4, true, -12},
    {OP_floor, F32, F32, 2.5, 0, true, 2},
    {OP_floor, F32, F32, 0.9999999999, 0, false, 0}, /* 1 in f32 */
    {OP_floor, F64, F64, 0.9999999999, 0, true, 0},
    {OP_ceil, F32, F32, 2.2, 0, true, 3},
    {OP_ceil, F32, F32, 1.0000000001, 0, false, 0},
    {OP_round, F32, F32, 2.5, 0, true, 2},
    {OP_round, F32, F32, 2.50000000001, 0, false, 0},
    {OP_sign, F32, F32, -2, 0, true, -1},
    {OP_sign, F32, F32, 1e-60, 0, false, 0},
    {OP_floordiv, F32, F32, 7, 2, true, 3},
    {OP_floordiv, F32, F32, 6.9999999999, 7, false, 0},
    {OP_mod, F32, F32, 7, 3, true, 1},
    {OP_mod, F32, F32, 6.9999999999, 7, false, 0},
    {OP_eq, F32, BOOL, 1, 1, true, 1},
    {OP_eq, F32, BOOL, 16777217, 16777216, false, 0},
    {OP_eq, F64, BOOL, 16777217, 16777216, true, 0},
    {OP_log, F32, F32, -1, 0, true, NAN},
    {OP_log, F32, F32, 0, 0, true, -INFINITY},
    {OP_log, F32, F32, 1e-60, 0, false, 0}, /* minus infinity in f32 */
    {OP_cast, F32, U8, 200.7, 0, true, 200},
    {OP_cast, F32, U8, 300, 0, true, 44},
    {OP_cast, F32, U8, -1, 0, true, 255},
    {OP_cast, F32, I32, -7.9, 0, true, -7},
    {OP_cast, F32, BOOL, 2, 0, true, 1},
    {OP_cast, F64, BF16, 0.5, 0, true, 0.5},
    {OP_cast, F64, I32, -2147483648.0, 0, true, -2147483648.0},
    {OP_cast, F64, I32, 2147483647.0, 0, true, 2147483647.0},
    {OP_cast, F32, U8, 255, 0, true, 255},
    {OP_add, U8, U8, 254, 1, true, 255}, /* integers wrap, as on every target */
    {OP_add, U8, U8, 255, 1, true, 0},
    {OP_sub, U8, U8, 0, 1, true, 255},
    {OP_add, I32, I32, 2147483646.0, 1, true, 2147483647.0},
    {OP_add, I32, I32, 2147483647.0, 1, true, -2147483648.0},
    {OP_sub, I32, I32, -2147483648.0, 1, true, 2147483647.0},
    {OP_mul, F32, F32, 0x1p-126, 1, true, 0x1p-126}, /* the least that is no denormal */
    {OP_mul, F32, F32, 0x1p-126, 0.5, false, 0},
};

START_TEST(what_rounding_would_change_is_not_folded) {
  Kit *kit = kit_new(1);
  Node *a = b_const(&kit->b, folds[_i].in, folds[_i].a), *b = b_const(&kit->b, folds[_i].in, folds[_i].b);
  Node *n = folds[_i].op == OP_cast                 ? b_cast(&kit->b, a, folds[_i].out)
            : op_info[folds[_i].op].n_inputs == 1 ? b_unary(&kit->b, folds[_i].op, a)
                                                    : b_binary(&kit->b, folds[_i].op, a, b);
  graph_output(kit->graph, OUT_VALUE, "y", n);
  ck_assert(kit_run(kit, 2, "simplify", LONG_MAX, NULL));
  n = kit->graph->outputs[0].node;
  ck_assert_msg((n->op == OP_const) == folds[_i].folds, "%s of %g and %g is a %s", op_info[folds[_i].op].name,
                folds[_i].a, folds[_i].b, op_info[n->op].name);
  ck_assert_int_eq(n->type.dtype, folds[_i].out);
  double value = n->op == OP_const ? n->attrs.value : folds[_i].value;
  ck_assert_msg(value == folds[_i].value || (isnan(value) && isnan(folds[_i].value)), "%s of %g and %g is %g",
                op_info[folds[_i].op].name, folds[_i].a, folds[_i].b, value);
  kit_free(kit);
}
END_TEST

Suite *simplify_suite(void) {
  Suite *suite = suite_create("simplify");
  TCase *rewrites = tcase_create("rewrites");
  tcase_add_loop_test(rewrites, fires_and_keeps_values, 0, CASES);
  tcase_add_loop_test(rewrites, limit_of_zero_changes_nothing, 0, CASES);
  tcase_add_loop_test(rewrites, what_rounding_would_change_is_not_folded, 0, sizeof folds / sizeof folds[0]);
  tcase_add_test(rewrites, every_rewrite_has_a_case);
  tcase_add_loop_test(rewrites, stays, 0, sizeof keepers / sizeof keepers[0]);
  tcase_add_test(rewrites, wrong_rewrites_would_be_noticed);
  suite_add_tcase(suite, rewrites);
  TCase *split = tcase_create("split");
  tcase_add_loop_test(split, split_keeps_values, 0, sizeof splits / sizeof splits[0]);
  tcase_add_loop_test(split, split_leaves_one_pattern, 0, sizeof splits / sizeof splits[0]);
  tcase_add_test(split, split_within_rows);
  tcase_add_loop_test(split, vectors_are_cut_into_good_rows, 0, sizeof cuts / sizeof cuts[0]);
  suite_add_tcase(suite, split);
  return suite;
}
