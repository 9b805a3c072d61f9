/* expression.h - text of C expressions with no more parentheses than needed. */
#ifndef MTC_CODEGEN_EXPRESSION_H
#define MTC_CODEGEN_EXPRESSION_H

#include "ir/ir.h"

/* How tightly an expression binds, as in C's table; a higher level binds tighter. */
enum {
  BIND_TERNARY = 3,
  BIND_OR = 4,
  BIND_AND = 5,
  BIND_EQUAL = 9,
  BIND_COMPARE = 10,
  BIND_NOT = 11,
  BIND_ADD = 12,
  BIND_MUL = 13,
  BIND_UNARY = 14,
  BIND_ATOM = 15
};

typedef struct Expr {
  const char *text;
  int bind;
  bool integer; /* C gives it an integer type, whatever the IR says: 0, a > b */
} Expr;

Expr expr_atom(const char *text);
/* `text` in brackets unless it binds at least as tightly as `bind`. */
const char *expr_within(Arena *arena, Expr e, int bind);
/* A constant of a dtype: 2, 0.5f, (real)0.1, true, -INFINITY. */
Expr expr_const(Arena *arena, double value, DType dtype);
bool const_is_bf16(double value); /* without rounding */
/* as_bf16(e); to_bf16(e), which rounds by itself. */
Expr expr_rounded(Arena *arena, Expr e);
Expr expr_stored(Arena *arena, Expr e);
/* op(operands), from the op's row in ops.def. */
Expr expr_map(Arena *arena, const Node *node, const DType *in_dtype, const Expr *in);
/* How often the text of an op names operand k. */
int expr_repeats(const Node *node, int k);
/* Are the op's results bf16 without rounding, its operands being of these dtypes?  A neg of one is. */
bool expr_is_bf16(const Node *node, const DType *in_dtype);
const char *c_type(DType dtype);    /* of a variable: "real", "int32_t" */
const char *c_storage(DType dtype); /* of an array's elements: "real", "bf16" */

#endif
