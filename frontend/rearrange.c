/* rearrange.c - x.[a, b -> b, a] in einops' notation, and indexing. */
#include <math.h>
#include <string.h>

#include "frontend/join.h"

typedef struct Leaf {
  const char *name;
  Dim dim;
} Leaf; /* one factor of a pattern */

typedef struct Pattern {
  int n;
  Leaf leaves[MAX_RANK];
} Pattern;

static bool known_dim(Lower *l, const Axis *axis, Dim *out) {
  if (!axis->name) return *out = dim_literal(axis->size), true;
  Entry *entry = lookup(l->scope, axis->name, false);
  if (!entry || entry->value.kind != DIM) return false;
  return *out = entry->value.dim, true;
}

static bool add_leaf(Lower *l, Pattern *p, const Axis *axis, Dim dim) {
  if (p->n == MAX_RANK) return report(l->d, E0206, place(l, axis->at), "more than %d axes", MAX_RANK), false;
  p->leaves[p->n++] = (Leaf){axis->name, dim};
  return true;
}

/* A product (3 H E): all factors but one are known; the last one is what is left. */
static bool take_product(Lower *l, Pattern *p, const Axis *axis, Dim whole) {
  int64_t known = 1;
  const Axis *open = NULL;
  const Symbol *rows = NULL;
  Dim d = {0};
  for (int i = 0; i < axis->n_factors; i++) {
    if (known_dim(l, &axis->factors[i], &d))
      known *= d.size, rows = d.rows ? d.rows : rows;
    else if (!open)
      open = &axis->factors[i];
    else
      return report(l->d, E0206, place(l, axis->at), "two sizes of this product are unknown"), false;
  }
  if (known == 0 || whole.size % known || (!open && whole.size != known))
    return report(l->d, E0206, place(l, axis->at), "the product does not multiply out to %lld", (long long)whole.size),
           false;
  for (int i = 0; i < axis->n_factors; i++) {
    const Axis *f = &axis->factors[i];
    if (f == open)
      d = (Dim){.size = whole.size / known, .rows = rows ? NULL : whole.rows};
    else
      known_dim(l, f, &d);
    if (!add_leaf(l, p, f, d)) return false;
  }
  return true;
}

static bool is_run(const Axis *axis) { return axis->name && axis->name[0] == '*'; }

static bool wrong_rank(Lower *l, const Expr *e, const Type *type, const char *least) {
  Text text = {0};
  type_print(&text, type, false);
  report(l->d, E0206, place(l, e->at), "the pattern has %s%d axes, the value is %s", least, e->n_from - (*least != 0),
         text.data);
  text_free(&text);
  return false;
}

static bool take_axis(Lower *l, Pattern *p, const Axis *axis, const Type *type, int i) {
  Dim d = {0};
  if (axis->n_factors) return take_product(l, p, axis, type->dim[i]);
  if (known_dim(l, axis, &d) && !dim_same(d, type->dim[i], true))
    return report(l->d, E0206, place(l, axis->at), "axis %d is %lld, the pattern says %lld", i,
                  (long long)type->dim[i].size, (long long)d.size),
           false;
  return add_leaf(l, p, axis, type->dim[i]);
}

/* *s takes the axes that the others leave: a leaf each, all under its name. */
static bool left_side(Lower *l, const Expr *e, const Type *type, Pattern *p) {
  int runs = 0;
  for (int i = 0; i < e->n_from; i++) runs += is_run(&e->from[i]);
  if (runs > 1) return report(l->d, E0206, place(l, e->at), "one run of axes is as much as a pattern can hold"), false;
  int rest = type->rank - (e->n_from - runs);
  if (rest < 0 || (!runs && rest)) return wrong_rank(l, e, type, runs ? "at least " : "");
  for (int i = 0, at = 0; i < e->n_from; i++) {
    for (int k = 0; is_run(&e->from[i]) && k < rest; k++)
      if (!add_leaf(l, p, &e->from[i], type->dim[at++])) return false;
    if (!is_run(&e->from[i]) && !take_axis(l, p, &e->from[i], type, at++)) return false;
  }
  return true;
}

static int find_leaf(const Pattern *p, const Axis *axis, const bool *used) {
  for (int i = 0; i < p->n; i++) {
    const Leaf *leaf = &p->leaves[i];
    bool same =
        axis->name ? leaf->name && !strcmp(leaf->name, axis->name) : !leaf->name && leaf->dim.size == axis->size;
    if (same && !used[i]) return i;
  }
  return -1;
}

/* A 1 need not stand on the left: it is an axis of one element that is added here. */
static bool right_leaf(Lower *l, Pattern *p, const Axis *axis, bool *used, int *order, int *n) {
  int at = find_leaf(p, axis, used);
  if (at < 0 && !axis->name && axis->size == 1) {
    if (!add_leaf(l, p, axis, dim_literal(1))) return false;
    at = p->n - 1;
  }
  if (at < 0) {
    static const bool none[MAX_RANK];
    report(l->d, E0206, place(l, axis->at),
           find_leaf(p, axis, none) >= 0 ? "%s stands on the right of the arrow more often than on its left"
                                         : "%s does not stand on the left of the arrow",
           axis->name ? axis->name : "this size");
    return false;
  }
  used[at] = true;
  order[(*n)++] = at;
  return true;
}

