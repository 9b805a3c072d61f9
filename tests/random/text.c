/* text.c - a random program as text that reads back: the corpus. */
#include <stdlib.h>
#include <string.h>

#include "tests/random/random.h"

char *random_text(const Kit *kit) {
  Text text = {0};
  program_print(&text, kit->program);
  text_add(&text, "# rows %lld\n", (long long)kit->n_rows);
  for (int i = 0; i < kit->n_leaves; i++) {
    text_add(&text, "# %s", kit->leaves[i].path);
    for (int64_t k = 0; k < kit->leaves[i].count; k++) text_add(&text, " %.9g", kit->leaves[i].data[k]);
    text_add(&text, "\n");
  }
  return text.data;
}

/* "# path v v v": as many of the leaf's values as there are; the others are 1. */
static void read_values(Kit *kit, Node *node, const char *text) {
  int64_t count = type_count(&node->type);
  if (type_rows(&node->type)) count = count / type_rows(&node->type)->size * kit->n_rows;
  double *data = calloc((size_t)count + 1, sizeof *data);
  char line[256];
  snprintf(line, sizeof line, "# %s ", node->attrs.path);
  const char *at = strstr(text, line);
  at = at ? at + strlen(line) : "";
  for (int64_t k = 0; k < count; k++) {
    char *end = NULL;
    data[k] = at && *at != '\n' ? strtod(at, &end) : 1;
    at = end && end != at ? end : "";
  }
  LIST_PUSH(kit->arena, kit->leaves, kit->n_leaves, ((Leaf){node->attrs.path, node, count, data}));
}

Kit *random_read(const Source *source) {
  Kit *kit = kit_new(0);
  kit->program = program_read(source, kit->arena, kit->diagnostics);
  if (!kit->program || !kit->program->has_train) {
    kit_free(kit);
    return NULL;
  }
  kit->graph = kit->program->train.graph;
  kit->b.graph = kit->graph;
  const char *rows = strstr(source->text, "# rows ");
  kit->n_rows = rows ? strtoll(rows + strlen("# rows "), NULL, 10) : 0;
  for (int i = 0; i < kit->graph->n_nodes; i++) {
    Node *node = kit->graph->nodes[i];
    if (node->op == OP_input || node->op == OP_param || node->op == OP_state) read_values(kit, node, source->text);
    if (node->attrs.symbol) kit->rows = (Symbol *)(uintptr_t)node->attrs.symbol;
  }
  if (kit->graph->rows) kit->rows = (Symbol *)(uintptr_t)kit->graph->rows;
  return kit;
}
