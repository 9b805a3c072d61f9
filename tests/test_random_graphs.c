/* test_random_graphs.c - random programs through simplify, bit for bit.
 *
 * Each seed makes a graph of maps, broadcasts, views, reductions, products and
 * gathers over a few parameters, values used many times, then its gradients.
 * After simplify every output must be what it was: exactly, NaN where NaN was,
 * infinity where infinity was.  (Powers are left to tests of their own: they are
 * the one rewrite that rounds.)  Some seeds put infinities, NaN and zeros into
 * the parameters; some limit the rewrites.
 */
#include <check.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/graph_kit.h"

enum { PROGRAMS = 2000, MAX_POOL = 40 };

typedef struct Pool {
  Kit *kit;
  int n;
  Node *at[MAX_POOL];
} Pool;

static int pick(Pool *p, int below) { return (int)kit_random(p->kit, (uint64_t)below); }
static Node *any(Pool *p) { return p->at[pick(p, p->n)]; }

/* A float value; recent ones more often, so that graphs get deep. */
static Node *any_float(Pool *p) {
  for (;;) {
    Node *x = pick(p, 2) ? p->at[p->n - 1 - pick(p, p->n < 4 ? p->n : 4)] : any(p);
    if (dtype_is_float(x->type.dtype)) return x;
  }
}

static Node *parameter(Pool *p, int i) {
  static const int64_t sizes[][3] = {{3, 4, 0}, {4, 0, 0}, {3, 1, 0}, {2, 3, 4}, {4, 3, 0}, {1, 4, 0}};
  static const int ranks[] = {2, 1, 2, 3, 2, 2};
  static const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, 1e300};
  Node *x = kit_param(p->kit, arena_print(p->kit->arena, "p%d", i), kit_type(F64, ranks[i], sizes[i]));
  bool special = pick(p, 4) == 0;
  for (int64_t k = 0; k < type_count(&x->type); k++)
    kit_data(p->kit, x)[k] = special && pick(p, 4) == 0 ? odd[pick(p, 8)] : (double)pick(p, 4001) / 1000 - 2;
  return x;
}

/* ---- one more node, or NULL when the dice do not fit ---------------------------- */

static Node *random_unary(Pool *p) {
  static const Op ops[] = {OP_neg, OP_neg, OP_abs,  OP_sign, OP_exp,  OP_log,   OP_sqrt, OP_tanh,
                           OP_erf, OP_sin, OP_relu, OP_relu, OP_stop, OP_round, OP_copy, OP_sigmoid};
  return b_unary(&p->kit->b, ops[pick(p, 16)], any_float(p));
}

static Node *random_binary(Pool *p) {
  static const Op ops[] = {OP_add, OP_add,     OP_sub,     OP_sub, OP_mul, OP_mul,
                           OP_div, OP_maximum, OP_minimum, OP_pow, OP_mod};
  Node *x = any_float(p), *y = any_float(p);
  Op op = ops[pick(p, 11)];
  Type type;
  if (!infer_broadcast(&x->type, &y->type, false, &type, NULL) || type.rank > 4) return NULL;
  return b_binary(&p->kit->b, op, x, y);
}

static Node *random_number(Pool *p) {
  static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_div};
  static const double numbers[] = {0.0, -0.0, 1, -1, 2, 0.5, 3, -4};
  Node *x = any_float(p), *c = b_const(&p->kit->b, F64, numbers[pick(p, 8)]);
  return pick(p, 3) ? b_binary(&p->kit->b, ops[pick(p, 4)], x, c) : b_binary(&p->kit->b, ops[pick(p, 4)], c, x);
}

static Node *random_choice(Pool *p) {
  static const Op ops[] = {OP_lt, OP_le, OP_eq, OP_ne};
  Builder *b = &p->kit->b;
  Node *x = any_float(p), *y = any_float(p);
  Type type;
  if (!infer_broadcast(&x->type, &y->type, false, &type, NULL)) return NULL;
  Node *c = b_binary(b, ops[pick(p, 4)], x, y);
  if (pick(p, 2)) c = b_unary(b, OP_not, c);
  return pick(p, 4) ? b_where(b, c, x, y) : b_cast(b, c, F64);
}

static Node *random_view(Pool *p) {
  Builder *b = &p->kit->b;
  Node *x = any_float(p);
  Type t = x->type;
  int axes[MAX_RANK];
  int64_t start[MAX_RANK] = {0}, step[MAX_RANK] = {0};
  for (int i = 0; i < t.rank; i++) axes[i] = i;
  switch (pick(p, 6)) {
  case 0:
    for (int i = t.rank - 1; i > 0; i--) {
      int j = pick(p, i + 1), axis = axes[i];
      axes[i] = axes[j];
      axes[j] = axis;
    }
    return b_transpose(b, x, axes);
  case 1: t = kit_type(F64, 1, (int64_t[]){type_count(&t)}); return b_reshape(b, x, &t);
  case 2:
    if (t.rank > 3) return NULL;
    memmove(&t.dim[1], &t.dim[0], sizeof t.dim[0] * (size_t)t.rank);
    t.dim[0] = dim_literal(1);
    t.rank++;
    return b_reshape(b, x, &t);
  case 3:
    if (t.rank > 3) return NULL;
    memmove(&t.dim[1], &t.dim[0], sizeof t.dim[0] * (size_t)t.rank);
    t.dim[0] = dim_literal(2);
    t.rank++;
    return b_broadcast(b, x, &t);
  default:
    for (int i = 0; i < t.rank; i++) {
      step[i] = 1 + pick(p, 2);
      start[i] = pick(p, 2);
    }
    if (pick(p, 2)) { /* pad, perhaps to be sliced back */
      for (int i = 0; i < t.rank; i++) t.dim[i] = dim_literal(start[i] + step[i] * t.dim[i].size + pick(p, 2));
      Node *padded = b_pad(b, x, &t, start, step);
      return pick(p, 2) ? padded : b_slice(b, padded, &x->type, start, step);
    }
    for (int i = 0; i < t.rank; i++) {
      int64_t room = t.dim[i].size - start[i];
      if (room < 1) return NULL;
      t.dim[i] = dim_literal((room + step[i] - 1) / step[i]);
    }
    return b_slice(b, x, &t, start, step);
  }
}

