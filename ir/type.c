/* type.c - dtypes, dims and shapes.
 *
 * A dim knows its size and, where the model names it, its symbol.  Two dims
 * with one name are the same by the symbol's address, so that two modules'
 * `i` stay apart.  A dim that scales with the batch also knows the capacity:
 * it only ever equals a dim of the same capacity, since at run time there may
 * be fewer rows.
 */
#include <string.h>

#include "ir/ir.h"

static const struct {
  const char *name;
  size_t size;
  bool is_float;
} dtypes[DTYPE_COUNT] = {
    [F32] = {"f32", 4, true},  [F64] = {"f64", 8, true}, [BF16] = {"bf16", 2, true},
    [I32] = {"i32", 4, false}, [U8] = {"u8", 1, false},  [BOOL] = {"bool", 1, false},
};

const char *dtype_name(DType t) { return dtypes[t].name; }
size_t dtype_size(DType t) { return dtypes[t].size; }
bool dtype_is_float(DType t) { return dtypes[t].is_float; }

bool dtype_find(const char *name, DType *out) {
  for (int t = 0; t < DTYPE_COUNT; t++)
    if (!strcmp(name, dtypes[t].name)) return *out = (DType)t, true;
  return false;
}

/* PyTorch's table for these six: bool below integers below floats; within a class the wider one. */
DType dtype_promote(DType a, DType b) {
  static const int rank[DTYPE_COUNT] = {[BOOL] = 0, [U8] = 1, [I32] = 2, [BF16] = 3, [F32] = 4, [F64] = 5};
  return rank[a] >= rank[b] ? a : b;
}

Dim dim_literal(int64_t size) { return (Dim){.size = size}; }

Dim dim_symbol(const Symbol *symbol) {
  return (Dim){.size = symbol->size, .symbol = symbol, .rows = symbol->rows ? symbol : NULL};
}

bool dim_same(Dim a, Dim b, bool strict) {
  if (a.size != b.size || a.rows != b.rows) return false;
  return !strict || !a.symbol || !b.symbol || a.symbol == b.symbol;
}

Type type_scalar(DType dtype) { return (Type){.dtype = dtype}; }

Type type_shape(DType dtype, int rank, const Dim *dim) {
  Type t = {.dtype = dtype, .rank = rank};
  for (int i = 0; i < rank; i++) t.dim[i] = dim[i];
  return t;
}

bool type_same_shape(const Type *a, const Type *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (!dim_same(a->dim[i], b->dim[i], false)) return false;
  return true;
}

/* A product too large for 64 bits stays at the largest number, so that a comparison with any limit finds it. */
static int64_t times(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

int64_t type_count(const Type *t) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i].size == 0) return 0;
  for (int i = 0; i < t->rank; i++) count = times(count, t->dim[i].size);
  return count;
}

int64_t type_bytes(const Type *t) { return times(type_count(t), (int64_t)dtype_size(t->dtype)); }

/* Strides go by capacity: only a batch that is outermost of what is merged stays where it is. */
bool type_merge_leading(Arena *arena, const Type *t, int tail, Type *out) {
  Dim all = t->dim[0];
  const char *text = all.symbol ? all.symbol->name : all.text;
  for (int i = 1; i < t->rank - tail; i++) {
    const Dim *d = &t->dim[i];
    if (d->rows) return false;
    const char *name = d->symbol ? d->symbol->name : d->text;
    all = (Dim){.size = all.size * d->size, .rows = all.rows};
    if (text)
      text =
          name ? arena_print(arena, "%s * %s", text, name) : arena_print(arena, "%s * %lld", text, (long long)d->size);
    all.text = text;
  }
  *out = (Type){.dtype = t->dtype, .rank = 1 + tail, .dim = {all}};
  for (int i = 0; i < tail; i++) out->dim[1 + i] = t->dim[t->rank - tail + i];
  return true;
}

const Symbol *type_rows(const Type *t) {
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i].rows) return t->dim[i].rows;
  return NULL;
}

static void dim_print(Text *out, const Dim *d, bool sizes) {
  if (!d->symbol && !d->text) {
    text_add(out, "%lld", (long long)d->size);
    return;
  }
  for (const char *c = d->symbol ? d->symbol->name : d->text; *c; c++)
    if (*c != ' ') text_add(out, "%c", *c);
  if (sizes) text_add(out, "%s%lld", d->rows ? "<=" : "=", (long long)d->size);
}

void type_print(Text *out, const Type *t, bool sizes) {
  text_add(out, "%s[", dtype_name(t->dtype));
  for (int i = 0; i < t->rank; i++) {
    if (i) text_add(out, ", ");
    dim_print(out, &t->dim[i], sizes);
  }
  text_add(out, "]");
}
