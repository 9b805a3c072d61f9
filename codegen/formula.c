/* formula.c - what a kernel computes, as one line of comment.
 *
 * The body is written out as the model would say it: operators between their
 * operands, functions by name, views left out.  A formula that would be too
 * long stops at the names of intermediate values.
 */
#include <string.h>

#include "codegen/expression.h"
#include "codegen/formula.h"

enum { LONGEST = 88, DEEPEST = 8 };

const char *model_line(Arena *arena, const Span *span) {
  while (span && span->source && span->source->standard && span->caller) span = span->caller;
  if (!span || !span->source) return "";
  const char *slash = strrchr(span->source->path, '/');
  return arena_print(arena, "%s:%d", slash ? slash + 1 : span->source->path, span->line);
}

static bool is_root(const Roots *roots, const char *path, size_t length) {
  for (int i = 0; i < roots->n; i++)
    if (strlen(roots->root[i]) == length && !memcmp(roots->root[i], path, length)) return true;
  return false;
}

const char *formula_name(const Roots *roots, Arena *arena, const char *path) {
  bool adjoint = !strncmp(path, "grad.", 5) && strchr(path + 5, '.');
  if (adjoint) path = strchr(path + 5, '.') + 1;
  const char *dot = strchr(path, '.');
  if (dot && is_root(roots, path, (size_t)(dot - path))) path = dot + 1;
  return adjoint ? arena_print(arena, "d(%s)", path) : path;
}

static Expr write(const Roots *roots, Arena *arena, const Node *group, const Node *n, int depth);

static bool is_operator(Op op) {
  switch (op) {
  case OP_add:
  case OP_sub:
  case OP_mul:
  case OP_div:
  case OP_neg:
  case OP_eq:
  case OP_ne:
  case OP_lt:
  case OP_le:
  case OP_gt:
  case OP_ge: return true;
  default: return false;
  }
}

static Expr write_call(const Roots *roots, Arena *arena, const Node *group, const Node *n, int depth) {
  Text text = {0};
  text_add(&text, "%s(", n->op == OP_cast ? dtype_name(n->type.dtype) : op_info[n->op].name);
  for (int i = 0; i < n->n_in; i++)
    text_add(&text, "%s%s", i ? ", " : "", write(roots, arena, group, n->in[i], depth - 1).text);
  text_add(&text, ")");
  return expr_atom(text_take(&text, arena));
}

static Expr write_number(Arena *arena, const Node *n) {
  Text text = {0};
  text_number(&text, n->attrs.value);
  return (Expr){text_take(&text, arena), n->attrs.value < 0 ? BIND_UNARY : BIND_ATOM, false};
}

/* Nothing that a reader of the formula would miss. */
static bool is_silent(const Node *n) {
  bool zeros = n->op == OP_pad || n->op == OP_skew || n->op == OP_unskew;
  return (op_info[n->op].kind == VIEW && !zeros) || n->op == OP_copy || n->op == OP_stop;
}

static Expr write(const Roots *roots, Arena *arena, const Node *group, const Node *n, int depth) {
  while (is_silent(n)) n = n->in[0];
  if (n->op == OP_skew || n->op == OP_unskew) { /* one word for both axes of an image */
    const char *what = n->op == OP_skew ? "windows" : "fold";
    for (Op op = n->op; n->op == op || is_silent(n);) n = n->in[0];
    return expr_atom(arena_print(arena, "%s(%s)", what, write(roots, arena, group, n, depth - 1).text));
  }
  switch (n->op) {
  case OP_input: return expr_atom(formula_name(roots, arena, group->in[n->attrs.index]->name));
  case OP_const: return write_number(arena, n);
  case OP_rows: return expr_atom("rows");
  case OP_counter: return expr_atom(n->attrs.path);
  case OP_turn: return expr_atom(strrchr(n->attrs.path, '.') ? strrchr(n->attrs.path, '.') + 1 : n->attrs.path);
  case OP_iota: return expr_atom("index");
  case OP_random: return expr_atom("random");
  default: break;
  }
  if (depth <= 0) return expr_atom(formula_name(roots, arena, n->name));
  if (n->op == OP_gather) {
    const char *table = write(roots, arena, group, n->in[0], depth - 1).text,
               *ids = write(roots, arena, group, n->in[1], depth - 1).text;
    return expr_atom(arena_print(arena, "%s[%s]", table, ids));
  }
  if (n->op == OP_matmul) {
    const char *a = write(roots, arena, group, n->in[0], depth - 1).text,
               *b = write(roots, arena, group, n->in[1], depth - 1).text;
    const char *format = n->attrs.ta ? n->attrs.tb ? "t(%s) @ t(%s)" : "t(%s) @ %s" : n->attrs.tb ? "%s @ t(%s)" : "%s @ %s";
    Text text = {0};
    text_add(&text, format, a, b);
    return (Expr){text_take(&text, arena), BIND_MUL, false};
  }
  if (n->op == OP_cast && n->type.dtype == F32 && n->in[0]->type.dtype == BF16)
    return write(roots, arena, group, n->in[0], depth);
  if (!is_operator(n->op)) return write_call(roots, arena, group, n, depth);
  Expr in[2];
  DType dtypes[2];
  for (int i = 0; i < n->n_in; i++) {
    in[i] = write(roots, arena, group, n->in[i], depth - 1);
    in[i].integer = false;
    dtypes[i] = n->in[i]->type.dtype;
  }
  return expr_map(arena, n, dtypes, in);
}

const char *formula(const Roots *roots, Arena *arena, const Node *group, int o) {
  const Output *output = &group->body->outputs[o];
  const char *name = formula_name(roots, arena, output->name), *right = name;
  for (int depth = 1; depth <= DEEPEST; depth++) {
    const char *deeper = write(roots, arena, group, output->node, depth).text;
    if (depth > 1 && strlen(name) + strlen(deeper) > LONGEST) break;
    right = deeper;
  }
  return arena_print(arena, "%s = %s", name, right);
}
