/* text.c - a program as text: everything it holds, one thing a line.
 *
 *   mtc-ir 1 digits from "digits.mt" passes(gradient, simplify)
 *
 *   dim B<=64                                   a capacity: fewer rows may come
 *   dim H=128
 *   data train_set = csv("digits.csv") {x: f32[B, P], y: i32[B] in 0..10} rows B
 *   param net.fc1.weight : f32[H, P] = uniform(-0.125, 0.125) at 0
 *
 *   graph train rows B arena 65536 {
 *     %net.fc1.mm : f32[B, H] = matmul %net.x, %net.fc1.weight {tb} in arena+512 @nn.mt:7:10-20<digits.mt:11:8-22
 *     -> log loss = %loss
 *   }
 *   update update0 { ... }   train d in train_set for 30 epochs { ... }   predict p { ... } graph predict
 *
 * A node is `%name : type = op operands {attributes}`, then where plan put it,
 * the names that were merged into it (`aka`), why fuse made it, its span
 * (line:column-last column<caller), and for a group its body, which has nodes
 * and outputs of its own.  An operand that is a constant shows its value.
 *
 * In shapes a dim declared above is its bare name (`H'2` for the second of
 * that name); a name of some module's own carries its size, `i=64`; so does
 * arithmetic, `3*D=384`; and what scales with the rows there are says with
 * which, `2*B<=128:B`.
 *
 * Names with odd characters are quoted.  Numbers are the shortest that read
 * back to the same double.  read.c reads it all back to the same program.
 */
#include <ctype.h>
#include <string.h>

#include "ir/text.h"

const char *const init_words[] = {"constant", "uniform", "normal"};
const char *const data_words[] = {"csv", "npy", "npz", "idx", "bytes", "tokens", "random"};
const char *const role_words[] = {"value", "log", "loss", "grad", "acc", "state", "carry"};
const char *const combine_words[] = {"sum", "min", "max"};
const char *const unit_words[] = {"steps", "epochs"};
const char *const precision_words[] = {"f32", "tf32", "bf16"};
const char *const home_words[] = {"none", "input", "param", "state", "arena", "grad", "next", "output", "alias", "operand", "result"};

/* ---- names and types ---------------------------------------------------- */

static bool is_bare(const char *name) {
  if (!isalpha((unsigned char)*name) && *name != '_') return false;
  for (; *name; name++)
    if (!isalnum((unsigned char)*name) && *name != '_' && *name != '.') return false;
  return true;
}

static void write_quoted(Writer *w, const char *text) {
  text_add(w->out, "\"");
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') text_add(w->out, "\\%c", c);
    else if (c == '\n') text_add(w->out, "\\n");
    else if (c < ' ' || c == 127) text_add(w->out, "\\x%02x", c);
    else text_add_bytes(w->out, text, 1);
  }
  text_add(w->out, "\"");
}

void write_name(Writer *w, const char *name) {
  if (name && is_bare(name)) text_add(w->out, "%s", name);
  else write_quoted(w, name ? name : "");
}

/* How many file-level dims of that name stand before it; -1: it is none. */
static int declared_before(const Program *p, const Symbol *symbol) {
  int index = 0, before = 0;
  while (index < p->n_symbols && p->symbols[index] != symbol) index++;
  if (index == p->n_symbols) return -1;
  for (int i = 0; i < index; i++) before += !strcmp(p->symbols[i]->name, symbol->name);
  return before;
}

void write_symbol(Writer *w, const Symbol *symbol) {
  int before = w->program ? declared_before(w->program, symbol) : 0;
  if (!is_bare(symbol->name)) text_add(w->out, "$");
  write_name(w, symbol->name);
  if (before > 0) text_add(w->out, "'%d", before + 1);
}

/* Text of arithmetic without its spaces, or quoted where that could be taken for something else. */
static void write_arithmetic(Writer *w, const char *text) {
  bool plain = false;
  for (const char *c = text; *c; c++) {
    if (!isalnum((unsigned char)*c) && !strchr("_ *+-/%().", *c)) {
      plain = false;
      break;
    }
    plain = plain || strchr("*+-/%(", *c);
  }
  if (!plain) {
    write_quoted(w, text);
    return;
  }
  for (const char *c = text; *c; c++)
    if (*c != ' ') text_add_bytes(w->out, c, 1);
}

