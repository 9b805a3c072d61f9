/* step.c - the functions that make the calls: train_gradients, eval0_batch ...
 *
 * A step declares a pointer for each array it works on, then calls kernels and
 * matrix products in the order the schedule pass chose, under the model line
 * they come from.  Arena offsets are the plan's; AT scales them when real is
 * double.  A loop is a loop of calls: pointers to this turn's part of what is
 * stacked, and for a carried value two places that turns write by turns.
 */
#include <string.h>

#include "codegen/target.h"

/* ---- where values are ---------------------------------------------------------- */

const char *shape_text(Emit *e, const Type *type) {
  Text text = {0};
  for (int a = 0; a < type->rank; a++)
    text_add(&text, "%s%s", a ? ", " : "(", program_dim(e->program, &e->roots, &type->dim[a]).text);
  text_add(&text, type->rank ? ")" : "()");
  return text_take(&text, e->arena);
}

static int param_at(const Emit *e, int64_t offset) {
  for (int i = 0; i < e->program->n_params; i++)
    if (e->program->params[i].offset == offset) return i;
  fault("no parameter lies at %lld", (long long)offset);
}

/* Which of batch[] a leaf is: field x of d, or accumulator 3 of acc.3. */
static int batch_index(const Emit *e, const Step *step, const char *path) {
  const Program *p = e->program;
  const char *dot = strchr(path, '.'), *name = dot ? dot + 1 : path;
  const Field *fields = NULL;
  int n = 0;
  if (is_train_graph(p, step->graph))
    fields = p->data[p->train.data].fields, n = p->data[p->train.data].n_fields;
  if (p->has_predict && step->graph == p->predict.graph) fields = p->predict.fields, n = p->predict.n_fields;
  if (p->has_sample && step->graph == p->sample.graph) fields = p->sample.fields, n = p->sample.n_fields;
  for (int i = 0; i < p->n_evals; i++) {
    if (step->graph == p->evals[i].batch)
      fields = p->data[p->evals[i].data].fields, n = p->data[p->evals[i].data].n_fields;
    if (step->graph != p->evals[i].finish) continue;
    int at = 0;
    for (const char *c = name; *c >= '0' && *c <= '9'; c++) at = 10 * at + (*c - '0');
    return at;
  }
  for (int i = 0; i < n; i++)
    if (!strcmp(fields[i].name, name)) return i;
  fault("%s is no field of the batch", path);
}

/* Declarations of a step, aligned in one go. */
typedef struct Locals {
  Emit *e;
  Names *names;
  int n;
  const char **left, **comment;
  int *rank; /* inputs, then arena, then outputs */
  bool params, grads;
  int n_turns; /* variables of loops, by their paths */
  const char **turn_path, **turn_name;
} Locals;

static void declare(Locals *l, int rank, const char *left, const char *comment) {
  int n = l->n, again = l->n;
  LIST_PUSH(l->e->arena, l->rank, again, rank);
  LIST_PUSH(l->e->arena, l->left, n, left);
  LIST_PUSH(l->e->arena, l->comment, l->n, comment);
}

/* Where the arena of a step begins in that of the function. */
static int64_t arena_of(const Step *step) {
  int64_t offset = 0;
  for (; step->outer; step = step->outer) offset += step->loop->node->offset;
  return offset;
}

static const char *declare_value(Locals *l, const Step *step, const Node *n) {
  Emit *e = l->e;
  const char *name = names_take(l->names, name_of_path(&e->roots, n->name)), *type = c_storage(n->type.dtype), *left;
  if (n->home == HOME_INPUT)
    left = arena_print(e->arena, "const %s *%s = (const %s *)batch[%d];", type, name, type,
                       batch_index(e, step, n->attrs.path));
  else if (n->home == HOME_OUTPUT)
    left = arena_print(e->arena, "real *%s = (real *)run->outputs + %lld;", name, (long long)n->offset);
  else if (n->home == HOME_STATE || n->home == HOME_NEXT)
    left = arena_print(e->arena, "%s *%s = (%s *)((real *)run->%s + %lld);", type, name, type,
                       n->home == HOME_STATE ? "states" : "new_states", (long long)n->offset);
  else
    left = arena_print(e->arena, "%s *%s = AT(%s, %lld);", type, name, type, (long long)(n->offset + arena_of(step)));
  declare(l, n->home == HOME_ARENA ? 1 : n->home == HOME_OUTPUT || n->home == HOME_NEXT ? 2 : 0, left, shape_text(e, &n->type));
  return name;
}

