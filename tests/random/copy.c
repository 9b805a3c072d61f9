/* copy.c - a graph again, with one edit: the steps that a reduction is made of. */
#include <stdlib.h>
#include <string.h>

#include "tests/random/random.h"

typedef struct Copy {
  const Kit *from;
  Kit *to;
  Edit edit;
  bool *needed; /* by node id */
  Node **now;   /* by node id */
  bool changed; /* the edit met something */
} Copy;

static Type resized(Copy *c, Type t) {
  for (int i = 0; i < t.rank && c->edit.kind == EDIT_RESIZE; i++)
    if (!t.dim[i].rows && t.dim[i].size == c->edit.from) t.dim[i] = dim_literal(c->edit.to), c->changed = true;
  for (int i = 0; i < t.rank; i++) {
    if (!t.dim[i].rows) continue;
    t.dim[i].rows = c->to->rows;
    if (t.dim[i].symbol) t.dim[i].symbol = c->to->rows;
  }
  return t;
}

static bool keeps_output(const Copy *c, int i) { return c->edit.kind != EDIT_DROP_OUTPUT || c->edit.at != i; }

/* The node that stands for another after the edit, as far as it is one that was there. */
static const Node *stands_for(const Copy *c, const Node *node) {
  return c->edit.kind == EDIT_TAKE_OPERAND && c->edit.at == node->id ? node->in[c->edit.operand] : node;
}

static bool becomes_leaf(const Copy *c, const Node *node) {
  return c->edit.kind == EDIT_MAKE_LEAF && c->edit.at == node->id;
}

/* What gets a new value is declared by its leaf. */
static void need_state(Copy *c, const char *path) {
  const Graph *g = c->from->graph;
  for (int i = 0; i < g->n_nodes; i++)
    if (g->nodes[i]->op == OP_state && !strcmp(g->nodes[i]->attrs.path, path)) c->needed[i] = true;
}

static bool has_state(const Kit *kit, const char *path) {
  for (int i = 0; i < kit->program->n_states; i++)
    if (!strcmp(kit->program->states[i].path, path)) return true;
  return false;
}

static void find_needed(Copy *c) {
  const Graph *g = c->from->graph;
  for (int i = 0; i < g->n_outputs; i++) {
    if (!keeps_output(c, i)) continue;
    c->needed[g->outputs[i].node->id] = true;
    if (g->outputs[i].role == OUT_STATE) need_state(c, g->outputs[i].name);
  }
  for (int i = g->n_nodes - 1; i >= 0; i--) {
    const Node *node = g->nodes[i], *now = stands_for(c, node);
    if (!c->needed[i]) continue;
    if (now != node) c->needed[now->id] = true;
    for (int k = 0; k < node->n_in && now == node && !becomes_leaf(c, node); k++) c->needed[node->in[k]->id] = true;
  }
}

static const Leaf *leaf_of(const Kit *kit, const Node *node) {
  for (int i = 0; i < kit->n_leaves; i++)
    if (!strcmp(kit->leaves[i].path, node->attrs.path)) return &kit->leaves[i];
  return NULL;
}

static Node *copy_leaf(Copy *c, const Node *node) {
  const char *path = arena_copy(c->to->arena, node->attrs.path, strlen(node->attrs.path));
  Type type = resized(c, node->type);
  int64_t size[MAX_RANK];
  for (int i = 1; i < type.rank; i++) size[i - 1] = type.dim[i].size;
  Node *now = node->op == OP_param   ? kit_param(c->to, path, type)
              : node->op == OP_state ? kit_state(c->to, path, type)
                                     : kit_batch(c->to, path + strlen("d."), type.dtype, c->from->rows->size,
                                                 c->from->n_rows, type.rank - 1, size);
  const Leaf *was = leaf_of(c->from, node), *is = leaf_of(c->to, now);
  for (int64_t i = 0; i < is->count && i < was->count; i++) is->data[i] = was->data[i];
  return now;
}

static Node *made_leaf(Copy *c, const Node *node) {
  if (type_rows(&node->type) || node->type.dtype != F32 || node->op == OP_loop) return NULL;
  char path[32];
  snprintf(path, sizeof path, "v%d", c->to->n_leaves);
  while (leaf_of(c->from, &(Node){.attrs = {.path = path}})) strncat(path, "x", sizeof path - strlen(path) - 1);
  Node *now = kit_state(c->to, arena_copy(c->to->arena, path, strlen(path)), resized(c, node->type));
  const Leaf *leaf = leaf_of(c->to, now);
  for (int64_t i = 0; i < leaf->count; i++) leaf->data[i] = 0.25 + (double)(i % 7) / 8;
  return now;
}

/* Ids past the end mean nothing: an edit must leave them below what they are counted to, or taken modulo of. */
static bool is_in_range(const Node *ids, int64_t rows) {
  if (ids->op == OP_iota) return ids->type.dim[ids->attrs.axis].size <= rows;
  return ids->op == OP_mod && ids->in[1]->op == OP_const && ids->in[1]->attrs.value <= (double)rows;
}

static const char *kept(Copy *c, const char *text) { return arena_copy(c->to->arena, text, strlen(text)); }

static bool same_type(const Type *a, const Type *b) { return a->dtype == b->dtype && type_same_shape(a, b); }

