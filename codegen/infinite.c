/* infinite.c - which values may be infinite although all is well?
 *
 * A mask writes -inf, and so does a loss over alignments: the search for the
 * value that spoilt a step (runtime/finite.c) must not stop there.  From the
 * infinite constants on, each value gets the signs of infinity that can come
 * from them.  Overflow is never foreseen: an infinity of any other sign, or in
 * a value without one, is a fault.
 *
 * Said besides: is the value of data and draws alone?  What such a value held
 * in an earlier step says what is usual for it, whatever the weights were.
 */
#include <math.h>
#include <string.h>

#include "codegen/target.h"

enum { PLUS = FORESEEN_PLUS, MINUS = FORESEEN_MINUS, BOTH = PLUS | MINUS, OF_DATA = FORESEEN_OF_DATA,
       OF_SHAPES = 8 /* and not even of data: the same in every step */ };

/* What a graph's nodes hold, by id; of a group or loop its results instead. */
typedef struct Facts {
  const Graph *graph;
  const struct Facts *outer;  /* of a group's body: that of the group; NULL */
  const Node *owner;          /* the group; NULL */
  const unsigned char *operands; /* of a body's inputs */
  unsigned char *of, **results;
  struct Facts **bodies;      /* of groups */
} Facts;

typedef struct Search {
  Arena *arena;
  const Facts *const *phases; /* those before */
  int n_phases;
} Search;

static Facts *facts_of(const Search *s, const Graph *graph, const Facts *outer, const Node *owner, const unsigned char *operands);

/* ---- x - max(x) ------------------------------------------------------------------------ */

typedef struct Place {
  const Facts *facts;
  const Node *node;
} Place;

/* Where a value was made: past views and copies, into groups and out of them. */
static Place origin(const Facts *f, const Node *n) {
  for (;;) {
    if (op_info[n->op].kind == VIEW || n->op == OP_stop || n->op == OP_copy) {
      n = n->in[0];
    } else if (n->op == OP_input && f->owner) {
      n = f->owner->in[n->attrs.index], f = f->outer;
    } else if (n->op == OP_result && f->bodies[n->in[0]->id]) {
      const Facts *body = f->bodies[n->in[0]->id];
      n = body->graph->outputs[n->attrs.index].node, f = body;
    } else {
      return (Place){f, n};
    }
  }
}

/* Never above 0. */
static bool is_less_its_largest(const Facts *f, const Node *sub) {
  Place top = origin(f, sub->in[1]), x = origin(f, sub->in[0]);
  return top.node->op == OP_max && origin(top.facts, top.node->in[0]).node == x.node;
}

/* Of what a mask leaves that is the same in every step, as the border of a pool or places to come: one that left nothing
 * would spoil them all. */
static bool is_of_some(const Facts *f, const Node *max) {
  Place x = origin(f, max->in[0]);
  if (x.node->op != OP_where) return false;
  Place mask = origin(x.facts, x.node->in[0]);
  return mask.facts->of[mask.node->id] & OF_SHAPES;
}

/* ---- one node ---------------------------------------------------------------------------- */

static int turned(int signs) { return (signs & PLUS ? MINUS : 0) | (signs & MINUS ? PLUS : 0); }
static int either(int signs) { return signs & BOTH ? BOTH : 0; }

static bool is_constant(const Facts *f, const Node *n, double *value) {
  n = origin(f, n).node;
  return n->op == OP_const ? *value = n->attrs.value, true : false;
}

static int of_product(const Facts *f, const Node *n, int a, int b) {
  double by;
  if (is_constant(f, n->in[1], &by) && isfinite(by) && by != 0) return by > 0 ? a : turned(a);
  if (n->op == OP_mul && is_constant(f, n->in[0], &by) && isfinite(by) && by != 0) return by > 0 ? b : turned(b);
  return either(n->op == OP_mul ? a | b : a);
}

static int of_log(const Facts *f, const Node *n, int a) {
  double x;
  bool of_zero = is_constant(f, n->in[0], &x) && x == (n->op == OP_log ? 0 : -1);
  return (a & PLUS) | (of_zero ? MINUS : 0);
}

