/* format.c - the one layout of a model's text: `mtc fmt`.
 *
 * It prints the file's own tokens again, so the tree cannot change: only the
 * space between tokens does.  A statement has one line, but for
 *   - a line break before a `|>`, which is kept;
 *   - a break after a comment inside the statement, which is needed;
 *   - lines of more than 100 columns, broken before their outermost `|>`s, or
 *     where they have none after the last outermost comma that fits.
 * Breaks after commas are not kept, so that the same tokens always give the
 * same lines and formatting twice changes nothing.  Comments stay between the
 * tokens they stand between, and of several blank lines one is left.
 */
#include "frontend/frontend.h"
#include "frontend/parse.h"
#include "parser.h"

#include <string.h>

enum { WIDTH = 100, STEP = 2 };

typedef struct Piece { /* one token of a statement, as it will be printed */
  const char *text;
  int length, width;
  int depth;          /* brackets open around it */
  bool space;         /* a space before it, when it does not begin a line */
  bool pipe;          /* a line may begin with it: `|>` */
  bool may_break;     /* a line may begin here: after a comma, a sum's or a choice's sign */
  bool breaks;        /* a line does begin here */
  int comment;        /* comments first printed before it: [comment, comment + n_comments) */
  int n_comments;
} Piece;

typedef struct Printer {
  Text *out;
  const File *file;
  int token, comment;  /* the next of each */
  int level;           /* blocks open */
  int line;            /* source line of what was printed last, 0 at first */
  bool fresh;          /* nothing printed yet in this block */
  int n, room;
  Piece *pieces;
  Arena *arena;
} Printer;

/* ---- spaces ---- */

static bool ends_value(int kind) {
  return kind == T_NAME || kind == T_NUMBER || kind == T_STRING || kind == T_TRUE || kind == T_FALSE || is_closer(kind);
}

/* In [ ] a colon is a slice's, but for a label's: `|> name:` */
static bool slice_colon(const Token *all, const Token *t) {
  return t->open >= 0 && all[t->open].kind == T_LBRACKET && !(t[-1].kind == T_NAME && t[-2].kind == T_PIPE);
}

/* A sign that has only one operand: unary minus, and the star of *s. */
static bool is_prefix(const Token *all, const Token *t) {
  return (t->kind == T_MINUS || t->kind == T_STAR) && (t == all || !ends_value(t[-1].kind));
}

/* In a pattern brackets and names stand in a row: (3 H E). */
static bool in_pattern(const Token *all, const Token *t) {
  if (t->open < 0) return false;
  const Token *open = &all[t->open];
  if (open->kind == T_LPAREN && open->open >= 0) open = &all[open->open];
  return open->kind == T_REARRANGE;
}

static bool space_between(const Token *all, const Token *a, const Token *b) {
  int left = a->kind, right = b->kind;
  if (left == T_LBRACE || right == T_RBRACE) return true;
  if (left == T_LFIELDS || right == T_RFIELDS) return left != T_LFIELDS || right != T_RFIELDS;
  if (left == T_LPAREN || left == T_LBRACKET || left == T_REARRANGE || left == T_DOT) return false;
  if (right == T_RPAREN || right == T_RBRACKET || right == T_COMMA) return false;
  if (right == T_DOT || right == T_REARRANGE) return left == T_NUMBER; /* 2.x would be a number */
  if (left == T_RANGE || right == T_RANGE) return false;
  if (right == T_COLON) return slice_colon(all, b) && left == T_COMMA;
  if (left == T_COLON) return !slice_colon(all, a);
  if (is_prefix(all, a)) return false;
  if (right == T_LPAREN) return !ends_value(left) || in_pattern(all, b);
  if (right == T_LBRACKET) return !ends_value(left);
  return true;
}

/* ---- one statement's tokens as pieces ---- */

static bool before(const Comment *c, const Token *t) {
  return c->line < t->at.line || (c->line == t->at.line && c->column < t->at.column);
}

static int columns(const char *text, int length) {
  int n = 0;
  for (int i = 0; i < length; i++) n += ((unsigned char)text[i] & 0xC0) != 0x80;
  return n;
}

