/* cuda_kernel.c - kernels as CUDA functions.
 *
 * map      one thread an element, or of large ones a run of neighbours, which
 *          wide loads bring (runs.c); of a matmul group, which first computes
 *          the product's element
 * row      one warp a row when rows are short, one block a row when they are
 *          long; each thread takes every 32nd (every n-th) element, or run.
 *          Values that several passes need stay in registers: their loop is
 *          unrolled.
 * column   one block for 32 neighbouring columns; its threads, of one column
 *          or a run each, stride over the rows, then add up over threadIdx.y.
 *          Of many short columns, the windows of a pool, each thread adds up
 *          its own.
 *
 * Every sum is a fixed tree, so two runs give the same bits.
 */
#include <ctype.h>
#include <string.h>

#include "codegen/target.h"

enum {
  MAP_THREADS = 256,
  WARP = 32,
  LONGEST_ROW = 16384,
  SHORT_COLUMN = 64,   /* rows that one thread may add up by itself ... */
  MANY_COLUMNS = 8192, /* ... when there are threads enough */
  UNROLLED = 32,
  MOST_COLUMNS = 24, /* of a lane that adds up rows by index: its registers */
  BUSY_WARPS = 1024, /* keep a GPU busy */
  MANY_BLOCKS = 264, /* so many need not be large: more of them share a multiprocessor */
  BUSY_THREADS = 132 * 1024
};

static const char *int_type(const Kernel *k) { return k->wide ? "int64_t" : "int"; }

static const Loop *outer_loop(const Kernel *k) { return k->n_loops && !k->loops[0].inner ? &k->loops[0] : NULL; }
/* Does the text use the name, as a word of its own? */
static bool mentions(const char *text, const char *name) {
  size_t n = strlen(name);
  for (const char *at = text ? strstr(text, name) : NULL; at; at = strstr(at + 1, name)) {
    bool begins = at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_');
    if (begins && !isalnum((unsigned char)at[n]) && at[n] != '_') return true;
  }
  return false;
}

/* The last loop, or the last but that of a run. */
static int inner_at(const Kernel *k) { return k->n_loops - (k->run > 1 ? 2 : 1); }
static const Loop *inner_loop(const Kernel *k) { return &k->loops[inner_at(k)]; }

static int kept_values(const Kernel *k) {
  int n = 0;
  for (int i = 0; i < k->n_values; i++) n += k->values[i]->kept;
  return n;
}

static const char *extent(Writer *w, const Loop *loop) { return loop ? extent_text(w, loop).text : "1"; }

static const char *block_index(Writer *w, int threads) {
  return arena_print(w->arena, w->k->wide ? "(int64_t)blockIdx.x * %d + threadIdx.x" : "blockIdx.x * %d + threadIdx.x",
                     threads);
}

/* Leave the kernel where there is no element. */
static void write_return(Writer *w, const char *condition) { write_line(w, "if (%s) return;", condition); }

static const char *grid_of(Writer *w, const Loop *loop, int each) {
  if (!loop) return "1";
  return each == 1 ? extent(w, loop) : arena_print(w->arena, "mt_blocks(%s, %d)", extent(w, loop), each);
}

/* ---- maps -------------------------------------------------------------------- */

static void write_map(Writer *w, KernelText *out) {
  Loop *loop = w->k->n_loops ? &w->k->loops[0] : NULL;
  int threads = loop ? MAP_THREADS : 1;
  if (loop) {
    loop->name = "i";
    write_line(w, "const %s i = %s;", int_type(w->k), block_index(w, threads));
    if (loop->rows || loop->size % MAP_THREADS) write_return(w, arena_print(w->arena, "i >= %s", extent(w, loop)));
    const char *condition = rows_condition(w, loop);
    if (condition) write_return(w, arena_print(w->arena, "!(%s)", condition));
  }
  write_section(w, 0);
  out->grid = grid_of(w, loop, threads);
  out->block = arena_print(w->arena, "%d", threads);
}

