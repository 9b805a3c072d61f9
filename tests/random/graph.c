/* graph.c - random graphs: one maker for each kind of op in the table. */
#include <math.h>
#include <string.h>

#include "tests/random/random.h"

enum { MAX_POOL = 60, MAX_ELEMENTS = 500, MAX_SIZES = 4, MOST_AXES = 5, MAX_DEPTH = 2, MOST_TURNS = 5 };

typedef struct Pool {
  Kit *kit;
  Builder *b;
  int n;
  Node *at[MAX_POOL];
  int64_t size[MAX_SIZES];
  bool special; /* NaN, infinities and zeros among the values */
  int grads;    /* asked for so far */
  int depth;    /* of loops around */
  const char *loops[MAX_DEPTH]; /* their paths, the outermost first */
} Pool;

static int pick(Pool *p, int below) { return (int)kit_random(p->kit, (uint64_t)below); }
static bool chance(Pool *p, int in) { return pick(p, in) == 0; }

/* Recent values more often, so that graphs get deep. */
static Node *any(Pool *p) { return pick(p, 2) ? p->at[p->n - 1 - pick(p, p->n < 4 ? p->n : 4)] : p->at[pick(p, p->n)]; }

static Node *any_of(Pool *p, bool (*fits)(DType)) {
  for (;;) {
    Node *x = any(p);
    if (fits(x->type.dtype)) return x;
  }
}
static Node *any_float(Pool *p) { return any_of(p, dtype_is_float); }

static bool is_small(const Type *t) { return t->rank <= MOST_AXES && type_count(t) <= MAX_ELEMENTS; }

/* ---- leaves ------------------------------------------------------------------ */

static double value(Pool *p) {
  static const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, 0x1p-130};
  if (p->special && chance(p, 12)) return odd[pick(p, 8)];
  return (double)(float)((double)(pick(p, 4001) - 2000) / 1000);
}

static void fill(Pool *p, const Node *leaf) {
  for (int i = 0; i < p->kit->n_leaves; i++) {
    Leaf *l = &p->kit->leaves[i];
    if (l->node != leaf) continue;
    for (int64_t k = 0; k < l->count; k++) l->data[k] = leaf->type.dtype == I32 ? pick(p, 5) : value(p);
  }
}

/* Axes from a handful of sizes, so that shapes meet. */
static int any_shape(Pool *p, int most, int64_t *size) {
  int rank = pick(p, most + 1);
  int64_t count = 1;
  for (int i = 0; i < rank; i++) {
    size[i] = chance(p, 4) ? 1 : p->size[pick(p, MAX_SIZES)];
    if (count * size[i] > MAX_ELEMENTS / 2) size[i] = 1;
    count *= size[i] ? size[i] : 1;
  }
  return rank;
}

static void add(Pool *p, Node *node) {
  if (node) p->at[p->n++] = node;
}

static void make_leaves(Pool *p) {
  static const int64_t sizes[] = {1, 2, 2, 3, 3, 4, 5, 5, 7, 8, 13, 17, 33, 67};
  int64_t shape[MAX_RANK];
  for (int i = 0; i < MAX_SIZES; i++) p->size[i] = sizes[pick(p, 14)];
  if (chance(p, 12)) p->size[0] = 0;
  if (chance(p, 2)) {
    int64_t capacity = 1 + pick(p, 9), rows = chance(p, 3) ? capacity : 1 + pick(p, (int)capacity);
    int rank = any_shape(p, 2, shape);
    add(p, kit_batch(p->kit, "x", F32, capacity, rows, rank, shape));
    add(p, kit_batch(p->kit, "y", I32, capacity, rows, 0, NULL));
  }
  for (int i = 0, n = 3 + pick(p, 4); i < n; i++) {
    int rank = any_shape(p, i < 3 ? 3 : MOST_AXES, shape);
    add(p, kit_param(p->kit, arena_print(p->kit->arena, "p%d", i), kit_type(F32, rank, shape)));
  }
  int rank = any_shape(p, 3, shape);
  add(p, kit_state(p->kit, "state", kit_type(F32, rank, shape)));
  for (int i = 0; i < p->n; i++) fill(p, p->at[i]);
}

/* ---- operands in their domain ------------------------------------------------------- */

