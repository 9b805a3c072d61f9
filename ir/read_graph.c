/* read_graph.c - the reader's graphs: nodes, outputs, bodies.
 *
 * Nodes are made as they stand, not through node_new: reading must not merge
 * or rename anything.  So the reader infers each type by itself and compares
 * it with the one that the line says.
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "ir/text.h"

/* ---- nodes -------------------------------------------------------------- */

/* A `%name` of this graph, read before. */
Node *read_reference(Reader *r, const Graph *graph, Map *names) {
  const char *start = r->at;
  if (read_peek(r) != '%') read_fail(r, E0701, start, "expected a node, `%%name`, here");
  r->at++;
  const char *name = read_name(r, "a node's name");
  int index = map_get_name(names, name);
  if (index < 0) read_fail(r, E0702, start, "no node `%%%s` stands above in this graph", name);
  return graph->nodes[index];
}

static void read_operands(Reader *r, Node *node, const Graph *graph, Map *names) {
  if (read_peek(r) == '(') read_fail(r, E0701, r->at, "operands stand without brackets: %s %%x", op_info[node->op].name);
  if (read_peek(r) != '%') return;
  do {
    const char *start = r->at;
    Node *x = read_reference(r, graph, names);
    if (x->body && node->op != OP_result)
      read_fail(r, E0703, start, "a %s is used through its results only", op_info[x->op].name);
    LIST_PUSH(r->arena, node->in, node->n_in, x);
    if (!read_accept(r, "=")) continue;
    start = r->at;
    double value = read_number(r);
    if (x->op != OP_const || memcmp(&value, &x->attrs.value, sizeof value))
      read_fail(r, E0703, start, "`%%%s` is not that constant", x->name);
  } while (read_accept(r, ","));
}

static void read_home(Reader *r, Node *node) {
  if (!read_accept(r, "in")) return;
  node->home = (Home)read_word(r, home_words, 11, "a home");
  if (read_accept(r, "+")) node->offset = read_integer(r, INT64_MIN, INT64_MAX);
}

static void read_aliases(Reader *r, Node *node) {
  if (!read_accept(r, "aka")) return;
  do {
    const char *alias = read_name(r, "a name");
    LIST_PUSH(r->arena, node->aliases, node->n_aliases, alias);
  } while (read_accept(r, ","));
}

/* The type the node has by its op, or an error at its op. */
static Type type_of(Reader *r, const Node *node, const char *at) {
  Type type = {0};
  TypeError error = {0};
  int wanted = op_info[node->op].n_inputs;
  if (wanted >= 0 && node->n_in != wanted)
    read_fail(r, E0703, at, "%s takes %d operand%s, not %d", op_info[node->op].name, wanted, wanted == 1 ? "" : "s",
              node->n_in);
  if (node->op == OP_result) {
    const Node *group = node->in[0];
    if (!group->body || node->attrs.index >= group->body->n_outputs)
      read_fail(r, E0703, at, "`%%%s` has no output %d", group->name, node->attrs.index);
    return result_type(group, node->attrs.index);
  }
  const Type **in = arena_alloc(r->arena, sizeof *in * (size_t)(node->n_in + 1));
  for (int i = 0; i < node->n_in; i++) in[i] = &node->in[i]->type;
  if (!infer_type(node->op, node->n_in, in, &node->attrs, false, &type, &error))
    read_fail(r, E0703, at, "%s", error.message);
  return type;
}

static void read_body(Reader *r, Node *node, Graph *graph) {
  if (read_accept(r, "because")) {
    if (read_peek(r) != '"') read_fail(r, E0701, r->at, "expected a reason in quotes here");
    node->reason = read_quoted(r);
  }
  node->span = read_span(r);
  if (op_info[node->op].kind != GROUP && op_info[node->op].kind != LOOP) return;
  read_expect(r, "body");
  if (++r->depth == MAX_READ_DEPTH) read_fail(r, E0705, r->at, "graphs are nested too deep");
  node->body = read_graph(r, graph);
  r->depth--;
}

