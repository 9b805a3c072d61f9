/* fuse_form.c - write the decision into the graph.
 *
 * Each kernel becomes a group node: its body holds the members, what it
 * recomputes, the views and constants between, and an `input` for each value
 * loaded; each value stored becomes a `result` of it under the name the value
 * had.  Views outside disappear, but for the reshapes that a matmul reads.
 */
#include <stdlib.h>
#include <string.h>

#include "passes/fuse.h"

typedef struct Form {
  Fusion *f;
  Node **now;       /* by id: what stands for the node outside groups; NULL: nothing */
  Node **inside;    /* by id: its copy in the body being made */
  int n_order;
  int *order;       /* ids in the body being made */
  Graph *body;
} Form;

static int by_value(const void *a, const void *b) { return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b); }

static Node *new_node(Arena *arena, Op op, const char *name, const Span *span, int n_in) {
  Node *node = arena_alloc(arena, sizeof *node);
  node->op = op;
  node->name = name;
  node->span = span;
  node->n_in = n_in;
  node->in = n_in ? arena_alloc(arena, (size_t)n_in * sizeof *node->in) : NULL;
  return node;
}

static Node *body_input(Form *form, const Node *value, int index) {
  Node *input = new_node(form->f->graph->program->arena, OP_input, value->name, value->span, 0);
  input->type = value->type;
  input->attrs = (Attrs){.path = value->name, .index = index, .shape = value->type};
  return input;
}

static Node *body_copy(Form *form, const Node *n) {
  Arena *arena = form->f->graph->program->arena;
  Node *copy = arena_alloc(arena, sizeof *copy);
  *copy = *n;
  copy->in = n->n_in ? arena_alloc(arena, (size_t)n->n_in * sizeof *copy->in) : NULL;
  for (int i = 0; i < n->n_in; i++) copy->in[i] = form->inside[n->in[i]->id];
  return copy;
}

/* Components that say how a value is made, not which: .mul, .2, .lhs */
static bool is_role(const char *word, size_t length) {
  static const char *const roles[] = {"mm", "lhs", "rhs", "rows", "scalar", "mean", "var"};
  char name[32];
  Op op;
  if (length >= sizeof name) return false;
  memcpy(name, word, length);
  name[length] = 0;
  for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
    if (!strcmp(name, roles[i])) return true;
  return strspn(name, "0123456789") == length || op_find(name, &op);
}

/* "net.fc1.relu" and "grad.update0.net.fc1.add.2.lhs" are both of net.fc1. */
static const char *place_name(Arena *arena, const char *name) {
  const char *dot = strncmp(name, "grad.", 5) ? NULL : strchr(name, '.');
  if (dot) dot = strchr(dot + 1, '.');
  if (dot) name = dot + 1;
  size_t length = strlen(name);
  for (size_t start = length;;) {
    while (start > 0 && name[start - 1] != '.') start--;
    if (start < 2 || !is_role(name + start, length - start)) break;
    length = --start;
  }
  return arena_copy(arena, name, length);
}

/* The model's own names for what went in: "loss, net.fc2 and 2 more". */
static void places_text(Form *form, const Kernel *k, Text *out) {
  const char *seen[3];
  int n = 0, more = 0;
  for (int i = 0; i < k->members.n; i++) {
    const char *place = place_name(form->f->arena, form->f->node[k->members.at[i]]->name);
    bool again = false;
    for (int s = 0; s < n; s++) again |= !strcmp(seen[s], place);
    if (again) continue;
    if (n < 3) seen[n++] = place;
    else more++;
  }
  for (int s = 0; s < n; s++) text_add(out, "%s%s", s == 0 ? "" : s == n - 1 && !more ? " and " : ", ", seen[s]);
  if (more) text_add(out, " and %d more", more);
}

