/* gradient_loop.c - the gradient of a loop is a loop that runs the other way.
 *
 * For
 *
 *   h, ys = loop over t { h = f(h, x[t], w);  y = g(h) }
 *
 * the adjoint loop carries dh and the sum dw, takes dy stacked and the saved
 * values of turn t, and collects dx:
 *
 *   dh, dw, dxs = loop over t, last first { dh, dx, dw += the gradient of one turn, from dh and dy[t] }
 *
 * Its body is a copy of the forward body with a sweep of its own behind it.
 * Copies that gradient_saves.c chooses are replaced by what the forward loop,
 * which collects them too, saved in that turn; the others stay, and are
 * computed again.  What is left is as ordinary as the forward loop was, so a
 * gradient of the gradient needs nothing more.
 */
#include <stdlib.h>
#include <string.h>

#include "passes/gradient.h"

/* Inputs are known by provisional indices until all are known: those of the
 * forward loop by its own, the others behind. */
typedef struct Back {
  Sweep *outer;
  Node *loop;  /* forward */
  Graph *body; /* of the adjoint loop */
  Sweep in;
  int n;       /* copies: the first nodes of body */
  Node **operand; /* of the forward loop's, by index: its copy in the body, or NULL */
  Node **given;   /* by output of the forward loop: the adjoint of its result, or NULL */
  const Node **next; /* by carried value: the input that holds the adjoint of what the turn after saw, or NULL */
  int n_inputs;
  Node **inputs;  /* made beside the copies: inputs[i] is fed by feeds[i] */
  Node **feeds;
  Arena *arena;   /* scratch */
} Back;

static bool is_float(const Node *node) { return dtype_is_float(node->type.dtype); }

/* ---- which results lead to a wanted operand ---------------------------------- */

static bool reach_body(const Node *loop, bool *reached, const bool *operand, bool *output) {
  const Graph *body = loop->body;
  bool changed = false;
  for (int i = 0; i < body->n_nodes; i++) {
    const Node *node = body->nodes[i];
    if (node->op == OP_input) reached[i] = is_float(node) && operand[node->attrs.index];
    bool through = node->op == OP_result || op_info[node->op].kind == LOOP; /* of a loop within: any way */
    for (int k = 0; k < node->n_in && !reached[i]; k++)
      reached[i] = (through || gradient_flows(node, k)) && reached[node->in[k]->id];
    if (node->op == OP_result && !is_float(node)) reached[i] = false;
  }
  for (int o = 0; o < body->n_outputs; o++) {
    bool now = reached[body->outputs[o].node->id];
    changed |= now && !output[o];
    output[o] |= now;
  }
  return changed;
}

bool *loop_reached(const Sweep *s, const Node *loop) {
  Graph *body = loop->body;
  graph_number(body);
  bool *operand = arena_alloc(s->scratch, (size_t)loop->n_in), *output = arena_alloc(s->scratch, (size_t)body->n_outputs),
       *reached = arena_alloc(s->scratch, (size_t)body->n_nodes);
  for (int i = 0; i < loop->n_in; i++) operand[i] = s->reached[loop->in[i]->id];
  while (memset(reached, 0, (size_t)body->n_nodes), reach_body(loop, reached, operand, output))
    for (int i = 0; i < loop->attrs.carried; i++) operand[i] |= output[i];
  for (int i = 0; i < loop->attrs.carried; i++) output[i] |= operand[i] && is_float(loop->in[i]);
  return output;
}

/* ---- the body: a copy of the turn, and a sweep over it ------------------------ */

static void copy_turn(Back *b) {
  const Graph *body = b->loop->body;
  b->n = body->n_nodes;
  Node **map = arena_alloc(b->arena, (size_t)b->n * sizeof *map);
  graph_copy(b->body, body, map);
  for (int i = 0; i < b->n; i++)
    if (body->nodes[i]->op == OP_input) b->operand[body->nodes[i]->attrs.index] = map[i];
  for (int o = 0; o < body->n_outputs; o++)
    graph_output(b->body, OUT_VALUE, body->outputs[o].name, map[body->outputs[o].node->id]);
}

