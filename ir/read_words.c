/* read_words.c - the reader's small pieces: characters, names, numbers, types, spans.
 *
 * Each function reads one thing at `at` and the spaces behind it, or fails
 * with a message that points there.  Every number has a range, every shape a
 * limit on its elements, so that no later arithmetic overflows.
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "ir/text.h"

enum { MAX_SPAN_DEPTH = 256 };

/* ---- characters and words ----------------------------------------------- */

void read_fail(Reader *r, ErrorCode code, const char *at, const char *format, ...) {
  Span *span = arena_alloc(r->arena, sizeof *span);
  Text message = {0};
  va_list arguments;
  int length = at < r->end && (isalnum((unsigned char)*at) || *at == '%') ? 1 : 0;
  while (length && at + length < r->end && (isalnum((unsigned char)at[length]) || strchr("_.", at[length]))) length++;
  *span = (Span){r->source, r->line, (int)(at - r->line_start) + 1, length ? length : 1, NULL};
  va_start(arguments, format);
  char line[640];
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text_add(&message, "%s", line);
  report(r->diagnostics, code, span, "%s", text_take(&message, r->arena));
  longjmp(r->escape, 1);
}

void read_note_place(Reader *r, const void *thing, const char *at) {
  Place place = {thing, at, r->line_start, r->line};
  LIST_PUSH(r->arena, r->places, r->n_places, place);
}

void read_spaces(Reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }

char read_peek(Reader *r) { return r->at < r->end ? *r->at : '\0'; }

bool read_accept(Reader *r, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length)) return false;
  if (isalpha((unsigned char)*word) && r->at + length < r->end && is_word(r->at[length])) return false;
  r->at += length;
  read_spaces(r);
  return true;
}

void read_expect(Reader *r, const char *word) {
  if (!read_accept(r, word)) read_fail(r, E0701, r->at, "expected `%s` here", word);
}

/* The end of a line, and blank ones and comments after it. */
void read_line_end(Reader *r) {
  if (r->at < r->end && *r->at != '\n') read_fail(r, E0701, r->at, "the line should end here");
  for (; r->at < r->end && *r->at == '\n'; read_spaces(r)) {
    r->line_start = ++r->at;
    r->line++;
    if (read_peek(r) == '#') r->at += strcspn(r->at, "\n");
  }
}

static int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char read_escape(Reader *r) {
  char c = r->at + 1 < r->end ? r->at[1] : '\0';
  int high = r->at + 2 < r->end ? hex_digit(r->at[2]) : -1, low = r->at + 3 < r->end ? hex_digit(r->at[3]) : -1;
  if (c == 'x' && high >= 0 && low >= 0 && high + low > 0) {
    r->at += 4;
    return (char)(16 * high + low);
  }
  if (c != 'n' && c != '"' && c != '\\') read_fail(r, E0701, r->at, "unknown escape in a quoted name");
  r->at += 2;
  return c == 'n' ? '\n' : c;
}

const char *read_quoted(Reader *r) {
  const char *open = r->at++;
  size_t room = 0;
  for (const char *c = r->at; c < r->end && *c != '\n' && *c != '"'; c++, room++)
    if (*c == '\\') c++;
  char *text = arena_alloc(r->arena, room + 1);
  for (size_t n = 0;; n++) {
    if (r->at >= r->end || *r->at == '\n' || !*r->at) read_fail(r, E0701, open, "the quoted name is not closed");
    if (*r->at == '"') break;
    char c = *r->at == '\\' ? read_escape(r) : *r->at++;
    if (n < room) text[n] = c;
  }
  r->at++;
  read_spaces(r);
  return text;
}

const char *read_name(Reader *r, const char *what) {
  if (read_peek(r) == '"') return read_quoted(r);
  const char *start = r->at;
  if (!isalpha((unsigned char)read_peek(r)) && read_peek(r) != '_') read_fail(r, E0701, r->at, "expected %s here", what);
  while (r->at < r->end && is_word(*r->at)) r->at++;
  const char *name = arena_copy(r->arena, start, (size_t)(r->at - start));
  read_spaces(r);
  return name;
}

