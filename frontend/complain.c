/* complain.c - what the parser says when something does not fit.
 *
 * Bison knows the token found and the tokens that would do.  A list of forty
 * operators helps nobody, so the set is put in the language's words ("an
 * expression", "`)` to close the `(` at 11:8"), and the slips people make
 * coming from Python or C get a line of help.  The tables below hold those.
 */
#include "frontend/parse.h"
#include "parser.h"

#include <string.h>

typedef struct Complaint {
  Parser *p;
  const Token *found, *before, *first, *open; /* before, open: may be NULL */
  const char *const *expected;
  int n;
} Complaint;

typedef struct Slip { const char *text, *help; } Slip;

static const Slip slips[] = {
    {"**", "a power is written `^`"},
    {"&&", "write `and`"},
    {"||", "write `or`"},
    {"!", "write `not`"},
    {"~", "write `not`"},
    {"&", "write `and`"},
    {"|", "`|>` hands a value to a function; the logical or is `or`"},
    {":=", "`let x = ...` gives a name to a value"},
    {"=>", "write `->`"},
    {"...", "a run of axes is written `*s`, a range `a..b`"},
    {"/*", "a comment begins with `#` and ends with the line"},
    {"+=", "a state is assigned with `x <- x + ...`"},
    {"-=", "a state is assigned with `x <- x - ...`"},
    {"*=", "a state is assigned with `x <- x * ...`"},
    {"/=", "a state is assigned with `x <- x / ...`"},
    {"++", "write + 1"},
    {"?", "where(c, a, b) chooses between values"},
};

/* First words of statements in other languages. */
static const Slip foreign[] = {
    {"def", "a function is written fn f(x) = ..., a layer module Name()(x: [B, D]) -> [B, K] { ... }"},
    {"func", "a function is written fn f(x) = ..."},
    {"function", "a function is written fn f(x) = ..."},
    {"lambda", "a function is written fn f(x) = ..."},
    {"class", "a layer is written module Name()(x: [B, D]) -> [B, K] { ... }"},
    {"struct", "a layer is written module Name()(x: [B, D]) -> [B, K] { ... }"},
    {"import", "use nn brings in the standard layers, use \"file.mt\" one of your own"},
    {"from", "use nn brings in the standard layers, use \"file.mt\" one of your own"},
    {"include", "use nn brings in the standard layers, use \"file.mt\" one of your own"},
    {"const", "let x = ... gives a name to a value"},
    {"var", "let x = ... gives a name to a value"},
    {"elif", "write } else if ... {"},
    {"while", "a loop is written for i in 0..T carry x { ... }"},
    {"print", "log name = ... prints a value"},
};

static const Slip characters[] = {
    {"\xC3\x97", "write `*`"},         {"\xC2\xB7", "write `*`"},       {"\xC3\xB7", "write `/`"},
    {"\xE2\x88\x92", "write `-`"},     {"\xE2\x80\x93", "write `-`"},   {"\xE2\x80\x94", "write `-`"},
    {"\xE2\x89\xA4", "write `<=`"},    {"\xE2\x89\xA5", "write `>=`"},  {"\xE2\x89\xA0", "write `!=`"},
    {"\xE2\x86\x92", "write `->`"},    {"\xE2\x86\x90", "write `<-`"},
    {"\xE2\x80\x9C", "texts stand in plain quotes: \""},
    {"\xE2\x80\x9D", "texts stand in plain quotes: \""},
    {"\xE2\x80\x98", "texts stand in plain quotes: \""},
    {"\xE2\x80\x99", "texts stand in plain quotes: \""},                {"'", "texts stand in double quotes: \"...\""},
    {"`", "texts stand in double quotes: \"...\""},
    {"\\", "a line goes on after an operator, a comma or an open bracket, without `\\`"},
};

static const char *const statement_words[] = {
    "use", "dim", "data", "module", "fn", "let", "param", "state", "if", "for", "return", "train",
    "update", "freeze", "log", "every", "eval", "save", "sample", "weights", "predict",
};

