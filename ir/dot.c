/* dot.c - a program as a Graphviz picture: one cluster a graph, one a group.
 *
 * Parameters are boxes, inputs ellipses, constants plain text; an edge carries
 * the type that flows along it.  A group is drawn with its body inside, its
 * operands as edges to the inputs of the body, its results as edges from the
 * body's outputs.
 */
#include <string.h>

#include "ir/ir.h"
#include "ir/map.h"

typedef struct Drawing {
  Text *out;
  Map *number; /* of each node drawn: its Graphviz name is n<number> */
  int next, clusters;
} Drawing;

static void draw_text(Text *out, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') text_add(out, "\\");
    if (*text == '\n') text_add(out, "\\n");
    else text_add_bytes(out, text, 1);
  }
}

static const char *look_of(const Node *node) {
  switch (node->op) {
  case OP_param:
  case OP_state: return "shape=box, style=filled, fillcolor=\"#e8f0ff\"";
  case OP_input: return "shape=ellipse, style=filled, fillcolor=\"#e8ffe8\"";
  case OP_const: return "shape=plaintext";
  default: return op_info[node->op].kind == MATMUL ? "shape=box, style=bold" : "shape=box, style=rounded";
  }
}

static void draw_node(Drawing *d, const Node *node) {
  map_put_node(&d->number, node, d->next);
  text_add(d->out, "  n%d [label=\"", d->next++);
  if (node->op == OP_const) {
    text_number(d->out, node->attrs.value);
  } else {
    draw_text(d->out, node->name);
    text_add(d->out, "\\n%s", op_info[node->op].name);
  }
  text_add(d->out, "\", %s];\n", look_of(node));
}

/* The node that stands for an operand: of a group's result, what the body puts out. */
static const Node *stands_for(const Node *node) {
  while (node->op == OP_result) node = node->in[0]->body->outputs[node->attrs.index].node;
  return node;
}

static void draw_edge(Drawing *d, const Node *from, const Node *to) {
  from = stands_for(from);
  text_add(d->out, "  n%d -> n%d [label=\"", map_get_node(d->number, from), map_get_node(d->number, to));
  Text type = {0};
  type_print(&type, &from->type, false);
  draw_text(d->out, type.data ? type.data : "");
  text_free(&type);
  text_add(d->out, "\"];\n");
}

static void open_cluster(Drawing *d, const char *title, const char *name) {
  text_add(d->out, "  subgraph cluster%d {\n  label=\"%s", d->clusters++, title);
  draw_text(d->out, name);
  text_add(d->out, "\";\n");
}

static void draw_graph(Drawing *d, const Graph *graph);

static void draw_group(Drawing *d, const Node *group) {
  open_cluster(d, "", group->name);
  draw_graph(d, group->body);
  text_add(d->out, "  }\n");
  for (int i = 0; i < group->body->n_nodes; i++) {
    const Node *node = group->body->nodes[i];
    if (node->op == OP_input) draw_edge(d, group->in[node->attrs.index], node);
  }
}

static void draw_graph(Drawing *d, const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->body) {
      draw_group(d, node);
    } else if (node->op != OP_result) {
      draw_node(d, node);
      for (int k = 0; k < node->n_in; k++) draw_edge(d, node->in[k], node);
    }
  }
}

static void draw_outputs(Drawing *d, const Graph *graph) {
  static const char *const roles[] = {"value", "log", "loss", "grad", "acc", "state", "carry"};
  for (int i = 0; i < graph->n_outputs; i++) {
    const Output *o = &graph->outputs[i];
    text_add(d->out, "  n%d [label=\"%s ", d->next, roles[o->role]);
    draw_text(d->out, o->name ? o->name : "");
    text_add(d->out, "\", shape=note];\n  n%d -> n%d;\n", map_get_node(d->number, stands_for(o->node)), d->next);
    d->next++;
  }
}

static void draw_top(Drawing *d, const Graph *graph) {
  if (!graph || !graph->n_nodes) return;
  open_cluster(d, "graph ", graph->name);
  draw_graph(d, graph);
  draw_outputs(d, graph);
  text_add(d->out, "  }\n");
}

void program_dot(Text *out, const Program *p) {
  Drawing d = {.out = out};
  text_add(out, "digraph \"");
  draw_text(out, p->name);
  text_add(out, "\" {\n  rankdir=TB;\n  node [fontname=\"Helvetica\", fontsize=10];\n"
                "  edge [fontname=\"Helvetica\", fontsize=9];\n");
  if (p->has_train) draw_top(&d, p->train.graph);
  for (int i = 1; p->has_train && i < p->train.n_phases; i++)
    if (p->train.phases[i].graph) draw_top(&d, p->train.phases[i].graph);
  for (int i = 0; i < p->n_evals; i++) {
    draw_top(&d, p->evals[i].batch);
    draw_top(&d, p->evals[i].finish);
  }
  if (p->has_predict) draw_top(&d, p->predict.graph);
  if (p->has_sample) draw_top(&d, p->sample.graph);
  draw_top(&d, p->schedule);
  text_add(out, "}\n");
  map_free(&d.number);
}
