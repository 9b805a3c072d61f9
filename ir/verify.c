/* verify.c - what every well-formed program keeps.
 *
 * The passes trust these rules instead of checking them; the verifier runs
 * after each pass in tests and under --verify-each, and after reading a .ir
 * file.  It asks in the order of trust: first that the nodes of a graph are
 * there and in order, then their types, then what refers to the program, then
 * the bodies of groups (verify_group.c) and of loops (verify_loop.c), then where plan put things
 * (verify_plan.c).  The first rule that is broken is told, with the graph and
 * the node's name.
 */
#include <string.h>

#include "ir/verify.h"

const char *verify_wrong(const Verifier *v, const Graph *graph, const Node *node, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (v->broken) *v->broken = (Broken){graph, node};
  if (!graph) return arena_print(v->arena, "%s", text);
  if (!node) return arena_print(v->arena, "%s: %s", graph->name, text);
  return arena_print(v->arena, "%s: %%%s: %s", graph->name, node->name, text);
}

#define WRONG(graph, node, ...) return verify_wrong(v, (graph), (node), __VA_ARGS__)
#define TRY(check)                     \
  do {                                 \
    const char *wrong_ = (check);      \
    if (wrong_) return wrong_;         \
  } while (0)

/* ---- nodes in order, names unique --------------------------------------- */

static const char *check_order(Verifier *v, const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if ((unsigned)node->op >= OP_COUNT) WRONG(graph, NULL, "node %d has no op", i);
    if (!node->name || !*node->name) WRONG(graph, NULL, "node %d (%s) has no name", i, op_info[node->op].name);
    if (map_get_name(v->names, node->name) >= 0) WRONG(graph, node, "a second node of that name");
    map_put_name(&v->names, node->name, i);
    int wanted = op_info[node->op].n_inputs;
    if (wanted >= 0 && node->n_in != wanted)
      WRONG(graph, node, "%s takes %d operands, it has %d", op_info[node->op].name, wanted, node->n_in);
    for (int k = 0; k < node->n_in; k++)
      if (map_get_node(v->position, node->in[k]) < 0)
        WRONG(graph, node, "operand %d, %%%s, does not stand before it", k, node->in[k]->name);
    map_put_node(&v->position, node, i);
  }
  return NULL;
}

/* ---- types -------------------------------------------------------------- */

static bool has_body(const Node *node) {
  return op_info[node->op].kind == GROUP || op_info[node->op].kind == LOOP;
}

static const char *check_dims(const Verifier *v, const Graph *graph, const Node *node, const Type *t) {
  if (t->rank < 0 || t->rank > MAX_RANK) WRONG(graph, node, "its type has %d axes", t->rank);
  for (int i = 0; i < t->rank; i++) {
    const Dim *d = &t->dim[i];
    if (d->size < 0) WRONG(graph, node, "axis %d has a negative size", i);
    if (!d->rows) continue;
    if (!d->rows->rows || d->rows->size < 1 || d->size % d->rows->size)
      WRONG(graph, node, "axis %d is no multiple of a capacity", i);
    bool declared = false;
    for (int k = 0; k < v->program->n_symbols; k++) declared = declared || v->program->symbols[k] == d->rows;
    if (!declared) WRONG(graph, node, "its capacity %s is no dim of the program", d->rows->name);
    const Graph *top = graph;
    while (top->parent) top = top->parent;
    if (top->rows != d->rows)
      WRONG(graph, node, "its capacity is %s, that of the graph is %s", d->rows->name, top->rows ? top->rows->name : "none");
  }
  return NULL;
}

static const char *type_text(const Verifier *v, const Type *type) {
  Text text = {0};
  type_print(&text, type, true);
  return text_take(&text, v->arena);
}

static const char *check_result(const Verifier *v, const Graph *graph, const Node *node) {
  const Node *group = node->in[0]; /* it stands before: its body has been checked */
  if (!has_body(group)) WRONG(graph, node, "result of %%%s, which has no body", group->name);
  if (node->attrs.index < 0 || node->attrs.index >= group->body->n_outputs)
    WRONG(graph, node, "%%%s has no output %d", group->name, node->attrs.index);
  const Type t = result_type(group, node->attrs.index);
  if (node->type.dtype != t.dtype || !type_same_shape(&node->type, &t))
    WRONG(graph, node, "its type is %s, output %d of %%%s is %s", type_text(v, &node->type), node->attrs.index,
          group->name, type_text(v, &t));
  return NULL;
}

