/* gradient.c - reverse mode on the graph.
 *
 * d y / d x for a scalar y: give y the adjoint 1, walk the nodes backwards and
 * let each hand its adjoint on to its operands by the rule of its op; a node
 * read several times sums what it is handed.  Only nodes between some wanted x
 * and y are visited.  The adjoints are ordinary nodes at the end of the list,
 * so a gradient can be differentiated again: `grad` nodes are expanded
 * innermost first, and then the losses of the updates.
 *
 * An adjoint handed to %a by the op at line 12 is named grad.<update>.a.<role>
 * and points to line 12.
 *
 * needs: nothing.  Afterwards: no `grad` nodes; each update has an OUT_GRAD
 * for each of its parameters, index = the update, and each phase of the step is
 * a graph of its own (phases.c).
 */
#include <stdlib.h>
#include <string.h>

#include "passes/gradient.h"

Sweep sweep_new(Graph *graph, const char *label, Arena *scratch) {
  Sweep s = {.graph = graph, .label = label, .n = graph->n_nodes, .scratch = scratch};
  size_t room = (size_t)s.n + 1;
  graph_number(graph);
  s.wanted = arena_alloc(scratch, room);
  s.reached = arena_alloc(scratch, room);
  s.used = arena_alloc(scratch, room);
  s.adjoint = arena_alloc(scratch, room * sizeof *s.adjoint);
  return s;
}

Builder sweep_builder(const Sweep *s, const Node *x, const Span *span) {
  return (Builder){s->graph, span, arena_print(s->graph->program->arena, "%s.%s", s->label, x->name)};
}

/* ---- which nodes take part ------------------------------------------------ */

static bool is_loop(const Node *node) { return op_info[node->op].kind == LOOP; }

void sweep_reach(Sweep *s) {
  bool **outputs = arena_alloc(s->scratch, (size_t)s->n * sizeof *outputs); /* of loops */
  for (int i = 0; i < s->n; i++) {
    const Node *node = s->graph->nodes[i];
    s->reached[i] = s->wanted[i];
    if (is_loop(node)) outputs[i] = loop_reached(s, node);
    if (node->op == OP_result && is_loop(node->in[0])) s->reached[i] |= outputs[node->in[0]->id][node->attrs.index];
    for (int k = 0; k < node->n_in && !s->reached[i]; k++)
      s->reached[i] = gradient_flows(node, k) && s->reached[node->in[k]->id];
  }
}

/* relu' is a choice between 0 and 1 by comparison: nothing flows through it,
 * and its slope is 0, which is no reason to complain.  So the nodes that
 * derivatives are made of count as ways from x to y here. */
static void find_used(Sweep *s, const Node *y) {
  s->used[y->id] = true;
  for (int i = y->id; i >= 0; i--) {
    const Node *node = s->graph->nodes[i];
    for (int k = 0; k < node->n_in && s->used[i]; k++)
      if (gradient_flows(node, k) || node->mark == OF_DERIVATIVE || is_loop(node) || node->op == OP_result)
        s->used[node->in[k]->id] = true;
  }
}

/* ---- the sweep ------------------------------------------------------------ */

/* Broadcast operands get the sum over what broadcasting added, here and nowhere else. */
static Node *fitted(Builder *b, Node *g, const Node *x) {
  if (!type_same_shape(&g->type, &x->type)) g = b_sum_to(b, g, &x->type);
  return b_cast(b, g, x->type.dtype);
}

void sweep_add(Sweep *s, Node *x, Node *given, const Span *span) {
  Builder b = sweep_builder(s, x, span);
  Node **sum = &s->adjoint[x->id];
  given = fitted(&b, given, x);
  *sum = *sum ? b_binary(&b, OP_add, *sum, given) : given;
}

static void hand_on(Sweep *s, Node *node, int k) {
  Node *x = node->in[k];
  Builder b = sweep_builder(s, x, node->span);
  Step step = {.b = &b, .node = node, .g = s->adjoint[node->id], .x = node->in[0], .k = k};
  if (node->n_in > 1) step.y = node->in[1];
  sweep_add(s, x, gradient_rules[node->op](&step), node->span);
}

