/* test_cost.c - what a step costs, by hand: bytes, operations and seconds of each call of small models. */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "ir/cost.h"
#include "passes/passes.h"

static Program *build(Arena *arena, const char *text) {
  Source *source = arena_alloc(arena, sizeof *source);
  *source = (Source){.path = "m.mt", .text = text, .length = strlen(text)};
  Diagnostics *d = diagnostics_new();
  Program *program = compile(source, &(FrontendOptions){0}, arena, d);
  PassContext context = {.program = program, .arena = arena, .diagnostics = d, .level = 2, .bisect_limit = LONG_MAX};
  diagnostics_print(d, stderr, false);
  ck_assert(program && run_pipeline(&context, NULL, NULL) && !diagnostics_errors(d));
  diagnostics_free(d);
  return program;
}

static const char *printed(Arena *arena, const Program *program, bool cuda) {
  Text text = {0};
  print_cost(&text, program, arena, cuda);
  return text_take(&text, arena);
}

static void holds(const char *text, const char *part) { ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in\n%s", part, text); }

static const Node *find(const Program *program, const char *name) {
  const Node *n = graph_find(program->train.graph, name);
  ck_assert_msg(n != NULL, "no %s", name);
  return n->op == OP_result ? n->in[0] : n;
}

static void costs(const Program *p, const char *name, double read, double written, double flops, double seconds, Bound bound) {
  Cost c = node_cost(&gpu_rates, find(p, name), p->train.precision);
  ck_assert_double_eq(c.read, read);
  ck_assert_double_eq(c.written, written);
  ck_assert_double_eq(c.flops, flops);
  ck_assert_double_eq_tol(c.seconds, seconds, 1e-15);
  ck_assert_int_eq(c.bound, bound);
}

static const char linear[] =
    "dim B = 512, P = 256, H = 128\ndata rows = random(rows: 512, seed: 1) -> { x: f32[B, P], y: f32[B, H] }\n"
    "module M()(x: [B, P]) -> [B, H] {\n  param w: [P, H] = normal(0.1)\n  return x @ w\n}\nlet net = M()\n"
    "train d in rows for 3 steps {\n  let loss = mean((net(d.x) - d.y) ^ 2)\n"
    "  update net minimize loss using sgd(lr: 0.1)\n  log loss\n}\n";

/* 5 calls.  Products: 2 B P H operations at 60 T/s.  The loss: difference, square, twice the difference, its share of the
 * mean and the sum, two slots each, and three scalars (a cast and a product, 2 each; a division, 40). */
START_TEST(each_call_by_hand) {
  enum { B = 512, P = 256, H = 128 };
  Arena *arena = arena_new();
  Program *p = build(arena, linear);
  double product = 2.0 * B * P * H;
  costs(p, "net.mm", 4 * (B * P + P * H), 4 * B * H, product, 1e-6 + product / 60e12, BY_LAUNCHES);
  costs(p, "grad.update0.net.w.mm", 4 * (B * P + B * H), 4 * P * H, product, 1e-6 + product / 60e12, BY_LAUNCHES);
  costs(p, "loss.mean.sum.rows", 2 * 4 * B * H, 4 * (B * H + B), 10.0 * B * H + 44, 1e-6 + 4.0 * (3 * B * H + B) / 2.8e12, BY_LAUNCHES);
  costs(p, "loss.mean.div", 4 * B, 8, 2 * B + 46, 1e-6 + (4 * B + 8) / 80e9, BY_LAUNCHES); /* one block; a copy beside the scalars */
  /* The update reads parameters, gradients and momentum and writes the first and the last:
   * 5 x 131,072 bytes; sgd's rule has ten signs, two slots each. */
  const char *text = printed(arena, p, true);
  double bytes = 4.0 * (2 * (B * P + P * H + B * H) + 3 * B * H + 2 * B + 2 + 5 * P * H);
  ck_assert_double_eq(bytes, 3280904);
  holds(text, "m.mt: a training step takes 0.0067 ms on an NVIDIA H100 by the model: 5 calls, 3.3 MB moved, 68 M operations\n");
  holds(text, "m.mt:5            gemm 512 x 128 x 256 f32  1 x 0.0016  655 KB  262 KB        34 M     0.0016  23.4%  launches\n");
  holds(text, "m.mt:10           update                    1 x 0.0012  393 KB  262 KB       655 K     0.0012  18.5%  launches\n");
  arena_free(arena);
}
END_TEST

/* Each for its own reason: a product of 550 G operations, a loss that moves 1.6 GB, a last sum of 32 KB. */
START_TEST(what_bounds_a_call) {
  Arena *arena = arena_new();
  const char *large = arena_print(arena, "dim B = 8192, P = 8192, H = 4096%s", strchr(linear, '\n'));
  Program *p = build(arena, large);
  const double b = 8192, q = 8192, h = 4096;
  costs(p, "net.mm", 4 * (b * q + q * h), 4 * b * h, 2 * b * q * h, 1e-6 + 2 * b * q * h / 60e12, BY_OPERATIONS);
  costs(p, "loss.mean.sum.rows", 8 * b * h, 4 * (b * h + b), 10 * b * h + 44, 1e-6 + (12 * b * h + 4 * b) / 2.8e12, BY_MEMORY);
  costs(p, "loss.mean.div", 4 * b, 8, 2 * b + 46, 1e-6 + (4 * b + 8) / 80e9, BY_LAUNCHES);
  p->train.precision = PRECISION_TF32;
  costs(p, "net.mm", 4 * (b * q + q * h), 4 * b * h, 2 * b * q * h, 1e-6 + 2 * b * q * h / 375e12, BY_OPERATIONS);
  holds(printed(arena, p, true), "gemm 8192 x 4096 x 8192 tf32");
  arena_free(arena);
}
END_TEST

/* Of a table the rows asked for; its gradient adds each row once and writes all of it; a loop's calls count by turns. */
static const char table[] =
    "use nn\ndim B = 4, T = 2, V = 1000, D = 8, L = 3\ndata rows = random(rows: 8, seed: 1) -> { x: i32[B, T], y: i32[B, T] }\n"
    "module Block()(x: [B, T, D]) -> [B, T, D] { return x |> l: Linear(D) }\n"
    "module M()(ids: i32[B, T]) -> [B, T, V] {\n  param wte: [V, D] = normal(0.1)\n  let x = wte[ids]\n"
    "  for b in stack(Block(), L) carry x { x = b(x) }\n  return x @ t(wte)\n}\nlet net = M()\n"
    "train d in rows for 3 steps with (precision: bf16) {\n  let loss = cross_entropy(net(d.x), d.y)\n"
    "  update net minimize loss using adamw(lr: 0.1, clip: 1)\n  log loss\n}\n";

START_TEST(tables_and_loops) {
  Arena *arena = arena_new();
  const char *text = printed(arena, build(arena, table), true);
  holds(text, "scatter");
  holds(text, "3 x ");
  holds(text, " bf16  ");
  text = printed(arena, build(arena, table), false);
  holds(text, "mt_adamw");
  holds(text, "mt_clip_gradients");
  arena_free(arena);
}
END_TEST

/* Causal: place i sees i + 1 places; two products of E features a pair, three for the derivative of q. */
static const char attention[] =
    "use nn\ndim B = 2, H = 3, T = 8, E = 16\ndata rows = random(rows: 8, seed: 1) -> { x: f32[B, H, T, E] }\n"
    "module M()(x: [B, H, T, E]) -> [B, H, T, E] {\n  param w: [E] = ones\n"
    "  return scaled_dot_product_attention(x * w, x, x, causal: true)\n}\nlet net = M()\n"
    "train d in rows for 3 steps {\n  let loss = mean(net(d.x))\n  update net minimize loss using sgd(lr: 0.1)\n  log loss\n}\n";

START_TEST(attention_counts_what_is_seen) {
  Arena *arena = arena_new();
  Program *p = build(arena, attention);
  const double all = 4 * 2 * 3 * 8 * 16, pairs = 2 * 3 * (8 * 9 / 2), rows = 4 * 2 * 3 * 8;
  int seen = 0;
  for (int i = 0; i < p->train.graph->n_nodes; i++) {
    const Node *n = p->train.graph->nodes[i];
    Cost c = op_info[n->op].kind == ATTENTION ? node_cost(&gpu_rates, n, PRECISION_F32) : (Cost){0};
    if (n->op == OP_attention) {
      seen++;
      ck_assert_double_eq(c.read, 3 * all);
      ck_assert_double_eq(c.written, all);
      ck_assert_double_eq(c.flops, 2 * 2 * pairs * 16);
      ck_assert_double_eq(c.specials, pairs);
    } else if (n->op == OP_attention_dq) {
      seen++;
      ck_assert_double_eq(c.read, 4 * all + 2 * rows);
      ck_assert_double_eq(c.flops, 3 * 2 * pairs * 16);
    }
  }
  ck_assert_int_eq(seen, 2);
  arena_free(arena);
}
END_TEST

/* A reduction reads the half of x that is sliced; a gather the rows that are asked for. */
static const char parts[] =
    "dim B = 4, P = 64, V = 1000, D = 8\ndata rows = random(rows: 8, seed: 1) -> { x: f32[B, P], i: i32[B] }\n"
    "module M()(x: [B, P], i: i32[B]) -> [B] {\n  param w: [] = ones\n  param table: [V, D] = ones\n"
    "  return sum(x[:, 32:], over: 1) * w + sum(table[i], over: D)\n}\nlet net = M()\n"
    "train d in rows for 3 steps {\n  let loss = mean(net(d.x, d.i))\n  update net minimize loss using sgd(lr: 0.1)\n  log loss\n}\n";

START_TEST(parts_of_values_count) {
  Arena *arena = arena_new();
  Program *p = build(arena, parts);
  double read = 0;
  for (int i = 0; i < p->train.graph->n_nodes; i++) {
    const Node *n = p->train.graph->nodes[i];
    for (int k = 0; n->op == OP_group && k < n->n_in; k++)
      if (!strcmp(n->in[k]->name, "d.x") || !strcmp(n->in[k]->name, "net.table")) {
        read += node_cost(&gpu_rates, n, PRECISION_F32).read;
        break;
      }
  }
  ck_assert_msg(read >= 4 * 32 * 4 + 4 * 8 * 4 && read < 4 * 64 * 4 + 1000, "%g bytes are read", read);
  arena_free(arena);
}
END_TEST

START_TEST(what_an_element_takes) {
  static const struct { Op op; int distribution; double flops, specials; } works[] = {
      {OP_add, 0, 2, 0}, {OP_sum, 0, 2, 0}, {OP_exp, 0, 16, 1}, {OP_log, 0, 16, 1}, {OP_sqrt, 0, 16, 1}, {OP_div, 0, 40, 1},
      {OP_rsqrt, 0, 40, 1}, {OP_expm1, 0, 30, 1}, {OP_log1p, 0, 30, 1}, {OP_tanh, 0, 30, 2}, {OP_sigmoid, 0, 30, 2},
      {OP_erf, 0, 40, 1}, {OP_sin, 0, 50, 1}, {OP_cos, 0, 50, 1}, {OP_pow, 0, 80, 2}, {OP_floordiv, 0, 24, 1},
      {OP_mod, 0, 24, 1}, {OP_random, 0, 100, 0}, {OP_random, 1, 140, 4}, {OP_gather, 0, 8, 0}};
  for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
    Work w = op_work(&(Node){.op = works[i].op, .attrs.distribution = works[i].distribution});
    ck_assert_double_eq(w.flops, works[i].flops);
    ck_assert_double_eq(w.specials, works[i].specials);
  }
}
END_TEST

