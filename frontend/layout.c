/* layout.c - raw tokens to the tokens of the grammar.
 *
 * Three things that a context-free grammar says badly are settled here, so
 * that parser.y can be plain:
 *   - which line ends end a statement: not those inside brackets, after a
 *     binary operator or comma, or before a line that starts with `|>`, `.[`,
 *     `->` or `else`.  Every statement ends in exactly one T_NEWLINE, also
 *     before a `}` on its own line;
 *   - which words are keywords.  Most are only where a statement begins, or
 *     inside the one statement they belong to; elsewhere they are names;
 *   - which `{` opens a block of statements and which a list of fields.
 * A bracket that is still open when the next statement begins becomes a
 * T_UNCLOSED there, so that one slip costs one message and one statement.
 */
#include "frontend/parse.h"
#include "parser.h"

#include <string.h>

typedef struct Open {
  int token;      /* its index */
  int kind;
  int if_braces;  /* braces an `if` expression at this level still waits for */
} Open;

typedef struct Layout {
  Parser *p;
  const TokenList *raw;
  TokenList *out;
  int n_open;                  /* stack[0] is the file itself */
  Open stack[MAX_NESTING + 1];
  int blocks;
  int head;                    /* keyword the statement began with, 0 for none */
  int head_at;                 /* index of that keyword; in `every 1 epochs eval ...` of the inner one */
  int first;                   /* index of the statement's first token */
  int statement_open;          /* n_open where it began */
  bool at_head;                /* a statement may begin here */
} Layout;

/* ---- words ---- */

enum { FIRM = 1, CALLABLE = 2, BARE = 4, TOP = 8 };

/* Words that open a statement.  FIRM ones are keywords there whatever follows,
 * but for signs that only a name takes; the others only before a word, number
 * or text.  CALLABLE: `word(` is a call.  BARE: may stand alone.  TOP: cannot
 * stand in a block. */
static const struct { const char *word; int kind, flags; } heads[] = {
    {"use", T_USE, FIRM | CALLABLE | TOP}, {"dim", T_DIM, FIRM | CALLABLE},
    {"data", T_DATA, CALLABLE | TOP},      {"module", T_MODULE, FIRM | TOP},
    {"fn", T_FN, FIRM | TOP},              {"let", T_LET, FIRM},
    {"param", T_PARAM, FIRM | CALLABLE},   {"state", T_STATE, CALLABLE},
    {"if", T_IF, FIRM},                    {"for", T_FOR, FIRM},
    {"return", T_RETURN, FIRM},            {"train", T_TRAIN, CALLABLE | TOP},
    {"update", T_UPDATE, CALLABLE},        {"freeze", T_FREEZE, FIRM | CALLABLE},
    {"log", T_LOG, CALLABLE},              {"every", T_EVERY, FIRM},
    {"eval", T_EVAL, CALLABLE},            {"save", T_SAVE, CALLABLE | BARE},
    {"sample", T_SAMPLE, CALLABLE},        {"weights", T_WEIGHTS, CALLABLE | TOP},
    {"predict", T_PREDICT, FIRM | CALLABLE | TOP},
};

/* Words that are keywords everywhere. */
static const struct { const char *word; int kind; } reserved[] = {
    {"and", T_AND}, {"or", T_OR}, {"not", T_NOT}, {"true", T_TRUE}, {"false", T_FALSE}, {"if", T_IF}, {"else", T_ELSE},
};

static int reserved_kind(const Token *t) {
  if (t->kind != T_NAME) return 0;
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (!strcmp(t->name, reserved[i].word)) return reserved[i].kind;
  return 0;
}

static int head_index(const Token *t) {
  if (t->kind == T_NAME)
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
      if (!strcmp(t->name, heads[i].word)) return (int)i;
  return -1;
}

static bool is_operator(int kind) {
  switch (kind) {
  case T_PLUS: case T_MINUS: case T_STAR: case T_SLASH: case T_FLOOR: case T_PERCENT: case T_POWER: case T_MATMUL:
  case T_EQ: case T_NE: case T_LT: case T_LE: case T_GT: case T_GE: case T_AND: case T_OR: case T_PIPE:
    return true;
  default:
    return false;
  }
}