/* A sign between two operands of the loosest operators, which stands between spaces. */
static bool is_sum(const Piece *piece) {
  static const char *const signs[] = {"+", "-", "and", "or"};
  for (int i = 0; piece->space && i < 4; i++)
    if ((size_t)piece->length == strlen(signs[i]) && !memcmp(piece->text, signs[i], strlen(signs[i]))) return true;
  return false;
}

static void add_piece(Printer *p, const Token *t) {
  const Token *all = p->file->tokens;
  Piece piece = {.text = p->file->source->text + t->offset, .length = t->length};
  piece.width = columns(piece.text, piece.length);
  for (int open = t->open; open >= 0 && all[open].kind != T_LBRACE; open = all[open].open) piece.depth++;
  if (p->n) {
    piece.space = space_between(all, t - 1, t);
    piece.pipe = t->kind == T_PIPE;
    piece.may_break = t[-1].kind == T_COMMA || (piece.space && is_sum(&p->pieces[p->n - 1]));
    piece.breaks = piece.pipe && t->leads;
  }
  piece.comment = p->comment;
  while (p->n && p->comment < p->file->n_comments && before(&p->file->comments[p->comment], t)) p->comment++;
  piece.n_comments = p->comment - piece.comment;
  piece.breaks |= piece.n_comments > 0;
  LIST_PUSH(p->arena, p->pieces, p->n, piece);
}

/* A comma before a closing bracket adds nothing and goes. */
static bool is_dropped(const Token *t) { return t->kind == T_COMMA && is_closer(t[1].kind); }

/* ---- lines ---- */

static int indent_of(const Printer *p, int i) { return STEP * (p->level + (i ? 1 + p->pieces[i].depth : 0)); }

static int line_end(const Printer *p, int from) {
  int i = from + 1;
  while (i < p->n && !p->pieces[i].breaks) i++;
  return i;
}

static int width_of(const Printer *p, int from, int i) { return p->pieces[i].width + (i > from && p->pieces[i].space); }

static bool fits(const Printer *p, int from, int to) {
  int width = indent_of(p, from);
  for (int i = from; i < to && width <= WIDTH; i++) width += width_of(p, from, i);
  return width <= WIDTH;
}

/* Break an overlong line before all of its outermost soft pipes; false when it has none. */
static bool break_at_pipes(Printer *p, int from, int to) {
  int depth = -1;
  for (int i = from + 1; i < to; i++)
    if (p->pieces[i].pipe && (depth < 0 || p->pieces[i].depth < depth)) depth = p->pieces[i].depth;
  for (int i = from + 1; i < to && depth >= 0; i++)
    if (p->pieces[i].pipe && p->pieces[i].depth == depth) p->pieces[i].breaks = true;
  return depth >= 0;
}

/* Where an overlong line breaks: after the last outermost comma or sign before
 * which it fits, else after its first, else nowhere (`to`). */
static int break_point(const Printer *p, int from, int to) {
  int best = to, width = indent_of(p, from);
  for (int i = from; i < to && (width < WIDTH || best == to); i++) {
    bool can = i > from && p->pieces[i].may_break;
    if (can && (best == to || p->pieces[i].depth <= p->pieces[best].depth)) best = i;
    width += width_of(p, from, i);
  }
  return best;
}

static void break_lines(Printer *p) {
  for (int from = 0; from < p->n;) {
    int to = line_end(p, from);
    if (!fits(p, from, to) && break_at_pipes(p, from, to)) continue;
    while (from < to && !fits(p, from, to)) {
      from = break_point(p, from, to);
      if (from < to) p->pieces[from].breaks = true;
    }
    from = to;
  }
}

/* ---- out ---- */

static void indent(Printer *p, int spaces) { text_add(p->out, "%*s", spaces, ""); }

