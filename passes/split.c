/* split.c - large reductions in two steps.
 *
 * A kernel that reduces everything it reads has one result and so one block to
 * work with.  The trailing axes are reduced first, row by row, which also joins
 * the kernel that makes the rows; then what is left, which is small.  A long
 * vector is cut into rows when its length has a factor that fits.  And a
 * reduction over trailing and other axes at once becomes one over the trailing
 * axes and one over the others, so that each has one pattern.
 *
 * And a reduction of long columns that are few has the inner of its axes reduced
 * first, or the few blocks that they are read far slower than memory can.
 *
 * The order of additions changes, not which are made; it is the same in every
 * run.  needs: gradient.
 */
#include <string.h>

#include "passes/internal.h"

enum {
  SMALL = 4096,         /* elements that one block reduces in no time */
  SMALL_VECTOR = 16384, /* a second kernel takes as long as one block with this many */
  ROW_LOW = 128,        /* a row shorter than this is not worth a block ... */
  ROW = 1024,           /* ... and this long it is best */
  FEW_COLUMNS = 4096,   /* fewer do not keep a GPU busy by themselves ... */
  LONG_COLUMN = 2048,   /* ... for as long as this */
  PART = 64             /* of a column: so long at least */
};

static bool is_reduced(const Node *n, int axis) {
  for (int i = 0; i < n->attrs.n_axes; i++)
    if (n->attrs.axes[i] == axis) return true;
  return false;
}

/* Reduce the axes marked in `first` by a node of their own; n does the rest. */
static Node *reduce_first(Graph *graph, Node *n, unsigned first, const char *role) {
  const Type *x = &n->in[0]->type;
  Attrs partial = {.keep = n->attrs.keep}, rest = n->attrs;
  rest.n_axes = 0;
  memset(rest.axes, 0, sizeof rest.axes);
  for (int axis = 0, left = 0; axis < x->rank; axis++) {
    bool now = first >> axis & 1;
    if (now)
      partial.axes[partial.n_axes++] = axis;
    else if (is_reduced(n, axis))
      rest.axes[rest.n_axes++] = n->attrs.keep ? axis : left;
    left += !now;
  }
  int before = graph->n_nodes;
  Node *step =
      node_new(graph, n->op, n->in, 1, &partial, arena_print(graph->program->arena, "%s.%s", n->name, role), n->span);
  if (graph->n_nodes > before) step->again = n->again;
  n->in[0] = step;
  n->attrs = rest;
  return step;
}

/* The trailing axes that make a row, when all are reduced: as few as are long enough, never all. */
static unsigned row_axes(const Type *x) {
  unsigned axes = 0;
  int64_t row = 1;
  for (int axis = x->rank - 1; axis > 0 && row < ROW_LOW; axis--) {
    axes |= 1u << axis;
    row *= x->dim[axis].size;
  }
  return row > 1 ? axes : 0;
}

static unsigned trailing_axes(const Node *n) {
  unsigned axes = 0;
  for (int axis = n->in[0]->type.rank - 1; axis >= 0 && is_reduced(n, axis); axis--) axes |= 1u << axis;
  return axes;
}

/* Of few long columns the inner axes that make a part, leaving enough to add up; 0: the columns are fine as they are. */
static unsigned part_axes(const Node *n) {
  const Type *x = &n->in[0]->type;
  int64_t columns = type_count(&n->type), height = columns ? type_count(x) / columns : 0, part = 1;
  unsigned axes = 0;
  if (columns > FEW_COLUMNS || height < LONG_COLUMN) return 0;
  for (int axis = x->rank - 1; axis >= 0 && part < PART; axis--) {
    if (!is_reduced(n, axis)) continue;
    axes |= 1u << axis;
    part *= x->dim[axis].size;
  }
  return height / part > 1 ? axes : 0;
}

/* The largest divisor of n up to ROW, or else the next above; 0 when neither makes a good row. */
static int64_t row_length(int64_t n) {
  int64_t best = 0;
  for (int64_t d = ROW_LOW; d < n && (d <= ROW || (!best && d <= 8 * ROW)); d++)
    if (n % d == 0) best = d;
  return best;
}

/* A long vector, as rows.  A batch has as many rows as there are: only what one of them holds can be cut. */
static bool cut_vector(PassContext *context, Graph *graph, Node *n) {
  const Dim *d = &n->in[0]->type.dim[0];
  if (d->size <= SMALL_VECTOR || (d->rows && d->rows->size == 0)) return false;
  int64_t length = row_length(d->rows ? d->size / d->rows->size : d->size);
  if (!length || !rewrite_allowed(context, "split.vector", n)) return false;
  Dim outer = {.size = d->size / length, .rows = d->rows};
  if (d->rows) {
    int64_t each = outer.size / d->rows->size;
    outer = each == 1 ? dim_symbol(d->rows) : outer;
    if (each > 1) outer.text = arena_print(graph->program->arena, "%s * %lld", d->rows->name, (long long)each);
  }
  Attrs attrs = {.shape = {.dtype = n->in[0]->type.dtype, .rank = 2, .dim = {outer, dim_literal(length)}}};
  bool keep = n->attrs.keep;
  Node *rows =
      node_new(graph, OP_reshape, n->in, 1, &attrs, arena_print(graph->program->arena, "%s.cut", n->name), n->span);
  n->in[0] = rows;
  n->attrs.n_axes = 2;
  n->attrs.axes[0] = 0;
  n->attrs.axes[1] = 1;
  n->attrs.keep = false;
  reduce_first(graph, n, 2, "rows");
  n->attrs.keep = keep; /* of a vector the result is [] or [1] */
  return true;
}

static bool split_once(PassContext *context, Graph *graph, Node *n) {
  const Type *x = &n->in[0]->type;
  if (n->attrs.n_axes == 0 || x->rank == 0 || type_count(x) == 0) return false;
  bool all = n->attrs.n_axes == x->rank;
  if (all && x->rank == 1) return cut_vector(context, graph, n);
  unsigned first = all ? row_axes(x) : trailing_axes(n);
  bool columns = !first && !all;
  if (columns) first = part_axes(n);
  if (!first || (all && type_count(x) <= SMALL)) return false;
  const char *rewrite = all ? "split.all" : columns ? "split.columns" : "split.mixed";
  if (__builtin_popcount(first) == n->attrs.n_axes || !rewrite_allowed(context, rewrite, n)) return false;
  reduce_first(graph, n, first, columns ? "parts" : "rows");
  return true;
}

void pass_split(PassContext *context) {
  Graph **graphs = program_graphs(context->program);
  for (int i = 0; graphs[i]; i++) {
    Graph *graph = graphs[i];
    bool changed = false;
    for (int k = 0, n = graph->n_nodes; k < n; k++) {
      Node *node = graph->nodes[k];
      if (node->op != OP_sum && node->op != OP_max && node->op != OP_min) continue;
      if (node->type.dtype == BF16) continue; /* a sum in two steps would be rounded twice */
      while (split_once(context, graph, node)) changed = true;
    }
    if (!changed) continue;
    graph_uncons(graph);
    graph_sort(graph);
  }
}
