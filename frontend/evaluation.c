/* evaluation.c - splits an eval block in two: what each batch adds up, and
 * what is computed once at the end.
 *
 * Going down from a logged value, the first reduction over the batch is cut:
 * its batches are accumulated (sum, min or max) over the whole set, and what
 * stands above it becomes the `finish` graph, where `rows` is the set's size.
 * So sqrt(mean(...)) is the root of the mean over all rows.
 */
#include <string.h>

#include "frontend/lower.h"

typedef struct Split {
  Lower *l;
  Eval *eval;
  Graph *whole;
  bool *depends; /* on the rows of a batch, by node id of `whole` */
  Node **copy;   /* in finish */
  int n_acc;
} Split;

static bool over_batch(const Node *node) {
  if (node->op != OP_sum && node->op != OP_max && node->op != OP_min) return false;
  for (int i = 0; i < node->attrs.n_axes; i++)
    if (node->in[0]->type.dim[node->attrs.axes[i]].rows) return true;
  return false;
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
    result = accumulated(s, node);
  } else if (node->op == OP_input) {
    return NULL;
  } else {
    Node **in = arena_alloc(s->l->arena, sizeof *in * (size_t)(node->n_in + 1));
    for (int i = 0; i < node->n_in; i++)
      if (!(in[i] = finished(s, node->in[i]))) return NULL;
    result = node_new(s->eval->finish, node->op, in, node->n_in, &node->attrs, node->name, node->span);
  }
  return s->copy[node->id] = result;
}

void split_eval(Lower *l, Eval *eval, Graph *whole) {
  Split s = {.l = l, .eval = eval, .whole = whole};
  int n_logs = whole->n_outputs;
  Output *logs = whole->outputs;
  graph_number(whole);
  s.depends = arena_alloc(l->arena, (size_t)whole->n_nodes + 1);
  s.copy = arena_alloc(l->arena, sizeof *s.copy * ((size_t)whole->n_nodes + 1));
  for (int i = 0; i < whole->n_nodes; i++) {
    s.depends[i] = whole->nodes[i]->op == OP_input || type_rows(&whole->nodes[i]->type) != NULL;
    for (int k = 0; k < whole->nodes[i]->n_in; k++) s.depends[i] |= s.depends[whole->nodes[i]->in[k]->id];
  }
  eval->batch = whole;
  whole->outputs = NULL;
  whole->n_outputs = 0;
  eval->finish = graph_new(l->program, arena_print(l->arena, "%s.finish", whole->name), NULL);
  eval->finish->rows = whole->rows;
  for (int i = 0; i < n_logs; i++) {
    Node *node = finished(&s, logs[i].node);
    if (node) {
      graph_output(eval->finish, OUT_LOG, logs[i].name, node);
      continue;
    }
    report(l->d, E0505, logs[i].node->span, "%s still depends on single batches", logs[i].name);
    report_help(l->d, "take the mean or the sum over the batch: in eval it runs over the whole set");
  }
  graph_sweep(whole);
}