static Node *new_input(Back *b, const Type *type, Node *feed, const char *name) {
  Attrs attrs = {.index = b->loop->n_in + b->n_inputs, .shape = *type};
  Node *input = node_new(b->body, OP_input, NULL, 0, &attrs, name, b->loop->span);
  int n = b->n_inputs;
  LIST_PUSH(b->arena, b->inputs, n, input);
  LIST_PUSH(b->arena, b->feeds, b->n_inputs, feed);
  return input;
}

static const char *adjoint_name(const Back *b, const Node *node) {
  return arena_print(b->body->program->arena, "%s.%s", b->outer->label, node->name);
}

/* The adjoint of output o, as the turn is given it: carried, or stacked. */
static void seed(Back *b, int o, const bool *reached) {
  Node *value = b->body->outputs[o].node;
  bool carried = o < b->loop->attrs.carried;
  if (!reached[o] || !is_float(value) || (!carried && !b->given[o])) return;
  Node *feed = b->given[o] ? b->given[o] : sweep_filled(b->outer, b->loop->in[o], 0);
  Node *input = new_input(b, &value->type, feed, adjoint_name(b, carried && b->operand[o] ? b->operand[o] : value));
  if (carried) b->next[o] = input;
}

/* Inputs first, so that the sweep finds all nodes there; then what they hold is handed to the outputs' nodes. */
static void sweep_turn(Back *b, const bool *reached) {
  int n_outputs = b->body->n_outputs, *input_of = arena_alloc(b->arena, (size_t)n_outputs * sizeof *input_of);
  for (int o = 0; o < n_outputs; o++) {
    input_of[o] = b->n_inputs;
    seed(b, o, reached);
    if (input_of[o] == b->n_inputs) input_of[o] = -1;
  }
  b->in = sweep_new(b->body, b->outer->label, b->arena);
  for (int k = 0; k < b->loop->n_in; k++) {
    bool carried = k < b->loop->attrs.carried;
    if (b->operand[k] && is_float(b->operand[k]) && (carried ? reached[k] : b->outer->reached[b->loop->in[k]->id]))
      b->in.wanted[b->operand[k]->id] = true, b->operand[k]->mark = carried ? 0 : GIVEN;
  }
  sweep_reach(&b->in);
  for (int o = 0; o < n_outputs; o++)
    if (input_of[o] >= 0 && b->in.reached[b->body->outputs[o].node->id])
      sweep_add(&b->in, b->body->outputs[o].node, b->inputs[input_of[o]], b->loop->span);
  sweep_back(&b->in, b->n - 1);
  b->body->n_outputs = 0; /* those of the forward loop */
}

/* ---- what the adjoint loop puts out -------------------------------------------- */

/* For whom a result is. */
typedef struct Result {
  int operand; /* of the forward loop */
  Node *value; /* in the body */
  Node *start; /* carried: what it begins with */
  Node *input; /* carried: how the turn sees it */
} Result;

typedef struct Results {
  int n;
  Result *at;
} Results;

static Node *adjoint_of(const Back *b, int operand) {
  const Node *copy = b->operand[operand];
  return copy ? b->in.adjoint[copy->id] : NULL;
}

/* A carried value's adjoint goes on to the turn before, even as zeros. */
static void add_carried(Back *b, Results *results) {
  for (int k = 0; k < b->loop->attrs.carried; k++) {
    if (!b->next[k]) continue;
    Node *input = (Node *)b->next[k], *value = adjoint_of(b, k);
    if (!value) value = sweep_filled(&b->in, input, 0);
    Result r = {k, value, b->feeds[input->attrs.index - b->loop->n_in], input};
    LIST_PUSH(b->arena, results->at, results->n, r);
  }
}

