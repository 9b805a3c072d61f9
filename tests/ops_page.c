/* ops_page.c - see ops_page.h.
 *
 * What the page says stands where it is true: a builtin's line in the comment over its part of frontend/builtins.def,
 * an op's behind its row of ir/ops.def, a shape beside its rule in ir/op.c, a gradient beside its rule in
 * passes/gradient_rules.c, and of nn.mt the text itself with the list at its end.  So these files are read as text here.
 */
#include "tests/ops_page.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

static Arena *arena;

static const char *file_text(const char *path) {
  char *text = read_text(arena_print(arena, SOURCE_DIR "/%s", path));
  ck_assert_msg(text != NULL, "%s cannot be read", path);
  const char *kept = arena_copy(arena, text, strlen(text));
  free(text);
  return kept;
}

/* The next line of a text, which moves on; NULL at its end. */
static char *take_line(const char **at) {
  if (!**at) return NULL;
  size_t length = strcspn(*at, "\n");
  char *line = arena_copy(arena, *at, length);
  *at += length + ((*at)[length] == '\n');
  return line;
}

static char *trimmed(char *text) {
  text += strspn(text, " ");
  size_t n = strlen(text);
  while (n > 0 && text[n - 1] == ' ') n--;
  text[n] = 0;
  return text;
}

static bool starts(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }

/* Parts between bars; how many. */
static int split_bars(const char *text, char *part[4]) {
  int n = 0;
  char *copy = arena_copy(arena, text, strlen(text)), *bar;
  do {
    bar = strchr(copy, '|');
    if (bar) *bar = 0;
    ck_assert_msg(n < 4, "too many parts: %s", text);
    part[n++] = trimmed(copy);
    if (bar) copy = bar + 1;
  } while (bar);
  return n;
}

/* A cell: a bar would end it, and a star outside of code make it slant. */
static void add_cell(Text *out, const char *mark, const char *text) {
  bool code = *mark;
  text_add(out, " %s", mark);
  for (; *text; text++) {
    code ^= *text == '`';
    text_add(out, "%s%c", *text == '|' || (*text == '*' && !code) ? "\\" : "", *text);
  }
  text_add(out, "%s |", mark);
}

static void add_torch(Text *out, const char *name) { add_cell(out, starts(name, "none") ? "" : "`", starts(name, "none") ? "-" : name); }

/* ---- the comment beside a rule ------------------------------------------------------------------ */

/* "x's" of `static bool shape_same(const Inference *f) { / * x's * /`; NULL where the file does not have the rule. */
static const char *beside(const char *file, const char *result, const char *rule) {
  const char *text = file_text(file), *head = arena_print(arena, "%s%s(", result, rule);
  for (char *line; (line = take_line(&text));) {
    if (starts(line, "static ")) line += strlen("static ");
    char *from = starts(line, head) ? strstr(line, "/* ") : NULL, *to = from ? strstr(from, " */") : NULL;
    if (to) return *to = 0, from + 3;
  }
  return NULL;
}

static const char *said(const char *text, const char *rule) {
  ck_assert_msg(text != NULL, "nothing is said beside %s", rule);
  return text;
}

static const char *shape_of_rule(const char *rule) { return said(beside("ir/op.c", "bool ", rule), rule); }

static const char *gradient_of_rule(const char *rule) {
  if (!strcmp(rule, "none")) return rule;
  const char *text = beside("passes/gradient_rules.c", "Node *", rule);
  return said(text ? text : beside("passes/gradient_attention.c", "Node *", rule), rule);
}

static const struct OpRow { const char *op, *kind, *attributes, *shape, *gradient, *expression; int n; } op_rows[] = {
#define OP(op, n, kind, attributes, shape, gradient, expression) {#op, #kind, attributes, #shape, #gradient, expression, n},
#include "ir/ops.def"
#undef OP
};
enum { N_OP_ROWS = sizeof op_rows / sizeof op_rows[0] };

static const struct OpRow *op_row(const char *op) {
  for (int i = 0; i < N_OP_ROWS; i++)
    if (!strcmp(op_rows[i].op, op)) return &op_rows[i];
  ck_abort_msg("there is no op %s", op);
}

/* ---- builtins.def -------------------------------------------------------------------------------- */

