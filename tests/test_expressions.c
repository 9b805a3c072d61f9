/* test_expressions.c - expressions of a model: what is known at compile time has
 * its value, and a mistake is told once, by what it is, not again by all that
 * uses the value it did not give. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

typedef struct Compiled {
  Arena *arena;
  Diagnostics *d;
  Program *program; /* NULL when something is wrong */
} Compiled;

static Compiled compile_text(const char *text) {
  Compiled c = {.arena = arena_new(), .d = diagnostics_new()};
  Source *source = arena_alloc(c.arena, sizeof *source);
  FrontendOptions none = {0};
  *source = (Source){.path = "m.mt", .text = text, .length = strlen(text)};
  c.program = compile(source, &none, c.arena, c.d);
  return c;
}

static void done(Compiled *c) {
  diagnostics_free(c->d);
  arena_free(c->arena);
}

static char *printed(const Compiled *c) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  diagnostics_print(c->d, out, false);
  fclose(out);
  return text;
}

/* ---- values known at compile time ---- */

static const struct {
  const char *expr;
  double value;
} known[] = {
    {"7 + 2", 9},
    {"7 - 2 - 1", 4},
    {"7 / 2", 3.5},
    {"7 // 2", 3},
    {"-7 // 2", -4},
    {"-7 % 3", 2},
    {"2 ^ 3 ^ 2", 512},
    {"2 ^ -1", 0.5},
    {"P * P + K", 11},
    {"if 1 == 1 { 5 } else { 6 }", 5},
    {"if 1 != 1 { 5 } else { 6 }", 6},
    {"if 1 < 2 and 2 <= 2 { 5 } else { 6 }", 5},
    {"if 1 > 2 or 1 >= 2 { 5 } else { 6 }", 6},
    {"if not (1 > 2) { 5 } else { 6 }", 5},
    {"if true and false { 5 } else { 6 }", 6},
    {"if false or true { 5 } else { 6 }", 5},
    {"if P { 5 } else { 6 }", 5},
    {"if training { 5 } else { 6 }", 6},
    {"sqrt(16)", 4},
    {"rsqrt(16)", 0.25},
    {"exp(0)", 1},
    {"log(1)", 0},
    {"abs(2 - 5)", 3},
    {"floor(-2.5)", -3},
    {"ceil(-2.5)", -2},
    {"cos(0)", 1},
    {"sin(0)", 0},
    {"sqrt(K + 2)", 2},
    {"tanh(0)", 0},
    {"maximum(P, 2)", 3},
    {"maximum(2, 2.5)", 2.5},
    {"minimum(P, 2)", 2},
    {"minimum(2, 2.5)", 2},
    {"where(maximum(log(-1), 1) == maximum(log(-1), 1), 1, 2)", 2},
    {"where(minimum(log(-1), 1) == minimum(log(-1), 1), 1, 2)", 2},
    {"pow(P, 2)", 9},
    {"size(p.x, over: P)", 3},
    {"sum(iota(P))", 3},
    {"count(p.x, over: B)", 4},
    {"where(true, 2, 3)", 2},
    {"where(sum(p.x) > 5, 2, sum(p.x))", 0},
    {"clamp(sum(p.x), min: 2)", 2},
    {"clamp(sum(p.x), max: -2)", -2},
    {"f32(bool(3))", 1},
    {"f32(i32(2.9))", 2},
    {"sum(transpose(p.x + iota(P), B, P)[2])", 8},
};
enum { N_KNOWN = sizeof known / sizeof known[0] };

START_TEST(what_is_known_has_its_value) {
  char text[512];
  double zeros[12] = {0};
  snprintf(text, sizeof text,
           "use nn\ndim B = 4, P = 3, K = 2\npredict p in { x: f32[B, P] } -> p.x * 0 + outer(f32(%s))\n",
           known[_i].expr);
  Compiled c = compile_text(text);
  char *said = printed(&c);
  ck_assert_msg(c.program != NULL, "%s", said);
  Tensor out = {0};
  const char *missing = NULL;
  EvaluateOptions options = {.rows = 4};
  Binding x = {"p.x", zeros};
  ck_assert_msg(evaluate(c.program->predict.graph, &x, 1, &options, &out, &missing), "%s", missing);
  ck_assert_int_eq(out.count, 12);
  for (int i = 0; i < 12; i++)
    ck_assert_msg(fabs(out.data[i] - known[_i].value) < 1e-12, "%s is %.17g", known[_i].expr, out.data[i]);
  tensor_free(&out);
  free(said);
  done(&c);
}
END_TEST

/* ---- mistakes that are told once ---- */

