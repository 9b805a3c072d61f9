/* hoist.c - sums over the turns of a loop, made behind it.
 *
 * The gradient of a weight that every turn reads is a sum over the turns:
 *
 *   dw = loop over t { dw = dw + a[t]' b[t] }
 *
 * Each turn reads and writes the whole sum for a product of few rows.  But a
 * and b of all turns are there, or can be collected, and a product may as well
 * contract the turns:
 *
 *   dw = a' b, of a and b as [turns * rows, ...]
 *
 * So it is with whatever is linear in what turns make: sums over rows, what is
 * added up by index, views and sums of such.  A carried value that is read for
 * nothing but to be added to is no longer carried, and its sum is made of
 * stacks behind the loop.  Bodies of loops come before the loops, so that a sum
 * may leave several.
 *
 * Where strides go by capacity, rows that are not there stand between those of
 * one turn and the next: stacks [turns, batch, ...] are turned to [batch,
 * turns, ...], of which the leading axes are one.
 *
 * It is done where it moves fewer bytes, and where the new stacks take no more
 * than those that the loop has; of a loop marked `remat` only where there are
 * none.  Under a budget of memory all of it is done when all fits, which is
 * tried on a copy.
 *
 * The order of additions changes, and what a turn rounds to bf16 is added up
 * in f32.  needs: gradient.
 */
#include <string.h>

#include "passes/rematerialize.h"

enum { KERNEL = 2800000 }; /* bytes that memory moves while a kernel begins */

typedef struct Hoist {
  PassContext *context;
  Graph *graph;  /* where the loop stands */
  Node *loop;
  Arena *arena;
  bool remat;
  int n;         /* outputs of the body before any is added */
  int *uses;     /* by id of a node of the body */
  int *output;   /* by id: as which output the turns' values are collected; -1: they are not */
  Node **input;  /* by operand: its node in the body; NULL: unread */
  Node **stack;  /* by id: the values of all turns, outside; NULL: not asked for yet */
  Node **result; /* by output: its result; NULL: unread */
  Node **sum;    /* by carried value: what its result becomes; NULL: it stays */
} Hoist;

/* ---- the values of all turns ------------------------------------------------- */

typedef enum Way {
  NEVER,
  THERE,   /* stacked before, or collected already */
  VIEWED,  /* as of each turn's, so of all turns' */
  COLLECT
} Way;

static Way way_of(const Hoist *h, const Node *x) {
  const Attrs *a = &h->loop->attrs;
  if (h->output[x->id] >= 0) return THERE;
  if (x->type.rank == MAX_RANK) return NEVER;
  if (x->op == OP_input && x->attrs.index >= a->carried) return x->attrs.index < a->carried + a->stacked ? THERE : NEVER;
  bool simple = x->op == OP_reshape || x->op == OP_transpose || x->op == OP_slice || x->op == OP_cast;
  Way below = simple ? way_of(h, x->in[0]) : NEVER;
  return below == THERE || below == VIEWED ? VIEWED : COLLECT;
}

static Node *collected(Hoist *h, Node *x) {
  int *output = &h->output[x->id];
  if (*output < 0) {
    *output = h->loop->body->n_outputs;
    graph_output(h->loop->body, OUT_VALUE, x->name, x);
  } else if (*output < h->n && h->result[*output]) {
    return h->result[*output];
  }
  Attrs attrs = {.index = *output, .shape = result_type(h->loop, *output)};
  return node_new(h->graph, OP_result, &h->loop, 1, &attrs, arena_print(h->graph->program->arena, "%s.turns", x->name), x->span);
}

/* [turns, ...] of an element's type. */
static Type of_turns(const Hoist *h, const Type *element) {
  Type type = {.dtype = element->dtype, .rank = element->rank + 1, .dim = {h->loop->attrs.space.dim[0]}};
  for (int i = 0; i < element->rank; i++) type.dim[i + 1] = element->dim[i];
  return type;
}

