/* reach.c - where gradients flow: from a loss down to parameters, and what stops them on the way. */
#include <string.h>

#include "frontend/lower.h"

typedef enum Flow { FLOWS, ENDS, IS_ZERO } Flow;

/* ---- one edge ---- */

static bool is_random_mask(const Node *node) {
  return node->op == OP_cast && node->in[0]->op == OP_ge && node->in[0]->in[0]->op == OP_random;
}

/* dropout(x, 1) multiplies its mask by 0, not x. */
static bool keeps_nothing(const Node *node) {
  return node->op == OP_mul && is_random_mask(node->in[0]) && node->in[1]->op == OP_const &&
         node->in[1]->attrs.value == 0;
}

static bool is_zero(const Node *node) {
  return (node->op == OP_const && node->attrs.value == 0) || keeps_nothing(node);
}

static bool over_one(const Node *node) {
  if (node->op != OP_sum && node->op != OP_max && node->op != OP_min) return false;
  for (int i = 0; i < node->attrs.n_axes; i++) {
    const Dim *d = &node->in[0]->type.dim[node->attrs.axes[i]];
    if (d->size != 1 || d->rows) return false;
  }
  return node->attrs.n_axes > 0;
}

/* Is y the value x itself, by way of sums and means of one element? */
static bool is_itself(const Node *y, const Node *x) {
  for (;;) {
    if (y == x) return true;
    if (over_one(y)) y = y->in[0];
    else if (y->op == OP_div && y->in[1]->op == OP_const && y->in[1]->attrs.value == 1) y = y->in[0];
    else return false;
  }
}

/* x - mean(x), log_softmax and softmax over an axis of one element: 0, 0 and 1 whatever x is. */
static bool cancels(const Node *node) {
  const Node *x = node->n_in == 2 ? node->in[0] : NULL, *y = x ? node->in[1] : NULL;
  if (x && node->op == OP_sub) {
    if (y->op != OP_log) return is_itself(y, x);
    for (y = y->in[0]; over_one(y);) y = y->in[0];
    return y->op == OP_exp && y->in[0] == x;
  }
  return x && node->op == OP_mul && y->op == OP_div && y->in[0]->op == OP_const && is_itself(y->in[1], x);
}

static Flow flow(const Node *node, int k) {
  bool ends = node->op == OP_stop || node->op == OP_sign || node->op == OP_floor || node->op == OP_ceil ||
              node->op == OP_round || node->op == OP_floordiv;
  if (ends || !dtype_is_float(node->type.dtype) || !dtype_is_float(node->in[k]->type.dtype)) return ENDS;
  if (node->op == OP_mul && is_zero(node->in[1 - k])) return IS_ZERO;
  if (node->op == OP_clamp && node->attrs.value >= node->attrs.high) return IS_ZERO;
  return cancels(node) ? IS_ZERO : FLOWS;
}

/* ---- the graph ---- */

static bool *flows_from(Lower *l, const Node *loss, Flow most) {
  Graph *g = l->graph;
  graph_number(g);
  bool *reached = arena_alloc(l->arena, (size_t)g->n_nodes + 1);
  reached[loss->id] = true;
  for (int i = loss->id; i >= 0; i--)
    for (int k = 0; k < g->nodes[i]->n_in && reached[i]; k++) {
      Flow f = flow(g->nodes[i], k);
      if (f == FLOWS || f == most) reached[g->nodes[i]->in[k]->id] = true;
    }
  return reached;
}

bool *reached_from(Lower *l, const Node *y) { return flows_from(l, y, IS_ZERO); }

static bool *used_by(Lower *l, const Node *y) {
  bool *used = arena_alloc(l->arena, (size_t)l->graph->n_nodes + 1);
  used[y->id] = true;
  for (int i = y->id; i >= 0; i--)
    for (int k = 0; k < l->graph->nodes[i]->n_in && used[i]; k++) used[l->graph->nodes[i]->in[k]->id] = true;
  return used;
}

