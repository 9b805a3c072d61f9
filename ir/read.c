/* read.c - text back to a program: a hand-written recursive-descent reader.
 *
 * The grammar is at the head of text.c; each read_X here answers a write_X
 * there.  A .ir file may come from anywhere, so nothing in it is believed:
 * numbers are range-checked where they are read, sizes cannot overflow, depth
 * is capped, every type is inferred again and compared with what the line
 * says, and the whole must pass program_verify.  The first error ends the
 * reading: it is reported at its place in the .ir text, and longjmp leaves
 * the descent (all memory is in the arena, but for the maps, freed at the one
 * exit).
 *
 * Nodes are made as they stand, not through node_new: reading must not merge
 * or rename anything.
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "ir/text.h"

enum { MAX_SPAN_DEPTH = 256 };
static const int64_t MAX_ELEMENTS = (int64_t)1 << 48;

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

static void skip_spaces(Reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }

static char peek(Reader *r) { return r->at < r->end ? *r->at : '\0'; }

bool read_accept(Reader *r, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length)) return false;
  if (isalpha((unsigned char)*word) && r->at + length < r->end && is_word(r->at[length])) return false;
  r->at += length;
  skip_spaces(r);
  return true;
}

void read_expect(Reader *r, const char *word) {
  if (!read_accept(r, word)) read_fail(r, E0701, r->at, "expected `%s` here", word);
}

/* The end of a line, and the blank ones after it. */
static void read_line_end(Reader *r) {
  if (r->at < r->end && *r->at != '\n') read_fail(r, E0701, r->at, "the line should end here");
  for (; r->at < r->end && *r->at == '\n'; skip_spaces(r)) {
    r->line_start = ++r->at;
    r->line++;
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

static const char *read_quoted(Reader *r) {
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
  skip_spaces(r);
  return text;
}

const char *read_name(Reader *r, const char *what) {
  if (peek(r) == '"') return read_quoted(r);
  const char *start = r->at;
  if (!isalpha((unsigned char)peek(r)) && peek(r) != '_') read_fail(r, E0701, r->at, "expected %s here", what);
  while (r->at < r->end && is_word(*r->at)) r->at++;
  const char *name = arena_copy(r->arena, start, (size_t)(r->at - start));
  skip_spaces(r);
  return name;
}

int64_t read_integer(Reader *r, int64_t low, int64_t high) {
  const char *start = r->at;
  bool negative = peek(r) == '-';
  uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
  if (negative) r->at++;
  if (!isdigit((unsigned char)peek(r))) read_fail(r, E0701, start, "expected a whole number here");
  for (; isdigit((unsigned char)peek(r)); r->at++) {
    uint64_t digit = (uint64_t)(*r->at - '0');
    if (value > (limit - digit) / 10) read_fail(r, E0705, start, "the number is too large");
    value = value * 10 + digit;
  }
  int64_t result = negative ? (int64_t)(0 - value) : (int64_t)value;
  if (result < low || result > high)
    read_fail(r, E0705, start, "the number must lie in %lld..%lld", (long long)low, (long long)high);
  skip_spaces(r);
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
  skip_spaces(r);
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
static const char *read_symbol_name(Reader *r) {
  if (peek(r) == '$') r->at++;
  return read_name(r, "the name of a dim");
}

/* The key of a declared symbol: its name, and which of that name. */
static const char *symbol_key(Reader *r, const char *name) {
  if (peek(r) != '\'') return name;
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
  *symbol = (Symbol){name, size, rows};
  map_put_name(&r->symbols, key, r->program->n_symbols + r->n_locals);
  LIST_PUSH(r->arena, r->locals, r->n_locals, symbol);
  return symbol;
}

/* What stands before `=`, `<=`, a comma or the bracket. */
static void read_dim_head(Reader *r, const char **name, const char **text) {
  const char *start = r->at;
  if (peek(r) == '"') {
    *text = read_quoted(r);
    return;
  }
  if (peek(r) == '$') {
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

static Type read_type(Reader *r) {
  Type type = {0};
  const char *start = r->at, *name = read_name(r, "a dtype");
  if (!dtype_find(name, &type.dtype)) read_fail(r, E0702, start, "`%s` is no dtype", name);
  if (peek(r) == '[') read_dims(r, &type);
  return type;
}

/* ---- spans -------------------------------------------------------------- */

static const Source *source_of(Reader *r, const char *path) {
  int index = map_get_name(r->sources, path);
  if (index >= 0) return r->source_list[index];
  Source *source = arena_alloc(r->arena, sizeof *source);
  source->path = path;
  map_put_name(&r->sources, path, r->n_sources);
  LIST_PUSH(r->arena, r->source_list, r->n_sources, source);
  return source;
}

static const char *read_path(Reader *r) {
  if (peek(r) == '"') return read_quoted(r);
  const char *start = r->at;
  while (r->at < r->end && *r->at && (isalnum((unsigned char)*r->at) || strchr("_./-+~", *r->at))) r->at++;
  if (r->at == start) read_fail(r, E0701, start, "expected a file name here");
  return arena_copy(r->arena, start, (size_t)(r->at - start));
}

static const Span *read_span(Reader *r) {
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

/* ---- nodes -------------------------------------------------------------- */

/* A `%name` of this graph, read before. */
static Node *read_reference(Reader *r, const Graph *graph, Map *names) {
  const char *start = r->at;
  if (peek(r) != '%') read_fail(r, E0701, start, "expected a node, `%%name`, here");
  r->at++;
  const char *name = read_name(r, "a node's name");
  int index = map_get_name(names, name);
  if (index < 0) read_fail(r, E0702, start, "no node `%%%s` stands above in this graph", name);
  return graph->nodes[index];
}

static void read_operands(Reader *r, Node *node, const Graph *graph, Map *names) {
  if (peek(r) != '%') return;
  do {
    const char *start = r->at;
    Node *x = read_reference(r, graph, names);
    if (op_info[x->op].kind == GROUP && node->op != OP_result)
      read_fail(r, E0703, start, "a group is used through its results only");
    LIST_PUSH(r->arena, node->in, node->n_in, x);
    if (!read_accept(r, "=")) continue;
    start = r->at;
    double value = read_number(r);
    if (x->op != OP_const || memcmp(&value, &x->attrs.value, sizeof value))
      read_fail(r, E0703, start, "`%%%s` is not that constant", x->name);
  } while (read_accept(r, ","));
}

static void read_home(Reader *r, Node *node) {
  if (!read_accept(r, "in")) return;
  node->home = (Home)read_word(r, home_words, 8, "a home");
  if (read_accept(r, "+")) node->offset = read_integer(r, INT64_MIN, INT64_MAX);
}

static void read_aliases(Reader *r, Node *node) {
  if (!read_accept(r, "aka")) return;
  do {
    const char *alias = read_name(r, "a name");
    LIST_PUSH(r->arena, node->aliases, node->n_aliases, alias);
  } while (read_accept(r, ","));
}

/* The type the node has by its op, or an error at its op. */
static Type type_of(Reader *r, const Node *node, const char *at) {
  Type type = {0};
  TypeError error = {0};
  int wanted = op_info[node->op].n_inputs;
  if (wanted >= 0 && node->n_in != wanted)
    read_fail(r, E0703, at, "%s takes %d operand%s, not %d", op_info[node->op].name, wanted, wanted == 1 ? "" : "s",
              node->n_in);
  if (node->op == OP_result) {
    const Node *group = node->in[0];
    if (!group->body || node->attrs.index >= group->body->n_outputs)
      read_fail(r, E0703, at, "`%%%s` has no output %d", group->name, node->attrs.index);
    return group->body->outputs[node->attrs.index].node->type;
  }
  const Type **in = arena_alloc(r->arena, sizeof *in * (size_t)(node->n_in + 1));
  for (int i = 0; i < node->n_in; i++) in[i] = &node->in[i]->type;
  if (!infer_type(node->op, node->n_in, in, &node->attrs, false, &type, &error))
    read_fail(r, E0703, at, "%s", error.message);
  return type;
}

static Graph *read_graph(Reader *r, Graph *parent);

static void read_body(Reader *r, Node *node, Graph *graph) {
  if (read_accept(r, "because")) {
    if (peek(r) != '"') read_fail(r, E0701, r->at, "expected a reason in quotes here");
    node->reason = read_quoted(r);
  }
  node->span = read_span(r);
  if (op_info[node->op].kind != GROUP && op_info[node->op].kind != LOOP) return;
  read_expect(r, "body");
  if (++r->depth == MAX_READ_DEPTH) read_fail(r, E0705, r->at, "graphs are nested too deep");
  node->body = read_graph(r, graph);
  r->depth--;
}

static void read_node(Reader *r, Graph *graph, Map **names) {
  const char *start = r->at++;
  Node *node = arena_alloc(r->arena, sizeof *node);
  node->id = graph->n_nodes;
  node->name = read_name(r, "a node's name");
  if (map_get_name(*names, node->name) >= 0) read_fail(r, E0702, start, "a second node `%%%s`", node->name);
  bool typed = read_accept(r, ":");
  if (typed) node->type = read_type(r);
  read_expect(r, "=");
  const char *op_at = r->at, *op = read_name(r, "an op");
  if (!op_find(op, &node->op)) read_fail(r, E0702, op_at, "no op is called `%s`", op);
  bool has_body = op_info[node->op].kind == GROUP || op_info[node->op].kind == LOOP;
  if (typed == has_body) read_fail(r, E0701, op_at, has_body ? "a %s has no type" : "a %s needs a type", op);
  attrs_read_main(r, node->op, &node->attrs);
  read_operands(r, node, graph, *names);
  attrs_read(r, node->op, &node->attrs, &node->type);
  if (node->op == OP_cast) node->attrs.shape = type_scalar(node->type.dtype); /* it asks for a dtype only */
  if (node->op == OP_result) node->attrs.shape = node->type;
  if (typed) {
    Type type = type_of(r, node, op_at);
    if (type.dtype != node->type.dtype || !type_same_shape(&type, &node->type)) {
      Text found = {0};
      type_print(&found, &type, true);
      read_fail(r, E0703, start, "the type written is not the one %s has here, %s", op, text_take(&found, r->arena));
    }
  }
  read_home(r, node);
  read_aliases(r, node);
  read_body(r, node, graph);
  map_put_name(names, node->name, graph->n_nodes);
  LIST_PUSH(r->arena, graph->nodes, graph->n_nodes, node);
}

static void read_output(Reader *r, Graph *graph, Map *names) {
  Output o = {0};
  o.role = (OutputRole)read_word(r, role_words, 6, "a role");
  if (peek(r) != '=') o.name = read_name(r, "an output's name");
  read_expect(r, "=");
  const char *start = r->at;
  o.node = read_reference(r, graph, names);
  if (op_info[o.node->op].kind == GROUP) read_fail(r, E0703, start, "a group is used through its results only");
  for (int i = 0; i < 3; i++)
    if (read_accept(r, combine_words[i])) o.combine = (Combine)i;
  if (read_accept(r, "index")) o.index = (int)read_integer(r, 0, INT_MAX);
  LIST_PUSH(r->arena, graph->outputs, graph->n_outputs, o);
}

static void read_graph_lines(Reader *r, Graph *graph, Map **names) {
  read_expect(r, "{");
  for (read_line_end(r); !read_accept(r, "}"); read_line_end(r)) {
    if (peek(r) == '%') read_node(r, graph, names);
    else if (read_accept(r, "->")) read_output(r, graph, *names);
    else read_fail(r, E0701, r->at, "expected a node, an output `->`, or `}` here");
  }
}

/* From the name on, to the closing brace. */
static Graph *read_graph(Reader *r, Graph *parent) {
  Graph *graph = graph_new(r->program, read_name(r, "a graph's name"), parent);
  if (read_accept(r, "rows")) {
    const char *start = r->at;
    graph->rows = read_symbol(r);
    if (!graph->rows->rows) read_fail(r, E0703, start, "`%s` is no capacity", graph->rows->name);
  }
  if (read_accept(r, "arena")) graph->arena_bytes = read_integer(r, 0, MAX_ELEMENTS * 8);
  Map **names = &r->names[r->depth];
  map_free(names);
  read_graph_lines(r, graph, names);
  graph_uncons(graph);
  return graph;
}

/* ---- what a model declares ---------------------------------------------- */

static void read_dim_line(Reader *r) {
  const char *start = r->at;
  if (r->n_locals) read_fail(r, E0701, start, "dims stand before all else");
  Symbol *symbol = arena_alloc(r->arena, sizeof *symbol);
  symbol->name = read_symbol_name(r);
  symbol->rows = read_accept(r, "<=");
  if (!symbol->rows) read_expect(r, "=");
  symbol->size = read_integer(r, symbol->rows, MAX_ELEMENTS);
  const char *key = symbol->name;
  for (int n = 2; map_get_name(r->symbols, key) >= 0; n++) {
    if (n > 1000) read_fail(r, E0705, start, "too many dims of one name");
    key = arena_print(r->arena, "%s'%d", symbol->name, n);
  }
  map_put_name(&r->symbols, key, r->program->n_symbols);
  LIST_PUSH(r->arena, r->program->symbols, r->program->n_symbols, symbol);
}

static void read_fields(Reader *r, int *n, Field **fields) {
  read_expect(r, "{");
  do {
    Field f = {.name = read_name(r, "a field's name")};
    read_expect(r, ":");
    f.type = read_type(r);
    if (read_accept(r, "in")) {
      f.low = read_integer(r, INT64_MIN, INT64_MAX);
      read_expect(r, "..");
      f.high = read_integer(r, INT64_MIN, INT64_MAX);
    }
    if (read_accept(r, "ignore")) f.ignore = read_integer(r, INT64_MIN, INT64_MAX);
    LIST_PUSH(r->arena, *fields, *n, f);
  } while (read_accept(r, ","));
  read_expect(r, "}");
}

static void read_data(Reader *r) {
  Data d = {.name = read_name(r, "a data set's name")};
  read_expect(r, "=");
  d.kind = (DataKind)read_word(r, data_words, 7, "a kind of data");
  read_expect(r, "(");
  if (!read_accept(r, ")")) {
    do {
      const char *path = read_name(r, "a path");
      LIST_PUSH(r->arena, d.paths, d.n_paths, path);
    } while (read_accept(r, ","));
    read_expect(r, ")");
  }
  read_fields(r, &d.n_fields, &d.fields);
  if (read_accept(r, "rows")) d.rows = read_symbol(r);
  d.drop = read_accept(r, "drop");
  if (read_accept(r, "limit")) d.n_rows = read_integer(r, 0, INT64_MAX);
  if (read_accept(r, "seed")) d.seed = read_integer(r, INT64_MIN, INT64_MAX);
  if (read_accept(r, "window")) d.window = read_integer(r, 0, INT64_MAX);
  d.span = read_span(r);
  LIST_PUSH(r->arena, r->program->data, r->program->n_data, d);
}

static Param read_stored(Reader *r, Map **names, int count) {
  const char *start = r->at;
  Param p = {.path = read_name(r, "a path")};
  if (map_get_name(*names, p.path) >= 0) read_fail(r, E0702, start, "`%s` is declared twice", p.path);
  map_put_name(names, p.path, count);
  read_expect(r, ":");
  p.type = read_type(r);
  read_expect(r, "=");
  p.init.kind = (InitKind)read_word(r, init_words, 3, "an initializer");
  read_expect(r, "(");
  p.init.a = read_number(r);
  if (p.init.kind != INIT_CONSTANT) {
    read_expect(r, ",");
    p.init.b = read_number(r);
  }
  read_expect(r, ")");
  if (read_accept(r, "at")) p.offset = read_integer(r, 0, MAX_ELEMENTS);
  p.span = read_span(r);
  return p;
}

static void read_param(Reader *r) {
  Param p = read_stored(r, &r->params, r->program->n_params);
  LIST_PUSH(r->arena, r->program->params, r->program->n_params, p);
}

static void read_state(Reader *r) {
  Param p = read_stored(r, &r->states, r->program->n_states);
  State s = {p.path, p.type, p.init, p.span, p.offset};
  LIST_PUSH(r->arena, r->program->states, r->program->n_states, s);
}

static void read_top_graph(Reader *r) {
  const char *start = r->at;
  Graph *graph = read_graph(r, NULL);
  for (int i = 0; i < r->n_graphs; i++)
    if (!strcmp(r->graphs[i]->name, graph->name)) read_fail(r, E0702, start, "a second graph `%s`", graph->name);
  LIST_PUSH(r->arena, r->graphs, r->n_graphs, graph);
  if (!strcmp(graph->name, "schedule")) r->program->schedule = graph;
}

/* ---- the script --------------------------------------------------------- */

static int find_data(Reader *r) {
  const char *start = r->at, *name = read_name(r, "a data set's name");
  for (int i = 0; i < r->program->n_data; i++)
    if (!strcmp(r->program->data[i].name, name)) return i;
  read_fail(r, E0702, start, "no data set `%s` is declared above", name);
}

/* `keyword NAME`, a graph read before that nothing else has; NULL when the keyword is not there. */
static Graph *read_graph_name(Reader *r, const char *keyword) {
  if (!read_accept(r, keyword)) return NULL;
  const char *start = r->at, *name = read_name(r, "a graph's name");
  for (int i = 0; i < r->n_graphs; i++) {
    Graph *graph = r->graphs[i];
    if (strcmp(graph->name, name)) continue;
    if (graph == r->program->schedule) break;
    return graph;
  }
  read_fail(r, E0702, start, "no graph `%s` stands above", name);
}

static void read_hyper(Reader *r, UpdateGroup *g, Map *names) {
  const Optimizer *o = g->optimizer;
  read_expect(r, "(");
  for (int i = 0; i < MAX_HYPER && o->hyper[i]; i++) {
    if (i) read_expect(r, ",");
    read_expect(r, o->hyper[i]);
    read_expect(r, "=");
    if (!read_accept(r, "none")) g->hyper[i] = read_reference(r, r->program->schedule, names);
  }
  read_expect(r, ")");
}

static UpdateGroup read_update_group(Reader *r, Map *names) {
  UpdateGroup g = {.target = read_name(r, "a target")};
  read_expect(r, "using");
  const char *start = r->at, *optimizer = read_name(r, "an optimizer");
  g.optimizer = optimizer_find(optimizer);
  if (!g.optimizer) read_fail(r, E0702, start, "no optimizer is called `%s`", optimizer);
  read_hyper(r, &g, names);
  read_expect(r, "on");
  read_expect(r, "(");
  if (!read_accept(r, ")")) {
    do {
      start = r->at;
      const char *path = read_name(r, "a parameter");
      int index = map_get_name(r->params, path);
      if (index < 0) read_fail(r, E0702, start, "no parameter `%s` is declared above", path);
      LIST_PUSH(r->arena, g.params, g.n_params, index);
    } while (read_accept(r, ","));
    read_expect(r, ")");
  }
  g.span = read_span(r);
  return g;
}

static void read_update(Reader *r) {
  Update u = {.name = read_name(r, "an update's name")};
  if (read_accept(r, "clip")) u.clip = read_number(r);
  u.span = read_span(r);
  const Graph *schedule = r->program->schedule;
  Map **names = &r->names[0];
  map_free(names);
  for (int i = 0; schedule && i < schedule->n_nodes; i++) map_put_name(names, schedule->nodes[i]->name, i);
  read_expect(r, "{");
  for (read_line_end(r); !read_accept(r, "}"); read_line_end(r)) {
    UpdateGroup g = read_update_group(r, *names);
    LIST_PUSH(r->arena, u.groups, u.n_groups, g);
  }
  LIST_PUSH(r->arena, r->program->train.updates, r->program->train.n_updates, u);
}

static void read_statements(Reader *r, int *n, Stmt **body);

static Stmt read_statement(Reader *r) {
  Stmt s = {0};
  if (read_accept(r, "update")) {
    s.kind = STMT_UPDATE;
    s.index = (int)read_integer(r, 0, INT_MAX);
  } else if (read_accept(r, "log")) {
    s.kind = STMT_LOG;
    s.name = read_name(r, "a log's name");
  } else if (read_accept(r, "every")) {
    s.kind = STMT_EVERY;
    s.every = read_integer(r, 1, INT64_MAX);
    s.unit = (Unit)read_word(r, unit_words, 2, "a unit");
  } else if (read_accept(r, "eval")) {
    s.kind = STMT_EVAL;
    s.index = (int)read_integer(r, 0, INT_MAX);
  } else if (read_accept(r, "save")) {
    s.kind = STMT_SAVE;
    s.highest = read_accept(r, "highest");
    if (!s.highest) read_expect(r, "lowest");
    s.name = read_name(r, "a log's name");
  } else {
    read_fail(r, E0701, r->at, "expected `update`, `log`, `every`, `eval`, `save` or `}` here");
  }
  s.span = read_span(r);
  if (s.kind == STMT_EVERY || s.kind == STMT_EVAL) read_statements(r, &s.n_body, &s.body);
  return s;
}

static void read_statements(Reader *r, int *n, Stmt **body) {
  if (++r->depth == MAX_READ_DEPTH) read_fail(r, E0705, r->at, "statements are nested too deep");
  read_expect(r, "{");
  for (read_line_end(r); !read_accept(r, "}"); read_line_end(r)) {
    Stmt s = read_statement(r);
    LIST_PUSH(r->arena, *body, *n, s);
  }
  r->depth--;
}

static void read_eval(Reader *r) {
  Eval e = {.variable = read_name(r, "a variable")};
  read_expect(r, "in");
  e.data = find_data(r);
  e.batch = read_graph_name(r, "batch");
  e.finish = read_graph_name(r, "finish");
  e.span = read_span(r);
  LIST_PUSH(r->arena, r->program->evals, r->program->n_evals, e);
}

static void read_train(Reader *r) {
  Train *t = &r->program->train;
  if (r->program->has_train) read_fail(r, E0701, r->at, "a second `train`");
  r->program->has_train = true;
  t->variable = read_name(r, "a variable");
  read_expect(r, "in");
  t->data = find_data(r);
  t->shuffled = read_accept(r, "shuffled");
  if (t->shuffled) t->shuffle_seed = read_integer(r, INT64_MIN, INT64_MAX);
  read_expect(r, "for");
  t->count = read_integer(r, 0, INT64_MAX);
  t->unit = (Unit)read_word(r, unit_words, 2, "a unit");
  read_expect(r, "accumulate");
  t->accumulate = read_integer(r, 1, INT64_MAX);
  read_expect(r, "precision");
  t->precision = (Precision)read_word(r, precision_words, 3, "a precision");
  t->graph = read_graph_name(r, "graph");
  t->span = read_span(r);
  read_statements(r, &t->n_body, &t->body);
}

static void read_predict(Reader *r) {
  Predict *p = &r->program->predict;
  if (r->program->has_predict) read_fail(r, E0701, r->at, "a second `predict`");
  r->program->has_predict = true;
  p->variable = read_name(r, "a variable");
  read_fields(r, &p->n_fields, &p->fields);
  p->graph = read_graph_name(r, "graph");
  p->span = read_span(r);
}

/* ---- the whole ---------------------------------------------------------- */

static void read_block(Reader *r) { r->program->param_elements = read_integer(r, 1, MAX_ELEMENTS); }

static const struct { const char *word; void (*read)(Reader *); } lines[] = {
    {"dim", read_dim_line}, {"data", read_data},   {"block", read_block}, {"param", read_param}, {"state", read_state},
    {"graph", read_top_graph}, {"update", read_update}, {"eval", read_eval}, {"train", read_train},
    {"predict", read_predict},
};
enum { N_LINES = sizeof lines / sizeof lines[0] };

static void read_head(Reader *r) {
  skip_spaces(r);
  if (!read_accept(r, "mtc-ir")) read_fail(r, E0701, r->at, "not IR text: it begins with `mtc-ir 1`");
  const char *start = r->at;
  if (read_integer(r, 0, INT_MAX) != 1) read_fail(r, E0701, start, "this mtc reads version 1 of IR text only");
  const char *name = read_name(r, "the program's name");
  read_expect(r, "from");
  if (peek(r) != '"') read_fail(r, E0701, r->at, "expected a file name in quotes here");
  r->program = program_new(r->arena, name, read_quoted(r));
  r->program->schedule = NULL;
  read_expect(r, "passes");
  read_expect(r, "(");
  if (!read_accept(r, ")")) {
    do {
      const char *pass = read_name(r, "a pass's name");
      LIST_PUSH(r->arena, r->program->passes, r->program->n_passes, pass);
    } while (read_accept(r, ","));
    read_expect(r, ")");
  }
  read_line_end(r);
}

static void read_all(Reader *r) {
  read_head(r);
  while (r->at < r->end) {
    int i = 0;
    while (i < N_LINES && !read_accept(r, lines[i].word)) i++;
    if (i == N_LINES) read_fail(r, E0701, r->at, "expected `dim`, `data`, `param`, `graph`, `train` ... here");
    lines[i].read(r);
    read_line_end(r);
  }
  const char *wrong = program_verify(r->program, r->arena);
  if (wrong) read_fail(r, E0704, r->at, "%s", wrong);
}

Program *program_read(const Source *source, Arena *arena, Diagnostics *d) {
  Reader *r = arena_alloc(arena, sizeof *r);
  *r = (Reader){.source = source, .at = source->text, .end = source->text + source->length,
                .line_start = source->text, .line = 1, .arena = arena, .diagnostics = d};
  bool done = false;
  if (!setjmp(r->escape)) {
    read_all(r);
    done = true;
  }
  map_free(&r->symbols);
  map_free(&r->params);
  map_free(&r->states);
  map_free(&r->sources);
  for (int i = 0; i < MAX_READ_DEPTH; i++) map_free(&r->names[i]);
  return done ? r->program : NULL;
}
