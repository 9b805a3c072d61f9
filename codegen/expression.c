/* expression.c - text of C expressions, from the `expression` column of ops.def.
 *
 * A row's text ("%0 < 0 ? 0 : %0") is read as a few tokens: the operators to
 * the left and right of an operand tell how tightly what takes its place must
 * bind, and its loosest operator how tightly the result does.  Brackets go
 * only where that, or gcc's -Wparentheses, asks for them.
 *
 * `real` is float or double, so a constant is an integer (x / 16), exact in
 * float (0.5f), or cast ((real)0.1).  Two integers would divide as integers,
 * and a math function would take one for a double: `integer` remembers.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/expression.h"

const char *c_type(DType dtype) {
  switch (dtype) {
  case F32:
  case BF16: return "real";
  case F64: return "double";
  case I32: return "int32_t";
  case U8: return "uint8_t";
  case BOOL: return "bool";
  default: fault("%s has no generated code yet", dtype_name(dtype));
  }
}

const char *c_storage(DType dtype) { return dtype == BF16 ? "bf16" : c_type(dtype); }

Expr expr_atom(const char *text) { return (Expr){text, BIND_ATOM, false}; }

bool const_is_bf16(double value) {
  int exponent;
  double significant = ldexp(frexp(value, &exponent), 8);
  return !isfinite(value) || value == 0 || (significant == rint(significant) && exponent > -125 && exponent <= 128);
}

Expr expr_rounded(Arena *arena, Expr e) {
  return (Expr){arena_print(arena, "as_bf16(%s)", e.text), BIND_ATOM, false};
}

/* The end of the bracket that `open` begins. */
static const char *closing(const char *open) {
  for (int depth = 0;; open++) {
    depth += *open == '(';
    depth -= *open == ')';
    if (depth == 0) return open;
  }
}

Expr expr_stored(Arena *arena, Expr e) {
  static const char rounded[] = "as_bf16";
  size_t n = strlen(rounded);
  bool whole = !strncmp(e.text, rounded, n) && e.text[n] == '(' && !closing(e.text + n)[1];
  const char *format = whole ? "to_bf16%s" : "to_bf16(%s)";
  Text text = {0};
  text_add(&text, format, e.text + (whole ? n : 0));
  return (Expr){text_take(&text, arena), BIND_ATOM, false};
}

bool expr_is_bf16(const Node *node, const DType *in_dtype) {
  static const Op keeping[] = {OP_copy,  OP_stop, OP_cast,    OP_neg,     OP_abs,   OP_relu, OP_floor,
                               OP_ceil, OP_round, OP_maximum, OP_minimum, OP_where};
  if (node->op == OP_sign) return true;
  for (int i = 0; i < node->n_in; i++)
    if (in_dtype[i] != BF16 && in_dtype[i] != U8 && in_dtype[i] != BOOL) return false;
  for (size_t i = 0; i < sizeof keeping / sizeof keeping[0]; i++)
    if (node->op == keeping[i]) return true;
  return false;
}

const char *expr_within(Arena *arena, Expr e, int bind) {
  return e.bind >= bind ? e.text : arena_print(arena, "(%s)", e.text);
}

Expr expr_const(Arena *arena, double value, DType dtype) {
  if (dtype == BOOL) return (Expr){value != 0 ? "true" : "false", BIND_ATOM, true};
  if (isnan(value)) return expr_atom("NAN");
  if (isinf(value)) return (Expr){value < 0 ? "-INFINITY" : "INFINITY", value < 0 ? BIND_UNARY : BIND_ATOM, false};
  int sign_bind = signbit(value) ? BIND_UNARY : BIND_ATOM;
  if (value == rint(value) && fabs(value) < 1e9 && !(value == 0 && signbit(value)))
    return (Expr){arena_print(arena, "%.0f", value), sign_bind, true};
  Text text = {0};
  text_number(&text, value);
  bool dotted = strpbrk(text.data, ".e") != NULL;
  Expr e = {NULL, sign_bind, false};
  if (dtype == F64) {
    e.text = arena_print(arena, "%s%s", text.data, dotted ? "" : ".0");
  } else if ((double)(float)value == value) {
    e.text = arena_print(arena, "%s%sf", text.data, dotted ? "" : ".0");
  } else {
    e.text = arena_print(arena, "(real)%s", text.data);
    e.bind = BIND_UNARY;
  }
  text_free(&text);
  return e;
}

