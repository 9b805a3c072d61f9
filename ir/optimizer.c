/* optimizer.c - the optimizers: rows of one table, and what their rules mean.
 *
 * A rule is the update of one parameter element as text: assignments in order,
 * over p (the parameter), g (its gradient), t (1 at the first update), the
 * options and the slots, in PyTorch's order of operations.  The small
 * evaluator below runs it in double precision.  It is the reference that the
 * runtime's hand-written loops are tested against, so it parses the text
 * afresh for every element and is in no hurry.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

const Optimizer optimizers[] = {
    {"sgd",
     {"lr", "momentum", "dampening", "decay", "nesterov"},
     {NAN, 0, 0, 0, 0},
     1, {"buf"},
     "g = g + decay * p;"
     "buf = t == 1 ? g : momentum * buf + (1 - dampening) * g;"
     "d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf;"
     "p = p - lr * d"},
    {"adam",
     {"lr", "beta1", "beta2", "eps", "decay"},
     {1e-3, 0.9, 0.999, 1e-8, 0},
     2, {"m", "v"},
     "g = g + decay * p;"
     "m = beta1 * m + (1 - beta1) * g;"
     "v = beta2 * v + (1 - beta2) * g * g;"
     "p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)"},
    {"adamw",
     {"lr", "beta1", "beta2", "eps", "decay"},
     {1e-3, 0.9, 0.999, 1e-8, 0.01},
     2, {"m", "v"},
     "p = p * (1 - lr * decay);"
     "m = beta1 * m + (1 - beta1) * g;"
     "v = beta2 * v + (1 - beta2) * g * g;"
     "p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)"},
    {"rmsprop",
     {"lr", "alpha", "eps", "momentum", "decay", "centered"},
     {1e-2, 0.99, 1e-8, 0, 0, 0},
     3, {"v", "mean", "buf"},
     "g = g + decay * p;"
     "v = alpha * v + (1 - alpha) * g * g;"
     "mean = centered == 0 ? mean : alpha * mean + (1 - alpha) * g;"
     "d = g / (sqrt(v - mean * mean) + eps);"
     "buf = momentum == 0 ? buf : momentum * buf + d;"
     "p = p - lr * (momentum == 0 ? d : buf)"},
    {"adagrad",
     {"lr", "lr_decay", "decay", "eps"},
     {1e-2, 0, 0, 1e-10},
     1, {"sum"},
     "g = g + decay * p;"
     "sum = sum + g * g;"
     "p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum) + eps)"},
    {"adadelta",
     {"lr", "rho", "eps", "decay"},
     {1, 0.9, 1e-6, 0},
     2, {"v", "u"},
     "g = g + decay * p;"
     "v = rho * v + (1 - rho) * g * g;"
     "d = sqrt(u + eps) / sqrt(v + eps) * g;"
     "u = rho * u + (1 - rho) * d * d;"
     "p = p - lr * d"},
    {"adamax",
     {"lr", "beta1", "beta2", "eps", "decay"},
     {2e-3, 0.9, 0.999, 1e-8, 0},
     2, {"m", "u"},
     "g = g + decay * p;"
     "m = beta1 * m + (1 - beta1) * g;"
     "u = max(beta2 * u, abs(g) + eps);"
     "p = p - lr / (1 - beta1 ^ t) * m / u"},
    {"lion",
     {"lr", "beta1", "beta2", "decay"},
     {1e-4, 0.9, 0.99, 0},
     1, {"m"},
     "p = p * (1 - lr * decay);"
     "p = p - lr * sign(beta1 * m + (1 - beta1) * g);"
     "m = beta2 * m + (1 - beta2) * g"},
};
const int n_optimizers = sizeof optimizers / sizeof optimizers[0];

const Optimizer *optimizer_find(const char *name) {
  for (int i = 0; i < n_optimizers; i++)
    if (!strcmp(optimizers[i].name, name)) return &optimizers[i];
  return NULL;
}

/* ---- the evaluator of rules --------------------------------------------- */

enum { MAX_VARIABLES = 3 + MAX_HYPER + MAX_SLOTS + 4 };

typedef struct Rule {
  const char *at;
  int n;
  struct { const char *name; size_t length; double value; } variable[MAX_VARIABLES];
} Rule;