static Node *within(Pool *p, Node *x, double low, double high) { return b_clamp(p->b, x, low, high); }
static Node *positive(Pool *p, Node *x) { return b_scalar(p->b, OP_add, b_unary(p->b, OP_abs, x), 0.5); }
static Node *number(Pool *p, Node *x) { /* not NaN */
  return b_where(p->b, b_binary(p->b, OP_eq, x, x), x, b_const(p->b, x->type.dtype, 0));
}

/* Most of the time, so that not all becomes NaN; special values are let through as they are. */
static Node *tame(Pool *p, Op op, int operand, Node *x) {
  if (!dtype_is_float(x->type.dtype) || chance(p, 16)) return x;
  switch (op) {
  case OP_exp:
  case OP_expm1: return within(p, x, -3, 3);
  case OP_log:
  case OP_log1p:
  case OP_sqrt:
  case OP_rsqrt: return positive(p, x);
  case OP_div:
  case OP_floordiv:
  case OP_mod: return operand ? positive(p, x) : x;
  case OP_pow: return operand ? within(p, x, -2, 3) : positive(p, x);
  default: return x;
  }
}

/* ---- makers: a node, or NULL when the dice do not fit ------------------------------------- */

static Node *try_op(Pool *p, Op op, int n, Node *const *in, const Attrs *attrs) {
  const Type *types[6] = {0};
  Type type;
  for (int i = 0; i < n; i++) types[i] = &in[i]->type;
  if (!infer_type(op, n, types, attrs, false, &type, &(TypeError){0}) || !is_small(&type)) return NULL;
  return node_new(p->b->graph, op, in, n, attrs, op_info[op].name, NULL);
}

static Node *turn_of(Pool *p, int loop) {
  Attrs attrs = {.path = p->loops[loop], .shape = type_scalar(I32)};
  return node_new(p->b->graph, OP_turn, NULL, 0, &attrs, "turn", NULL);
}

static Node *make_leaf(Pool *p, Op op) {
  static const double numbers[] = {0.0, -0.0, 1, -1, 2, 0.5, 3, -4};
  int64_t shape[MAX_RANK];
  if (op == OP_const) {
    Node *c = b_const(p->b, F32, numbers[pick(p, 8)]), *x = any_float(p);
    static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_div, OP_pow, OP_maximum};
    Op with = ops[pick(p, 6)];
    if (with == OP_pow) x = positive(p, x);
    return pick(p, 3) ? b_binary(p->b, with, x, c) : b_binary(p->b, with == OP_pow ? OP_mul : with, c, x);
  }
  if (op == OP_iota) {
    Type t = kit_type(I32, any_shape(p, 3, shape), shape);
    return t.rank ? b_iota(p->b, &t, pick(p, t.rank)) : NULL;
  }
  if (op == OP_turn) return p->depth ? b_cast(p->b, turn_of(p, pick(p, p->depth)), F32) : NULL;
  return op == OP_rows && p->kit->rows ? b_cast(p->b, b_rows(p->b, p->kit->rows), F32) : NULL;
}

static Node *make_random(Pool *p, Op op) {
  Type shape = any_float(p)->type;
  if (type_rows(&shape) && !shape.dim[0].rows) return NULL;
  Attrs attrs = {.path = arena_print(p->kit->arena, "site%d", p->n), .shape = shape, .distribution = pick(p, 2)};
  if (p->depth) attrs.path = arena_print(p->kit->arena, "%s.%s", p->loops[p->depth - 1], attrs.path);
  Node *turns[MAX_DEPTH];
  for (int i = 0; i < p->depth; i++) turns[i] = turn_of(p, i);
  return try_op(p, op, p->depth, turns, &attrs);
}

static void shuffle_axes(Pool *p, int rank, int *axes) {
  for (int i = 0; i < rank; i++) axes[i] = i;
  for (int i = rank - 1; i > 0; i--) {
    int j = pick(p, i + 1), axis = axes[i];
    axes[i] = axes[j], axes[j] = axis;
  }
}