static const char *check_type(const Verifier *v, const Graph *graph, const Node *node) {
  if (has_body(node)) {
    if (!node->body) WRONG(graph, node, "a %s without a body", op_info[node->op].name);
    return NULL;
  }
  if ((unsigned)node->type.dtype >= DTYPE_COUNT) WRONG(graph, node, "its type has no dtype");
  TRY(check_dims(v, graph, node, &node->type));
  for (int k = 0; k < node->n_in; k++)
    if (has_body(node->in[k]) && node->op != OP_result)
      WRONG(graph, node, "uses %%%s, a %s, other than by a result", node->in[k]->name, op_info[node->in[k]->op].name);
  if (node->op == OP_result) return check_result(v, graph, node);
  const Type **in = arena_alloc(v->arena, sizeof *in * ((size_t)node->n_in + 1));
  for (int k = 0; k < node->n_in; k++) in[k] = &node->in[k]->type;
  Type type;
  TypeError error = {0};
  if (!infer_type(node->op, node->n_in, in, &node->attrs, false, &type, &error)) WRONG(graph, node, "%s", error.message);
  if (type.dtype != node->type.dtype || !type_same_shape(&type, &node->type))
    WRONG(graph, node, "its type is %s, its op gives %s", type_text(v, &node->type), type_text(v, &type));
  if (node->op == OP_random && (!node->attrs.path || node->attrs.distribution < 0 || node->attrs.distribution > 1))
    WRONG(graph, node, "a random draw needs a site and a distribution");
  return NULL;
}

/* ---- what leaves and outputs name --------------------------------------- */

static const Type *field_type(const char *variable, int n, const Field *fields, const char *path) {
  if (!variable) return NULL;
  size_t length = strlen(variable);
  if (strncmp(path, variable, length) || path[length] != '.') return NULL;
  for (int i = 0; i < n; i++)
    if (!strcmp(fields[i].name, path + length + 1)) return &fields[i].type;
  return NULL;
}

static const Type *data_field(const Program *p, const char *variable, int data, const char *path) {
  return field_type(variable, p->data[data].n_fields, p->data[data].fields, path);
}

/* "acc.3": the fourth accumulator of an eval's batch graph. */
static const Type *accumulator(const Graph *batch, const char *path) {
  if (strncmp(path, "acc.", 4)) return NULL;
  for (int i = 0, n = 0; i < batch->n_outputs; i++) {
    if (batch->outputs[i].role != OUT_ACC) continue;
    char name[32];
    snprintf(name, sizeof name, "acc.%d", n++);
    if (!strcmp(name, path)) return &batch->outputs[i].node->type;
  }
  return NULL;
}

/* What an earlier phase of the step hands on. */
static const Type *carried_type(const Program *p, const Graph *graph, const char *path) {
  for (int i = 0; i < p->train.n_phases && p->train.phases[i].graph != graph; i++) {
    const Graph *earlier = p->train.phases[i].graph;
    for (int k = 0; earlier && k < earlier->n_outputs; k++)
      if (earlier->outputs[k].role == OUT_CARRY && !strcmp(earlier->outputs[k].name, path))
        return &earlier->outputs[k].node->type;
  }
  return NULL;
}

static const Type *input_type(const Program *p, const Graph *graph, const char *path) {
  if (is_train_graph(p, graph)) {
    const Type *carried = carried_type(p, graph, path);
    return carried ? carried : data_field(p, p->train.variable, p->train.data, path);
  }
  if (p->has_predict && graph == p->predict.graph)
    return field_type(p->predict.variable, p->predict.n_fields, p->predict.fields, path);
  if (p->has_sample && graph == p->sample.graph)
    return field_type(p->sample.variable, p->sample.n_fields, p->sample.fields, path);
  for (int i = 0; i < p->n_evals; i++) {
    const Eval *e = &p->evals[i];
    if (graph == e->batch) return data_field(p, e->variable, e->data, path);
    if (graph == e->finish) return accumulator(e->batch, path);
  }
  return NULL;
}

