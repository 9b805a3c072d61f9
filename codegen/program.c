/* program.c - the generated file from top to bottom.
 *
 *   header and includes
 *   dims, parameters, the kernels of the training step, train_gradients
 *   the other kernels and steps, the update, tables, main
 *   the first part once more, with real = double, for the gradient check
 *
 * The repetition is an inclusion of the file in itself: what must not come
 * twice stands between #ifndef MT_DOUBLE and #endif.  C++ puts the second copy
 * into a namespace; C renames what it defines.
 */
#include <string.h>

#include "codegen/codegen.h"
#include "codegen/target.h"

static const char version[] = "0.1";

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static void emit_header(Emit *e) {
  const Program *p = e->program;
  const char *name = p->name, *source = base_name(p->source);
  if (e->target->cuda)
    text_add(e->out, "// %s.cu, by mtc %s from %s.   nvcc -O3 %s.cu $(mtc --print=cuda-flags) -o %s\n", name, version,
             source, name, name);
  else
    text_add(e->out,
             "// %s.c, by mtc %s from %s.\n// cc -O3 -march=native -fopenmp %s.c $(mtc --print=cflags) $(mtc "
             "--print=libs) -o %s\n",
             name, version, source, name, name);
  text_add(e->out, "//\n// Every kernel stands under the line of the model it computes; %s calls them in order.\n%s",
           p->has_train ? "train_gradients" : "each step", p->has_train ? "" : "\n");
}

/* What training takes, and the lines of the model that hold most when the step holds most. */
static void emit_memory(Emit *e) {
  enum { SHOWN = 6 };
  Memory m = program_memory(e->program, e->arena);
  if (!e->program->has_train) return;
  text_add(e->out, "// Training takes ");
  text_add_size(e->out, (double)m.total);
  text_add(e->out, "%s:\n//   ", m.has_files ? ", and its data files" : "");
  memory_parts(e->out, &m);
  text_add(e->out, "\n");
  if (m.n_lines) text_add(e->out, "// Most values of a step at once:");
  for (int i = 0; i < m.n_lines && i < SHOWN; i++) {
    const Span *at = m.lines[i].span;
    if (at) text_add(e->out, "%s %s:%d ", i ? "," : "", base_name(at->source->path), at->line);
    else text_add(e->out, "%s no line ", i ? "," : "");
    text_add_size(e->out, (double)m.lines[i].bytes);
  }
  if (m.n_lines > SHOWN) text_add(e->out, " and %d more", m.n_lines - SHOWN);
  text_add(e->out, m.n_lines ? "\n\n" : "\n");
}

static void emit_includes(Emit *e) {
  if (e->program->has_train) text_add(e->out, "#ifndef MT_DOUBLE  // this file is read twice: its end says why\n");
  if (e->target->cuda) {
    text_add(e->out, "#include \"mtrt_cuda.cuh\"\n");
    if (e->program->has_train) text_add(e->out, "#include \"mtrt_update.cuh\"\n");
    if (e->attention) text_add(e->out, "#include \"mtrt_attention.cuh\"\n");
    text_add(e->out, "%s\n#define real float\n%s", e->bf16 ? "#include \"mtrt_bf16.h\"\n" : "",
             e->bf16 ? "#define bf16 MtBf16\n" : "");
  } else {
    text_add(e->out, "#include \"mtrt.h\"\n#include \"mtrt_math.h\"\n%s%s\n#define real float\n%s",
             e->attention ? "#include \"mtrt_attention.h\"\n" : "", e->bf16 ? "#include \"mtrt_bf16.h\"\n" : "", e->bf16 ? "#define bf16 MtBf16  // 2 bytes\n" : "");
    text_add(e->out, "// An array of the arena; offsets are in bytes for floats.\n");
    text_add(e->out,
             "#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(%s))\n",
             e->bf16 ? "bf16) / 2" : "real) / sizeof(float)");
  }
  const Program *p = e->program;
  if (p->n_symbols) {
    text_add(e->out, "\nenum { ");
    for (int i = 0; i < p->n_symbols; i++)
      text_add(e->out, "%s%s = %lld", i ? ", " : "", e->roots.dims[i], (long long)p->symbols[i]->size);
    text_add(e->out, " };\n");
  }
  text_add(e->out, e->program->has_train ? "#endif\n\n" : "\n");
}

/* ---- parameters --------------------------------------------------------------------- */