/* Neighbours as one axis, a new axis of one, or one axis as two. */
static bool reshaped(Pool *p, Type *t) {
  int at = t->rank ? pick(p, t->rank) : 0;
  if (t->rank > 1 && at + 1 < t->rank && pick(p, 2)) {
    if (t->dim[at + 1].rows || (t->dim[at].rows && at)) return false;
    Dim both = dim_literal(t->dim[at].size * t->dim[at + 1].size);
    if (t->dim[at].rows) both.text = arena_print(p->kit->arena, "B * %lld", (long long)(both.size / p->kit->rows->size));
    both.rows = t->dim[at].rows;
    t->dim[at] = both;
    memmove(&t->dim[at + 1], &t->dim[at + 2], sizeof t->dim[0] * (size_t)(t->rank - at - 2));
    t->rank--;
    return true;
  }
  int64_t size = t->rank ? t->dim[at].size : 1, part = size % 2 == 0 && size ? 2 : size % 3 == 0 && size ? 3 : 1;
  if (t->rank == MOST_AXES || (t->rank && t->dim[at].rows)) return false;
  memmove(&t->dim[at + 1], &t->dim[at], sizeof t->dim[0] * (size_t)(t->rank - at));
  if (t->rank) t->dim[at + 1] = dim_literal(size / part);
  t->dim[at] = dim_literal(part);
  t->rank++;
  return true;
}

static Node *make_view(Pool *p, Op op) {
  Node *x = any(p);
  Attrs a = {.shape = x->type};
  Type *t = &a.shape;
  switch (op) {
  case OP_transpose:
    a.n_axes = t->rank;
    shuffle_axes(p, t->rank, a.axes);
    break;
  case OP_reshape:
    if (!reshaped(p, t)) return NULL;
    break;
  case OP_broadcast:
    for (int i = 0; i < t->rank; i++)
      if (t->dim[i].size == 1 && !t->dim[i].rows && pick(p, 2)) t->dim[i] = dim_literal(p->size[pick(p, MAX_SIZES)]);
    if (t->rank < MOST_AXES && !type_rows(t) && pick(p, 2)) {
      memmove(&t->dim[1], &t->dim[0], sizeof t->dim[0] * (size_t)t->rank);
      t->dim[0] = dim_literal(p->size[pick(p, MAX_SIZES)]);
      t->rank++;
    }
    break;
  case OP_skew:
  case OP_unskew: /* as windows, or as it stands */
    if (op == OP_skew && t->rank && t->rank < MOST_AXES && pick(p, 2)) {
      Type ones = *t, wide = *t;
      int at = type_rows(t) ? 1 : pick(p, t->rank + 1); /* behind the batch */
      memmove(&ones.dim[at + 1], &t->dim[at], sizeof t->dim[0] * (size_t)(t->rank - at));
      ones.dim[at] = dim_literal(1), ones.rank++;
      wide = ones, wide.dim[at] = dim_literal(1 + pick(p, 3));
      x = b_broadcast(p->b, b_reshape(p->b, x, &ones), &wide);
      *t = x->type, a.window = at;
      a.axis = at + 1 < t->rank ? at + 1 : at - 1;
    } else {
      if (t->rank < 2) return NULL;
      a.axis = pick(p, t->rank);
      a.window = (a.axis + 1 + pick(p, t->rank - 1)) % t->rank;
    }
    if (t->dim[a.axis].rows || t->dim[a.window].rows) return NULL;
    a.stride = 1 + pick(p, 3), a.dilation = 1 + pick(p, 2), a.padding = pick(p, 3);
    t->dim[a.axis] = dim_literal(pick(p, 7));
    break;
  default: /* slice and pad: the batch is left alone */
    for (int i = 0; i < t->rank; i++) {
      a.step[i] = 1;
      if (t->dim[i].rows || pick(p, 2)) continue;
      a.step[i] = 1 + pick(p, 3), a.start[i] = pick(p, 3);
      int64_t n = t->dim[i].size, room = n - a.start[i];
      if (op == OP_slice)
        t->dim[i] = dim_literal(room < 1 ? 0 : (room + a.step[i] - 1) / a.step[i]);
      else
        t->dim[i] = dim_literal(a.start[i] + (n ? (n - 1) * a.step[i] + 1 : 0) + pick(p, 3));
      if (op == OP_slice && room < 0) return NULL;
      int64_t least = op == OP_slice ? t->dim[i].size : n;
      if (least && pick(p, 3) == 0) a.start[i] += (least - 1) * a.step[i], a.step[i] = -a.step[i]; /* turned round */
    }
  }
  return try_op(p, op, 1, &x, &a);
}

/* Integers stay small: C's would overflow where the evaluator's do not. */
static Node *small(Pool *p, Node *x) {
  return x && x->type.dtype == I32 ? b_binary(p->b, OP_mod, x, b_const(p->b, I32, 7)) : x;
}

