/* attrs.c - the attributes of nodes, printed and read by name from one table.
 *
 * Which attributes an op has is in its row of ops.def; what a name means is
 * in the table here, so neither the printer nor the reader knows any op.
 * The first attribute of a leaf or a draw stands before operands (`const 16`,
 * `param net.fc1.weight`, `random net.drop %t`); the rest follow in braces, flags as
 * their bare names: `{axes=[0, 1] keep}`.  `shape` is the type that every
 * line prints anyway.
 */
#include <limits.h>
#include <string.h>

#include "ir/text.h"

typedef enum Form {
  FORM_NUMBER, FORM_PATH, FORM_SYMBOL, FORM_INT, FORM_FLAG, FORM_AXES, FORM_LONGS, FORM_WORD, FORM_SPACE, FORM_SHAPE
} Form;

static const char *const distributions[] = {"uniform", "normal"};
static const char *const patterns[] = {"map", "row", "column", "matmul"};

static const struct Attribute {
  const char *name;
  Form form;
  size_t offset; /* into Attrs */
  const char *const *words;
  int n_words;
} table[] = {
    {"value", FORM_NUMBER, offsetof(Attrs, value), NULL, 0},
    {"high", FORM_NUMBER, offsetof(Attrs, high), NULL, 0},
    {"path", FORM_PATH, offsetof(Attrs, path), NULL, 0},
    {"symbol", FORM_SYMBOL, offsetof(Attrs, symbol), NULL, 0},
    {"axis", FORM_INT, offsetof(Attrs, axis), NULL, 0},
    {"index", FORM_INT, offsetof(Attrs, index), NULL, 0},
    {"window", FORM_INT, offsetof(Attrs, window), NULL, 0},
    {"stride", FORM_INT, offsetof(Attrs, stride), NULL, 0},
    {"dilation", FORM_INT, offsetof(Attrs, dilation), NULL, 0},
    {"padding", FORM_INT, offsetof(Attrs, padding), NULL, 0},
    {"axes", FORM_AXES, offsetof(Attrs, axes), NULL, 0},
    {"keep", FORM_FLAG, offsetof(Attrs, keep), NULL, 0},
    {"first", FORM_FLAG, offsetof(Attrs, first), NULL, 0},
    {"ta", FORM_FLAG, offsetof(Attrs, ta), NULL, 0},
    {"tb", FORM_FLAG, offsetof(Attrs, tb), NULL, 0},
    {"wide", FORM_FLAG, offsetof(Attrs, wide), NULL, 0},
    {"scale", FORM_NUMBER, offsetof(Attrs, scale), NULL, 0},
    {"said", FORM_FLAG, offsetof(Attrs, said), NULL, 0},
    {"causal", FORM_FLAG, offsetof(Attrs, causal), NULL, 0},
    {"start", FORM_LONGS, offsetof(Attrs, start), NULL, 0},
    {"step", FORM_LONGS, offsetof(Attrs, step), NULL, 0},
    {"distribution", FORM_WORD, offsetof(Attrs, distribution), distributions, 2},
    {"pattern", FORM_WORD, offsetof(Attrs, pattern), patterns, 4},
    {"space", FORM_SPACE, offsetof(Attrs, space), NULL, 0},
    {"carried", FORM_INT, offsetof(Attrs, carried), NULL, 0},
    {"stacked", FORM_INT, offsetof(Attrs, stacked), NULL, 0},
    {"reverse", FORM_FLAG, offsetof(Attrs, reverse), NULL, 0},
    {"remat", FORM_FLAG, offsetof(Attrs, remat), NULL, 0},
    {"shape", FORM_SHAPE, offsetof(Attrs, shape), NULL, 0},
};
enum { N_TABLE = sizeof table / sizeof table[0] };

/* The next attribute of an op's list, or NULL at its end. */
static const struct Attribute *next_attribute(const char **list) {
  *list += strspn(*list, " ");
  size_t length = strcspn(*list, " ");
  if (!length) return NULL;
  for (int i = 0; i < N_TABLE; i++)
    if (strlen(table[i].name) == length && !memcmp(table[i].name, *list, length)) {
      *list += length;
      return &table[i];
    }
  fault("ops.def names an attribute that attrs.c does not know: %s", *list);
}

/* ---- printing ----------------------------------------------------------- */

static void write_list(Writer *w, int count, const int64_t *items) {
  text_add(w->out, "[");
  for (int i = 0; i < count; i++) text_add(w->out, "%s%lld", i ? ", " : "", (long long)items[i]);
  text_add(w->out, "]");
}

static void write_value(Writer *w, const struct Attribute *a, const Node *node) {
  const void *field = (const char *)&node->attrs + a->offset;
  int64_t axes[MAX_RANK];
  switch (a->form) {
  case FORM_NUMBER: text_number(w->out, *(const double *)field); break;
  case FORM_PATH: write_name(w, *(const char *const *)field); break;
  case FORM_SYMBOL: write_symbol(w, *(const Symbol *const *)field); break;
  case FORM_INT: text_add(w->out, "%d", *(const int *)field); break;
  case FORM_AXES:
    for (int i = 0; i < node->attrs.n_axes; i++) axes[i] = node->attrs.axes[i];
    write_list(w, node->attrs.n_axes, axes);
    break;
  case FORM_LONGS: write_list(w, node->type.rank, field); break;
  case FORM_WORD: text_add(w->out, "%s", a->words[*(const int *)field]); break;
  case FORM_SPACE: write_dims(w, field); break;
  case FORM_FLAG:
  case FORM_SHAPE: break;
  }
}

