/* mutate.c - writes C files with faults in them, all at once, each behind a switch.
 *
 *   mutate OUT_FOLDER FILE...
 *
 * Each place where a programmer could have slipped becomes an expression of
 * the global mtc_mutant: `i < n` becomes `i < (mtc_mutant == 17) + n`.  With
 * mtc_mutant 0 the files mean what they meant.  So all mutants are compiled
 * once; the list of them goes to standard output, with tabs between: number,
 * place, and a name that stays when lines move: file, function, the line's text
 * and what is wrong with it (the second such on equal lines, #2).
 * It works on tokens and knows only so much C as our own sources use.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 60000, MOST_MUTANTS = 6000 };

typedef enum Kind { WORD, NUMBER, SIGN, OTHER } Kind; /* OTHER: space, comments, texts, preprocessor lines */

typedef struct Token {
  Kind kind;
  const char *text;
  int length, line;
  int match;           /* of a bracket: its partner */
  bool in_body;        /* inside a function, not in a static table */
  int function;        /* whose body it is: the token that names it */
  bool in_brackets;    /* inside [ ] */
  char *before, *after, *instead; /* what the mutants add */
} Token;

static Token tokens[MOST_TOKENS];
static int n_tokens, n_mutants;
static const char *path;

/* ---- reading ---- */

static bool is(int i, const char *text) {
  return i >= 0 && i < n_tokens && (int)strlen(text) == tokens[i].length && !memcmp(tokens[i].text, text, strlen(text));
}

/* The next token that is no space, or the one before. */
static int step(int i, int by) {
  do i += by;
  while (i >= 0 && i < n_tokens && tokens[i].kind == OTHER && tokens[i].text[0] != '"' && tokens[i].text[0] != '\'');
  return i;
}

static int other_length(const char *at, bool fresh_line) {
  const char *end = at;
  if (isspace((unsigned char)*at)) {
    while (isspace((unsigned char)*end)) end++;
  } else if (*at == '/' && at[1] == '*') {
    end = strstr(at, "*/") + 2;
  } else if (*at == '/' && at[1] == '/') {
    end += strcspn(at, "\n");
  } else if (*at == '#' && fresh_line) {
    do end += strcspn(end, "\n") + 1;
    while (end[-2] == '\\');
    end--;
  } else if (*at == '"' || *at == '\'') {
    for (end++; *end != *at; end++) end += *end == '\\';
    end++;
  }
  return (int)(end - at);
}

static int sign_length(const char *at) {
  static const char *const signs[] = {"<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=",
                                      "&&",  "||",  "+=",  "-=", "*=", "/=", "%=", "|=", "&=", "^="};
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (!strncmp(at, signs[i], strlen(signs[i]))) return (int)strlen(signs[i]);
  return 1;
}

static void tokenize(const char *at) {
  int line = 1;
  bool fresh = true;
  for (n_tokens = 0; *at; n_tokens++) {
    if (n_tokens == MOST_TOKENS) exit(2);
    Token *t = &tokens[n_tokens];
    *t = (Token){.kind = OTHER, .text = at, .line = line, .length = other_length(at, fresh)};
    if (t->length) {
    } else if (isalpha((unsigned char)*at) || *at == '_') {
      t->kind = WORD;
      while (isalnum((unsigned char)at[t->length]) || at[t->length] == '_') t->length++;
    } else if (isdigit((unsigned char)*at)) {
      t->kind = NUMBER;
      while (isalnum((unsigned char)at[t->length]) || at[t->length] == '.' ||
             (strchr("+-", at[t->length]) && tolower((unsigned char)at[t->length - 1]) == 'e' && at[1] != 'x'))
        t->length++;
    } else {
      t->kind = SIGN;
      t->length = sign_length(at);
    }
    for (int i = 0; i < t->length; i++) {
      if (at[i] == '\n') line++, fresh = true;
      else if (!isspace((unsigned char)at[i])) fresh = false;
    }
    at += t->length;
  }
}

static void match_brackets(void) {
  int open[512], depth = 0, square = 0;
  for (int i = 0; i < n_tokens; i++) {
    Token *t = &tokens[i];
    t->in_brackets = square > 0;
    if (t->kind != SIGN || t->length != 1) continue;
    if (strchr("([{", *t->text)) open[depth++] = i, square += *t->text == '[';
    if (!strchr(")]}", *t->text) || !depth) continue;
    square -= *t->text == ']';
    t->match = open[--depth];
    tokens[t->match].match = i;
  }
}