static Dim product_dim(const Pattern *p, const Axis *axis, const int *order, Lower *l) {
  Dim d = {.size = 1};
  Text text = {0};
  for (int i = 0; i < axis->n_factors; i++) {
    const Leaf *leaf = &p->leaves[order[i]];
    d.size *= leaf->dim.size;
    if (leaf->dim.rows) d.rows = leaf->dim.rows;
    if (leaf->name)
      text_add(&text, "%s%s", i ? " * " : "", leaf->name);
    else
      text_add(&text, "%s%lld", i ? " * " : "", (long long)leaf->dim.size);
  }
  d.text = text_take(&text, l->arena);
  return d;
}

/* *s takes the axes that it stands for on the left, once. */
static bool run_fits(Lower *l, const Expr *e, int i) {
  const Axis *run = &e->to[i];
  bool known = false, again = false;
  for (int k = 0; k < e->n_from; k++) known |= is_run(&e->from[k]) && !strcmp(e->from[k].name, run->name);
  for (int k = 0; k < i; k++) again |= is_run(&e->to[k]);
  if (known && !again) return true;
  report(l->d, E0206, place(l, run->at), known ? "*%s stands on the right of the arrow twice"
                                               : "*%s does not stand on the left of the arrow", run->name);
  return false;
}

/* The axes of *s, one by one. */
static void right_run(const Pattern *p, const Axis *axis, bool *used, int *order, int *n, Type *target) {
  for (int k = 0; k < p->n; k++) {
    if (used[k] || !p->leaves[k].name || strcmp(p->leaves[k].name, axis->name)) continue;
    used[k] = true;
    order[(*n)++] = k;
    target->dim[target->rank++] = p->leaves[k].dim;
  }
}

/* In `order` the leaves as the right side has them, in `target` the axes that they make. */
static bool right_side(Lower *l, const Expr *e, Pattern *p, int *order, Type *target) {
  bool used[MAX_RANK] = {false};
  int n = 0;
  for (int i = 0; i < e->n_to; i++) {
    const Axis *axis = &e->to[i];
    int first = n;
    if (is_run(axis)) {
      if (!run_fits(l, e, i)) return false;
      right_run(p, axis, used, order, &n, target);
      continue;
    }
    for (int k = 0; k < axis->n_factors; k++)
      if (!right_leaf(l, p, &axis->factors[k], used, order, &n)) return false;
    if (!axis->n_factors && !right_leaf(l, p, axis, used, order, &n)) return false;
    target->dim[target->rank++] =
        axis->n_factors ? product_dim(p, axis, order + first, l) : p->leaves[order[first]].dim;
  }
  for (int k = 0; k < p->n; k++)
    if (!used[k] && !p->leaves[k].name && p->leaves[k].dim.size == 1) order[n++] = k; /* a 1 on the left may go */
  if (n == p->n) return true;
  report(l->d, E0206, place(l, e->at), "an axis on the left of the arrow is missing on its right");
  report_help(l->d, "to drop an axis say what becomes of its elements: sum(x, over: ...)");
  return false;
}

static bool reshapes(Lower *l, const Type *from, const Type *to, const Expr *e) {
  Attrs attrs = {.shape = *to};
  TypeError error;
  Type out;
  if (infer_type(OP_reshape, 1, &from, &attrs, false, &out, &error)) return true;
  report_type(l, &error, e);
  return false;
}

/* Split into leaves, move them, join them. */
Value eval_rearrange(Lower *l, const Expr *e) {
  Node *x = as_tensor(l, eval(l, e->args[0]), F32, e->args[0]);
  if (!x) return poison();
  Pattern p = {0};
  int order[MAX_RANK];
  Type split = {.dtype = x->type.dtype}, moved = split, target = split;
  Expr both = *e;
  if (!e->from) both.from = e->to, both.n_from = e->n_to;
  if (!left_side(l, &both, &x->type, &p) || !right_side(l, e, &p, order, &target)) return poison();
  split.rank = moved.rank = p.n;
  for (int i = 0; i < p.n; i++) split.dim[i] = p.leaves[i].dim;
  for (int i = 0; i < p.n; i++) moved.dim[i] = split.dim[order[i]];
  if (!reshapes(l, &x->type, &split, e) || !reshapes(l, &moved, &target, e)) return poison();
  Builder b = builder(l, e);
  return tensor_value(b_reshape(&b, b_transpose(&b, b_reshape(&b, x, &split), order), &target));
}

/* ---- indexing ---- */

static bool bound(Lower *l, const Expr *e, int64_t size, int64_t otherwise, int64_t *out) {
  *out = otherwise;
  if (!e) return true;
  if (!whole_number(l, e, out)) return false;
  int64_t at = *out < 0 ? *out + size : *out;
  if (at >= 0 && at <= size) return *out = at, true;
  report(l->d, E0210, place(l, e->at), "%lld is outside an axis of %lld", (long long)*out, (long long)size);
  report_help(l->d, "the ends of a slice lie within the axis; [:, 1:] goes to its end whatever that is");
  return false;
}