/* ---- runs ------------------------------------------------------------------------ */

static const char *pack_name(Writer *w, const Pointer *p, int n) {
  return w->canonical ? arena_print(w->arena, "pack%d", n)
                      : names_take(w->names, arena_print(w->arena, "%s_pack", p->name));
}

static void name_packs(Writer *w) {
  Kernel *k = w->k;
  int n = 0;
  for (int i = 0; i < k->n_values; i++)
    if (k->values[i]->packed) k->values[i]->pack = pack_name(w, &k->pointers[k->values[i]->pointer], n++);
  for (int i = 0; i < k->n_stores; i++)
    if (k->stores[i].packed) k->stores[i].pack = pack_name(w, &k->pointers[k->stores[i].pointer], n++);
}

static const char *pack_at(Writer *w, const Pointer *p, const Index *index) {
  Expr at = index_expr(w, index_of_run(w->k, index), p->type);
  if (!strcmp(at.text, "0")) return p->name;
  return arena_print(w->arena, "%s + %s", p->name, expr_within(w->arena, at, BIND_ADD));
}

static void load_pack(Writer *w, const Value *v) {
  const Pointer *p = &w->k->pointers[v->pointer];
  const char *condition = guard_text(w, v->guard), *at = pack_at(w, p, v->index);
  int run = w->k->run;
  if (condition)
    write_line(w, "const auto %s = %s ? mt_load<%d>(%s) : MtPack<%s, %d>{};", v->pack, condition, run, at,
               c_storage(v->dtype), run);
  else
    write_line(w, "const auto %s = mt_load<%d>(%s);", v->pack, run, at);
}

static void load_packs(Writer *w, const char *statements) {
  for (int i = 0; i < w->k->n_values; i++) {
    const Value *v = w->k->values[i];
    if (v->packed && mentions(statements, v->pack)) load_pack(w, v);
  }
}

/* A pass over one run.  All of it is read before anything is written: an array may be both. */
static void write_run(Writer *w, int pass) {
  Kernel *k = w->k;
  Text body = {0}, *before = writer_divert(w, &body, 1);
  if (overhangs(k)) write_line(w, "if (first + t >= %s) continue;", extent(w, &k->loops[k->by_runs]));
  write_pass(w, pass);
  writer_divert(w, before, -1);
  load_packs(w, body.data);
  for (int i = 0; i < k->n_stores; i++) {
    const Store *s = &k->stores[i];
    if (s->packed && s->stage == pass)
      write_line(w, "MtPack<%s, %d> %s;", c_storage(k->pointers[s->pointer].type->dtype), k->run, s->pack);
  }
  write_line(w, "#pragma unroll");
  write_block(w, arena_print(w->arena, "for (int t = 0; t < %d; t++)", k->run), &body);
  for (int i = 0; i < k->n_stores; i++) {
    const Store *s = &k->stores[i];
    if (s->packed && s->stage == pass)
      write_line(w, "mt_store(%s, %s);", pack_at(w, &k->pointers[s->pointer], s->index), s->pack);
  }
}

static void write_map_in_runs(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  Loop *loop = &k->loops[0];
  int each = MAP_THREADS * k->run;
  loop->name = "first", k->loops[1].name = "t";
  name_packs(w);
  write_line(w, "const %s first = (%s) * %d;", int_type(k), block_index(w, MAP_THREADS), k->run);
  if (loop->rows || loop->size % each) write_return(w, arena_print(w->arena, "first >= %s", extent(w, loop)));
  const char *condition = rows_condition(w, loop);
  if (condition) write_return(w, arena_print(w->arena, "!(%s)", condition));
  write_section(w, 0);
  write_run(w, 1);
  out->grid = grid_of(w, loop, each);
  out->block = arena_print(w->arena, "%d", MAP_THREADS);
}

/* ---- maps of a product ----------------------------------------------------------- */