static Node *viewed(Hoist *h, Builder *b, const Node *x, Node *of) {
  Type type = of_turns(h, &x->type);
  int axes[MAX_RANK] = {0};
  int64_t start[MAX_RANK] = {0}, step[MAX_RANK] = {1};
  for (int i = 0; i < x->type.rank; i++)
    axes[i + 1] = x->attrs.axes[i] + 1, start[i + 1] = x->attrs.start[i], step[i + 1] = x->attrs.step[i];
  switch (x->op) {
  case OP_reshape: return b_reshape(b, of, &type);
  case OP_transpose: return b_transpose(b, of, axes);
  case OP_slice: return b_slice(b, of, &type, start, step);
  default: return b_cast(b, of, type.dtype);
  }
}

static Node *stack_of(Hoist *h, Node *x) {
  Node **known = &h->stack[x->id];
  if (*known) return *known;
  Builder b = {h->graph, x->span, arena_print(h->graph->program->arena, "%s.turns", x->name)};
  Way way = way_of(h, x);
  if (way == VIEWED) return *known = viewed(h, &b, x, stack_of(h, x->in[0]));
  bool stacked = h->output[x->id] < 0 && way == THERE;
  return *known = stacked ? h->loop->in[x->attrs.index] : collected(h, x);
}

/* ---- may it be summed behind the loop, and at what price? ------------------------ */

/* Of one turn. */
typedef struct Price {
  double kept;  /* bytes of new stacks */
  double moved; /* written and read for them */
} Price;

static void pay(Price *price, const Node *x) {
  price->kept += (double)type_bytes(&x->type);
  price->moved += 2 * (double)type_bytes(&x->type);
}

static bool may_stack(const Hoist *h, const Node *x, Price *price) {
  Way way = way_of(h, x);
  if (way == COLLECT && !h->stack[x->id]) pay(price, x);
  return way != NEVER;
}

/* Which axis of operand k of a product is contracted? */
static int contracted(const Node *product, int k) { return k ? product->attrs.tb : !product->attrs.ta; }

/* As [turns * contracted, other], or with the batch outermost: copied, unless it is so already. */
static bool may_contract(const Hoist *h, const Node *product, int k, Price *price) {
  const Node *x = product->in[k];
  int axis = contracted(product, k);
  bool rows = x->type.dim[axis].rows;
  if (x->type.rank != 2 || (rows && x->type.dim[!axis].rows)) return false;
  if (rows || axis) pay(price, x);
  return may_stack(h, x, price);
}

/* Is the sum over turns of x one of what is stacked? */
static bool may_sum(const Hoist *h, const Node *x, Price *price) {
  if (way_of(h, x) == THERE) return true;
  bool once = h->uses[x->id] == 1; /* else the turn makes it nevertheless */
  switch (x->op) {
  case OP_matmul: return once && may_contract(h, x, 0, price) && may_contract(h, x, 1, price);
  case OP_scatter_add: return once && x->in[0]->type.rank < MAX_RANK && may_stack(h, x->in[0], price) && may_stack(h, x->in[1], price);
  case OP_sum: return may_stack(h, x->in[0], price);
  case OP_add: return may_sum(h, x->in[0], price) && may_sum(h, x->in[1], price);
  case OP_cast: return dtype_is_float(x->in[0]->type.dtype) && may_sum(h, x->in[0], price);
  default: return op_info[x->op].kind == VIEW && may_sum(h, x->in[0], price);
  }
}

/* ---- the sum ------------------------------------------------------------------------ */

static DType wide(DType dtype) { return dtype == BF16 ? F32 : dtype; }

/* Turned once where it was turned before, or as it was. */
static Node *turned(Builder *b, Node *x, const int *axes) {
  static const int as_it_is[] = {0, 1, 2};
  int all[3];
  bool twice = x->op == OP_transpose;
  for (int i = 0; i < 3; i++) all[i] = twice ? x->attrs.axes[axes[i]] : axes[i];
  if (twice) x = x->in[0];
  return memcmp(all, as_it_is, sizeof all) ? b_transpose(b, x, all) : x;
}