/* x[:, ids]: the axis comes to the front and goes back, as the axes of ids. */
static Value gather(Lower *l, const Expr *e, Node *x, int axis, const Value *ids) {
  int order[MAX_RANK], rank = ids->node->type.rank;
  Builder b = builder(l, e);
  if (x->type.dim[axis].rows)
    return report(l->d, E0211, place(l, e->args[axis + 1]->at),
                  "the batch axis cannot be indexed: the last batch may be shorter"),
           poison();
  if (x->type.dim[axis].size == 0)
    return report(l->d, E0210, place(l, e->args[axis + 1]->at), "an axis of 0 has nothing to index"), poison();
  Node *inside = index_inside(l, &b, ids->node, x->type.dim[axis].size);
  for (int i = 0; i < x->type.rank; i++) order[i] = i == 0 ? axis : i <= axis ? i - 1 : i;
  Node *taken = gathered(l, &b, axis ? b_transpose(&b, x, order) : x, ids->node, inside, e);
  if (!taken) return poison();
  if (axis == 0) return tensor_value(taken);
  for (int i = 0; i < taken->type.rank; i++) order[i] = i < axis ? rank + i : i < axis + rank ? i - axis : i;
  return tensor_value(b_transpose(&b, taken, order));
}

/* x[:, i]: all other axes are whole. */
static bool only_index(const Expr *e, int axis) {
  for (int i = 1; i < e->n_args; i++)
    if (i - 1 != axis && (e->args[i]->kind != EXPR_SLICE || e->args[i]->args[0] || e->args[i]->args[1])) return false;
  return true;
}

Value eval_index(Lower *l, const Expr *e) {
  Value v = eval(l, e->args[0]);
  if (v.kind == TUPLE && e->n_args == 2) {
    int64_t i;
    if (!whole_number(l, e->args[1], &i)) return poison();
    if (i >= -v.n && i < v.n) return v.items[i < 0 ? i + v.n : i];
    return report(l->d, E0210, place(l, e->args[1]->at), "index %lld is outside of %d values", (long long)i, v.n), poison();
  }
  Node *x = as_tensor(l, v, F32, e->args[0]);
  if (!x) return poison();
  if (e->n_args - 1 > x->type.rank)
    return report(l->d, E0204, place(l, e->at), "%d %s, but the value is %s", e->n_args - 1,
                  e->n_args == 2 ? "index" : "indices", describe(l, &v)),
           poison();
  Type cut = x->type, kept = {.dtype = cut.dtype};
  int64_t begin[MAX_RANK] = {0}, step[MAX_RANK];
  for (int i = 0; i < MAX_RANK; i++) step[i] = 1;
  for (int i = 0; i < x->type.rank; i++) {
    const Expr *at = i + 1 < e->n_args ? e->args[i + 1] : NULL;
    int64_t size = cut.dim[i].size, end;
    if (at && at->kind != EXPR_SLICE) {
      Value index = eval(l, at);
      if (index.kind == POISON) return poison();
      if (index.kind == TENSOR && !turns_fit(l, x, i, index.node, e)) return poison();
      if (index.kind == TENSOR && only_index(e, i)) {
        Node *element = element_of_turn(l, x, i, index.node, e);
        return element ? tensor_value(element) : gather(l, e, x, i, &index);
      }
      if (!whole_number(l, at, &begin[i])) return poison();
      if (begin[i] < -size || begin[i] >= size) {
        report(l->d, E0210, place(l, at->at), "index %lld is outside an axis of %lld", (long long)begin[i],
               (long long)size);
        if (begin[i] == size && size) report_help(l->d, "indices count from 0: the last is %lld, or -1", (long long)size - 1);
        return poison();
      }
      if (begin[i] < 0) begin[i] += size;
      cut.dim[i] = dim_literal(1);
      if (x->type.dim[i].rows)
        return report(l->d, E0211, place(l, at->at), "the batch axis cannot be indexed: the last batch may be shorter"),
               poison();
      continue;
    }
    if (at && (at->args[0] || at->args[1])) {
      if (x->type.dim[i].rows)
        return report(l->d, E0211, place(l, at->at), "the batch axis cannot be sliced: the last batch may be shorter"),
               poison();
      if (!bound(l, at->args[0], size, 0, &begin[i]) || !bound(l, at->args[1], size, size, &end)) return poison();
      if (end < begin[i])
        return report(l->d, E0210, place(l, at->at), "this slice ends, at %lld, before it begins, at %lld",
                      (long long)end, (long long)begin[i]),
               poison();
      cut.dim[i] = dim_literal(end - begin[i]);
      if (cut.dim[i].size == size) cut.dim[i] = x->type.dim[i];
    }
    kept.dim[kept.rank++] = cut.dim[i];
  }
  Builder b = builder(l, e);
  Node *sliced = type_same_shape(&cut, &x->type) ? x : b_slice(&b, x, &cut, begin, step);
  return tensor_value(b_reshape(&b, sliced, &kept));
}