static void write_dim(Writer *w, const Dim *d) {
  const Symbol *s = d->symbol;
  if (s && s->size == d->size && d->rows == (s->rows ? s : NULL) &&
      (!w->program || declared_before(w->program, s) >= 0)) {
    write_symbol(w, s);
    return;
  }
  if (!s && !d->text && !d->rows) {
    text_add(w->out, "%lld", (long long)d->size);
    return;
  }
  if (s) {
    if (!is_bare(s->name)) text_add(w->out, "$");
    write_name(w, s->name);
  } else if (d->text) {
    write_arithmetic(w, d->text);
  }
  text_add(w->out, "%s%lld", d->rows ? "<=" : "=", (long long)d->size);
  if (d->rows && d->rows != s) {
    text_add(w->out, ":");
    write_symbol(w, d->rows);
  }
}

void write_dims(Writer *w, const Type *type) {
  text_add(w->out, "[");
  for (int i = 0; i < type->rank; i++) {
    text_add(w->out, "%s", i ? ", " : "");
    write_dim(w, &type->dim[i]);
  }
  text_add(w->out, "]");
}

static void write_type(Writer *w, const Type *type) {
  text_add(w->out, "%s", dtype_name(type->dtype));
  write_dims(w, type);
}

static bool is_bare_path(const char *path) {
  if (!*path) return false;
  for (; *path; path++)
    if (!isalnum((unsigned char)*path) && !strchr("_./-+~", *path)) return false;
  return true;
}

static void write_span(Writer *w, const Span *span) {
  const char *before = " @";
  for (; span; span = span->caller, before = "<") {
    const char *path = span->source && span->source->path ? span->source->path : "";
    text_add(w->out, "%s", before);
    if (is_bare_path(path)) text_add(w->out, "%s", path);
    else write_quoted(w, path);
    text_add(w->out, ":%d:%d", span->line, span->column);
    if (span->length > 1) text_add(w->out, "-%lld", (long long)span->column + span->length - 1);
  }
}

/* ---- nodes and graphs --------------------------------------------------- */

static void write_reference(Writer *w, const Node *node) {
  text_add(w->out, "%%");
  write_name(w, node->name);
}

static void write_operands(Writer *w, const Node *node) {
  for (int i = 0; i < node->n_in; i++) {
    const Node *x = node->in[i];
    text_add(w->out, "%s", i ? ", " : " ");
    write_reference(w, x);
    if (x->op != OP_const) continue;
    text_add(w->out, "=");
    text_number(w->out, x->attrs.value);
  }
}

static void write_home(Writer *w, const Node *node) {
  if (node->home == HOME_NONE && !node->offset) return;
  text_add(w->out, " in %s", home_words[node->home]);
  if (node->offset) text_add(w->out, "+%lld", (long long)node->offset);
}

static void write_node(Writer *w, const Node *node) {
  write_reference(w, node);
  if (op_info[node->op].kind != GROUP && op_info[node->op].kind != LOOP) {
    text_add(w->out, " : ");
    write_type(w, &node->type);
  }
  text_add(w->out, " = %s", op_info[node->op].name);
  attrs_write_main(w, node);
  write_operands(w, node);
  attrs_write(w, node);
  if (node->again) text_add(w->out, " again");
  write_home(w, node);
  for (int i = 0; i < node->n_aliases; i++) {
    text_add(w->out, "%s", i ? ", " : " aka ");
    write_name(w, node->aliases[i]);
  }
  if (node->reason) {
    text_add(w->out, " because ");
    write_quoted(w, node->reason);
  }
  write_span(w, node->span);
}

void node_print(Text *out, const Node *node) {
  Writer w = {out, NULL};
  write_node(&w, node);
}

static void write_output(Writer *w, const Output *o) {
  text_add(w->out, "-> %s", role_words[o->role]);
  if (o->name) {
    text_add(w->out, " ");
    write_name(w, o->name);
  }
  text_add(w->out, " = ");
  write_reference(w, o->node);
  if (o->role == OUT_ACC || o->combine) text_add(w->out, " %s", combine_words[o->combine]);
  if (o->index) text_add(w->out, " index %d", o->index);
}