Node *sweep_filled(const Sweep *s, const Node *x, double value) {
  Builder b = {s->graph, x->span, "grad"};
  Node *number = b_const(&b, x->type.dtype, value);
  b = sweep_builder(s, x, x->span);
  return type_same_shape(&number->type, &x->type) ? number : b_broadcast(&b, number, &x->type);
}

void sweep_back(Sweep *s, int from) {
  for (int i = from; i >= 0; i--) {
    Node *node = s->graph->nodes[i];
    if (is_loop(node)) differentiate_loop(s, node);
    for (int k = 0; k < node->n_in && s->adjoint[i]; k++)
      if (gradient_flows(node, k) && s->reached[node->in[k]->id]) hand_on(s, node, k);
  }
}

/* The adjoints of x[0..n): NULL for those y does not depend on. */
static void differentiate(Graph *graph, const char *label, Node *y, int n, Node *const *x, Node **result) {
  Sweep s = sweep_new(graph, label, arena_new());
  for (int i = 0; i < n; i++) s.wanted[x[i]->id] = true;
  sweep_reach(&s);
  find_used(&s, y);
  if (s.reached[y->id]) {
    s.adjoint[y->id] = sweep_filled(&s, y, 1);
    sweep_back(&s, y->id);
  }
  for (int i = 0; i < n; i++) {
    result[i] = s.adjoint[x[i]->id];
    if (!result[i] && s.used[x[i]->id]) result[i] = sweep_filled(&s, x[i], 0);
  }
  for (int i = s.n; i < graph->n_nodes; i++) graph->nodes[i]->mark = OF_DERIVATIVE;
  arena_free(s.scratch);
}

/* ---- grad(y, x) ------------------------------------------------------------ */

static Node *first_grad(const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == OP_grad) return graph->nodes[i];
  return NULL;
}

static Node *not_reached(PassContext *context, Graph *graph, const Node *grad) {
  Builder b = {graph, grad->span, grad->name};
  report(context->diagnostics, E0601, grad->span, "grad: %s does not depend on %s", grad->in[0]->name,
         grad->in[1]->name);
  report_note(context->diagnostics, grad->in[1]->span, "%s is made here", grad->in[1]->name);
  return b_broadcast(&b, b_const(&b, grad->type.dtype, 0), &grad->type); /* so that the rest is still checked */
}

/* All gradients of one y in one sweep. */
static void expand(PassContext *context, Graph *graph, Node *first) {
  Arena *scratch = arena_new();
  int n = 0, n_before = graph->n_nodes;
  size_t room = (size_t)n_before;
  Node *y = first->in[0], **grad = arena_alloc(scratch, room * sizeof *grad),
       **x = arena_alloc(scratch, room * sizeof *x);
  for (int i = 0; i < n_before; i++) {
    Node *node = graph->nodes[i];
    if (node->op != OP_grad || node->in[0] != y) continue;
    grad[n] = node;
    x[n++] = node->in[1];
  }
  Node **result = arena_alloc(scratch, room * sizeof *result);
  differentiate(graph, arena_print(graph->program->arena, "grad.%s", first->name), y, n, x, result);
  for (int i = 0; i < n; i++)
    if (!result[i]) result[i] = not_reached(context, graph, grad[i]);
  graph_number(graph);
  Node **to = arena_alloc(scratch, (size_t)graph->n_nodes * sizeof *to);
  for (int i = 0; i < n; i++) to[grad[i]->id] = result[i];
  graph_replace_all(graph, to);
  arena_free(scratch);
}

/* Innermost first: in order, the first grad has none among its operands. */
static void expand_grads(PassContext *context, Graph *graph) {
  for (Node *grad; (grad = first_grad(graph));) {
    expand(context, graph, grad);
    graph_sort(graph);
    graph_sweep(graph);
  }
}

/* ---- the updates ------------------------------------------------------------ */

