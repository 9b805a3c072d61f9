/* diagnostics.c - messages with source lines, in the order of the source.
 *
 * A report is a head line in GNU form, the line it points at with carets,
 * notes with lines of their own, and one help.  Reports are kept until they
 * are printed, so that they can be sorted and said once.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

enum { MAX_ERRORS = 20, MAX_WIDTH = 160 };

static const struct {
  const char *code, *kind, *story;
} table[ERROR_CODE_COUNT] = {
#define ERROR(code, kind, story) {#code, kind, story},
#include "ir/errors.def"
#undef ERROR
};

typedef struct Note {
  Span at;
  const char *text;
} Note;

typedef struct Report {
  ErrorCode code;
  Span at;
  bool is_error;
  int order, file; /* which report it was; which file, in the order they were first named */
  const char *message, *caret, *help;
  int n_notes;
  Note *notes;
} Report;

struct Diagnostics {
  Arena *arena;
  int n_reports, n_errors, n_warnings, n_dropped;
  Report **reports;
  Report *latest; /* NULL: the latest report was dropped, and so is what belongs to it */
  bool warnings_are_errors;
};

Diagnostics *diagnostics_new(void) {
  Arena *arena = arena_new();
  Diagnostics *d = arena_alloc(arena, sizeof *d);
  d->arena = arena;
  return d;
}

void diagnostics_free(Diagnostics *d) {
  if (d) arena_free(d->arena);
}

int diagnostics_errors(const Diagnostics *d) { return d->n_errors; }
int diagnostics_warnings(const Diagnostics *d) { return d->n_warnings; }
void diagnostics_warnings_are_errors(Diagnostics *d) { d->warnings_are_errors = true; }