static const char *pointer_of(Locals *l, Step *step, const Node *n);
static const char *size_of(Emit *e, const Dim *dim);

/* This turn's part of a stacked array: `x + t * B * H`. */
static const char *part_of(Locals *l, const Step *step, const char *array, const Type *type) {
  Text text = {0};
  text_add(&text, "%s + %s", array, step->turn);
  for (int a = 0; a < type->rank; a++)
    if (type->dim[a].size != 1) text_add(&text, " * %s", size_of(l->e, &type->dim[a]));
  return text_take(&text, l->e->arena);
}

static void declare_in_turn(Locals *l, Step *step, const char *line) { LIST_PUSH(l->e->arena, step->lines, step->n_lines, line); }

static const char *operand_pointer(Locals *l, Step *step, const Node *n) {
  const Node *loop = step->loop->node;
  int k = n->attrs.index;
  if (k >= loop->attrs.carried + loop->attrs.stacked) return pointer_of(l, step->outer, loop->in[k]);
  const char *name = names_take(l->names, name_of_path(&l->e->roots, n->name)), *type = c_storage(n->type.dtype);
  if (k < loop->attrs.carried) return step->carried[k] = name; /* declared before the loop */
  const char *array = pointer_of(l, step->outer, loop->in[k]);
  declare_in_turn(l, step, arena_print(l->e->arena, "const %s *%s = %s;", type, name, part_of(l, step, array, &n->type)));
  return name;
}

/* Turns write a carried value in two places by turns, the last one where the result is. */
static const char *carried_place(Locals *l, Step *step, const Node *n, const char *last) {
  Emit *e = l->e;
  const Node *loop = step->loop->node;
  int k = (int)n->offset;
  if (loop->attrs.space.dim[0].size == 1) return last;
  if (step->places[k]) return step->places[k];
  const char *type = c_storage(n->type.dtype), *second = names_take(l->names, arena_print(e->arena, "%s_second", last));
  int64_t offset = arena_of(step) + loop_second(loop, k);
  declare(l, 1, arena_print(e->arena, "%s *%s = AT(%s, %lld);", type, second, type, (long long)offset), shape_text(e, &n->type));
  bool odd = !loop->attrs.reverse && loop->attrs.space.dim[0].size % 2 == 0; /* is the last turn? */
  return step->places[k] = arena_print(e->arena, "%s %% 2 ? %s : %s", step->turn, odd ? last : second, odd ? second : last);
}

static const char *result_pointer(Locals *l, Step *step, const Node *n) {
  const Node *loop = step->loop->node, *result = call_output(step->outer, step->loop, (int)n->offset);
  int k = (int)n->offset;
  const char *array = pointer_of(l, step->outer, result), *type = c_storage(n->type.dtype);
  const char *name = names_take(l->names, name_of_path(&l->e->roots, n->name));
  bool carried = k < loop->attrs.carried;
  const char *place = carried ? carried_place(l, step, n, array) : part_of(l, step, array, &n->type);
  declare_in_turn(l, step, arena_print(l->e->arena, "%s *%s = %s;", type, name, place));
  if (carried) step->next[k] = name;
  return name;
}

static const char *pointer_of(Locals *l, Step *step, const Node *n) {
  while (n->home == HOME_ALIAS) n = n->in[0];
  const char **known = &step->pointer[n->id];
  if (*known) return *known;
  switch (n->home) {
  case HOME_PARAM:
    l->params = true;
    return *known = arena_print(l->e->arena, "p.%s", l->e->param_names[param_at(l->e, n->offset)]);
  case HOME_GRAD:
    l->grads = true;
    return *known = arena_print(l->e->arena, "d.%s", l->e->param_names[param_at(l->e, n->offset)]);
  case HOME_OPERAND: return *known = operand_pointer(l, step, n);
  case HOME_RESULT: return *known = result_pointer(l, step, n);
  case HOME_NONE: fault("%s has no place in memory: plan has not run", n->name);
  default: return *known = declare_value(l, step, n);
  }
}

/* ---- calls ------------------------------------------------------------------------ */