/* Whether there is anything to print.  An input is found by its path or, in a
 * group's body, by its index: the one not used stays out. */
static bool is_there(const struct Attribute *a, const Node *node) {
  switch (a->form) {
  case FORM_FLAG: return *(const bool *)((const char *)&node->attrs + a->offset);
  case FORM_PATH: return node->attrs.path != NULL;
  case FORM_SYMBOL: return node->attrs.symbol != NULL;
  case FORM_SHAPE: return false;
  case FORM_INT: return op_info[node->op].n_inputs != 0 || node->attrs.index || !node->attrs.path;
  default: return true;
  }
}

static bool main_is_first(Op op, const struct Attribute *a) {
  return (op_info[op].n_inputs == 0 || op_info[op].kind == RANDOM) && (a->form == FORM_NUMBER || a->form == FORM_PATH || a->form == FORM_SYMBOL);
}

void attrs_write_main(Writer *w, const Node *node) {
  const char *list = op_info[node->op].attributes;
  const struct Attribute *a = next_attribute(&list);
  if (!a || !main_is_first(node->op, a) || !is_there(a, node)) return;
  text_add(w->out, " ");
  write_value(w, a, node);
}

void attrs_write(Writer *w, const Node *node) {
  const char *list = op_info[node->op].attributes, *first = list;
  const char *between = " {";
  for (const struct Attribute *a; first = list, (a = next_attribute(&list));) {
    bool is_main = first == op_info[node->op].attributes && main_is_first(node->op, a);
    if (is_main || !is_there(a, node)) continue;
    text_add(w->out, "%s%s%s", between, a->name, a->form == FORM_FLAG ? "" : "=");
    write_value(w, a, node);
    between = " ";
  }
  if (!between[1]) text_add(w->out, "}"); /* something was printed */
}

/* ---- reading ------------------------------------------------------------ */

static int read_list(Reader *r, int64_t *items, int64_t low, int64_t high) {
  int count = 0;
  read_expect(r, "[");
  if (read_accept(r, "]")) return 0;
  do {
    if (count == MAX_RANK) read_fail(r, E0705, r->at, "a list of more than %d numbers", MAX_RANK);
    items[count++] = read_integer(r, low, high);
  } while (read_accept(r, ","));
  read_expect(r, "]");
  return count;
}

static void read_value(Reader *r, const struct Attribute *a, Attrs *attrs, const Type *type) {
  enum { WIDE = 40 }; /* starts and steps: their products with sizes stay far from overflow */
  void *field = (char *)attrs + a->offset;
  int64_t list[MAX_RANK];
  const char *at = r->at;
  switch (a->form) {
  case FORM_NUMBER: *(double *)field = read_number(r); break;
  case FORM_PATH: *(const char **)field = read_name(r, "a path"); break;
  case FORM_SYMBOL: *(const Symbol **)field = read_symbol(r); break;
  case FORM_INT: *(int *)field = (int)read_integer(r, 0, INT_MAX); break;
  case FORM_FLAG: *(bool *)field = true; break;
  case FORM_AXES:
    attrs->n_axes = read_list(r, list, 0, MAX_RANK - 1);
    for (int i = 0; i < attrs->n_axes; i++) attrs->axes[i] = (int)list[i];
    break;
  case FORM_LONGS:
    if (read_list(r, field, -((int64_t)1 << WIDE), (int64_t)1 << WIDE) != type->rank)
      read_fail(r, E0703, at, "`%s` needs %d numbers, one an axis", a->name, type->rank);
    break;
  case FORM_WORD: *(int *)field = read_word(r, a->words, a->n_words, a->name); break;
  case FORM_SPACE: read_dims(r, field); break;
  case FORM_SHAPE: break;
  }
}

void attrs_read_main(Reader *r, Op op, Attrs *attrs) {
  const char *list = op_info[op].attributes;
  const struct Attribute *a = next_attribute(&list);
  if (!a || !main_is_first(op, a)) return;
  if (r->at < r->end && strchr("{@\n", *r->at)) return; /* an input known by its index */
  read_value(r, a, attrs, NULL);
}

/* `at` starts with the attribute's name and then no further letter. */
static const struct Attribute *find_attribute(Reader *r, Op op) {
  const char *list = op_info[op].attributes;
  for (const struct Attribute *a; (a = next_attribute(&list));)
    if (a->form != FORM_SHAPE && read_accept(r, a->name)) return a;
  read_fail(r, E0702, r->at, "%s has no such attribute; it has: %s", op_info[op].name,
            *op_info[op].attributes ? op_info[op].attributes : "none");
}

void attrs_read(Reader *r, Op op, Attrs *attrs, const Type *type) {
  for (const char *list = op_info[op].attributes; *list;) {
    const struct Attribute *a = next_attribute(&list);
    if (a && a->form == FORM_SHAPE) attrs->shape = *type;
  }
  if (!read_accept(r, "{")) return;
  while (!read_accept(r, "}")) {
    const struct Attribute *a = find_attribute(r, op);
    if (a->form != FORM_FLAG) read_expect(r, "=");
    read_value(r, a, attrs, type);
  }
}