/* One thread an element, in tiles of 16 by 16: mt_product has them work together. */
static void write_product(Writer *w, KernelText *out) {
  static const char *const transposes[] = {"MT_NN", "MT_NT", "MT_TN", "MT_TT"};
  Kernel *k = w->k;
  const Node *node = k->product->node;
  const Type *a = &node->in[0]->type;
  int inner = node->attrs.ta ? 0 : 1;
  k->loops[0].name = "row", k->loops[1].name = "column";
  const char *m = extent(w, &k->loops[0]), *n = extent(w, &k->loops[1]);
  write_line(w, "const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;");
  write_line(w, "const real %s = mt_product<%s>(%s, %s, %s, %s, %s);", value_name(w, k->product),
             transposes[2 * node->attrs.ta + node->attrs.tb], k->pointers[k->product_in[0]].name,
             k->pointers[k->product_in[1]].name, m, n, axes_text(w, a, inner, inner + 1).text);
  bool past[2];
  for (int l = 0; l < 2; l++) past[l] = k->loops[l].rows || k->loops[l].size % 16;
  if (past[0] && past[1]) write_return(w, arena_print(w->arena, "row >= %s || column >= %s", m, n));
  else if (past[0] || past[1])
    write_return(w, arena_print(w->arena, "%s >= %s", past[0] ? "row" : "column", past[0] ? m : n));
  write_section(w, 0);
  out->grid = arena_print(w->arena, "dim3(%s, %s)", grid_of(w, &k->loops[1], 16), grid_of(w, &k->loops[0], 16));
  out->block = "dim3(16, 16)";
}

/* ---- reductions ------------------------------------------------------------------ */

static void declare_reductions(Writer *w, int pass) {
  Value *v;
  for (int n = 0; (v = pass_reduction(w->k, pass, n)); n++) {
    if (reduces_position(v)) {
      write_line(w, "%s %s = %s;", c_type(v->in[0]->dtype), best_name(w, v), reduction_start(v));
      write_line(w, "%s %s = 0;", w->k->wide ? "int64_t" : "int", value_name(w, v));
    } else {
      write_line(w, "%s %s = %s;", c_type(v->dtype), value_name(w, v), reduction_start(v));
    }
  }
}

/* `across`: "warp", "block" or "column": whose threads hold the parts. */
static void combine_reductions(Writer *w, int pass, const char *across) {
  Value *v;
  for (int n = 0; (v = pass_reduction(w->k, pass, n)); n++) {
    const char *op = op_info[v->node->op].name, *name = value_name(w, v);
    if (reduces_position(v))
      write_line(w, "%s_%s(%s, %s);", across, op, best_name(w, v), name);
    else
      write_line(w, "%s = %s_%s(%s);", name, across, op, name);
  }
}

/* ---- rows ------------------------------------------------------------------------ */

typedef struct RowShape {
  int threads; /* that share a row */
  int items;   /* elements each, when values are kept */
  bool warp;
  bool exact; /* every thread has an element every time */
} RowShape;

/* Few values kept: few threads with many elements each, so that several blocks
 * share a multiprocessor and one loads while another adds up.  Many: more
 * threads, or registers run out.  (Measured on an H100, rows of 4096.) */
static RowShape row_shape(const Kernel *k) {
  int64_t n = kernel_inner(k), rows = kernel_outer(k);
  int most = kept_values(k) <= 4 ? 16 : 4; /* elements a thread */
  RowShape s = {.warp = n <= 256 || (n <= 1024 && rows >= 4096), .threads = WARP};
  if (!s.warp)
    for (s.threads = 128; s.threads < 1024 && (int64_t)s.threads * most < n;) s.threads *= 2;
  s.items = (int)((n + s.threads - 1) / s.threads);
  s.exact = n % s.threads == 0 && !inner_loop(k)->rows;
  return s;
}

static void declare_kept(Writer *w, int items) {
  Kernel *k = w->k;
  for (int i = 0; i < k->n_values; i++)
    if (k->values[i]->kept)
      write_line(w, items > 1 ? "%s %s[%d];" : "%s %s = 0;", c_type(k->values[i]->dtype), value_name(w, k->values[i]),
                 items);
}

