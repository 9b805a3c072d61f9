/* fuse_epilogue.c - small matrix products move into the map that reads them.
 *
 * A product and the bias, activation or mask after it are two kernels, of
 * which the second only waits for the first and moves its result once more.
 * Large products belong to a library; a small one takes less time than a
 * kernel takes to start, so the group computes it itself: its pattern becomes
 * `matmul` and its body holds the product, whose element at the point of the
 * space the rest works on.
 */
#include <string.h>

#include "passes/fuse.h"
#include "passes/internal.h"

/* Tiles of TILE by TILE elements, one a thread, sum over PANEL at a time; so
 * many tiles run side by side.  A kernel of up to MOST such rounds one after
 * another takes no longer than one of a library and the map behind it. */
enum { TILE = 16, PANEL = 64, SIDE_BY_SIDE = 264, MOST = 3 };

static int64_t parts(int64_t n, int64_t each) { return (n + each - 1) / each; }

static int64_t inner_size(const Node *matmul) { return matmul->in[0]->type.dim[matmul->attrs.ta ? 0 : 1].size; }

static bool is_small(const Node *matmul) {
  int64_t m = matmul->type.dim[0].size, n = matmul->type.dim[1].size;
  int64_t rounds = parts(parts(m, TILE) * parts(n, TILE), SIDE_BY_SIDE) * parts(inner_size(matmul), PANEL);
  return m > 1 && n > 1 && rounds <= MOST;
}

static bool is_plain(const Node *matmul) {
  for (int k = 0; k < 2; k++)
    if (matmul->in[k]->type.rank != 2 || matmul->in[k]->type.dtype != F32) return false;
  return matmul->type.rank == 2 && matmul->type.dtype == F32;
}

bool fuse_is_small_product(const Node *n) { return n->op == OP_matmul && is_plain(n) && is_small(n); }

/* Where a target without such kernels can leave the product. */
static bool has_full_result(const Node *group) {
  for (int i = 0; i < group->body->n_outputs; i++) {
    const Type *t = &group->body->outputs[i].node->type;
    if (t->dtype == F32 && type_same_shape(t, &group->attrs.space)) return true;
  }
  return false;
}

static bool fits(const Node *group, int operand, const int *uses, Arena *arena) {
  const Node *matmul = group->in[operand];
  return fuse_is_small_product(matmul) && uses[matmul->id] == 1 && type_same_shape(&matmul->type, &group->attrs.space) && fuse_reads_at_the_point(group, operand, arena);
}

static bool is_name_of(const Graph *body, const char *name) {
  for (int i = 0; i < body->n_nodes; i++)
    if (!strcmp(body->nodes[i]->name, name)) return true;
  return false;
}

/* The body's input for a value, made where there is none; the body may also make the value again by itself. */
static Node *body_input(Graph *graph, Node *group, Node *value) {
  Arena *arena = graph->program->arena;
  Graph *body = group->body;
  int index = 0;
  while (index < group->n_in && group->in[index] != value) index++;
  for (int i = 0; i < body->n_nodes; i++)
    if (body->nodes[i]->op == OP_input && body->nodes[i]->attrs.index == index) return body->nodes[i];
  if (index == group->n_in) LIST_PUSH(arena, group->in, group->n_in, value);
  Node *input = arena_alloc(arena, sizeof *input);
  const char *name = value->name;
  while (is_name_of(body, name)) name = arena_print(arena, "%s.whole", name);
  *input = (Node){.op = OP_input, .name = name, .type = value->type, .span = value->span};
  input->attrs = (Attrs){.path = value->name, .index = index, .shape = value->type};
  LIST_PUSH(arena, body->nodes, body->n_nodes, input);
  return input;
}

/* Take an operand off the group's list, and its inputs out of the body; what read them reads `now`. */
static void replace_operand(Node *group, int operand, Node *now) {
  Graph *body = group->body;
  int n = 0;
  for (int i = 0; i < body->n_nodes; i++)
    for (int k = 0; k < body->nodes[i]->n_in; k++) {
      const Node *in = body->nodes[i]->in[k];
      if (in->op == OP_input && in->attrs.index == operand) body->nodes[i]->in[k] = now;
    }
  for (int i = 0; i < body->n_nodes; i++) {
    Node *node = body->nodes[i];
    if (node->op == OP_input && node->attrs.index == operand) continue;
    if (node->op == OP_input && node->attrs.index > operand) node->attrs.index--;
    body->nodes[n++] = node;
  }
  body->n_nodes = n;
  group->n_in--;
  for (int i = operand; i < group->n_in; i++) group->in[i] = group->in[i + 1];
}

static const char *reason(Arena *arena, const Node *group, const Node *matmul) {
  double read = 0, written = 0;
  for (int i = 0; i < group->n_in; i++) read += (double)type_bytes(&group->in[i]->type);
  for (int i = 0; i < group->body->n_outputs; i++) written += (double)type_bytes(&group->body->outputs[i].node->type);
  Text text = {0};
  text_add(&text, "computes the product %s and what follows it: reads ", matmul->name);
  text_add_size(&text, read);
  text_add(&text, ", writes ");
  text_add_size(&text, written);
  return text_take(&text, arena);
}

static void absorb(Graph *graph, Node *group, int operand) {
  Arena *arena = graph->program->arena;
  Node *matmul = group->in[operand], *copy = arena_alloc(arena, sizeof *copy);
  *copy = *matmul;
  copy->in = arena_alloc(arena, 2 * sizeof *copy->in);
  replace_operand(group, operand, copy);
  for (int k = 0; k < 2; k++) copy->in[k] = body_input(graph, group, matmul->in[k]);
  LIST_PUSH(arena, group->body->nodes, group->body->n_nodes, copy);
  graph_sort(group->body);
  group->attrs.pattern = PATTERN_MATMUL;
  group->reason = reason(arena, group, matmul);
}

void fuse_epilogues(PassContext *context, Graph *graph) {
  Arena *arena = arena_new();
  int *uses = graph_uses(graph, arena);
  bool changed = false;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *group = graph->nodes[i];
    if (group->op != OP_group || group->attrs.pattern != PATTERN_MAP || !has_full_result(group)) continue;
    for (int k = 0; k < group->n_in; k++) {
      if (!fits(group, k, uses, arena) || !rewrite_allowed(context, "fuse.epilogue", group)) continue;
      absorb(graph, group, k);
      changed = true;
      break;
    }
  }
  arena_free(arena);
  if (!changed) return;
  graph_sweep(graph);
}