typedef struct BuiltinRow {
  char name[32], run[32], op[32], keys[128];
  int least, most;
} BuiltinRow;

static bool read_builtin(const char *line, BuiltinRow *row) {
  *row = (BuiltinRow){0};
  return sscanf(line, "BUILTIN( %31[^, ] , %31[^, ] , %31[^, ] , %d , %d , \"%127[^\"]\"", row->name, row->run, row->op, &row->least,
                &row->most, row->keys) >= 5;
}

/* The described lines of one part, "name(arguments)  text": each row takes its own. */
enum { MOST_DESCRIBED = 256 };
typedef struct Described {
  int n;
  char *line[MOST_DESCRIBED];
} Described;

static char *take_described(Described *d, const char *name) {
  size_t length = strlen(name);
  for (int i = 0; i < d->n; i++) {
    char *line = d->line[i];
    if (!line || strncmp(line, name, length) || !strchr(" (:", line[length])) continue;
    d->line[i] = NULL;
    return line + length;
  }
  return NULL;
}

static void nothing_left(const Described *d, const char *file) {
  for (int i = 0; i < d->n; i++) ck_assert_msg(d->line[i] == NULL, "%s describes what is not there: %s", file, d->line[i]);
}

/* "clamp(x, min:, max:)": the arguments of its line, or x, y; those that may be left out in brackets. */
static const char *call_of(const BuiltinRow *row, char **text) {
  const char *names = row->most == 1 ? "x" : "x, y";
  if (**text == '(') {
    char *close = strstr(*text, ") ");
    ck_assert_msg(close != NULL, "builtins.def: %s%s", row->name, *text);
    names = arena_copy(arena, *text + 1, (size_t)(close - *text - 1));
    *text = close + 1;
  }
  char *keys = arena_copy(arena, row->keys, strlen(row->keys));
  const char *call = arena_print(arena, "%s(%s", row->name, names);
  for (char *key = strtok(keys, " "); key; key = strtok(NULL, " ")) call = arena_print(arena, "%s, %s:", call, key);
  return arena_print(arena, "%s)", call);
}

static void add_builtin(Text *out, const BuiltinRow *row, char *text) {
  char *part[4];
  const char *call = call_of(row, &text);
  int n = split_bars(text, part);
  ck_assert_msg(n == 2 || n == 4, "builtins.def: %s: the value | PyTorch's name, or value | shape | gradient | name", row->name);
  const struct OpRow *op = op_row(row->op);
  text_add(out, "|");
  add_cell(out, "`", call);
  add_cell(out, "", part[0]);
  add_cell(out, "", n == 4 ? part[1] : shape_of_rule(op->shape));
  add_cell(out, "", n == 4 ? part[2] : gradient_of_rule(op->gradient));
  add_torch(out, part[n - 1]);
  text_add(out, "\n");
}

static void add_builtins(Text *out) {
  const char *text = file_text("frontend/builtins.def");
  Described described = {0};
  BuiltinRow row;
  bool in_comment = false;
  for (char *line; (line = take_line(&text));) {
    if (starts(line, "/* ")) {
      nothing_left(&described, "builtins.def");
      described.n = 0;
      in_comment = !strstr(line, "*/");
      if (in_comment && !starts(line, "/* builtins.def"))
        text_add(out, "\n### %s\n\n| function | value | shape | gradient | PyTorch |\n|---|---|---|---|---|\n", trimmed(line + 3));
      continue;
    }
    bool is_described = in_comment && starts(line, " *   ") && line[5] != ' ' && described.n < MOST_DESCRIBED;
    if (strstr(line, "*/")) in_comment = false;
    if (is_described && !starts(line, " *   name(arguments)")) described.line[described.n++] = trimmed(line + 5);
    if (in_comment || !read_builtin(line, &row) || !strcmp(row.run, "later_call") || starts(line, " *")) continue;
    char *own = take_described(&described, row.name);
    ck_assert_msg(own != NULL, "builtins.def: the comment over %s does not say what it gives", row.name);
    add_builtin(out, &row, own);
  }
  nothing_left(&described, "builtins.def");
}