static Node *make_cast(Pool *p) {
  static const DType to[] = {F32, F32, I32, U8, BOOL, F64, BF16, BF16};
  Node *x = any(p);
  DType dtype = to[pick(p, 8)];
  if (dtype_is_float(x->type.dtype) && !dtype_is_float(dtype) && dtype != BOOL)
    x = within(p, number(p, x), dtype == U8 ? 0 : -50, 50);
  Node *cast = b_cast(p->b, x, dtype);
  return dtype == F64 || dtype == U8 ? b_cast(p->b, cast, F32) : cast;
}

/* Whether a gradient flows from a node to its operand k. */
static bool flows(const Node *node, int k) {
  static const char *const rules[] = {
#define OP(op, n, kind, attributes, shape, gradient, expression) #gradient,
#include "ir/ops.def"
#undef OP
  };
  bool index = (node->op == OP_where && k == 0) || (k == 1 && (node->op == OP_gather || node->op == OP_scatter_add));
  return strcmp(rules[node->op], "none") && !index && dtype_is_float(node->in[k]->type.dtype) &&
         dtype_is_float(node->type.dtype);
}

static Node *make_grad(Pool *p, Op op) {
  Node *y = any_float(p), *x = any_float(p);
  if (p->grads == 2 || x == y || type_rows(&y->type)) return NULL;
  int axes[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
  const Graph *graph = p->b->graph;
  if (y->type.rank) y = b_reduce(p->b, OP_sum, y, y->type.rank, axes, false);
  for (int i = 0; i < graph->n_nodes; i++) graph->nodes[i]->mark = graph->nodes[i] == x;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) node->mark |= node->in[k]->mark && flows(node, k);
  }
  if (!y->mark) return NULL;
  p->grads++;
  return try_op(p, op, 2, (Node *[]){y, x}, &(Attrs){0});
}

static Node *make_map(Pool *p, Op op) {
  Attrs a = {0};
  Node *in[3] = {0};
  int n = op_info[op].n_inputs;
  if (op == OP_cast) return make_cast(p);
  if (op == OP_grad) return make_grad(p, op);
  if (op == OP_clamp) {
    a.value = chance(p, 4) ? -INFINITY : (pick(p, 9) - 6) * 0.25;
    a.high = chance(p, 4) ? INFINITY : fmax(a.value, 0) + pick(p, 5) * 0.25;
  }
  for (int tries = 0; tries < 12; tries++) {
    bool logic = op == OP_not || op == OP_and || op == OP_or;
    for (int i = 0; i < n; i++) in[i] = pick(p, 3) ? any_float(p) : any(p);
    for (int i = 0; i < n && logic; i++)
      if (in[i]->type.dtype != BOOL) in[i] = b_scalar(p->b, OP_gt, in[i], 0);
    if (op == OP_where && in[0]->type.dtype != BOOL) in[0] = b_scalar(p->b, OP_gt, in[0], 0);
    bool integers = true;
    for (int i = 0; i < n; i++) integers &= !dtype_is_float(in[i]->type.dtype);
    if (integers && (op == OP_floordiv || op == OP_mod)) in[1] = b_const(p->b, I32, 2 + pick(p, 4));
    if (integers && op == OP_pow) continue;
    for (int i = 0; i < n; i++) in[i] = tame(p, op, i, in[i]);
    Node *made = try_op(p, op, n, in, &a);
    if (made) return small(p, made);
  }
  return NULL;
}

/* Values that are equal up to rounding would have their positions decided by the last bit. */
static Node *apart(Pool *p, Node *x, int axis) {
  Type steps = {.dtype = I32, .rank = x->type.rank};
  for (int i = 0; i < x->type.rank; i++) steps.dim[i] = i == axis ? x->type.dim[i] : dim_literal(1);
  return b_binary(p->b, OP_add, x, b_scalar(p->b, OP_mul, b_cast(p->b, b_iota(p->b, &steps, axis), x->type.dtype), 0.0173));
}

static Node *make_reduce(Pool *p, Op op) {
  Node *x = any_float(p);
  Attrs a = {.keep = pick(p, 2)};
  bool one = op == OP_argmax || op == OP_argmin;
  if (one && !x->type.rank) return NULL;
  if (one) {
    a.axes[a.n_axes++] = pick(p, x->type.rank);
    if (op_info[x->op].kind != LEAF) x = apart(p, x, a.axes[0]);
  }
  for (int i = 0; i < x->type.rank && !one; i++)
    if (pick(p, 2)) a.axes[a.n_axes++] = i;
  a.first = (op == OP_max || op == OP_min) && a.n_axes == 1 && pick(p, 2);
  if (a.first && op_info[x->op].kind != LEAF) x = apart(p, x, a.axes[0]);
  return try_op(p, op, 1, &x, &a);
}