static const char *const mistaken[] = {
    "relu(zz)", "maximum(zz, d.x)", "maximum(d.x, zz)", "where(zz, d.x, d.x)", "where(d.x > 0, zz, d.x)",
    "where(d.x > 0, d.x, zz)", "clamp(zz, min: 0)", "clamp(d.x, min: zz)", "clamp(d.x, max: zz)", "i32(zz)",
    "reshape(zz, [B * P])", "reshape(d.x, [zz])", "transpose(zz, B, P)", "transpose(d.x, zz, P)",
    "transpose(d.x, B, zz)", "t(zz)", "size(zz, over: P)", "size(d.x, over: zz)", "one_hot(zz, over: K)",
    "one_hot(d.y, over: zz)", "one_hot(d.y, like: zz)", "one_hot(d.y, over: K, ignore: zz)", "iota(zz)",
    "sum(zz)", "sum(d.x, over: zz)", "mean(zz, over: P)", "max(zz, over: P)", "var(zz)", "std(d.x, over: zz)",
    "norm(zz)", "logsumexp(zz, over: P)", "logsumexp(d.x, over: zz)", "count(zz, over: P)", "argmax(zz, over: P)",
    "argmax(d.x, over: zz)", "softmax(zz, over: P)", "softmax(d.x, over: zz)", "log_softmax(zz, over: P)",
    "dropout(zz)", "dropout(zz, 0.5)", "grad(zz, d.x)", "grad(sum(d.x), zz)", "outer(zz)", "zz + d.x", "d.x + zz",
    "zz * 2", "2 * zz", "zz and true", "d.x == zz", "-zz", "not zz", "zz @ d.x", "d.x @ zz", "zz |> relu", "d.x |> zz",
    "d.x[zz]", "d.x[:, zz]", "d.x[:, zz:]", "zz[0]", "zz.weight", "net(zz)", "zz(d.x)", "mse(zz, d.x)", "mse(d.x, zz)",
    "cross_entropy(net(d.x), zz)", "if zz { 1 } else { 2 }", "d.x.[B, P -> P, zz]", "zz.[B, P -> P, B]",
    "net(d.x) |> cross_entropy(zz)", "(zz + d.x) * (d.x - 1) |> relu |> sum",
};
enum { N_MISTAKEN = sizeof mistaken / sizeof mistaken[0] };

#define TRAINED                                                                          \
  "use nn\ndim B = 4, P = 3, K = 2\n"                                                    \
  "data set = csv(\"d.csv\") -> { x: f32[B, P], y: i32[B] }\n"                           \
  "module Net()(x: [B, P]) -> [B, K] {\n  return x |> fc: Linear(K)\n}\nlet net = Net()\n" \
  "train d in set for 1 epochs {\n  let a = %s\n  let loss = cross_entropy(net(d.x), d.y)\n" \
  "  update net minimize loss using sgd(lr: 0.1)\n  log loss\n}\n"

START_TEST(an_unknown_name_is_told_once) {
  char text[1024];
  snprintf(text, sizeof text, TRAINED, mistaken[_i]);
  Compiled c = compile_text(text);
  char *said = printed(&c);
  ck_assert_msg(!c.program && diagnostics_errors(c.d) == 1, "%s: %d errors:\n%s", mistaken[_i], diagnostics_errors(c.d),
                said);
  ck_assert_msg(strstr(said, "zz") != NULL, "%s:\n%s", mistaken[_i], said);
  free(said);
  done(&c);
}
END_TEST

static const struct {
  const char *expr, *says;
} miscounted[] = {
    {"relu()", "relu takes 1 argument, 0 are given"},
    {"maximum(d.x)", "maximum takes 2 arguments, 1 is given"},
    {"where(d.x)", "where takes 3 arguments, 1 is given"},
    {"clamp(min: 0)", "clamp takes 1 argument, 0 are given"},
    {"i32()", "i32 takes 1 argument, 0 are given"},
    {"reshape(d.x)", "reshape takes 2 arguments, 1 is given"},
    {"reshape(d.x, 3)", "reshape takes a shape in brackets"},
    {"transpose(d.x, B)", "transpose takes 3 arguments, 2 are given"},
    {"t()", "t takes 1 argument, 0 are given"},
    {"size(over: P)", "size takes 1 argument, 0 are given"},
    {"one_hot(over: K)", "one_hot takes 1 argument, 0 are given"},
    {"one_hot(d.y)", "one_hot needs over: and the number of classes"},
    {"one_hot(d.y > 0, over: K)", "classes must be integers, they are"},
    {"one_hot(d.x, over: K)", "classes must be integers, they are"},
    {"one_hot(reshape(d.y, [B, 1]), like: d.x)", "take the last axis away: y[:, 0]"},
    {"iota()", "iota takes 1 argument, 0 are given"},
    {"sum()", "sum takes 1 argument, 0 are given"},
    {"argmax(over: P)", "argmax takes 1 argument, 0 are given"},
    {"softmax(over: P)", "softmax takes 1 argument, 0 are given"},
    {"count(over: P)", "count takes 1 argument, 0 are given"},
    {"dropout()", "dropout takes"},
    {"dropout(d.x, d.x)", "the probability of dropout must be known at compile time"},
    {"dropout(d.x, B)", "the probability of dropout must be known at compile time"},
    {"dropout(d.x, 1.5)", "the probability of dropout lies in [0, 1], this is 1.5"},
    {"dropout(d.x, -1)", "the probability of dropout lies in [0, 1], this is -1"},
    {"dropout(d.x, K)", "the probability of dropout lies in [0, 1], this is 2"},
    {"grad(d.x)", "grad takes 2 arguments, 1 is given"},
    {"outer()", "outer takes 1 argument, 0 are given"},
    {"clamp(d.x, min: d.x)", "a number known at compile time is needed here, this is"},
    {"relu(net)", "a tensor is needed here, this is"},
    {"relu(\"text\")", "a tensor is needed here, this is"},
    {"if d.x > 0 { 1 } else { 2 }", "`if` chooses at compile time"},
    {"net.fx", "the instance net has no part called fx"},
    {"d.z", "help: it has x and y"},
    {"net(d.x, d.x)", "Net takes 1 input, 2 are given"},
    {"net()", "Net takes 1 input, 0 are given"},
    {"sum(d.x, over: 2)", "axis"},
    {"concat(d.x, d.x)", "concat"},
};
enum { N_MISCOUNTED = sizeof miscounted / sizeof miscounted[0] };