/* What builtins.def says of a function with an op's name: "e^x" and "torch.exp". */
static bool builtin_says(const char *name, char **value, char **torch) {
  const char *text = file_text("frontend/builtins.def");
  char *part[4];
  for (char *line; (line = take_line(&text));) {
    size_t length = strlen(name);
    if (!starts(line, " *   ") || strncmp(line + 5, name, length) || !strchr(" (", line[5 + length])) continue;
    char *from = line + 5 + length;
    if (*from == '(') from = strstr(from, ") ") + 1;
    int n = split_bars(from, part);
    return *value = part[0], *torch = part[n - 1], true;
  }
  return false;
}

/* ---- ops.def ---------------------------------------------------------------------------------------- */

/* The comment behind a row; empty where there is none. */
static const char *behind(const char *op) {
  const char *text = file_text("ir/ops.def");
  for (char *line; (line = take_line(&text));) {
    char name[32];
    if (sscanf(line, "OP( %31[^, ] ,", name) != 1 || strcmp(name, op)) continue;
    char *from = strstr(line, "/* "), *to = from ? strstr(from, " */") : NULL;
    return to ? (*to = 0, from + 3) : "";
  }
  return "";
}

static void add_op(Text *out, const struct OpRow *row) {
  const char *own = behind(row->op);
  char *part[4], *value = "", *torch = "none";
  if (split_bars(own, part) == 2) torch = part[1];
  if (*part[0]) value = part[0];
  char *said, *named;
  if (builtin_says(row->op, &said, &named)) {
    if (!*value) value = said;
    if (!strcmp(torch, "none")) torch = named;
  }
  ck_assert_msg(*value, "ops.def: nothing says what %s gives: a comment behind its row, value | PyTorch's name", row->op);
  text_add(out, "| `%s` | %s |", row->op, row->n < 0 ? "any" : arena_print(arena, "%d", row->n));
  add_cell(out, *row->attributes ? "`" : "", row->attributes);
  add_cell(out, "", value);
  add_cell(out, "", shape_of_rule(row->shape));
  add_cell(out, "", gradient_of_rule(row->gradient));
  add_torch(out, torch);
  text_add(out, "\n");
}

static void add_ops(Text *out) {
  const char *text = file_text("ir/ops.def");
  for (char *line; (line = take_line(&text));) {
    char name[32];
    if (starts(line, "/* ") && strstr(line, "*/") && line[3] != ' ') /* not the names of the columns */
      text_add(out, "\n### %.*s\n\n| op | operands | attributes | value | shape | gradient | PyTorch |\n|---|---|---|---|---|---|---|\n",
               (int)(strstr(line, " */") - line - 3), line + 3);
    if (sscanf(line, "OP( %31[^, ] ,", name) == 1) add_op(out, op_row(name));
  }
}

/* ---- nn.mt -------------------------------------------------------------------------------------------- */

#define IN_PYTORCH "# ---- in PyTorch ----\n"

static void read_list(const char *text, Described *d) {
  const char *at = strstr(text, IN_PYTORCH);
  ck_assert_msg(at != NULL, "nn.mt ends without %s", IN_PYTORCH);
  while (*at && !starts(at, "#\n")) take_line(&at);
  for (char *line; (line = take_line(&at));)
    if (starts(line, "# ")) {
      ck_assert_int_lt(d->n, MOST_DESCRIBED);
      d->line[d->n++] = trimmed(line + 2);
    }
}

enum { MOST_ITEMS = 64, MOST_LINES = 64 };

/* One `fn` or `module`: its lines, and the comment over it. */
typedef struct Item {
  bool is_module;
  const char *name, *config, *rest, *torch, *value, *note; /* Linear, (o: dim, bias: bool = true), what follows it */
  int n;
  char *line[MOST_LINES];
} Item;

/* From an opening bracket past the one that closes it. */
static const char *past_brackets(const char *at) {
  for (int depth = 0;; at++) {
    ck_assert_msg(*at != 0, "nn.mt: a bracket is open");
    depth += (*at == '(') - (*at == ')');
    if (depth == 0) return at + 1;
  }
}

static bool ends_in_brackets(const char *head) {
  int depth = 0;
  for (; *head; head++) depth += (*head == '(') - (*head == ')');
  return depth > 0;
}