/* In runs: a thread takes every 32nd run, or n-th. */
static void write_row_pass_in_runs(Writer *w, int pass, RowShape s, const char *thread) {
  Kernel *k = w->k;
  bool kept = kept_values(k);
  const char *type = int_type(k), *first = arena_print(w->arena, "%s * %d", thread, k->run);
  Text body = {0}, *before = writer_divert(w, &body, 1);
  write_run(w, pass);
  writer_divert(w, before, -1);
  if (!kept) {
    const char *n = extent(w, inner_loop(k));
    write_block(w,
                arena_print(w->arena, "for (%s first = %s; first < %s; first += %d)", type, first, n,
                            s.threads * k->run),
                &body);
    return;
  }
  write_line(w, "#pragma unroll");
  const char *head = arena_print(w->arena, "for (int s = 0; s < %d; s++)", s.items / k->run);
  Text all = {0};
  writer_divert(w, &all, 1);
  if (mentions(body.data, "first"))
    write_line(w, "const %s first = (%s + s * %d) * %d;", type, thread, s.threads, k->run);
  writer_divert(w, before, -1);
  text_add_bytes(&all, body.data, body.length);
  text_free(&body);
  write_block(w, head, &all);
}

static void write_row_pass(Writer *w, int pass, RowShape s, const char *thread) {
  const Loop *loop = inner_loop(w->k);
  const char *condition = rows_condition(w, loop), *type = int_type(w->k), *i = loop->name;
  if (!kept_values(w->k)) {
    Text body = {0}, *before = writer_divert(w, &body, 1);
    if (condition) write_line(w, "if (!(%s)) continue;", condition);
    write_pass(w, pass);
    writer_divert(w, before, -1);
    write_block(
        w,
        arena_print(w->arena, "for (%s %s = %s; %s < %s; %s += %d)", type, i, thread, i, extent(w, loop), i, s.threads),
        &body);
    return;
  }
  Text body = {0}, *before = writer_divert(w, &body, s.items > 1);
  if (s.exact && !condition) {
    Text plain = {0}, *outside = writer_divert(w, &plain, 0);
    write_pass(w, pass);
    writer_divert(w, outside, 0);
    if (s.items > 1 && mentions(plain.data, i)) write_line(w, "const %s %s = %s + t * %d;", type, i, thread, s.threads);
    if (plain.data) text_add_bytes(w->out, plain.data, plain.length);
    text_free(&plain);
  } else {
    if (s.items > 1) write_line(w, "const %s %s = %s + t * %d;", type, i, thread, s.threads);
    const char *inside =
        arena_print(w->arena, "%s < %s%s%s", i, extent(w, loop), condition ? " && " : "", condition ? condition : "");
    Text guarded = {0}, *outside = writer_divert(w, &guarded, 1);
    write_pass(w, pass);
    writer_divert(w, outside, -1);
    write_block(w, arena_print(w->arena, "if (%s)", inside), &guarded);
  }
  writer_divert(w, before, -(s.items > 1));
  if (s.items > 1) {
    write_line(w, "#pragma unroll");
    write_block(w, arena_print(w->arena, "for (int t = 0; t < %d; t++)", s.items), &body);
  } else {
    text_add_bytes(w->out, body.data, body.length);
    text_free(&body);
  }
}

/* Which row, and which thread of it. */
static const char *write_row_start(Writer *w, RowShape s, Loop *outer, KernelText *out) {
  int rows = !s.warp ? 1 : outer ? 4 : 1; /* a block */
  const char *thread = "threadIdx.x";
  if (s.warp && outer) {
    const char *at = w->k->wide ? "(int64_t)blockIdx.x * 4 + threadIdx.x / 32" : "blockIdx.x * 4 + threadIdx.x / 32";
    write_line(w, "const %s row = %s, lane = threadIdx.x %% 32;", int_type(w->k), at);
    if (outer->rows || outer->size % rows) write_return(w, arena_print(w->arena, "row >= %s", extent(w, outer)));
    thread = "lane";
  } else if (outer) {
    write_line(w, "const %s row = blockIdx.x;", int_type(w->k));
  }
  const char *condition = outer ? rows_condition(w, outer) : NULL;
  if (condition) write_return(w, arena_print(w->arena, "!(%s)", condition));
  out->grid = grid_of(w, outer, rows);
  w->block_threads = rows * s.threads;
  out->block = arena_print(w->arena, "%d", w->block_threads);
  return thread;
}