static void indent(Writer *w, int depth) { text_add(w->out, "%*s", 2 * depth, ""); }

static void write_graph(Writer *w, const char *keyword, const Graph *graph, int depth) {
  text_add(w->out, "%s ", keyword);
  write_name(w, graph->name);
  if (graph->rows) {
    text_add(w->out, " rows ");
    write_symbol(w, graph->rows);
  }
  if (graph->arena_bytes) text_add(w->out, " arena %lld", (long long)graph->arena_bytes);
  text_add(w->out, " {\n");
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    indent(w, depth + 1);
    write_node(w, node);
    if (node->body) write_graph(w, " body", node->body, depth + 1);
    else text_add(w->out, "\n");
  }
  for (int i = 0; i < graph->n_outputs; i++) {
    indent(w, depth + 1);
    write_output(w, &graph->outputs[i]);
    text_add(w->out, "\n");
  }
  indent(w, depth);
  text_add(w->out, "}\n");
}

/* ---- what a model declares ---------------------------------------------- */

static void write_symbols(Writer *w) {
  for (int i = 0; i < w->program->n_symbols; i++) {
    const Symbol *s = w->program->symbols[i];
    text_add(w->out, "dim ");
    if (!is_bare(s->name)) text_add(w->out, "$");
    write_name(w, s->name);
    text_add(w->out, "%s%lld\n", s->rows ? "<=" : "=", (long long)s->size);
  }
}

static void write_fields(Writer *w, int n, const Field *fields) {
  text_add(w->out, "{");
  for (int i = 0; i < n; i++) {
    const Field *f = &fields[i];
    text_add(w->out, "%s", i ? ", " : "");
    write_name(w, f->name);
    text_add(w->out, ": ");
    write_type(w, &f->type);
    if (f->low || f->high) text_add(w->out, " in %lld..%lld", (long long)f->low, (long long)f->high);
    if (f->ignore) text_add(w->out, " ignore %lld", (long long)f->ignore);
  }
  text_add(w->out, "}");
}

static void write_option(Writer *w, const char *name, int64_t value) {
  if (value) text_add(w->out, " %s %lld", name, (long long)value);
}

static void write_data(Writer *w, const Data *d) {
  text_add(w->out, "data ");
  write_name(w, d->name);
  text_add(w->out, " = %s(", data_words[d->kind]);
  for (int i = 0; i < d->n_paths; i++) {
    text_add(w->out, "%s", i ? ", " : "");
    write_quoted(w, d->paths[i]);
  }
  text_add(w->out, ") ");
  write_fields(w, d->n_fields, d->fields);
  if (d->rows) {
    text_add(w->out, " rows ");
    write_symbol(w, d->rows);
  }
  if (d->drop) text_add(w->out, " drop");
  write_option(w, "limit", d->n_rows);
  write_option(w, "seed", d->seed);
  write_option(w, "window", d->window);
  write_option(w, "stride", d->stride);
  write_span(w, d->span);
  text_add(w->out, "\n");
}

static void write_stored(Writer *w, const char *keyword, const char *path, const char *pattern, const Type *type,
                         const Init *init, int64_t offset, const Span *span) {
  text_add(w->out, "%s ", keyword);
  write_name(w, path);
  text_add(w->out, " : ");
  write_type(w, type);
  text_add(w->out, " = %s(", init_words[init->kind]);
  text_number(w->out, init->a);
  if (init->kind != INIT_CONSTANT) {
    text_add(w->out, ", ");
    text_number(w->out, init->b);
  }
  text_add(w->out, ")");
  if (pattern) {
    text_add(w->out, " blocks ");
    write_name(w, pattern);
  }
  if (offset || w->program->param_elements) text_add(w->out, " at %lld", (long long)offset);
  write_span(w, span);
  text_add(w->out, "\n");
}