static const char *reason(Form *form, const Kernel *k, int root) {
  Traffic t = fuse_traffic(form->f, root, -1);
  Text text = {0};
  if (k->members.n > 1) text_add(&text, "fused %d nodes of ", k->members.n);
  places_text(form, k, &text);
  text_add(&text, ": reads ");
  text_add_size(&text, t.read);
  text_add(&text, ", writes ");
  text_add_size(&text, t.written);
  if (k->alone > t.read + t.written) {
    text_add(&text, "; saves ");
    text_add_size(&text, k->alone - t.read - t.written);
  }
  if (k->clones.n) text_add(&text, "; recomputes %d", k->clones.n);
  return text_take(&text, form->f->graph->program->arena);
}

/* A group is called after its last full value, else its last. */
static const Node *face(Fusion *f, const Kernel *k, const Ints *stores) {
  for (int i = stores->n - 1; i >= 0; i--)
    if (type_same_shape(&f->node[stores->at[i]]->type, k->space)) return f->node[stores->at[i]];
  return f->node[stores->at[stores->n - 1]];
}

static void fill_body(Form *form, Node *group, const Kernel *k, const Ints *stores) {
  Fusion *f = form->f;
  Arena *arena = f->graph->program->arena;
  form->n_order = fuse_body(f, k, stores, form->order);
  qsort(form->order, (size_t)form->n_order, sizeof *form->order, by_value);
  Graph *body = group->body;
  for (int i = 0; i < form->n_order; i++) {
    Node *n = f->node[form->order[i]], *copy;
    if (fuse_is_inside(f, k, n->id)) {
      copy = body_copy(form, n);
    } else {
      copy = body_input(form, n, group->n_in);
      LIST_PUSH(arena, group->in, group->n_in, form->now[n->id]);
    }
    form->inside[n->id] = copy;
    copy->id = body->n_nodes;
    LIST_PUSH(arena, body->nodes, body->n_nodes, copy);
  }
  for (int i = 0; i < stores->n; i++)
    graph_output(body, OUT_VALUE, f->node[stores->at[i]]->name, form->inside[stores->at[i]]);
}

/* The group and its results; the body follows once every result exists. */
static Node *make_group(Form *form, int root, const Ints *stores) {
  Fusion *f = form->f;
  Arena *arena = f->graph->program->arena;
  const Kernel *k = &f->kernels[root];
  const Node *main = face(f, k, stores);
  Node *group = new_node(arena, OP_group, arena_print(arena, "%s.group", main->name), main->span, 0);
  group->type = type_scalar(F32);
  group->attrs.pattern = k->n_axes ? k->pattern : PATTERN_MAP;
  group->attrs.space = *k->space;
  group->attrs.space.dtype = F32;
  group->attrs.n_axes = k->n_axes;
  memcpy(group->attrs.axes, k->axes, sizeof k->axes);
  group->reason = reason(form, k, root);
  group->body = graph_new(f->graph->program, group->name, f->graph);
  group->body->rows = f->graph->rows;
  for (int i = 0; i < stores->n; i++) {
    const Node *value = f->node[stores->at[i]];
    Node *result = new_node(arena, OP_result, value->name, value->span, 1);
    result->type = value->type;
    result->in[0] = group;
    result->attrs.index = i;
    result->aliases = value->aliases;
    result->n_aliases = value->n_aliases;
    form->now[value->id] = result;
  }
  return group;
}

/* A gather by itself needs no loop nest around it, unless it is all that is left of a kernel that makes its ids. */
bool fuse_is_bare(const Fusion *f, const Kernel *k) {
  return k->fixed || (k->members.n == 1 && !k->clones.n && f->node[k->members.at[0]]->op == OP_gather);
}

/* Reshapes that a bare node reads stay outside, as aliases. */
static void keep_reshapes(Form *form, Node *x) {
  if (form->now[x->id] || x->op != OP_reshape) return;
  keep_reshapes(form, x->in[0]);
  form->now[x->id] = x;
}

static void relink(Form *form, Node *n) {
  for (int i = 0; i < n->n_in; i++) n->in[i] = form->now[n->in[i]->id];
}

