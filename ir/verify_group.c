/* verify_group.c - does a group's body keep what GroupPattern promises?
 *
 * A kernel computes a group point by point over its iteration space, so every
 * node of the body must have one value a point.  The check follows the reads
 * backwards: an output is read at the point itself (or at the point without
 * the reduced axes), a map reads its operands there too, a view elsewhere by
 * an index expression.  A reduction may only be read at the outer index, for
 * that is where its one value a row (or column) stands; its own operand is
 * then read at every point.
 */
#include "ir/verify.h"

#define WRONG(node, ...) return verify_wrong(v, group->body, (node), __VA_ARGS__)
#define TRY(check)                     \
  do {                                 \
    const char *wrong_ = (check);      \
    if (wrong_) return wrong_;         \
  } while (0)

enum { MAX_READS = 20000 }; /* of one body: more is no group that fuse would make */

/* A node is read at an index; reads of one node form a list. */
typedef struct Read {
  const Node *node;
  const Index *at[MAX_RANK];
  struct Read *same, *next; /* of the same node; still to be followed */
} Read;

typedef struct Reads {
  Arena *arena;
  const Node *group;
  const Index *point[MAX_RANK]; /* of the space */
  Map *position;
  Read **of;                    /* by position in the body */
  Read *pending;
  int count;
} Reads;

static bool is_reduced(const Node *group, int axis) {
  for (int i = 0; i < group->attrs.n_axes; i++)
    if (group->attrs.axes[i] == axis) return true;
  return false;
}

/* The space less the reduced axes. */
static Type outer_type(const Node *group, bool keep) {
  Type t = {0};
  for (int i = 0; i < group->attrs.space.rank; i++) {
    if (!is_reduced(group, i)) t.dim[t.rank++] = group->attrs.space.dim[i];
    else if (keep) t.dim[t.rank++] = dim_literal(1);
  }
  return t;
}

static void outer_index(const Reads *r, bool keep, const Index **at) {
  int n = 0;
  for (int i = 0; i < r->group->attrs.space.rank; i++) {
    if (!is_reduced(r->group, i)) at[n++] = r->point[i];
    else if (keep) at[n++] = index_const(r->arena, 0);
  }
}

static bool same_place(const Node *node, const Index *const *a, const Index *const *b) {
  if (type_count(&node->type) == 0) return true; /* no element is read */
  for (int i = 0; i < node->type.rank; i++)
    if (node->type.dim[i].size != 1 && !index_equal(a[i], b[i])) return false;
  return true;
}

static void add_read(Reads *r, const Node *node, const Index *const *at) {
  Read **of = &r->of[map_get_node(r->position, node)];
  for (const Read *read = *of; read; read = read->same)
    if (same_place(node, read->at, at)) return;
  Read *read = arena_alloc(r->arena, sizeof *read);
  read->node = node;
  for (int i = 0; i < node->type.rank; i++) read->at[i] = at[i];
  read->same = *of;
  read->next = r->pending;
  *of = r->pending = read;
  r->count++;
}

/* ---- what one read leads to --------------------------------------------- */

static const char *follow_reduce(Verifier *v, Reads *r, const Read *read) {
  const Node *group = r->group, *node = read->node;
  const Index *outer[MAX_RANK];
  if (!type_same_shape(&node->in[0]->type, &group->attrs.space)) WRONG(node, "it reduces what has not the shape of the space");
  bool same = node->attrs.n_axes == group->attrs.n_axes;
  for (int i = 0; same && i < node->attrs.n_axes; i++) same = is_reduced(group, node->attrs.axes[i]);
  if (!same) WRONG(node, "it reduces other axes than the group");
  outer_index(r, node->attrs.keep, outer);
  if (!same_place(node, read->at, outer)) WRONG(node, "it is read at other places than the outer index");
  add_read(r, node->in[0], r->point);
  return NULL;
}

/* A product reads whole rows and columns: at other places than the point. */
static const char *follow_matmul(Verifier *v, Reads *r, const Read *read) {
  const Node *group = r->group, *node = read->node;
  const Index *start[MAX_RANK];
  if (!type_same_shape(&node->type, &group->attrs.space)) WRONG(node, "the product has not the shape of the space");
  if (!same_place(node, read->at, r->point)) WRONG(node, "it is read at other places than the point");
  for (int i = 0; i < MAX_RANK; i++) start[i] = index_const(r->arena, 0);
  for (int k = 0; k < node->n_in; k++) {
    if (node->in[k]->op != OP_input) WRONG(node, "an operand of the product is computed in the group");
    add_read(r, node->in[k], start);
  }
  return NULL;
}

/* A table is read at any place: what the group is given, or the same bytes in another shape. */
static bool is_in_memory(const Node *table) {
  while (table->op == OP_reshape) table = table->in[0];
  return table->op == OP_input;
}

static const char *follow(Verifier *v, Reads *r, const Read *read) {
  const Node *group = r->group, *node = read->node;
  const Index *in[MAX_RANK];
  IndexTests tests;
  switch (op_info[node->op].kind) {
  case MAP:
    for (int k = 0; k < node->n_in; k++) {
      index_broadcast(r->arena, &node->type, read->at, &node->in[k]->type, in);
      add_read(r, node->in[k], in);
    }
    return NULL;
  case VIEW:
    index_view(r->arena, node, read->at, in, &tests);
    add_read(r, node->in[0], in);
    return NULL;
  case GATHER:
    if (!is_in_memory(node->in[0])) WRONG(node, "the table it reads from is computed in the group");
    add_read(r, node->in[1], read->at);
    return NULL;
  case REDUCE: return follow_reduce(v, r, read);
  case MATMUL: return follow_matmul(v, r, read);
  default: return NULL;
  }
}