static const char *why(const Node *node, int k) {
  if (flow(node, k) == IS_ZERO) {
    if (node->op == OP_clamp) return "min: is not below max:, so this is always the same number";
    if (node->op == OP_sub && node->in[0] == node->in[1]) return "a value less itself is always 0";
    if (node->op != OP_mul || cancels(node)) return "over an axis of one element this is always the same number";
    return keeps_nothing(node->in[1 - k]) ? "everything is dropped here" : "multiplied by 0 here";
  }
  switch (node->op) {
  case OP_stop: return "stop() lets no gradient through";
  case OP_argmax: case OP_argmin: return "the place of the largest or smallest has no slope";
  case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: return "a comparison has no slope";
  case OP_cast: return "whole numbers and bools have no slope";
  case OP_sign: return "a sign has no slope";
  default: return "rounding has no slope";
  }
}

bool is_used_by(Lower *l, const Node *y, const Node *x) {
  graph_number(l->graph);
  return x->id <= y->id && used_by(l, y)[x->id];
}

const Span *readers_place(const Span *at) {
  while (at && at->source && at->source->standard && at->caller) at = at->caller;
  return at;
}

/* The last place on the way from x to y that is left by no gradient, or by zeros only; NULL when there is none. */
static const Node *find_end(Lower *l, const Node *x, const Node *y, Flow kind, int *operand) {
  const Node *end = NULL;
  Graph *g = l->graph;
  graph_number(g);
  bool *used = used_by(l, y), *carries = arena_alloc(l->arena, (size_t)g->n_nodes + 1);
  carries[x->id] = true;
  for (int i = x->id + 1; i <= y->id; i++)
    for (int k = 0; k < g->nodes[i]->n_in; k++) {
      const Node *node = g->nodes[i];
      if (!used[i] || !carries[node->in[k]->id]) continue;
      Flow f = flow(node, k);
      carries[i] |= f == FLOWS;
      if (f == kind) end = node, *operand = k;
    }
  return end;
}

const Node *note_end(Lower *l, const Node *x, const Node *y) {
  int k = 0;
  const Node *end = find_end(l, x, y, ENDS, &k);
  if (end) report_note(l->d, readers_place(end->span), "%s", why(end, k));
  return end;
}

static void note_zero(Lower *l, const Node *x, const Node *y) {
  int k = 0;
  const Node *end = find_end(l, x, y, IS_ZERO, &k);
  if (!end) return;
  report_note(l->d, readers_place(end->span), "%s", why(end, k));
  if (end->op == OP_mul && keeps_nothing(end->in[1 - k]))
    report_help(l->d, "dropout(x, p) drops the part p and keeps the rest");
  else if (cancels(end) && (end->op == OP_mul || end->in[1]->op == OP_log))
    report_help(l->d, "one score is weighed by sigmoid(x) and bce_with_logits(x, y)");
}

/* ---- the parameters of an update ---- */

typedef struct Lost {
  int n;
  const Param **params;
} Lost;

/* As the updates before have left it. */
static const Node *leaf_of(const Lower *l, const Param *param) {
  int moved = times_moved(l, (int)(param - l->program->params));
  for (int i = 0; i < l->graph->n_nodes; i++) {
    const Node *node = l->graph->nodes[i];
    if (node->op == OP_param && node->attrs.path == param->path && node->attrs.index == moved) return node;
  }
  return NULL;
}

static bool is_lost(const Lost *lost, const Param *param) {
  for (int i = 0; i < lost->n; i++)
    if (lost->params[i] == param) return true;
  return false;
}

/* net.fc1, if all that is under it is lost; otherwise the first parameter. */
static const char *common_path(Lower *l, const Lost *lost) {
  const char *path = lost->params[0]->path;
  for (size_t length = 1; lost->n > 1 && path[length]; length++) {
    if (path[length] != '.') continue;
    const char *front = arena_copy(l->arena, path, length);
    bool all = true;
    for (int i = 0; i < l->program->n_params; i++)
      all &= is_lost(lost, &l->program->params[i]) == is_under(l->program->params[i].path, front);
    if (all) return front;
  }
  return path;
}

