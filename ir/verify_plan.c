/* verify_plan.c - are planned buffers apart while they are alive?
 *
 * It shares nothing with the planner and simulates no allocator: it works out
 * anew from where to where each value lives, and then no two that live at the
 * same time may share a byte.  A value lives from the node that writes it (a
 * `result` is written by its group) to the last one that reads it, views that
 * share its bytes included; what an output needs lives to the end.  One
 * exception: an operand that dies at the node which writes a value of the
 * same shape in its place, element by element.
 */
#include "ir/verify.h"

#define WRONG(node, ...) return verify_wrong(v, graph, (node), __VA_ARGS__)

enum { ALIGNMENT = 256, PARAM_ALIGNMENT = 64 };

/* Bytes of the arena; of a loop, of its own block. */
static int64_t bytes_of(const Node *node) { return op_info[node->op].kind == LOOP ? loop_bytes(node) : type_bytes(&node->type); }

/* ---- the parameter block ------------------------------------------------ */

static int compare(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int by_offset(const void *a, const void *b) {
  return compare((*(const Param *const *)a)->offset, (*(const Param *const *)b)->offset);
}

const char *verify_params(Verifier *v) {
  const Program *p = v->program;
  if (!p->param_elements) return NULL;
  const Graph *graph = NULL;
  const Param **sorted = arena_alloc(v->arena, sizeof *sorted * (size_t)p->n_params);
  for (int i = 0; i < p->n_params; i++) sorted[i] = &p->params[i];
  qsort(sorted, (size_t)p->n_params, sizeof *sorted, by_offset);
  for (int i = 0; i < p->n_params; i++) {
    const Param *q = sorted[i];
    int64_t limit = i + 1 < p->n_params ? sorted[i + 1]->offset : p->param_elements;
    if (q->offset < 0 || q->offset % PARAM_ALIGNMENT) WRONG(NULL, "parameter %s is not aligned in its block", q->path);
    if (q->offset + type_count(&q->type) > limit)
      WRONG(NULL, "parameter %s overlaps %s", q->path, i + 1 < p->n_params ? sorted[i + 1]->path : "the end of the block");
  }
  return NULL;
}

/* ---- homes -------------------------------------------------------------- */

/* The node whose bytes a view stands for; of one that was never made, those that are read through it. */
static const Node *root_of(const Node *node) {
  while (op_info[node->op].kind == VIEW && (node->home == HOME_ALIAS || node->home == HOME_NONE)) node = node->in[0];
  return node;
}

/* Leaves and outputs name what is declared: that has been checked. */
static int64_t param_offset(const Verifier *v, const char *path) {
  return v->program->params[map_get_name(v->params, path)].offset;
}
static int64_t state_offset(const Verifier *v, const char *path) {
  return v->program->states[map_get_name(v->states, path)].offset;
}

/* The gradient block is laid out as the parameters: a gradient stands where its parameter does. */
static bool is_gradient_of(const Verifier *v, const Graph *graph, const Node *node) {
  for (int i = 0; i < graph->n_outputs; i++) {
    const Output *o = &graph->outputs[i];
    if (o->role == OUT_GRAD && root_of(o->node) == node && param_offset(v, o->name) == node->offset) return true;
  }
  return false;
}

static bool is_new_value(const Verifier *v, const Graph *graph, const Node *node) {
  for (int i = 0; i < graph->n_outputs; i++) {
    const Output *o = &graph->outputs[i];
    if (o->role == OUT_STATE && root_of(o->node) == node && state_offset(v, o->name) == node->offset) return true;
  }
  return false;
}

static bool is_output(const Graph *graph, const Node *node) {
  for (int i = 0; i < graph->n_outputs; i++)
    if (root_of(graph->outputs[i].node) == node) return true;
  return false;
}

/* Where an earlier phase of the step leaves what this leaf is; -1: it is no such leaf. */
static int64_t carried_offset(const Verifier *v, const Node *node) {
  const Train *t = &v->program->train;
  for (int i = 0; i < t->n_phases; i++)
    for (int o = 0; t->phases[i].graph && o < t->phases[i].graph->n_outputs; o++) {
      const Output *output = &t->phases[i].graph->outputs[o];
      if (output->role == OUT_CARRY && node->op == OP_input && !strcmp(output->name, node->attrs.path)) return output->node->offset;
      if (output->role == OUT_CARRY && output->node == node) return node->offset;
    }
  return -1;
}

/* The front of the arena is for what phases hand on, from the first to the last. */
static const char *check_carried(const Verifier *v, const Graph *graph, const Node *node) {
  int64_t front = v->program->train.carry_bytes, offset = carried_offset(v, node);
  if (offset < 0) {
    if (node->offset < front) WRONG(node, "it lies where phases hand values on");
  } else if (node->offset != offset || offset + type_bytes(&node->type) > front) {
    WRONG(node, "it does not lie where it is handed on");
  }
  return NULL;
}

static bool is_planned(const Program *program) {
  for (int i = 0; i < program->n_passes; i++)
    if (!strcmp(program->passes[i], "plan")) return true;
  return false;
}

/* Not what a kernel knows by itself, and not a group, whose results do. */
static bool needs_memory(const Node *node) {
  switch (op_info[node->op].kind) {
  case LEAF: return node->op == OP_input || node->op == OP_param || node->op == OP_state || node->op == OP_result;
  case GROUP: return false;
  case LOOP: return loop_bytes(node) != 0;
  default: return true;
  }
}

static const char *check_home(const Verifier *v, const Graph *graph, const Node *node) {
  switch (node->home) {
  case HOME_NONE:
    if (is_planned(v->program) && graph != v->program->schedule && needs_memory(node)) WRONG(node, "it has no place in memory");
    break;
  case HOME_INPUT:
    if (node->op != OP_input || graph->parent) WRONG(node, "its home is the batch, but it is no input");
    break;
  case HOME_OPERAND:
    if (node->op != OP_input || !graph->parent) WRONG(node, "its home is an operand, but it is no input of a loop's body");
    break;
  case HOME_RESULT:
    if (!graph->parent || node->offset < 0 || node->offset >= graph->n_outputs || graph->outputs[node->offset].node != node)
      WRONG(node, "its home is a result of the loop, but not one that it is");
    break;
  case HOME_PARAM:
    if (node->op != OP_param || param_offset(v, node->attrs.path) != node->offset)
      WRONG(node, "its home is not that of its parameter");
    break;
  case HOME_STATE:
    if (node->op != OP_state || state_offset(v, node->attrs.path) != node->offset)
      WRONG(node, "its home is not that of its state");
    break;
  case HOME_ARENA:
    if (node->offset < 0 || node->offset % ALIGNMENT) WRONG(node, "its offset is not aligned");
    if (node->offset + bytes_of(node) > graph->arena_bytes) WRONG(node, "it ends past the arena");
    if (v->program->train.carry_bytes && is_train_graph(v->program, graph)) return check_carried(v, graph, node);
    break;
  case HOME_GRAD:
    if (!is_gradient_of(v, graph, node)) WRONG(node, "its home is not that of a gradient it is");
    break;
  case HOME_NEXT:
    if (!is_new_value(v, graph, node)) WRONG(node, "its home is not that of a state whose new value it is");
    break;
  case HOME_OUTPUT:
    if (!is_output(graph, node)) WRONG(node, "its home is an output, but it is none");
    break;
  case HOME_ALIAS:
    if (op_info[node->op].kind != VIEW) WRONG(node, "it shares its operand's bytes, but is no view");
    break;
  default: WRONG(node, "its home is none that there is");
  }
  return NULL;
}

/* ---- lives -------------------------------------------------------------- */

typedef struct Life {
  const Node *node;
  const Node *writer;
  int first, last;     /* positions: written at first, last read at last */
  int64_t low, high;   /* bytes [low, high) of the arena */
} Life;

static int by_first(const void *a, const void *b) {
  const Life *x = a, *y = b;
  return x->first != y->first ? compare(x->first, y->first) : compare(x->low, y->low);
}

static int *last_reads(const Verifier *v, const Graph *graph) {
  int *last = arena_alloc(v->arena, sizeof *last * (size_t)graph->n_nodes);
  for (int i = 0; i < graph->n_nodes; i++) {
    last[i] = i;
    for (int k = 0; k < graph->nodes[i]->n_in; k++) last[map_get_node(v->position, root_of(graph->nodes[i]->in[k]))] = i;
  }
  for (int i = 0; i < graph->n_outputs; i++) last[map_get_node(v->position, root_of(graph->outputs[i].node))] = graph->n_nodes;
  return last;
}

static int find_lives(const Verifier *v, const Graph *graph, Life *lives) {
  int n = 0;
  const int *last = last_reads(v, graph);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->home != HOME_ARENA || !bytes_of(node)) continue;
    const Node *writer = node->op == OP_result ? node->in[0] : node;
    lives[n++] = (Life){node, writer, map_get_node(v->position, writer), last[i], node->offset,
                        node->offset + bytes_of(node)};
  }
  qsort(lives, (size_t)n, sizeof *lives, by_first);
  return n;
}