static void print_pieces(Printer *p) {
  const Comment *comments = p->file->comments;
  indent(p, indent_of(p, 0));
  for (int i = 0; i < p->n; i++) {
    const Piece *piece = &p->pieces[i];
    for (int c = piece->comment; c < piece->comment + piece->n_comments; c++) {
      if (comments[c].trailing) text_add(p->out, "  ");
      else text_add(p->out, "\n"), indent(p, indent_of(p, i));
      text_add(p->out, "%s", comments[c].text);
    }
    if (piece->breaks) text_add(p->out, "\n"), indent(p, indent_of(p, i));
    else if (piece->space) text_add(p->out, " ");
    text_add_bytes(p->out, piece->text, (size_t)piece->length);
  }
}

static void blank_line(Printer *p, int line) {
  if (!p->fresh && p->line && line > p->line + 1) text_add(p->out, "\n");
  p->fresh = false;
}

/* Comments on lines of their own before `line` at the present level. */
static void comments_before(Printer *p, const Token *t) {
  for (; p->comment < p->file->n_comments && before(&p->file->comments[p->comment], t); p->comment++) {
    const Comment *c = &p->file->comments[p->comment];
    blank_line(p, c->line);
    indent(p, STEP * p->level);
    text_add(p->out, "%s\n", c->text);
    p->line = c->line;
  }
}

/* The line is done: with the comment that stands behind it. */
static void end_line(Printer *p, int line) {
  const Comment *c = p->comment < p->file->n_comments ? &p->file->comments[p->comment] : NULL;
  if (c && c->trailing && c->line == line && before(c, &p->file->tokens[p->token])) {
    text_add(p->out, "  %s", c->text);
    p->comment++;
  }
  text_add(p->out, "\n");
  p->line = line;
}

/* The `}` of a block when it stands on one line with its `{`, holds at most one
 * statement and fits; else NULL. */
static const Token *one_line_block(const Printer *p, const Token *brace) {
  const Token *t = brace + 1;
  int width = indent_of(p, 0);
  for (int i = 0; i < p->n; i++) width += width_of(p, 0, i);
  for (; t->kind != T_RBRACE; t++) {
    if (t->kind == T_END || t->kind == T_LBRACE || t->at.line != brace->at.line) return NULL;
    if (t->kind == T_NEWLINE && t[1].kind != T_RBRACE) return NULL;
    if (t->kind != T_NEWLINE) width += columns(p->file->source->text + t->offset, t->length) + 1;
  }
  return t->at.line == brace->at.line && width + 2 <= WIDTH ? t : NULL;
}

/* Tokens up to the end of a statement or to a `{` whose block has lines of its own. */
static void print_line(Printer *p) {
  const Token *t = &p->file->tokens[p->token], *last = t, *inside = NULL; /* inside: end of a block on this line */
  comments_before(p, t);
  blank_line(p, t->at.line);
  p->n = 0;
  for (; t->kind != T_END && (t->kind != T_NEWLINE || t < inside); t++) {
    if (t->kind == T_NEWLINE || is_dropped(t)) continue;
    add_piece(p, t);
    last = t;
    if (t->kind == T_LBRACE && !(inside = one_line_block(p, t))) break;
  }
  p->token = (int)(t - p->file->tokens) + (t->kind != T_END);
  break_lines(p);
  print_pieces(p);
  end_line(p, last->at.line);
  if (last->kind == T_LBRACE) p->level++, p->fresh = true;
}

void format_file(Text *out, const File *file) {
  Printer p = {.out = out, .file = file, .fresh = true, .arena = arena_new()};
  const Token *t;
  while ((t = &file->tokens[p.token])->kind != T_END) {
    if (t->kind == T_RBRACE) {
      comments_before(&p, t);
      p.level--;
      p.fresh = true; /* no blank line before a closing brace */
    }
    print_line(&p);
  }
  comments_before(&p, t);
  text_add(out, "%s", ""); /* an empty file gives an empty text, not none */
  arena_free(p.arena);
}

char *format(const Source *source, Arena *arena, Diagnostics *d) {
  int before = diagnostics_errors(d);
  File *file = parse(source, arena, d);
  if (diagnostics_errors(d) > before) return NULL;
  Text text = {0};
  format_file(&text, file);
  return text_take(&text, arena);
}
