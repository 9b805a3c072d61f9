/* console.c - what a run says while it runs: a progress bar on a terminal, a
 * line an epoch elsewhere, and always metrics.csv in the save folder.
 *
 * A line gathers the means of training since the line before and the results
 * of evaluations made meanwhile; what was not measured is left out of it, and
 * is an empty cell in metrics.csv.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "runtime/trainer.h"

struct MtConsole {
  MtSession *s;
  int metrics;           /* metrics.csv, open to add rows */
  char path[MT_PATH], note[128];
  bool bar, drawn;
  double begin, last_drawn;
  int64_t first_step;
  int n;                 /* columns */
  char (*names)[128];
  double *values;
  bool *set;
};

double mt_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

char *mt_grouped(char out[32], int64_t n) {
  char digits[32];
  int length = snprintf(digits, sizeof digits, "%lld", (long long)n), k = 0;
  for (int i = 0; i < length && k < 30; i++) {
    if (i > 0 && digits[i - 1] != '-' && (length - i) % 3 == 0) out[k++] = ',';
    out[k++] = digits[i];
  }
  out[k] = 0;
  return out;
}

void mt_json_number(FILE *out, double value) {
  if (isfinite(value)) fprintf(out, "%.9g", value);
  else fprintf(out, "null");
}

void mt_json_text(FILE *out, const char *text) {
  fputc('"', out);
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c < 32) fprintf(out, "\\u%04x", *c);
    else if (*c == '"' || *c == '\\') fprintf(out, "\\%c", *c);
    else fputc(*c, out);
  }
  fputc('"', out);
}

/* ---- columns ------------------------------------------------------------------------- */

int mt_eval_column(const MtProgram *program, int eval, int log) {
  int column = program->train ? program->train->n_logs : 0;
  for (int e = 0; e < eval; e++) column += program->evals[e].n_logs;
  return column + log;
}

static bool is_taken(const MtConsole *c, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (!strcmp(c->names[i], name)) return true;
  return false;
}

/* A name that training or an earlier evaluation has too gets its data set's in front. */
static void name_columns(MtConsole *c) {
  const MtProgram *p = c->s->program;
  for (int i = 0; i < p->train->n_logs; i++) snprintf(c->names[i], sizeof c->names[i], "%s", p->train->logs[i].name);
  for (int e = 0; e < p->n_evals; e++)
    for (int i = 0; i < p->evals[e].n_logs; i++) {
      int column = mt_eval_column(p, e, i);
      char name[128];
      snprintf(name, sizeof name, "%.120s", p->evals[e].logs[i].name);
      if (is_taken(c, column, name))
        snprintf(name, sizeof name, "%.60s.%.60s", p->data[p->evals[e].data].name, p->evals[e].logs[i].name);
      memcpy(c->names[column], name, sizeof name);
    }
}

/* ---- metrics.csv ------------------------------------------------------------------------ */

static bool header(const MtConsole *c, MtWriter *writer) {
  bool ok = mt_write_bytes(writer, "step,epoch", 10);
  for (int i = 0; ok && i < c->n; i++)
    ok = mt_write_bytes(writer, ",", 1) && mt_write_bytes(writer, c->names[i], strlen(c->names[i]));
  return ok && mt_write_bytes(writer, "\n", 1);
}

/* A resumed run keeps the rows up to the step it goes on from: later ones happen again. */
static bool keep_rows(MtConsole *c, int64_t step, MtWriter *writer) {
  char *text;
  size_t length;
  bool ok = true;
  if (step == 0 || access(c->path, F_OK)) return true;
  if (!mt_read_file(c->path, &text, &length, &c->s->error)) return false;
  char *at = strchr(text, '\n');
  for (char *end; ok && at && (end = strchr(at + 1, '\n')); at = end)
    if (strtoll(at + 1, NULL, 10) <= step) ok = mt_write_bytes(writer, at + 1, (size_t)(end - at));
  free(text);
  return ok;
}