static const char *check_leaf(const Verifier *v, const Graph *graph, const Node *node) {
  const Program *p = v->program;
  const Type *type = NULL;
  int index;
  if (node->op != OP_input && node->op != OP_param && node->op != OP_state && node->op != OP_counter) return NULL;
  if (!node->attrs.path) WRONG(graph, node, "it has no path");
  if (node->op == OP_counter) {
    bool known = !strcmp(node->attrs.path, "step") || !strcmp(node->attrs.path, "epoch") ||
                 !strcmp(node->attrs.path, "total");
    if (!known) WRONG(graph, node, "%s is no counter", node->attrs.path);
    return NULL;
  }
  if (node->op == OP_param && (index = map_get_name(v->params, node->attrs.path)) >= 0) type = &p->params[index].type;
  if (node->op == OP_state && (index = map_get_name(v->states, node->attrs.path)) >= 0) type = &p->states[index].type;
  if (node->op == OP_input) type = input_type(p, graph, node->attrs.path);
  if (!type) WRONG(graph, node, "there is no %s %s", op_info[node->op].name, node->attrs.path);
  if (type->dtype != node->type.dtype || !type_same_shape(type, &node->type))
    WRONG(graph, node, "its type is %s, that of %s is %s", type_text(v, &node->type), node->attrs.path, type_text(v, type));
  return NULL;
}

static const char *check_output(const Verifier *v, const Graph *graph, const Output *o) {
  const Program *p = v->program;
  if (!o->node || map_get_node(v->position, o->node) < 0) WRONG(graph, NULL, "output %s is no node of it", o->name ? o->name : "");
  if (has_body(o->node)) WRONG(graph, o->node, "an output is a %s", op_info[o->node->op].name);
  if (o->role != OUT_VALUE && !o->name) WRONG(graph, o->node, "an output has no name");
  if ((o->role == OUT_LOSS || o->role == OUT_LOG) && o->node->type.rank)
    WRONG(graph, o->node, "%s is no scalar", o->name);
  if (o->role != OUT_GRAD && o->role != OUT_STATE) return NULL;
  for (const Output *other = graph->outputs; other < o; other++)
    if (other->role == o->role && other->index == o->index && !strcmp(other->name, o->name))
      WRONG(graph, o->node, "%s has two %s", o->name, o->role == OUT_GRAD ? "gradients" : "new values");
  int index = map_get_name(o->role == OUT_GRAD ? v->params : v->states, o->name);
  if (index < 0) WRONG(graph, o->node, "an output for %s, which is not declared", o->name);
  const Type *type = o->role == OUT_GRAD ? &p->params[index].type : &p->states[index].type;
  if (!type_same_shape(type, &o->node->type))
    WRONG(graph, o->node, "its type is %s, that of %s is %s", type_text(v, &o->node->type), o->name, type_text(v, type));
  return NULL;
}

/* ---- one graph ---------------------------------------------------------- */

static const char *check_nodes(Verifier *v, const Graph *graph) {
  map_free(&v->names);
  map_free(&v->position);
  TRY(check_order(v, graph));
  for (int i = 0; i < graph->n_outputs; i++) TRY(check_output(v, graph, &graph->outputs[i]));
  return NULL;
}

static const char *check_graph(Verifier *v, const Graph *graph);

static const char *check_body(Verifier *v, const Graph *graph, const Node *node) {
  if (node->body->parent != graph) WRONG(graph, node, "its body belongs to another graph");
  TRY(check_dims(v, graph, node, &node->attrs.space));
  TRY(check_graph(v, node->body));
  return op_info[node->op].kind == LOOP ? verify_loop(v, graph, node) : verify_group(v, graph, node);
}

static const char *check_graph(Verifier *v, const Graph *graph) {
  TRY(check_nodes(v, graph));
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (has_body(node) && node->body) TRY(check_body(v, graph, node)); /* before its results ask for its outputs */
    TRY(check_type(v, graph, node));
    if (!graph->parent) TRY(check_leaf(v, graph, node));
  }
  return NULL;
}

/* ---- what the model declares -------------------------------------------- */

