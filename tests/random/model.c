/* model.c - random models: a module, its loss and its optimizer as .mt text, and arrays to train on.
 *
 * Values are named and their axes known by one letter each, so that every line
 * written is one that compiles.  What no line uses is added to the result at
 * the end, for a parameter that no gradient reaches is an error.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"
#include "tests/random/models.h"

enum { MOST_VALUES = 60, MOST_AXES = 3, N_DIMS = 3 };

typedef struct Named {
  char name[24];
  char axes[MOST_AXES + 1]; /* "BPQ" */
  bool used;
} Named;

typedef struct Author {
  Text text;
  uint64_t state;
  int indent, n, next;
  Named at[MOST_VALUES];
  bool in_module;
  bool pictures; /* a field of them, augmented, beside x */
  const char *turns; /* of a loop behind the net, whose states change as it goes, or NULL */
  bool drops; /* a draw has been written: `grad` of the whole net would draw again */
} Author;

static const char dims[] = "PQR";

static int pick(Author *a, int below) {
  uint64_t z = (a->state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (int)((z ^ z >> 31) % (uint64_t)below);
}
static bool chance(Author *a, int in) { return pick(a, in) == 0; }

/* "BPQ" as "B, P, Q". */
static const char *shape(const char *axes) {
  static char text[4][4 * MOST_AXES + 2];
  static int turn;
  char *to = text[turn = (turn + 1) % 4], *at = to;
  *at = 0;
  for (const char *c = axes; *c; c++) at += sprintf(at, "%s%c", c == axes ? "" : ", ", *c);
  return to;
}

static Named *value(Author *a) { return &a->at[chance(a, 2) ? a->n - 1 : pick(a, a->n)]; }

/* A value that `fits`; NULL after a few tries. */
static Named *value_like(Author *a, bool (*fits)(const Named *, const char *), const char *argument) {
  for (int i = 0; i < 12; i++) {
    Named *v = value(a);
    if (fits(v, argument)) return v;
  }
  return NULL;
}
static bool has_axes(const Named *v, const char *least) { return (int)strlen(v->axes) >= atoi(least); }
static bool ends_in_dim(const Named *v, const char *unused) {
  (void)unused;
  return *v->axes && v->axes[strlen(v->axes) - 1] != 'B';
}
static bool is_shaped(const Named *v, const char *axes) { return !strcmp(v->axes, axes); }
/* Its axes, in this order, are among those of another. */
static bool fits_into(const Named *v, const char *axes) {
  const char *c = v->axes;
  for (; *axes; axes++)
    if (*c == *axes) c++;
  return !*c;
}

static Named *add(Author *a, const char *axes, const char *name, ...) {
  Named *v = &a->at[a->n++];
  va_list arguments;
  *v = (Named){.name = ""};
  va_start(arguments, name);
  vsnprintf(v->name, sizeof v->name, name, arguments);
  va_end(arguments);
  snprintf(v->axes, sizeof v->axes, "%s", axes);
  return v;
}

static void line(Author *a) { text_add(&a->text, "\n%*s", 2 * a->indent, ""); }

/* let v7 = FORMAT, a value of these axes. */
static Named *let(Author *a, const char *axes, const char *format, ...) {
  char value[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(value, sizeof value, format, arguments);
  va_end(arguments);
  line(a);
  text_add(&a->text, "let v%d = %s", a->next, value);
  return add(a, axes, "v%d", a->next++);
}

static Named *new_param(Author *a, const char *axes) {
  static const char *const starts[] = {"normal(0.5)", "uniform(-0.7, 0.9)", "ones", "zeros", "normal(1.0)"};
  line(a);
  text_add(&a->text, "param w%d: [%s] = %s", a->next, shape(axes), starts[pick(a, 5)]);
  return add(a, axes, "w%d", a->next++);
}

/* ---- one line of a body each --------------------------------------------------------- */

/* What jumps does so away from 0 and 1, where parameters begin: rounding must not choose the side. */
static void unary(Author *a) {
  static const char *const forms[] = {"relu(#)", "tanh(#)", "sigmoid(#)", "exp(tanh(#))", "log(abs(#) + 0.5)",
                                      "sqrt(# * # + 0.1)", "gelu(#)", "gelu_tanh(#)", "silu(#)", "softplus(#)",
                                      "elu(#)", "leaky_relu(#)", "sin(#)", "cos(#)", "# ^ 2", "abs(#)", "erf(#)",
                                      "clamp(#, min: -1, max: 1.5)", "rsqrt(# * # + 0.3)", "expm1(tanh(#))",
                                      "log1p(abs(#))", "maximum(#, 0.2)", "where(# > 0.1, #, 0.3 * #)", "-#",
                                      "# - stop(#) + tanh(#)", "round(#) + sigmoid(#)", "sign(#) * #", "(1 - #) / 3",
                                      "pow(abs(#) + 0.2, 1.5)", "floor(# + 0.37) - (# + 0.41) // 2 + 0.1 * #", "(# + 0.43) % 3", "f32(# > 0) * #"};
  Named *x = value(a);
  x->used = true;
  char text[256], *to = text;
  for (const char *c = forms[pick(a, sizeof forms / sizeof *forms)]; *c; c++)
    to += *c == '#' ? sprintf(to, "%s", x->name) : sprintf(to, "%c", *c);
  let(a, x->axes, "%s", text);
}

static void binary(Author *a) {
  static const char *const forms[] = {"%s + %s", "%s - %s", "%s * %s", "%s / (abs(%s) + 0.5)", "maximum(%s, %s)",
                                      "minimum(%s, %s)", "f0(%s, %s)", "tanh(%s) * %s", "mix(%s, %s)"};
  Named *x = value(a), *y = value_like(a, fits_into, x->axes);
  if (!y) return;
  x->used = y->used = true;
  const char *left = x->name, *right = y->name;
  int form = pick(a, sizeof forms / sizeof *forms);
  if (form < 3 && chance(a, 3)) left = y->name, right = x->name;
  char text[96];
  snprintf(text, sizeof text, forms[form], left, right);
  let(a, x->axes, "%s", text);
}

static void reduction(Author *a) {
  static const char *const ops[] = {"sum", "mean", "max", "min", "logsumexp", "norm", "sum", "mean"};
  Named *x = value_like(a, has_axes, "1");
  if (!x) return;
  x->used = true;
  int at = pick(a, (int)strlen(x->axes));
  char over = x->axes[at], left[MOST_AXES + 1];
  snprintf(left, sizeof left, "%.*s%s", at, x->axes, x->axes + at + 1);
  switch (pick(a, 4)) {
  case 0: let(a, x->axes, "%s - mean(%s, over: %c, keep: true)", x->name, x->name, over); break;
  case 1: let(a, left, "sqrt(var(%s, over: %c, unbiased: false) + 0.1)", x->name, over); break;
  default: let(a, left, "%s(%s, over: %c)", ops[pick(a, 8)], x->name, over);
  }
}

static void product(Author *a) {
  Named *x = value_like(a, ends_in_dim, NULL);
  if (!x) return;
  size_t rank = strlen(x->axes);
  char out[MOST_AXES + 1], inner = x->axes[rank - 1], other = dims[pick(a, N_DIMS)];
  snprintf(out, sizeof out, "%s", x->axes);
  out[rank - 1] = other;
  if (!a->in_module || rank < 2 || strchr(x->axes, other)) return;
  x->used = true;
  char straight[3] = {inner, other, 0}, turned[3] = {other, inner, 0};
  bool letters = chance(a, 4);
  switch (pick(a, 3)) {
  case 0: let(a, out, "%s |> l%d: Linear(%c)", x->name, a->next, other); break;
  case 1: {
    Named *w = value_like(a, is_shaped, straight);
    if (!w) w = new_param(a, straight);
    w->used = true;
    let(a, out, letters ? "einsum(\"...i,io->...o\", %s, %s)" : "%s @ %s", x->name, w->name);
    break;
  }
  default: {
    Named *w = value_like(a, is_shaped, turned);
    if (!w) w = new_param(a, turned);
    w->used = true;
    let(a, out, letters ? "einsum(\"...i,oi->...o\", %s, %s)" : "%s @ t(%s)", x->name, w->name);
  }
  }
}

/* Softmax, norms, draws: along the last axis. */
static void along(Author *a) {
  Named *x = value_like(a, ends_in_dim, NULL);
  if (!x) return;
  switch (pick(a, a->in_module ? 4 : 2)) {
  case 0: let(a, x->axes, "softmax(%s, over: -1)", x->name); break;
  case 1: let(a, x->axes, "log_softmax(%s, over: -1)", x->name); break;
  case 2: let(a, x->axes, "%s |> n%d: LayerNorm()", x->name, a->next); break;
  default: let(a, x->axes, "dropout(%s, 0.25)", x->name), a->drops = true;
  }
}

/* A state, read before or after its new value; a count goes into the value, since no gradient would. */
static void state(Author *a) {
  Named *x = value_like(a, ends_in_dim, NULL);
  if (!x || !a->in_module) return;
  size_t rank = strlen(x->axes);
  const char *axis = x->axes + rank - 1, *name = x->name;
  int n = a->next++;
  char over[32] = "mean(#, over: [0, 1])";
  x->used = true;
  snprintf(over, sizeof over, rank == 1 ? "%s" : rank == 2 ? "mean(%s, over: 0)" : "mean(%s, over: [0, 1])", name);
  line(a), text_add(&a->text, "state s%d: [%s] = %s", n, axis, chance(a, 2) ? "zeros" : "normal(0.5)");
  if (chance(a, 3)) line(a), text_add(&a->text, "s%d <- 0.5 * s%d + 0.1", n, n);
  if (chance(a, 2)) {
    let(a, x->axes, "%s - 0.5 * s%d", name, n);
    line(a), text_add(&a->text, "s%d <- 0.7 * s%d + 0.3 * %s", n, n, over);
  } else {
    line(a), text_add(&a->text, "if training { s%d <- 0.9 * s%d + tanh(%s) }", n, n, over);
    let(a, x->axes, "%s * (1 + tanh(s%d))", name, n);
  }
}

/* BatchNorm and its relatives take the axis behind the batch.  Of a batch of one row nothing is left but rounding,
 * which a small eps would enlarge. */
static void norm(Author *a) {
  static const char *const layers[] = {"BatchNorm(eps: 0.01)", "BatchNorm(momentum: 0.4, eps: 0.1)", "BatchNorm(affine: false, eps: 0.01)",
                                       "GroupNorm(1, eps: 0.01)", "RMSNorm(eps: 0.01)", "InstanceNorm(eps: 0.1)"};
  Named *x = value_like(a, has_axes, "2");
  if (!x || !a->in_module || x->axes[0] != 'B' || x->axes[1] == 'B' || strchr(x->axes + 2, 'B')) return;
  bool volume = strlen(x->axes) == 3;
  if (volume && x->axes[1] == x->axes[2]) return;
  x->used = true;
  let(a, x->axes, "%s |> b%d: %s", x->name, a->next, layers[pick(a, volume ? 6 : 5)]);
}

/* Axes exchanged; merged and reduced; parts of them. */
static void view(Author *a) {
  Named *x = value_like(a, has_axes, "2");
  if (!x) return;
  size_t rank = strlen(x->axes);
  char to[MOST_AXES + 1];
  snprintf(to, sizeof to, "%s", x->axes);
  if (strchr(x->axes + 1, *x->axes) || (rank == 3 && x->axes[1] == x->axes[2])) return;
  char last = to[rank - 1], before = to[rank - 2];
  if (chance(a, 2) && before != 'B') {
    to[rank - 1] = before, to[rank - 2] = last;
    let(a, to, "%s.[%s -> %s]", x->name, shape(x->axes), shape(to));
  } else if (rank == 3) {
    to[1] = 0;
    if (*to == 'B') let(a, to, "max(%s.[%s -> %s, (%c %c)], over: -1)", x->name, shape(x->axes), shape(to), before, last);
  } else if (last != 'B') {
    to[rank - 1] = 0;
    let(a, to, chance(a, 2) ? "sum(%s[:, 0:1], over: -1)" : "%s[:, -1]", x->name);
  } else return;
  x->used = true;
}

/* A form of # as a new value, ~ being its last axis; what it makes is as long. */
static void formed(Author *a, const char *const *forms, int n) {
  Named *x = value_like(a, ends_in_dim, NULL);
  if (!x || strlen(x->axes) != 2) return;
  x->used = true;
  char text[320], *to = text;
  for (const char *c = forms[pick(a, n)]; *c; c++)
    to += *c == '#' ? sprintf(to, "%s", x->name) : sprintf(to, "%c", *c == '~' ? x->axes[1] : *c);
  let(a, x->axes, "reshape(%s, [%s])", text, shape(x->axes)); /* the axis has its name again */
}

/* Parts of an axis in another order, beside others, masked. */
static void rearranged(Author *a) {
  static const char *const forms[] = {"flip(#, over: -1)", "roll(#, 1, over: -1)", "concat(#[:, 1:], tanh(#[:, 0:1]), over: 1)",
                                      "concat(split(#, [1, ~ - 1], over: 1)[1], #[:, 0:1] * 2, over: 1)",
                                      "pad(#, 1, 0, over: 1)[:, 0:~]", "pad(#, 1, over: 1, value: 0.5)[:, 1:~ + 1] * #",
                                      "pad(concat(#, -#, over: 1), 1, over: 1, mode: \"reflect\")[:, 1:~ + 1]", "pad(#, 2, over: 1, mode: \"replicate\")[:, 1:~ + 1]",
                                      "pad(#, 1, over: 1, mode: \"circular\")[:, 2:]", "stack(#, sin(#), over: 1)[:, 1]",
                                      "max(stack(#, 0.5 * #), over: 0)", "tril(#)", "triu(#, diagonal: 1) - #", "softmax(causal(#), over: -1)",
                                      "sum(concat(stack(#, #, over: 2), stack(tanh(#), over: 2), over: -1), over: -1)"};
  formed(a, forms, sizeof forms / sizeof *forms);
}

/* What runs along an axis, elements by their index, sums by letters. */
static void along_axis(Author *a) {
  static const char *const forms[] = {"cumsum(#, over: 1) / ~", "flip(cumsum(tanh(#), over: 1), over: 1) * #", "cumprod(tanh(#) + 0.6, over: 1)",
                                      "# * prod(tanh(#) + 0.6, over: 1, keep: true)", "where(any(# > 0.1, over: 1, keep: true), #, 0.5 * #)",
                                      "where(all(# > -0.3, over: 1, keep: true), sin(#), #)", "#[:, (iota(~) + 1) % ~] + 0.5 * #",
                                      "gather(#, argmax(# + 0.03 * iota(~), over: 1, keep: true), over: 1) * tanh(#)",
                                      "scatter_add(#, argmin(# + 0.03 * iota(~), over: 1, keep: true), mean(#, over: 1, keep: true), over: 1)",
                                      "sum(topk(concat(#, -#, over: 1) + 0.03 * iota(2 * ~), 2, over: 1)[0], over: 1, keep: true) - #",
                                      "einsum(\"ij,ij,ik->ik\", #, tanh(#), #) / ~", "einsum(\"ij,ik->ijk\", #, sin(#))[:, 0] + #",
                                      "einsum(\"ij,kj->ki\", outer(iota(~) * 0.1 + reshape(iota(~), [~, 1])), #) / ~ ^ 2", "glu(concat(#, sin(#), over: 1))"};
  formed(a, forms, sizeof forms / sizeof *forms);
}

/* Of axes whose values may be equal but for rounding, each place has an offset of its own: so the greatest is one. */
static void lookup_row(Author *a) {
  Named *x = value_like(a, ends_in_dim, NULL);
  if (!x || !a->in_module || strlen(x->axes) != 2) return;
  char from = x->axes[1], to = dims[pick(a, N_DIMS)], table[3] = {from, to, 0}, out[3] = {x->axes[0], to, 0};
  if (from == to || out[0] == to) return;
  Named *w = new_param(a, table);
  let(a, out, "%s[argmax(%s + 0.03 * iota(%c), over: %c)]", w->name, x->name, from, from);
  w->used = true;
}

/* A gradient inside the program, which the update then differentiates again. */
static void nested(Author *a) {
  Named *x = value(a);
  if (x->name[0] != 'v') return;
  let(a, x->axes, "grad(sum(tanh(%s) * %s), %s)", x->name, x->name, x->name);
  x->used = true;
}

static void lines(Author *a, int n) {
  static void (*const kinds[])(Author *) = {unary, unary, unary, binary, binary, binary, reduction,
                                            product, product, along, view, lookup_row, nested, state, norm, rearranged, rearranged, along_axis, along_axis};
  while (a->n < MOST_VALUES - 4 && n-- > 0) kinds[pick(a, sizeof kinds / sizeof *kinds)](a);
}

/* What was not used, so that all of it matters. */
static void add_unused(Author *a) {
  for (int i = 0; i < a->n; i++)
    if (!a->at[i].used) {
      text_add(&a->text, *a->at[i].axes ? " + 0.1 * mean(%s)" : " + 0.1 * %s", a->at[i].name);
      a->at[i].used = true;
    }
}

/* ---- the parts of a file --------------------------------------------------------------- */

/* States of blocks, of what all turns share, and of the net itself, read and changed in loops; `r` is what they carry. */
static const char *turns_of(uint64_t seed) {
  static const char *const all[] = {"for b in stack(Turn(), 3) carry r { r = b(r) }",
                                    "let one = Turn()\n  for i in 0..3 carry r { r = one(r) }",
                                    "for i in 0..2 carry r {\n    for b in stack(Turn(), 2) carry r { r = b(r) }\n  }",
                                    "state c: [] = zeros\n  for i in 0..3 carry r remat {\n    c <- c + 0.1 * tanh(mean(r))\n    r = r * (1 + c)\n  }\n  c <- 0.5 * c",
                                    "for b in stack(Turn(), 2) carry r remat {\n    r = b(r)\n    r = b(tanh(r))\n  }"};
  return all[seed / 5 % (sizeof all / sizeof *all)];
}

static const char turn[] = "\nmodule Turn()(x: [n, f]) -> [n, f] {\n  state s: [f] = zeros\n"
                           "  let y = x |> bn: BatchNorm(eps: 0.1) |> tanh\n  let z = x + y * (1 + s)\n"
                           "  s <- 0.5 * s + 0.1 * mean(y * y, over: 0)\n  return z - 0.1 * s\n}\n";

/* Returns the axes of the net's result: B and one more. */
static void module(Author *a, char out[3]) {
  if (a->turns) text_add(&a->text, "%s", turn);
  text_add(&a->text, "\nmodule Net()(x: [B, P]) -> [B, ");
  size_t hole = a->text.length;
  text_add(&a->text, "?] {");
  a->indent = 1, a->in_module = true, a->n = 0;
  add(a, "BP", "x");
  new_param(a, "P");
  if (chance(a, 2)) new_param(a, "PQ");
  if (chance(a, 4)) new_param(a, "");
  lines(a, 3 + pick(a, 9));
  Named *last = NULL;
  for (int i = a->n - 1; i >= 0 && !last; i--)
    if (a->at[i].axes[0] == 'B' && strlen(a->at[i].axes) == 2 && a->at[i].axes[1] != 'B') last = &a->at[i];
  last->used = true;
  memcpy(out, last->axes, 3);
  a->text.data[hole] = out[1];
  line(a);
  if (a->turns) text_add(&a->text, "let r = %s\n  %s\n  ", last->name, a->turns);
  text_add(&a->text, "return %s", a->turns ? "r" : last->name);
  add_unused(a);
  text_add(&a->text, "\n}\nlet net = Net()\n");
}

static const char *optimizer(Author *a) {
  static const char *const all[] = {"sgd(lr: 0.05)",
                                    "sgd(lr: cosine(0.1, warmup: 2), momentum: 0.9)",
                                    "sgd(lr: 0.05, momentum: 0.8, nesterov: true, decay: 0.01)",
                                    "sgd(lr: 0.03, momentum: 0.5, dampening: 0.2)",
                                    "adam(lr: 1e-2, eps: 1e-4)",
                                    "adam(lr: step_decay(1e-2, every: 2, by: 0.5), decay: 0.01, eps: 1e-4)",
                                    "adamw(lr: linear(1e-2, to: 1e-3), decay: 0.1, eps: 1e-4)",
                                    "adamw(lr: one_cycle(1e-2), eps: 1e-3)",
                                    "rmsprop(lr: 1e-2, eps: 1e-2)",
                                    "rmsprop(lr: 1e-2, eps: 0.1, momentum: 0.5, centered: true, decay: 0.01)",
                                    "adagrad(lr: 0.05, lr_decay: 0.1, eps: 1e-2)",
                                    "adadelta(lr: 0.5, eps: 1e-2)",
                                    "adamax(lr: linear(1e-2, to: 1e-3), eps: 1e-2, decay: 0.01)"};
  return all[pick(a, sizeof all / sizeof *all)];
}

/* A second update, which sees the first one's weights; now and then in every second step only. */
static void judge_last(Author *a) {
  bool seldom = chance(a, 2);
  if (seldom) text_add(&a->text, "\n  every 2 steps {");
  text_add(&a->text, "\n  let again = net(d.x)\n  let jloss = mean(judge(stop(again)) * judge(stop(out)) + judge(d.t))");
  text_add(&a->text, "\n  update judge minimize jloss using %s", optimizer(a));
  text_add(&a->text, "\n  log jl = jloss%s", seldom ? "\n  }" : "");
  if (chance(a, 2)) text_add(&a->text, "\n  log lj = mean(judge(stop(out)))");
}

static void training(Author *a, const char *out) {
  bool classes = chance(a, 2), judged = chance(a, 3), judge_first = judged && chance(a, 2);
  int accumulate = judged ? 1 : 1 + pick(a, 3);
  if (judged)
    text_add(&a->text, "\nmodule Judge()(x: [n, i]) -> [n] {\n  return sum(tanh(x |> %sl: Linear(3)), over: -1)\n}\nlet judge = Judge()\n",
             chance(a, 2) ? "bn: BatchNorm(eps: 0.1) |> " : "");
  text_add(&a->text, "\ntrain d in rows for 3 steps");
  if (accumulate > 1) text_add(&a->text, " with (accumulate: %d)", accumulate);
  text_add(&a->text, " {\n  let out = net(d.x%s)", a->pictures ? " + 0.1 * mean(d.z * iota(Q), over: Q)" : "");
  a->indent = 1, a->in_module = false, a->n = 0;
  add(a, "BP", "d.x")->used = true;
  if (a->pictures) add(a, "BPQ", "d.z")->used = true;
  add(a, out, "d.t")->used = true;
  add(a, out, "out")->used = true;
  if (chance(a, 4) && !a->drops) {
    Named *x = let(a, "BP", "tanh(d.x)");
    x->used = true;
    let(a, "BP", "grad(sum(net(%s)), %s)", x->name, x->name);
  }
  lines(a, pick(a, 5));
  if (judge_first) {
    text_add(&a->text, "\n  let jloss = mean(judge(stop(out)) ^ 2) + 0.1 * mean(judge(d.t))");
    text_add(&a->text, "\n  update judge minimize jloss using %s", optimizer(a));
  }
  line(a);
  text_add(&a->text, "let loss = ");
  static const char *const losses[] = {"mse(out, d.t)", "smooth_l1(out, d.t)", "mean(out ^ 2)", "mean(abs(out - 0.3))",
                                       "bce_with_logits(out, sigmoid(d.t))", "l1(out, d.t)"};
  static const char *const classifiers[] = {"cross_entropy(out, d.y)", "cross_entropy(out, d.y, smoothing: 0.1)"};
  text_add(&a->text, "%s", classes ? classifiers[pick(a, 2)] : losses[pick(a, 6)]);
  Named *logged = value(a);
  add_unused(a);
  if (judge_first) text_add(&a->text, " + 0.1 * mean(judge(out))");
  line(a);
  text_add(&a->text, "update net minimize loss using %s", optimizer(a));
  if (chance(a, 3)) a->text.data[--a->text.length] = 0, text_add(&a->text, ", clip: 0.5)");
  if (judged && !judge_first) judge_last(a);
  line(a);
  text_add(&a->text, "log loss\n  log l = %s(%s)", (const char *const[]){"mean", "sum"}[pick(a, 2)], logged->name);
  text_add(&a->text, "\n}\npredict p in { x: f32[B, P] } -> net(p.x)\n");
}

/* Moved by more than there is of the smallest; a flip before a crop and behind it. */
static const char *augmentation(uint64_t seed) {
  static const char *const all[] = {"flip", "crop(1)", "shift(3)", "flip, crop(2)", "crop(1), flip", "crop(2), crop(1)"};
  return all[seed / 4 % (sizeof all / sizeof *all)];
}

static bool write_text(Author *a, uint64_t seed, const char *folder, const int *size, char last) {
  char path[2048];
  snprintf(path, sizeof path, "%s/m.mt", folder);
  FILE *file = fopen(path, "w");
  bool ok = file &&
            fprintf(file,
                    "use nn\n"
                    "dim B = %d, P = %d, Q = %d, R = %d\n"
                    "data rows = npy(\"x.npy\", \"t.npy\", \"y.npy\"%s%s%s) -> { x: f32[B, P], t: f32[B, %c], y: i32[B]%s }\n"
                    "fn f0(a, b) = a * sigmoid(b) + %.1f\n"
                    "fn mix(a, b) = {\n  let c = a - b\n  where(c > 0, c * c, 0.2 * c)\n}\n%s",
                    size[0], size[1], size[2], size[3], a->pictures ? ", \"z.npy\", augment(" : "",
                    a->pictures ? augmentation(seed) : "", a->pictures ? ")" : "", last,
                    a->pictures ? ", z: f32[B, P, Q]" : "", (pick(a, 9) - 4) / 2.0, a->text.data) > 0;
  if (file) ok = !fclose(file) && ok;
  if (!ok) perror(path);
  return ok;
}

static bool write_array(const char *folder, const char *name, MtWide type, const int64_t *shape, void *data) {
  char path[2048];
  MtError error = {""};
  MtArray array = {.type = type, .data = data};
  while (shape[array.rank]) array.shape[array.rank] = shape[array.rank], array.rank++;
  snprintf(path, sizeof path, "%s/%s.npy", folder, name);
  bool ok = mt_write_npy(path, &array, &error);
  if (!ok) fprintf(stderr, "%s\n", error.text);
  return ok;
}

/* Some zeros, some large. */
static void fill(Author *a, float *to, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    to[i] = chance(a, 12) ? 0 : (float)(pick(a, 4001) - 2000) / (chance(a, 20) ? 100.0f : 1000.0f);
}

static bool write_data(Author *a, const char *folder, const int *size, char last) {
  int64_t rows = 1 + pick(a, 4 * size[0]), columns = size[1 + (int)(strchr(dims, last) - dims)];
  float *x = calloc((size_t)(rows * size[1]), sizeof *x), *t = calloc((size_t)(rows * columns), sizeof *t);
  float *z = calloc((size_t)(rows * size[1] * size[2]), sizeof *z);
  int32_t *y = calloc((size_t)rows, sizeof *y);
  fill(a, x, rows * size[1]), fill(a, t, rows * columns);
  for (int64_t i = 0; i < rows; i++) y[i] = pick(a, (int)columns);
  fill(a, z, rows * size[1] * size[2]);
  bool ok = write_array(folder, "x", MT_WIDE_F32, (int64_t[]){rows, size[1], 0}, x) &&
            write_array(folder, "t", MT_WIDE_F32, (int64_t[]){rows, columns, 0}, t) &&
            write_array(folder, "y", MT_WIDE_I32, (int64_t[]){rows, 0}, y) &&
            (!a->pictures || write_array(folder, "z", MT_WIDE_F32, (int64_t[]){rows, size[1], size[2], 0}, z));
  free(x), free(t), free(y), free(z);
  return ok;
}

bool random_model(uint64_t seed, const char *folder) {
  static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 13, 31};
  Author a = {.state = seed * 0x2545f4914f6cdd1du + 1, .pictures = seed % 4 == 0};
  if (seed % 5 == 1) a.turns = turns_of(seed);
  int size[1 + N_DIMS];
  char out[3];
  for (int i = 0; i <= N_DIMS; i++) size[i] = sizes[pick(&a, sizeof sizes / sizeof *sizes)];
  module(&a, out);
  training(&a, out);
  bool ok = write_text(&a, seed, folder, size, out[1]) && write_data(&a, folder, size, out[1]);
  text_free(&a.text);
  return ok;
}
