/* rigid.c - names that a module's signature makes, `i`, `f`, `*s`: its own in
 * the body, distinct from each other and from everything outside.
 *
 * Each call makes a new symbol for each such name, which remembers the
 * caller's dim that it stands for.  The inputs enter the body, and the results
 * leave it, through a reshape that changes names only.  When a graph is done it
 * is made anew without them, in names of the file alone, so that no later
 * stage ever meets a rigid name.
 */
#include <string.h>

#include "frontend/lower.h"

const Symbol *own_name(Lower *l, const char *name, Dim stands_for) {
  Dim *dim = arena_alloc(l->arena, sizeof *dim);
  Symbol *symbol = arena_alloc(l->arena, sizeof *symbol);
  *dim = stands_for;
  *symbol = (Symbol){.name = name, .size = stands_for.size, .stands_for = dim};
  LIST_PUSH(l->arena, l->locals, l->n_locals, symbol);
  return symbol;
}

static bool same_names(const Type *a, const Type *b) {
  for (int i = 0; i < a->rank; i++)
    if (a->dim[i].symbol != b->dim[i].symbol || a->dim[i].text != b->dim[i].text) return false;
  return true;
}

Value renamed(Lower *l, Value v, const Type *type, const char *name, const Span *at) {
  if (v.kind != TENSOR || same_names(&v.node->type, type)) return v;
  Attrs attrs = {.shape = *type};
  attrs.shape.dtype = v.node->type.dtype;
  v.node = node_new(l->graph, OP_reshape, &v.node, 1, &attrs, name, at);
  return v;
}

Type callers_type(const Lower *l, const Type *type) {
  Type out = *type;
  for (int i = 0; i < out.rank; i++)
    for (int k = 0; k < l->n_locals; k++)
      if (out.dim[i].symbol == l->locals[k]) {
        out.dim[i] = *l->locals[k]->stands_for;
        break;
      }
  return out;
}

Dim outermost(Dim d) {
  while (d.symbol && d.symbol->stands_for) d = *d.symbol->stands_for;
  return d;
}

Type outermost_type(const Type *type) {
  Type out = *type;
  for (int i = 0; i < out.rank; i++) out.dim[i] = outermost(out.dim[i]);
  return out;
}

static Node *copied(Graph *to, const Node *node, Node *const *map, Arena *arena) {
  Node **in = arena_alloc(arena, sizeof *in * ((size_t)node->n_in + 1));
  for (int i = 0; i < node->n_in; i++) in[i] = map[node->in[i]->id];
  if (node->op == OP_reshape && type_same_shape(&node->type, &node->in[0]->type)) return in[0];
  Attrs attrs = node->attrs;
  attrs.shape = outermost_type(&attrs.shape);
  Node *copy = node_new(to, node->op, in, node->n_in, &attrs, node->name, node->span);
  if (node->body) {
    copy->attrs.space = outermost_type(&copy->attrs.space);
    copy->body = node->body;
    forget_own_names(copy->body);
  }
  for (int i = 0; i < node->n_aliases && copy->name == node->name; i++)
    LIST_PUSH(arena, copy->aliases, copy->n_aliases, node->aliases[i]);
  return copy;
}

void forget_own_names(Graph *graph) {
  Arena *arena = graph->program->arena;
  Graph *clean = graph_new(graph->program, graph->name, graph->parent); /* its nodes come to be the graph's */
  Node **map = arena_alloc(arena, sizeof *map * ((size_t)graph->n_nodes + 1));
  graph_number(graph);
  for (int i = 0; i < graph->n_nodes; i++) map[i] = copied(clean, graph->nodes[i], map, arena);
  for (int i = 0; i < graph->n_outputs; i++) {
    Output output = graph->outputs[i];
    output.node = map[output.node->id];
    LIST_PUSH(arena, clean->outputs, clean->n_outputs, output);
  }
  graph_take(graph, clean);
  graph_uncons(graph);
}