static void write_rows(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  Loop *outer = outer_loop(k) ? &k->loops[0] : NULL;
  bool runs = k->run > 1;
  if (outer) outer->name = "row";
  k->loops[inner_at(k)].name = runs ? "first" : "i";
  if (runs) k->loops[k->n_loops - 1].name = "t", name_packs(w);
  RowShape s = row_shape(k);
  w->row_at = runs ? arena_print(w->arena, "s * %d + t", k->run) : s.items > 1 ? "t" : NULL;
  w->flat = s.items == 1 && kept_values(k);
  const char *thread = write_row_start(w, s, outer, out);
  if (w->flat) write_line(w, "const %s i = %s;", int_type(k), thread);
  w->store_if = arena_print(w->arena, "%s == 0", thread);
  declare_kept(w, s.items);
  write_section(w, 0);
  for (int pass = 1; pass <= k->n_passes; pass++) {
    if (!pass_is_empty(k, pass)) {
      declare_reductions(w, pass);
      (runs ? write_row_pass_in_runs : write_row_pass)(w, pass, s, thread);
      combine_reductions(w, pass, s.warp ? "warp" : "block");
    }
    write_section(w, pass);
  }
}

/* ---- columns --------------------------------------------------------------------- */

static int column_height(const Kernel *k) { return kernel_inner(k) <= 64 ? 8 : kernel_inner(k) <= 512 ? 16 : 32; }

static void write_column_pass(Writer *w, int pass, int height) {
  const Loop *loop = inner_loop(w->k);
  const char *condition = rows_condition(w, loop), *i = loop->name;
  Text body = {0}, *before = writer_divert(w, &body, 1);
  if (condition) write_line(w, "if (!(%s)) continue;", condition);
  (w->k->run > 1 ? write_run : write_pass)(w, pass);
  writer_divert(w, before, -1);
  write_block(w,
              arena_print(w->arena, "for (%s %s = threadIdx.y; %s < %s; %s += %d)", int_type(w->k), i, i,
                          extent(w, loop), i, height),
              &body);
}

/* A section, for each column of the run. */
static void write_column_stores(Writer *w, int section, const char *mine) {
  if (section_is_empty(w->k, section)) return;
  Text loop = {0}, body = {0}, *before = writer_divert(w, &body, 2);
  write_section(w, section);
  writer_divert(w, &loop, -1);
  load_packs(w, body.data);
  write_line(w, "#pragma unroll");
  write_block(w, arena_print(w->arena, "for (int t = 0; t < %d; t++)", w->k->run), &body);
  writer_divert(w, before, -1);
  write_block(w, arena_print(w->arena, "if (%s)", mine), &loop);
}

