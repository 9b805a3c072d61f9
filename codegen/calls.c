/* calls.c - a planned graph as a list of calls.
 *
 * Groups become kernels, matmuls calls of the GEMM library.  Two kernels whose
 * canonical texts agree are one: a network of a thousand equal layers has the
 * kernels of one layer.  A kernel is named after what the names of its groups
 * have in common and how it walks its data: norm_rows, relu_map.
 */
#include <string.h>

#include "codegen/target.h"

static bool in_memory(const Node *n) {
  return n->home == HOME_ARENA || n->home == HOME_GRAD || n->home == HOME_NEXT || n->home == HOME_OUTPUT ||
         n->home == HOME_RESULT;
}

static const Node *storage(const Node *n) {
  while (n->home == HOME_ALIAS) n = n->in[0];
  return n;
}

static bool same_storage(const Node *a, const Node *b) {
  a = storage(a), b = storage(b);
  return in_memory(a) && a->home == b->home && a->offset == b->offset;
}

const Node *call_output(const Step *step, const Call *call, int n) {
  if (!call->node->body) return n == 0 ? call->node : n == 1 ? call->lse : NULL;
  for (int i = call->node->id + 1; i < step->graph->n_nodes; i++) { /* results stand behind what they are of */
    const Node *result = step->graph->nodes[i];
    if (result->op != OP_result || result->in[0] != call->node) break;
    if (result->attrs.index == n) return result;
  }
  return NULL;
}

/* Which operand each output of a call overwrites, or -1. */
static int *find_in_place(Emit *e, const Step *step, const Call *call) {
  int n = call->group->body->n_outputs;
  int *in_place = arena_alloc(e->arena, (size_t)n * sizeof *in_place + 1);
  for (int o = 0; o < n; o++) {
    const Node *output = call_output(step, call, o);
    in_place[o] = -1;
    for (int i = 0; output && i < call->group->n_in; i++) {
      const Node *in = call->group->in[i];
      if (same_storage(output, in) && in->type.dtype == output->type.dtype) in_place[o] = i;
    }
  }
  return in_place;
}

/* ---- where arrays begin ------------------------------------------------------ */

enum { BLOCK_ALIGN = 32 /* elements, of whatever begins at a multiple of 256 bytes */ };

static int common_align(int align, int64_t offset) {
  while (offset % align) align /= 2;
  return align;
}

static bool is_finish(const Emit *e, const Graph *graph) {
  for (int i = 0; i < e->program->n_evals; i++)
    if (e->program->evals[i].finish == graph) return true;
  return false;
}

/* Elements that divide where a value begins: its block does at 256 bytes, accumulators lie one behind the other, and
 * so do the turns' parts of what a loop stacks. */
static int align_of(const Emit *e, const Step *step, const Node *n) {
  const Node *loop = step->loop ? step->loop->node : NULL;
  n = storage(n);
  switch (n->home) {
  case HOME_INPUT: return is_finish(e, step->graph) ? 1 : BLOCK_ALIGN;
  case HOME_OUTPUT: return common_align(BLOCK_ALIGN, n->offset);
  case HOME_OPERAND: {
    int k = n->attrs.index, outer = align_of(e, step->outer, loop->in[k]);
    if (k < loop->attrs.carried) /* where it comes from, then where the turns put it */
      return common_align(outer, align_of(e, step->outer, call_output(step->outer, step->loop, k)));
    return k < loop->attrs.carried + loop->attrs.stacked ? common_align(outer, type_count(&n->type)) : outer;
  }
  case HOME_RESULT: {
    int k = (int)n->offset, outer = align_of(e, step->outer, call_output(step->outer, step->loop, k));
    return k < loop->attrs.carried ? outer : common_align(outer, type_count(&n->type));
  }
  default: return BLOCK_ALIGN;
  }
}

static const Placement *find_placement(Emit *e, const Step *step, const Call *call) {
  Placement *at = arena_alloc(e->arena, sizeof *at);
  int n_out = call->group->body->n_outputs, n_in = call->group->n_in;
  int *in = arena_alloc(e->arena, (size_t)n_in * sizeof *in + 1);
  int *out = arena_alloc(e->arena, (size_t)n_out * sizeof *out + 1);
  for (int i = 0; i < n_in; i++) in[i] = align_of(e, step, call->group->in[i]);
  for (int o = 0; o < n_out; o++) {
    const Node *output = call_output(step, call, o);
    out[o] = output ? align_of(e, step, output) : 1;
  }
  *at = (Placement){find_in_place(e, step, call), in, out};
  return at;
}

