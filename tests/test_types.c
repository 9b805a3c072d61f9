/* test_types.c - dtypes, dims, and the result type or message of every op.
 *
 * Types are written as in messages: `f32[B, 3*D]`, with the names below.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

static Symbol symbols[] = {{.name = "B", .size = 64, .rows = true},
                           {.name = "B2", .size = 64, .rows = true},
                           {.name = "H", .size = 128},
                           {.name = "P", .size = 64},
                           {.name = "Q", .size = 64},
                           {.name = "D", .size = 16},
                           {.name = "T", .size = 8},
                           {.name = "U", .size = 1},
                           {.name = "Z", .size = 0}};
enum { N_SYMBOLS = sizeof symbols / sizeof *symbols };

static const Symbol *symbol_named(const char *name, size_t length) {
  for (int i = 0; i < N_SYMBOLS; i++)
    if (strlen(symbols[i].name) == length && !strncmp(symbols[i].name, name, length)) return &symbols[i];
  ck_abort_msg("no symbol %.*s", (int)length, name);
  return NULL;
}

static Arena *arena;
static void set_up(void) { arena = arena_new(); }
static void tear_down(void) { arena_free(arena); }

/* "B", "3", "B*T", "3*D": one axis. */
static Dim dim_of(const char *text, size_t length) {
  const char *star = memchr(text, '*', length);
  if (!star) {
    if (text[0] >= '0' && text[0] <= '9') return dim_literal(atoll(text));
    return dim_symbol(symbol_named(text, length));
  }
  Dim a = dim_of(text, (size_t)(star - text)), b = dim_of(star + 1, length - (size_t)(star + 1 - text));
  return (Dim){.size = a.size * b.size, .text = arena_copy(arena, text, length), .rows = a.rows ? a.rows : b.rows};
}

static Type type_of(const char *text) {
  Type t = {0};
  const char *open = strchr(text, '[');
  ck_assert(dtype_find(arena_copy(arena, text, (size_t)(open - text)), &t.dtype));
  for (const char *c = open + 1; *c && *c != ']';) {
    size_t length = strcspn(c, ",]");
    t.dim[t.rank++] = dim_of(c, length);
    c += length + (c[length] == ',');
    c += *c == ' ';
  }
  return t;
}

static const char *text_of(const Type *t) {
  Text out = {0};
  type_print(&out, t, false);
  return text_take(&out, arena);
}

/* ---- types ---- */

