/* c_kernel.c - kernels as C functions.
 *
 * Plain loops: the outer axes, and inside them one loop for each pass over the
 * inner ones.  Inner loops are marked `omp simd`; the outermost is run by all
 * threads where there is work enough to pay for waking them.  Where the
 * reduced axes are not the last (a bias gradient sums over rows), rows are
 * added to a vector of columns, and threads share the columns: each sum is
 * made in the same order however many threads there are.
 */
#include <string.h>

#include "codegen/target.h"

enum {
  PAYS = 1 << 18,     /* additions' worth of work for which threads are woken */
  COLUMN_BLOCK = 256, /* columns a thread takes at a time */
  SCATTER_BLOCK = 64,
  LONGEST_LOCAL = 16384 /* elements of a local array */
};

static double work(const Kernel *k) {
  double each = 1;
  for (int i = 0; i < k->n_values; i++)
    if (k->values[i]->kind == VALUE_MAP || k->values[i]->kind == VALUE_RANDOM) each += op_cost(k->values[i]->node);
  return each * (double)type_count(&k->space);
}

static void name_loops(Kernel *k) {
  static const char *const letters[] = {"i", "j", "k", "l", "m", "n", "o", "p"};
  bool row = false;
  for (int l = 0, letter = 0; l < k->n_loops; l++) {
    bool rows = k->loops[l].rows && k->loops[l].n == 1 && !row;
    k->loops[l].name = rows ? "row" : letters[letter++ % 8];
    row |= rows;
  }
}

static const char *loop_head(Writer *w, const Loop *loop) {
  return arena_print(w->arena, "for (int64_t %s = 0; %s < %s; %s++)", loop->name, loop->name, extent_text(w, loop).text,
                     loop->name);
}

/* Put `body` into loops [from, to), whose first stands at w->indent. */
static void write_loops(Writer *w, int from, int to, const char *first_pragma, const char *last_pragma, Text *body) {
  for (int l = to - 1; l >= from; l--) {
    Text outside = {0}, *before = writer_divert(w, &outside, l - from);
    const char *pragma = l == from ? first_pragma : NULL;
    if (l == to - 1 && last_pragma && !pragma) pragma = last_pragma;
    if (pragma) write_line(w, "%s", pragma);
    write_block(w, loop_head(w, &w->k->loops[l]), body);
    writer_divert(w, before, from - l);
    *body = outside;
  }
  if (body->data) text_add_bytes(w->out, body->data, body->length);
  text_free(body);
}

static int first_inner(const Kernel *k) {
  int l = 0;
  while (l < k->n_loops && !k->loops[l].inner) l++;
  return l;
}

/* Loops [0, n) around what `inside` writes, shared by all threads when that pays. */
static void write_outer(Writer *w, int n, bool simd, void (*inside)(Writer *w)) {
  Text body = {0}, *before = writer_divert(w, &body, n);
  inside(w);
  writer_divert(w, before, -n);
  const char *pragma = NULL, *inner = simd ? "#pragma omp simd" : NULL;
  bool pays = n > 0 && work(w->k) >= PAYS && w->k->loops[0].size > 1;
  if (pays)
    pragma = n == 1 && simd                      ? "#pragma omp parallel for simd"
             : n > 2 && w->k->loops[0].size < 64 ? "#pragma omp parallel for collapse(2)"
                                                 : "#pragma omp parallel for";
  else if (n == 1)
    pragma = inner;
  write_loops(w, 0, n, pragma, inner, &body);
}

/* ---- maps ------------------------------------------------------------------- */

static void map_body(Writer *w) { write_section(w, 0); }

/* ---- rows ------------------------------------------------------------------- */

static const char *simd_pragma(Writer *w, int pass) {
  Text list = {0};
  bool sums = true;
  Value *v;
  for (int n = 0; (v = pass_reduction(w->k, pass, n)); n++) {
    sums = sums && v->node->op == OP_sum;
    text_add(&list, "%s%s", n ? ", " : "", value_name(w, v));
  }
  const char *pragma = !sums       ? NULL
                       : list.data ? arena_print(w->arena, "#pragma omp simd reduction(+ : %s)", list.data)
                                   : "#pragma omp simd";
  text_free(&list);
  return pragma;
}

static void declare_reductions(Writer *w, int pass) {
  Value *v;
  for (int n = 0; (v = pass_reduction(w->k, pass, n)); n++) {
    if (reduces_position(v)) {
      write_line(w, "%s %s = %s;", c_type(v->in[0]->dtype), best_name(w, v), reduction_start(v));
      write_line(w, "%s %s = 0;", c_type(v->dtype), value_name(w, v));
    } else {
      write_line(w, "%s %s = %s;", c_type(v->dtype), value_name(w, v), reduction_start(v));
    }
  }
}