static bool is_stacked(const Node *loop, int k) {
  return k >= loop->attrs.carried && k < loop->attrs.carried + loop->attrs.stacked;
}

/* What every turn reads: its adjoint is a sum over the turns. */
static void add_sums(Back *b, Results *results) {
  for (int k = b->loop->attrs.carried + b->loop->attrs.stacked; k < b->loop->n_in; k++) {
    Node *adjoint = adjoint_of(b, k), *x = b->loop->in[k];
    if (!adjoint || !b->outer->reached[x->id]) continue;
    Node *start = sweep_filled(b->outer, x, 0);
    Node *input = new_input(b, &b->operand[k]->type, start, arena_print(b->body->program->arena, "%s.sum", adjoint_name(b, b->operand[k])));
    Builder build = sweep_builder(&b->in, b->operand[k], b->loop->span);
    Result r = {k, b_binary(&build, OP_add, input, adjoint), start, input};
    LIST_PUSH(b->arena, results->at, results->n, r);
  }
}

static void add_collected(Back *b, Results *results) {
  for (int k = 0; k < b->loop->n_in; k++) {
    Node *adjoint = adjoint_of(b, k);
    if (!is_stacked(b->loop, k) || !adjoint || !b->outer->reached[b->loop->in[k]->id]) continue;
    Result r = {.operand = k, .value = adjoint};
    LIST_PUSH(b->arena, results->at, results->n, r);
  }
}

/* ---- saving ---------------------------------------------------------------------- */

/* One more output of the forward loop, and its result where the loop stands. */
static Node *collect_in_forward(Back *b, Node *value) {
  Node *loop = b->loop;
  int known = loop->attrs.carried;
  while (known < loop->body->n_outputs && loop->body->outputs[known].node != value) known++;
  if (known == loop->body->n_outputs) graph_output(loop->body, OUT_VALUE, value->name, value);
  Attrs attrs = {.index = known};
  attrs.shape = result_type(loop, attrs.index);
  return node_new(b->outer->graph, OP_result, &loop, 1, &attrs, arena_print(b->body->program->arena, "%s.saved", value->name), value->span);
}

static void save(Back *b) {
  bool *chosen = arena_alloc(b->arena, (size_t)b->n);
  choose_saves(b->body, b->n, b->loop->attrs.remat, b->loop->attrs.carried, chosen, b->arena);
  for (int i = 0; i < b->n; i++) {
    if (!chosen[i]) continue;
    Node *copy = b->body->nodes[i];
    Node *saved = collect_in_forward(b, b->loop->body->nodes[i]);
    Node *input = new_input(b, &copy->type, saved, arena_print(b->body->program->arena, "%s.saved", copy->name));
    graph_replace(b->body, copy, input);
  }
}

/* ---- the loop ------------------------------------------------------------------------ */

/* Inputs get the places of their operands, which come in the order carried, stacked, read; unread ones go. */
typedef struct Operands {
  int n;
  Node **node;
} Operands;

static void place_input(Back *b, Operands *operands, Node *input, Node *feed) {
  input->attrs.index = operands->n;
  LIST_PUSH(b->arena, operands->node, operands->n, feed);
}

static Node *feed_of(const Back *b, const Node *input, bool *stacked) {
  int k = input->attrs.index, n = b->loop->n_in;
  if (k < n) return *stacked = is_stacked(b->loop, k), b->loop->in[k];
  return *stacked = true, b->feeds[k - n]; /* adjoints and saved values: carried ones have their place already */
}

static void drop_unread(Back *b) {
  Graph *body = b->body;
  graph_sort(body);
  graph_sweep(body);
  int *uses = graph_uses(body, b->arena), n = 0;
  for (int i = 0; i < body->n_nodes; i++)
    if (body->nodes[i]->op != OP_input || uses[i]) body->nodes[n++] = body->nodes[i];
  body->n_nodes = n;
  graph_uncons(body);
  graph_number(body);
}