static const char *read_outputs(Verifier *v, Reads *r) {
  const Node *group = r->group;
  Type kept = outer_type(group, true), dropped = outer_type(group, false);
  for (int i = 0; i < group->body->n_outputs; i++) {
    const Output *o = &group->body->outputs[i];
    const Index *at[MAX_RANK];
    if (o->role != OUT_VALUE) WRONG(o->node, "an output of a group is no value");
    bool full = type_same_shape(&o->node->type, &group->attrs.space);
    bool keep = type_same_shape(&o->node->type, &kept), drop = type_same_shape(&o->node->type, &dropped);
    if (!full && !keep && !drop) WRONG(o->node, "it is an output, but has not the shape of the space, nor that less the reduced axes");
    if (group->attrs.pattern == PATTERN_COLUMN && !keep && !drop) WRONG(o->node, "a column group has a full output");
    if (!full) outer_index(r, keep, at);
    add_read(r, o->node, full ? r->point : at);
  }
  return NULL;
}

/* All reads of the body, from its outputs down; what is wrong, or NULL. */
static const char *collect_reads(Verifier *v, const Node *group, Reads *r) {
  *r = (Reads){.arena = v->arena, .group = group};
  const Graph *body = group->body;
  r->of = arena_alloc(v->arena, sizeof *r->of * (size_t)body->n_nodes);
  for (int i = 0; i < body->n_nodes; i++) map_put_node(&r->position, body->nodes[i], i);
  for (int i = 0; i < group->attrs.space.rank; i++) r->point[i] = index_axis(v->arena, i, group->attrs.space.dim[i].size);
  const char *wrong = read_outputs(v, r);
  while (!wrong && r->pending) {
    Read *read = r->pending;
    r->pending = read->next;
    wrong = r->count > MAX_READS ? verify_wrong(v, body, read->node, "the body reads at too many places") : follow(v, r, read);
  }
  map_free(&r->position);
  return wrong;
}

/* ---- the rules ---------------------------------------------------------- */

static const char *check_axes(Verifier *v, const Node *group) {
  const Attrs *a = &group->attrs;
  if (a->pattern < PATTERN_MAP || a->pattern > PATTERN_MATMUL) WRONG(NULL, "it has no pattern");
  bool reduces = a->pattern == PATTERN_ROW || a->pattern == PATTERN_COLUMN;
  if (reduces != (a->n_axes > 0)) WRONG(NULL, "its axes do not go with its pattern");
  if (a->n_axes < 0 || a->n_axes > a->space.rank) WRONG(NULL, "it reduces more axes than its space has");
  for (int i = 0; i < a->n_axes; i++) {
    if (a->axes[i] < 0 || a->axes[i] >= a->space.rank || (i && a->axes[i] <= a->axes[i - 1]))
      WRONG(NULL, "the axes it reduces are not ascending axes of its space");
    if (a->pattern == PATTERN_ROW && a->axes[i] != a->space.rank - a->n_axes + i)
      WRONG(NULL, "a row group reduces axes that are not the last");
  }
  return NULL;
}

static const char *check_member(Verifier *v, const Node *group, const Node *node) {
  Kind kind = op_info[node->op].kind;
  bool fits = kind == LEAF || kind == VIEW || kind == MAP || kind == REDUCE || kind == RANDOM || kind == GATHER ||
              (kind == MATMUL && group->attrs.pattern == PATTERN_MATMUL);
  if (!fits || node->op == OP_grad || node->op == OP_param || node->op == OP_state)
    WRONG(node, "%s has no place in a group", op_info[node->op].name);
  if (kind == REDUCE && !group->attrs.n_axes) WRONG(node, "a map group has a reduction");
  if (node->op != OP_input) return NULL;
  if (node->attrs.index < 0 || node->attrs.index >= group->n_in) WRONG(node, "the group has no operand %d", node->attrs.index);
  const Type *t = &group->in[node->attrs.index]->type;
  if (t->dtype != node->type.dtype || !type_same_shape(t, &node->type))
    WRONG(node, "its type is not that of operand %d, %%%s", node->attrs.index, group->in[node->attrs.index]->name);
  return NULL;
}

const char *verify_group(Verifier *v, const Graph *graph, const Node *group) {
  Reads reads;
  if (!group->body->n_outputs) return verify_wrong(v, graph, group, "a group without outputs");
  TRY(check_axes(v, group));
  int products = 0;
  for (int i = 0; i < group->body->n_nodes; i++) {
    TRY(check_member(v, group, group->body->nodes[i]));
    products += group->body->nodes[i]->op == OP_matmul;
  }
  if (products != (group->attrs.pattern == PATTERN_MATMUL)) WRONG(NULL, "a matmul group has one product, others none");
  return collect_reads(v, group, &reads);
}

bool verify_reads_in_place(Verifier *v, const Node *group, int operand) {
  Reads reads;
  collect_reads(v, group, &reads); /* nothing is wrong: verify_group has found so */
  for (int i = 0; i < group->body->n_nodes; i++) {
    const Node *node = group->body->nodes[i];
    if (node->op != OP_input || node->attrs.index != operand) continue;
    if (!type_same_shape(&node->type, &group->attrs.space)) return false;
    for (const Read *read = reads.of[i]; read; read = read->same)
      if (!same_place(node, read->at, reads.point)) return false;
  }
  return true;
}