static unsigned hash_of(const char *text) {
  unsigned hash = 2166136261u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 16777619u;
  return hash % HASH_SIZE;
}

static KernelText print_kernel(Emit *e, Kernel *k, const char *name, bool canonical) {
  Writer w = {.program = e->program,
              .roots = &e->roots,
              .globals = e->globals,
              .k = k,
              .arena = e->arena,
              .canonical = canonical,
              .cuda = e->target->cuda,
              .name = name};
  KernelText text = {0};
  writer_begin(&w);
  if (k->scatter)
    e->target->scatter(&w, &text);
  else
    e->target->kernel(&w, &text);
  return text;
}

static UniqueKernel *find_unique(Emit *e, Kernel *k) {
  KernelText text = print_kernel(e, k, "k", true);
  const char *key =
      arena_print(e->arena, "%s%s %s", text.text, text.grid ? text.grid : "", text.block ? text.block : "");
  unsigned h = hash_of(key);
  for (UniqueKernel *u = e->hash[h]; u; u = u->next)
    if (!strcmp(u->key, key)) return u;
  UniqueKernel *u = arena_alloc(e->arena, sizeof *u);
  *u = (UniqueKernel){.next = e->hash[h], .key = key, .kernel = k};
  e->hash[h] = u;
  LIST_PUSH(e->arena, e->kernels, e->n_kernels, u);
  return u;
}

/* The first full result of floats: where a product can stand until the map behind it has read it. */
static const Node *full_result(const Step *step, const Call *call) {
  for (int o = 0; o < call->group->body->n_outputs; o++) {
    const Node *result = call_output(step, call, o);
    if (result && result->type.dtype == F32 && type_same_shape(&result->type, &call->group->attrs.space)) return result;
  }
  fault("%s has nowhere to put its product", call->node->name);
}

/* C calls its product, which writes where the map then works in place. */
static void split_product(Emit *e, Step *step, Call *call) {
  const Node *result = full_result(step, call);
  Node *product;
  call->group = kernel_split(e->arena, call->group, &product);
  product->home = result->home, product->offset = result->offset;
  product->id = step->graph->n_nodes + step->n_products++;
  Call first = {.node = product};
  LIST_PUSH(e->arena, step->calls, step->n_calls, first);
}

static void add_kernel(Emit *e, Step *step, Node *node, bool train) {
  Call call = {.node = node, .group = node->op == OP_group ? node : kernel_wrap(e->arena, node)};
  if (node->attrs.pattern == PATTERN_MATMUL && node->op == OP_group && !e->target->cuda)
    split_product(e, step, &call);
  if (node->op == OP_scatter_add)
    call.kernel = kernel_scatter(e->arena, call.group);
  else
    call.kernel = kernel_build(e->arena, call.group, &e->target->form, find_placement(e, step, &call));
  call.unique = find_unique(e, call.kernel);
  call.unique->in_train |= train;
  LIST_PUSH(e->arena, call.unique->paths, call.unique->n_paths, call.group->body->outputs[0].name);
  LIST_PUSH(e->arena, step->calls, step->n_calls, call);
}

/* Values without elements need no call. */
static bool is_empty(const Node *node) {
  if (!node->body) return type_count(&node->type) == 0;
  for (int i = 0; i < node->body->n_outputs; i++)
    if (type_count(&node->body->outputs[i].node->type) > 0) return false;
  return true;
}

static void add_calls(Emit *e, Step *step, bool train);

static void add_loop(Emit *e, Step *step, const Node *node, bool train) {
  Step *inner = arena_alloc(e->arena, sizeof *inner);
  *inner = (Step){.graph = node->body, .name = step->name, .outer = step};
  inner->carried = arena_alloc(e->arena, ((size_t)node->attrs.carried + 1) * sizeof *inner->carried);
  inner->next = arena_alloc(e->arena, ((size_t)node->attrs.carried + 1) * sizeof *inner->next);
  inner->places = arena_alloc(e->arena, ((size_t)node->attrs.carried + 1) * sizeof *inner->places);
  Call call = {.node = node, .inner = inner}, *kept = arena_alloc(e->arena, sizeof *kept); /* the list will move */
  *kept = call;
  inner->loop = kept;
  LIST_PUSH(e->arena, step->calls, step->n_calls, call);
  add_calls(e, inner, train);
}