static const char *named(Lower *l, const Lost *lost, const char *path) {
  if (path != lost->params[0]->path) return path;
  if (lost->n == 1) return arena_print(l->arena, "the parameter %s", path);
  return arena_print(l->arena, "%s and %d more", path, lost->n - 1);
}

static void report_lost(Lower *l, const Span *at, const Lost *lost, const Node *loss, bool is_zero) {
  if (!lost->n) return;
  const Param *first = lost->params[0];
  const Node *leaf = leaf_of(l, first);
  const char *path = common_path(l, lost), *name = named(l, lost, path);
  if (is_zero) report(l->d, W0104, at, "the gradient of %s is always 0: nothing but weight decay moves it", name);
  else report(l->d, E0603, at, "no gradient reaches %s", name);
  report_note(l->d, readers_place(first->span), path == first->path ? "declared here" : "made here");
  if (is_zero) {
    note_zero(l, leaf, loss);
    return;
  }
  const Node *end = leaf ? note_end(l, leaf, loss) : NULL;
  if (!end) report_help(l->d, "the loss is not made of it: use it there, or say `freeze %s`", path);
  else if (end->op == OP_stop) report_help(l->d, "take stop() away, or say `freeze %s`", path);
  else
    report_help(l->d,
                "put in its place what has a slope: sigmoid(x), or cross_entropy for a count of hits; "
                "or say `freeze %s`",
                path);
}

static bool is_stale(const Lower *l, const Node *leaf) {
  for (int i = 0; i < l->program->n_params && leaf->op == OP_param; i++)
    if (!strcmp(l->program->params[i].path, leaf->attrs.path)) return leaf->attrs.index < times_moved(l, i);
  return false;
}

/* What of the loss was made of these weights: the first that reads them. */
static const Node *reader_of(const Lower *l, const bool *reached, const Node *leaf) {
  for (int i = 0; i < l->graph->n_nodes; i++)
    for (int k = 0; k < l->graph->nodes[i]->n_in && reached[i]; k++) {
      const Node *x = l->graph->nodes[i]->in[k];
      while (op_info[x->op].kind == VIEW) x = x->in[0];
      if (x == leaf && op_info[l->graph->nodes[i]->op].kind != VIEW) return l->graph->nodes[i];
    }
  return leaf;
}

bool check_fresh(Lower *l, const Span *at, const Node *loss) {
  const bool *reached = reached_from(l, loss);
  for (int i = 0; i < l->graph->n_nodes; i++) {
    const Node *leaf = l->graph->nodes[i];
    if (!reached[i] || !is_stale(l, leaf)) continue;
    report(l->d, E0604, place(l, at), "the gradient of this loss runs through %s as it was before an earlier update",
           leaf->attrs.path);
    report_note(l->d, readers_place(reader_of(l, reached, leaf)->span), "this was made of the old weights");
    report_help(l->d, "compute it again after that update, or keep it as a plain value: stop(...)");
    return false;
  }
  return true;
}

void check_reach(Lower *l, const Update *update, const Node *loss) {
  const bool *reached = flows_from(l, loss, IS_ZERO), *moved = flows_from(l, loss, FLOWS);
  for (int g = 0; g < update->n_groups; g++) {
    Lost dead = {0}, still = {0};
    for (int i = 0; i < update->groups[g].n_params; i++) {
      const Param *param = &l->program->params[update->groups[g].params[i]];
      const Node *leaf = leaf_of(l, param);
      if (leaf && moved[leaf->id]) continue;
      Lost *list = leaf && reached[leaf->id] ? &still : &dead;
      LIST_PUSH(l->arena, list->params, list->n, param);
    }
    report_lost(l, update->groups[g].span, &dead, loss, false);
    report_lost(l, update->groups[g].span, &still, loss, true);
  }
}
