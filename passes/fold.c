/* fold.c - maps of constants are constants.
 *
 * Constants keep their double value and are rounded once, where a target
 * prints them: 0.1 * 3 folds to what 0.3 would be, which is at most as far off
 * as rounding twice.  Two things are not folded: what would leave the range of
 * its dtype, since the target would have seen an infinity or a zero there, and
 * what jumps (comparisons, floor, casts to integers) when rounding the operands first
 * would give another answer.  In bf16, where a rounding is no small thing, only
 * what is exact is folded.
 */
#include <float.h>
#include <math.h>

#include "passes/simplify.h"

static double evaluate_map(const Node *n) { return evaluate_scalar(n, 0, 0, 0); }

/* Is it one of the 8 significant bits of a bf16? */
static bool is_bf16(double value) {
  int exponent;
  double mantissa = frexp(value, &exponent);
  return !isfinite(value) || value == 0 || (ldexp(mantissa, 8) == rint(ldexp(mantissa, 8)) && exponent > -125);
}

static bool rounds_to_bf16(const Node *n, double value) {
  if (n->type.dtype == BF16 && !is_bf16(value)) return true;
  for (int k = 0; k < n->n_in; k++)
    if (n->in[k]->type.dtype == BF16 && !is_bf16(n->in[k]->attrs.value)) return true;
  return false;
}

static double rounded(DType dtype, double value) {
  return dtype == F32 || dtype == BF16 ? (double)(float)value : value;
}

static double evaluate_rounded(const Node *n) {
  Node operands[3], *in[3], again = *n;
  for (int k = 0; k < n->n_in; k++) {
    operands[k] = *n->in[k];
    operands[k].attrs.value = rounded(operands[k].type.dtype, operands[k].attrs.value);
    in[k] = &operands[k];
  }
  again.in = in;
  return evaluate_map(&again);
}

static bool jumps(const Node *n) {
  return !dtype_is_float(n->type.dtype) || n->op == OP_floor || n->op == OP_ceil || n->op == OP_round ||
         n->op == OP_sign || n->op == OP_floordiv || n->op == OP_mod;
}

static bool same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static bool in_range(DType dtype, double value) {
  if (dtype == F64 || !dtype_is_float(dtype)) return true; /* integers have wrapped */
  return value == 0 || !isfinite(value) || (fabs(value) <= FLT_MAX && fabs(value) >= FLT_MIN);
}

Node *fold_constants(Rewriter *r, const Node *n) {
  for (int k = 0; k < n->n_in; k++)
    if (n->in[k]->op != OP_const) return NULL;
  double value = evaluate_map(n), again = evaluate_rounded(n);
  if (!in_range(n->type.dtype, value) || isfinite(value) != isfinite(again) || (value == 0) != (again == 0))
    return NULL;
  if (rounds_to_bf16(n, value)) return NULL;
  if ((jumps(n) || !isfinite(value)) && !same(value, again)) return NULL;
  return rewrite_ask(r, n) ? rewrite_const(r, n, n->type.dtype, value) : NULL;
}
