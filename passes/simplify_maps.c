/* simplify_maps.c - rewrites of elementwise nodes.
 *
 * Each function looks at one candidate; the table at the end names them all.
 */
#include <math.h>

#include "passes/simplify.h"

static bool is_number(const Node *x, double value) {
  return x->op == OP_const && x->attrs.value == value && signbit(x->attrs.value) == signbit(value);
}
static bool is_float(const Node *n) { return dtype_is_float(n->type.dtype); }

/* x in n's place, if it can stand there. */
static Node *replace_by(Rewriter *r, const Node *n, Node *x) {
  return rewrite_fits(n, x) && rewrite_ask(r, n) ? x : NULL;
}

static Node *unary(Rewriter *r, const Node *n, Op op, Node *x) { return rewrite_to(r, n, op, &x, 1, NULL); }
static Node *binary(Rewriter *r, const Node *n, Op op, Node *x, Node *y) {
  return rewrite_to(r, n, op, (Node *[]){x, y}, 2, NULL);
}

/* ---- broadcasting is implied ------------------------------------------------ */

/* Only axes of 1 were added in front. */
static bool adds_leading_ones(const Node *reshape) {
  const Type *from = &reshape->in[0]->type, *to = &reshape->type;
  int extra = to->rank - from->rank;
  for (int i = 0; i < to->rank && extra > 0; i++) {
    const Dim *d = &to->dim[i];
    if (i < extra ? d->size != 1 || d->rows : !dim_same(*d, from->dim[i - extra], false)) return false;
  }
  return extra > 0;
}

static Node *without_broadcast(Node *x) {
  while (x->op == OP_broadcast || (x->op == OP_reshape && adds_leading_ones(x))) x = x->in[0];
  return x;
}

/* f(broadcast x, y) = f(x, y); and f(broadcast x) = broadcast f(x), which computes less. */
static Node *drop_broadcasts(Rewriter *r, const Node *n) {
  Node *in[3];
  bool dropped = false;
  for (int k = 0; k < n->n_in; k++) {
    in[k] = without_broadcast(n->in[k]);
    dropped |= in[k] != n->in[k];
  }
  Type small;
  if (!dropped || !infer_candidate(n, in, &small) || !rewrite_ask(r, n)) return NULL;
  if (type_same_shape(&small, &n->type)) return rewrite_to(r, n, n->op, in, n->n_in, &n->attrs);
  return rewrite_broadcast(r, n, rewrite_part(r, n, "small", n->op, in, n->n_in, &n->attrs));
}

/* ---- identities --------------------------------------------------------------- */

static Node *forget(Rewriter *r, const Node *n) { return replace_by(r, n, n->in[0]); }

static Node *mul_one(Rewriter *r, const Node *n) {
  for (int k = 0; k < 2; k++)
    if (is_number(n->in[k], 1) && rewrite_fits(n, n->in[1 - k])) return replace_by(r, n, n->in[1 - k]);
  return NULL;
}

static Node *div_one(Rewriter *r, const Node *n) { return is_number(n->in[1], 1) ? replace_by(r, n, n->in[0]) : NULL; }
static Node *sub_zero(Rewriter *r, const Node *n) { return is_number(n->in[1], 0) ? replace_by(r, n, n->in[0]) : NULL; }

static Node *add_minus_zero(Rewriter *r, const Node *n) {
  for (int k = 0; k < 2; k++)
    if (is_float(n) && is_number(n->in[k], -0.0) && rewrite_fits(n, n->in[1 - k]))
      return replace_by(r, n, n->in[1 - k]);
  return NULL;
}

/* ---- signs ---------------------------------------------------------------------- */

static Node *neg_neg(Rewriter *r, const Node *n) {
  return n->in[0]->op == OP_neg ? replace_by(r, n, n->in[0]->in[0]) : NULL;
}

