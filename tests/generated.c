/* generated.c - see generated.h. */
#include "tests/generated.h"

#include <check.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "runtime/backend.h"
#include "runtime/mtrt_attention.h"
#include "tests/shell.h"
#include "tests/step_driver.h"

/* ---- building ----------------------------------------------------------------------- */

/* What a generated file links, handed on to the runtime of the test program. */
#define POINTER(name) void (*name)(MtRun *, int, int64_t, int64_t);
#define ADDRESS(name) mt_##name,
#define POINTER_TEXT(name) "  void (*" #name ")(MtRun *, int, int64_t, int64_t);\n"
#define CALL_TEXT(name) "void mt_" #name "(MtRun *r, int g, int64_t at, int64_t n) { calls." #name "(r, g, at, n); }\n"

static const char shim[] =
    "#include \"mtrt.h\"\n"
    "struct MtBackend { int none; };\n"
    "const struct MtBackend mt_cpu;\n"
    "const MtProgram *caught;\n"
    "int catch_program(int argc, char **argv, const MtProgram *p) { (void)argc; (void)argv; caught = p; return 0; }\n"
    "typedef struct Calls {\n"
    "  void (*gemm)(MtRun *, MtTranspose, int64_t, int64_t, int64_t, const void *, const void *, void *);\n"
    "  void (*gemm_batched)(MtRun *, MtTranspose, int64_t, int64_t, int64_t, int64_t, const void *, int64_t, int64_t,\n"
    "                       const void *, int64_t, int64_t, void *, int64_t, int64_t);\n"
    "  void (*gemm_bf16)(MtRun *, MtGemmKind, MtTranspose, int64_t, int64_t, int64_t, const void *, const void *,\n"
    "                    void *);\n"
    "  void (*gemm_bf16_batched)(MtRun *, MtGemmKind, MtTranspose, int64_t, int64_t, int64_t, int64_t, const void *,\n"
    "                            int64_t, int64_t, const void *, int64_t, int64_t, void *, int64_t, int64_t);\n"
    "  void (*clip)(MtRun *, int64_t, int64_t, double);\n"
    MT_OPTIMIZERS(POINTER_TEXT)
    "  void (*check)(MtRun *, const MtEnd *, int64_t, int64_t), (*finish)(MtRun *, const MtEnd *);\n"
    "} Calls;\n"
    "Calls calls;\n"
    "void mt_profile_begin(MtRun *r, const char *call) { (void)r; (void)call; }\n"
    "void mt_profile_end(MtRun *r) { (void)r; }\n"
    "void mt_gemm(MtRun *r, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, const void *b, void *c) {\n"
    "  calls.gemm(r, t, m, n, k, a, b, c);\n"
    "}\n"
    "void mt_gemm_batched(MtRun *r, MtTranspose t, int64_t z, int64_t m, int64_t n, int64_t k, const void *a, int64_t "
    "la,\n"
    "                     int64_t sa, const void *b, int64_t lb, int64_t sb, void *c, int64_t lc, int64_t sc) {\n"
    "  calls.gemm_batched(r, t, z, m, n, k, a, la, sa, b, lb, sb, c, lc, sc);\n"
    "}\n"
    "void mt_gemm_bf16(MtRun *r, MtGemmKind g, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a,\n"
    "                  const void *b, void *c) {\n"
    "  calls.gemm_bf16(r, g, t, m, n, k, a, b, c);\n"
    "}\n"
    "void mt_gemm_bf16_batched(MtRun *r, MtGemmKind g, MtTranspose t, int64_t z, int64_t m, int64_t n, int64_t k,\n"
    "                          const void *a, int64_t la, int64_t sa, const void *b, int64_t lb, int64_t sb, void *c,\n"
    "                          int64_t lc, int64_t sc) {\n"
    "  calls.gemm_bf16_batched(r, g, t, z, m, n, k, a, la, sa, b, lb, sb, c, lc, sc);\n"
    "}\n"
    "void mt_clip_gradients(MtRun *r, int64_t at, int64_t n, double norm) { calls.clip(r, at, n, norm); }\n"
    MT_OPTIMIZERS(CALL_TEXT)
    "void mt_check_gradients(MtRun *r, const MtEnd *end, int64_t at, int64_t n) { calls.check(r, end, at, n); }\n"
    "void mt_finish(MtRun *r, const MtEnd *end) { calls.finish(r, end); }\n";

#define SIZES_TEXT "MtRun *r, MtType t, MtMask m, int64_t n, int64_t rows, int64_t columns, int64_t width, double scale, "