/* ---- templates -------------------------------------------------------------- */

typedef enum TokenKind { TOKEN_OPERAND, TOKEN_BINARY, TOKEN_UNARY, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_OTHER } TokenKind;
typedef struct Token {
  TokenKind kind;
  int bind;    /* of an operator */
  int operand; /* 0, 1, 2; 'l', 'h', 't' */
  int depth;
  const char *text;
  int length;
} Token;

enum { MAX_TOKENS = 48 };

static const struct {
  const char *text;
  int bind;
} operators[] = {{"==", BIND_EQUAL}, {"!=", BIND_EQUAL},  {"<=", BIND_COMPARE}, {">=", BIND_COMPARE},
                 {"&&", BIND_AND},   {"||", BIND_OR},     {"<", BIND_COMPARE},  {">", BIND_COMPARE},
                 {"+", BIND_ADD},    {"-", BIND_ADD},     {"*", BIND_MUL},      {"/", BIND_MUL},
                 {"%", BIND_MUL},    {"?", BIND_TERNARY}, {":", BIND_TERNARY},  {",", 1},
                 {"!", BIND_UNARY}};

static Token read_operator(const char *at) {
  for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
    size_t n = strlen(operators[i].text);
    if (!strncmp(at, operators[i].text, n))
      return (Token){.kind = TOKEN_BINARY, .bind = operators[i].bind, .text = at, .length = (int)n};
  }
  fault("ops.def: cannot read \"%s\"", at);
}

static Token read_token(const char *at, const Token *before) {
  if (at[0] == '%' && isalnum((unsigned char)at[1]))
    return (Token){
        .kind = TOKEN_OPERAND, .operand = isdigit((unsigned char)at[1]) ? at[1] - '0' : at[1], .text = at, .length = 2};
  if (!strncmp(at, "(%t)", 4))
    return (Token){.kind = TOKEN_UNARY, .bind = BIND_UNARY, .operand = 't', .text = at, .length = 4};
  if (*at == '(') return (Token){.kind = TOKEN_OPEN, .text = at, .length = 1};
  if (*at == ')') return (Token){.kind = TOKEN_CLOSE, .text = at, .length = 1};
  if (isalnum((unsigned char)*at) || *at == '_') {
    int n = 0;
    while (isalnum((unsigned char)at[n]) || at[n] == '_') n++;
    return (Token){.kind = TOKEN_OTHER, .text = at, .length = n};
  }
  Token token = read_operator(at);
  bool first = !before || before->kind == TOKEN_BINARY || before->kind == TOKEN_OPEN || before->kind == TOKEN_UNARY;
  if (*token.text == '!' && token.length == 1) token.kind = TOKEN_UNARY;
  if (*token.text == '-' && first) token.kind = TOKEN_UNARY, token.bind = BIND_UNARY;
  return token;
}

static int read_template(const char *text, Token *tokens) {
  int n = 0, depth = 0;
  for (const char *at = text; *at;) {
    if (*at == ' ') {
      at++;
      continue;
    }
    if (n == MAX_TOKENS) fault("ops.def: \"%s\" is too long", text);
    Token token = read_token(at, n ? &tokens[n - 1] : NULL);
    if (token.kind == TOKEN_CLOSE) depth--;
    token.depth = depth;
    if (token.kind == TOKEN_OPEN) depth++;
    tokens[n++] = token;
    at += token.length;
  }
  return n;
}

/* C computes with ints where the result is narrower: bools combine as logic, bytes wrap. */
static const struct {
  Op op;
  DType dtype;
  const char *text;
} narrow[] = {{OP_add, BOOL, "%0 || %1"},        {OP_maximum, BOOL, "%0 || %1"},    {OP_mul, BOOL, "%0 && %1"},
              {OP_minimum, BOOL, "%0 && %1"},    {OP_sign, BOOL, "%0"},             {OP_sign, U8, "%0 > 0"},
              {OP_relu, U8, "%0"},               {OP_neg, U8, "(%t)(-%0)"},         {OP_add, U8, "(%t)(%0 + %1)"},
              {OP_sub, U8, "(%t)(%0 - %1)"},     {OP_mul, U8, "(%t)(%0 * %1)"},     {OP_pow, U8, "(%t)pow(%0, %1)"}};

