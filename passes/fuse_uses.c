/* fuse_uses.c - who reads what, and where.
 *
 * Fusing x into its reader is plain when the reader's element (i, j) needs
 * x's element (i, j), or x's (i) when x is a per-row value.  So for each
 * operand we walk through the views to the value behind them and note, for
 * each of its axes, which axis of the reader runs along it: the index
 * expressions of index.c, cut down to the one question that is asked often.
 */
#include <string.h>

#include "passes/fuse.h"
#include "passes/internal.h"

typedef struct Path {
  int8_t axis[MAX_RANK]; /* of the value at hand: the reader's axis, or AXIS_* */
  bool padded;
} Path;

static Path path_through_broadcast(const Type *out, const Type *in, Path path) {
  Path result = {.padded = path.padded};
  for (int j = 0; j < in->rank; j++) {
    int at = j + out->rank - in->rank;
    result.axis[j] = in->dim[j].size == 1 ? AXIS_ONE : path.axis[at];
  }
  return result;
}

static Path path_through_transpose(const Node *view, Path path) {
  Path result = {.padded = path.padded};
  for (int a = 0; a < view->attrs.n_axes; a++) result.axis[view->attrs.axes[a]] = path.axis[a];
  return result;
}

/* slice, pad: axes left as they are keep their place. */
static Path path_through_window(const Node *view, Path path) {
  const Type *in = &view->in[0]->type;
  Path result = {.padded = path.padded};
  for (int a = 0; a < in->rank; a++) {
    bool whole = view->attrs.start[a] == 0 && view->attrs.step[a] <= 1 && in->dim[a].size == view->type.dim[a].size;
    if (!whole && view->op == OP_pad) result.padded = true;
    result.axis[a] = in->dim[a].size == 1 ? AXIS_ONE : whole ? path.axis[a] : AXIS_OTHER;
  }
  return result;
}

/* An axis keeps its place where it stands alone on both sides: [B, T, D] to
 * [B*T, D] keeps D. */
static Path path_through_reshape(const Node *view, Path path) {
  const Type *in = &view->in[0]->type, *out = &view->type;
  Path result = {.padded = path.padded};
  for (int j = 0; j < in->rank; j++) result.axis[j] = in->dim[j].size == 1 ? AXIS_ONE : AXIS_OTHER;
  for (int i = 0, j = 0; i < in->rank && j < out->rank;) {
    if (in->dim[i].size == 1) { i++; continue; }
    if (out->dim[j].size == 1) { j++; continue; }
    int64_t a = in->dim[i].size, b = out->dim[j].size;
    if (a == b) result.axis[i] = path.axis[j];
    i++, j++;
    while (a != b && a > 0 && b > 0) {
      if (a < b && i < in->rank) a *= in->dim[i++].size;
      else if (a > b && j < out->rank) b *= out->dim[j++].size;
      else return result;
    }
  }
  return result;
}

/* The axis of positions is read at other places, and outside of it not at all. */
static Path path_through_skew(const Node *view, Path path) {
  path.padded = true;
  path.axis[view->attrs.axis] = view->in[0]->type.dim[view->attrs.axis].size == 1 ? AXIS_ONE : AXIS_OTHER;
  return path;
}

static Path path_through_view(const Node *view, Path path) {
  switch (view->op) {
  case OP_broadcast: return path_through_broadcast(&view->type, &view->in[0]->type, path);
  case OP_transpose: return path_through_transpose(view, path);
  case OP_reshape: return path_through_reshape(view, path);
  case OP_skew:
  case OP_unskew: return path_through_skew(view, path);
  default: return path_through_window(view, path);
  }
}

static void add_use(Fusion *f, int reader, int base, int rank, const Path *path) {
  Use use = {.base = base, .padded = path->padded};
  for (int j = 0; j < rank; j++) use.axis[j] = path->axis[j];
  for (int i = 0; i < f->n_uses[reader]; i++)
    if (!memcmp(&f->uses[reader][i], &use, sizeof use)) return;
  LIST_PUSH(f->arena, f->uses[reader], f->n_uses[reader], use);
}

static void walk(Fusion *f, int reader, const Node *x, Path path) {
  while (op_info[x->op].kind == VIEW) {
    path = path_through_view(x, path);
    x = x->in[0];
  }
  if (fuse_is_known(x) || f->trivial[x->id]) return;
  add_use(f, reader, x->id, x->type.rank, &path);
}

static const Node *behind_views(const Node *x) {
  while (op_info[x->op].kind == VIEW) x = x->in[0];
  return x;
}

/* A scalar made of constants only: cheaper to make again than to read. */
static bool is_trivial(const Fusion *f, const Node *n) {
  if (f->context->level == 0 || op_info[n->op].kind != MAP || type_count(&n->type) != 1 || f->must_store[n->id]) return false;
  for (int k = 0; k < n->n_in; k++) {
    const Node *x = behind_views(n->in[k]);
    if ((!fuse_is_known(x) || x->op == OP_iota) && !f->trivial[x->id]) return false;
  }
  return true;
}

static bool is_extreme(const Node *n) { return n->op == OP_max || n->op == OP_min; }

/* What x is a view, copy, maximum or minimum of: x itself, if of nothing. */
static const Node *origin_of(const Node *x) {
  for (x = behind_views(x); is_extreme(x) || x->op == OP_copy || x->op == OP_stop;) x = behind_views(x->in[0]);
  return x;
}