int64_t read_integer(Reader *r, int64_t low, int64_t high) {
  const char *start = r->at;
  bool negative = read_peek(r) == '-';
  uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
  if (negative) r->at++;
  if (!isdigit((unsigned char)read_peek(r))) read_fail(r, E0701, start, "expected a whole number here");
  for (; isdigit((unsigned char)read_peek(r)); r->at++) {
    uint64_t digit = (uint64_t)(*r->at - '0');
    if (value > (limit - digit) / 10) read_fail(r, E0705, start, "the number is too large");
    value = value * 10 + digit;
  }
  int64_t result = negative ? (int64_t)(0 - value) : (int64_t)value;
  if (result < low || result > high)
    read_fail(r, E0705, start, "the number must lie in %lld..%lld", (long long)low, (long long)high);
  read_spaces(r);
  return result;
}

double read_number(Reader *r) {
  char text[64], *end;
  size_t n = 0;
  const char *start = r->at;
  while (r->at < r->end && n + 1 < sizeof text && (is_word(*r->at) || *r->at == '-' || *r->at == '+'))
    text[n++] = *r->at++;
  text[n] = '\0';
  double value = strtod(text, &end);
  bool plain = n && !strpbrk(text, "xXpP"); /* hexadecimal is not ours */
  if (!plain || *end) read_fail(r, E0701, start, "expected a number here");
  read_spaces(r);
  return value;
}

int read_word(Reader *r, const char *const *words, int count, const char *what) {
  for (int i = 0; i < count; i++)
    if (read_accept(r, words[i])) return i;
  read_fail(r, E0701, r->at, "expected %s, one of `%s` to `%s`", what, words[0], words[count - 1]);
}

/* ---- types -------------------------------------------------------------- */

static const Symbol *find_symbol(Reader *r, const char *key) {
  int index = map_get_name(r->symbols, key);
  return index < 0 ? NULL : index < r->program->n_symbols ? r->program->symbols[index]
                                                          : r->locals[index - r->program->n_symbols];
}

/* A name as in a dim declaration, without an ordinal. */
const char *read_symbol_name(Reader *r) {
  if (read_peek(r) == '$') r->at++;
  return read_name(r, "the name of a dim");
}

/* The key of a declared symbol: its name, and which of that name. */
static const char *symbol_key(Reader *r, const char *name) {
  if (read_peek(r) != '\'') return name;
  r->at++;
  return arena_print(r->arena, "%s'%d", name, (int)read_integer(r, 2, INT_MAX));
}

const Symbol *read_symbol(Reader *r) {
  const char *start = r->at, *name = read_symbol_name(r), *key = symbol_key(r, name);
  const Symbol *symbol = find_symbol(r, key);
  if (!symbol) read_fail(r, E0702, start, "no dim `%s` is declared above", key);
  return symbol;
}

/* A symbol of some module's own: equal ones are one. */
static const Symbol *local_symbol(Reader *r, const char *name, int64_t size, bool rows) {
  const char *key = arena_print(r->arena, "%s%s%lld", name, rows ? "<=" : "=", (long long)size);
  const Symbol *found = find_symbol(r, key);
  if (found) return found;
  Symbol *symbol = arena_alloc(r->arena, sizeof *symbol);
  *symbol = (Symbol){.name = name, .size = size, .rows = rows};
  map_put_name(&r->symbols, key, r->program->n_symbols + r->n_locals);
  LIST_PUSH(r->arena, r->locals, r->n_locals, symbol);
  return symbol;
}

/* What stands before `=`, `<=`, a comma or the bracket. */
static void read_dim_head(Reader *r, const char **name, const char **text) {
  const char *start = r->at;
  if (read_peek(r) == '"') {
    *text = read_quoted(r);
    return;
  }
  if (read_peek(r) == '$') {
    *name = read_symbol_name(r);
    return;
  }
  while (r->at < r->end && (is_word(*r->at) || strchr("*+-/%() ", *r->at)) && *r->at) r->at++;
  size_t length = (size_t)(r->at - start);
  while (length && start[length - 1] == ' ') length--;
  const char *head = arena_copy(r->arena, start, length);
  if (!length) return;
  if (strpbrk(head, "*+-/%(")) *text = head;
  else if (isalpha((unsigned char)*head) || *head == '_') *name = head;
  else r->at = start;
}