static const char attention_shim[] =
    "#include \"mtrt_attention.h\"\n"
    "struct {\n"
    "  __typeof__(mt_attention) *rows;\n  __typeof__(mt_attention_lse) *lse;\n"
    "  __typeof__(mt_attention_dq) *dq;\n  __typeof__(mt_attention_dkv) *dkv;\n"
    "} attention_calls;\n"
    "void mt_attention(" SIZES_TEXT "const void *q, const void *k, const void *v, void *o) {\n"
    "  attention_calls.rows(r, t, m, n, rows, columns, width, scale, q, k, v, o);\n"
    "}\n"
    "void mt_attention_lse(" SIZES_TEXT "const void *q, const void *k, void *lse) {\n"
    "  attention_calls.lse(r, t, m, n, rows, columns, width, scale, q, k, lse);\n"
    "}\n"
    "void mt_attention_dq(" SIZES_TEXT "const void *q, const void *k, const void *v, const void *lse, const void *g,\n"
    "                     const void *along, void *dq) {\n"
    "  attention_calls.dq(r, t, m, n, rows, columns, width, scale, q, k, v, lse, g, along, dq);\n"
    "}\n"
    "void mt_attention_dkv(" SIZES_TEXT "const void *q, const void *k, const void *v, const void *lse, const void *g,\n"
    "                      const void *along, void *dk, void *dv) {\n"
    "  attention_calls.dkv(r, t, m, n, rows, columns, width, scale, q, k, v, lse, g, along, dk, dv);\n"
    "}\n";

typedef struct AttentionCalls {
  __typeof__(mt_attention) *rows;
  __typeof__(mt_attention_lse) *lse;
  __typeof__(mt_attention_dq) *dq;
  __typeof__(mt_attention_dkv) *dkv;
} AttentionCalls;

typedef struct Calls {
  void (*gemm)(MtRun *, MtTranspose, int64_t, int64_t, int64_t, const void *, const void *, void *);
  void (*gemm_batched)(MtRun *, MtTranspose, int64_t, int64_t, int64_t, int64_t, const void *, int64_t, int64_t,
                       const void *, int64_t, int64_t, void *, int64_t, int64_t);
  void (*gemm_bf16)(MtRun *, MtGemmKind, MtTranspose, int64_t, int64_t, int64_t, const void *, const void *, void *);
  void (*gemm_bf16_batched)(MtRun *, MtGemmKind, MtTranspose, int64_t, int64_t, int64_t, int64_t, const void *, int64_t,
                            int64_t, const void *, int64_t, int64_t, void *, int64_t, int64_t);
  void (*clip)(MtRun *, int64_t, int64_t, double);
  MT_OPTIMIZERS(POINTER)
  void (*check)(MtRun *, const MtEnd *, int64_t, int64_t), (*finish)(MtRun *, const MtEnd *);
} Calls;

enum { MAX_PROGRAMS = 64 };
struct Generated {
  const char *folder;
  int n;
  const MtProgram *emitted[MAX_PROGRAMS];
  void *library;
};

Generated *generated_new(void) {
  Generated *set = calloc(1, sizeof *set);
  ck_assert_ptr_nonnull(set);
  set->folder = strdup(scratch_folder());
  return set;
}

void generated_free(Generated *set) {
  if (set->library) dlclose(set->library);
  free((void *)(uintptr_t)set->folder);
  free(set);
}

static void write_text(const char *folder, const char *name, const char *text) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  ck_assert_int_eq(fclose(file), 0);
}

/* Each program stands behind a wrapper that gives its main a name of its own. */
static void add(Generated *set, const Program *planned, void (*emit)(Text *, const Program *, Arena *), const char *suffix) {
  ck_assert_int_lt(set->n, MAX_PROGRAMS);
  Text text = {0};
  emit(&text, planned, planned->arena);
  char name[64], wrapper[512];
  snprintf(name, sizeof name, "model%d.%s", set->n, suffix);
  write_text(set->folder, name, text.data);
  snprintf(wrapper, sizeof wrapper,
           "#include \"mtrt.h\"\n#ifdef __cplusplus\nextern \"C\"\n#endif\nint catch_program(int argc, char **argv, const MtProgram *program);\n"
           "#define main main%d\n#define mt_main catch_program\n#include \"model%d.%s\"\n", set->n, set->n, suffix);
  snprintf(name, sizeof name, "wrapper%d.%s", set->n, suffix);
  write_text(set->folder, name, wrapper);
  text_free(&text);
  set->n++;
}
void generated_add(Generated *set, const Program *planned) { add(set, planned, emit_c, "c"); }