/* The keyword that raw token i is where a statement begins, or 0. */
static int head_kind(const Layout *l, int i) {
  const Token *t = &l->raw->items[i];
  int h = head_index(t);
  if (h < 0) return 0;
  const Token *next = &l->raw->items[i + 1];
  int follows = next->kind == T_NAME && reserved_kind(next) ? reserved_kind(next) : next->kind;
  bool starts = follows == T_NAME || follows == T_STRING || follows == T_NUMBER || follows == T_NOT ||
                follows == T_TRUE || follows == T_FALSE || (follows == T_IF && heads[h].kind != T_DATA);
  if (starts) return heads[h].kind;
  if (follows == T_NEWLINE || follows == T_RBRACE || follows == T_SEMICOLON || follows == T_END)
    return heads[h].flags & (FIRM | BARE) ? heads[h].kind : 0;
  if (!(heads[h].flags & FIRM)) return 0;
  if (follows == T_LPAREN) return heads[h].flags & CALLABLE ? 0 : heads[h].kind;
  bool sign = follows == T_MINUS || follows == T_LBRACKET; /* may begin a value: return -x */
  bool takes_value = heads[h].kind == T_RETURN || heads[h].kind == T_IF || heads[h].kind == T_EVERY;
  if (sign) return takes_value ? heads[h].kind : 0;
  return is_operator(follows) || follows == T_DOT || follows == T_REARRANGE || follows == T_ASSIGN || follows == T_COMMA
             ? 0 : heads[h].kind;
}

/* Whether raw token i surely begins a statement: two words in a row stand nowhere else. */
static bool begins_statement(const Layout *l, int i) {
  int kind = head_kind(l, i);
  if (!kind || kind == T_IF || reserved_kind(&l->raw->items[i + 1])) return false;
  int next = l->raw->items[i + 1].kind;
  return kind == T_RETURN || next == T_NAME || ((kind == T_USE || kind == T_EVERY) && next != T_LPAREN);
}

static const Token *last(const Layout *l) {
  static const Token none = {.kind = T_NEWLINE};
  return l->out->n ? &l->out->items[l->out->n - 1] : &none;
}

/* Words of one statement: keywords at its own level, where they can be meant. */
static int clause_kind(const Layout *l, const Token *t) {
  int position = l->out->n - l->head_at, before = last(l)->kind;
  const char *w = t->name;
  if (l->n_open != l->statement_open) return 0;
  bool value_begins = before == T_IN || before == T_FOR || before == T_MINIMIZE || before == T_USING;
  if (value_begins) return 0;
#define IS(text) !strcmp(w, text)
  switch (l->head) {
  case T_TRAIN:
    if (position == 2 && IS("in")) return T_IN;
    if (position > 3 && IS("for")) return T_FOR;
    if (position > 5 && IS("steps")) return T_STEPS;
    if (position > 5 && IS("epochs")) return T_EPOCHS;
    if ((before == T_STEPS || before == T_EPOCHS) && IS("with")) return T_WITH;
    return 0;
  case T_EVERY:
    if (position > 1 && IS("steps")) return T_STEPS;
    if (position > 1 && IS("epochs")) return T_EPOCHS;
    return 0;
  case T_EVAL: case T_PREDICT:
    return position == 2 && IS("in") ? T_IN : 0;
  case T_FOR:
    if (position == 2 && IS("in")) return T_IN;
    if (position < 4 || before == T_CARRY || before == T_COLLECT || before == T_COMMA) return 0;
    return IS("carry") ? T_CARRY : IS("collect") ? T_COLLECT : IS("remat") ? T_REMAT : 0;
  case T_UPDATE:
    if (position > 1 && IS("minimize")) return T_MINIMIZE;
    return position > 1 && before != T_COMMA && IS("using") ? T_USING : 0;
  case T_WEIGHTS:
    return position == 2 && IS("from") ? T_FROM : 0;
  case T_SAVE:
    return position != 1 ? 0 : IS("highest") ? T_HIGHEST : IS("lowest") ? T_LOWEST : 0;
  default:
    return 0;
  }
#undef IS
}

static int word_kind(const Layout *l, int i) {
  const Token *t = &l->raw->items[i], *next = &l->raw->items[i + 1];
  if (last(l)->kind == T_DOT || next->kind == T_COLON) return T_NAME;
  int kind = l->at_head ? head_kind(l, i) : 0;
  if (!kind) kind = reserved_kind(t);
  if (!kind) kind = clause_kind(l, t);
  return kind ? kind : T_NAME;
}

/* ---- tokens out ---- */

bool is_opener(int kind) {
  return kind == T_LPAREN || kind == T_LBRACKET || kind == T_REARRANGE || kind == T_LFIELDS || kind == T_LBRACE;
}

bool is_closer(int kind) { return kind == T_RPAREN || kind == T_RBRACKET || kind == T_RFIELDS || kind == T_RBRACE; }

