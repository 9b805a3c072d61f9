/* sample.c - text from a trained model, one token after the other.
 *
 * The model gives scores of what comes next for each place of a window (or
 * for the place behind it).  A token is drawn from their softmax, put behind
 * the others, and asked about in turn; once there are more than a window
 * holds, the newest count.  The draw for token i is a function of the seed
 * and i, and all but the scores is computed here in double, so one seed gives
 * one text.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/random.h"
#include "runtime/trainer.h"

typedef struct Candidate {
  double score; /* then weight */
  int32_t token;
} Candidate;

typedef struct MtSampler {
  MtSession *s;
  const MtPredict *entry;
  bool text;                 /* tokens are the bytes of a text */
  bool at_each_place;        /* scores are [window, classes], else [classes] */
  int64_t window, classes;
  int64_t n_tokens, n_prompt; /* there are; of them given */
  int32_t *tokens;
  void *batch[1], *row;      /* on the device; here */
  float *scores;
  Candidate *candidates;
} Sampler;

/* ---- what a model must be like ------------------------------------------------------ */

static bool gives_scores(const MtPredict *p) {
  if (!p || p->n_fields != 1 || p->fields[0].rank != 1 || !p->batched) return false;
  if (p->fields[0].type != MT_I32 && p->fields[0].type != MT_U8) return false;
  return p->rank == 1 || (p->rank == 2 && p->shape[0] == p->fields[0].shape[0]);
}

const MtPredict *mt_scores(const MtProgram *program) {
  if (gives_scores(program->sample)) return program->sample;
  return gives_scores(program->predict) ? program->predict : NULL;
}

/* Text where the model reads text, or reads nothing and knows no more than bytes. */
static bool is_text(const MtProgram *program, int64_t classes) {
  for (int i = 0; i < program->n_data; i++)
    if (program->data[i].kind == MT_BYTES || program->data[i].kind == MT_TOKENS) return program->data[i].kind == MT_BYTES;
  return classes <= 256;
}

/* ---- the prompt --------------------------------------------------------------------- */

/* As bytes, or as numbers with blanks or commas between them. */
static bool next_token(Sampler *g, const char **at, int32_t *token) {
  char *end;
  if (g->text) return *token = (unsigned char)*(*at)++, true;
  errno = 0;
  long value = strtol(*at, &end, 10);
  if (end == *at || errno || value < 0 || value > INT32_MAX)
    return mt_error(&g->s->error, "--prompt: this model's tokens are numbers, \"464 2068\"; found `%.40s`", *at);
  *at = end + strspn(end, " ,\n");
  return *token = (int32_t)value, true;
}

static bool take_prompt(Sampler *g, const char *prompt) {
  int64_t known = g->entry->fields[0].high ? g->entry->fields[0].high : g->classes;
  if (!prompt && !g->text) return mt_error(&g->s->error, "--prompt is needed: this model's tokens are numbers, \"464 2068\"");
  for (const char *at = prompt ? prompt : "\n"; *at;) {
    int32_t token = 0;
    if (!next_token(g, &at, &token)) return false;
    if (token >= known)
      return mt_error(&g->s->error, "--prompt: %s %d is out of range: the model knows 0 to %lld", g->text ? "the byte" : "token",
                      token, (long long)known - 1);
    g->tokens[g->n_tokens++] = token;
  }
  g->n_prompt = g->n_tokens;
  if (!g->at_each_place && g->n_prompt < g->window)
    return mt_error(&g->s->error, "--prompt: this model looks at %lld tokens at once, the prompt has %lld", (long long)g->window,
                    (long long)g->n_prompt);
  return true;
}

/* ---- one token ---------------------------------------------------------------------- */

static void record(MtRun *run, void *data) {
  const Sampler *g = data;
  g->entry->step(run, (const void *const *)g->batch, 1);
}