static void mark_bare_loads(const Form *form, bool *loaded) {
  const Fusion *f = form->f;
  for (int i = 0; i < f->graph->n_outputs; i++) loaded[f->graph->outputs[i].node->id] = true;
  for (int i = 0; i < f->n; i++)
    for (int k = 0; form->now[i] == f->node[i] && k < f->node[i]->n_in; k++)
      loaded[fuse_alias_root(f->node[i]->in[k])->id] = true;
}

/* Only outputs and what a bare node or some body loads are stored: recomputation may have left a kernel's list of
 * loads too long, and ids need not be stored for a gather that a group took in. */
static void drop_needless(Form *form, Ints *stores) {
  Fusion *f = form->f;
  bool *loaded = arena_alloc(f->arena, (size_t)f->n);
  for (bool again = true; again;) {
    again = false;
    memset(loaded, 0, (size_t)f->n);
    mark_bare_loads(form, loaded);
    for (int i = 0; i < f->n; i++) {
      int n = stores[i].n ? fuse_body(f, &f->kernels[i], &stores[i], form->order) : 0;
      for (int k = 0; k < n; k++)
        if (!fuse_is_inside(f, &f->kernels[i], form->order[k])) loaded[form->order[k]] = true;
    }
    for (int i = 0; i < f->n; i++) {
      Ints kept = {0};
      for (int s = 0; s < stores[i].n; s++)
        if (loaded[stores[i].at[s]]) ints_push(f->arena, &kept, stores[i].at[s]);
      again |= kept.n != stores[i].n;
      stores[i] = kept;
    }
  }
}

void fuse_form(Fusion *f) {
  Arena *arena = f->graph->program->arena;
  Form form = {.f = f};
  form.now = arena_alloc(f->arena, (size_t)f->n * sizeof *form.now);
  form.inside = arena_alloc(f->arena, (size_t)f->n * sizeof *form.inside);
  form.order = arena_alloc(f->arena, (size_t)f->n * sizeof *form.order);
  Node **group = arena_alloc(f->arena, (size_t)f->n * sizeof *group);
  Ints *stores = arena_alloc(f->arena, (size_t)f->n * sizeof *stores);
  for (int i = 0; i < f->n; i++) {
    Node *n = f->node[i];
    bool leaf = op_info[n->op].kind == LEAF;
    if (leaf) form.now[i] = n;
    if (!fuse_is_member(f, i) || fuse_owner(f, i) != i) continue;
    if (fuse_is_bare(f, &f->kernels[i])) {
      int id = f->kernels[i].members.at[0];
      form.now[id] = f->node[id];
      continue;
    }
    stores[i] = fuse_stores(f, i);
  }
  drop_needless(&form, stores);
  for (int i = 0; i < f->n; i++)
    if (stores[i].n) group[i] = make_group(&form, i, &stores[i]);
  for (int i = 0; i < f->n; i++)
    if (form.now[i] == f->node[i] && op_info[f->node[i]->op].kind != LEAF)
      for (int k = 0; k < f->node[i]->n_in; k++) keep_reshapes(&form, f->node[i]->in[k]);
  for (int i = 0; i < f->n; i++)
    if (group[i]) fill_body(&form, group[i], &f->kernels[i], &stores[i]);
  Graph *graph = f->graph;
  Node **nodes = NULL;
  int n_nodes = 0;
  for (int i = 0; i < f->n; i++) {
    if (group[i]) LIST_PUSH(arena, nodes, n_nodes, group[i]);
    for (int s = 0; s < stores[i].n; s++) LIST_PUSH(arena, nodes, n_nodes, form.now[stores[i].at[s]]);
    if (form.now[i] != f->node[i]) continue;
    relink(&form, f->node[i]);
    LIST_PUSH(arena, nodes, n_nodes, f->node[i]);
  }
  for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i].node = form.now[graph->outputs[i].node->id];
  graph->nodes = nodes;
  graph->n_nodes = n_nodes;
  graph_uncons(graph);
  graph_sort(graph);
  graph_sweep(graph);
}