/* -(x * c) = x * -c, and so for division. */
static Node *neg_scaled(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if ((x->op != OP_mul && x->op != OP_div) || !is_float(n) || !rewrite_single_use(x)) return NULL;
  for (int k = 1; k >= 0; k--) {
    if (x->in[k]->op != OP_const || x->in[k]->type.dtype != n->type.dtype || !rewrite_ask(r, n)) continue;
    Node *in[2] = {x->in[0], x->in[1]};
    in[k] = rewrite_const(r, n, in[k]->type.dtype, -in[k]->attrs.value);
    return binary(r, n, x->op, in[0], in[1]);
  }
  return NULL;
}

static Node *mul_minus_one(Rewriter *r, const Node *n) {
  for (int k = 0; k < 2; k++)
    if (is_float(n) && is_number(n->in[k], -1) && rewrite_fits(n, n->in[1 - k]))
      return rewrite_ask(r, n) ? unary(r, n, OP_neg, n->in[1 - k]) : NULL;
  return NULL;
}

static Node *add_neg(Rewriter *r, const Node *n) {
  for (int k = 1; k >= 0; k--)
    if (is_float(n) && n->in[k]->op == OP_neg)
      return rewrite_ask(r, n) ? binary(r, n, OP_sub, n->in[1 - k], n->in[k]->in[0]) : NULL;
  return NULL;
}

static Node *sub_neg(Rewriter *r, const Node *n) {
  if (!is_float(n) || n->in[1]->op != OP_neg || !rewrite_ask(r, n)) return NULL;
  return binary(r, n, OP_add, n->in[0], n->in[1]->in[0]);
}

/* (-x)(-y) = x y and (-x) c = x (-c); also for division. */
static Node *product_of_neg(Rewriter *r, const Node *n) {
  Node *x = n->in[0], *y = n->in[1];
  if (!is_float(n)) return NULL;
  if (x->op == OP_neg && y->op == OP_neg) return rewrite_ask(r, n) ? binary(r, n, n->op, x->in[0], y->in[0]) : NULL;
  if (x->op == OP_neg && y->op == OP_const && is_float(y) && rewrite_ask(r, n))
    return binary(r, n, n->op, x->in[0], rewrite_const(r, n, y->type.dtype, -y->attrs.value));
  if (y->op == OP_neg && x->op == OP_const && is_float(x) && rewrite_ask(r, n))
    return binary(r, n, n->op, rewrite_const(r, n, x->type.dtype, -x->attrs.value), y->in[0]);
  return NULL;
}

static Node *abs_of_sign(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if ((x->op != OP_neg && x->op != OP_abs) || !is_float(n) || !rewrite_ask(r, n)) return NULL;
  return x->op == OP_abs ? x : unary(r, n, OP_abs, x->in[0]);
}

/* ---- powers and quotients --------------------------------------------------------- */

/* A quotient by a power of two is exactly the product with its inverse. */
static Node *div_power(Rewriter *r, const Node *n) {
  Node *y = n->in[1];
  int exponent;
  if (y->op != OP_const || !is_float(y) || !is_float(n->in[0])) return NULL;
  double mantissa = frexp(y->attrs.value, &exponent);
  if (fabs(mantissa) != 0.5 || exponent > 120 || exponent < -120 || !rewrite_ask(r, n)) return NULL;
  return binary(r, n, OP_mul, n->in[0], rewrite_const(r, n, y->type.dtype, 1 / y->attrs.value));
}

/* Powers that a few products say; 0.5 is not among them: pow(-0, 0.5) is 0 and pow(-inf, 0.5) inf. */
static Node *pow_number(Rewriter *r, const Node *n) {
  Node *x = n->in[0], *y = n->in[1];
  if (y->op != OP_const || !is_float(n) || !rewrite_fits(n, x)) return NULL;
  double power = y->attrs.value;
  if (power == 3 && n->type.dtype == BF16) return NULL; /* two roundings in place of one */
  if ((power != -1 && power != 0 && power != 1 && power != 2 && power != 3) || !rewrite_ask(r, n)) return NULL;
  if (power == 1) return x;
  if (power == 0) return rewrite_broadcast(r, n, rewrite_const(r, n, n->type.dtype, 1)); /* for NaN too */
  if (power == -1) return binary(r, n, OP_div, rewrite_const(r, n, n->type.dtype, 1), x);
  if (power == 2) return binary(r, n, OP_mul, x, x);
  Node *square = rewrite_part(r, n, "square", OP_mul, (Node *[]){x, x}, 2, NULL);
  return binary(r, n, OP_mul, square, x);
}