static char *format_text(Arena *arena, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  char *text = arena_alloc(arena, (size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, args);
  return text;
}

static bool same_place(const Span *a, const Span *b) {
  return a->source == b->source && a->line == b->line && a->column == b->column;
}

static bool said_before(const Diagnostics *d, ErrorCode code, const Span *at, const char *message) {
  for (int i = 0; i < d->n_reports; i++) {
    const Report *r = d->reports[i];
    if (r->code == code && same_place(&r->at, at) && (r->is_error || !strcmp(r->message, message))) return true;
  }
  return false;
}

void report(Diagnostics *d, ErrorCode code, const Span *at, const char *format, ...) {
  static const Source nowhere = {.path = "mtc"};
  Span place = at && at->source ? *at : (Span){.source = &nowhere, .line = 1, .column = 1, .length = 1}, inner = place;
  while (place.source->standard && place.caller) place = *place.caller;
  va_list args;
  va_start(args, format);
  char *message = format_text(d->arena, format, args);
  va_end(args);
  d->latest = NULL;
  if (said_before(d, code, &place, message)) return;
  bool is_note = !strcmp(table[code].kind, "note"),
       is_error = !is_note && (d->warnings_are_errors || !strcmp(table[code].kind, "error"));
  if (is_error && d->n_errors++ >= MAX_ERRORS) {
    d->n_dropped++;
    return;
  }
  d->n_warnings += !is_error && !is_note;
  Report *r = arena_alloc(d->arena, sizeof *r);
  *r = (Report){.code = code, .at = place, .is_error = is_error, .order = d->n_reports, .message = message};
  for (int i = 0; i < d->n_reports && !r->file; i++)
    if (d->reports[i]->at.source == place.source) r->file = d->reports[i]->file;
  if (!r->file) r->file = d->n_reports + 1;
  LIST_PUSH(d->arena, d->reports, d->n_reports, r);
  d->latest = r;
  if (inner.source != place.source) report_note(d, &inner, "in the standard file");
}

void report_note(Diagnostics *d, const Span *at, const char *format, ...) {
  if (!d->latest || !at || !at->source) return;
  va_list args;
  va_start(args, format);
  Note note = {*at, format_text(d->arena, format, args)};
  va_end(args);
  LIST_PUSH(d->arena, d->latest->notes, d->latest->n_notes, note);
}

void report_caret(Diagnostics *d, const char *format, ...) {
  if (!d->latest) return;
  va_list args;
  va_start(args, format);
  d->latest->caret = format_text(d->arena, format, args);
  va_end(args);
}

void report_help(Diagnostics *d, const char *format, ...) {
  if (!d->latest) return;
  va_list args;
  va_start(args, format);
  d->latest->help = format_text(d->arena, format, args);
  va_end(args);
}

/* ---- printing ---- */

typedef struct Colors {
  const char *file, *error, *warning, *help, *caret, *off;
} Colors;
static const Colors with_color = {"\033[1m", "\033[1;31m", "\033[1;35m", "\033[1;36m", "\033[1;32m", "\033[0m"};
static const Colors without_color = {"", "", "", "", "", ""};

static bool line_of(const Span *at, const char **begin, int *length) {
  const char *text = at->source->text;
  if (!text || at->line < 1) return false;
  const char *end = text + at->source->length;
  for (int line = 1; line < at->line; line++) {
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    if (!newline) return false;
    text = newline + 1;
  }
  const char *newline = memchr(text, '\n', (size_t)(end - text));
  *begin = text;
  *length = (int)((newline ? newline : end) - text);
  if (*length > 0 && text[*length - 1] == '\r') --*length;
  return true;
}

static bool continues(char c) { return ((unsigned char)c & 0xc0) == 0x80; }  /* a later byte of a UTF-8 character */
static bool is_control(char c) { return (unsigned char)c < 32 || c == 127; } /* tabs too: one column each */

static void print_many(FILE *out, char c, int n) {
  while (n-- > 0) fputc(c, out);
}

static int characters(const char *text, int n) {
  int count = 0;
  for (int i = 0; i < n; i++) count += !continues(text[i]);
  return count;
}

/* Columns count bytes from 1; what is printed under them counts characters.  Of a long line
 * the part around the column is shown, whole characters of it.  `again`: the line stands above. */
static void print_line(FILE *out, const Span *at, const char *caret, const Colors *c, bool again) {
  const char *line;
  int length, from = 0;
  if (!line_of(at, &line, &length)) {
    if (caret && *caret) fprintf(out, "      %s\n", caret);
    return;
  }
  int column = at->column < 1 ? 0 : at->column > length ? length : at->column - 1;
  if (length > MAX_WIDTH && column > MAX_WIDTH / 2) from = column - MAX_WIDTH / 2;
  while (from > 0 && from < column && continues(line[from])) from++;
  int to = length - from > MAX_WIDTH ? from + MAX_WIDTH : length;
  while (to < length && to > column && continues(line[to])) to--;
  int end = at->length > to - column ? to : at->length < 1 ? column : column + at->length;
  again &= length <= MAX_WIDTH;
  if (!again) fprintf(out, "%3d | %s", at->line, from ? "..." : "");
  for (int i = from; i < to && !again; i++) fputc(is_control(line[i]) ? ' ' : line[i], out);
  if (!again) fputs(to < length ? "...\n" : "\n", out);
  fprintf(out, "%*s | %s", snprintf(NULL, 0, "%3d", at->line), "", from ? "   " : "");
  print_many(out, ' ', characters(line + from, column - from));
  int marks = characters(line + column, end - column);
  fputs(c->caret, out);
  print_many(out, '^', marks ? marks : 1);
  fprintf(out, "%s%s%s\n", c->off, caret && *caret ? " " : "", caret ? caret : "");
}

/* Of many, which a name that leads back to itself makes, the innermost few and the first. */
static void print_callers(const Span *caller, FILE *out) {
  enum { INNERMOST = 3 };
  int n = 0;
  for (const Span *c = caller; c; c = c->caller) n++;
  for (int i = 0; caller; caller = caller->caller, i++) {
    if (i == INNERMOST && n > INNERMOST + 2) fprintf(out, "    = ... and %d more\n", n - INNERMOST - 1);
    if (i < INNERMOST || i == n - 1 || n <= INNERMOST + 2)
      fprintf(out, "    = called at %s:%d:%d\n", caller->source->path, caller->line, caller->column);
  }
}

static void print_report(const Report *r, FILE *out, const Colors *c) {
  const char *kind = r->is_error ? "error" : table[r->code].kind;
  fprintf(out, "%s%s:%d:%d: %s%s[%s]:%s%s %s%s\n", c->file, r->at.source->path, r->at.line, r->at.column,
          r->is_error ? c->error : !strcmp(kind, "note") ? c->help : c->warning, kind, table[r->code].code, c->off, c->file,
          r->message, c->off);
  print_line(out, &r->at, r->caret, c, false);
  const Source *file = r->at.source;
  int line = r->at.line;
  for (int i = 0; i < r->n_notes; i++) {
    const Note *note = &r->notes[i];
    bool again = note->at.source == file && note->at.line == line;
    if (note->at.source != file) fprintf(out, "%s\n", note->at.source->path);
    file = note->at.source;
    line = note->at.line;
    print_line(out, &note->at, note->text, c, again);
  }
  if (r->n_notes == 0) print_callers(r->at.caller, out);
  if (r->help) fprintf(out, "%shelp:%s %s\n", c->help, c->off, r->help);
}

static int by_place(const void *a, const void *b) {
  const Report *x = *(Report *const *)a, *y = *(Report *const *)b;
  if (x->file != y->file) return x->file - y->file;
  if (x->at.line != y->at.line) return x->at.line - y->at.line;
  return x->at.column != y->at.column ? x->at.column - y->at.column : x->order - y->order;
}

void diagnostics_print(const Diagnostics *d, FILE *out, bool color) {
  const Colors *c = color ? &with_color : &without_color;
  if (d->n_reports) qsort(d->reports, (size_t)d->n_reports, sizeof *d->reports, by_place);
  for (int i = 0; i < d->n_reports; i++) print_report(d->reports[i], out, c);
  if (d->n_dropped) fprintf(out, "mtc: %d more error%s not shown\n", d->n_dropped, d->n_dropped == 1 ? " is" : "s are");
}

bool explain(const char *code, FILE *out) {
  for (int i = 0; i < ERROR_CODE_COUNT; i++) {
    if (strcmp(code, table[i].code)) continue;
    fprintf(out, "%s (%s)\n%s", table[i].code, table[i].kind, table[i].story);
    return true;
  }
  return false;
}

/* ---- suggestions ---- */

static bool same_letter(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

/* Edit distance where exchanged neighbours count once; more than `most` when the lengths alone say so. */
static int distance(const char *a, const char *b, int most) {
  enum { LONGEST = 64 };
  int rows[3][LONGEST + 1], n = (int)strlen(a), m = (int)strlen(b);
  if (n > LONGEST || m > LONGEST || abs(n - m) > most) return most + 1;
  for (int j = 0; j <= m; j++) rows[0][j] = j;
  for (int i = 1; i <= n; i++) {
    int *now = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
    now[0] = i;
    for (int j = 1; j <= m; j++) {
      int best = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
      if (above[j] + 1 < best) best = above[j] + 1;
      if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
      if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]) && two[j - 2] + 1 < best)
        best = two[j - 2] + 1;
      now[j] = best;
    }
  }
  return rows[n % 3][m];
}

/* Case aside: `relu` is meant by `ReLU`, `B` by `b`.  A third of a two-letter word is one letter. */
const char *nearest(const char *word, const char *const *candidates, int count) {
  int length = (int)strlen(word), most = length == 2 ? 1 : length / 3, best = most + 1;
  const char *found = NULL;
  for (int i = 0; i < count; i++) {
    if (!candidates[i] || !strcmp(word, candidates[i])) continue;
    int d = distance(word, candidates[i], most);
    if (d < best) best = d, found = candidates[i];
  }
  return found;
}

void out_of_memory(void) {
  fputs("mtc: out of memory\n", stderr);
  exit(EXIT_FAILURE);
}

void fault(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "mtc: internal fault: ");
  vfprintf(stderr, format, args);
  fprintf(stderr, "\nThis is a bug in mtc, not in your model. Please report it with the model and the command line.\n");
  va_end(args);
  exit(70);
}
