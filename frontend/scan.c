/* scan.c - what is added or multiplied up along an axis: cumsum, cumprod and prod.
 *
 * A running sum is a sum of what its place sees, in blocks where the axis is long.  Products are done by halves, in as
 * many steps as the size has binary digits: element i of a running one takes what stands 1, 2, 4 ... places before it,
 * and a whole one multiplies its first half by its second until one is left.  Nothing is divided by, so the slope of a
 * product at its zeros is what PyTorch says it is, and a slope of a slope too.
 */
#include <string.h>

#include "frontend/join.h"

enum { BLOCK = 64 };

/* Integers of a bool count it. */
static Node *countable(Builder *b, Node *x) { return x->type.dtype == BOOL ? b_cast(b, x, I32) : x; }

/* x with element i - by in place of i, and zeros in front. */
static Node *moved(Builder *b, Node *x, int axis, int64_t by) {
  int64_t start[MAX_RANK] = {0};
  start[axis] = by;
  return b_pad(b, cut(b, x, axis, 0, dim_literal(x->type.dim[axis].size - by)), &x->type, start, every);
}

/* By halves: element i takes what stands 1, 2, 4 ... places before it. */
static Node *doubled(Builder *b, Op op, Node *x, int axis) {
  for (int64_t by = 1; by < x->type.dim[axis].size; by *= 2)
    x = b_where(b, before(b, &x->type, axis, by), x, b_binary(b, op, x, moved(b, x, axis, by)));
  return x;
}

/* Element i is the sum over j <= i, of an axis that stands twice for it. */
static Node *triangle(Builder *b, Node *x, int axis) {
  Type wide = x->type;
  memmove(&wide.dim[axis + 1], &wide.dim[axis], sizeof *wide.dim * (size_t)(wide.rank++ - axis));
  Type line = {.dtype = I32, .rank = wide.rank - axis};
  for (int i = 0; i < line.rank; i++) line.dim[i] = i < 2 ? wide.dim[axis] : dim_literal(1);
  Node *seen = b_binary(b, OP_le, b_iota(b, &line, 1), b_iota(b, &line, 0));
  Type narrow = wide;
  narrow.dim[axis] = dim_literal(1);
  Node *kept = b_where(b, seen, b_reshape(b, x, &narrow), b_const(b, x->type.dtype, 0));
  return b_reduce(b, OP_sum, kept, 1, &(int){axis + 1}, false);
}

/* The sums within blocks, and to each what all blocks before it come to. */
static Node *summed(Builder *b, Node *x, int axis) {
  int64_t size = x->type.dim[axis].size, n = (size + BLOCK - 1) / BLOCK, start[MAX_RANK] = {0};
  if (n <= 1) return triangle(b, x, axis);
  Type whole = x->type, blocks, ends;
  whole.dim[axis] = dim_literal(n * BLOCK);
  blocks = whole;
  memmove(&blocks.dim[axis + 1], &blocks.dim[axis], sizeof *blocks.dim * (size_t)(blocks.rank++ - axis));
  blocks.dim[axis] = dim_literal(n), blocks.dim[axis + 1] = dim_literal(BLOCK);
  ends = whole, ends.dim[axis] = dim_literal(n);
  Node *own = triangle(b, b_reshape(b, b_pad(b, x, &whole, start, every), &blocks), axis + 1);
  Node *sums = summed(b, b_reshape(b, cut(b, own, axis + 1, BLOCK - 1, dim_literal(1)), &ends), axis);
  Type one = blocks;
  one.dim[axis + 1] = dim_literal(1);
  Node *all = b_binary(b, OP_add, own, b_reshape(b, moved(b, sums, axis, 1), &one));
  return cut(b, b_reshape(b, all, &whole), axis, 0, x->type.dim[axis]);
}

Value scan_call(Lower *l, Call *call, const Builtin *self) {
  int axis;
  Node *x = right_count(l, call, self) ? as_tensor(l, call->value[0], F32, call->e) : NULL;
  if (!x || !fixed_axis(l, call, self, &x->type, &axis)) return poison();
  Builder b = builders(l, call->e, self->name);
  x = countable(&b, x);
  bool sums = self->op == OP_add && x->type.dim[axis].size > 0 && x->type.rank + 2 <= MAX_RANK;
  return tensor_value(sums ? summed(&b, x, axis) : doubled(&b, self->op, x, axis));
}

/* The axes as one at the end. */
static Node *flattened(Builder *b, Node *x, int n, const int *axes) {
  Type flat = {.dtype = x->type.dtype};
  int order[MAX_RANK], k = 0;
  int64_t size = 1;
  for (int i = 0; i < x->type.rank; i++) {
    if (k < n && axes[k] == i) {
      order[x->type.rank - n + k++] = i;
      size *= x->type.dim[i].size;
    } else {
      order[flat.rank] = i;
      flat.dim[flat.rank++] = x->type.dim[i];
    }
  }
  flat.dim[flat.rank++] = dim_literal(size);
  return b_reshape(b, b_transpose(b, x, order), &flat);
}

static Node *halved(Builder *b, Node *x, int axis) {
  int64_t size = x->type.dim[axis].size, half = (size + 1) / 2, start[MAX_RANK] = {0};
  Node *first = cut(b, x, axis, 0, dim_literal(half)), *second = cut(b, x, axis, half, dim_literal(size - half));
  if (size % 2 == 0) return b_binary(b, OP_mul, first, second);
  Node *padded = b_pad(b, second, &first->type, start, every);
  return b_where(b, before(b, &first->type, axis, size - half), b_binary(b, OP_mul, first, padded), first);
}

Value prod_call(Lower *l, Call *call, const Builtin *self) {
  int axes[MAX_RANK], n;
  Node *x = right_count(l, call, self) ? as_tensor(l, call->value[0], F32, call->e) : NULL;
  const Expr *over = take_key(call, "over");
  bool keep = flag(l, take_key(call, "keep"), false);
  if (!x || !axes_of(l, over, &x->type, axes, &n) || !no_batch(l, self, &x->type, n, axes, over ? over : call->e))
    return poison();
  Builder b = builders(l, call->e, self->name);
  x = countable(&b, x);
  if (n == 0) return tensor_value(x);
  Type left = {.dtype = x->type.dtype};
  for (int i = 0, k = 0; i < x->type.rank; i++) {
    bool gone = k < n && axes[k] == i;
    k += gone;
    if (!gone || keep) left.dim[left.rank++] = gone ? dim_literal(1) : x->type.dim[i];
  }
  x = flattened(&b, x, n, axes);
  int last = x->type.rank - 1;
  while (x->type.dim[last].size > 1) x = halved(&b, x, last);
  if (x->type.dim[last].size == 1) return tensor_value(b_reshape(&b, x, &left));
  Node *none = b_reduce(&b, OP_sum, x, 1, &last, false); /* 0, with a slope of no elements */
  return tensor_value(b_reshape(&b, b_scalar(&b, OP_add, none, 1), &left));
}