/* The file that is there gives way only to a whole one. */
static bool open_metrics(MtConsole *c, int64_t step) {
  MtWriter writer;
  snprintf(c->path, sizeof c->path, "%s/metrics.csv", c->s->save_dir);
  bool ok = mt_write_begin(&writer, c->path, &c->s->error) && header(c, &writer) && keep_rows(c, step, &writer) &&
            mt_write_commit(&writer, NULL);
  if (!ok) mt_write_abort(&writer);
  while (ok && (c->metrics = open(c->path, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0 && errno == EINTR) continue;
  return c->metrics >= 0 || mt_error(&c->s->error, "%s: cannot write: %s", c->path, strerror(errno));
}

static bool metrics_row(MtConsole *c, const MtMoment *at) {
  char row[64 + 32 * MT_MAX_OUTPUTS];
  size_t used = (size_t)snprintf(row, 64, "%lld,%lld", (long long)at->step, (long long)at->epoch);
  MtWriter writer = {.fd = c->metrics, .error = &c->s->error};
  snprintf(writer.path, sizeof writer.path, "%s", c->path);
  bool ok = true;
  for (int i = 0; ok && i < c->n; i++) {
    if (used > sizeof row - 40) ok = mt_write_bytes(&writer, row, used), used = 0;
    used += (size_t)snprintf(row + used, 40, c->set[i] ? ",%.9g" : ",", c->values[i]);
  }
  row[used++] = '\n';
  return ok && mt_write_bytes(&writer, row, used);
}

/* ---- lines ---------------------------------------------------------------------------------- */

static void print_time(FILE *out, double seconds) {
  if (seconds < 99.95) fprintf(out, "%.1f s", seconds);
  else if (seconds < 5999.5) fprintf(out, "%d:%02d min", (int)(seconds + 0.5) / 60, (int)(seconds + 0.5) % 60);
  else fprintf(out, "%d:%02d h", (int)(seconds + 30) / 3600, (int)(seconds + 30) / 60 % 60);
}

static int digits_of(int64_t n) {
  int digits = 1;
  while (n >= 10) n /= 10, digits++;
  return digits;
}

static void print_line(const MtConsole *c, const MtMoment *at) {
  if (at->epochs)
    printf("epoch %*lld/%lld  ", digits_of(at->epochs), (long long)(at->ends_epoch ? at->epoch : at->epoch + 1),
           (long long)at->epochs);
  printf("step %*lld/%lld", digits_of(at->total), (long long)at->step, (long long)at->total);
  for (int i = 0; i < c->n; i++)
    if (c->set[i]) printf("  %s %.4g", c->names[i], c->values[i]);
  printf("  ");
  print_time(stdout, mt_now() - c->begin);
  printf("%s%s\n", c->note[0] ? "  " : "", c->note);
}

static void print_json(const MtConsole *c, const MtMoment *at) {
  printf("{\"step\":%lld,\"epoch\":%lld", (long long)at->step, (long long)at->epoch);
  for (int i = 0; i < c->n; i++) {
    if (!c->set[i]) continue;
    printf(",");
    mt_json_text(stdout, c->names[i]);
    printf(":");
    mt_json_number(stdout, c->values[i]);
  }
  printf(",\"seconds\":%.3f}\n", mt_now() - c->begin);
}

void mt_console_set(MtConsole *c, int column, double value) {
  c->values[column] = value;
  c->set[column] = true;
}

void mt_console_note(MtConsole *c, const char *text) { snprintf(c->note, sizeof c->note, "%s", text); }

bool mt_console_line(MtConsole *c, const MtMoment *at) {
  bool ok = metrics_row(c, at);
  mt_console_clear(c);
  if (c->s->options->json) print_json(c, at);
  else if (!c->s->options->quiet) print_line(c, at);
  fflush(stdout);
  memset(c->set, 0, (size_t)c->n * sizeof *c->set);
  c->note[0] = 0;
  return ok;
}

/* ---- the bar ----------------------------------------------------------------------------------- */

bool mt_console_wants_bar(MtConsole *c) {
  if (!c->bar) return false;
  double now = mt_now();
  if (now - c->last_drawn < 0.1) return false;
  c->last_drawn = now;
  return true;
}

void mt_console_clear(MtConsole *c) {
  if (c->drawn) printf("\r\033[K");
  c->drawn = false;
}

void mt_console_bar(MtConsole *c, const MtMoment *at, double loss) {
  struct winsize window = {0};
  int width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80, length = width / 3;
  double seconds = mt_now() - c->begin, rate = (double)(at->step - c->first_step) / (seconds > 1e-9 ? seconds : 1e-9);
  double left = rate > 0 ? (double)(at->total - at->step) / rate : 0,
         done = at->total ? (double)at->step / (double)at->total : 1;
  if (length > 40) length = 40;
  long long wait = left < 1e15 ? (long long)left : 1000000000000000;
  char right[200], bar[64];
  int filled = (int)(done * length);
  for (int i = 0; i < length; i++) bar[i] = i < filled ? '#' : '-';
  bar[length] = 0;
  snprintf(right, sizeof right, "%3d%%  loss %.4g  %.*f steps/s  %lld:%02lld left", (int)(100 * done), loss,
           rate < 10 ? 1 : 0, rate, wait / 60, wait % 60);
  printf("\r\033[K[%s] %.*s", bar, width - length - 4 > 0 ? width - length - 4 : 0, right);
  fflush(stdout);
  c->drawn = true;
}

/* ---- open and close ------------------------------------------------------------------------------ */

MtConsole *mt_console_open(MtSession *s, int64_t step) {
  MtConsole *c = calloc(1, sizeof *c);
  if (!c) return mt_error(&s->error, "out of memory"), NULL;
  c->s = s;
  c->metrics = -1;
  c->first_step = step;
  c->begin = c->last_drawn = mt_now();
  c->n = mt_eval_column(s->program, s->program->n_evals, 0);
  c->names = calloc((size_t)c->n + 1, sizeof *c->names);
  c->values = calloc((size_t)c->n + 1, sizeof *c->values);
  c->set = calloc((size_t)c->n + 1, sizeof *c->set);
  const char *term = getenv("TERM");
  c->bar = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") && !s->options->quiet && !s->options->json;
  bool ok = (c->names && c->values && c->set) || mt_error(&s->error, "out of memory");
  if (ok) name_columns(c);
  if (ok && open_metrics(c, step)) return c;
  mt_console_close(c);
  return NULL;
}

void mt_console_close(MtConsole *c) {
  if (!c) return;
  mt_console_clear(c);
  if (c->metrics >= 0) close(c->metrics);
  free(c->names);
  free(c->values);
  free(c->set);
  free(c);
}