static void write_params(Writer *w) {
  const Program *p = w->program;
  if (p->n_data && p->n_params + p->n_states) text_add(w->out, "\n");
  if (p->param_elements) text_add(w->out, "block %lld\n", (long long)p->param_elements);
  for (int i = 0; i < p->n_params; i++) {
    const Param *q = &p->params[i];
    write_stored(w, "param", q->path, q->pattern, &q->type, &q->init, q->offset, q->span);
  }
  for (int i = 0; i < p->n_states; i++) {
    const State *q = &p->states[i];
    write_stored(w, "state", q->path, q->pattern, &q->type, &q->init, q->offset, q->span);
  }
}

/* ---- the script --------------------------------------------------------- */

static void write_update_group(Writer *w, const UpdateGroup *g) {
  text_add(w->out, "  ");
  write_name(w, g->target);
  text_add(w->out, " using %s(", g->optimizer->name);
  for (int i = 0; i < MAX_HYPER && g->optimizer->hyper[i]; i++) {
    text_add(w->out, "%s%s=", i ? ", " : "", g->optimizer->hyper[i]);
    if (g->hyper[i]) write_reference(w, g->hyper[i]);
    else text_add(w->out, "none");
  }
  text_add(w->out, ") on (");
  for (int i = 0; i < g->n_params; i++) {
    text_add(w->out, "%s", i ? ", " : "");
    write_name(w, w->program->params[g->params[i]].path);
  }
  text_add(w->out, ")");
  write_span(w, g->span);
  text_add(w->out, "\n");
}

static void write_update(Writer *w, const Update *u) {
  text_add(w->out, "update ");
  write_name(w, u->name);
  if (u->clip != 0) {
    text_add(w->out, " clip ");
    text_number(w->out, u->clip);
  }
  for (int i = 0; i < u->n_stopped; i++) {
    text_add(w->out, i ? ", " : " stopped (");
    write_name(w, w->program->params[u->stopped[i].param].path);
    write_span(w, u->stopped[i].past);
  }
  if (u->n_stopped) text_add(w->out, ")");
  write_span(w, u->span);
  text_add(w->out, " {\n");
  for (int i = 0; i < u->n_groups; i++) write_update_group(w, &u->groups[i]);
  text_add(w->out, "}\n");
}

static void write_statements(Writer *w, int n, const Stmt *body, int depth) {
  text_add(w->out, " {\n");
  for (int i = 0; i < n; i++) {
    const Stmt *s = &body[i];
    indent(w, depth + 1);
    switch (s->kind) {
    case STMT_UPDATE: text_add(w->out, "update %d", s->index); break;
    case STMT_LOG: text_add(w->out, "log "); break;
    case STMT_EVERY: text_add(w->out, "every %lld %s", (long long)s->every, unit_words[s->unit]); break;
    case STMT_EVAL: text_add(w->out, "eval %d", s->index); break;
    case STMT_SAMPLE: text_add(w->out, "sample"); break;
    case STMT_SAVE: text_add(w->out, !s->name ? "save" : s->highest ? "save highest " : "save lowest "); break;
    }
    if (s->name) write_name(w, s->name);
    write_span(w, s->span);
    if (s->kind == STMT_EVERY || s->kind == STMT_EVAL) write_statements(w, s->n_body, s->body, depth + 1);
    else text_add(w->out, "\n");
  }
  indent(w, depth);
  text_add(w->out, "}\n");
}

static void write_graph_name(Writer *w, const char *keyword, const Graph *graph) {
  if (!graph) return;
  text_add(w->out, " %s ", keyword);
  write_name(w, graph->name);
}

static void write_eval(Writer *w, const Eval *e) {
  text_add(w->out, "eval ");
  write_name(w, e->variable);
  text_add(w->out, " in ");
  write_name(w, w->program->data[e->data].name);
  write_graph_name(w, "batch", e->batch);
  write_graph_name(w, "finish", e->finish);
  write_span(w, e->span);
  text_add(w->out, "\n");
}

