/* writer.c - lines, blocks and the parameters of a kernel. */
#include <string.h>

#include "codegen/writer.h"

/* ---- lines ------------------------------------------------------------------ */

void write_line(Writer *w, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int n = vsnprintf(NULL, 0, format, arguments);
  char *line = arena_alloc(w->arena, (size_t)n + 1);
  vsnprintf(line, (size_t)n + 1, format, again);
  va_end(again);
  va_end(arguments);
  text_add(w->out, "%*s%s\n", *line == '#' ? 0 : 2 * w->indent, "", line);
}

/* More than one statement: more than one line, but for a head and what it guards. */
static bool needs_braces(const char *body) {
  int lines = 0;
  for (const char *c = body; *c; c++) lines += *c == '\n';
  const char *end = strchr(body, '\n');
  size_t indent = strspn(body, " ");
  bool guards = lines == 2 && end[-1] != '{' && strspn(end + 1, " ") > indent;
  return lines != 1 && !guards;
}

void write_block(Writer *w, const char *head, Text *body) {
  if (!body->data) text_add(body, "%s", "");
  bool braces = needs_braces(body->data);
  write_line(w, braces ? "%s {" : "%s", head);
  text_add_bytes(w->out, body->data, body->length);
  if (braces) write_line(w, "}");
  text_free(body);
}

/* The same for an if whose one statement may stand on its line. */
void write_if(Writer *w, const char *condition, Text *body) {
  const char *head = arena_print(w->arena, "if (%s)", condition), *end = body->data ? strchr(body->data, '\n') : NULL;
  size_t indent = body->data ? strspn(body->data, " ") : 0;
  if (!end || end[1] || (size_t)(end - body->data) - indent + strlen(head) + 2 * (size_t)w->indent > LONGEST_LINE - 2) {
    write_block(w, head, body);
    return;
  }
  write_line(w, "%s %.*s", head, (int)(end - body->data - (long)indent), body->data + indent);
  text_free(body);
}

Text *writer_divert(Writer *w, Text *to, int deeper) {
  Text *before = w->out;
  w->out = to;
  w->indent += deeper;
  return before;
}

/* "net.b" -> "b" */
static const char *last_part(const char *path) { return strrchr(path, '.') ? strrchr(path, '.') + 1 : path; }

void writer_begin(Writer *w) {
  w->names = names_new(w->arena, w->globals);
  for (int i = 0; i < w->k->n_values; i++) w->k->values[i]->name = NULL;
  for (int p = 0; p < w->k->n_pointers; p++) {
    Pointer *pointer = &w->k->pointers[p];
    pointer->name = w->canonical ? arena_print(w->arena, "p%d", p)
                                 : names_take(w->names, name_short(w->roots, pointer->node->name));
  }
  for (int i = 0; i < w->k->n_turns; i++)
    w->k->turn_names[i] = w->canonical ? arena_print(w->arena, "turn%d", i) : names_take(w->names, last_part(w->k->turns[i]));
}

static const char *parameter(Writer *w, int p) {
  const Pointer *pointer = &w->k->pointers[p];
  const char *type = c_storage(pointer->type->dtype), *restricted = w->cuda ? "__restrict__ " : "restrict ";
  return arena_print(w->arena, "%s%s *%s%s", pointer->output < 0 ? "const " : "", type, restricted, pointer->name);
}

/* The parameters, broken into lines under the first. */
void write_signature(Writer *w, const char *before) {
  Text line = {0};
  const char *parts[MAX_POINTERS + MAX_TURNS + 2];
  int n = 0;
  const Kernel *k = w->k;
  for (int p = 0; p < k->n_pointers; p++) parts[n++] = parameter(w, p);
  if (k->uses_scalars) parts[n++] = "const MtScalars *scalars";
  for (int i = 0; i < k->n_turns; i++) parts[n++] = arena_print(w->arena, "int %s", k->turn_names[i]);
  if (k->uses_rows) parts[n++] = w->cuda && !k->wide ? "int rows" : "int64_t rows";
  text_add(&line, "%s%s(", before, w->name);
  size_t column = line.length, used = column;
  for (int i = 0; i < n; i++) {
    size_t length = strlen(parts[i]);
    if (i > 0 && used + length + 4 > LONGEST_LINE)
      text_add(&line, ",\n%*s", (int)column, ""), used = column;
    else if (i > 0)
      text_add(&line, ", "), used += 2;
    text_add(&line, "%s", parts[i]);
    used += length;
  }
  text_add(&line, "%s) {\n", n || w->cuda ? "" : "void");
  text_add_bytes(w->out, line.data, line.length);
  text_free(&line);
}