/* From `{` behind `)` at file level to its end; what begins with `static`, `enum` or `case` in it is left alone. */
static void find_bodies(void) {
  for (int i = 0; i < n_tokens; i++) {
    if (!is(i, "{") || tokens[i].in_body) continue;
    int end = tokens[i].match;
    if (is(step(i, -1), ")"))
      for (int k = i; k < end; k++) tokens[k].in_body = true, tokens[k].function = step(tokens[step(i, -1)].match, -1);
    i = end;
  }
  bool fixed = false;
  int depth = 0;
  for (int i = 0; i < n_tokens; i++) {
    if (!fixed && tokens[i].in_body) fixed = is(i, "case") || is(i, "static") || is(i, "enum");
    depth += fixed && is(i, "{");
    depth -= fixed && is(i, "}");
    if (fixed && depth == 0 && (is(i, ";") || is(i, ":"))) fixed = false;
    if (fixed) tokens[i].in_body = false;
  }
}

/* ---- mutants ---- */

static char *append(char *old, const char *more) {
  size_t length = old ? strlen(old) : 0;
  char *text = realloc(old, length + strlen(more) + 1);
  strcpy(text + length, more);
  return text;
}

static char *prepend(char *old, const char *more) {
  char *text = append(append(NULL, more), old ? old : "");
  free(old);
  return text;
}

/* The line of token i, without the space around it. */
static void print_line(char *text, size_t room, int i) {
  const char *start = tokens[i].text, *end = start + strcspn(start, "\n");
  while (start > tokens[0].text && start[-1] != '\n') start--;
  while (isspace((unsigned char)*start)) start++;
  snprintf(text, room, "%.*s", (int)(end - start), start);
}

static int mutant(int i, const char *what) {
  static char names[MOST_MUTANTS][384];
  char line[256], *name = names[n_mutants];
  const Token *function = &tokens[tokens[i].function];
  if (n_mutants == MOST_MUTANTS) exit(2);
  print_line(line, sizeof line, i);
  snprintf(name, sizeof names[0], "%s %.*s: %s (%s)", path, function->length, function->text, line, what);
  int equal = 1;
  for (int k = 0; k < n_mutants; k++) equal += !strcmp(names[k], name);
  printf("%d\t%s:%d\t%s", ++n_mutants, path, tokens[i].line, name);
  if (equal > 1) printf(" #%d", equal);
  putchar('\n');
  return n_mutants;
}

static char *words(const char *format, int k) {
  static char text[256];
  snprintf(text, sizeof text, format, k);
  return text;
}

/* if (c) -> if (!c) */
static void mutate_condition(int i) {
  int open = step(i, 1);
  if (!is(i, "if") || !is(open, "(")) return;
  int close = tokens[open].match;
  tokens[open].after = append(tokens[open].after, words("(mtc_mutant == %d) != !!(", mutant(i, "the condition is negated")));
  tokens[close].before = prepend(tokens[close].before, ")");
}

static bool is_control(int i) { return is(i, "if") || is(i, "for") || is(i, "while") || is(i, "switch"); }

/* Does { open a block, not a list of values? */
static bool is_block(int brace) {
  int before = step(brace, -1);
  if (before < 0) return false;
  if (is(before, ")")) return is_control(step(tokens[before].match, -1)) || !tokens[before].in_body;
  return is(before, ";") || is(before, "}") || is(before, "else") || is(before, "do") || (is(before, "{") && is_block(before));
}

/* The end of the statement that begins at i, or -1 when it is a declaration or none that can go. */
static int statement_end(int i) {
  static const char *const keywords[] = {"return", "if", "for", "while", "do", "switch", "else", "break", "continue", "case",
                                         "default", "static", "const", "int", "bool", "char", "double", "size_t",
                                         "int64_t", "uint64_t", "unsigned", "enum", "struct", "goto"};
  for (size_t k = 0; k < sizeof keywords / sizeof *keywords; k++)
    if (is(i, keywords[k])) return -1;
  int next = step(i, 1);
  bool acts = is(next, "(") || is(next, "=") || is(next, "->") || is(next, ".") || is(next, "[") || is(next, "+=") ||
              is(next, "|=") || is(next, "++") || is(next, "--") || is(next, "&=");
  if (tokens[i].kind != WORD || !acts) return -1;
  while (i < n_tokens && !is(i, ";")) i = is(i, "(") || is(i, "{") || is(i, "[") ? tokens[i].match + 1 : i + 1;
  return i;
}