/* The newest tokens as the only row of a batch; what is behind them in the window is not looked at. */
static bool ask(Sampler *g) {
  MtSession *s = g->s;
  const MtBackend *device = s->run.backend;
  int64_t n = mt_least(g->n_tokens, g->window), place = g->at_each_place ? n - 1 : 0;
  bool narrow = g->entry->fields[0].type == MT_U8;
  for (int64_t i = 0; i < n; i++) {
    int32_t token = g->tokens[g->n_tokens - n + i];
    if (narrow) ((unsigned char *)g->row)[i] = (unsigned char)token;
    else ((int32_t *)g->row)[i] = token;
  }
  return device->write(&s->run, g->batch[0], g->row, (size_t)g->window * (narrow ? 1 : 4)) &&
         device->play(&s->run, mt_session_key(s, MT_KEY_SAMPLE, 0, 0, 0, 0), record, g) &&
         device->read(&s->run, g->scores, (float *)s->run.outputs + place * g->classes, (size_t)g->classes * sizeof *g->scores);
}

/* The highest score first; of equals the first token. */
static int higher(const void *x, const void *y) {
  const Candidate *a = x, *b = y;
  if (a->score != b->score) return a->score > b->score ? -1 : 1;
  return a->token < b->token ? -1 : a->token > b->token;
}

/* Candidates by weight, in order; how many, or -1 after a message. */
static int64_t weigh(Sampler *g, const MtSampling *how) {
  int64_t n = g->entry->fields[0].high ? mt_least(g->classes, g->entry->fields[0].high) : g->classes;
  for (int64_t i = 0; i < n; i++) {
    g->candidates[i] = (Candidate){(double)g->scores[i], (int32_t)i};
    if (isnan(g->scores[i]) || g->scores[i] == INFINITY)
      return mt_error(&g->s->error, "the score of token %lld is not finite behind %lld tokens", (long long)i, (long long)g->n_tokens), -1;
  }
  qsort(g->candidates, (size_t)n, sizeof *g->candidates, higher);
  double highest = g->candidates[0].score;
  if (highest == -INFINITY) return mt_error(&g->s->error, "no token can follow: all scores are -inf"), -1;
  if (how->top_k && how->top_k < n) n = how->top_k;
  for (int64_t i = 0; i < n; i++) g->candidates[i].score = exp((g->candidates[i].score - highest) / how->temperature);
  return n;
}

/* Temperature 0 is its limit: the highest score. */
static bool draw(Sampler *g, const MtSampling *how) {
  MtSampling only = {how->prompt, how->length, 1, how->temperature > 0 ? how->top_k : 1, how->seed};
  int64_t n = ask(g) ? weigh(g, how->temperature > 0 ? how : &only) : -1, chosen = 0;
  if (n < 0) return false;
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += g->candidates[i].score;
  double left = mt_sample_draw(how->seed, g->n_tokens) * sum;
  while (chosen + 1 < n && left >= g->candidates[chosen].score) left -= g->candidates[chosen++].score;
  g->tokens[g->n_tokens++] = g->candidates[chosen].token;
  return true;
}

/* ---- room ------------------------------------------------------------------------------- */

bool mt_sampler_open(MtSession *s, int64_t most) {
  Sampler *g = s->sampler = calloc(1, sizeof *g);
  if (!g) return mt_error(&s->error, "out of memory");
  const MtPredict *p = g->entry = mt_scores(s->program);
  g->s = s;
  g->window = p->fields[0].shape[0];
  g->at_each_place = p->rank == 2;
  g->classes = p->shape[p->rank - 1];
  g->text = is_text(s->program, g->classes);
  g->tokens = calloc((size_t)most + 1, sizeof *g->tokens);
  g->row = calloc((size_t)g->window + 1, sizeof(int32_t));
  g->scores = calloc((size_t)g->classes + 1, sizeof *g->scores);
  g->candidates = calloc((size_t)g->classes + 1, sizeof *g->candidates);
  if (!g->tokens || !g->row || !g->scores || !g->candidates) return mt_error(&s->error, "out of memory");
  if (!g->window || !g->classes) return mt_error(&s->error, "%s gives no scores to sample from", s->program->source);
  return mt_session_alloc(s, &g->batch[0], (size_t)p->capacity * (size_t)g->window * sizeof(int32_t), "a batch");
}