static void write_train(Writer *w, const Train *t) {
  for (int i = 0; i < t->n_updates; i++) write_update(w, &t->updates[i]);
  text_add(w->out, "train ");
  write_name(w, t->variable);
  text_add(w->out, " in ");
  write_name(w, w->program->data[t->data].name);
  if (t->shuffled) text_add(w->out, " shuffled %lld", (long long)t->shuffle_seed);
  text_add(w->out, " for %lld %s accumulate %lld precision %s", (long long)t->count, unit_words[t->unit],
           (long long)t->accumulate, precision_words[t->precision]);
  if (t->memory) text_add(w->out, " memory %lld%s", (long long)t->memory, t->apart ? " apart" : "");
  write_graph_name(w, "graph", t->graph);
  for (int i = 0; i < t->n_phases; i++) {
    const Phase *phase = &t->phases[i];
    text_add(w->out, "%sphase %lld %d", i ? ", " : " ", (long long)phase->every, phase->update);
    if (phase->graph) write_graph_name(w, "graph", phase->graph);
  }
  if (t->carry_bytes) text_add(w->out, " carry %lld", (long long)t->carry_bytes);
  write_span(w, t->span);
  write_statements(w, t->n_body, t->body, 0);
}

static void write_predict(Writer *w, const char *keyword, const Predict *p) {
  text_add(w->out, "%s ", keyword);
  write_name(w, p->variable);
  text_add(w->out, " ");
  write_fields(w, p->n_fields, p->fields);
  write_graph_name(w, "graph", p->graph);
  write_span(w, p->span);
  text_add(w->out, "\n");
}

/* `weights net from "f.npz" {b.#.ln: "h.#.ln_1", up: "w" transpose, head: none, _: "mask"}` */
static void write_weights(Writer *w, const Weights *weights) {
  text_add(w->out, "weights ");
  write_name(w, weights->instance);
  text_add(w->out, " from ");
  write_quoted(w, weights->path);
  text_add(w->out, " {");
  for (int i = 0; i < weights->n_maps; i++) {
    const Mapping *m = &weights->maps[i];
    text_add(w->out, "%s", i ? ", " : "");
    if (m->path) write_quoted(w, m->path);
    else text_add(w->out, "_");
    text_add(w->out, ": ");
    if (m->name) write_quoted(w, m->name);
    else text_add(w->out, "none");
    if (m->transpose) text_add(w->out, " transpose");
  }
  text_add(w->out, "}");
  write_span(w, weights->span);
  text_add(w->out, "\n");
}

/* ---- the whole ---------------------------------------------------------- */

static void write_head(Writer *w) {
  const Program *p = w->program;
  text_add(w->out, "mtc-ir 1 ");
  write_name(w, p->name);
  text_add(w->out, " from ");
  write_quoted(w, p->source ? p->source : "");
  text_add(w->out, " passes(");
  for (int i = 0; i < p->n_passes; i++) {
    text_add(w->out, "%s", i ? ", " : "");
    write_name(w, p->passes[i]);
  }
  text_add(w->out, ")\n\n");
}

static void write_top_graph(Writer *w, const Graph *graph) {
  if (!graph) return;
  text_add(w->out, "\n");
  write_graph(w, "graph", graph, 0);
}

/* In the order of program_graphs, which cannot be asked: it allocates in the program's arena. */
static void write_graphs(Writer *w) {
  const Program *p = w->program;
  if (p->has_train) write_top_graph(w, p->train.graph);
  for (int i = 1; p->has_train && i < p->train.n_phases; i++) write_top_graph(w, p->train.phases[i].graph);
  for (int i = 0; i < p->n_evals; i++) {
    write_top_graph(w, p->evals[i].batch);
    write_top_graph(w, p->evals[i].finish);
  }
  if (p->has_predict) write_top_graph(w, p->predict.graph);
  if (p->has_sample) write_top_graph(w, p->sample.graph);
  write_top_graph(w, p->schedule);
}

void program_print(Text *out, const Program *program) {
  Writer w = {out, program};
  write_head(&w);
  write_symbols(&w);
  text_add(out, "\n");
  for (int i = 0; i < program->n_data; i++) write_data(&w, &program->data[i]);
  write_params(&w);
  write_graphs(&w);
  text_add(out, "\n");
  for (int i = 0; i < program->n_evals; i++) write_eval(&w, &program->evals[i]);
  if (program->has_train) write_train(&w, &program->train);
  if (program->has_predict) write_predict(&w, "predict", &program->predict);
  if (program->has_sample) write_predict(&w, "sample", &program->sample);
  for (int i = 0; i < program->n_weights; i++) write_weights(&w, &program->weights[i]);
}