static Node *contractible(Hoist *h, Builder *b, const Node *product, int k) {
  Node *x = stack_of(h, product->in[k]);
  int axis = 1 + contracted(product, k);
  bool rows = x->type.dim[axis].rows;
  x = turned(b, x, (int[]){rows ? axis : 0, rows ? 0 : axis, 3 - axis});
  Type merged;
  if (!type_merge_leading(h->graph->program->arena, &x->type, 1, &merged)) fault("hoist: the batch of %s is not outermost", x->name);
  return b_reshape(b, x, &merged);
}

/* Rounded to bf16 at the end only: what turns round, is f32 here. */
static Node *sum_of(Hoist *h, Builder *b, Node *x) {
  if (way_of(h, x) == THERE) return b_reduce(b, OP_sum, b_cast(b, stack_of(h, x), wide(x->type.dtype)), 1, (int[]){0}, false);
  Node *in[2] = {0};
  int axes[MAX_RANK] = {0};
  Attrs attrs = {.shape = x->type};
  switch (x->op) {
  case OP_matmul:
    for (int k = 0; k < 2; k++) in[k] = contractible(h, b, x, k);
    return in[0]->type.dtype == BF16 ? b_matmul_wide(b, in[0], in[1], true, false) : b_matmul(b, in[0], in[1], true, false);
  case OP_scatter_add:
    in[0] = b_cast(b, stack_of(h, x->in[0]), wide(x->type.dtype)), in[1] = stack_of(h, x->in[1]);
    attrs.shape.dtype = in[0]->type.dtype;
    return node_new(h->graph, OP_scatter_add, in, 2, &attrs, arena_print(h->graph->program->arena, "%s.scatter_add", b->prefix), b->span);
  case OP_sum:
    for (int i = 0; i < x->attrs.n_axes; i++) axes[i + 1] = x->attrs.axes[i] + 1;
    in[0] = b_reduce(b, OP_sum, b_cast(b, stack_of(h, x->in[0]), wide(x->type.dtype)), x->attrs.n_axes + 1, axes, false);
    return x->attrs.keep ? b_reshape(b, in[0], &x->type) : in[0];
  case OP_add:
    for (int k = 0; k < 2; k++) in[k] = b_cast(b, sum_of(h, b, x->in[k]), wide(x->type.dtype));
    return b_binary(b, OP_add, in[0], in[1]);
  case OP_cast: return b_cast(b, sum_of(h, b, x->in[0]), wide(x->type.dtype));
  default:
    in[0] = sum_of(h, b, x->in[0]);
    attrs = x->attrs;
    attrs.shape.dtype = in[0]->type.dtype;
    return node_new(h->graph, x->op, in, 1, &attrs, arena_print(h->graph->program->arena, "%s.%s", b->prefix, op_info[x->op].name), b->span);
  }
}

/* ---- carried values that are sums ------------------------------------------------------ */

typedef struct Terms {
  int n;
  Node **at;
} Terms;

/* What is added to `carried` on the way to x, by additions that nothing else reads. */
static bool find_terms(const Hoist *h, Node *x, const Node *carried, Terms *terms) {
  if (x == carried) return true;
  if (x->op != OP_add || h->uses[x->id] != 1 || !type_same_shape(&x->type, &carried->type)) return false;
  for (int k = 0; k < 2; k++)
    if (find_terms(h, x->in[k], carried, terms)) {
      LIST_PUSH(h->arena, terms->at, terms->n, x->in[!k]);
      return true;
    }
  return false;
}

static bool is_zero(const Node *x) {
  while (x->op == OP_broadcast || x->op == OP_reshape) x = x->in[0];
  return x->op == OP_const && x->attrs.value == 0;
}

static double stacked_bytes(const Hoist *h) {
  const Attrs *a = &h->loop->attrs;
  double bytes = 0;
  for (int k = a->carried; k < a->carried + a->stacked; k++) bytes += (double)type_bytes(&h->loop->in[k]->type) / (double)a->space.dim[0].size;
  for (int o = a->carried; o < h->n; o++) bytes += (double)type_bytes(&h->loop->body->outputs[o].node->type);
  return bytes;
}

static bool pays(const Hoist *h, const Node *sum, Price price) {
  if (h->remat && price.kept > 0) return false;
  return price.kept <= stacked_bytes(h) && price.moved <= 3 * (double)type_bytes(&sum->type) + KERNEL; /* two read, one written */
}