static int closer_of(int opener) {
  switch (opener) {
  case T_LPAREN: return T_RPAREN;
  case T_LFIELDS: return T_RFIELDS;
  case T_LBRACE: return T_RBRACE;
  default: return T_RBRACKET;
  }
}

static Open *top(Layout *l) { return &l->stack[l->n_open]; }
static bool in_block(Layout *l) { return top(l)->kind == T_LBRACE || !l->n_open; }

static void emit(Layout *l, int kind, Token t) {
  Parser *p = l->p;
  t.kind = kind;
  t.block = l->blocks;
  t.open = l->n_open ? top(l)->token : -1;
  if (l->at_head && kind != T_NEWLINE) {
    if (last(l)->kind == T_NEWLINE || last(l)->kind == T_LBRACE) l->first = l->out->n;
    l->statement_open = l->n_open;
  }
  t.first = l->first;
  LIST_PUSH(p->arena, l->out->items, l->out->n, t);
  if (t.length && t.at.line <= p->n_lines) p->line_end[t.at.line] = t.at.end_column;
}

/* A token of no length just after the last one. */
static Token after(const Layout *l) {
  Token t = *last(l);
  t.at = (Range){t.at.end_line, t.at.end_column, t.at.end_line, t.at.end_column + 1};
  t.offset += t.length;
  t.length = 0;
  t.leads = false;
  return t;
}

static bool statement_open(const Layout *l) {
  return l->out->n && last(l)->kind != T_NEWLINE && last(l)->kind != T_LBRACE;
}

static void end_statement(Layout *l) {
  if (statement_open(l)) emit(l, T_NEWLINE, after(l));
  top(l)->if_braces = 0;
  l->head = 0;
  l->at_head = true;
}

static void pop(Layout *l) {
  if (top(l)->kind == T_LBRACE) l->blocks--;
  l->n_open--;
}

/* Leave ( and [ that were never closed, with a token that says so. */
static void leave_brackets(Layout *l) {
  if (!in_block(l)) emit(l, T_UNCLOSED, after(l));
  while (!in_block(l)) pop(l);
}

static void close_block(Layout *l, Token t) {
  end_statement(l);
  emit(l, T_RBRACE, t);
  pop(l);
  l->at_head = false;
}

static void close_missing_blocks(Layout *l, const Token *at) {
  end_statement(l);
  complain_bracket(l->p, at, &l->out->items[top(l)->token]);
  while (l->n_open) {
    Token made = after(l);
    close_block(l, made);
    end_statement(l);
  }
}

static int brace_kind(Layout *l) {
  int before = last(l)->kind;
  if (top(l)->if_braces > 0) return top(l)->if_braces--, T_LFIELDS;
  if (!in_block(l) || l->head == T_WEIGHTS || l->head == T_DATA) return T_LFIELDS;
  return l->head == T_PREDICT && (before == T_IN || before == T_NAME) ? T_LFIELDS : T_LBRACE;
}

static bool open_bracket(Layout *l, int kind, const Token *t) {
  if (l->n_open == MAX_NESTING) {
    report(l->p->d, WRONG_SIZE, span_of(l->p, t->at), "brackets and blocks are nested more than %d deep here",
           MAX_NESTING);
    return false;
  }
  if (kind == T_LBRACE && t->kind == T_LBRACE) kind = brace_kind(l);
  emit(l, kind, *t);
  l->stack[++l->n_open] = (Open){l->out->n - 1, kind, 0};
  l->at_head = kind == T_LBRACE;
  if (kind == T_LBRACE) l->blocks++, l->head = 0;
  return true;
}

static bool closes(const Open *open, int kind) {
  return closer_of(open->kind) == kind || (kind == T_RBRACE && open->kind == T_LFIELDS);
}

/* `)`, `]` or `}`.  One that fits nothing is left to the grammar to reject. */
static void close_bracket(Layout *l, const Token *t) {
  int at = l->n_open;
  if (t->kind == T_RBRACE) {
    while (at && !closes(&l->stack[at], T_RBRACE)) at--;
    if (at && at < l->n_open) {
      emit(l, T_UNCLOSED, after(l));
      while (l->n_open > at) pop(l);
    }
    if (at && top(l)->kind == T_LBRACE) {
      close_block(l, *t);
      return;
    }
  } else {
    while (at && l->stack[at].kind != T_LBRACE && !closes(&l->stack[at], t->kind)) at--;
    if (!at || l->stack[at].kind == T_LBRACE) at = in_block(l) ? 0 : l->n_open; /* `(a]`: the wrong one of the pair */
  }
  emit(l, at && t->kind == T_RBRACE ? T_RFIELDS : t->kind, *t);
  while (at && l->n_open >= at) pop(l);
}