/* Threads side by side have as many columns as 32 that have one each, and the rows have the other threads. */
static void write_columns_in_runs(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  Loop *outer = &k->loops[0];
  int run = k->run, width = WARP / run, height = column_height(k) * run;
  if (height * width > MAP_THREADS && outer->size / WARP >= MANY_BLOCKS) height /= 2;
  const char *at = arena_print(w->arena, k->wide ? "((int64_t)blockIdx.x * %d + threadIdx.x) * %d"
                                                 : "(blockIdx.x * %d + threadIdx.x) * %d", width, run);
  const char *condition = rows_condition(w, outer);
  outer->name = "first", k->loops[1].name = "row", k->loops[2].name = "t";
  name_packs(w);
  const char *mine = "threadIdx.y == 0";
  if (outer->size % WARP == 0 && !outer->rows) {
    write_line(w, "const %s first = %s;", int_type(k), at);
  } else {
    Expr n = extent_text(w, outer);
    write_line(w, "const %s own = %s, first = own < %s ? own : %s - %d;", int_type(k), at, n.text, n.text, run);
    mine = "threadIdx.y == 0 && own == first";
  }
  if (condition) mine = arena_print(w->arena, "%s && %s", mine, condition);
  w->column_at = "t";
  write_column_stores(w, 0, mine);
  for (int pass = 1; pass <= k->n_passes; pass++) {
    Value *v;
    for (int n = 0; (v = pass_reduction(k, pass, n)); n++)
      write_line(w, "MtPack<%s, %d> %s = {};", c_type(v->dtype), run, value_name(w, v));
    write_column_pass(w, pass, height);
    combine_reductions(w, pass, "column");
    write_column_stores(w, pass, mine);
  }
  out->grid = grid_of(w, outer, WARP);
  w->block_threads = width * height;
  out->block = arena_print(w->arena, "dim3(%d, %d)", width, height);
}

static void write_columns(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  Loop *outer = &k->loops[0], *inner = &k->loops[k->n_loops - 1];
  outer->name = "column";
  inner->name = "row";
  int height = column_height(k);
  const char *at = k->wide ? "(int64_t)blockIdx.x * 32 + threadIdx.x" : "blockIdx.x * 32 + threadIdx.x",
             *type = int_type(k);
  const char *condition = rows_condition(w, outer);
  bool exact = outer->size % WARP == 0 && !outer->rows;
  w->store_if = "threadIdx.y == 0";
  if (exact) {
    write_line(w, "const %s column = %s;", type, at);
  } else { /* threads past the end work on the last column and store nothing */
    Expr n = extent_text(w, outer);
    write_line(w, "const %s own = %s, column = own < %s ? own : %s - 1;", type, at, n.text, n.text);
    w->store_if = "threadIdx.y == 0 && own == column";
  }
  if (condition) w->store_if = arena_print(w->arena, "%s && %s", w->store_if, condition);
  write_section(w, 0);
  for (int pass = 1; pass <= k->n_passes; pass++) {
    if (!pass_is_empty(k, pass)) {
      declare_reductions(w, pass);
      write_column_pass(w, pass, height);
      combine_reductions(w, pass, "column");
    }
    write_section(w, pass);
  }
  out->grid = grid_of(w, outer, WARP);
  w->block_threads = 32 * height;
  out->block = arena_print(w->arena, "dim3(32, %d)", height);
}

static bool has_short_columns(const Kernel *k) {
  return kernel_inner(k) <= SHORT_COLUMN && kernel_outer(k) >= MANY_COLUMNS;
}

static void write_short_pass(Writer *w, int pass) {
  const Loop *loop = inner_loop(w->k);
  const char *condition = rows_condition(w, loop), *i = loop->name;
  Text body = {0}, *before = writer_divert(w, &body, 1);
  if (condition) write_line(w, "if (!(%s)) continue;", condition);
  write_pass(w, pass);
  writer_divert(w, before, -1);
  if (loop->size <= UNROLLED && !loop->rows && !condition) write_line(w, "#pragma unroll");
  const char *type = int_type(w->k);
  write_block(w, arena_print(w->arena, "for (%s %s = 0; %s < %s; %s++)", type, i, i, extent(w, loop), i), &body);
}

