/* wrap.c - kernels for nodes that stand outside any group, or leave one.
 *
 * A node by itself is a group of one.  A scatter_add fits no loop nest: its
 * kernel only names its three arrays, and each target has a text for it.
 */
#include <string.h>

#include "codegen/kernel.h"

static Node *new_node(Arena *arena, Op op, const Node *like, int n_in) {
  Node *node = arena_alloc(arena, sizeof *node);
  *node = (Node){.op = op, .name = like->name, .type = like->type, .span = like->span, .n_in = n_in};
  if (n_in) node->in = arena_alloc(arena, (size_t)n_in * sizeof *node->in);
  return node;
}

Node *kernel_wrap(Arena *arena, Node *node) {
  Node *group = new_node(arena, OP_group, node, node->n_in), *copy = new_node(arena, node->op, node, node->n_in);
  Graph *body = arena_alloc(arena, sizeof *body);
  copy->attrs = node->attrs;
  for (int i = 0; i < node->n_in; i++) {
    Node *input = new_node(arena, OP_input, node->in[i], 0);
    input->attrs = (Attrs){.path = input->name, .index = i, .shape = input->type};
    group->in[i] = node->in[i];
    copy->in[i] = input;
    LIST_PUSH(arena, body->nodes, body->n_nodes, input);
  }
  LIST_PUSH(arena, body->nodes, body->n_nodes, copy);
  *body = (Graph){.name = node->name, .n_nodes = body->n_nodes, .nodes = body->nodes, .n_outputs = 1};
  body->outputs = arena_alloc(arena, sizeof *body->outputs);
  body->outputs[0] = (Output){.role = OUT_VALUE, .name = node->name, .node = copy};
  group->body = body;
  group->attrs.pattern = PATTERN_MAP;
  group->attrs.space = node->type;
  if (op_info[node->op].kind == REDUCE) {
    group->attrs.space = node->in[0]->type;
    group->attrs.n_axes = node->attrs.n_axes;
    memcpy(group->attrs.axes, node->attrs.axes, sizeof group->attrs.axes);
    group->attrs.pattern = PATTERN_COLUMN;
    if (node->attrs.n_axes && node->attrs.axes[node->attrs.n_axes - 1] == group->attrs.space.rank - 1)
      group->attrs.pattern = PATTERN_ROW;
  }
  return group;
}

Type scatter_layout(const Type *to) {
  Type layout = *to;
  for (int i = 1; i < layout.rank; i++) layout.dim[i].rows = NULL;
  return layout;
}

Kernel *kernel_scatter(Arena *arena, const Node *group) {
  Kernel *k = arena_alloc(arena, sizeof *k);
  const Node *out = group->body->outputs[0].node, *rows = group->body->nodes[0], *ids = group->body->nodes[1];
  *k = (Kernel){.arena = arena, .group = group, .space = group->attrs.space, .scatter = true, .n_pointers = 3};
  k->pointers[0] = (Pointer){.type = &out->type, .input = -1, .output = 0, .node = out};
  k->pointers[1] = (Pointer){.type = &rows->type, .input = 0, .output = -1, .node = group->in[0]};
  k->pointers[2] = (Pointer){.type = &ids->type, .input = 1, .output = -1, .node = group->in[1]};
  k->wide = type_count(&out->type) >= INT_ELEMENTS || type_count(&rows->type) >= INT_ELEMENTS;
  k->uses_rows = type_rows(&ids->type) != NULL;
  return k;
}

/* Two operands more than the map has: those of the product, which its body does not read. */
Node *kernel_split(Arena *arena, const Node *group, Node **product) {
  Node *map = arena_alloc(arena, sizeof *map), **now = arena_alloc(arena, (size_t)group->body->n_nodes * sizeof *now);
  Graph *body = arena_alloc(arena, sizeof *body);
  *map = *group, *body = *group->body;
  map->body = body, map->attrs.pattern = PATTERN_MAP, map->in = NULL, map->n_in = 0, map->reason = NULL;
  body->nodes = NULL, body->n_nodes = 0;
  for (int i = 0; i < group->n_in; i++) LIST_PUSH(arena, map->in, map->n_in, group->in[i]);
  for (int i = 0; i < group->body->n_nodes; i++) {
    const Node *old = group->body->nodes[i];
    Node *node = new_node(arena, old->op, old, old->n_in);
    node->attrs = old->attrs;
    for (int k = 0; k < old->n_in; k++) node->in[k] = now[old->in[k]->id];
    now[old->id] = node;
    if (old->op == OP_matmul) {
      *product = node;
      for (int k = 0; k < 2; k++) node->in[k] = group->in[old->in[k]->attrs.index];
      now[old->id] = new_node(arena, OP_input, old, 0);
      now[old->id]->attrs = (Attrs){.path = old->name, .index = map->n_in, .shape = old->type};
      LIST_PUSH(arena, map->in, map->n_in, node);
    }
    LIST_PUSH(arena, body->nodes, body->n_nodes, now[old->id]);
  }
  body->outputs = arena_alloc(arena, (size_t)body->n_outputs * sizeof *body->outputs);
  for (int i = 0; i < body->n_outputs; i++) {
    body->outputs[i] = group->body->outputs[i];
    body->outputs[i].node = now[body->outputs[i].node->id];
  }
  return map;
}