START_TEST(prints_types) {
  static const char *const rows[][2] = {{"f32[B, 3*D]", "f32[B<=64, 3*D=48]"},
                                        {"i32[]", "i32[]"},
                                        {"bool[H, 2]", "bool[H=128, 2]"},
                                        {"bf16[B*T, 1]", "bf16[B*T<=512, 1]"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Type t = type_of(rows[i][0]);
    Text out = {0};
    type_print(&out, &t, true);
    ck_assert_str_eq(out.data, rows[i][1]);
    text_free(&out);
    ck_assert_str_eq(text_of(&t), rows[i][0]);
  }
  Type spaced = {.dtype = F32, .rank = 1, .dim = {{.size = 48, .text = "3 * D"}}};
  ck_assert_str_eq(text_of(&spaced), "f32[3*D]");
}
END_TEST

START_TEST(counts_elements) {
  static const struct {
    const char *type;
    int64_t count, bytes;
  } rows[] = {
      {"f32[]", 1, 4},
      {"f64[H, 2]", 256, 2048},
      {"bf16[B*T, 3]", 1536, 3072},
      {"u8[Z, 4611686018427387904, 8]", 0, 0},
      {"f32[4611686018427387904, 8]", INT64_MAX, INT64_MAX},
      {"f64[2305843009213693952]", (int64_t)1 << 61, INT64_MAX},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Type t = type_of(rows[i].type);
    ck_assert_int_eq(type_count(&t), rows[i].count);
    ck_assert_int_eq(type_bytes(&t), rows[i].bytes);
  }
  Type batch = type_of("f32[H, B*T]"), fixed = type_of("f32[H]");
  ck_assert_ptr_eq(type_rows(&batch), &symbols[0]);
  ck_assert_ptr_null(type_rows(&fixed));
}
END_TEST

/* PyTorch's table for f32 f64 bf16 i32 u8 bool, row by column. */
START_TEST(promotes_as_pytorch) {
  static const DType want[DTYPE_COUNT][DTYPE_COUNT] = {
      {F32, F64, F32, F32, F32, F32},  {F64, F64, F64, F64, F64, F64}, {F32, F64, BF16, BF16, BF16, BF16},
      {F32, F64, BF16, I32, I32, I32}, {F32, F64, BF16, I32, U8, U8},  {F32, F64, BF16, I32, U8, BOOL},
  };
  for (int a = 0; a < DTYPE_COUNT; a++)
    for (int b = 0; b < DTYPE_COUNT; b++) ck_assert_int_eq(dtype_promote((DType)a, (DType)b), want[a][b]);
  DType found;
  ck_assert(!dtype_find("f16", &found));
}
END_TEST

START_TEST(dims_match) {
  static const struct {
    const char *a, *b;
    bool strict, loose;
  } rows[] = {
      {"H", "H", true, true},     {"P", "Q", false, true},      {"P", "64", true, true},
      {"P", "4*D", true, true},   {"H", "P", false, false},     {"B", "B", true, true},
      {"B", "64", false, false},  {"B", "P", false, false},     {"B", "B2", false, false},
      {"B*T", "B*T", true, true}, {"B*T", "512", false, false}, {"B*T", "B2*T", false, false},
      {"B*T", "B*8", true, true}, {"B*T", "B", false, false},   {"U", "1", true, true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Dim a = dim_of(rows[i].a, strlen(rows[i].a)), b = dim_of(rows[i].b, strlen(rows[i].b));
    ck_assert_msg(dim_same(a, b, true) == rows[i].strict && dim_same(b, a, true) == rows[i].strict,
                  "%s and %s, strictly", rows[i].a, rows[i].b);
    ck_assert_msg(dim_same(a, b, false) == rows[i].loose && dim_same(b, a, false) == rows[i].loose,
                  "%s and %s, by size", rows[i].a, rows[i].b);
  }
}
END_TEST

/* ---- ops without attributes ---- */

typedef struct Row {
  Op op;
  const char *in[3];
  const char *result; /* the type, or `kind: message` */
  bool loose;         /* ask by size; otherwise strictly */
} Row;

static const Row rows[] = {
    /* broadcasting */
    {OP_add, {"f32[B, H]", "f32[H]"}, "f32[B, H]", false},
    {OP_add, {"f32[]", "f32[B, H]"}, "f32[B, H]", false},
    {OP_add, {"f32[B, 1]", "f32[1, H]"}, "f32[B, H]", false},
    {OP_add, {"f32[B, 64]", "f32[P]"}, "f32[B, P]", false},
    {OP_add, {"f32[4*D]", "f32[P]"}, "f32[P]", false},
    {OP_add, {"f32[4*D]", "f32[64]"}, "f32[4*D]", false},
    {OP_add,
     {"f32[B, H]", "f32[B]"},
     "broadcast: shapes [B, H] and [B] do not fit: H (128) and B (<=64) differ",
     false},
    {OP_add,
     {"f32[B, H]", "f32[64, H]"},
     "broadcast: shapes [B, H] and [64, H] do not fit: B (<=64) and 64 differ",
     false},
    {OP_add,
     {"f32[B, H]", "f32[64, H]"},
     "broadcast: shapes [B, H] and [64, H] do not fit: B (<=64) and 64 differ",
     true},
    {OP_add, {"f32[P]", "f32[Q]"}, "broadcast: shapes [P] and [Q] do not fit: P (64) and Q (64) differ", false},
    {OP_add, {"f32[P]", "f32[Q]"}, "f32[P]", true},
    {OP_add, {"f32[P]", "f32[3*D]"}, "broadcast: shapes [P] and [3*D] do not fit: P (64) and 3*D (48) differ", false},
    {OP_add, {"f32[U]", "f32[H]"}, "broadcast: shapes [U] and [H] do not fit: U (1) and H (128) differ", false},
    {OP_add, {"f32[U]", "f32[H]"}, "f32[H]", true},
    {OP_sub, {"f32[B, 1]", "f32[B]"}, "repeat: [B, 1] and [B] would broadcast to [B, B], with B twice", false},
    {OP_sub, {"f32[B, 1]", "f32[B]"}, "f32[B, B]", true},
    {OP_sub, {"f32[B, B]", "f32[B]"}, "f32[B, B]", false},
    {OP_mul, {"f32[H, 1]", "f32[H]"}, "repeat: [H, 1] and [H] would broadcast to [H, H], with H twice", false},
    {OP_where,
     {"bool[B, 1]", "f32[B]", "f32[]"},
     "repeat: [B, 1] and [B] would broadcast to [B, B], with B twice",
     false},
    /* dtypes */
    {OP_add, {"i32[H]", "f32[H]"}, "f32[H]", false},
    {OP_mul, {"bool[H]", "i32[]"}, "i32[H]", false},
    {OP_add, {"bool[H]", "bool[H]"}, "bool[H]", false},
    {OP_sub, {"bool[H]", "bool[H]"}, "dtype: sub: expected numbers, found bool", false},
    {OP_sub, {"bool[H]", "i32[H]"}, "i32[H]", false},
    {OP_neg, {"bool[H]"}, "dtype: neg: expected numbers, found bool", false},
    {OP_div, {"i32[H]", "i32[H]"}, "f32[H]", false},
    {OP_div, {"i32[H]", "f64[H]"}, "f64[H]", false},
    {OP_floordiv, {"i32[H]", "u8[H]"}, "i32[H]", false},
    {OP_exp, {"i32[H]"}, "f32[H]", false},
    {OP_exp, {"bf16[H]"}, "bf16[H]", false},
    {OP_relu, {"i32[H]"}, "i32[H]", false},
    {OP_lt, {"i32[H]", "f32[B, H]"}, "bool[B, H]", false},
    {OP_and, {"bool[H]", "bool[B, 1]"}, "bool[B, H]", false},
    {OP_and, {"bool[H]", "i32[H]"}, "dtype: and: expected bool, found i32", false},
    {OP_not, {"f32[H]"}, "dtype: not: expected bool, found f32", false},
    {OP_where, {"bool[B, 1]", "i32[H]", "f32[]"}, "f32[B, H]", false},
    {OP_where, {"f32[B]", "f32[B]", "f32[B]"}, "dtype: where: the condition must be bool, it is f32", false},
    /* contractions and indexing */
    {OP_matmul, {"f32[B, P]", "f32[P, H]"}, "f32[B, H]", false},
    {OP_matmul, {"f32[B, T, P]", "f32[P, H]"}, "f32[B, T, H]", false},
    {OP_matmul, {"f32[B, T, D]", "f32[B, D, T]"}, "f32[B, T, T]", false},
    {OP_matmul, {"f32[B, H]", "f32[P, 10]"}, "inner: matmul: inner sizes differ, H (128) and P (64)", false},
    {OP_matmul, {"f32[B, P]", "f32[Q, 10]"}, "inner: matmul: inner sizes differ, P (64) and Q (64)", false},
    {OP_matmul, {"f32[B, P]", "f32[Q, 10]"}, "f32[B, 10]", true},
    {OP_matmul,
     {"f32[P]", "f32[P, H]"},
     "rank: matmul: both operands need two axes or more, they are [P] and [P, H]",
     false},
    {OP_matmul, {"f32[T, P]", "f32[B, P, H]"}, "rank: matmul: leading axes of [T, P] and [B, P, H] differ", false},
    {OP_matmul, {"f32[B, T, P]", "f32[H, P, D]"}, "leading: matmul: leading axes differ, B (<=64) and H (128)", false},
    {OP_matmul, {"i32[B, P]", "i32[P, H]"}, "dtype: matmul: expected floats of one type, found i32 and i32", false},
    {OP_attention, {"f32[B, T, D]", "f32[B, H, D]", "f32[B, H, D]"}, "f32[B, T, D]", false},
    {OP_attention_lse, {"bf16[B, T, D]", "bf16[B, H, D]"}, "f32[B, T]", false},
    {OP_attention, {"f32[B, T, D]", "f32[T, D]", "f32[T, D]"}, "rank: attention: q, k and v need the same axes, from 2 to 7, they are [B, T, D], [T, D] and [T, D]", false},
    {OP_attention, {"f32[B, T, D]", "f32[H, T, D]", "f32[H, T, D]"}, "leading: attention: leading axes of [B, T, D], [H, T, D] and [H, T, D] differ", false},
    {OP_attention, {"f32[B, T, D]", "f32[B, T, P]", "f32[B, T, P]"}, "inner: attention: features of [B, T, D], [B, T, P] and [B, T, P] differ", false},
    {OP_attention, {"f32[H, B, D]", "f32[H, T, D]", "f32[H, T, D]"}, "rows: attention: a batch can only be the first axis of three or more, not in [H, B, D] and [H, T, D]", false},
    {OP_attention, {"f32[B, T, 129]", "f32[B, T, 129]", "f32[B, T, 129]"}, "axis: attention: at most 128 features, [B, T, 129] has more", false},
    {OP_attention, {"f32[B, T, D]", "bf16[B, T, D]", "f32[B, T, D]"}, "dtype: attention: expected floats of one type, found f32, bf16 and f32", false},
    {OP_matmul, {"f32[B, P]", "bf16[P, H]"}, "dtype: matmul: expected floats of one type, found f32 and bf16", false},
    {OP_gather, {"f32[H, D]", "i32[B, T]"}, "f32[B, T, D]", false},
    {OP_gather, {"f32[H]", "u8[]"}, "f32[]", false},
    {OP_gather, {"f32[]", "i32[B]"}, "rank: gather: a scalar cannot be indexed", false},
    {OP_gather, {"f32[H]", "f32[B]"}, "dtype: gather: indices must be integers, they are f32", false},
    {OP_gather, {"f32[B, H]", "i32[T]"}, "f32[T, H]", false}, /* of the rows there are */
    {OP_gather, {"f32[H, 1, 1, 1, 1, 1]", "i32[1, 1, 1, 1]"}, "rank: gather: the result has more than 8 axes", false},
    {OP_grad, {"f32[]", "f32[H, P]"}, "f32[H, P]", false},
    {OP_grad, {"f32[B]", "f32[H]"}, "rank: grad: the first argument must be a scalar, it is [B]", false},
    {OP_add, {"f32[H]"}, "count: add takes 2 operands, not 1", false},
};

static const char *infer(Op op, int n, const char *const *in, const Attrs *attrs, bool strict) {
  Type types[3], out;
  const Type *pointers[3] = {0};
  TypeError error = {0};
  for (int i = 0; i < n; i++) {
    types[i] = type_of(in[i]);
    pointers[i] = &types[i];
  }
  if (infer_type(op, n, pointers, attrs, strict, &out, &error)) return text_of(&out);
  ck_assert(!infer_type(op, n, pointers, attrs, strict, &out, NULL));
  return arena_print(arena, "%s: %s", error.kind, error.message);
}

START_TEST(infers) {
  const Row *r = &rows[_i];
  int n = 0;
  while (n < 3 && r->in[n]) n++;
  ck_assert_str_eq(infer(r->op, n, r->in, NULL, !r->loose), r->result);
}
END_TEST

/* ---- ops with attributes ---- */

typedef struct AxesRow {
  Op op;
  const char *in;
  int n_axes, axes[4];
  bool keep;
  const char *result;
} AxesRow;

static const AxesRow axes_rows[] = {
    {OP_sum, "f32[B, H, D]", 1, {1}, false, "f32[B, D]"},
    {OP_sum, "f32[B, H, D]", 2, {0, 2}, true, "f32[1, H, 1]"},
    {OP_sum, "f32[B, H]", 2, {0, 1}, false, "f32[]"},
    {OP_sum, "bool[H]", 1, {0}, false, "i32[]"},
    {OP_sum, "u8[H, D]", 1, {0}, false, "i32[D]"},
    {OP_sum, "f32[Z]", 1, {0}, false, "f32[]"},
    {OP_max, "u8[H, D]", 1, {0}, false, "u8[D]"},
    {OP_max, "f32[B, Z]", 1, {1}, false, "axis: max: [B, Z] has no element along axis 1"},
    {OP_sum, "f32[B, H]", 1, {2}, false, "axis: sum: axis 2 is not one of [B, H]"},
    {OP_sum, "f32[B, H]", 1, {-1}, false, "axis: sum: axis -1 is not one of [B, H]"},
    {OP_max, "f32[B, H]", 2, {1, 1}, false, "axis: max: axis 1 is twice in [B, H]"},
    {OP_argmax, "f32[B, H]", 1, {1}, false, "i32[B]"},
    {OP_argmin, "f32[B, H]", 1, {0}, true, "i32[1, H]"},
    {OP_argmax, "f32[B, H]", 2, {0, 1}, false, "axis: argmax: exactly one axis can be searched"},
    {OP_transpose, "f32[B, H, D]", 3, {2, 0, 1}, false, "f32[D, B, H]"},
    {OP_transpose, "f32[B, H, D]", 3, {2, 0, 0}, false, "axis: transpose: the axes are no permutation"},
    {OP_transpose, "f32[B, H]", 3, {0, 1, 2}, false, "axis: transpose: 3 axes named, [B, H] has 2"},
};

START_TEST(infers_axes) {
  const AxesRow *r = &axes_rows[_i];
  Attrs attrs = {.n_axes = r->n_axes, .keep = r->keep};
  for (int i = 0; i < r->n_axes; i++) attrs.axes[i] = r->axes[i];
  ck_assert_str_eq(infer(r->op, 1, &r->in, &attrs, true), r->result);
}
END_TEST

typedef struct ShapeRow {
  Op op;
  const char *in[2], *shape;
  int64_t start[3], step[3];
  const char *result;
} ShapeRow;

static const ShapeRow shape_rows[] = {
    {OP_reshape, {"bf16[B, T, D]"}, "f32[B*T, D]", {0}, {0}, "bf16[B*T, D]"},
    {OP_reshape, {"f32[B*T, D]"}, "f32[B, T, D]", {0}, {0}, "f32[B, T, D]"},
    {OP_reshape, {"f32[H, B, T]"}, "f32[D, 8, B*T]", {0}, {0}, "f32[D, 8, B*T]"},
    {OP_reshape, {"f32[B, T]"}, "f32[B, T, 1]", {0}, {0}, "f32[B, T, 1]"},
    {OP_reshape, {"f32[P, D]"}, "f32[H, 8]", {0}, {0}, "f32[H, 8]"},
    {OP_reshape, {"f32[Z, D]"}, "f32[Z]", {0}, {0}, "f32[Z]"},
    {OP_reshape, {"f32[B, T]"}, "f32[T, B]", {0}, {0}, "rows: reshape: [B, T] to [T, B] loses or moves the batch axis"},
    {OP_reshape, {"f32[T, B]"}, "f32[B*T]", {0}, {0}, "rows: reshape: [T, B] to [B*T] loses or moves the batch axis"},
    {OP_reshape,
     {"f32[B, T]"},
     "f32[64, T]",
     {0},
     {0},
     "rows: reshape: [B, T] to [64, T] loses or moves the batch axis"},
    {OP_reshape,
     {"f32[B, T]"},
     "f32[B2, T]",
     {0},
     {0},
     "rows: reshape: [B, T] to [B2, T] loses or moves the batch axis"},
    {OP_reshape, {"f32[B, B2]"}, "f32[B, B2, 1]", {0}, {0}, "f32[B, B2, 1]"},
    {OP_reshape, {"f32[P, D]"}, "f32[H, D]", {0}, {0}, "reshape: reshape: [P, D] has 1024 elements, [H, D] has 2048"},
    {OP_broadcast, {"f32[H]"}, "f32[B, H]", {0}, {0}, "f32[B, H]"},
    {OP_broadcast, {"i32[]"}, "f32[H]", {0}, {0}, "i32[H]"},
    {OP_broadcast, {"f32[B, H]"}, "f32[H]", {0}, {0}, "broadcast: broadcast: [B, H] does not fit into [H]"},
    {OP_broadcast,
     {"f32[P]"},
     "f32[B, H]",
     {0},
     {0},
     "broadcast: shapes [P] and [B, H] do not fit: P (64) and H (128) differ"},
    {OP_slice, {"f32[B, H]"}, "f32[B, 32]", {0, 3}, {1, 2}, "f32[B, 32]"},
    {OP_slice, {"f32[H]"}, "f32[Z]", {128}, {1}, "f32[Z]"},
    {OP_slice,
     {"f32[B, H]"},
     "f32[B, P]",
     {0, 65},
     {1, 1},
     "index: slice: axis 1: 64 elements from 65 in steps of 1 do not fit into 128"},
    {OP_slice,
     {"f32[H]"},
     "f32[2]",
     {0},
     {0},
     "index: slice: axis 0: 2 elements from 0 in steps of 0 do not fit into 128"},
    {OP_slice,
     {"f32[H]"},
     "f32[2]",
     {-1},
     {1},
     "index: slice: axis 0: 2 elements from -1 in steps of 1 do not fit into 128"},
    {OP_slice,
     {"f32[H]"},
     "f32[2]",
     {1},
     {INT64_MAX},
     "index: slice: axis 0: 2 elements from 1 in steps of 9223372036854775807 do not fit into 128"},
    {OP_slice,
     {"f32[B, H]"},
     "f32[2, H]",
     {0, 0},
     {1, 1},
     "rows: slice: B (<=64) is the batch axis, which cannot be cut"},
    {OP_slice, {"f32[B, H]"}, "f32[H]", {0}, {1}, "rank: slice: [H] and [B, H] have different ranks"},
    {OP_pad, {"f32[B, D]"}, "f32[B, H]", {0, 2}, {1, 3}, "f32[B, H]"},
    {OP_pad,
     {"f32[D]"},
     "f32[17]",
     {2},
     {1},
     "index: pad: axis 0: 16 elements from 2 in steps of 1 do not fit into 17"},
    {OP_cast, {"f32[B, H]"}, "i32[]", {0}, {0}, "i32[B, H]"},
    {OP_scatter_add, {"f32[B, T, D]", "i32[B, T]"}, "f32[H, D]", {0}, {0}, "f32[H, D]"},
    {OP_scatter_add,
     {"f32[B, D]", "i32[B, T]"},
     "f32[H, D]",
     {0},
     {0},
     "index: scatter_add: rows [B, D] at indices [B, T] do not fit into [H, D]"},
    {OP_scatter_add,
     {"f32[B, D]", "f32[B]"},
     "f32[H, D]",
     {0},
     {0},
     "dtype: scatter_add: indices must be integers, they are f32"},
    {OP_input, {NULL}, "f32[B, H]", {0}, {0}, "f32[B, H]"},
    {OP_const, {NULL}, "f32[H]", {0}, {0}, "rank: const: a scalar, not [H]"},
    {OP_iota, {NULL}, "i32[]", {0}, {0}, "axis: iota: axis 0 is not one of []"},
};

START_TEST(infers_shapes) {
  const ShapeRow *r = &shape_rows[_i];
  Attrs attrs = {.shape = type_of(r->shape)};
  memcpy(attrs.start, r->start, sizeof r->start);
  memcpy(attrs.step, r->step, sizeof r->step);
  ck_assert_str_eq(infer(r->op, op_info[r->op].n_inputs, r->in, &attrs, true), r->result);
}
END_TEST

START_TEST(infers_transposed_products) {
  static const struct {
    const char *a, *b;
    bool ta, tb;
    const char *result;
  } products[] = {
      {"f32[B, P]", "f32[H, P]", false, true, "f32[B, H]"},
      {"f32[B, P]", "f32[B, H]", true, false, "f32[P, H]"},
      {"f32[P, B]", "f32[H, P]", true, true, "f32[B, H]"},
      {"f32[B, T, D]", "f32[B, T, D]", false, true, "f32[B, T, T]"},
      {"f32[B, P]", "f32[P, H]", false, true, "inner: matmul: inner sizes differ, P (64) and H (128)"},
  };
  for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
    Attrs attrs = {.ta = products[i].ta, .tb = products[i].tb};
    ck_assert_str_eq(infer(OP_matmul, 2, (const char *[]){products[i].a, products[i].b}, &attrs, true),
                     products[i].result);
  }
}
END_TEST

START_TEST(rows_are_of_a_capacity) {
  Attrs batch = {.symbol = &symbols[0]}, fixed = {.symbol = &symbols[2]};
  ck_assert_str_eq(infer(OP_rows, 0, NULL, &batch, true), "i32[]");
  ck_assert_str_eq(infer(OP_rows, 0, NULL, &fixed, true), "axis: rows: only of a batch dim there are fewer or more");
}
END_TEST

START_TEST(finds_ops) {
  for (int op = 0; op < OP_COUNT; op++) {
    Op found;
    ck_assert(op_find(op_info[op].name, &found));
    ck_assert_int_eq(found, op);
    bool has_text = op_info[op].expression != NULL, is_map = op_info[op].kind == MAP && op != OP_grad;
    ck_assert_msg(is_map ? has_text : !has_text || op_info[op].kind == REDUCE, "%s", op_info[op].name);
  }
  ck_assert(!op_find("addd", &(Op){0}));
}
END_TEST

Suite *types_suite(void) {
  Suite *suite = suite_create("types");
  TCase *tests = tcase_create("types");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, prints_types);
  tcase_add_test(tests, counts_elements);
  tcase_add_test(tests, promotes_as_pytorch);
  tcase_add_test(tests, dims_match);
  tcase_add_loop_test(tests, infers, 0, (int)(sizeof rows / sizeof *rows));
  tcase_add_loop_test(tests, infers_axes, 0, (int)(sizeof axes_rows / sizeof *axes_rows));
  tcase_add_loop_test(tests, infers_shapes, 0, (int)(sizeof shape_rows / sizeof *shape_rows));
  tcase_add_test(tests, infers_transposed_products);
  tcase_add_test(tests, rows_are_of_a_capacity);
  tcase_add_test(tests, finds_ops);
  suite_add_tcase(suite, tests);
  return suite;
}