/* The attention that comes next and makes this lse in passing: CUDA's does. */
static const Node *attention_behind(const Emit *e, const Graph *graph, const Node *lse) {
  bool is_next = e->target->cuda && lse->op == OP_attention_lse && lse->id + 1 < graph->n_nodes;
  const Node *next = is_next ? graph->nodes[lse->id + 1] : NULL;
  return next && attention_has_lse(next, lse) ? next : NULL;
}

static void add_calls(Emit *e, Step *step, bool train) {
  const Graph *graph = step->graph;
  step->pointer = arena_alloc(e->arena, 2 * ((size_t)graph->n_nodes + 1) * sizeof *step->pointer);
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    Call call = {.node = node};
    if (is_empty(node)) continue;
    const Node *attention = attention_behind(e, graph, node);
    if (attention) call = (Call){.node = attention, .lse = node}, i++;
    if (op_info[node->op].kind == LOOP)
      add_loop(e, step, node, train);
    else if (node->op == OP_matmul || op_info[node->op].kind == ATTENTION)
      LIST_PUSH(e->arena, step->calls, step->n_calls, call);
    else if (node->op == OP_group || (node->op != OP_result && op_info[node->op].kind != LEAF && in_memory(node)))
      add_kernel(e, step, node, train);
  }
}

Step *step_new(Emit *e, const Graph *graph, const char *name, const char *comment, bool train) {
  Step *step = arena_alloc(e->arena, sizeof *step);
  *step = (Step){.graph = graph, .name = name, .comment = comment};
  add_calls(e, step, train);
  LIST_PUSH(e->arena, e->steps, e->n_steps, step);
  return step;
}

void name_kernels(Emit *e) {
  static const char *const walks[] = {"map", "rows", "columns", "product"};
  for (int i = 0; i < e->n_kernels; i++) {
    UniqueKernel *u = e->kernels[i];
    const Kernel *k = u->kernel;
    const char *how = k->scatter ? "scatter" : walks[k->product ? 3 : !kernel_reduces(k) ? 0 : k->column ? 2 : 1];
    u->name =
        names_take(e->globals, arena_print(e->arena, "%s_%s", name_in_common(&e->roots, u->paths, u->n_paths), how));
  }
  for (int i = 0; i < e->n_kernels; i++)
    e->kernels[i]->text = print_kernel(e, e->kernels[i]->kernel, e->kernels[i]->name, false);
}

/* ---- the comment above a kernel --------------------------------------------- */

/* Each array once; of a table that rows are gathered from, all of it. */
static const char *traffic(Emit *e, const Kernel *k) {
  double read = 0, written = 0;
  for (int p = 0; p < k->n_pointers; p++) {
    double bytes = (double)type_bytes(k->pointers[p].type);
    if (k->pointers[p].output >= 0) written += bytes;
    if (k->pointers[p].input >= 0) read += bytes;
  }
  Text text = {0};
  text_add(&text, "reads ");
  text_add_size(&text, read);
  text_add(&text, ", writes ");
  text_add_size(&text, written);
  return text_take(&text, e->arena);
}

/* Words in comment lines of at most 110 columns. */
static void emit_comment(Emit *e, const char *words) {
  size_t used = 0;
  for (const char *at = words; *at;) {
    size_t n = strcspn(at, " ");
    if (used && used + 1 + n > 108) used = 0, text_add(e->out, "\n");
    text_add(e->out, used ? " " : used == 0 && at != words ? "//   " : "// ");
    text_add_bytes(e->out, at, n);
    used += n + (used ? 1 : 3);
    at += n + (at[n] == ' ');
  }
  text_add(e->out, "\n");
}

void emit_kernel(Emit *e, UniqueKernel *u) {
  enum { SHOWN = 3 };
  const Kernel *k = u->kernel;
  const Node *group = k->group;
  int n = group->body->n_outputs;
  const char *line = model_line(e->arena, group->body->outputs[0].node->span),
             *first = formula(&e->roots, e->arena, group, 0);
  emit_comment(e, *line ? arena_print(e->arena, "%s  %s", line, first) : first);
  for (int o = 1; o < n && o < SHOWN; o++) emit_comment(e, formula(&e->roots, e->arena, group, o));
  if (n > SHOWN) emit_comment(e, arena_print(e->arena, "and %d more results", n - SHOWN));
  if (u->n_paths > 1) emit_comment(e, arena_print(e->arena, "called %d times", u->n_paths));
  emit_comment(e, group->reason ? group->reason : traffic(e, k));
  text_add(e->out, "%s\n", u->text.text);
}