static Node *random_reduce(Pool *p) {
  static const Op ops[] = {OP_sum, OP_sum, OP_max, OP_min};
  Node *x = any_float(p);
  int axes[MAX_RANK], n = 0;
  for (int i = 0; i < x->type.rank; i++)
    if (pick(p, 2)) axes[n++] = i;
  return b_reduce(&p->kit->b, ops[pick(p, 4)], x, n, axes, pick(p, 2));
}

static Node *random_product(Pool *p) {
  Node *x = any_float(p), *y = any_float(p);
  bool ta = pick(p, 2), tb = pick(p, 2);
  Attrs attrs = {.ta = ta, .tb = tb};
  Type type;
  if (!infer_type(OP_matmul, 2, (const Type *[]){&x->type, &y->type}, &attrs, false, &type, NULL)) return NULL;
  return b_matmul(&p->kit->b, x, y, ta, tb);
}

static Node *random_gather(Pool *p) {
  Node *x = any_float(p);
  if (x->type.rank < 1 || x->type.rank > 3 || x->type.dim[0].size < 2) return NULL;
  Node *ids =
      b_binary(&p->kit->b, OP_mod, b_iota(&p->kit->b, &(Type){.dtype = I32, .rank = 1, .dim = {{.size = 3}}}, 0),
               b_const(&p->kit->b, I32, 2));
  return b_binary(&p->kit->b, OP_gather, x, ids);
}

static Kit *random_program(uint64_t seed) {
  static Node *(*const makers[])(Pool *) = {random_unary,   random_unary,  random_binary, random_binary,
                                            random_number,  random_choice, random_view,   random_reduce,
                                            random_product, random_gather, random_view,   random_number};
  Pool p = {.kit = kit_new(seed)};
  for (int i = 0; i < 6; i++) p.at[p.n++] = parameter(&p, i);
  for (int tries = 0; p.n < 10 + (int)(seed % (MAX_POOL - 10)) && tries < 200; tries++) {
    Node *made = makers[pick(&p, 12)](&p);
    if (made && type_count(&made->type) > 0 && type_count(&made->type) <= 200) p.at[p.n++] = made;
  }
  Node *loss = b_const(&p.kit->b, F64, 0);
  for (int i = 0; i < p.n; i++)
    if (dtype_is_float(p.at[i]->type.dtype)) loss = b_binary(&p.kit->b, OP_add, loss, kit_sum(p.kit, p.at[i]));
  kit_minimize(p.kit, loss);
  return p.kit;
}

/* ---- the comparison ----------------------------------------------------------------- */

static bool same(double a, double b) { return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b)); }

static const char *first_difference(Kit *kit, const Values *a, const Values *b) {
  for (int i = 0; i < a->n; i++)
    for (int64_t k = 0; k < a->at[i].count; k++)
      if (!same(a->at[i].data[k], b->at[i].data[k]))
        return arena_print(kit->arena, "%s[%d] is %.17g, was %.17g", kit->graph->outputs[i].name, (int)k,
                           b->at[i].data[k], a->at[i].data[k]);
  return NULL;
}

START_TEST(rewrites_change_nothing) {
  for (uint64_t seed = (uint64_t)_i; seed < PROGRAMS; seed += 10) {
    Kit *kit = random_program(seed);
    ck_assert_msg(kit_run(kit, 2, "gradient", LONG_MAX, NULL), "seed %d: no gradient", (int)seed);
    Values before = kit_evaluate(kit);
    ck_assert(kit_run(kit, 2, "simplify", seed % 3 ? LONG_MAX : (long)(seed % 17), NULL));
    Values after = kit_evaluate(kit);
    const char *differs = first_difference(kit, &before, &after);
    ck_assert_msg(!differs, "seed %d: %s", (int)seed, differs);
    values_free(&before);
    values_free(&after);
    kit_free(kit);
  }
}
END_TEST

/* Negative control: one addition made a subtraction behind the passes' back. */
START_TEST(a_changed_node_is_seen) {
  int seen = 0, tried = 0;
  for (uint64_t seed = 0; seed < 60; seed++) {
    Kit *kit = random_program(seed);
    ck_assert(kit_run(kit, 2, "simplify", LONG_MAX, NULL));
    Values before = kit_evaluate(kit);
    for (int i = kit->graph->n_nodes - 1; i >= 0; i--) {
      Node *node = kit->graph->nodes[i];
      if (node->op != OP_add) continue;
      node->op = OP_sub;
      break;
    }
    Values after = kit_evaluate(kit);
    seen += first_difference(kit, &before, &after) != NULL;
    tried++;
    values_free(&before);
    values_free(&after);
    kit_free(kit);
  }
  ck_assert_msg(seen * 10 >= tried * 8, "only %d of %d wrong programs were noticed", seen, tried);
}
END_TEST

Suite *random_graphs_suite(void) {
  Suite *suite = suite_create("random_graphs");
  TCase *passes = tcase_create("passes");
  tcase_set_timeout(passes, 120);
  tcase_add_loop_test(passes, rewrites_change_nothing, 0, 10);
  tcase_add_test(passes, a_changed_node_is_seen);
  suite_add_tcase(suite, passes);
  return suite;
}
