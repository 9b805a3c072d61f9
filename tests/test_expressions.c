/* test_expressions.c - expressions of a model: what is known at compile time has
 * its value, and a mistake is told once, by what it is, not again by all that
 * uses the value it did not give. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "tests/compiled.h"

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
    "concat(zz, d.x, over: P)", "concat(d.x, zz, over: P)", "concat([d.x, zz], over: P)", "concat(d.x, over: zz)",
    "stack(zz)", "stack(d.x, over: zz)", "split(zz, 2, over: P)", "split(d.x, zz, over: P)", "split(d.x, [zz, 1], over: P)",
    "split(d.x, 2, over: zz)", "pad(zz, 1, over: P)", "pad(d.x, zz, over: P)", "pad(d.x, 1, zz, over: P)",
    "pad(d.x, 1, over: zz)", "pad(d.x, 1, over: P, value: zz)", "pad(d.x, 1, over: P, mode: zz)", "flip(zz, over: P)",
    "flip(d.x, over: zz)", "roll(zz, 1, over: P)", "roll(d.x, zz, over: P)", "roll(d.x, 1, over: zz)", "causal(zz)",
    "tril(zz)", "triu(d.x, diagonal: zz)",
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
    {"concat(d.x, d.x)", "concat needs over: and an axis"},
    {"concat(over: P)", "concat takes at least 1 argument, 0 are given"},
    {"concat([], over: P)", "concat takes at least 1 value, 0 are given"},
    {"concat(1, 2, over: 0)", "help: stack(a, b) makes an axis of scalars"},
    {"concat(d.x, d.x, over: B)", "concat: B is the batch axis: the last batch may be shorter"},
    {"concat(d.x, d.x, over: [B, P])", "concat: B is the batch axis"},
    {"concat(d.x[:, 0:1], d.x, over: [0, 1])", "concat: B is the batch axis"},
    {"concat(t(d.x), t(d.x), over: [-1, 0])", "concat: B is the batch axis"},
    {"concat(iota(K), iota(P), over: K, keep: true)", "concat has no option keep"},
    {"concat(d.x, d.y, over: P)", "i32[B] cannot be joined to f32[B, P]: they differ in their number of axes"},
    {"concat(d.x, net, over: P)", "a tensor is needed here, this is the instance net"},
    {"stack(d.x, t(d.x))", "f32[P, B] cannot be joined to f32[B, P]: axis 0 differs"},
    {"stack(d.x, d.x, over: 3)", "the stack has 3 axes, none is 3"},
    {"stack(d.x, d.x, over: 0.5)", "a whole number is needed here"},
    {"split(d.x, 2)", "split needs over: and an axis"},
    {"split(d.x, over: P)", "split takes 2 arguments, 1 is given"},
    {"split(d.x, 2, over: B)", "split: B is the batch axis"},
    {"split(d.x, 0, over: P)", "an axis of 3 cannot be split into 0 equal parts"},
    {"split(d.x, [B, -1], over: P)", "a part needs a fixed size: the last batch may be shorter"},
    {"split(d.x, [], over: P)", "the parts have 0 elements together, the axis has 3"},
    {"split(d.x, 1, over: P) + 1", "a tensor is needed here, this is"},
    {"pad(d.x, 1)", "pad needs over: and an axis"},
    {"pad(d.x, over: P)", "pad takes at least 2 arguments, 1 is given"},
    {"pad(d.x, 1, over: B)", "pad: B is the batch axis"},
    {"pad(d.x, -1, over: P)", "help: to take elements away write a slice: x[:, 1:]"},
    {"pad(d.x, 0.5, over: P)", "a whole number is needed here"},
    {"pad(d.x, 1, over: P, mode: \"mirror\")", "\"replicate\" or \"circular\", this is \"mirror\""},
    {"pad(d.x, 1, over: P, mode: 2)", "\"replicate\" or \"circular\", this is the number 2"},
    {"pad(d.x, 1, over: P, mode: \"reflect\", value: 1)", "value: is of mode: \"constant\", this is mode: \"reflect\""},
    {"pad(d.x, 1, over: P, value: d.x)", "pad takes one value for all new elements, this is f32[B, P]"},
    {"pad(d.x, 4, over: P, mode: \"circular\")", "pad: \"circular\" by 4 takes an axis of 4 at least, axis 1 has 3"},
    {"flip(d.x)", "flip needs over: and an axis"},
    {"flip(d.x, over: [B, P])", "flip: B is the batch axis"},
    {"roll(d.x, over: P)", "roll takes 2 arguments, 1 is given"},
    {"roll(d.x, d.x, over: P)", "a number known at compile time is needed here, this is"},
    {"roll(d.x, 1, over: B)", "roll: B is the batch axis"},
    {"tril(d.y)", "tril needs two axes or more, this is i32[B]"},
    {"tril(d.x, diagonal: 0.5)", "a whole number is needed here"},
    {"causal(d.x > 0)", "causal of bool, which has no -inf: cast first, causal(f32(x))"},
    {"d.x[:, 1.5]", "a whole number is needed here"},
    {"d.x[:, 5]", "index 5 is outside an axis of 3"},
    {"d.x[:, 0:9]", "9 is outside an axis of 3"},
    {"d.x[:, 2:1]", "this slice ends, at 1, before it begins, at 2"},
    {"d.x[0]", "the batch axis cannot be indexed"},
    {"d.x[:, :, 0]", "3 indices, but the value is f32[B, P]"},
    {"d.x[:, 1e16]", "a whole number is needed here"},
    {"d.x[:, P]", "indices count from 0: the last is 2, or -1"},
    {"d.x.[B, P -> P]", "an axis on the left of the arrow is missing on its right"},
    {"d.x.[B, P -> B, P, K]", "K does not stand on the left of the arrow"},
    {"d.x.[B, P -> B, B]", "B stands on the right of the arrow more often than on its left"},
    {"d.x.[B, (P K) -> B, P, K]", "the product does not multiply out to 3"},
    {"d.x.[B, P, K -> B, P]", "the pattern has 3 axes, the value is f32[B, P]"},
    {"sum(d.x, over: [B, B])", "an axis is named twice"},
    {"sum(d.x, over: 5)", "f32[B, P] has no axis 5"},
    {"sum(d.x, over: -3)", "f32[B, P] has no axis -3"},
    {"sum(d.x, over: K)", "f32[B, P] has no axis K"},
    {"d.x @ d.x", "they meet when the right side is transposed: x @ t(y)"},
    {"d.x + iota(K)", "shapes [B, P] and [K] do not fit: P (3) and K (2) differ"},
    {"sum(d.x, keep: 3)", "true or false is needed here, this is the number 3"},
    {"var(d.x, unbiased: d.x)", "true or false is needed here, this is f32[B, P]"},
    {"sum(d.x, ovr: P)", "sum has no option ovr"},
    {"sum(d.x, over: P, over: P)", "over is given twice"},
    {"softmax(3, over: P)", "f32[] has no axis P"},
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

/* ---- modules: what they are configured with, what they promise ---- */