/* Also of a value with itself, and with an axis put in front to make a matrix or a stack of them. */
static Node *make_matmul(Pool *p, Op op) {
  Node *in[2] = {any_float(p), any_float(p)};
  for (int tries = 0; tries < 12; tries++) {
    Attrs a = {.ta = pick(p, 2), .tb = pick(p, 2)};
    Node *pair[2] = {in[0], b_cast(p->b, in[1], in[0]->type.dtype)};
    a.wide = in[0]->type.dtype == BF16 && pick(p, 2);
    Node *made = try_op(p, op, 2, pair, &a);
    if (made) return made;
    if (tries % 3 == 2) in[0] = any_float(p);
    in[1] = tries % 4 == 3 ? in[0] : any_float(p);
  }
  return NULL;
}

/* Keys and values are cut from the pool or made of the queries; the derivatives' ops come with gradients.  What is hidden
 * from some is finite: a tile of a kernel multiplies it by 0. */
static Node *make_attention(Pool *p, Op op) {
  for (int tries = 0; tries < 12; tries++) {
    Node *q = any_float(p), *k = pick(p, 2) ? any_float(p) : q, *v = pick(p, 2) ? any_float(p) : k;
    Attrs a = {.scale = 0.25 * pick(p, 5), .causal = pick(p, 2)};
    Node *in[3] = {q, b_cast(p->b, k, q->type.dtype), b_cast(p->b, v, q->type.dtype)};
    for (int i = 0; i < 3 && a.causal; i++) in[i] = within(p, number(p, in[i]), -4, 4);
    Node *made = try_op(p, op, 3, in, &a);
    if (made) return made;
  }
  return NULL;
}

/* Ids in range: any integers modulo the rows of the table. */
static Node *any_ids(Pool *p, int64_t rows) {
  Node *x = any(p);
  for (int tries = 0; tries < 6 && x->type.dtype != I32; tries++) x = any(p);
  if (x->type.dtype != I32) x = b_iota(p->b, &(Type){.dtype = I32, .rank = 1, .dim = {dim_literal(1 + pick(p, 5))}}, 0);
  return b_binary(p->b, OP_mod, x, b_const(p->b, I32, (double)rows));
}

static Node *make_gather(Pool *p, Op op) {
  Node *table = any_float(p);
  if (!table->type.rank || type_rows(&table->type) || !table->type.dim[0].size) return NULL;
  return try_op(p, op, 2, (Node *[]){table, any_ids(p, table->type.dim[0].size)}, &(Attrs){0});
}

static Node *make_scatter(Pool *p, Op op) {
  Node *ids = any_ids(p, 1 + pick(p, 6)), *rows = NULL;
  for (int tries = 0; tries < 20 && !rows; tries++) {
    Node *x = any_float(p);
    rows = x->type.rank >= ids->type.rank ? x : NULL;
    for (int i = 0; rows && i < ids->type.rank; i++)
      if (x->type.dim[i].size != ids->type.dim[i].size || x->type.dim[i].rows != ids->type.dim[i].rows) rows = NULL;
  }
  if (!rows) return NULL;
  Attrs a = {.shape = {.dtype = rows->type.dtype, .rank = 1 + rows->type.rank - ids->type.rank}};
  a.shape.dim[0] = dim_literal(7);
  for (int i = 1; i < a.shape.rank; i++) a.shape.dim[i] = rows->type.dim[ids->type.rank + i - 1];
  return type_rows(&a.shape) ? NULL : try_op(p, op, 2, (Node *[]){rows, ids}, &a);
}

static Op any_op(Pool *p);
static Node *make(Pool *p, Op op);

/* ---- loops: a turn is a graph of its own, of what the loop is given ----------------------------- */

typedef struct Turn {
  Pool pool; /* inputs first */
  Builder b;
  Attrs attrs;
  int n;
  Node *in[8];
} Turn;