static void name_params(Emit *e) {
  const Program *p = e->program;
  Names *fields = names_new(e->arena, NULL);
  e->param_names = arena_alloc(e->arena, ((size_t)p->n_params + 1) * sizeof *e->param_names);
  for (int i = 0; i < p->n_params; i++) {
    DType dtype = p->params[i].type.dtype;
    if (dtype != F32) fault("%s: parameters of %s have no generated code yet", p->params[i].path, dtype_name(dtype));
    e->param_names[i] = names_take(fields, name_of_path(&e->roots, p->params[i].path));
  }
}

static const char *thousands(Arena *arena, int64_t n) {
  if (n < 1000) return arena_print(arena, "%lld", (long long)n);
  return arena_print(arena, "%s,%03lld", thousands(arena, n / 1000), (long long)(n % 1000));
}

static bool reads_params(const Emit *e) {
  for (int s = 0; s < e->n_steps; s++)
    for (int i = 0; i < e->steps[s]->graph->n_nodes; i++) {
      Home home = e->steps[s]->graph->nodes[i]->home;
      if (home == HOME_PARAM || home == HOME_GRAD) return true;
    }
  return false;
}

static void emit_params(Emit *e) {
  const Program *p = e->program;
  size_t widest = 0;
  if (!reads_params(e)) return;
  for (int i = 0; i < p->n_params; i++)
    if (strlen(e->param_names[i]) > widest) widest = strlen(e->param_names[i]);
  text_add(e->out, "// Parameters: one block of %s bytes; gradients lie the same way in another.\ntypedef struct {\n",
           thousands(e->arena, p->param_elements * 4));
  for (int i = 0; i < p->n_params; i++)
    text_add(e->out, "  real *%s;%*s  // %s\n", e->param_names[i], (int)(widest - strlen(e->param_names[i])), "",
             shape_text(e, &p->params[i].type));
  text_add(e->out,
           "} Params;\n\nstatic inline Params params_at(void *block) {\n  real *at = (real *)block;\n  Params p;\n");
  for (int i = 0; i < p->n_params; i++)
    text_add(e->out, "  p.%s = at + %lld;\n", e->param_names[i], (long long)p->params[i].offset);
  text_add(e->out, "  return p;\n}\n\n");
}

/* ---- once more in double ---------------------------------------------------------------- */

/* The file by its last name, which is found beside itself; compilers that do
 * not know it have the name as given. */
static const char again[] = "#ifdef __FILE_NAME__\n#include __FILE_NAME__\n#else\n#include __FILE__\n#endif\n";

static void emit_double(Emit *e) {
  text_add(e->out,
           "\n// The gradient check runs in double precision: the file includes itself, with real = double%s;\n"
           "// what stands between #ifndef MT_DOUBLE and #endif is left out.\n",
           e->target->cuda ? " and in a namespace" : " and other names");
  text_add(e->out, "#define MT_DOUBLE\n#undef real\n#define real double\n");
  if (e->bf16) text_add(e->out, "#undef bf16\n#define bf16 double\n");
  if (e->target->cuda) {
    text_add(e->out, "namespace f64 {\n%s}\n", again);
    return;
  }
  if (reads_params(e)) text_add(e->out, "#define Params Params_f64\n#define params_at params_at_f64\n");
  for (int i = 0; i < e->n_kernels; i++)
    if (e->kernels[i]->in_train) text_add(e->out, "#define %s %s_f64\n", e->kernels[i]->name, e->kernels[i]->name);
  for (int i = 0; i < phase_count(e->program); i++) {
    const char *name = phase_name(e, "train_gradients", i);
    text_add(e->out, "#define %s %s_f64\n", name, name);
  }
  text_add(e->out, "%s", again);
}

static void emit_declaration(Emit *e) {
  const char *open = e->target->cuda ? "namespace f64 { " : "", *close = e->target->cuda ? " }" : "",
             *suffix = e->target->cuda ? "" : "_f64";
  for (int i = 0; i < phase_count(e->program); i++)
    text_add(e->out, "%sstatic void %s%s(MtRun *run, const void *const *batch, int64_t rows);%s  // at the end of the file\n",
             open, phase_name(e, "train_gradients", i), suffix, close);
  text_add(e->out, "\n");
}

/* ---- the file ----------------------------------------------------------------------------- */

static void look_through(Emit *e, const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *n = graph->nodes[i];
    e->bf16 |= n->type.dtype == BF16;
    e->attention |= op_info[n->op].kind == ATTENTION;
    if (n->body) look_through(e, n->body);
  }
}

static void find_headers(Emit *e) {
  Graph **graphs = program_graphs((Program *)e->program);
  for (int i = 0; graphs[i]; i++) look_through(e, graphs[i]);
}

int phase_count(const Program *program) { return !program->has_train ? 0 : program->train.n_phases ? program->train.n_phases : 1; }