static bool is_comparison(Op op) { return op >= OP_eq && op <= OP_ge; }

/* The gradient of a maximum goes where x == max(x), and that of maximum(x, reshape(x)) is halved where both are the same.
 * Made twice, in two loops or kernels, x may differ in the last bit (vector and scalar log, contracted multiply-adds),
 * and nothing would be equal. */
static void find_compared(Fusion *f) {
  for (int i = 0; i < f->n; i++) {
    const Node *n = f->node[i];
    if (!is_comparison(n->op) || n->in[0] == n->in[1]) continue;
    const Node *x = origin_of(n->in[0]);
    if (x == origin_of(n->in[1]) && op_info[x->op].kind != LEAF) f->by_bits[x->id] = f->must_store[x->id] = true;
  }
}

bool fuse_must_load(const Fusion *f, const Node *reader, int base) {
  if (reader->op == OP_gather) return fuse_alias_root(reader->in[0])->id == base;
  return f->by_bits[base] && (is_extreme(reader) || is_comparison(reader->op));
}

static void find_stored(Fusion *f) {
  find_compared(f);
  for (int i = 0; i < f->graph->n_outputs; i++) f->must_store[f->graph->outputs[i].node->id] = true;
  for (int i = 0; i < f->n; i++) {
    const Node *n = f->node[i];
    Kind kind = op_info[n->op].kind;
    bool whole = kind != LEAF && kind != VIEW && kind != MAP && kind != REDUCE && kind != RANDOM;
    for (int k = 0; whole && k < n->n_in; k++) f->must_store[fuse_alias_root(n->in[k])->id] = true;
    if (n->op == OP_gather) f->table[fuse_alias_root(n->in[0])->id] = true;
  }
}

void fuse_find_uses(Fusion *f) {
  find_stored(f);
  for (int i = 0; i < f->n; i++) {
    const Node *n = f->node[i];
    Kind kind = op_info[n->op].kind;
    if (kind == LEAF || kind == VIEW) continue;
    f->trivial[i] = is_trivial(f, n) && rewrite_allowed(f->context, "fuse.scalar", n);
    if (f->trivial[i]) continue;
    for (int k = 0; k < n->n_in; k++) {
      Path path = {{0}, false};
      const Type *space = kind == REDUCE ? &n->in[k]->type : &n->type;
      bool id_each = kind == GATHER && k == 1 && type_same_shape(&n->type, &n->in[1]->type); /* of single numbers */
      bool elementwise = kind == MAP || kind == REDUCE || kind == RANDOM || id_each;
      for (int a = 0; a < MAX_RANK; a++) path.axis[a] = elementwise ? (int8_t)a : AXIS_OTHER;
      if (elementwise) path = path_through_broadcast(space, &n->in[k]->type, path);
      walk(f, i, n->in[k], path);
    }
  }
}

/* -- what a kernel's body holds ------------------------------------------------ */

Ints fuse_stores(Fusion *f, int root) {
  Ints stores = {0};
  const Ints *members = &f->kernels[root].members;
  for (int i = 0; i < members->n; i++)
    if (fuse_is_stored(f, members->at[i], root, -1)) ints_push(f->arena, &stores, members->at[i]);
  return stores;
}

/* A leaf that is in no memory: a kernel knows it. */
bool fuse_is_known(const Node *n) {
  return n->op == OP_const || n->op == OP_rows || n->op == OP_counter || n->op == OP_turn || n->op == OP_iota;
}

bool fuse_is_inside(const Fusion *f, const Kernel *k, int id) {
  const Node *n = f->node[id];
  switch (op_info[n->op].kind) {
  case LEAF: return fuse_is_known(n);
  case VIEW: return true;
  default: return f->trivial[id] || ints_have(&k->members, id) || ints_have(&k->clones, id);
  }
}

int fuse_body(Fusion *f, const Kernel *k, const Ints *stores, int *order) {
  int n = 0, next = 0;
  f->now++;
  for (int i = 0; i < stores->n; i++) f->stamp[stores->at[i]] = f->now, order[n++] = stores->at[i];
  for (; next < n; next++) {
    const Node *x = f->node[order[next]];
    for (int i = 0; fuse_is_inside(f, k, x->id) && i < x->n_in; i++) {
      int id = x->in[i]->id;
      if (f->stamp[id] == f->now) continue;
      f->stamp[id] = f->now;
      order[n++] = id;
    }
  }
  return n;
}

/* True where all the operand flows into is elementwise and of the group's shape,
 * up to reductions: their results are whole before the last pass, in which
 * targets store what goes in place. */
bool fuse_reads_at_the_point(const Node *group, int index, Arena *arena) {
  const Graph *body = group->body;
  bool *touched = arena_alloc(arena, (size_t)body->n_nodes);
  for (int i = 0; i < body->n_nodes; i++) {
    const Node *n = body->nodes[i];
    if (n->op == OP_input && n->attrs.index == index) touched[n->id] = true;
    for (int k = 0; k < n->n_in; k++) touched[n->id] |= touched[n->in[k]->id];
    Kind kind = op_info[n->op].kind;
    if (kind == REDUCE && type_same_shape(&n->in[0]->type, &group->attrs.space)) touched[n->id] = false;
    if (!touched[n->id]) continue;
    if ((kind != MAP && n->op != OP_input) || !type_same_shape(&n->type, &group->attrs.space)) return false;
  }
  return true;
}