static void emit_as_if_large(Text *out, const Program *program, Arena *arena) { emit_cuda_for(out, program, arena, 0); }
void generated_add_cuda(Generated *set, const Program *planned) {
  add(set, planned, set->n % 2 ? emit_cuda : emit_as_if_large, "cu");
}

void generated_build(Generated *set, const char *flags) {
  write_text(set->folder, "shim.c", shim);
  write_text(set->folder, "shim_attention.c", attention_shim);
  Shell built =
      shell("cd %s && ls wrapper*.c shim*.c | xargs -P 2 -n 1 gcc -c -std=gnu11 -fopenmp -Wall -Wextra "
            "-Wpedantic -Werror -fPIC %s -I" SOURCE_DIR "/runtime && gcc -shared -fopenmp *.o -o models.so -lm",
            set->folder, flags);
  ck_assert_msg(built.status == 0, "%.3000s", built.output);
  free(built.output);
  char path[4096];
  snprintf(path, sizeof path, "%s/models.so", set->folder);
  set->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  ck_assert_msg(set->library != NULL, "%s", dlerror());
  *(Calls *)dlsym(set->library, "calls") =
      (Calls){mt_gemm, mt_gemm_batched, mt_gemm_bf16, mt_gemm_bf16_batched, mt_clip_gradients, MT_OPTIMIZERS(ADDRESS) mt_check_gradients, mt_finish};
  *(AttentionCalls *)dlsym(set->library, "attention_calls") =
      (AttentionCalls){mt_attention, mt_attention_lse, mt_attention_dq, mt_attention_dkv};
  const MtProgram **caught = dlsym(set->library, "caught");
  for (int i = 0; i < set->n; i++) {
    char name[32];
    snprintf(name, sizeof name, "main%d", i);
    int (*start)(int, char **);
    *(void **)&start = dlsym(set->library, name);
    start(0, NULL);
    set->emitted[i] = *caught;
  }
}

/* All programs, with the emulator and step_driver.cc in one executable. */
void generated_build_emulated(Generated *set) {
  Text table = {0};
  for (int i = 0; i < set->n; i++) text_add(&table, "int main%d(int, char **);\n", i);
  text_add(&table, "extern int (*const mains[])(int, char **);\nint (*const mains[])(int, char **) = {");
  for (int i = 0; i < set->n; i++) text_add(&table, "%smain%d", i ? ", " : "", i);
  text_add(&table, "};\n");
  write_text(set->folder, "mains.cu", table.data);
  text_free(&table);
  free(shell_ok("export MTC=" MTC " && tests/emulator/prepare $EMULATOR && cd %s && "
                "ls wrapper*.cu mains.cu | xargs -P 2 -n 1 g++ -std=c++17 -w -I" SOURCE_DIR " $($MTC --print=cflags) -O0 -include $EMULATOR/emitted.h "
                "-x c++ -c && g++ *.o $EMULATOR/libemulator.a -fopenmp $($MTC --print=libs) -o driver",
                set->folder));
}

const MtProgram *generated_program(const Generated *set, int i) { return set->emitted[i]; }

/* ---- values in and out ----------------------------------------------------------------- */

/* Elements at the rows there are: the batch may stand in several axes. */
static int64_t live_count(const Type *t, int64_t rows) {
  int64_t count = 1;
  for (int a = 0; a < t->rank; a++) count *= t->dim[a].rows ? t->dim[a].size / t->dim[a].rows->size * rows : t->dim[a].size;
  return count;
}

/* Where element `i`, counted at the rows there are, lies at capacity. */
static int64_t strided(const Type *t, int64_t rows, int64_t i) {
  int64_t offset = 0, stride = 1;
  for (int a = t->rank - 1; a >= 0; a--) {
    const Dim *d = &t->dim[a];
    int64_t live = d->rows ? d->size / d->rows->size * rows : d->size;
    offset += i % live * stride;
    i /= live;
    stride *= d->size;
  }
  return offset;
}

static void put(void *to, int64_t i, DType dtype, int real_size, double value) {
  switch (dtype) {
  case I32: ((int32_t *)to)[i] = (int32_t)value; break;
  case U8: ((uint8_t *)to)[i] = (uint8_t)value; break;
  case BOOL: ((bool *)to)[i] = value != 0; break;
  case F64: ((double *)to)[i] = value; break;
  default:
    if (real_size == 8)
      ((double *)to)[i] = value;
    else
      ((float *)to)[i] = (float)value;
  }
}