/* ---- line ends ---- */

static void end_of_line(Layout *l, int i) {
  int j = i + 1; /* the lexer gives one token for line ends in a row */
  const Token *next = &l->raw->items[j];
  if (!in_block(l)) {
    if (top(l)->kind == T_REARRANGE || !begins_statement(l, j)) return;
    leave_brackets(l);
    end_statement(l);
    return;
  }
  if (!statement_open(l)) return;
  bool continued = is_operator(last(l)->kind) || last(l)->kind == T_COMMA;
  if (continued && !begins_statement(l, j) && next->kind != T_RBRACE && next->kind != T_END) return;
  if (next->kind == T_PIPE || next->kind == T_REARRANGE || next->kind == T_TO || reserved_kind(next) == T_ELSE) return;
  if (next->kind == T_LBRACE) {
    report(l->p->d, WRONG_SYNTAX, span_of(l->p, next->at), "a line cannot begin with `{`");
    report_help(l->p->d, "put it at the end of the line before");
    return;
  }
  end_statement(l);
}

/* A word at the very left that never stands in a block: a `}` is missing before it. */
static bool begins_outside(const Layout *l, int i) {
  const Token *t = &l->raw->items[i];
  int h = head_index(t);
  return h >= 0 && heads[h].flags & TOP && t->leads && t->at.column == 1 && l->at_head && begins_statement(l, i);
}

static void word(Layout *l, int i) {
  const Token *t = &l->raw->items[i];
  if (l->blocks && begins_outside(l, i)) close_missing_blocks(l, t);
  int kind = word_kind(l, i);
  bool chosen = kind == T_IF && !l->at_head; /* `if` as an expression, or after a statement's `else` */
  if (chosen && last(l)->kind == T_ELSE) top(l)->if_braces += top(l)->if_braces > 0;
  else if (chosen) top(l)->if_braces += 2;
  bool head = l->at_head;
  emit(l, kind, *t);
  if (head) l->head = kind, l->head_at = l->out->n - 1;
  l->at_head = l->head == T_EVERY && (kind == T_STEPS || kind == T_EPOCHS);
}

static void arrow(Layout *l, int i) {
  const Token *t = &l->raw->items[i], *next = t + 1;
  if (next->kind != T_NEWLINE && next->offset == t->offset + t->length && l->out->n) {
    complain_arrow(l->p, last(l), t, next);
    emit(l, T_BAD, *t);
  } else {
    emit(l, T_ASSIGN, *t);
  }
}

static void end_of_file(Layout *l, const Token *end) {
  leave_brackets(l);
  end_statement(l);
  if (l->n_open) close_missing_blocks(l, end);
  emit(l, T_END, *end);
}

void lay_out(Parser *p, const TokenList *raw) {
  Layout l = {.p = p, .raw = raw, .out = &p->tokens, .at_head = true};
  const Token *end = &raw->items[raw->n - 1];
  p->n_lines = end->at.line;
  p->line_end = arena_alloc(p->arena, sizeof *p->line_end * (size_t)(p->n_lines + 1));
  for (int i = 0; i < raw->n - 1; i++) {
    const Token *t = &raw->items[i];
    switch (t->kind) {
    case T_NEWLINE: end_of_line(&l, i); continue;
    case T_SEMICOLON:
      if (in_block(&l)) end_statement(&l);
      else emit(&l, T_SEMICOLON, *t);
      continue;
    case T_NAME: word(&l, i); continue;
    case T_ASSIGN: arrow(&l, i); break;
    case T_LPAREN: case T_LBRACKET: case T_REARRANGE: case T_LBRACE:
      if (open_bracket(&l, t->kind, t)) continue;
      emit(&l, T_BAD, *t);
      while (l.n_open) { /* nested too deep: give up on the rest of the file, quietly */
        if (in_block(&l)) close_block(&l, after(&l));
        else emit(&l, T_BAD, after(&l)), leave_brackets(&l);
      }
      end_statement(&l);
      emit(&l, T_END, *end);
      return;
    case T_RPAREN: case T_RBRACKET: case T_RBRACE: close_bracket(&l, t); break;
    default: emit(&l, t->kind, *t);
    }
    l.at_head = false;
  }
  end_of_file(&l, end);
}