/* `old` is read for the last time by the node that writes `new`: may it write in its place? */
static bool in_place(Verifier *v, const Life *old, const Life *new) {
  if (old->low != new->low || old->node->type.dtype != new->node->type.dtype) return false;
  const Node *writer = new->writer;
  for (int k = 0; k < writer->n_in; k++) {
    const Node *x = writer->in[k];
    if (root_of(x) != old->node) continue;
    if (x->home == HOME_NONE) return false; /* a view that is not made: read elsewhere */
    if (!type_same_shape(&x->type, &new->node->type)) return false;
    Kind kind = op_info[writer->op].kind;
    if (kind != MAP && !(kind == GROUP && verify_reads_in_place(v, writer, k))) return false;
  }
  return true;
}

static const char *check_pair(Verifier *v, const Graph *graph, const Life *old, const Life *new) {
  if (old->low >= new->high || new->low >= old->high) return NULL;
  if (old->first != new->first && old->last == new->first && in_place(v, old, new)) return NULL; /* alive: not before */
  WRONG(new->node, "its bytes in the arena are those of %%%s, which is still alive", old->node->name);
}

/* ---- the whole ---------------------------------------------------------- */

const char *verify_plan(Verifier *v, const Graph *graph) {
  const char *wrong = NULL;
  map_free(&v->position);
  for (int i = 0; i < graph->n_nodes; i++) map_put_node(&v->position, graph->nodes[i], i);
  for (int i = 0; i < graph->n_nodes && !wrong; i++) wrong = check_home(v, graph, graph->nodes[i]);
  if (wrong) return wrong;
  Life *lives = arena_alloc(v->arena, sizeof *lives * (size_t)graph->n_nodes);
  const Life **alive = arena_alloc(v->arena, sizeof *alive * (size_t)graph->n_nodes);
  int n = find_lives(v, graph, lives), n_alive = 0;
  for (int i = 0; i < n && !wrong; i++) {
    int kept = 0;
    for (int k = 0; k < n_alive; k++)
      if (alive[k]->last >= lives[i].first) alive[kept++] = alive[k];
    n_alive = kept;
    for (int k = 0; k < n_alive && !wrong; k++) wrong = check_pair(v, graph, alive[k], &lives[i]);
    alive[n_alive++] = &lives[i];
  }
  return wrong;
}