/* A leaf's block: rows that are not there hold what would be seen at once. */
static void fill(void *to, const Type *t, const double *data, int64_t rows, int real_size) {
  int64_t count = type_count(t), live = live_count(t, rows);
  for (int64_t i = 0; i < count; i++)
    put(to, i, t->dtype, real_size,
        i < live          ? (data ? data[i] : 0)
        : t->dtype == I32 ? 1 << 30
        : t->dtype == U8  ? 255
                          : 1e30);
}

static const double *bound(const Binding *bindings, int n, const char *path) {
  for (int i = 0; i < n; i++)
    if (!strcmp(bindings[i].path, path)) return bindings[i].data;
  return NULL;
}

typedef struct Blocks {
  MtRun run;
  MtScalars scalars;
  int n_fields;
  void **fields;
  size_t *field_bytes;
} Blocks;

static size_t element_size(DType dtype, int real_size) {
  return dtype == F64 ? 8 : dtype == I32 ? 4 : dtype == U8 || dtype == BOOL ? 1 : (size_t)real_size;
}

static size_t state_bytes(const Program *p) {
  int64_t end = 0;
  for (int i = 0; i < p->n_states; i++) {
    int64_t own = p->states[i].offset + type_count(&p->states[i].type);
    if (own > end) end = own;
  }
  return (size_t)(end + 1) * 8;
}

static void fill_blocks(Blocks *b, const Program *p, const Graph *graph, const Binding *bindings, int n, int64_t rows) {
  int size = b->run.real_size;
  for (int i = 0; i < p->n_params; i++)
    fill((char *)b->run.params + p->params[i].offset * size, &p->params[i].type, bound(bindings, n, p->params[i].path),
         rows, size);
  for (int i = 0; i < p->n_states; i++)
    fill((char *)b->run.states + p->states[i].offset * size, &p->states[i].type, bound(bindings, n, p->states[i].path),
         rows, size);
  bool predict = graph == p->predict.graph;
  const Data *data = p->has_train ? &p->data[p->train.data] : NULL;
  const Field *fields = predict ? p->predict.fields : data->fields;
  b->n_fields = predict ? p->predict.n_fields : data->n_fields;
  b->fields = calloc((size_t)b->n_fields + 1, sizeof *b->fields);
  b->field_bytes = calloc((size_t)b->n_fields + 1, sizeof *b->field_bytes);
  for (int i = 0; i < b->n_fields; i++) {
    char path[256];
    snprintf(path, sizeof path, "%s.%s", predict ? p->predict.variable : p->train.variable, fields[i].name);
    b->fields[i] = calloc((size_t)type_count(&fields[i].type) + 1, 8);
    b->field_bytes[i] = (size_t)type_count(&fields[i].type) * element_size(fields[i].type.dtype, size);
    fill(b->fields[i], &fields[i].type, bound(bindings, n, path), rows, size);
  }
}

static Tensor read_output(const Blocks *b, const Output *output, int64_t rows) {
  Tensor t = {.type = output->node->type, .rows = type_rows(&output->node->type) ? rows : 0};
  const void *block = output->role == OUT_GRAD    ? b->run.grads
                      : output->role == OUT_STATE ? b->run.new_states
                                                  : b->run.outputs;
  t.count = live_count(&t.type, rows);
  t.data = calloc((size_t)t.count + 1, sizeof *t.data);
  for (int64_t i = 0; i < t.count; i++) {
    int64_t at = output->node->offset + strided(&t.type, rows, i);
    t.data[i] = b->run.real_size == 8 ? ((const double *)block)[at] : (double)((const float *)block)[at];
  }
  return t;
}

static MtSize size_of(const MtProgram *emitted, MtStep step) {
  const MtTrain *train = emitted->train;
  if (train && (step == train->phases[0].gradients || step == train->phases[0].gradients_f64)) return train->size;
  for (int i = 0; i < emitted->n_evals; i++) {
    if (step == emitted->evals[i].batch) return emitted->evals[i].batch_size;
    if (step == emitted->evals[i].finish) return emitted->evals[i].finish_size;
  }
  return emitted->predict->size;
}