static bool is_real(DType dtype) { return dtype == F32 || dtype == BF16; }

/* A clamp that is open on one side asks one question only; between f32 and bf16 only rounding happens; a number is true
 * unless it is 0, which gcc wants said of a product. */
static const char *template_of(const Node *node) {
  const Attrs *a = &node->attrs;
  for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; i++)
    if (narrow[i].op == node->op && narrow[i].dtype == node->type.dtype) return narrow[i].text;
  if (node->op == OP_cast && is_real(node->type.dtype) && is_real(node->in[0]->type.dtype)) return "%0";
  if (node->op == OP_cast && node->type.dtype == BOOL) return node->in[0]->type.dtype == BOOL ? "%0" : "%0 != 0";
  if (node->op != OP_clamp) return op_info[node->op].expression;
  bool byte = node->type.dtype == U8, below = byte ? a->value >= 1 : a->value > -INFINITY,
       above = byte ? a->high < 255 : a->high < INFINITY;
  return below && above ? op_info[OP_clamp].expression
         : below        ? "%0 < %l ? %l : %0"
         : above        ? "%0 > %h ? %h : %0"
                        : "%0";
}

int expr_repeats(const Node *node, int k) {
  Token tokens[MAX_TOKENS];
  int n = read_template(template_of(node), tokens), count = 0;
  for (int i = 0; i < n; i++) count += tokens[i].kind == TOKEN_OPERAND && tokens[i].operand == k;
  return count;
}

/* How tightly an operand between these two operators must bind (NULL: nothing there). */
static int needed(const Token *left, const Token *right) {
  int bind = 0;
  if (left && left->kind == TOKEN_UNARY) bind = *left->text == '-' ? BIND_ATOM : BIND_UNARY;
  if (left && left->kind == TOKEN_BINARY) {
    if (left->bind == BIND_COMPARE || left->bind == BIND_EQUAL)
      bind = BIND_ADD;
    else if (left->bind == BIND_AND || left->bind == BIND_OR)
      bind = BIND_EQUAL;
    else if (left->bind == BIND_TERNARY)
      bind = BIND_TERNARY;
    else
      bind = left->bind + 1;
  }
  if (right && right->kind == TOKEN_BINARY) {
    int b = right->bind;
    if (b == BIND_COMPARE || b == BIND_EQUAL)
      b = BIND_ADD;
    else if (b == BIND_AND || b == BIND_OR)
      b = BIND_EQUAL;
    else if (b == BIND_TERNARY)
      b = *right->text == '?' ? BIND_OR : BIND_TERNARY;
    if (b > bind) bind = b;
  }
  return bind;
}

/* Does the text call a function? */
static bool calls_function(const Token *tokens, int n) {
  for (int i = 0; i + 1 < n; i++)
    if (tokens[i].kind == TOKEN_OTHER && isalpha((unsigned char)*tokens[i].text) && tokens[i + 1].kind == TOKEN_OPEN)
      return true;
  return false;
}

static int result_bind(const Token *tokens, int n) {
  int bind = BIND_ATOM;
  for (int i = 0; i < n; i++) {
    if (tokens[i].depth > 0) continue;
    int b = tokens[i].kind == TOKEN_BINARY ? tokens[i].bind : tokens[i].kind == TOKEN_UNARY ? BIND_UNARY : BIND_ATOM;
    if (tokens[i].kind == TOKEN_UNARY && *tokens[i].text == '!') b = BIND_NOT;
    if (b < bind) bind = b;
  }
  return bind;
}

static bool all_integer(const Node *node, const Expr *in, int from) {
  for (int i = from; i < node->n_in; i++)
    if (!in[i].integer) return false;
  return true;
}

static Expr as_float(Arena *arena, Expr e, DType dtype) {
  if (dtype == F64 && e.text[strspn(e.text, "-0123456789")] == 0)
    return (Expr){arena_print(arena, "%s.0", e.text), e.bind, false};
  return (Expr){arena_print(arena, "(%s)%s", c_type(dtype), expr_within(arena, e, BIND_UNARY)), BIND_UNARY, false};
}