static bool may_be_stacked(const Node *x, const Turn *turn) {
  const Dim *dim = &x->type.dim[0];
  if (!x->type.rank || type_rows(&x->type)) return false;
  return turn->attrs.stacked ? dim->size == turn->attrs.space.dim[0].size : dim->size > 0 && dim->size <= MOST_TURNS;
}

static void take(Turn *turn, Node *x, bool stacked) {
  Attrs attrs = {.index = turn->n, .shape = x->type};
  if (stacked) {
    attrs.shape.rank--;
    for (int i = 0; i < attrs.shape.rank; i++) attrs.shape.dim[i] = x->type.dim[i + 1];
    turn->attrs.space.dim[0] = x->type.dim[0], turn->attrs.stacked++;
  }
  turn->in[turn->n++] = x;
  add(&turn->pool, node_new(turn->b.graph, OP_input, NULL, 0, &attrs, x->name, NULL));
}

/* Carried values and those each turn sees whole; between them the stacked ones, which say how many turns there are. */
static void take_operands(Pool *p, Turn *turn) {
  turn->attrs.space = kit_type(F32, 1, (int64_t[]){1 + pick(p, MOST_TURNS)});
  for (int i = turn->attrs.carried = pick(p, 3); i > 0; i--) take(turn, any_float(p), false);
  for (int tries = 0; tries < 6 && turn->attrs.stacked < 2; tries++) {
    Node *x = any(p);
    if (may_be_stacked(x, turn)) take(turn, x, true);
  }
  take(turn, any_float(p), false);
  if (pick(p, 2)) take(turn, any(p), false);
}

/* What the next turn sees: of the type that this one saw, and no larger. */
static Node *next_of(Turn *turn, Node *now) {
  Pool *p = &turn->pool;
  Node *x = now;
  for (int i = 0; i < p->n; i++) {
    bool fits = type_same_shape(&p->at[i]->type, &now->type) && p->at[i]->type.dtype == now->type.dtype;
    if (fits && pick(p, 3)) x = p->at[i];
  }
  if (chance(p, 8)) return x;
  return b_binary(p->b, OP_add, b_scalar(p->b, OP_mul, now, 0.5), b_unary(p->b, OP_tanh, x));
}

static void end_turn(Turn *turn) {
  Pool *p = &turn->pool;
  Node *next[8];
  int carried = turn->attrs.carried, inputs = turn->n;
  for (int i = 0; i < carried; i++) next[i] = next_of(turn, p->at[i]);
  for (int i = 0; i < carried; i++) graph_output(p->b->graph, OUT_VALUE, arena_print(p->kit->arena, "next%d", i), next[i]);
  for (int i = carried ? pick(p, 3) : 1 + pick(p, 2); i > 0; i--) {
    Node *x = p->n > inputs ? p->at[inputs + pick(p, p->n - inputs)] : any(p);
    if (type_count(&x->type) * turn->attrs.space.dim[0].size > MAX_ELEMENTS || x->type.rank == MOST_AXES) x = turn_of(p, p->depth - 1);
    graph_output(p->b->graph, OUT_VALUE, arena_print(p->kit->arena, "seen%d", i), x);
  }
}

/* Stacks of what batches made have the batch behind the turns, where few ops take it: they are summed. */
static void add_results(Pool *p, Node *loop) {
  for (int i = 0; i < loop->body->n_outputs; i++) {
    Attrs attrs = {.index = i, .shape = result_type(loop, i)};
    Node *x = node_new(p->b->graph, OP_result, &loop, 1, &attrs, "result", NULL);
    if (i >= loop->attrs.carried && type_rows(&x->type)) x = b_reduce(p->b, OP_sum, b_cast(p->b, x, F32), 1, (int[]){0}, false);
    add(p, x->type.dtype == BOOL ? b_cast(p->b, x, F32) : small(p, x));
  }
}

