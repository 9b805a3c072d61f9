/* evaluation.c - splits an eval block in two: what each batch adds up, and
 * what is computed once at the end.
 *
 * Going down from a logged value, the first reduction over the batch is cut:
 * its batches are accumulated (sum, min or max) over the whole set, and what
 * stands above it becomes the `finish` graph, where `rows` is the set's size.
 * So sqrt(mean(...)) is the root of the mean over all rows.
 *
 * Below the cut each row must stand for itself: a mean over the batch inside
 * of another, pairs of rows, or the number of rows would be those of a batch,
 * and the result would change with the way the set is cut into batches.
 */
#include <string.h>

#include "frontend/lower.h"

typedef struct Split {
  Lower *l;
  Eval *eval;
  Graph *whole;
  bool *depends;      /* on the rows of a batch, by node id of `whole` */
  const Node **mixed; /* what takes rows of a batch together on the way to a node, or NULL */
  Node **copy;        /* in finish */
  const Node *culprit; /* of the log at hand */
  int n_acc;
} Split;

static bool over_batch(const Node *node) {
  if (node->op != OP_sum && node->op != OP_max && node->op != OP_min) return false;
  for (int i = 0; i < node->attrs.n_axes; i++)
    if (node->in[0]->type.dim[node->attrs.axes[i]].rows) return true;
  return false;
}

static int row_axes(const Node *node) {
  int n = 0;
  for (int i = 0; i < node->type.rank; i++) n += node->type.dim[i].rows != NULL;
  return n;
}

/* Does the node take rows together: a reduction or a product over the batch, pairs of rows, their number? */
static bool mixes(const Node *node) {
  if (op_info[node->op].kind == LOOP) {
    for (int i = 0; i < node->body->n_nodes; i++)
      if (mixes(node->body->nodes[i])) return true;
    return false;
  }
  if (node->op == OP_rows || row_axes(node) > 1) return true;
  for (int k = 0; k < node->n_in; k++)
    if (row_axes(node->in[k]) > row_axes(node)) return true;
  return false;
}

/* A gradient is as long as what it is of: there the sum over the batch mixes nothing. */
static void find_mixed(Split *s) {
  for (int i = 0; i < s->whole->n_nodes; i++) {
    const Node *node = s->whole->nodes[i];
    s->mixed[i] = mixes(node) ? node : NULL;
    for (int k = node->op == OP_grad; k < node->n_in && !s->mixed[i]; k++) s->mixed[i] = s->mixed[node->in[k]->id];
  }
}

static Node *accumulated(Split *s, Node *node) {
  Lower *l = s->l;
  Graph *batch = s->eval->batch, *finish = s->eval->finish;
  const char *name = arena_print(l->arena, "acc.%d", s->n_acc++);
  Builder in_batch = {batch, node->span, name}, in_finish = {finish, node->span, name};
  graph_output(batch, OUT_ACC, name, b_cast(&in_batch, node, F32));
  batch->outputs[batch->n_outputs - 1].combine = node->op == OP_sum   ? COMBINE_SUM
                                                 : node->op == OP_min ? COMBINE_MIN
                                                                      : COMBINE_MAX;
  Attrs attrs = {.path = name, .shape = node->type};
  attrs.shape.dtype = F32;
  return b_cast(&in_finish, node_new(finish, OP_input, NULL, 0, &attrs, name, node->span), node->type.dtype);
}

/* The node as `finish` has it; nodes are in order, so operands were asked for first by recursion on depth. */
static Node *finished(Split *s, Node *node) {
  if (s->copy[node->id]) return s->copy[node->id];
  Node *result;
  if (over_batch(node) && s->depends[node->in[0]->id]) {
    if ((s->culprit = s->mixed[node->in[0]->id])) return NULL;
    result = accumulated(s, node);
  } else if (node->op == OP_input) {
    return NULL;
  } else {
    Node **in = arena_alloc(s->l->arena, sizeof *in * (size_t)(node->n_in + 1));
    for (int i = 0; i < node->n_in; i++)
      if (!(in[i] = finished(s, node->in[i]))) {
        if (!s->culprit && mixes(node)) s->culprit = node;
        return NULL;
      }
    result = node_new(s->eval->finish, node->op, in, node->n_in, &node->attrs, node->name, node->span);
  }
  return s->copy[node->id] = result;
}

static void say_where(Lower *l, const Span *log, const Span *at, const char *what) {
  if (at->source == log->source && at->line == log->line && at->column == log->column) report_caret(l->d, "%s", what);
  else report_note(l->d, at, "%s", what);
}

static void report_mixed(Lower *l, const Output *log, const Node *culprit) {
  const char *what = "this runs over one batch",
             *help = "only the outermost runs over the whole set; a variance is mean(x ^ 2) - mean(x) ^ 2";
  report(l->d, E0505, log->node->span, "%s still depends on single batches", log->name);
  if (!culprit) return;
  if (culprit->op == OP_rows) {
    what = "the rows of one batch are counted here";
    help = "take the mean over the batch, or divide by B after the sum";
  } else if (culprit->op == OP_argmax || culprit->op == OP_argmin) {
    what = "the place is that in one batch";
    help = "in eval, max and min over the batch run over the whole set; the place of a row does not";
  } else if (row_axes(culprit) > 1) {
    what = "each row meets those of its own batch only";
    help = "compare each row with what is the same for all batches";
  } else if (culprit->op == OP_matmul) {
    what = "this product adds up the rows of one batch";
    help = "take the mean or the sum over the batch: in eval it runs over the whole set";
  }
  say_where(l, log->node->span, readers_place(culprit->span), what);
  report_help(l->d, "%s", help);
}

void split_eval(Lower *l, Eval *eval, Graph *whole) {
  Split s = {.l = l, .eval = eval, .whole = whole};
  int n_logs = whole->n_outputs;
  Output *logs = whole->outputs;
  graph_number(whole);
  s.depends = arena_alloc(l->arena, (size_t)whole->n_nodes + 1);
  s.mixed = arena_alloc(l->arena, sizeof *s.mixed * ((size_t)whole->n_nodes + 1));
  s.copy = arena_alloc(l->arena, sizeof *s.copy * ((size_t)whole->n_nodes + 1));
  for (int i = 0; i < whole->n_nodes; i++) {
    s.depends[i] = whole->nodes[i]->op == OP_input || type_rows(&whole->nodes[i]->type) != NULL;
    for (int k = 0; k < whole->nodes[i]->n_in; k++) s.depends[i] |= s.depends[whole->nodes[i]->in[k]->id];
  }
  find_mixed(&s);
  eval->batch = whole;
  whole->outputs = NULL;
  whole->n_outputs = 0;
  eval->finish = graph_new(l->program, arena_print(l->arena, "%s.finish", whole->name), NULL);
  eval->finish->rows = whole->rows;
  for (int i = 0; i < n_logs; i++) {
    s.culprit = NULL;
    Node *node = finished(&s, logs[i].node);
    if (node) {
      graph_output(eval->finish, OUT_LOG, logs[i].name, node);
      continue;
    }
    report_mixed(l, &logs[i], s.culprit);
  }
  graph_sweep(whole);
}