static const struct {
  const char *config, *given, *promise, *returned, *says; /* NULL: nothing is wrong */
} modules[] = {
    {"a", "zz", "[B, P]", "x * 2", "nothing is called zz here"},
    {"n: int", "2.5", "[B, P]", "x * 2", "n must be an int, it is the number 2.5"},
    {"n: int", "true", "[B, P]", "x * 2", "n must be an int, it is true"},
    {"n: float", "true", "[B, P]", "x * 2", "n must be a float, it is true"},
    {"n: float", "\"s\"", "[B, P]", "x * 2", "n must be a float, it is a text"},
    {"n: bool", "3", "[B, P]", "x * 2", "n must be a bool, it is the number 3"},
    {"f: fn", "3", "[B, P]", "x * 2", "f must be a fn, it is the number 3"},
    {"m: module", "3", "[B, P]", "x * 2", "m must be a module, it is the number 3"},
    {"n: dim", "2.5", "[B, P]", "x * 2", "n must be a dim, it is the number 2.5"},
    {"n: dim", "-1", "[B, P]", "x * 2", "n must be a dim, it is the number -1"},
    {"n: dim", "zz", "[B, P]", "x * 2", "nothing is called zz here"},
    {"f: fn", "relu", "[B, P]", "x * 2", NULL},
    {"n: int", "P", "[B, P]", "x * 2", NULL},
    {"n: int", "7", "[B, P]", "x * 2", NULL},
    {"n: float", "P", "[B, P]", "x * 2", NULL},
    {"n: float", "2", "[B, P]", "x * 2", NULL},
    {"n: dim", "P * K", "[B, P]", "x * 2", NULL},
    {"n: dim", "5", "[B, P]", "x * 2", NULL},
    {"n: bool", "true", "[B, P]", "x * 2", NULL},
    {"m: module", "Linear", "[B, P]", "x * 2", NULL},
    {"", "", "[B, P]", "zz", "nothing is called zz here"},
    {"", "", "[B, P]", "3", "M returns the number 3, not a tensor"},
    {"", "", "[B, P]", "relu", "M returns the function relu, not a tensor"},
    {"", "", "[B, zz]", "x", "nothing is called zz here"},
    {"", "", "[B, P]", "i32(x)", "help: cast it, f32(...), or promise i32[...]"},
    {"", "", "[B, P]", "x, x", "M promises 1 value and returns 2"},
    {"", "", "[B, K]", "x", "M promises f32[B<=4, K=2] and returns f32[B<=4, P=3]"},
    {"", "", "i32[B, P]", "x", "help: cast it, i32(...), or promise f32[...]"},
    {"", "", "([B, P], [B, P])", "x", "M promises 2 values and returns 1"},
    {"", "", "[B]", "x", "M promises f32[B<=4] and returns f32[B<=4, P=3]"},
    {"", "", "[B, 2.5]", "x", "a dim is a whole number of at least 0"},
    {"", "", "[B, -1]", "x", "a dim is a name, a number, or arithmetic of them"},
    {"", "", "[B + 1, P]", "x", "the batch dim B can only be multiplied in a shape"},
    {"", "", "[B * B, P]", "x", "the batch dim B can only be multiplied in a shape"},
    {"", "", "[B, relu]", "x", "nothing is called relu here"},
    {"", "", "[B, f(x)]", "x", "a dim is a name, a number, or arithmetic of them"},
    {"", "", "[*zz, K]", "x", "M promises f32[B<=4, K=2] and returns f32[B<=4, P=3]"}, /* *zz is what the body makes */
    {"", "", "[B, 1e16]", "x", "a dim is a whole number of at least 0"},
    {"", "", "[B, P ^ 2]", "x", "M promises f32[B<=4, P^2=9] and returns f32[B<=4, P=3]"},
    {"", "", "[B, 7 / 2]", "x", "7 does not divide by 2: 1 is left over"},
    {"", "", "[B, 6 / 0]", "x", "division of a dim by 0"},
    {"", "", "[B, 6 % 0]", "x", "division of a dim by 0"},
    {"", "", "[B, K - P]", "x", "this dim would be negative: -1"},
    {"", "", "[B // 2, P]", "x", "the batch dim B can only be multiplied in a shape"},
    {"", "", "[B, K + 1]", "x", NULL},
    {"", "", "[B, 6 // K]", "x", NULL},
    {"", "", "[B, 6 / K]", "x", NULL},
    {"", "", "[B, 7 % 4]", "x", NULL},
    {"", "", "[B, K ^ K - 1]", "x", NULL},
    {"", "", "[2 * B / 2, P]", "x", "the batch dim B can only be multiplied in a shape"},
};
enum { N_MODULES = sizeof modules / sizeof modules[0] };