static const char *check_data(const Verifier *v) {
  const Program *p = v->program;
  for (int i = 0; i < p->n_data; i++) {
    for (int k = 0; k < i; k++)
      if (!strcmp(p->data[i].name, p->data[k].name)) WRONG(NULL, NULL, "data %s is declared twice", p->data[i].name);
    for (int k = 0; k < p->data[i].n_fields; k++) {
      const Type *t = &p->data[i].fields[k].type;
      if (p->data[i].rows && (!t->rank || t->dim[0].rows != p->data[i].rows))
        WRONG(NULL, NULL, "data %s: the first axis of %s is not the batch", p->data[i].name, p->data[i].fields[k].name);
    }
  }
  return NULL;
}

static const char *check_params(Verifier *v) {
  const Program *p = v->program;
  for (int i = 0; i < p->n_params; i++) {
    if (map_get_name(v->params, p->params[i].path) >= 0) WRONG(NULL, NULL, "parameter %s is declared twice", p->params[i].path);
    map_put_name(&v->params, p->params[i].path, i);
    if (type_rows(&p->params[i].type)) WRONG(NULL, NULL, "parameter %s has a batch axis", p->params[i].path);
  }
  for (int i = 0; i < p->n_states; i++) {
    if (map_get_name(v->states, p->states[i].path) >= 0) WRONG(NULL, NULL, "state %s is declared twice", p->states[i].path);
    map_put_name(&v->states, p->states[i].path, i);
  }
  return NULL;
}

/* ---- the script --------------------------------------------------------- */

static const char *check_update_group(const Verifier *v, const Update *u, const UpdateGroup *g, bool *taken) {
  if (!g->optimizer) WRONG(NULL, NULL, "%s: %s has no optimizer", u->name, g->target);
  for (int i = 0; i < g->n_params; i++) {
    int index = g->params[i];
    if (index < 0 || index >= v->program->n_params) WRONG(NULL, NULL, "%s: %s names no parameter", u->name, g->target);
    if (taken[index]) WRONG(NULL, NULL, "%s: %s is updated twice", u->name, v->program->params[index].path);
    taken[index] = true;
  }
  for (int i = 0; i < MAX_HYPER && g->optimizer->hyper[i]; i++) {
    const Node *node = g->hyper[i];
    bool stands = node && v->program->schedule && map_get_node(v->position, node) >= 0;
    if (!stands) WRONG(NULL, NULL, "%s: %s of %s is no node of the schedule", u->name, g->optimizer->hyper[i], g->target);
    if (node->type.rank || node->type.dtype != F64)
      WRONG(NULL, NULL, "%s: %s of %s is no f64 scalar", u->name, g->optimizer->hyper[i], g->target);
  }
  return NULL;
}

/* The schedule is the last graph to be checked: the positions are those of its nodes. */
static const char *check_updates(const Verifier *v) {
  const Train *t = &v->program->train;
  for (int i = 0; i < t->n_updates; i++) {
    bool *taken = arena_alloc(v->arena, (size_t)v->program->n_params);
    for (int k = 0; k < t->updates[i].n_groups; k++)
      TRY(check_update_group(v, &t->updates[i], &t->updates[i].groups[k], taken));
  }
  return NULL;
}

static const char *check_statements(const Verifier *v, int n, const Stmt *body) {
  for (int i = 0; i < n; i++) {
    const Stmt *s = &body[i];
    if (s->kind == STMT_UPDATE && (s->index < 0 || s->index >= v->program->train.n_updates))
      WRONG(NULL, NULL, "the script runs update %d, which is not there", s->index);
    if (s->kind == STMT_EVAL && (s->index < 0 || s->index >= v->program->n_evals))
      WRONG(NULL, NULL, "the script runs eval %d, which is not there", s->index);
    if (s->kind == STMT_SAMPLE && !v->program->has_sample) WRONG(NULL, NULL, "the script samples, and there is nothing to sample from");
    if (s->kind == STMT_EVERY && s->every < 1) WRONG(NULL, NULL, "`every %lld` never acts", (long long)s->every);
    if (s->kind == STMT_LOG && !s->name) WRONG(NULL, NULL, "a log without a name");
    TRY(check_statements(v, s->n_body, s->body));
  }
  return NULL;
}