static void declare_kept(Writer *w) {
  Kernel *k = w->k;
  Expr size = expr_atom("1");
  for (int l = first_inner(k); l < k->n_loops; l++) {
    Expr more = size_text(w, &k->loops[l]);
    size = strcmp(size.text, "1") ? expr_atom(arena_print(w->arena, "%s * %s", size.text, more.text)) : more;
  }
  for (int i = 0; i < k->n_values; i++)
    if (k->values[i]->kept)
      write_line(w, "%s %s[%s];", c_type(k->values[i]->dtype), value_name(w, k->values[i]), size.text);
}

static const char *inner_index(Writer *w) {
  const Index *at = index_const(w->arena, 0);
  int64_t after = 1;
  for (int l = w->k->n_loops - 1; l >= first_inner(w->k); l--) {
    at = index_add(w->arena, index_mul(w->arena, index_axis(w->arena, l, w->k->loops[l].size), after), at);
    after *= w->k->loops[l].size;
  }
  return index_text(w, at, NULL);
}

static void row_body(Writer *w) {
  Kernel *k = w->k;
  int from = first_inner(k), depth = k->n_loops - from;
  w->row_at = inner_index(w);
  declare_kept(w);
  write_section(w, 0);
  for (int pass = 1; pass <= k->n_passes; pass++) {
    if (!pass_is_empty(k, pass)) {
      declare_reductions(w, pass);
      Text body = {0}, *before = writer_divert(w, &body, depth);
      write_pass(w, pass);
      writer_divert(w, before, -depth);
      const char *pragma = simd_pragma(w, pass);
      write_loops(w, from, k->n_loops, depth == 1 ? pragma : NULL, pragma, &body);
    }
    write_section(w, pass);
  }
}

/* ---- columns ------------------------------------------------------------------ */

/* `statements` for each column of the block. */
static void write_columns(Writer *w, Text *statements, bool simd) {
  const Loop *loop = &w->k->loops[first_inner(w->k) - 1];
  bool blocked = strcmp(w->column_at, loop->name) != 0;
  if (simd) write_line(w, "#pragma omp simd");
  const char *head =
      blocked ? arena_print(w->arena, "for (int64_t %s = first; %s < last; %s++)", loop->name, loop->name, loop->name)
              : loop_head(w, loop);
  write_block(w, head, statements);
}

static void column_section(Writer *w, int section) {
  if (section_is_empty(w->k, section)) return;
  Text body = {0}, *before = writer_divert(w, &body, 1);
  write_section(w, section);
  writer_divert(w, before, -1);
  write_columns(w, &body, true);
}

/* One accumulator, one scalar a column. */
static void declare_columns(Writer *w, const char *size) {
  Kernel *k = w->k;
  for (int i = 0; i < k->n_values; i++) {
    Value *v = k->values[i];
    if (!v->named || v->full) continue;
    bool zero = v->kind == VALUE_REDUCE && (v->node->op == OP_sum || reduces_position(v));
    write_line(w, "%s %s[%s]%s;", c_type(v->dtype), value_name(w, v), size, zero ? " = {0}" : "");
    if (v->kind != VALUE_REDUCE || v->node->op == OP_sum) continue;
    const char *filled = value_name(w, v);
    if (reduces_position(v)) {
      filled = best_name(w, v);
      write_line(w, "%s %s[%s];", c_type(v->in[0]->dtype), filled, size);
    }
    Text body = {0}, *before = writer_divert(w, &body, 1);
    write_line(w, "%s[%s] = %s;", filled, w->column_at, reduction_start(v));
    writer_divert(w, before, -1);
    write_columns(w, &body, false);
  }
}

static bool has_positions(const Kernel *k, int pass) {
  Value *v;
  for (int n = 0; (v = pass_reduction(k, pass, n)); n++)
    if (reduces_position(v)) return true;
  return false;
}

static void column_passes(Writer *w, const char *size) {
  Kernel *k = w->k;
  int from = first_inner(k), depth = k->n_loops - from;
  declare_columns(w, size);
  column_section(w, 0);
  for (int pass = 1; pass <= k->n_passes; pass++) {
    if (!pass_is_empty(k, pass)) {
      Text body = {0}, row = {0}, *before = writer_divert(w, &row, depth);
      Text *outside = writer_divert(w, &body, 1);
      write_pass(w, pass);
      writer_divert(w, outside, -1);
      write_columns(w, &body, !has_positions(k, pass));
      writer_divert(w, before, -depth);
      write_loops(w, from, k->n_loops, NULL, NULL, &row);
    }
    column_section(w, pass);
  }
}