START_TEST(a_module_keeps_its_word) {
  char text[1024];
  snprintf(text, sizeof text,
           "use nn\ndim B = 4, P = 3, K = 2\nmodule M(%s)(x: [B, P]) -> %s {\n  return %s\n}\nlet net = M(%s)\n"
           "predict p in { x: f32[B, P] } -> net(p.x)\n",
           modules[_i].config, modules[_i].promise, modules[_i].returned, modules[_i].given);
  Compiled c = compile_text(text);
  char *said = printed(&c);
  if (!modules[_i].says)
    ck_assert_msg(c.program != NULL, "%s", said);
  else
    ck_assert_msg(!c.program && diagnostics_errors(c.d) == 1 && strstr(said, modules[_i].says), "%s\n%d errors:\n%s",
                  text, diagnostics_errors(c.d), said);
  free(said);
  done(&c);
}
END_TEST

/* ---- what data may hold ---- */

/* A label may be left out by -100, an index may not: outside of the table generated code would read what is not there. */
static const struct {
  const char *loss;
  int64_t high, ignore;
} labels[] = {
    {"cross_entropy(net(d.x), d.y)", 3, -100},
    {"cross_entropy(net(d.x), d.y, ignore: -1)", 3, -1},
    {"mean(ones([7, K])[d.y] * net(d.x))", 7, 0},
    {"cross_entropy(net(d.x), d.y) + mean(ones([7, K])[d.y])", 3, 0},
    {"mean(ones([7, K])[d.y]) + cross_entropy(net(d.x), d.y)", 3, 0},
    {"mean(ones([2, K])[d.y]) + cross_entropy(net(d.x), d.y)", 2, 0},
};

START_TEST(labels_are_what_every_use_allows) {
  Arena *arena = arena_new();
  const char *text = arena_print(arena,
                                 "use nn\ndim B = 4, P = 2, K = 3\ndata rows = csv(\"a.csv\") -> { x: f32[B, P], y: i32[B] }\n"
                                 "module Net()(x: [n, i]) -> [n, K] { return x |> fc: Linear(K) }\nlet net = Net()\n"
                                 "train d in rows for 1 epochs {\nlet loss = %s\nupdate net minimize loss using sgd(lr: 0.1)\n}\n",
                                 labels[_i].loss);
  const Field *y = &compiled(arena, text)->data[0].fields[1];
  ck_assert_int_eq(y->high, labels[_i].high);
  ck_assert_int_eq(y->ignore, labels[_i].ignore);
  arena_free(arena);
}
END_TEST

Suite *expressions_suite(void) {
  Suite *suite = suite_create("expressions");
  TCase *tests = tcase_create("expressions");
  tcase_set_timeout(tests, 60);
  tcase_add_loop_test(tests, what_is_known_has_its_value, 0, N_KNOWN);
  tcase_add_loop_test(tests, an_unknown_name_is_told_once, 0, N_MISTAKEN);
  tcase_add_loop_test(tests, a_wrong_call_is_told_once, 0, N_MISCOUNTED);
  tcase_add_loop_test(tests, a_module_keeps_its_word, 0, N_MODULES);
  tcase_add_loop_test(tests, parameters_begin_as_written, 0, N_INITS);
  tcase_add_loop_test(tests, labels_are_what_every_use_allows, 0, sizeof labels / sizeof *labels);
  suite_add_tcase(suite, tests);
  return suite;
}