static void write_short_columns(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  Loop *outer = &k->loops[0], *inner = &k->loops[k->n_loops - 1];
  outer->name = "column";
  inner->name = "row";
  const char *condition = rows_condition(w, outer);
  write_line(w, "const %s column = %s;", int_type(k), block_index(w, MAP_THREADS));
  if (outer->rows || outer->size % MAP_THREADS) write_return(w, arena_print(w->arena, "column >= %s", extent(w, outer)));
  if (condition) write_return(w, arena_print(w->arena, "!(%s)", condition));
  write_section(w, 0);
  for (int pass = 1; pass <= k->n_passes; pass++) {
    if (!pass_is_empty(k, pass)) {
      declare_reductions(w, pass);
      write_short_pass(w, pass);
    }
    write_section(w, pass);
  }
  out->grid = grid_of(w, outer, MAP_THREADS);
  w->block_threads = MAP_THREADS;
  out->block = arena_print(w->arena, "%d", MAP_THREADS);
}

/* ---- the function ------------------------------------------------------------------ */

static void cuda_kernel(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  Text body = {0}, text = {0};
  w->out = &body;
  w->indent = 1;
  if (k->product)
    write_product(w, out);
  else if (!kernel_reduces(k) && k->run > 1)
    write_map_in_runs(w, out);
  else if (!kernel_reduces(k))
    write_map(w, out);
  else if (k->column && outer_loop(k) && has_short_columns(k))
    write_short_columns(w, out);
  else if (k->column && outer_loop(k) && k->run > 1)
    write_columns_in_runs(w, out);
  else if (k->column && outer_loop(k))
    write_columns(w, out);
  else
    write_rows(w, out);
  w->out = &text;
  w->indent = 0;
  /* Threads a block: the compiler must leave registers for all of them. */
  const char *bounds =
      w->block_threads > MAP_THREADS ? arena_print(w->arena, "__launch_bounds__(%d) ", w->block_threads) : "";
  write_signature(w, arena_print(w->arena, "static __global__ void %s", bounds));
  text_add_bytes(&text, body.data, body.length);
  text_add(&text, "}\n");
  text_free(&body);
  out->text = text_take(&text, w->arena);
}

/* Columns that a lane of mt_scatter_add takes: as many as there are, but that warps enough are left. */
static int scatter_columns(int64_t rows, int64_t width) {
  int64_t each = (width + WARP - 1) / WARP;
  if (each > MOST_COLUMNS) each = MOST_COLUMNS;
  while (each > 1 && rows * ((width + WARP * each - 1) / (WARP * each)) < BUSY_WARPS) each = (each + 1) / 2;
  return each < 1 ? 1 : (int)each;
}

static void cuda_scatter(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  const Type layout = scatter_layout(k->pointers[0].type), *to = &layout, *ids = k->pointers[2].type;
  Expr rows = axes_text(w, to, 0, 1), width = axes_text(w, to, 1, to->rank), n = axes_text(w, ids, 0, ids->rank);
  int64_t row = 1;
  for (int axis = 1; axis < to->rank; axis++) row *= to->dim[axis].size;
  int each = scatter_columns(to->dim[0].size, row);
  Text text = {0};
  w->out = &text;
  write_signature(w, "static __global__ void ");
  w->indent = 1;
  write_line(w, "mt_scatter_add<%d>(%s, %s, %s, %s, %s, %s);", each, k->pointers[0].name, k->pointers[1].name,
             k->pointers[2].name, n.text, rows.text, width.text);
  text_add(&text, "}\n");
  out->text = text_take(&text, w->arena);
  out->grid = arena_print(w->arena, "dim3(mt_blocks(%s, 8), mt_blocks(%s, %d))", rows.text, width.text, WARP * each);
  out->block = "256";
}

static int longest_run(const Kernel *k, const KernelForm *form) {
  if (!kernel_reduces(k)) return run_of_map(k, form);
  if (k->column && outer_loop(k)) return has_short_columns(k) ? 1 : run_of_columns(k, form);
  return run_of_rows(k, row_shape(k).threads, kept_values(k) > 0);
}

const Target cuda_target = {
    .cuda = true,
    .form = {.linear = true,
             .longest_row = LONGEST_ROW,
             .keep_loads = true,
             .keep_cost = 4,
             .run = longest_run,
             .busy_threads = BUSY_THREADS},
    .kernel = cuda_kernel,
    .scatter = cuda_scatter,
};