static Blocks begin_call(const Program *program, const Graph *graph, int real_size, const Binding *bindings,
                         int n_bindings, const EvaluateOptions *options) {
  Blocks b = {.scalars = {.seed = options->seed,
                          .step = (int64_t)options->step,
                          .micro = (int64_t)options->micro,
                          .position = (int64_t)options->first_row,
                          .grad_scale = 1,
                          .lr_scale = 1}};
  b.run = (MtRun){.backend = &mt_cpu, .real_size = real_size, .budget = -1};
  b.run.params = calloc((size_t)program->param_elements + 1, 8);
  b.run.grads = calloc((size_t)program->param_elements + 1, 8);
  b.run.states = calloc(state_bytes(program), 1), b.run.new_states = calloc(state_bytes(program), 1);
  memset(b.run.grads, 0xff, (size_t)program->param_elements * 8);
  fill_blocks(&b, program, graph, bindings, n_bindings, options->rows);
  return b;
}

static void end_call(Blocks *b, const Graph *graph, int64_t rows, Tensor *outputs) {
  for (int i = 0; i < graph->n_outputs; i++) outputs[i] = read_output(b, &graph->outputs[i], rows);
  for (int i = 0; i < b->n_fields; i++) free(b->fields[i]);
  free(b->fields), free(b->field_bytes), free(b->run.params), free(b->run.grads), free(b->run.states);
  free(b->run.new_states);
  free(b->run.arena), free(b->run.outputs);
}

void generated_call(const Program *program, const MtProgram *emitted, const Graph *graph, MtStep step, int real_size,
                    const Binding *bindings, int n_bindings, const EvaluateOptions *options, Tensor *outputs) {
  Blocks b = begin_call(program, graph, real_size, bindings, n_bindings, options);
  MtSize size = size_of(emitted, step);
  size_t arena = mt_arena_bytes(size, real_size);
  b.run.program = emitted;
  b.run.scalars = &b.scalars;
  b.run.arena = aligned_alloc(64, (arena + 127) / 64 * 64);
  b.run.outputs = calloc((size_t)size.outputs + 1, 8);
  memset(b.run.arena, 0xff, arena); /* NaN until written */
  memset(b.run.outputs, 0xff, (size_t)size.outputs * 8);
  step(&b.run, (const void *const *)b.fields, options->rows);
  ck_assert_str_eq(b.run.error, "");
  end_call(&b, graph, options->rows, outputs);
}

char *generated_call_emulated(const Generated *set, int i, const Program *program, int real_size, int times,
                              const Binding *bindings, int n_bindings, const EvaluateOptions *options, Tensor *outputs) {
  const Graph *graph = program->train.graph;
  Blocks b = begin_call(program, graph, real_size, bindings, n_bindings, options);
  StepCall call = {.program = i, .real_size = real_size, .rows = options->rows, .scalars = b.scalars};
  call.params = program->param_elements * real_size;
  call.states = (int64_t)state_bytes(program);
  call.n_fields = b.n_fields;
  ck_assert_int_le(b.n_fields, MOST_FIELDS);
  for (int f = 0; f < b.n_fields; f++) call.field[f] = (int64_t)b.field_bytes[f];
  char path[4096];
  snprintf(path, sizeof path, "%s/call", set->folder);
  FILE *file = fopen(path, "wb");
  ck_assert_ptr_nonnull(file);
  fwrite(&call, sizeof call, 1, file);
  fwrite(b.run.params, 1, (size_t)call.params, file);
  fwrite(b.run.states, 1, (size_t)call.states, file);
  for (int f = 0; f < b.n_fields; f++) fwrite(b.fields[f], 1, b.field_bytes[f], file);
  ck_assert_int_eq(fclose(file), 0);
  Shell said = shell("cd %s && OMP_NUM_THREADS=1 ./driver %d <call 2>&1 >results", set->folder, times);
  if (said.status) return said.output;
  free(said.output);
  snprintf(path, sizeof path, "%s/results", set->folder);
  file = fopen(path, "rb");
  ck_assert_ptr_nonnull(file);
  size_t n_outputs = (size_t)1 << 16;
  b.run.outputs = calloc(n_outputs, 8);
  ck_assert_uint_eq(fread(b.run.grads, 1, (size_t)call.params, file), (size_t)call.params);
  ck_assert_uint_eq(fread(b.run.new_states, 1, (size_t)call.states, file), (size_t)call.states);
  ck_assert(fread(b.run.outputs, 1, n_outputs * 8, file) < n_outputs * 8);
  fclose(file);
  end_call(&b, graph, options->rows, outputs);
  return NULL;
}