static double *variable(Rule *r, const char *name, size_t length) {
  for (int i = 0; i < r->n; i++)
    if (r->variable[i].length == length && !memcmp(r->variable[i].name, name, length)) return &r->variable[i].value;
  if (r->n == MAX_VARIABLES) fault("an optimizer's rule has too many variables");
  r->variable[r->n].name = name;
  r->variable[r->n].length = length;
  return &r->variable[r->n++].value;
}

static void bind(Rule *r, const char *name, double value) { *variable(r, name, strlen(name)) = value; }

static bool accept(Rule *r, const char *mark) {
  r->at += strspn(r->at, " ");
  size_t length = strlen(mark);
  if (strncmp(r->at, mark, length)) return false;
  r->at += length;
  return true;
}

static void expect(Rule *r, const char *mark) {
  if (!accept(r, mark)) fault("an optimizer's rule lacks '%s' at: %s", mark, r->at);
}

static double expression(Rule *r);

static double call(Rule *r, const char *name, size_t length) {
  double x = expression(r), y = accept(r, ",") ? expression(r) : 0;
  expect(r, ")");
  if (length == 4 && !memcmp(name, "sqrt", 4)) return sqrt(x);
  if (length == 4 && !memcmp(name, "sign", 4)) return (x > 0) - (x < 0);
  if (length == 3 && !memcmp(name, "abs", 3)) return fabs(x);
  if (length == 3 && !memcmp(name, "min", 3)) return isnan(x) || isnan(y) ? NAN : x < y ? x : y;
  if (length == 3 && !memcmp(name, "max", 3)) return isnan(x) || isnan(y) ? NAN : x > y ? x : y;
  fault("an optimizer's rule calls an unknown function: %s", name);
}

static double primary(Rule *r) {
  if (accept(r, "(")) {
    double x = expression(r);
    expect(r, ")");
    return x;
  }
  if (isalpha((unsigned char)*r->at)) {
    const char *name = r->at;
    while (isalnum((unsigned char)*r->at) || *r->at == '_') r->at++;
    size_t length = (size_t)(r->at - name);
    return accept(r, "(") ? call(r, name, length) : *variable(r, name, length);
  }
  char *end;
  double x = strtod(r->at, &end);
  if (end == r->at) fault("an optimizer's rule has no value at: %s", r->at);
  r->at = end;
  return x;
}

static double unary(Rule *r) {
  if (accept(r, "-")) return -unary(r);
  double x = primary(r);
  return accept(r, "^") ? pow(x, unary(r)) : x;
}

static double product(Rule *r) {
  for (double x = unary(r);;) {
    if (accept(r, "*")) x *= unary(r);
    else if (accept(r, "/")) x /= unary(r);
    else return x;
  }
}

static double sum(Rule *r) {
  for (double x = product(r);;) {
    if (accept(r, "+")) x += product(r);
    else if (accept(r, "-")) x -= product(r);
    else return x;
  }
}

static double comparison(Rule *r) {
  double x = sum(r);
  if (accept(r, "==")) return x == sum(r);
  if (accept(r, "!=")) return x != sum(r);
  if (accept(r, "<=")) return x <= sum(r);
  if (accept(r, ">=")) return x >= sum(r);
  if (accept(r, "<")) return x < sum(r);
  if (accept(r, ">")) return x > sum(r);
  return x;
}

static double expression(Rule *r) {
  double condition = comparison(r);
  if (!accept(r, "?")) return condition;
  double yes = expression(r);
  expect(r, ":");
  double no = expression(r);
  return condition != 0 ? yes : no;
}

double optimizer_apply(const Optimizer *o, const double *hyper, double t, double p, double g, double *slots) {
  Rule r = {.at = o->rule};
  bind(&r, "p", p);
  bind(&r, "g", g);
  bind(&r, "t", t);
  for (int i = 0; i < MAX_HYPER && o->hyper[i]; i++) bind(&r, o->hyper[i], hyper[i]);
  for (int i = 0; i < o->n_slots; i++) bind(&r, o->slot[i], slots[i]);
  do {
    r.at += strspn(r.at, " ");
    const char *name = r.at;
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789");
    r.at += length;
    expect(&r, "=");
    double value = expression(&r);
    *variable(&r, name, length) = value;
  } while (accept(&r, ";"));
  for (int i = 0; i < o->n_slots; i++) slots[i] = *variable(&r, o->slot[i], strlen(o->slot[i]));
  return *variable(&r, "p", 1);
}