/* A float op must not be computed in integers: functions get reals, and of two
 * integer operands the first is cast, as is a literal 0 to divide by. */
static void make_real(Arena *arena, const Node *node, const Token *tokens, int n, Expr *in) {
  if (!dtype_is_float(node->type.dtype) || node->op == OP_where || node->op == OP_cast) return;
  bool calls = calls_function(tokens, n), both = node->n_in == 2 && all_integer(node, in, 0);
  for (int i = 0; i < node->n_in; i++) {
    bool by_zero = node->op == OP_div && !strcmp(in[i].text, "0");
    if (in[i].integer && (calls || by_zero || (both && i == 0))) in[i] = as_float(arena, in[i], node->type.dtype);
  }
}

/* A bound of clamp; of integers a whole number. */
static const char *bound_text(Arena *arena, const Node *node, int which, DType dtype) {
  double bound = which == 'l' ? node->attrs.value : node->attrs.high;
  return expr_const(arena, dtype_is_float(dtype) ? bound : trunc(bound), dtype).text;
}

/* An integer compared with itself, as a row's index with its own: gcc warns of i > i. */
static const char *template_between(const Node *node, const DType *in_dtype, const Expr *in) {
  static const struct {
    Op op;
    const char *text;
  } itself[] = {{OP_eq, "%0 - %1 == 0"}, {OP_ne, "%0 - %1 != 0"}, {OP_lt, "%0 - %1 < 0"},
                {OP_le, "%0 - %1 <= 0"}, {OP_gt, "%0 - %1 > 0"},  {OP_ge, "%0 - %1 >= 0"}};
  for (size_t i = 0; i < sizeof itself / sizeof itself[0]; i++)
    if (itself[i].op == node->op && !dtype_is_float(in_dtype[0]) && !strcmp(in[0].text, in[1].text)) return itself[i].text;
  return template_of(node);
}

Expr expr_map(Arena *arena, const Node *node, const DType *in_dtype, const Expr *given) {
  Token tokens[MAX_TOKENS];
  const char *text = template_between(node, in_dtype, given);
  if (!text) fault("%s has no expression (%s)", op_info[node->op].name, node->name);
  int n = read_template(text, tokens);
  Expr in[3];
  bool floats = dtype_is_float(node->type.dtype);
  for (int i = 0; i < node->n_in && i < 3; i++) in[i] = given[i];
  make_real(arena, node, tokens, n, in);
  Text out = {0};
  const char *at = text;
  for (int i = 0; i < n; i++) {
    const Token *left = i > 0 ? &tokens[i - 1] : NULL, *right = i + 1 < n ? &tokens[i + 1] : NULL;
    text_add_bytes(&out, at, (size_t)(tokens[i].text - at));
    at = tokens[i].text + tokens[i].length;
    if (tokens[i].operand == 't')
      text_add(&out, "(%s)", c_type(node->type.dtype));
    else if (tokens[i].kind != TOKEN_OPERAND)
      text_add_bytes(&out, tokens[i].text, (size_t)tokens[i].length);
    else if (tokens[i].operand <= 2)
      text_add(&out, "%s", expr_within(arena, in[tokens[i].operand], needed(left, right)));
    else
      text_add(&out, "%s", bound_text(arena, node, tokens[i].operand, in_dtype[0]));
  }
  bool itself = n == 1 && tokens[0].kind == TOKEN_OPERAND; /* binds as its operand does */
  Expr e = {text_take(&out, arena), itself ? in[tokens[0].operand].bind : result_bind(tokens, n), false};
  if (node->op == OP_where)
    e.integer = all_integer(node, in, 1);
  else if (node->op == OP_cast)
    e.integer = floats ? in[0].integer && is_real(in_dtype[0]) && is_real(node->type.dtype) : true;
  else if (!floats || node->op == OP_sign)
    e.integer = true;
  else if (node->op == OP_neg || node->op == OP_clamp || node->op == OP_relu)
    e.integer = in[0].integer;
  return e;
}