void mt_sampler_close(MtSession *s) {
  Sampler *g = s->sampler;
  if (!g) return;
  s->run.backend->release(&s->run, g->batch[0]);
  free(g->tokens);
  free(g->row);
  free(g->scores);
  free(g->candidates);
  free(g);
  s->sampler = NULL;
}

/* ---- printing --------------------------------------------------------------------------- */

static void print_text(const Sampler *g, bool json) {
  char *bytes = calloc((size_t)g->n_tokens + 1, 1);
  for (int64_t i = 0; bytes && i < g->n_tokens; i++) bytes[i] = (char)g->tokens[i];
  if (bytes && json) printf("\"text\":"), mt_json_text(stdout, bytes);
  else if (bytes) fwrite(bytes, 1, (size_t)g->n_tokens, stdout), printf("\n");
  free(bytes);
}

static void print_tokens(const Sampler *g, bool json) {
  if (json) printf("\"tokens\":[");
  for (int64_t i = 0; i < g->n_tokens; i++) printf("%s%d", i ? json ? "," : " " : "", g->tokens[i]);
  printf(json ? "]" : "\n");
}

/* In JSON behind one number that says what it is. */
static void print_sample(const Sampler *g, const char *key, int64_t value) {
  bool json = g->s->options->json;
  if (json) printf("{\"%s\":%lld,", key, (long long)value);
  (g->text ? print_text : print_tokens)(g, json);
  if (json) printf("}\n");
  fflush(stdout);
}

/* ---- in training ------------------------------------------------------------------------- */

/* The first token of the first row, which for a file of documents is the sign that begins one. */
static bool take_first(Sampler *g) {
  MtSession *s = g->s;
  const MtTable *table = &s->train;
  const MtField *field = g->entry->fields;
  unsigned char byte;
  int f = 0;
  while (strcmp(table->data->fields[f].name, field->name)) f++;
  for (g->n_tokens = 0; g->n_tokens < (g->at_each_place ? 1 : g->window); g->n_tokens++) {
    int32_t *token = &g->tokens[g->n_tokens];
    const char *from = (const char *)table->fields[f] + g->n_tokens * (field->type == MT_U8 ? 1 : 4);
    bool ok = field->type == MT_U8 ? s->run.backend->read(&s->run, &byte, from, 1) : s->run.backend->read(&s->run, token, from, 4);
    if (!ok) return false;
    if (field->type == MT_U8) *token = byte;
  }
  return true;
}

bool mt_show_sample(MtSession *s, int64_t step) {
  Sampler *g = s->sampler;
  MtSampling how = {NULL, MT_SHOWN_TOKENS, 1, 0, s->scalars.seed + (uint64_t)step};
  bool ok = s->options->quiet || take_first(g);
  for (int64_t i = g->n_tokens; ok && !s->options->quiet && i < MT_SHOWN_TOKENS; i++) ok = draw(g, &how);
  if (ok && !s->options->quiet) print_sample(g, "step", step);
  return ok;
}

/* ---- the command: the text alone is standard output, so that it can be piped on --------------- */

int mt_sample_command(MtSession *s) {
  const MtOptions *o = s->options;
  MtSampling how = {o->prompt, o->length ? o->length : 200, o->temperature_given ? o->temperature : 1, o->top_k, o->seed};
  char source[MT_PATH];
  bool ok = mt_load_trained(s, source) && mt_sampler_open(s, how.length + (how.prompt ? (int64_t)strlen(how.prompt) : 1)) &&
            take_prompt(s->sampler, how.prompt);
  for (int64_t i = 0; ok && i < how.length; i++) ok = draw(s->sampler, &how);
  if (ok && !o->quiet && !o->json) fprintf(stderr, "weights: %s\n", source);
  if (ok) print_sample(s->sampler, "prompt", s->sampler->n_prompt);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