static const char *find_slip(const Slip *table, size_t n, const char *text) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(table[i].text, text)) return table[i].help;
  return NULL;
}
#define SLIP(table, text) find_slip(table, sizeof table / sizeof *table, text)

/* ---- words for tokens ---- */

const char *token_text(const Parser *p, const Token *t) {
  enum { MOST = 40 };
  const char *text = p->source->text + t->offset;
  if (!t->length) return t->kind == T_RBRACE ? "}" : "";
  if (t->length <= MOST) return arena_copy(p->arena, text, (size_t)t->length);
  int cut = MOST - 3;
  while (cut > 0 && ((unsigned char)text[cut] & 0xC0) == 0x80) cut--;
  return arena_print(p->arena, "%.*s...", cut, text);
}

static const char *quoted(const Complaint *c, const Token *t) {
  switch (t->kind) {
  case T_NEWLINE: return "the end of the line";
  case T_END: return "the end of the file";
  case T_STRING: return token_text(c->p, t);
  default: return arena_print(c->p->arena, "`%s`", token_text(c->p, t));
  }
}

static bool expects(const Complaint *c, const char *what) {
  size_t length = strlen(what);
  for (int i = 0; i < c->n; i++) {
    const char *e = c->expected[i];
    if (!strncmp(e, what, length) && (!e[length] || e[length] == ' ')) return true; /* two tokens look like `{` */
  }
  return false;
}