Phase phase_at(const Program *program, int i) {
  const Train *t = &program->train;
  return t->n_phases ? t->phases[i] : (Phase){.graph = t->graph, .update = t->n_updates ? 0 : -1, .every = 1};
}

const char *phase_name(const Emit *e, const char *name, int i) {
  return i ? arena_print(e->arena, "%s_%d", name, i) : name;
}

int first_group(const Program *program, int update) {
  int n = 0;
  for (int u = 0; u < update; u++) n += program->train.updates[u].n_groups;
  return n;
}

/* Of a step with one update the whole block: what no group moves has no gradient. */
Stretch phase_stretch(const Program *program, int i) {
  int update = phase_at(program, i).update;
  if (update < 0 || program->train.n_updates < 2) return (Stretch){0, program->param_elements};
  return update_stretch(program, &program->train.updates[update]);
}

static const char *phase_comment(const Emit *e, int i) {
  if (phase_count(e->program) == 1) return "Forward and backward: loss, logs and gradients of one batch.";
  Phase phase = phase_at(e->program, i);
  const char *when = phase.every > 1 ? arena_print(e->arena, ", every %lld steps", (long long)phase.every) : "";
  if (phase.update < 0) return arena_print(e->arena, "What stands between updates%s.", when);
  return arena_print(e->arena, "Forward and backward of update %d%s: loss, logs and gradients of one batch.", phase.update + 1, when);
}

static void make_steps(Emit *e) {
  const Program *p = e->program;
  for (int i = 0; i < phase_count(p); i++)
    step_new(e, phase_at(p, i).graph, phase_name(e, "train_gradients", i), phase_comment(e, i), true);
  for (int i = 0; i < p->n_evals; i++) {
    const char *data = p->data[p->evals[i].data].name;
    step_new(e, p->evals[i].batch, arena_print(e->arena, "eval%d_batch", i),
             arena_print(e->arena, "One batch of %s: what is accumulated.", data), false);
    step_new(e, p->evals[i].finish, arena_print(e->arena, "eval%d_finish", i),
             "The logs, once, from what was accumulated.", false);
  }
  if (p->has_predict) step_new(e, p->predict.graph, "predict_step", "Inference.", false);
  if (p->has_sample) step_new(e, p->sample.graph, "sample_step", "Scores of the tokens that may come next.", false);
}

static void emit_kernels(Emit *e, bool in_train) {
  for (int i = 0; i < e->n_kernels; i++)
    if (e->kernels[i]->in_train == in_train) emit_kernel(e, e->kernels[i]);
}

static const char *const phase_names[] = {"train_gradients", "train_update", "train_values", "schedule", "update"};

Emit *emit_new(Text *out, const Program *program, Arena *arena, const Target *target) {
  Emit *e = arena_alloc(arena, sizeof *e);
  *e = (Emit){.program = program, .target = target, .arena = arena, .out = out, .globals = names_new(arena, NULL)};
  for (int i = 1; i < phase_count(program); i++)
    for (size_t k = 0; k < sizeof phase_names / sizeof phase_names[0]; k++)
      names_take(e->globals, phase_name(e, phase_names[k], i));
  e->roots = roots_of(program, arena, e->globals);
  name_params(e);
  find_headers(e);
  make_steps(e);
  name_kernels(e);
  return e;
}

void emit_program(Text *out, const Program *program, Arena *arena, const Target *target) {
  Emit *e = emit_new(out, program, arena, target);
  bool train = program->has_train;
  emit_header(e);
  emit_memory(e);
  emit_includes(e);
  emit_params(e);
  emit_kernels(e, true);
  int n = phase_count(program);
  for (int i = 0; i < n; i++) emit_step(e, e->steps[i]);
  if (train) text_add(out, "#ifndef MT_DOUBLE\n\n");
  emit_kernels(e, false);
  for (int i = n; i < e->n_steps; i++) emit_step(e, e->steps[i]);
  if (train) emit_update(e);
  if (train) emit_declaration(e);
  emit_tables(e);
  if (!train) return;
  emit_double(e);
  text_add(out, "#endif\n");
}

void emit_c(Text *out, const Program *program, Arena *arena) { emit_program(out, program, arena, &c_target); }
void emit_cuda(Text *out, const Program *program, Arena *arena) { emit_program(out, program, arena, &cuda_target); }

void emit_cuda_for(Text *out, const Program *program, Arena *arena, int64_t busy_threads) {
  Target target = cuda_target;
  target.form.busy_threads = busy_threads;
  emit_program(out, program, arena, &target);
}