static void hoist_sum(Hoist *h, int k) {
  Node *carried = h->input[k], *next = h->loop->body->outputs[k].node, *start = h->loop->in[k];
  Terms terms = {0};
  Price price = {0};
  if (!carried || !h->result[k] || h->uses[carried->id] != 1 || !dtype_is_float(carried->type.dtype)) return;
  if (!find_terms(h, next, carried, &terms)) return;
  for (int i = 0; i < terms.n; i++)
    if (!type_same_shape(&terms.at[i]->type, &carried->type) || !may_sum(h, terms.at[i], &price)) return;
  if (!pays(h, carried, price) || !rewrite_allowed(h->context, "hoist.sum", h->result[k])) return;
  Node *sum = is_zero(start) && terms.n ? NULL : start;
  for (int i = terms.n - 1; i >= 0; i--) {
    Builder b = {h->graph, terms.at[i]->span, h->result[k]->name};
    Node *term = b_cast(&b, sum_of(h, &b, terms.at[i]), wide(carried->type.dtype));
    sum = sum ? b_binary(&b, OP_add, b_cast(&b, sum, term->type.dtype), term) : term;
  }
  Builder b = {h->graph, h->loop->span, h->result[k]->name};
  h->sum[k] = b_cast(&b, sum, carried->type.dtype);
}

/* ---- the loop without them ------------------------------------------------------------- */

/* Nodes of the body that made the sums go, and so do inputs that only these read. */
static void sweep_body(Hoist *h, const int *operand) {
  Graph *body = h->loop->body;
  graph_uncons(body);
  graph_sweep(body);
  int n = 0;
  for (int i = 0; i < body->n_nodes; i++) {
    Node *node = body->nodes[i];
    if (node->op == OP_input && operand[node->attrs.index] < 0) continue;
    if (node->op == OP_input) node->attrs.index = operand[node->attrs.index];
    body->nodes[n++] = node;
  }
  body->n_nodes = n;
  graph_number(body);
}

/* By operand: is it read by what is left of the body? */
static bool *find_read(Hoist *h) {
  Graph *body = h->loop->body;
  graph_sweep(body);
  int *uses = graph_uses(body, h->arena);
  bool *read = arena_alloc(h->arena, (size_t)h->loop->n_in + 1);
  for (int i = 0; i < body->n_nodes; i++)
    if (body->nodes[i]->op == OP_input && uses[i]) read[body->nodes[i]->attrs.index] = true;
  return read;
}

static void drop_operands(Hoist *h) {
  Node *loop = h->loop;
  bool *read = find_read(h);
  int *operand = arena_alloc(h->arena, ((size_t)loop->n_in + 1) * sizeof *operand), n = 0;
  int carried = loop->attrs.carried, stacked = loop->attrs.stacked;
  for (int k = 0; k < loop->n_in; k++) {
    bool stays = k < carried ? !h->sum[k] : read[k];
    operand[k] = stays ? n : -1;
    if (stays) loop->in[n++] = loop->in[k];
    else if (k < carried) loop->attrs.carried--;
    else if (k < carried + stacked) loop->attrs.stacked--;
  }
  loop->n_in = n;
  sweep_body(h, operand);
}

static void drop_outputs(Hoist *h) {
  Graph *body = h->loop->body;
  int *now = arena_alloc(h->arena, (size_t)body->n_outputs * sizeof *now), n = 0;
  for (int o = 0; o < body->n_outputs; o++) {
    now[o] = n;
    if (o < h->loop->attrs.carried && h->sum[o]) continue;
    body->outputs[n++] = body->outputs[o];
  }
  body->n_outputs = n;
  for (int i = 0; i < h->graph->n_nodes; i++) {
    Node *node = h->graph->nodes[i];
    bool gone = node->op == OP_result && node->in[0] == h->loop && node->attrs.index < h->loop->attrs.carried && h->sum[node->attrs.index];
    if (node->op == OP_result && node->in[0] == h->loop && !gone) node->attrs.index = now[node->attrs.index];
  }
}

/* ---- the pass ------------------------------------------------------------------------------ */

