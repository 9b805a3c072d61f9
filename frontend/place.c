/* place.c - where each kind of statement may stand.
 *
 * The grammar takes any statement anywhere, so that a `param` at top level is
 * called that and not a syntax error.  One table says what belongs where; the
 * walk below also checks that a name set without `let` is one its loop carries
 * or collects.
 */
#include "frontend/parse.h"

#include <string.h>

enum { TOP = 1, MODULE = 2, FN = 4, TRAIN = 8, EVERY = 16, EVAL = 32 };

static const struct { const char *word; int places; const char *belongs; } rules[] = {
    [SYN_USE] = {"use", TOP, "at top level"},
    [SYN_DIM] = {"dim", TOP, "at top level"},
    [SYN_DATA] = {"data", TOP, "at top level"},
    [SYN_MODULE] = {"module", TOP, "at top level"},
    [SYN_FN] = {"fn", TOP, "at top level"},
    [SYN_LET] = {"let", TOP | MODULE | FN | TRAIN | EVERY | EVAL, ""},
    [SYN_PARAM] = {"param", MODULE, "in a module"},
    [SYN_STATE] = {"state", MODULE, "in a module"},
    [SYN_ASSIGN] = {"<-", MODULE, "in a module"},
    [SYN_IF] = {"if", MODULE | FN, "in a module or a fn"},
    [SYN_FOR] = {"for", MODULE | FN, "in a module or a fn"},
    [SYN_RETURN] = {"return", MODULE, "in a module"},
    [SYN_EXPR] = {"", FN, "at the end of a fn's block"},
    [SYN_TRAIN] = {"train", TOP, "at top level"},
    [SYN_UPDATE] = {"update", TRAIN | EVERY, "in a train block"},
    [SYN_FREEZE] = {"freeze", TOP | TRAIN, "in a train block"},
    [SYN_LOG] = {"log", TRAIN | EVERY | EVAL, "in a train or eval block"},
    [SYN_EVERY] = {"every", TRAIN, "in a train block"},
    [SYN_EVAL] = {"eval", TRAIN | EVERY, "in a train block"},
    [SYN_SAVE] = {"save", TRAIN | EVERY | EVAL, "in a train or eval block"},
    [SYN_SAMPLE] = {"sample", TRAIN | EVERY, "in a train block"},
    [SYN_WEIGHTS] = {"weights", TOP, "at top level"},
    [SYN_PREDICT] = {"predict", TOP, "at top level"},
    [SYN_ERROR] = {"", TOP | MODULE | FN | TRAIN | EVERY | EVAL, ""},
};

typedef struct Loop { /* a `for` and those around it */
  const Syntax *statement;
  const struct Loop *outer;
} Loop;

static bool listed(const char *name, int n, const char **names) {
  for (int i = 0; i < n; i++)
    if (!strcmp(name, names[i])) return true;
  return false;
}

static bool carried_by(const char *name, const Loop *loop) {
  for (; loop; loop = loop->outer) {
    const Syntax *s = loop->statement;
    if (listed(name, s->n_carry, s->carry) || listed(name, s->n_collect, s->collect)) return true;
  }
  return false;
}

static void check_rebind(Parser *p, const Syntax *s, const Loop *loop) {
  for (int i = 0; i < s->n_names; i++) {
    if (carried_by(s->names[i], loop)) continue;
    const char *name = s->names[i];
    if (!loop) {
      report(p->d, WRONG_SYNTAX, s->names_at[i], "`%s` is set without `let`", name);
      report_help(p->d, "write let %s = ...", name);
    } else {
      report(p->d, WRONG_SYNTAX, s->names_at[i], "no loop here carries or collects `%s`", name);
      report_help(p->d, "write let %s = ... for a new name, or `carry %s` at the loop", name, name);
    }
  }
}

static void wrong_place(Parser *p, int place, const Syntax *s) {
  if (s->kind == SYN_EXPR) {
    report(p->d, WRONG_PLACE, s->at, "this value is computed and goes nowhere");
    const Expr *e = s->value, *callee = e && e->kind == EXPR_CALL ? e->args[0] : NULL;
    if (callee && callee->kind == EXPR_NAME && !strcmp(callee->name, "log"))
      report_help(p->d, "log(x) is the logarithm; what prints has no brackets: log x");
    else
      report_help(p->d, "let x = ... names it, return gives it back, log prints it");
  } else {
    report(p->d, WRONG_PLACE, s->at, "`%s` belongs %s", rules[s->kind].word, rules[s->kind].belongs);
    if (s->kind == SYN_RETURN && place == FN)
      report_help(p->d, "the last line of a function's block is its value, without `return`");
  }
}

static void check_list(Parser *p, int place, int n, Syntax *const *list, const Loop *loop);

static void check(Parser *p, int place, const Syntax *s, const Loop *loop, bool last) {
  if (!(rules[s->kind].places & place) || (s->kind == SYN_EXPR && (!last || loop))) wrong_place(p, place, s);
  if (s->kind == SYN_LET && s->rebinds) check_rebind(p, s, loop);
  Loop inner = {s, loop};
  switch (s->kind) {
  case SYN_MODULE: check_list(p, MODULE, s->n_body, s->body, NULL); break;
  case SYN_FN: check_list(p, FN, s->n_body, s->body, NULL); break;
  case SYN_TRAIN: check_list(p, TRAIN, s->n_body, s->body, NULL); break;
  case SYN_EVERY: check_list(p, EVERY, s->n_body, s->body, NULL); break;
  case SYN_EVAL: check_list(p, EVAL, s->n_body, s->body, NULL); break;
  case SYN_FOR: check_list(p, place, s->n_body, s->body, &inner); break;
  case SYN_IF:
    check_list(p, place, s->n_body, s->body, loop);
    check_list(p, place, s->n_otherwise, s->otherwise, loop);
    break;
  default: break;
  }
}

static void check_list(Parser *p, int place, int n, Syntax *const *list, const Loop *loop) {
  for (int i = 0; i < n; i++) check(p, place, list[i], loop, i == n - 1);
}

void check_places(Parser *p, const File *file) { check_list(p, TOP, file->n_statements, file->statements, NULL); }