/* ---- choices ------------------------------------------------------------------------ */

static Node *where_const(Rewriter *r, const Node *n) {
  if (n->in[0]->op != OP_const) return NULL;
  Node *x = n->in[0]->attrs.value != 0 ? n->in[1] : n->in[2];
  return x->type.dtype == n->type.dtype && rewrite_ask(r, n) ? rewrite_broadcast(r, n, x) : NULL;
}

static Node *where_same(Rewriter *r, const Node *n) { return n->in[1] == n->in[2] ? replace_by(r, n, n->in[1]) : NULL; }

static Node *where_not(Rewriter *r, const Node *n) {
  if (n->in[0]->op != OP_not || !rewrite_ask(r, n)) return NULL;
  return rewrite_to(r, n, OP_where, (Node *[]){n->in[0]->in[0], n->in[2], n->in[1]}, 3, NULL);
}

static Node *not_not(Rewriter *r, const Node *n) {
  return n->in[0]->op == OP_not ? replace_by(r, n, n->in[0]->in[0]) : NULL;
}
static Node *same_twice(Rewriter *r, const Node *n) { return n->in[0] == n->in[1] ? replace_by(r, n, n->in[0]) : NULL; }
static Node *relu_relu(Rewriter *r, const Node *n) {
  return n->in[0]->op == OP_relu ? replace_by(r, n, n->in[0]) : NULL;
}

/* ---- casts ---------------------------------------------------------------------------- */

/* Every value of `from` is one of `to`. */
static bool is_exact(DType from, DType to) {
  static const bool exact[DTYPE_COUNT][DTYPE_COUNT] = {
      [F32] = {[F64] = true},
      [BF16] = {[F32] = true, [F64] = true},
      [I32] = {[F64] = true},
      [U8] = {[F32] = true, [F64] = true, [BF16] = true, [I32] = true},
      [BOOL] = {[F32] = true, [F64] = true, [BF16] = true, [I32] = true, [U8] = true},
  };
  return from == to || exact[from][to];
}

static Node *cast_cast(Rewriter *r, const Node *n) {
  Node *middle = n->in[0];
  if (middle->op != OP_cast || !is_exact(middle->in[0]->type.dtype, middle->type.dtype) || !rewrite_ask(r, n))
    return NULL;
  return rewrite_to(r, n, OP_cast, middle->in, 1, &n->attrs);
}

const RewriteRow map_rewrites[] = {
    {"map.broadcast", ANY_MAP, drop_broadcasts},
    {"map.fold", ANY_MAP, fold_constants},
    {"stop", OP_stop, forget},
    {"copy", OP_copy, forget},
    {"mul.one", OP_mul, mul_one},
    {"mul.minus", OP_mul, mul_minus_one},
    {"mul.neg", OP_mul, product_of_neg},
    {"div.one", OP_div, div_one},
    {"div.neg", OP_div, product_of_neg},
    {"div.power", OP_div, div_power},
    {"add.zero", OP_add, add_minus_zero},
    {"add.neg", OP_add, add_neg},
    {"sub.zero", OP_sub, sub_zero},
    {"sub.neg", OP_sub, sub_neg},
    {"neg.neg", OP_neg, neg_neg},
    {"neg.scaled", OP_neg, neg_scaled},
    {"abs.sign", OP_abs, abs_of_sign},
    {"relu.relu", OP_relu, relu_relu},
    {"pow.number", OP_pow, pow_number},
    {"maximum.same", OP_maximum, same_twice},
    {"minimum.same", OP_minimum, same_twice},
    {"and.same", OP_and, same_twice},
    {"or.same", OP_or, same_twice},
    {"not.not", OP_not, not_not},
    {"where.const", OP_where, where_const},
    {"where.same", OP_where, where_same},
    {"where.not", OP_where, where_not},
    {"cast.same", OP_cast, forget},
    {"cast.cast", OP_cast, cast_cast},
    {NULL, 0, NULL},
};