/* What fits the cache of a CPU moves faster; whichever takes longer is the time. */
START_TEST(a_pass_over_memory) {
  ck_assert_double_eq_tol(plain_cost(&cpu_rates, 8e6, 8e6, 0).seconds, 1e-7 + 16e6 / 280e9, 1e-15);
  ck_assert_double_eq_tol(plain_cost(&cpu_rates, 9e6, 8e6, 0).seconds, 1e-7 + 17e6 / 20e9, 1e-15);
  ck_assert_double_eq_tol(plain_cost(&gpu_rates, 28e6, 28e6, 60e6).seconds, 1e-6 + 20e-6, 1e-15);
  ck_assert_double_eq_tol(plain_cost(&gpu_rates, 28e6, 28e6, 60e9).seconds, 1e-6 + 1e-3, 1e-15);
  ck_assert_double_eq_tol(work_time(&gpu_rates, 60e6, 3.7e9), 1e-3, 1e-15);
  ck_assert_double_eq_tol(work_time(&gpu_rates, 60e9, 3.7e6), 1e-3, 1e-15);
}
END_TEST

Suite *cost_suite(void) {
  Suite *suite = suite_create("cost");
  TCase *all = tcase_create("all");
  tcase_add_test(all, each_call_by_hand);
  tcase_add_test(all, what_bounds_a_call);
  tcase_add_test(all, tables_and_loops);
  tcase_add_test(all, what_an_element_takes);
  tcase_add_test(all, a_pass_over_memory);
  tcase_add_test(all, attention_counts_what_is_seen);
  tcase_add_test(all, parts_of_values_count);
  suite_add_tcase(suite, all);
  return suite;
}