static Dim read_dim(Reader *r) {
  Dim d = {0};
  const char *start = r->at, *name = NULL;
  read_dim_head(r, &name, &d.text);
  bool capacity = read_accept(r, "<=");
  if (!capacity && !read_accept(r, "=")) {
    if (d.text) read_fail(r, E0701, r->at, "expected `=` and the size of `%s` here", d.text);
    if (!name) return dim_literal(read_integer(r, 0, MAX_ELEMENTS));
    r->at = start;
    return dim_symbol(read_symbol(r));
  }
  d.size = read_integer(r, 0, MAX_ELEMENTS);
  if (capacity && read_accept(r, ":")) {
    d.rows = read_symbol(r);
    if (!d.rows->rows || d.size % d.rows->size)
      read_fail(r, E0703, start, "%lld is no multiple of a capacity `%s`", (long long)d.size, d.rows->name);
  } else if (capacity && (!name || !d.size)) {
    read_fail(r, E0703, r->at, "expected `:` and the capacity this scales with here");
  }
  if (name) d.symbol = local_symbol(r, name, d.size, capacity && !d.rows);
  if (capacity && !d.rows) d.rows = d.symbol;
  return d;
}

void read_dims(Reader *r, Type *type) {
  const char *start = r->at;
  int64_t count = 1;
  read_expect(r, "[");
  type->rank = 0;
  if (read_accept(r, "]")) return;
  do {
    if (type->rank == MAX_RANK) read_fail(r, E0705, r->at, "more than %d axes", MAX_RANK);
    Dim d = read_dim(r);
    type->dim[type->rank++] = d;
    if (d.size && count > MAX_ELEMENTS / d.size) read_fail(r, E0705, start, "the shape has too many elements");
    if (d.size) count *= d.size;
  } while (read_accept(r, ","));
  read_expect(r, "]");
}

Type read_type(Reader *r) {
  Type type = {0};
  const char *start = r->at, *name = read_name(r, "a dtype");
  if (!dtype_find(name, &type.dtype)) read_fail(r, E0702, start, "`%s` is no dtype", name);
  if (read_peek(r) == '[') read_dims(r, &type);
  return type;
}

/* ---- spans -------------------------------------------------------------- */

static const Source *source_of(Reader *r, const char *path) {
  int index = map_get_name(r->sources, path);
  if (index >= 0) return r->source_list[index];
  Source *source = arena_alloc(r->arena, sizeof *source);
  source->path = path;
  source->standard = !strcmp(path, STANDARD_FILE);
  map_put_name(&r->sources, path, r->n_sources);
  LIST_PUSH(r->arena, r->source_list, r->n_sources, source);
  return source;
}

static const char *read_path(Reader *r) {
  if (read_peek(r) == '"') return read_quoted(r);
  const char *start = r->at;
  while (r->at < r->end && *r->at && (isalnum((unsigned char)*r->at) || strchr("_./-+~", *r->at))) r->at++;
  if (r->at == start) read_fail(r, E0701, start, "expected a file name here");
  return arena_copy(r->arena, start, (size_t)(r->at - start));
}

const Span *read_span(Reader *r) {
  const Span *first = NULL;
  const Span **link = &first;
  const char *start = r->at;
  if (!read_accept(r, "@")) return NULL;
  int depth = 0;
  do {
    if (++depth > MAX_SPAN_DEPTH) read_fail(r, E0705, start, "the chain of callers is too long");
    Span *span = arena_alloc(r->arena, sizeof *span);
    span->source = source_of(r, read_path(r));
    read_expect(r, ":");
    span->line = (int)read_integer(r, 0, INT_MAX);
    read_expect(r, ":");
    span->column = (int)read_integer(r, 0, INT_MAX);
    span->length = 1;
    if (read_accept(r, "-")) span->length = (int)(read_integer(r, span->column, INT_MAX) - span->column) + 1;
    *link = span;
    link = &span->caller;
  } while (read_accept(r, "<"));
  return first;
}