static Operands place_operands(Back *b, const Results *results, int *n_carried, int *n_stacked) {
  Operands operands = {0};
  Graph *body = b->body;
  Node **feed = arena_alloc(b->arena, (size_t)body->n_nodes * sizeof *feed);
  bool *stacked = arena_alloc(b->arena, (size_t)body->n_nodes);
  for (int i = 0; i < body->n_nodes; i++)
    if (body->nodes[i]->op == OP_input) feed[i] = feed_of(b, body->nodes[i], &stacked[i]);
  for (int r = 0; r < results->n && results->at[r].input; r++) {
    Node *input = results->at[r].input;
    if (input->id < body->n_nodes && body->nodes[input->id] == input) feed[input->id] = NULL;
    place_input(b, &operands, input, results->at[r].start);
  }
  *n_carried = operands.n;
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < body->n_nodes; i++)
      if (feed[i] && stacked[i] == !pass) place_input(b, &operands, body->nodes[i], feed[i]);
    if (!pass) *n_stacked = operands.n - *n_carried;
  }
  return operands;
}

static Node *make_loop(Back *b, const Results *results) {
  Attrs attrs = {.path = b->loop->attrs.path, .space = b->loop->attrs.space, .reverse = !b->loop->attrs.reverse};
  for (int r = 0; r < results->n; r++) graph_output(b->body, OUT_VALUE, results->at[r].value->name, results->at[r].value);
  save(b);
  drop_unread(b);
  Operands operands = place_operands(b, results, &attrs.carried, &attrs.stacked);
  Node *loop = node_new(b->outer->graph, OP_loop, operands.node, operands.n, &attrs, adjoint_name(b, b->loop), b->loop->span);
  loop->body = b->body;
  b->body->name = loop->name;
  return loop;
}

static void hand_out(Back *b, Node *loop, const Results *results) {
  for (int r = 0; r < results->n; r++) {
    Node *x = b->loop->in[results->at[r].operand];
    if (!b->outer->reached[x->id]) continue; /* carried, but begun with nothing that is wanted */
    Attrs attrs = {.index = r};
    attrs.shape = result_type(loop, r);
    Builder name = sweep_builder(b->outer, x, b->loop->span);
    Node *result = node_new(b->outer->graph, OP_result, &loop, 1, &attrs, name.prefix, b->loop->span);
    sweep_add(b->outer, x, result, b->loop->span);
  }
}

/* The adjoints of a loop's results, by output. */
static bool find_given(Back *b) {
  bool any = false;
  for (int i = b->loop->id + 1; i < b->outer->n; i++) {
    const Node *node = b->outer->graph->nodes[i];
    if (node->op != OP_result || node->in[0] != b->loop || !b->outer->adjoint[i]) continue;
    b->given[node->attrs.index] = b->outer->adjoint[i];
    any = true;
  }
  return any;
}

void differentiate_loop(Sweep *s, Node *loop) {
  Back b = {.outer = s, .loop = loop, .arena = arena_new()};
  size_t room = (size_t)loop->n_in + (size_t)loop->body->n_outputs;
  b.operand = arena_alloc(b.arena, room * sizeof *b.operand);
  b.given = arena_alloc(b.arena, room * sizeof *b.given);
  b.next = arena_alloc(b.arena, room * sizeof *b.next);
  if (find_given(&b)) {
    bool *reached = loop_reached(s, loop);
    Results results = {0};
    b.body = graph_new(s->graph->program, loop->name, s->graph);
    b.body->rows = loop->body->rows;
    copy_turn(&b);
    sweep_turn(&b, reached);
    add_carried(&b, &results);
    add_sums(&b, &results);
    add_collected(&b, &results);
    if (results.n) hand_out(&b, make_loop(&b, &results), &results);
  }
  arena_free(b.arena);
}