START_TEST(a_wrong_call_is_told_once) {
  char text[1024];
  snprintf(text, sizeof text, TRAINED, miscounted[_i].expr);
  Compiled c = compile_text(text);
  char *said = printed(&c);
  ck_assert_msg(!c.program && diagnostics_errors(c.d) == 1 && strstr(said, miscounted[_i].says), "%s: %d errors:\n%s",
                miscounted[_i].expr, diagnostics_errors(c.d), said);
  free(said);
  done(&c);
}
END_TEST

/* ---- what parameters begin with ---- */

static const struct {
  const char *init;
  Init is; /* of a parameter [3]; NAN: refused */
} inits[] = {
    {"zeros", {INIT_CONSTANT, 0, 0}},
    {"ones", {INIT_CONSTANT, 1, 0}},
    {"constant(0.5)", {INIT_CONSTANT, 0.5, 0}},
    {"constant(value: P)", {INIT_CONSTANT, 3, 0}},
    {"normal(0.02)", {INIT_NORMAL, 0, 0.02}},
    {"normal(std: 2)", {INIT_NORMAL, 0, 2}},
    {"uniform(-1, 2)", {INIT_UNIFORM, -1, 2}},
    {"uniform(low: -1, high: 2)", {INIT_UNIFORM, -1, 2}},
    {"kaiming(4)", {INIT_UNIFORM, -0.5, 0.5}},
    {"xavier(1, 5)", {INIT_UNIFORM, -1, 1}},
    {"constant()", {INIT_CONSTANT, NAN, 0}},
    {"constant(zz)", {INIT_CONSTANT, NAN, 0}},
    {"normal()", {INIT_CONSTANT, NAN, 0}},
    {"uniform()", {INIT_CONSTANT, NAN, 0}},
    {"uniform(1)", {INIT_CONSTANT, NAN, 0}},
    {"kaiming()", {INIT_CONSTANT, NAN, 0}},
    {"kaiming(0)", {INIT_CONSTANT, NAN, 0}},
    {"xavier()", {INIT_CONSTANT, NAN, 0}},
    {"xavier(3)", {INIT_CONSTANT, NAN, 0}},
    {"xavier(0, 0)", {INIT_CONSTANT, NAN, 0}},
    {"zeroes", {INIT_CONSTANT, NAN, 0}},
};
enum { N_INITS = sizeof inits / sizeof inits[0] };

START_TEST(parameters_begin_as_written) {
  char text[512];
  snprintf(text, sizeof text,
           "use nn\ndim B = 4, P = 3\nmodule Net()(x: [B, P]) -> [B, P] {\n  param w: [P] = %s\n  return x * w\n}\n"
           "let net = Net()\npredict p in { x: f32[B, P] } -> net(p.x)\n",
           inits[_i].init);
  Compiled c = compile_text(text);
  char *said = printed(&c);
  const Init *is = &inits[_i].is;
  if (isnan(is->a)) {
    ck_assert_msg(!c.program && diagnostics_errors(c.d) >= 1, "%s was taken", inits[_i].init);
  } else {
    ck_assert_msg(c.program != NULL, "%s", said);
    ck_assert_int_eq(c.program->n_params, 1);
    const Init *found = &c.program->params[0].init;
    ck_assert_msg(found->kind == is->kind && fabs(found->a - is->a) < 1e-15 && fabs(found->b - is->b) < 1e-15,
                  "%s: %d, %g, %g", inits[_i].init, (int)found->kind, found->a, found->b);
  }
  free(said);
  done(&c);
}
END_TEST

Suite *expressions_suite(void) {
  Suite *suite = suite_create("expressions");
  TCase *tests = tcase_create("expressions");
  tcase_set_timeout(tests, 60);
  tcase_add_loop_test(tests, what_is_known_has_its_value, 0, N_KNOWN);
  tcase_add_loop_test(tests, an_unknown_name_is_told_once, 0, N_MISTAKEN);
  tcase_add_loop_test(tests, a_wrong_call_is_told_once, 0, N_MISCOUNTED);
  tcase_add_loop_test(tests, parameters_begin_as_written, 0, N_INITS);
  suite_add_tcase(suite, tests);
  return suite;
}