/* Arguments stand below the first one; below the call when that would leave them no room. */
static void add_arguments(Emit *e, Text *line, const char *const *argument, int n, const char *end) {
  size_t used = line->length, all = used;
  int indent = (int)line->length;
  for (int i = 0; i < n; i++) all += strlen(argument[i]) + 2;
  if (all > LONGEST_LINE && indent > LONGEST_LINE / 2) {
    indent = 6;
    text_add(line, "\n%*s", indent, "");
    used = (size_t)indent;
  }
  for (int i = 0; i < n; i++) {
    size_t length = strlen(argument[i]);
    if (i && used + length + 6 > LONGEST_LINE)
      text_add(line, ",\n%*s", indent, ""), used = (size_t)indent;
    else if (i)
      text_add(line, ", "), used += 2;
    text_add(line, "%s", argument[i]);
    used += length;
  }
  text_add(line, "%s\n", end);
  text_add_bytes(e->out, line->data, line->length);
  text_free(line);
}

/* The variable of the loop of that path. */
static const char *turn_of(const Step *step, const char *path) {
  while (step->outer && strcmp(step->loop->node->attrs.path, path)) step = step->outer;
  if (!step->outer) fault("no loop %s is around the call", path);
  return step->turn;
}

static void kernel_call(Locals *l, Step *step, const Call *call) {
  Emit *e = l->e;
  const Kernel *k = call->kernel;
  const char *argument[MAX_POINTERS + MAX_TURNS + 2];
  int n = 0;
  for (int p = 0; p < k->n_pointers; p++) {
    const Pointer *pointer = &k->pointers[p];
    const Node *value =
        pointer->output >= 0 ? call_output(step, call, pointer->output) : call->group->in[pointer->input];
    if (!value) fault("%s makes a value that nothing keeps", call->node->name);
    argument[n++] = pointer_of(l, step, value);
  }
  if (k->uses_scalars) argument[n++] = "run->scalars";
  for (int i = 0; i < k->n_turns; i++) argument[n++] = arena_print(e->arena, "(int)%s", turn_of(step, k->turns[i]));
  if (k->uses_rows) argument[n++] = "rows";
  Text line = {0};
  if (e->target->cuda)
    text_add(&line, "  LAUNCH(%s, %s, %s, 0, run)(", call->unique->name, call->unique->text.grid,
             call->unique->text.block);
  else
    text_add(&line, "  STEP(%s(", call->unique->name);
  add_arguments(e, &line, argument, n, e->target->cuda ? ");" : "));");
}

static const char *extent(Emit *e, const Dim *dim) {
  if (!dim->rows) return program_dim(e->program, &e->roots, dim).text;
  int64_t factor = dim->rows->size ? dim->size / dim->rows->size : 1;
  return factor == 1 ? "rows" : arena_print(e->arena, "rows * %lld", (long long)factor);
}

static const char *size_of(Emit *e, const Dim *dim) { return program_dim(e->program, &e->roots, dim).text; }

static const char *extents(Emit *e, const Type *t, int from, int to) {
  Text text = {0};
  for (int a = from; a < to; a++)
    if (t->dim[a].size != 1 || t->dim[a].rows) text_add(&text, "%s%s", text.length ? " * " : "", extent(e, &t->dim[a]));
  if (!text.length) text_add(&text, "1");
  return text_take(&text, e->arena);
}

/* Elements between one matrix and the next, at capacity. */
static const char *stride(Emit *e, const Type *t) {
  return t->rank <= 2
             ? "0"
             : arena_print(e->arena, "%s * %s", size_of(e, &t->dim[t->rank - 2]), size_of(e, &t->dim[t->rank - 1]));
}

bool is_single_product(const Node *n) {
  const Type *a = &n->in[0]->type, *b = &n->in[1]->type, *c = &n->type;
  if (a->rank < 2 || b->rank != 2 || (a->rank > 2 && n->attrs.ta)) return false;
  for (int i = 1; i < a->rank; i++)
    if (a->dim[i].rows) return false;
  return !b->dim[1].rows && !c->dim[c->rank - 1].rows;
}