static bool is_postfix_or_operator(const char *name) {
  static const char *const all[] = {"`and`", "`or`", "`|>`", "`.[`", "`.`",  "`..`", "`==`", "`!=`",
                                    "`<`",   "`<=`", "`>`",  "`>=`", "`+`", "`-`", "`*`", "`/`",
                                    "`//`",  "`%`",  "`^`",  "`@`",  "`(`",  "`[`"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (!strcmp(all[i], name)) return true;
  return false;
}

static bool is_binary(int kind) {
  switch (kind) {
  case T_PLUS: case T_MINUS: case T_STAR: case T_SLASH: case T_FLOOR: case T_PERCENT: case T_POWER: case T_MATMUL:
  case T_AND: case T_OR: case T_EQ: case T_NE: case T_LT: case T_LE: case T_GT: case T_GE:
    return true;
  default:
    return false;
  }
}

static bool is_comparison(int kind) { return kind >= T_EQ && kind <= T_GE; }

/* "a, b or c" of what is expected; after a value without the operators and brackets that might go on with it. */
static const char *one_of(const Complaint *c) {
  bool after_value = expects(c, "`.`"), newline = expects(c, "the end of the line");
  const char *names[8];
  int n = 0;
  for (int i = 0; i < c->n && n < 7; i++) {
    const char *e = c->expected[i];
    if ((after_value && is_postfix_or_operator(e)) || !strcmp(e, "the end of the line")) continue;
    if (!strncmp(e, "`{`", 3)) e = "`{`"; /* a block's and a list's look the same */
    if (!strncmp(e, "`}`", 3)) e = "`}`";
    if (!n || strcmp(names[n - 1], e)) names[n++] = e;
  }
  if (newline || !n) names[n++] = newline ? "the end of the line" : "something else";
  Text text = {0};
  for (int i = 0; i < n; i++) text_add(&text, "%s%s", i == 0 ? "" : i == n - 1 ? " or " : ", ", names[i]);
  return text_take(&text, c->p->arena);
}

/* ---- the general sentence ---- */

static const char *opener(int kind) {
  switch (kind) {
  case T_LPAREN: return "(";
  case T_LBRACKET: return "[";
  case T_REARRANGE: return ".[";
  default: return "{";
  }
}

static const char *closer(int kind) {
  return kind == T_LPAREN ? ")" : kind == T_LFIELDS || kind == T_LBRACE ? "}" : "]";
}

static const char *to_close(const Complaint *c) {
  return arena_print(c->p->arena, "`%s` to close the `%s` at %d:%d", closer(c->open->kind), opener(c->open->kind),
                     c->open->at.line, c->open->at.column);
}

static const char *wanted(const Complaint *c, bool *says_where) {
  bool in_brackets = c->open && c->open->kind != T_LBRACE, ended = expects(c, "the end of the line");
  if (expects(c, "`let`")) return *says_where = true, "a statement";
  if (c->before && c->before->kind == T_PIPE) return "a function, a module or a label";
  if (expects(c, "a number") && expects(c, "a text in quotes")) return "an expression";
  if (expects(c, "a name") && expects(c, "`[`") && !expects(c, "a number")) return "a type";
  if (in_brackets && expects(c, arena_print(c->p->arena, "`%s`", closer(c->open->kind)))) {
    *says_where = true;
    return expects(c, "`,`") ? arena_print(c->p->arena, "`,` or %s", to_close(c)) : to_close(c);
  }
  if (ended && expects(c, "`|>`")) return "an operator or the end of the line";
  return one_of(c);
}

/* ---- help ---- */

static bool starts_with(const Complaint *c, int kind) { return c->first->kind == kind; }

static const char *help_for_equals(const Complaint *c) {
  bool argument = c->open && c->open->kind == T_LPAREN && c->before && c->before->kind == T_NAME &&
                  (c->before[-1].kind == T_LPAREN || c->before[-1].kind == T_COMMA);
  if (argument) return arena_print(c->p->arena, "a named argument is written %s: ...", c->before->name);
  return "`==` compares; `=` gives a value to a name";
}

static const char *help_for_words(const Complaint *c) {
  if (c->before && c->before == c->first && c->first->kind == T_NAME) {
    int n = (int)(sizeof statement_words / sizeof *statement_words);
    const char *meant = nearest(c->first->name, statement_words, n);
    if (meant) return arena_print(c->p->arena, "did you mean `%s`?", meant);
  }
  for (const Token *t = c->first; t < c->found; t++)
    if (t->kind == T_FLOOR) return "`//` divides and rounds down; a comment begins with `#`";
  if (!c->before || c->before->kind != T_NUMBER || !expects(c, "`+`")) return NULL;
  return expects(c, "`,`") ? "a comma stands between two values, `*` in a product" : "a product is written with `*`";
}

static const char *help_for_module(const Complaint *c) {
  if (expects(c, "a name") && expects(c, "`[`")) return "a shape stands here: -> [B, K]";
  if (expects(c, "`(`"))
    return "a module has two lists, its configuration and its inputs: module NAME()(x: [B, D]) -> [B, K] { ... }";
  if (expects(c, "`->`"))
    return "the result's shape stands before the block: module NAME()(x: [B, D]) -> [B, K] { ... }";
  return NULL;
}

static const char *help_for_colon(const Complaint *c) {
  if (expects(c, "`{`")) return "a block is written { ... }, without `:`";
  if (c->open && c->open->kind == T_LBRACKET) return "a slice is from:to, without a step";
  if (starts_with(c, T_LET)) return "a `let` has no type of its own: it is that of its value";
  if (c->before && c->before == c->first) return "`param` and `state` declare names with a type; `let` needs none";
  return NULL;
}

static bool begins_value(int kind) {
  return kind == T_NAME || kind == T_NUMBER || kind == T_STRING || kind == T_LPAREN || kind == T_MINUS;
}

static const char *help(const Complaint *c) {
  int kind = c->found->kind;
  if (starts_with(c, T_LOG) && kind == T_COMMA) return "each value has a log of its own: log loss; log size = norm(x)";
  if (starts_with(c, T_UPDATE) && kind == T_COMMA && expects(c, "`using`"))
    return "one scalar is minimized; add the losses: minimize a + 0.1 * b";
  if (starts_with(c, T_UPDATE) && kind == T_COMMA && expects(c, "`minimize`"))
    return "each target has an optimizer: update net minimize loss using sgd(lr: 0.1), other using sgd(lr: 0.1)";
  if (kind == T_FLOOR && c->found == c->first) return "a comment begins with `#`";
  if (kind == T_IS && expects(c, "`+`")) return help_for_equals(c);
  if (kind == T_COLON) return help_for_colon(c);
  if (kind == T_ASSIGN && starts_with(c, T_LET)) return "`let` takes `=`; `<-` assigns to a state";
  if (kind == T_ASSIGN) return "to compare with a negative number write x < -1";
  if (starts_with(c, T_MODULE) &&
      (kind == T_TO || kind == T_LBRACE || kind == T_LFIELDS || kind == T_NEWLINE || kind == T_LBRACKET))
    return help_for_module(c);
  if (starts_with(c, T_MODULE) && c->n == 1 && expects(c, "`:`"))
    return arena_print(c->p->arena, "an input has a shape: %s: [B, D]", token_text(c->p, c->before));
  if (starts_with(c, T_DATA) && kind == T_LFIELDS) return "the fields stand after `->`: -> { x: f32[B, P], y: i32[B] }";
  if (starts_with(c, T_FN) && kind == T_LBRACE) return "write fn f(x) = { ... }";
  if (c->found == c->first && is_binary(kind))
    return "a line goes on when the one before ends in an operator, or this one begins with `|>`";
  if (starts_with(c, T_PARAM) && (expects(c, "`=`") || expects(c, "`:`")) && (kind == T_NEWLINE || kind == T_IS))
    return "a parameter says how it begins: param w: [O, I] = kaiming(fan: I)";
  if (starts_with(c, T_STATE) && expects(c, "`=`") && kind == T_NEWLINE)
    return "a state says how it begins: state mean: [F] = zeros";
  if (kind == T_NEWLINE && c->before && c->before->kind == T_IS && begins_value(c->found[1].kind))
    return "the value begins on the line of its `=`";
  if (kind == T_IF && expects(c, "`+`")) return "where(c, a, b) chooses between values";
  if (kind == T_NAME && !strcmp(c->found->name, "then"))
    return "`if` chooses at compile time, if c { a } else { b }; where(c, a, b) chooses by values";
  if (begins_value(kind)) return help_for_words(c);
  return NULL;
}

/* ---- the cases with a sentence of their own ---- */

static bool special(const Complaint *c, const Span *at) {
  Parser *p = c->p;
  int kind = c->found->kind;
  const char *text = token_text(p, c->found);
  if (kind == T_SLIP) {
    report(p->d, WRONG_CHARACTER, at, "there is no `%s` in this language", text);
    report_help(p->d, "%s", SLIP(slips, text));
  } else if (c->before == c->first && c->first->kind == T_NAME && SLIP(foreign, c->first->name)) {
    report(p->d, WRONG_WORD, span_of(p, c->first->at), "there is no `%s` in this language", c->first->name);
    report_help(p->d, "%s", SLIP(foreign, c->first->name));
  } else if (c->before && c->before->kind == T_STRING && kind == T_NAME &&
             c->found->offset == c->before->offset + c->before->length) {
    report(p->d, WRONG_STRING, span_of(p, c->before->at), "the text ends right before `%s`", text);
    report_help(p->d, "a quote inside a text is written \\\"");
  } else if (is_comparison(kind) && expects(c, "`+`") && expects(c, "`and`")) {
    report(p->d, WRONG_SYNTAX, at, "comparisons do not chain");
    report_help(p->d, "write a < b and b < c");
  } else if (is_binary(kind) && expects(c, "`|>`") && !expects(c, "`+`")) {
    report(p->d, WRONG_SYNTAX, at, "`%s` cannot follow a `|>`, which binds loosest", text);
    report_help(p->d, "put the chain in brackets: (x |> f) %s ...", text);
  } else if (kind == T_ELSE) {
    report(p->d, WRONG_SYNTAX, at, "there is no `if` that this `else` belongs to");
  } else if (is_closer(kind) && !c->open && !(c->before && expects(c, "a number"))) {
    report(p->d, WRONG_BRACKET, at, "nothing is open that this `%s` could close", text);
  } else if (kind == T_ASSIGN && expects(c, "`+`")) {
    report(p->d, WRONG_ARROW, at, "`<-` assigns to a state: only a name that begins the statement can stand before it");
    report_help(p->d, "%s", help(c));
  } else {
    return false;
  }
  return true;
}

void complain(Parser *p, const Token *found, const char *const *expected, int n) {
  const Token *all = p->tokens.items;
  Complaint c = {p, found, NULL, &all[found->first], NULL, expected, n};
  if (found->kind == T_BAD) return; /* the lexer or the layout has said why */
  if (found->open >= 0) c.open = &all[found->open];
  if (found->kind == T_UNCLOSED) {
    complain_bracket(p, found, c.open);
    return;
  }
  if (found > c.first) c.before = found - 1;
  const Span *at = span_of(p, found->at);
  if (special(&c, at)) return;
  bool says_where = false;
  const char *want = wanted(&c, &says_where);
  bool bracket = strstr(want, " to close ") != NULL;
  if (c.before && !says_where)
    report(p->d, WRONG_SYNTAX, at, "expected %s after %s, found %s", want, quoted(&c, c.before), quoted(&c, found));
  else report(p->d, bracket ? WRONG_BRACKET : WRONG_SYNTAX, at, "expected %s, found %s", want, quoted(&c, found));
  if (bracket && c.open->at.line != found->at.line) report_note(p->d, span_of(p, c.open->at), "opened here");
  const char *advice = help(&c);
  if (advice) report_help(p->d, "%s", advice);
}

void complain_bracket(Parser *p, const Token *at, const Token *open) {
  Complaint c = {.p = p, .open = open};
  if (at->kind == T_UNCLOSED) report(p->d, WRONG_BRACKET, span_of(p, at->at), "expected %s", to_close(&c));
  else report(p->d, WRONG_BRACKET, span_of(p, at->at), "expected %s, found %s", to_close(&c), quoted(&c, at));
  if (open->at.line != at->at.line) report_note(p->d, span_of(p, open->at), "opened here");
}

static unsigned code_point(const unsigned char *text, int length) {
  unsigned c = length == 1 ? text[0] : text[0] & (0xFFu >> (length + 1));
  for (int i = 1; i < length; i++) c = c << 6 | (text[i] & 0x3F);
  return c;
}

void complain_character(Parser *p, const Span *at, const char *text, int length) {
  unsigned c = code_point((const unsigned char *)text, length);
  char shown[8] = {0};
  memcpy(shown, text, (size_t)length);
  if (length == 1 && c >= 0x80) report(p->d, WRONG_CHARACTER, at, "the byte 0x%02X is not UTF-8", c);
  else if (c < ' ' || c == 127) report(p->d, WRONG_CHARACTER, at, "a control character (0x%02X) cannot stand here", c);
  else if (length == 1) report(p->d, WRONG_CHARACTER, at, "`%s` means nothing in this language", shown);
  else report(p->d, WRONG_CHARACTER, at, "`%s` (U+%04X) means nothing in this language", shown, c);
  const char *help = SLIP(characters, shown);
  if (help) report_help(p->d, "%s", help);
}

/* `x<-1`: nobody can tell a comparison from an assignment. */
void complain_arrow(Parser *p, const Token *left, const Token *arrow, const Token *right) {
  const char *x = left->kind == T_NAME || left->kind == T_NUMBER ? token_text(p, left) : "x";
  const char *y = right->kind == T_NAME || right->kind == T_NUMBER ? token_text(p, right) : "...";
  bool begins = left == &p->tokens.items[left->first] && left->kind == T_NAME;
  report(p->d, WRONG_ARROW, span_of(p, arrow->at), "`<-` right before `%s` could compare or assign", y);
  if (begins) report_help(p->d, "write %s < -%s to compare, %s <- %s to assign to a state", x, y, x, y);
  else report_help(p->d, "write %s < -%s", x, y);
}