typedef struct ParamNode {
  const char *path;
  int moved; /* by so many updates before */
  Node *node;
} ParamNode;

/* Of one path there is a node for each time it was moved. */
static int by_path(const void *a, const void *b) {
  const ParamNode *x = a, *y = b;
  int order = strcmp(x->path, y->path);
  return order ? order : (x->moved > y->moved) - (x->moved < y->moved);
}

typedef struct ParamNodes {
  int n;
  ParamNode *at; /* sorted */
} ParamNodes;

static ParamNodes find_params(const Graph *graph, Arena *scratch) {
  ParamNodes found = {0, arena_alloc(scratch, sizeof *found.at * (size_t)graph->n_nodes)};
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == OP_param)
      found.at[found.n++] = (ParamNode){graph->nodes[i]->attrs.path, graph->nodes[i]->attrs.index, graph->nodes[i]};
  qsort(found.at, (size_t)found.n, sizeof *found.at, by_path);
  return found;
}

static Node *param_node(const ParamNodes *params, const char *path, int moved) {
  ParamNode key = {path, moved, NULL}, *found = bsearch(&key, params->at, (size_t)params->n, sizeof key, by_path);
  return found ? found->node : NULL;
}

static Node *find_loss(const Graph *graph, const char *update) {
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->outputs[i].role == OUT_LOSS && !strcmp(graph->outputs[i].name, update)) return graph->outputs[i].node;
  return NULL;
}

static void no_gradient(PassContext *context, const Update *update, const Param *param) {
  report(context->diagnostics, E0603, param->span, "no gradient reaches %s", param->path);
  report_note(context->diagnostics, update->span, "it is to be updated here");
  report_help(context->diagnostics, "use it in the loss, or leave it out: freeze %s", param->path);
}

static void add_gradients(PassContext *context, int index) {
  Program *program = context->program;
  Graph *graph = program->train.graph;
  const Update *update = &program->train.updates[index];
  Node *loss = find_loss(graph, update->name);
  if (!loss) { /* only a program written by hand lacks it */
    report(context->diagnostics, E0704, update->span, "%s: there is no loss for %s", graph->name, update->name);
    return;
  }
  Arena *scratch = arena_new();
  ParamNodes nodes = find_params(graph, scratch);
  size_t room = sizeof(Node *) * (size_t)program->n_params;
  const Param **param = arena_alloc(scratch, room);
  Node **x = arena_alloc(scratch, room), **result = arena_alloc(scratch, room);
  int n = 0;
  for (int g = 0; g < update->n_groups; g++)
    for (int i = 0; i < update->groups[g].n_params; i++) {
      int p = update->groups[g].params[i];
      param[n] = &program->params[p];
      x[n] = param_node(&nodes, param[n]->path, updates_of(program, p, index));
      if (x[n])
        n++;
      else
        no_gradient(context, update, param[n]);
    }
  differentiate(graph, arena_print(program->arena, "grad.%s", update->name), loss, n, x, result);
  for (int i = 0; i < n; i++) {
    if (!result[i]) {
      no_gradient(context, update, param[i]);
      continue;
    }
    graph_output(graph, OUT_GRAD, param[i]->path, result[i]);
    graph->outputs[graph->n_outputs - 1].index = index;
  }
  arena_free(scratch);
}

void pass_gradient(PassContext *context) {
  Program *program = context->program;
  mark_loops(context);
  Graph **graphs = program_graphs(program);
  for (int i = 0; graphs[i]; i++) {
    for (int k = 0; k < graphs[i]->n_nodes; k++) graphs[i]->nodes[k]->mark = 0;
    if (graphs[i] != program->schedule) expand_grads(context, graphs[i]);
  }
  if (!program->has_train) return;
  Graph *graph = program->train.graph;
  ask_for_lse(graph);
  note_stopped(program);
  for (int i = 0; i < program->train.n_updates; i++) add_gradients(context, i);
  graph_sweep(graph);
  if (!diagnostics_errors(context->diagnostics)) cut_phases(context);
  order_update_groups(context);
}