static const char *check_entry(const Verifier *v, const char *keyword, const Predict *p) {
  if (!p->graph) WRONG(NULL, NULL, "%s has no graph", keyword);
  if (p->graph->n_outputs != 1 || p->graph->outputs[0].role != OUT_VALUE) WRONG(p->graph, NULL, "it needs one output, a value");
  return NULL;
}

/* Before anything follows these indices and pointers. */
static const char *check_whole(const Verifier *v) {
  const Program *p = v->program;
  if (!p->has_train && !p->has_predict) WRONG(NULL, NULL, "it neither trains nor predicts");
  if (p->has_train && (p->train.data < 0 || p->train.data >= p->n_data)) WRONG(NULL, NULL, "train has no data set");
  if (p->has_train && !p->train.graph) WRONG(NULL, NULL, "train has no graph");
  for (int i = 0; i < p->train.n_phases; i++) {
    const Phase *phase = &p->train.phases[i];
    if (phase->every < 1 || phase->update < -1 || phase->update >= p->train.n_updates) WRONG(NULL, NULL, "phase %d of the step runs no update there is", i);
    if (phase->graph && (i == 0) != (phase->graph == p->train.graph)) WRONG(phase->graph, NULL, "it is not that of phase %d", i);
  }
  if (p->has_train && p->train.accumulate < 1) WRONG(NULL, NULL, "train accumulates nothing");
  if (!p->has_train && (p->train.n_updates || p->n_evals)) WRONG(NULL, NULL, "updates or evals without a train");
  if (p->has_predict) TRY(check_entry(v, "predict", &p->predict));
  if (p->has_sample) TRY(check_entry(v, "sample", &p->sample));
  if (p->has_sample && (!p->has_train || p->sample.n_fields != 1)) WRONG(NULL, NULL, "sample needs a train and one field");
  for (int i = 1; i < p->n_weights; i++)
    for (int k = 0; k < i; k++)
      if (!strcmp(p->weights[i].instance, p->weights[k].instance)) WRONG(NULL, NULL, "two files of weights for %s", p->weights[i].instance);
  for (int i = 0; i < p->n_evals; i++)
    if (p->evals[i].data < 0 || p->evals[i].data >= p->n_data || !p->evals[i].batch || !p->evals[i].finish)
      WRONG(NULL, NULL, "eval %d lacks its data set or a graph", i);
  return NULL;
}

/* ---- the whole ---------------------------------------------------------- */

static const char *check_program(Verifier *v) {
  const Program *p = v->program;
  TRY(check_whole(v));
  TRY(check_data(v));
  TRY(check_params(v));
  TRY(verify_params(v));
  const Graph *none = NULL;
  const Graph **graphs = arena_alloc(v->arena, sizeof *graphs * (size_t)(4 + 2 * p->n_evals + p->train.n_phases));
  int k = 0;
  graphs[k++] = p->has_train ? p->train.graph : none;
  for (int i = 1; i < p->train.n_phases; i++) graphs[k++] = p->train.phases[i].graph;
  for (int i = 0; i < p->n_evals; i++) {
    graphs[k++] = p->evals[i].batch;
    graphs[k++] = p->evals[i].finish;
  }
  graphs[k++] = p->has_predict ? p->predict.graph : none;
  graphs[k++] = p->has_sample ? p->sample.graph : none;
  graphs[k++] = p->schedule;
  for (int i = 0; i < k; i++) {
    for (int j = 0; graphs[i] && j < i; j++)
      if (graphs[j] == graphs[i]) WRONG(graphs[i], NULL, "it serves twice");
    if (!graphs[i]) continue;
    TRY(check_graph(v, graphs[i]));
    TRY(verify_plan(v, graphs[i]));
  }
  TRY(check_updates(v));
  return check_statements(v, p->train.n_body, p->train.body);
}

const char *program_verify_at(const Program *program, Arena *arena, Broken *broken) {
  Verifier v = {.program = program, .arena = arena, .broken = broken};
  const char *wrong = check_program(&v);
  map_free(&v.names);
  map_free(&v.position);
  map_free(&v.params);
  map_free(&v.states);
  return wrong;
}

const char *program_verify(const Program *program, Arena *arena) { return program_verify_at(program, arena, NULL); }
