/* sample.c - `sample net(d.x)`: from a window of the training data's tokens to the scores of what comes next. */
#include <string.h>

#include "frontend/lower.h"

/* The one field of the batch that the scores are made of, as a window of tokens; NULL after a report. */
static Field *window_of(Lower *l, const Syntax *s, const Graph *graph, const Data *data) {
  Field *found = NULL;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *n = graph->nodes[i];
    if (n->op != OP_input) continue;
    for (int f = 0; f < data->n_fields; f++) {
      if (strcmp(strchr(n->attrs.path, '.') + 1, data->fields[f].name)) continue;
      if (found && found != &data->fields[f]) {
        report(l->d, E0511, s->value->at, "sample goes on from one window, and this reads both %s and %s", found->name, data->fields[f].name);
        return NULL;
      }
      found = &data->fields[f];
    }
  }
  bool is_window = found && found->type.rank == 2 && (found->type.dtype == I32 || found->type.dtype == U8);
  if (is_window) return found;
  if (found) report(l->d, E0511, s->value->at, "sample goes on from a window of tokens, i32[B, T], and %s is no such field", found->name);
  else report(l->d, E0511, s->value->at, "sample needs scores of what comes next, and this reads no field of the batch");
  report_help(l->d, "write sample net(%s.x), with x a window: bytes(\"text.txt\", window: T) -> { x: i32[B, T], y: i32[B, T] }",
              l->program->train.variable);
  return NULL;
}

static bool gives_scores(Lower *l, const Syntax *s, const Node *scores, const Field *window) {
  const Type *t = &scores->type, *w = &window->type;
  bool fits = t->rank > 1 && t->dim[0].rows && t->dim[0].size == w->dim[0].size &&
              (t->rank == 2 || (t->rank == 3 && t->dim[1].size == w->dim[1].size));
  if (fits) return true;
  Value v = tensor_value((Node *)scores);
  report(l->d, E0511, s->value->at, "these are no scores of what comes next: they are %s", describe(l, &v));
  report_help(l->d, "scores are [B, T, V], for what comes behind each place, or [B, V], behind the whole window");
  return false;
}

void lower_sample(Lower *l, const Syntax *s) {
  Program *p = l->program;
  const Data *data = &p->data[p->train.data];
  if (p->has_sample) {
    report(l->d, E0511, s->at, "there is one sample already");
    report_note(l->d, p->sample.span, "here");
    return;
  }
  Graph *train = l->graph;
  bool training = l->training;
  int phase = l->phase;
  p->sample = (Predict){.variable = p->train.variable, .n_fields = 1, .span = s->at};
  l->graph = p->sample.graph = graph_new(p, "sample", NULL);
  l->graph->rows = data->rows;
  l->training = false;
  l->phase = 0;
  Entry *batch = lookup(l->scope, p->train.variable, false); /* here it is text of the model's own */
  if (batch && batch->graph == train) batch->graph = l->graph;
  Claim *claims = claims_start(l);
  const char *prefix = l->prefix;
  l->prefix = "value";
  Value v = eval(l, s->value);
  Node *scores = v.kind == POISON ? NULL : as_tensor(l, v, F32, s->value);
  Builder b = builders(l, s->value, "scores");
  if (scores) scores = b_cast(&b, scores, F32);
  claims_end(l, claims);
  if (batch && batch->graph == l->graph) batch->graph = train;
  l->prefix = prefix;
  l->graph = train;
  l->training = training;
  l->phase = phase;
  if (!scores) return;
  p->sample.fields = window_of(l, s, p->sample.graph, data);
  if (!p->sample.fields || !gives_scores(l, s, scores, p->sample.fields)) return;
  graph_output(p->sample.graph, OUT_VALUE, "value", scores);
  forget_own_names(p->sample.graph);
  p->has_sample = true;
}