/* f(x); -> nothing */
static void mutate_statement(int i) {
  int before = step(i, -1), end;
  bool starts = is(before, ";") || (is(before, "{") && is_block(before)) || is(before, "}") || is(before, "else") ||
                (is(before, ")") && is_control(step(tokens[before].match, -1)));
  for (int k = i; starts && k >= 0 && !is(k, "{") && !is(k, "}"); k--)
    if (is(k, "for") && tokens[step(k, 1)].match > i) starts = false; /* inside for (...) */
  if (!starts || (end = statement_end(i)) < 0) return;
  tokens[i].before = prepend(tokens[i].before, words("{ if (mtc_mutant != %d) ", mutant(i, "the statement is left out")));
  tokens[end].after = append(tokens[end].after, " }");
}

/* mul(s, a, b) -> quotient(s, a, b): the gradient rules' short words */
static void mutate_call(int i) {
  static const char *const other[][2] = {{"add", "sub"}, {"sub", "add"}, {"mul", "quotient"}, {"quotient", "mul"},
                                         {"zero_where", "pass_where"}, {"pass_where", "zero_where"}};
  for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
    if (!is(i, other[k][0]) || !is(step(i, 1), "(")) continue;
    char what[64], text[128];
    snprintf(what, sizeof what, "%s instead of %s", other[k][1], other[k][0]);
    snprintf(text, sizeof text, "(mtc_mutant == %d ? %s : %s)", mutant(i, what), other[k][1], other[k][0]);
    tokens[i].instead = append(NULL, text);
    return;
  }
}

/* OP_add -> OP_sub */
static void mutate_op(int i) {
  static const char *const other[][2] = {
      {"add", "sub"}, {"sub", "add"}, {"mul", "div"}, {"div", "mul"}, {"neg", "copy"}, {"exp", "log"}, {"sin", "cos"},
      {"cos", "sin"}, {"le", "lt"}, {"lt", "le"}, {"ge", "gt"}, {"gt", "ge"}, {"eq", "ne"}, {"ne", "eq"}, {"max", "min"},
      {"min", "max"}, {"sum", "max"}, {"sign", "copy"}, {"maximum", "minimum"}, {"minimum", "maximum"}, {"sqrt", "rsqrt"}};
  if (tokens[i].kind != WORD || strncmp(tokens[i].text, "OP_", 3)) return;
  for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
    if ((int)strlen(other[k][0]) != tokens[i].length - 3 || strncmp(tokens[i].text + 3, other[k][0], strlen(other[k][0])))
      continue;
    char what[64], text[128];
    snprintf(what, sizeof what, "OP_%s instead of OP_%s", other[k][1], other[k][0]);
    snprintf(text, sizeof text, "(mtc_mutant == %d ? OP_%s : OP_%s)", mutant(i, what), other[k][1], other[k][0]);
    tokens[i].instead = append(NULL, text);
    return;
  }
}

/* -1, which stands for none: one less would stand for it as well. */
static bool is_none(int i) {
  int sign = step(i, -1), before = step(sign, -1);
  return is(i, "1") && is(sign, "-") && tokens[before].kind != NUMBER && !is(before, ")") && !is(before, "]") &&
         (tokens[before].kind != WORD || is(before, "return"));
}

static bool is_relation(int i) { return is(i, "<") || is(i, "<=") || is(i, ">") || is(i, ">="); }

/* A number that is no fault of its own when it is one more: `= {0}` is how C says empty, more memory than is needed
 * does no harm, and of `i > 0` the relation's fault is the same. */