/* The head, in one piece; of a module up to its brace, of a function past its arguments. */
static const char *head_of(const Item *item) {
  const char *head = item->line[0];
  for (int i = 1; item->is_module ? head[strlen(head) - 1] != '{' : ends_in_brackets(head); i++) head = arena_print(arena, "%s %s", head, trimmed(item->line[i]));
  return head;
}

static void read_item(Item *item, Described *list) {
  const char *name = strchr(head_of(item), ' ') + 1, *bracket = strchr(name, '('), *end = past_brackets(bracket);
  item->name = arena_copy(arena, name, (size_t)(bracket - name));
  item->config = arena_copy(arena, bracket, (size_t)(end - bracket));
  item->rest = end;
  char *own = take_described(list, item->name), *colon = own ? strstr(own, ": ") : NULL;
  ck_assert_msg(own != NULL, "nn.mt: the list at its end does not have %s", item->name);
  ck_assert_msg(!item->is_module || colon, "nn.mt: the list at its end does not say what %s computes", item->name);
  if (colon) *colon = 0;
  item->torch = trimmed(own);
  item->value = colon ? trimmed(colon + 2) : "";
}

static const char *with_note(const Item *item, const char *value) {
  return *item->note ? arena_print(arena, "%s%s%s", value, *value ? ". " : "", item->note) : value;
}

/* "weight: [o, i] = kaiming(fan: i)", "state ...", and layers inside, each with the `if` around it. */
static const char *holds(const Item *item) {
  const char *all = "", *condition = "";
  for (int i = 1; i < item->n; i++) {
    char *line = trimmed(arena_copy(arena, item->line[i], strlen(item->line[i]))), *label = strstr(line, "|> "), held[160] = "", name[64];
    if (starts(line, "if ")) condition = arena_print(arena, " (%.*s)", (int)strlen(line) - 2, line);
    if (starts(line, "} else {")) condition = " (else)";
    if (!strcmp(line, "}")) condition = "";
    if (starts(line, "param ")) snprintf(held, sizeof held, "`%s`", line + 6);
    if (starts(line, "state ")) snprintf(held, sizeof held, "`%s`", line);
    for (; label; label = strstr(label + 3, "|> "))
      if (sscanf(label, "|> %63[a-z_]: ", name) == 1 && label[3 + strlen(name)] == ':')
        snprintf(held, sizeof held, "`%.*s`", (int)(past_brackets(strchr(label, '(')) - label - 3), label + 3);
    if (*held) all = arena_print(arena, "%s%s%s%s", all, *all ? "<br>" : "", held, condition);
  }
  return *all ? all : "-";
}

static void add_module(Text *out, const Item *item) {
  char *shapes = arena_copy(arena, item->rest, strlen(item->rest) - 1);
  text_add(out, "|");
  add_cell(out, "`", arena_print(arena, "%s%s", item->name, item->config));
  add_cell(out, "`", trimmed(shapes));
  add_cell(out, "", holds(item));
  add_cell(out, "", with_note(item, item->value));
  add_torch(out, item->torch);
  text_add(out, "\n");
}

/* A formula of one line stands in the table, a longer one under it. */
static void add_function(Text *out, const Item *item) {
  text_add(out, "|");
  add_cell(out, "`", arena_print(arena, "%s%s", item->name, item->config));
  const char *formula = item->n == 1 ? arena_print(arena, "`%s`", item->rest + strlen(" = ")) : "below";
  add_cell(out, "", with_note(item, formula));
  add_torch(out, item->torch);
  text_add(out, "\n");
}

static void add_sources(Text *out, const Item *items, int n) {
  int long_ones = 0;
  for (int i = 0; i < n; i++) {
    if (items[i].is_module || items[i].n == 1) continue;
    if (long_ones++ == 0) text_add(out, "\n```\n");
    for (int k = 0; k < items[i].n; k++) text_add(out, "%s\n", items[i].line[k]);
  }
  if (long_ones) text_add(out, "```\n");
}

/* A part of the file: what stands between two titles. */
typedef struct Part {
  const char *title, *intro, *note; /* the comment under the title; the one over the next item */
  bool fresh, open;                 /* just under the title; inside of an item */
  int n;
  Item items[MOST_ITEMS];
} Part;