static void column_body(Writer *w) {
  Kernel *k = w->k;
  const Loop *loop = &k->loops[first_inner(k) - 1];
  bool pays = work(k) >= PAYS, blocked = loop->size > LONGEST_LOCAL || (pays && loop->size > COLUMN_BLOCK);
  if (!blocked) {
    w->column_at = loop->name;
    column_passes(w, size_text(w, loop).text);
    return;
  }
  Expr extent = extent_text(w, loop);
  w->column_at = arena_print(w->arena, "%s - first", loop->name);
  if (pays && first_inner(k) == 1) write_line(w, "#pragma omp parallel for");
  Text body = {0}, *before = writer_divert(w, &body, 1);
  if (loop->size % COLUMN_BLOCK == 0 && !loop->rows)
    write_line(w, "const int64_t last = first + %d;", COLUMN_BLOCK);
  else
    write_line(w, "const int64_t last = first + %d < %s ? first + %d : %s;", COLUMN_BLOCK, extent.text, COLUMN_BLOCK,
               extent.text);
  column_passes(w, arena_print(w->arena, "%d", COLUMN_BLOCK));
  writer_divert(w, before, -1);
  write_block(w, arena_print(w->arena, "for (int64_t first = 0; first < %s; first += %d)", extent.text, COLUMN_BLOCK),
              &body);
}

/* ---- the function --------------------------------------------------------------- */

static void c_kernel(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  Text body = {0}, text = {0};
  name_loops(k);
  w->out = &body;
  w->indent = 1;
  bool column = k->column && first_inner(k) > 0;
  if (!kernel_reduces(k))
    write_outer(w, k->n_loops, true, map_body);
  else if (!column)
    write_outer(w, first_inner(k), false, row_body);
  else
    write_outer(w, first_inner(k) - 1, false, column_body);
  w->out = &text;
  w->indent = 0;
  write_signature(w, "static void ");
  text_add_bytes(&text, body.data, body.length);
  text_add(&text, "}\n");
  text_free(&body);
  out->text = text_take(&text, w->arena);
}

/* Rows are added in order; threads share the columns. */
static void scatter_rows(Writer *w, const char *ids, const char *row, bool blocked) {
  const char *out = w->k->pointers[0].name, *in = w->k->pointers[1].name, *id = w->k->pointers[2].name;
  const char *columns = blocked ? "for (int64_t i = first; i < last; i++)"
                                : arena_print(w->arena, "for (int64_t i = 0; i < %s; i++)", row);
  write_line(w, "for (int64_t j = 0; j < %s; j++) {", ids);
  w->indent++;
  write_line(w, "real *to = %s + (int64_t)%s[j] * %s;", out, id, row);
  write_line(w, "#pragma omp simd");
  write_line(w, "%s to[i] += %s[j * %s + i];", columns, in, row);
  w->indent--;
  write_line(w, "}");
}

static void c_scatter(Writer *w, KernelText *out) {
  Kernel *k = w->k;
  const Type layout = scatter_layout(k->pointers[0].type), *to = &layout, *ids = k->pointers[2].type;
  const char *n = axes_text(w, ids, 0, ids->rank).text, *all = axes_text(w, to, 0, to->rank).text;
  Expr row = axes_text(w, to, 1, to->rank);
  int64_t columns = type_count(to) / (to->dim[0].size ? to->dim[0].size : 1);
  bool blocked = columns >= 2 * SCATTER_BLOCK && columns * type_count(ids) >= PAYS;
  Text text = {0};
  w->out = &text;
  write_signature(w, "static void ");
  w->indent = 1;
  write_line(w, "for (int64_t i = 0; i < %s; i++) %s[i] = 0;", all, k->pointers[0].name);
  if (blocked) {
    write_line(w, "#pragma omp parallel for");
    write_line(w, "for (int64_t first = 0; first < %s; first += %d) {", row.text, SCATTER_BLOCK);
    w->indent++;
    write_line(w, "const int64_t last = first + %d < %s ? first + %d : %s;", SCATTER_BLOCK, row.text, SCATTER_BLOCK,
               row.text);
  }
  scatter_rows(w, n, expr_within(w->arena, row, BIND_UNARY), blocked);
  if (blocked) {
    w->indent--;
    write_line(w, "}");
  }
  text_add(&text, "}\n");
  out->text = text_take(&text, w->arena);
}

const Target c_target = {
    .cuda = false,
    .form = {.linear = false, .longest_row = LONGEST_LOCAL, .keep_loads = false, .keep_cost = 6},
    .kernel = c_kernel,
    .scatter = c_scatter,
};