/* Whether turns still fit what their loop is given, which an edit outside may have changed. */
static bool fits(const Node *loop) {
  const Graph *body = loop->body;
  for (int i = 0; i < body->n_nodes; i++) {
    const Node *input = body->nodes[i];
    if (input->op != OP_input) continue;
    int at = input->attrs.index;
    Type type = loop->in[at]->type;
    if (at >= loop->attrs.carried && at < loop->attrs.carried + loop->attrs.stacked) {
      if (!type.rank || type.dim[0].size != loop->attrs.space.dim[0].size) return false;
      memmove(&type.dim[0], &type.dim[1], sizeof type.dim[0] * (size_t)--type.rank);
    }
    if (!same_type(&input->type, &type)) return false;
  }
  for (int i = 0; i < loop->attrs.carried; i++)
    if (!same_type(&body->outputs[i].node->type, &loop->in[i]->type)) return false;
  return true;
}

static bool copy_body(Copy *c, Graph *from, Graph *to);

static Node *copy_loop(Copy *c, Graph *graph, const Node *node, Node **in, Attrs attrs) {
  attrs.space = resized(c, attrs.space);
  Graph *body = graph_new(c->to->program, kept(c, node->body->name), graph);
  body->rows = graph->rows;
  if (!copy_body(c, node->body, body)) return NULL;
  Node *loop = node_new(graph, OP_loop, in, node->n_in, &attrs, attrs.path, NULL);
  loop->body = body;
  return fits(loop) ? loop : NULL;
}

static Node *copy_op(Copy *c, Graph *graph, const Node *node, Node **in) {
  const Type *types[8];
  Type type;
  Attrs attrs = node->attrs;
  for (int k = 0; k < node->n_in; k++) types[k] = &in[k]->type;
  attrs.shape = resized(c, attrs.shape);
  if (attrs.symbol) attrs.symbol = c->to->rows;
  if (attrs.path) attrs.path = kept(c, attrs.path);
  if (node->op == OP_loop) return copy_loop(c, graph, node, in, attrs);
  if (node->op == OP_result) {
    if (in[0]->op != OP_loop) return NULL;
    attrs.shape = result_type(in[0], attrs.index);
  }
  if (!infer_type(node->op, node->n_in, types, &attrs, false, &type, &(TypeError){0})) return NULL;
  if (node->op == OP_gather && !is_in_range(in[1], in[0]->type.dim[0].size)) return NULL;
  if (node->op == OP_scatter_add && !is_in_range(in[1], type.dim[0].size)) return NULL;
  if (attrs.symbol && !c->to->rows) return NULL; /* rows of a batch that nothing reads */
  return node_new(graph, node->op, in, node->n_in, &attrs, op_info[node->op].name, NULL);
}

static Node *copy_node(Copy *c, const Node *node) {
  Node *in[8];
  if (node->op == OP_input || node->op == OP_param || node->op == OP_state) return copy_leaf(c, node);
  for (int k = 0; k < node->n_in; k++) in[k] = c->now[node->in[k]->id];
  return copy_op(c, c->to->graph, node, in);
}

/* Turns are copied whole: edits are of what stands outside. */
static bool copy_body(Copy *c, Graph *from, Graph *to) {
  graph_number(from);
  Node **now = arena_alloc(c->to->arena, sizeof *now * (size_t)from->n_nodes), *in[8];
  for (int i = 0; i < from->n_nodes; i++) {
    for (int k = 0; k < from->nodes[i]->n_in; k++) in[k] = now[from->nodes[i]->in[k]->id];
    if (!(now[i] = copy_op(c, to, from->nodes[i], in))) return false;
  }
  for (int i = 0; i < from->n_outputs; i++)
    graph_output(to, from->outputs[i].role, kept(c, from->outputs[i].name), now[from->outputs[i].node->id]);
  return true;
}

static bool copy_all(Copy *c) {
  const Graph *g = c->from->graph;
  for (int i = 0; i < g->n_nodes; i++) {
    const Node *node = g->nodes[i], *now = stands_for(c, node);
    if (!c->needed[i]) continue;
    c->changed |= now != node || becomes_leaf(c, node);
    if (now != node) {
      if (!type_same_shape(&now->type, &node->type) || now->type.dtype != node->type.dtype) return false;
      c->now[i] = c->now[now->id];
    } else {
      c->now[i] = becomes_leaf(c, node) ? made_leaf(c, node) : copy_node(c, node);
    }
    if (!c->now[i]) return false;
  }
  for (int i = 0; i < g->n_outputs; i++) {
    const Output *out = &g->outputs[i];
    if (!keeps_output(c, i)) continue;
    if (out->role == OUT_STATE && !has_state(c->to, out->name)) return false;
    if (out->role == OUT_LOSS) kit_minimize(c->to, c->now[out->node->id]);
    else graph_output(c->to->graph, out->role, arena_copy(c->to->arena, out->name, strlen(out->name)), c->now[out->node->id]);
  }
  return true;
}

Kit *random_copy(const Kit *kit, Edit edit) {
  if (edit.kind == EDIT_DROP_OUTPUT && kit->graph->outputs[edit.at].role == OUT_LOSS) return NULL; /* nothing to train */
  graph_number(kit->graph);
  Copy c = {.from = kit, .to = kit_new(0), .edit = edit, .changed = edit.kind == EDIT_NOTHING || edit.kind == EDIT_DROP_OUTPUT};
  c.to->program->train.precision = kit->program->train.precision;
  c.needed = calloc((size_t)kit->graph->n_nodes + 1, sizeof *c.needed);
  c.now = calloc((size_t)kit->graph->n_nodes + 1, sizeof *c.now);
  find_needed(&c);
  bool copied = copy_all(&c);
  free(c.needed), free(c.now);
  if (copied && c.changed) return c.to;
  kit_free(c.to);
  return NULL;
}