static bool is_harmless(int i) {
  static const char *const ends[] = {")", ";", "&&", "||", "?", ","};
  int before = step(i, -1), after = step(i, 1);
  if (is(i, "0") && is(before, "{") && is(after, "}")) return true;
  for (int k = i; k >= 0 && !is(k, ";") && !is(k, "{"); k--)
    if ((is(k, "arena_alloc") || is(k, "realloc")) && tokens[step(k, 1)].match > i) return true;
  for (size_t k = 0; is_relation(before) && k < sizeof ends / sizeof *ends; k++)
    if (is(after, ends[k])) return true;
  return false;
}

/* 2 -> 3 */
static void mutate_number(int i) {
  if (tokens[i].kind != NUMBER || tokens[i].in_brackets || is_harmless(i)) return;
  char text[128], what[96];
  if (is_none(i)) {
    tokens[i].instead = append(NULL, words("(1 - (mtc_mutant == %d))", mutant(i, "-1 is 0")));
    return;
  }
  snprintf(what, sizeof what, "%.*s is one more", tokens[i].length, tokens[i].text);
  snprintf(text, sizeof text, "(%.*s + (mtc_mutant == %d))", tokens[i].length, tokens[i].text, mutant(i, what));
  tokens[i].instead = append(NULL, text);
}

/* i < n -> i < n + 1 */
static void mutate_relation(int i) {
  if (is_relation(i))
    tokens[i].after = append(tokens[i].after, words(" (mtc_mutant == %d) +", mutant(i, "the right side is one more")));
  else if (is(i, "&&"))
    tokens[i].after = append(tokens[i].after, words(" mtc_mutant != %d &&", mutant(i, "`and` is never true")));
  else if (is(i, "||"))
    tokens[i].after = append(tokens[i].after, words(" mtc_mutant == %d ||", mutant(i, "`or` is always true")));
}

/* return c; -> return !c; in a function that returns bool */
static void mutate_return(int i, bool returns_bool) {
  if (!is(i, "return") || !returns_bool) return;
  int end = i;
  while (!is(end, ";")) {
    if (is(end, ",") ) return; /* return f(), false; is left to the statements */
    end = is(end, "(") || is(end, "{") || is(end, "[") ? tokens[end].match + 1 : end + 1;
  }
  tokens[i].after = append(tokens[i].after, words(" (mtc_mutant == %d) != !!(", mutant(i, "the answer is negated")));
  tokens[end].before = prepend(tokens[end].before, ")");
}

static bool returns_bool(int brace) {
  int close = step(brace, -1), name = step(tokens[close].match, -1), type = step(name, -1);
  return is(type, "bool");
}

static void mutate_file(void) {
  bool is_bool = false;
  for (int i = 0; i < n_tokens; i++) {
    int before = step(i, -1);
    if (is(i, "{") && tokens[i].in_body && before >= 0 && !tokens[before].in_body) is_bool = returns_bool(i);
    if (!tokens[i].in_body) continue;
    mutate_condition(i);
    mutate_return(i, is_bool);
    if (strstr(path, "gradient_rules")) mutate_call(i);
    mutate_op(i);
    mutate_number(i);
    mutate_relation(i);
  }
  for (int i = 0; i < n_tokens; i++)
    if (tokens[i].in_body && tokens[i].kind == WORD) mutate_statement(i);
}

/* ---- files ---- */

static char *read_file(const char *name) {
  FILE *in = fopen(name, "rb");
  if (!in) perror(name), exit(1);
  char *text = calloc(1, 1 << 20);
  if (fread(text, 1, (1 << 20) - 1, in) == 0) exit(1);
  fclose(in);
  return text;
}

static void write_file(const char *folder) {
  char name[1024];
  const char *slash = strrchr(path, '/');
  snprintf(name, sizeof name, "%s/%s", folder, slash ? slash + 1 : path);
  FILE *out = fopen(name, "wb");
  if (!out) perror(name), exit(1);
  for (int i = 0; i < n_tokens; i++) {
    const Token *t = &tokens[i];
    if (t->before) fputs(t->before, out);
    if (t->instead) fputs(t->instead, out);
    else fprintf(out, "%.*s", t->length, t->text);
    if (t->after) fputs(t->after, out);
  }
  fclose(out);
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "mutate OUT_FOLDER FILE...\n"), 2;
  for (int i = 2; i < argc; i++) {
    path = argv[i];
    tokenize(read_file(path));
    match_brackets();
    find_bodies();
    mutate_file();
    write_file(argv[1]);
  }
  return 0;
}