/* The signs a node's value may have, from those of its operands. */
static int signs_of(const Facts *f, const Node *n, const unsigned char *in) {
  int a = n->n_in > 0 ? in[0] & BOTH : 0, b = n->n_in > 1 ? in[1] & BOTH : 0, all = 0;
  for (int i = 0; i < n->n_in; i++) all |= in[i] & BOTH;
  if (!dtype_is_float(n->type.dtype)) return 0;
  if (op_info[n->op].kind == VIEW) return a;
  switch (n->op) {
  case OP_const: return !isinf(n->attrs.value) ? 0 : n->attrs.value > 0 ? PLUS : MINUS;
  case OP_copy:
  case OP_stop:
  case OP_cast:
  case OP_floor:
  case OP_ceil:
  case OP_round:
  case OP_sum:
  case OP_min:
  case OP_gather:
  case OP_scatter_add: return a;
  case OP_max: return is_of_some(f, n) ? a & PLUS : a;
  case OP_neg: return turned(a);
  case OP_abs: return a ? PLUS : 0;
  case OP_exp:
  case OP_expm1:
  case OP_sqrt:
  case OP_relu: return a & PLUS;
  case OP_log:
  case OP_log1p: return of_log(f, n, a);
  case OP_sign:
  case OP_tanh:
  case OP_erf:
  case OP_sigmoid:
  case OP_rsqrt:
  case OP_sin:
  case OP_cos: return 0;
  case OP_clamp: return (isfinite(n->attrs.value) ? 0 : a & MINUS) | (isfinite(n->attrs.high) ? 0 : a & PLUS);
  case OP_add: return a | b;
  case OP_sub: return is_less_its_largest(f, n) ? a & MINUS : a | turned(b);
  case OP_mul:
  case OP_div: return of_product(f, n, a, b);
  case OP_maximum: return ((a | b) & PLUS) | (a & b & MINUS);
  case OP_minimum: return ((a | b) & MINUS) | (a & b & PLUS);
  case OP_where: return b | (in[2] & BOTH);
  default: return either(all);
  }
}

/* OF_DATA and OF_SHAPES, of a node whose operands are. */
static int made_of(const Node *n, const unsigned char *in) {
  int of = n->op == OP_param || n->op == OP_state || n->op == OP_counter ? 0
           : op_info[n->op].kind == RANDOM                              ? OF_DATA
                                                                        : OF_DATA | OF_SHAPES;
  for (int i = 0; i < n->n_in; i++) of &= in[i];
  return of;
}

/* ---- a graph ------------------------------------------------------------------------------- */

/* What an earlier phase has handed on, else a field of the batch. */
static unsigned char of_input(const Search *s, const Node *n) {
  for (int p = 0; p < s->n_phases; p++) {
    const Graph *graph = s->phases[p]->graph;
    for (int o = 0; o < graph->n_outputs; o++)
      if (graph->outputs[o].role == OUT_CARRY && !strcmp(graph->outputs[o].name, n->attrs.path))
        return s->phases[p]->of[graph->outputs[o].node->id];
  }
  return OF_DATA;
}

static unsigned char *outputs_of(const Search *s, const Facts *body) {
  unsigned char *out = arena_alloc(s->arena, (size_t)body->graph->n_outputs + 1);
  for (int o = 0; o < body->graph->n_outputs; o++) out[o] = body->of[body->graph->outputs[o].node->id];
  return out;
}

/* What a turn leaves, the next begins with: until nothing more is found. */
static unsigned char *results_of_loop(const Search *s, const Node *loop, unsigned char *operands) {
  for (bool again = true;;) {
    unsigned char *out = outputs_of(s, facts_of(s, loop->body, NULL, NULL, operands));
    again = false;
    for (int i = 0; i < loop->attrs.carried; i++) {
      int met = ((operands[i] | out[i]) & BOTH) | (operands[i] & out[i] & ~BOTH);
      again |= met != operands[i];
      operands[i] = (unsigned char)met;
    }
    if (!again) return out;
  }
}

static void visit(const Search *s, Facts *f, const Node *n) {
  unsigned char *in = arena_alloc(s->arena, (size_t)n->n_in + 1);
  for (int i = 0; i < n->n_in; i++) in[i] = f->of[n->in[i]->id];
  if (op_info[n->op].kind == GROUP) {
    f->bodies[n->id] = facts_of(s, n->body, f, n, in);
    f->results[n->id] = outputs_of(s, f->bodies[n->id]);
  } else if (op_info[n->op].kind == LOOP) {
    f->results[n->id] = results_of_loop(s, n, in);
  } else if (n->op == OP_result) {
    f->of[n->id] = f->results[n->in[0]->id][n->attrs.index];
  } else if (n->op == OP_input) {
    f->of[n->id] = f->operands ? f->operands[n->attrs.index] : of_input(s, n);
  } else {
    f->of[n->id] = (unsigned char)(signs_of(f, n, in) | made_of(n, in));
  }
}

static Facts *facts_of(const Search *s, const Graph *graph, const Facts *outer, const Node *owner,
                       const unsigned char *operands) {
  Facts *f = arena_alloc(s->arena, sizeof *f);
  size_t n = (size_t)graph->n_nodes + 1;
  *f = (Facts){.graph = graph, .outer = outer, .owner = owner, .operands = operands};
  f->of = arena_alloc(s->arena, n);
  f->results = arena_alloc(s->arena, n * sizeof *f->results);
  f->bodies = arena_alloc(s->arena, n * sizeof *f->bodies);
  for (int i = 0; i < graph->n_nodes; i++) visit(s, f, graph->nodes[i]);
  return f;
}

const unsigned char *foreseen_infinities(Arena *arena, const Program *program, int phase) {
  const Facts **phases = arena_alloc(arena, sizeof *phases * ((size_t)phase + 1));
  Search s = {.arena = arena, .phases = phases};
  for (; s.n_phases <= phase; s.n_phases++)
    phases[s.n_phases] = facts_of(&s, phase_at(program, s.n_phases).graph, NULL, NULL, NULL);
  return phases[phase]->of;
}