static Node *make_loop(Pool *p) {
  if (p->depth == MAX_DEPTH || p->n > MAX_POOL - 8) return NULL;
  Turn turn = {.pool = {.kit = p->kit, .special = p->special, .grads = p->grads, .depth = p->depth + 1}};
  memcpy(turn.pool.size, p->size, sizeof p->size);
  memcpy(turn.pool.loops, p->loops, sizeof p->loops);
  const char *path = arena_print(p->kit->arena, "%s%sloop%d", p->depth ? p->loops[p->depth - 1] : "", p->depth ? "." : "", p->n);
  turn.pool.loops[p->depth] = path;
  turn.b = (Builder){graph_new(p->kit->program, path, p->b->graph), NULL, path};
  turn.b.graph->rows = p->b->graph->rows;
  turn.pool.b = &turn.b;
  take_operands(p, &turn);
  for (int i = 2 + pick(p, 8); i > 0; i--) {
    Node *made = make(&turn.pool, any_op(&turn.pool));
    if (made && is_small(&made->type)) add(&turn.pool, made);
  }
  end_turn(&turn);
  turn.attrs.path = path, turn.attrs.reverse = chance(p, 4), turn.attrs.remat = chance(p, 4);
  Node *loop = node_new(p->b->graph, OP_loop, turn.in, turn.n, &turn.attrs, path, NULL);
  loop->body = turn.b.graph;
  add_results(p, loop);
  return NULL; /* added already */
}

static Node *make(Pool *p, Op op) {
  switch (op_info[op].kind) {
  case LEAF: return make_leaf(p, op);
  case VIEW: return make_view(p, op);
  case MAP: return make_map(p, op);
  case REDUCE: return make_reduce(p, op);
  case MATMUL: return make_matmul(p, op);
  case ATTENTION: return make_attention(p, op);
  case GATHER: return make_gather(p, op);
  case SCATTER: return make_scatter(p, op);
  case RANDOM: return make_random(p, op);
  case LOOP: return make_loop(p);
  default: fault("%s: random graphs know no ops of its kind", op_info[op].name);
  }
}

/* Leaves stand in every graph; counters belong to schedules, groups to passes, results come with their loops. */
bool random_graph_makes(Op op) {
  if (op_info[op].kind == ATTENTION) return op == OP_attention;
  return op != OP_input && op != OP_param && op != OP_state && op != OP_counter && op != OP_group && op != OP_result;
}

/* Maps are many in the table; kinds with few ops get their share, and gradients, which the dice seldom fit, and loops. */
static Op any_op(Pool *p) {
  if (chance(p, 12)) return OP_grad;
  if (chance(p, 25)) return OP_loop;
  for (;;) {
    Op op = (Op)pick(p, OP_COUNT);
    if (random_graph_makes(op) && (op_info[op].kind != MAP || pick(p, 3))) return op;
  }
}

/* ---- the whole ------------------------------------------------------------------------ */

/* The state's new value: one of its shape and dtype, the later the likelier; now and then itself. */
static void assign_state(Pool *p) {
  const State *state = &p->kit->program->states[0];
  Node *now = NULL;
  for (int i = 0; i < p->n; i++) {
    Node *x = p->at[i];
    bool fits = x->type.dtype == F32 && type_same_shape(&x->type, &state->type);
    if (fits && (!now || pick(p, 3))) now = x;
  }
  if (now && pick(p, 4)) graph_output(p->kit->graph, OUT_STATE, state->path, now);
}

static Node *part_of_loss(Pool *p, Node *x) {
  if (pick(p, 2)) x = b_unary(p->b, OP_tanh, x);
  return kit_sum(p->kit, b_scalar(p->b, OP_mul, x, 1 + pick(p, 3)));
}

Kit *random_graph(uint64_t seed) {
  Pool p = {.kit = kit_new(seed)};
  p.b = &p.kit->b;
  p.special = chance(&p, 4);
  make_leaves(&p);
  int wanted = p.n + 3 + pick(&p, MAX_POOL - 20);
  for (int tries = 0; p.n < wanted && p.n < MAX_POOL - 1 && tries < 200; tries++) {
    Node *made = make(&p, any_op(&p));
    if (made && is_small(&made->type)) add(&p, made);
  }
  Node *loss = b_const(p.b, F32, 0);
  for (int i = 0; i < p.n; i++)
    if (dtype_is_float(p.at[i]->type.dtype)) loss = b_binary(p.b, OP_add, loss, part_of_loss(&p, p.at[i]));
  for (int i = 0; i < 4; i++) {
    Node *x = i ? p.at[pick(&p, p.n)] : p.at[p.n - 1];
    graph_output(p.kit->graph, OUT_VALUE, arena_print(p.kit->arena, "out%d", i),
                 x->type.dtype == F32 ? x : b_cast(p.b, x, F32));
  }
  assign_state(&p);
  kit_minimize(p.kit, loss);
  if (chance(&p, 4)) p.kit->program->train.precision = PRECISION_BF16;
  return p.kit;
}