static void add_modules(Text *out, const Part *part) {
  int modules = 0;
  for (int i = 0; i < part->n; i++) {
    if (!part->items[i].is_module) continue;
    if (modules++ == 0) text_add(out, "\n| module | from, to | parameters | value | PyTorch |\n|---|---|---|---|---|\n");
    add_module(out, &part->items[i]);
  }
}

static void add_functions(Text *out, const Part *part) {
  int functions = 0;
  for (int i = 0; i < part->n; i++) {
    if (part->items[i].is_module) continue;
    if (functions++ == 0) text_add(out, "\n| function | value | PyTorch |\n|---|---|---|\n");
    add_function(out, &part->items[i]);
  }
}

static void add_part(Text *out, const Part *part) {
  if (!part->title) return;
  text_add(out, "\n### %s\n", part->title);
  if (*part->intro) text_add(out, "\n%s\n", part->intro);
  add_modules(out, part);
  add_functions(out, part);
  add_sources(out, part->items, part->n);
}

/* One more line of the file; a title ends the part before it. */
static void read_line(Text *out, Part *part, char *line) {
  bool begins = starts(line, "fn ") || starts(line, "module ");
  if (starts(line, "# ---- ")) {
    add_part(out, part);
    *part = (Part){.title = arena_copy(arena, line + 7, strlen(line) - strlen("# ----  ----")), .intro = "", .note = "", .fresh = true};
  } else if (starts(line, "# ")) {
    const char **to = part->fresh ? &part->intro : &part->note;
    *to = arena_print(arena, "%s%s%s", *to, **to ? " " : "", line + 2);
  } else if (begins) {
    ck_assert_int_lt(part->n, MOST_ITEMS);
    part->items[part->n++] = (Item){.is_module = *line == 'm', .note = part->note, .n = 1, .line = {line}};
    part->note = "";
  } else if (part->open && *line) {
    Item *item = &part->items[part->n - 1];
    ck_assert_int_lt(item->n, MOST_LINES);
    item->line[item->n++] = line;
  }
  part->open = begins || (part->open && (*line == ' ' || *line == '}'));
  part->fresh &= *line == '#';
}

static void add_standard_file(Text *out) {
  const char *text = file_text("frontend/nn.mt"), *end = strstr(text, IN_PYTORCH);
  Part *part = arena_alloc(arena, sizeof *part);
  Described list = {0};
  read_list(text, &list);
  *part = (Part){.intro = "", .note = ""};
  while (text < end) {
    read_line(out, part, take_line(&text));
    bool done = part->open && (*text == '\n' || !strchr(" }", *text));
    if (done) part->open = false, read_item(&part->items[part->n - 1], &list);
  }
  add_part(out, part);
  nothing_left(&list, "nn.mt");
}

/* ---- the page ------------------------------------------------------------------------------------------- */

void ops_page(Text *out) {
  arena = arena_new();
  text_add(out,
           "# Functions, layers and ops\n\n"
           "Made by `make regold` from `frontend/builtins.def`, `frontend/nn.mt`, `ir/ops.def` and the comments beside the rules\n"
           "in `ir/op.c` and `passes/gradient_rules.c`; a test says when it is not what they say.\n\n"
           "`x` and `y` are operands, `z` is the result and `g` its gradient, `dx` that of `x`. `..` stands for any leading axes.\n"
           "Where an operand was broadcast, its gradient is summed over what was repeated. `F` is `torch.nn.functional`, `nn` is\n"
           "`torch.nn`; values and gradients are compared with PyTorch's, edges included, by the suites `pytorch` and `layers`.\n\n"
           "## Functions that the compiler knows\n");
  add_builtins(out);
  text_add(out,
           "\n## nn.mt: what `use nn` adds\n\n"
           "Ordinary source, so the formula is the text and the gradient is that of the formula. Losses are single numbers; a\n"
           "loss and an activation take any shape unless they say which. Parameters have PyTorch's names and layouts.\n");
  add_standard_file(out);
  text_add(out,
           "\n## Ops: what a program is made of inside\n\n"
           "All of the above becomes these, and `--emit=ir` prints them.\n");
  add_ops(out);
  arena_free(arena);
}