static void gemm_call(Locals *l, Step *step, const Call *call) {
  static const char *const transposes[] = {"MT_NN", "MT_NT", "MT_TN", "MT_TT"};
  Emit *e = l->e;
  const Node *node = call->node;
  const Type *a = &node->in[0]->type, *b = &node->in[1]->type, *c = &node->type;
  const char *t = transposes[2 * node->attrs.ta + node->attrs.tb];
  const char *bf16 = a->dtype == BF16 ? "_bf16" : "";
  const char *run = a->dtype != BF16 ? "run" : c->dtype == BF16 ? "run, MT_TO_BF16" : "run, MT_TO_REAL";
  const char *pa = pointer_of(l, step, node->in[0]), *pb = pointer_of(l, step, node->in[1]),
             *pc = pointer_of(l, step, node);
  const char *n = extent(e, &c->dim[c->rank - 1]), *k = extent(e, &a->dim[node->attrs.ta ? a->rank - 2 : a->rank - 1]);
  Text line = {0};
  if (is_single_product(node)) {
    const char *argument[] = {run, t, extents(e, c, 0, c->rank - 1), n, k, pa, pb, pc};
    text_add(&line, "  STEP(mt_gemm%s(", bf16);
    add_arguments(e, &line, argument, 8, "));");
    return;
  }
  const char *argument[] = {run,
                            t,
                            extents(e, c, 0, c->rank - 2),
                            extent(e, &c->dim[c->rank - 2]),
                            n,
                            k,
                            pa,
                            size_of(e, &a->dim[a->rank - 1]),
                            stride(e, a),
                            pb,
                            size_of(e, &b->dim[b->rank - 1]),
                            stride(e, b),
                            pc,
                            size_of(e, &c->dim[c->rank - 1]),
                            stride(e, c)};
  text_add(&line, "  STEP(mt_gemm%s_batched(", bf16);
  add_arguments(e, &line, argument, 15, "));");
}

/* The second half of a result of two lies behind the whole of the first: batches by capacity. */
static const char *second_half(Locals *l, const char *first, const Type *t) {
  Text text = {0};
  text_add(&text, "%s", first);
  for (int a = 1; a < t->rank; a++) text_add(&text, "%s%s", a > 1 ? " * " : " + ", size_of(l->e, &t->dim[a]));
  return text_take(&text, l->e->arena);
}

/* Pointers in order of the operands, then what is written. */
static int attention_pointers(Locals *l, Step *step, const Node *node, const char **argument) {
  int n = 0;
  for (int k = 0; k < node->n_in; k++) argument[n++] = pointer_of(l, step, node->in[k]);
  argument[n++] = pointer_of(l, step, node);
  if (node->op == OP_attention_dkv) argument[n] = second_half(l, argument[n - 1], &node->type), n++;
  return n;
}

static void attention_call(Locals *l, Step *step, const Call *call) {
  Emit *e = l->e;
  const Node *node = call->node;
  const Type *q = &node->in[0]->type, *k = &node->in[1]->type;
  const char *mask = node->attrs.causal ? "MT_CAUSAL" : "MT_FULL", *width = size_of(e, &q->dim[q->rank - 1]);
  const char *argument[16] = {"run"};
  int n = 1;
  if (!e->target->cuda) argument[n++] = q->dtype == BF16 ? "MT_BF16" : "MT_F32", argument[n++] = mask;
  argument[n++] = extents(e, q, 0, q->rank - 2);
  argument[n++] = extent(e, &q->dim[q->rank - 2]);
  argument[n++] = extent(e, &k->dim[k->rank - 2]);
  if (!e->target->cuda) argument[n++] = width;
  argument[n++] = expr_const(e->arena, node->attrs.scale, F64).text;
  n += attention_pointers(l, step, node, argument + n);
  if (call->lse) argument[n++] = pointer_of(l, step, call->lse);
  Text line = {0};
  text_add(&line, e->target->cuda ? "  mt_%s" : "  STEP(mt_%s", op_info[node->op].name); /* which launches */
  bool tf32 = e->program->has_train && e->program->train.precision == PRECISION_TF32;
  if (e->target->cuda) text_add(&line, "<%s, %s%s>", width, mask, tf32 ? ", MT_TF32" : "");
  text_add(&line, "(");
  add_arguments(e, &line, argument, n, e->target->cuda ? ");" : "));");
}

/* ---- the function ------------------------------------------------------------------- */

const Node *first_result(const Call *call) {
  return call->group ? call->group->body->outputs[0].node : call->node;
}
bool is_backward(const Node *n) { return !strncmp(n->name, "grad.", 5); }

static void write_declarations(Locals *l, Text *out) {
  size_t widest = 0;
  const char *params = l->params ? "const Params p = params_at(run->params);" : NULL;
  const char *grads = l->grads ? "const Params d = params_at(run->grads);" : NULL;
  for (int i = 0; i < l->n; i++)
    if (strlen(l->left[i]) > widest && strlen(l->left[i]) < 80) widest = strlen(l->left[i]);
  if (params) text_add(out, "  %s\n", params);
  if (grads) text_add(out, "  %s\n", grads);
  for (int rank = 0; rank < 3; rank++)
    for (int i = 0; i < l->n; i++)
      if (l->rank[i] == rank) text_add(out, "  %-*s  // %s\n", (int)widest, l->left[i], l->comment[i]);
}