static bool is_marked(const Graph *graph, const char *path) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == OP_loop && graph->nodes[i]->attrs.remat && !strcmp(graph->nodes[i]->attrs.path, path)) return true;
  return false;
}

static void look_around(Hoist *h) {
  Graph *body = h->loop->body;
  size_t n = (size_t)body->n_nodes + 1;
  graph_number(body);
  h->n = body->n_outputs;
  h->uses = graph_uses(body, h->arena);
  h->output = arena_alloc(h->arena, n * sizeof *h->output);
  h->input = arena_alloc(h->arena, ((size_t)h->loop->n_in + 1) * sizeof *h->input);
  h->stack = arena_alloc(h->arena, n * sizeof *h->stack);
  h->result = arena_alloc(h->arena, ((size_t)h->n + 1) * sizeof *h->result);
  h->sum = arena_alloc(h->arena, ((size_t)h->loop->attrs.carried + 1) * sizeof *h->sum);
  for (size_t i = 0; i < n; i++) h->output[i] = -1;
  for (int o = h->loop->attrs.carried; o < h->n; o++) h->output[body->outputs[o].node->id] = o;
  for (int i = 0; i < body->n_nodes; i++)
    if (body->nodes[i]->op == OP_input) h->input[body->nodes[i]->attrs.index] = body->nodes[i];
  for (int i = 0; i < h->graph->n_nodes; i++)
    if (h->graph->nodes[i]->op == OP_result && h->graph->nodes[i]->in[0] == h->loop) h->result[h->graph->nodes[i]->attrs.index] = h->graph->nodes[i];
}

static bool hoist_from(PassContext *context, Graph *graph, Node *loop) {
  Hoist h = {.context = context, .graph = graph, .loop = loop, .arena = arena_new(), .remat = is_marked(graph, loop->attrs.path)};
  look_around(&h);
  bool any = false;
  for (int k = 0; k < loop->attrs.carried; k++) hoist_sum(&h, k), any |= h.sum[k] != NULL;
  if (any) {
    Node **to = arena_alloc(h.arena, (size_t)graph->n_nodes * sizeof *to);
    graph_number(graph);
    for (int k = 0; k < loop->attrs.carried; k++)
      if (h.sum[k]) to[h.result[k]->id] = h.sum[k]; /* the only one: equal nodes are merged */
    graph_replace_all(graph, to);
    drop_outputs(&h);
    drop_operands(&h);
  }
  arena_free(h.arena);
  return any;
}

/* The nodes from `from` on, right behind node `at`: stacks die as soon as they are summed. */
static void move_behind(Graph *graph, int at, int from, Arena *scratch) {
  size_t n = (size_t)(graph->n_nodes - from), between = (size_t)(from - at - 1);
  Node **moved = arena_alloc(scratch, (n + 1) * sizeof *moved), **to = graph->nodes + at + 1;
  memcpy(moved, graph->nodes + from, n * sizeof *moved);
  memmove(to + n, to, between * sizeof *to);
  memcpy(to, moved, n * sizeof *moved);
}

static void hoist_all(PassContext *context, void *unused) {
  (void)unused;
  Graph **graphs = program_graphs(context->program);
  for (int i = 0; graphs[i]; i++) {
    Graph *graph = graphs[i];
    bool any = false;
    for (int k = 0; k < graph->n_nodes; k++) {
      int n = graph->n_nodes;
      if (graph->nodes[k]->op != OP_loop || !hoist_from(context, graph, graph->nodes[k])) continue;
      move_behind(graph, k, n, context->arena);
      any = true;
    }
    if (!any) continue;
    graph_sort(graph);
    graph_sweep(graph);
  }
}

/* Does the step fit as it then is, with nothing computed again? */
static bool fits(PassContext *context) {
  Arena *arena = arena_new();
  Trial trial = trial_run(context, arena, true, "rematerialize", hoist_all, NULL);
  bool enough = !trial.failed && trial_total(&trial) <= context->program->train.memory;
  arena_free(arena);
  return enough;
}

void pass_hoist(PassContext *context) {
  const Program *p = context->program;
  if (p->has_train && p->train.memory && (context->tries || !fits(context))) return;
  hoist_all(context, NULL);
}