static void read_node(Reader *r, Graph *graph, Map **names) {
  const char *start = r->at++;
  Node *node = arena_alloc(r->arena, sizeof *node);
  read_note_place(r, node, start);
  node->id = graph->n_nodes;
  node->name = read_name(r, "a node's name");
  if (map_get_name(*names, node->name) >= 0) read_fail(r, E0702, start, "a second node `%%%s`", node->name);
  bool typed = read_accept(r, ":");
  if (typed) node->type = read_type(r);
  read_expect(r, "=");
  const char *op_at = r->at, *op = read_name(r, "an op");
  if (!op_find(op, &node->op)) read_fail(r, E0702, op_at, "no op is called `%s`", op);
  bool has_body = op_info[node->op].kind == GROUP || op_info[node->op].kind == LOOP;
  if (typed == has_body) read_fail(r, E0701, op_at, has_body ? "a %s has no type" : "a %s needs a type", op);
  attrs_read_main(r, node->op, &node->attrs);
  read_operands(r, node, graph, *names);
  attrs_read(r, node->op, &node->attrs, &node->type);
  if (node->op == OP_cast) node->attrs.shape = type_scalar(node->type.dtype); /* it asks for a dtype only */
  if (node->op == OP_result) node->attrs.shape = node->type;
  if (typed) {
    Type type = type_of(r, node, op_at);
    if (type.dtype != node->type.dtype || !type_same_shape(&type, &node->type)) {
      Text found = {0};
      type_print(&found, &type, true);
      read_fail(r, E0703, start, "the type written is not the one %s has here, %s", op, text_take(&found, r->arena));
    }
  }
  node->again = read_accept(r, "again");
  read_home(r, node);
  read_aliases(r, node);
  read_body(r, node, graph);
  map_put_name(names, node->name, graph->n_nodes);
  LIST_PUSH(r->arena, graph->nodes, graph->n_nodes, node);
}

static void read_output(Reader *r, Graph *graph, Map *names) {
  Output o = {0};
  o.role = (OutputRole)read_word(r, role_words, 7, "a role");
  if (read_peek(r) != '=') o.name = read_name(r, "an output's name");
  read_expect(r, "=");
  const char *start = r->at;
  o.node = read_reference(r, graph, names);
  if (o.node->body) read_fail(r, E0703, start, "a %s is used through its results only", op_info[o.node->op].name);
  for (int i = 0; i < 3; i++)
    if (read_accept(r, combine_words[i])) o.combine = (Combine)i;
  if (read_accept(r, "index")) o.index = (int)read_integer(r, 0, INT_MAX);
  LIST_PUSH(r->arena, graph->outputs, graph->n_outputs, o);
}

static void read_graph_lines(Reader *r, Graph *graph, Map **names) {
  read_expect(r, "{");
  for (read_line_end(r); !read_accept(r, "}"); read_line_end(r)) {
    if (read_peek(r) == '%') read_node(r, graph, names);
    else if (read_accept(r, "->")) read_output(r, graph, *names);
    else read_fail(r, E0701, r->at, "expected a node, an output `->`, or `}` here");
  }
}

/* From the name on, to the closing brace. */
Graph *read_graph(Reader *r, Graph *parent) {
  const char *name_at = r->at;
  Graph *graph = graph_new(r->program, read_name(r, "a graph's name"), parent);
  read_note_place(r, graph, name_at);
  if (read_accept(r, "rows")) {
    const char *start = r->at;
    graph->rows = read_symbol(r);
    if (!graph->rows->rows) read_fail(r, E0703, start, "`%s` is no capacity", graph->rows->name);
  }
  if (read_accept(r, "arena")) graph->arena_bytes = read_integer(r, 0, MAX_ELEMENTS * 8);
  Map **names = &r->names[r->depth];
  map_free(names);
  read_graph_lines(r, graph, names);
  graph_uncons(graph);
  return graph;
}