static bool mentions(const Text *text, const char *word) {
  size_t n = strlen(word);
  for (const char *at = text->data; at && (at = strstr(at, word)); at++)
    if ((at == text->data || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.", at[-1])) &&
        !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", at[n]))
      return true;
  return false;
}

static void write_calls(Locals *l, Step *step);

/* Lines of a loop stand two columns further in. */
static void write_indented(Text *out, const Text *text) {
  for (const char *line = text->data; line && *line;) {
    size_t n = strcspn(line, "\n") + 1;
    if (n > 1) text_add(out, "  ");
    text_add_bytes(out, line, n);
    line += n;
  }
}

/* Forward and adjoint loop of one path have one name for their turn. */
static const char *turn_name(Locals *l, const char *path) {
  for (int i = 0; i < l->n_turns; i++)
    if (!strcmp(l->turn_path[i], path)) return l->turn_name[i];
  const char *dot = strrchr(path, '.'), *name = names_take_letter(l->names, dot ? dot + 1 : path);
  int n = l->n_turns;
  LIST_PUSH(l->e->arena, l->turn_path, n, path);
  LIST_PUSH(l->e->arena, l->turn_name, l->n_turns, name);
  return name;
}

static void write_loop(Locals *l, Step *step, const Call *call) {
  Text *out = l->e->out, calls = {0};
  Step *inner = call->inner;
  const Attrs *a = &call->node->attrs;
  const char *turns = size_of(l->e, &a->space.dim[0]);
  inner->loop = call;
  inner->turn = turn_name(l, a->path);
  l->e->out = &calls;
  write_calls(l, inner);
  l->e->out = out;
  for (int k = 0; k < a->carried; k++)
    if (inner->carried[k])
      text_add(out, "  const %s *%s = %s;  // carried\n", c_storage(call->node->in[k]->type.dtype), inner->carried[k],
               pointer_of(l, step, call->node->in[k]));
  if (a->reverse)
    text_add(out, "  for (int64_t %s = %s - 1; %s >= 0; %s--) {\n", inner->turn, turns, inner->turn, inner->turn);
  else
    text_add(out, "  for (int64_t %s = 0; %s < %s; %s++) {\n", inner->turn, inner->turn, turns, inner->turn);
  for (int i = 0; i < inner->n_lines; i++) text_add(out, "    %s\n", inner->lines[i]);
  if (inner->n_lines) text_add(out, "\n");
  write_indented(out, &calls);
  for (int k = 0; k < a->carried; k++)
    if (inner->carried[k] && inner->next[k]) text_add(out, "    %s = %s;\n", inner->carried[k], inner->next[k]);
  text_add(out, "  }\n");
  text_free(&calls);
}

static void write_calls(Locals *l, Step *step) {
  const char *line = "";
  bool backward = false;
  for (int i = 0; i < step->n_calls; i++) {
    const Call *call = &step->calls[i];
    const Node *node = first_result(call);
    const char *at = model_line(l->e->arena, node->span);
    if (strcmp(at, line) || backward != is_backward(node)) {
      backward = is_backward(node);
      text_add(l->e->out, "%s  // %s%s\n", i || !step->outer ? "\n" : "", at, backward ? ", backward" : "");
      line = at;
    }
    if (call->inner) write_loop(l, step, call);
    else if (call->node->op == OP_matmul) gemm_call(l, step, call);
    else if (op_info[call->node->op].kind == ATTENTION) attention_call(l, step, call);
    else kernel_call(l, step, call);
  }
}

void emit_step(Emit *e, Step *step) {
  Locals l = {.e = e, .names = names_new(e->arena, e->globals)};
  Text *out = e->out, calls = {0}, head = {0};
  e->out = &calls;
  write_calls(&l, step);
  e->out = out;
  write_declarations(&l, &head);
  text_add(out, "// %s\nstatic void %s(MtRun *run, const void *const *batch, int64_t rows) {\n", step->comment,
           step->name);
  if (head.data) text_add_bytes(out, head.data, head.length);
  if (!mentions(&head, "batch")) text_add(out, "  (void)batch;\n");
  if (!mentions(&calls, "rows")) text_add(out, "  (void)rows;\n");
  if (!step->n_calls) text_add(out, "  (void)run;\n");
  if (calls.data) text_add_bytes(out, calls.data, calls.length);
  text_add(out, "}\n\n");
  text_free(&calls);
  text_free(&head);
}
