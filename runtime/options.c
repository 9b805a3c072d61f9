/* options.c - the trainer's command line: one table is the parser and the help. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/trainer.h"

enum { EXIT_USAGE = 2 };
enum {
  TRAIN = 1 << MT_COMMAND_TRAIN,
  EVAL = 1 << MT_COMMAND_EVAL,
  PREDICT = 1 << MT_COMMAND_PREDICT,
  CHECK = 1 << MT_COMMAND_GRADCHECK,
  BENCH = 1 << MT_COMMAND_BENCH,
  SAMPLE = 1 << MT_COMMAND_SAMPLE,
  ALL = TRAIN | EVAL | PREDICT | CHECK | BENCH | SAMPLE
};

static const struct { const char *name, *help; } commands[MT_N_COMMANDS] = {
    [MT_COMMAND_TRAIN] = {"train", "train the model (what happens without a command)"},
    [MT_COMMAND_EVAL] = {"eval", "evaluate trained weights over the whole evaluation sets"},
    [MT_COMMAND_PREDICT] = {"predict", "predict IN.npy ... -o OUT.npy|OUT.png: one file a field, in the model's order"},
    [MT_COMMAND_SAMPLE] = {"sample", "let a model of text write on from --prompt, token by token"},
    [MT_COMMAND_GRADCHECK] = {"gradcheck", "compare every gradient with finite differences, in double precision"},
    [MT_COMMAND_BENCH] = {"bench", "time training steps on one resident batch"},
};

typedef enum Kind { FLAG, COUNT, SEED, RATE, AMOUNT, TEXT, WORDS, LIST, HELP, VERSION } Kind;
typedef struct Row {
  const char *name, *argument;
  int letter;          /* short form, or 0 */
  Kind kind;
  int commands;
  size_t field, extra; /* offsets in MtOptions; extra: the flag or count that goes with it */
  const char *help;
} Row;
#define AT(x) offsetof(MtOptions, x)

static const Row rows[] = {
    {"epochs", "N", 0, COUNT, TRAIN, AT(epochs), 0, "train for N epochs; learning rate schedules stretch to fit"},
    {"steps", "N", 0, COUNT, TRAIN | BENCH, AT(steps), 0, "train for N updates; bench: updates a round, or in all with --profile"},
    {"stop-after", "N", 0, COUNT, TRAIN, AT(stop_after), 0,
     "stop after N updates as Ctrl-C would; schedules stay as they are"},
    {"lr", "X", 0, RATE, TRAIN, AT(lr), 0,
     "scale all learning rates so that the first group's highest, over the whole run, is X"},
    {"seed", "N", 0, SEED, ALL, AT(seed), AT(seed_given),
     "first parameters, order of rows and random draws; sample: the text (default 0)"},
    {"resume", NULL, 0, FLAG, TRAIN, AT(resume), 0, "go on from the checkpoint in the save folder, to the same bits"},
    {"init", "[NAME=]FILE", 0, LIST, ALL, AT(init), AT(n_init),
     "start from safetensors weights; NAME: the instance, where there are several"},
    {"export", "[NAME=]FILE", 0, LIST, TRAIN, AT(export), AT(n_export), "write the final weights as safetensors"},
    {"prompt", "TEXT", 0, WORDS, SAMPLE, AT(prompt), 0, "what the sample goes on from (default: a line end); tokens as numbers"},
    {"length", "N", 0, COUNT, SAMPLE, AT(length), 0, "draw N tokens (default 200)"},
    {"temperature", "X", 0, AMOUNT, SAMPLE, AT(temperature), AT(temperature_given),
     "divide scores by X: below 1 less is left to chance, 0 takes the likeliest (default 1)"},
    {"top-k", "K", 0, COUNT, SAMPLE, AT(top_k), 0, "draw from the K likeliest only"},
    {"save-dir", "DIR", 0, TEXT, TRAIN | EVAL | PREDICT | SAMPLE, AT(save_dir), 0,
     "folder of checkpoints, weights and metrics.csv"},
    {"data-dir", "DIR", 0, TEXT, ALL, AT(data_dir), 0, "folder that paths of data sets start from"},
    {"output", "FILE", 'o', TEXT, PREDICT, AT(output), 0, "where predictions go: .npy, or .png as pictures"},
    {"no-shuffle", NULL, 0, FLAG, TRAIN | CHECK | BENCH, AT(no_shuffle), 0, "take rows in the order of the file"},
    {"log-every", "N", 0, COUNT, TRAIN, AT(log_every), 0, "a line and a row of metrics.csv every N updates"},
    {"dump-grads", "FILE", 0, TEXT, TRAIN, AT(dump_grads), 0,
     "write loss and gradients of the first batch as safetensors, and stop"},
    {"keep-going", NULL, 0, FLAG, TRAIN, AT(keep_going), 0, "do not stop at a loss or gradient that is not finite"},
    {"tune", NULL, 0, FLAG, TRAIN | BENCH, AT(tune), 0, "time the ways to do each matrix product, keep the fastest"},
    {"serve", NULL, 0, FLAG, BENCH, AT(serve), 0, "time as many steps as each line of standard input says"},
    {"profile", NULL, 0, FLAG, BENCH, AT(profile), 0, "launch by launch: what each kernel takes, beside the compiler's model"},
    {"quiet", NULL, 'q', FLAG, ALL, AT(quiet), 0, "print errors and results only"},
    {"json", NULL, 0, FLAG, ALL, AT(json), 0, "print one JSON object a line"},
    {"help", NULL, 'h', HELP, ALL, 0, 0, "this text"},
    {"version", NULL, 0, VERSION, ALL, 0, 0, "the runtime's version"},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

/* ---- help ---------------------------------------------------------------------- */

static void print_model(const MtProgram *program) {
  char count[32];
  printf("\nThe model, %s: %s parameters", program->source, mt_grouped(count, mt_parameters(program)));
  const MtTrain *train = program->train;
  if (train)
    printf("; %lld %s over %s", (long long)train->count, train->unit == MT_EPOCHS ? "epochs" : "updates",
           program->data[train->data].name);
  printf("\n");
  for (int p = 0; train && p < train->n_phases; p++) {
    const MtGroup *first = &train->groups[train->phases[p].first_group], *last = first + train->phases[p].n_groups;
    for (const MtGroup *g = first; g < last; g++) /* of several stretches the first stands for all */
      if (g == first || strcmp(g->target, g[-1].target)) printf("  update %s using %s\n", g->target, g->optimizer);
  }
}

static void print_help(const MtProgram *program) {
  printf("%s, a trainer made by mtc from %s\n\n  %s [COMMAND] [OPTIONS]\n\n", program->name, program->source,
         program->name);
  for (int i = 0; i < MT_N_COMMANDS; i++) printf("  %-12s%s\n", commands[i].name, commands[i].help);
  printf("\n");
  for (int i = 0; i < N_ROWS; i++) {
    char left[64], letter[8] = "    ";
    if (rows[i].letter) snprintf(letter, sizeof letter, "-%c, ", rows[i].letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, rows[i].name, rows[i].argument ? " " : "",
             rows[i].argument ? rows[i].argument : "");
    printf("  %-26s%s\n", left, rows[i].help);
  }
  print_model(program);
}

/* ---- parsing --------------------------------------------------------------------- */

static int usage(const MtProgram *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int usage(const MtProgram *program, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%s: ", program->name);
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n`%s --help` lists commands and options\n", program->name);
  va_end(args);
  return EXIT_USAGE;
}

/* Letters to change, add, drop or swap with their neighbour to get from a to b. */
static int distance(const char *a, const char *b) {
  enum { MOST = 32 };
  int d[MOST][MOST], m = (int)strlen(a), n = (int)strlen(b);
  if (m >= MOST || n >= MOST) return MOST;
  for (int i = 0; i <= m; i++)
    for (int j = 0; j <= n; j++) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
      if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
        best = d[i - 2][j - 2] + 1;
      d[i][j] = best;
    }
  return d[m][n];
}

/* Two slips at most, in no more than half of what was written. */
static bool is_near(const char *given, const char *name) {
  int slips = distance(given, name);
  return slips <= 2 && 2 * slips <= (int)strlen(given);
}

static int unknown_option(const MtProgram *program, const char *given) {
  char name[64];
  snprintf(name, sizeof name, "%s", given + strspn(given, "-"));
  name[strcspn(name, "=")] = 0;
  const Row *best = NULL;
  for (int i = 0; i < N_ROWS; i++)
    if (!best || distance(name, rows[i].name) < distance(name, best->name)) best = &rows[i];
  if (distance(name, best->name) == 0 && strchr(given, '=')) return usage(program, "--%s takes no value", name);
  if (!is_near(name, best->name)) return usage(program, "unknown option %s", given);
  return usage(program, "unknown option %s; did you mean --%s?", given, best->name);
}

static int unknown_command(const MtProgram *program, const char *given) {
  for (int i = 0; i < MT_N_COMMANDS; i++)
    if (is_near(given, commands[i].name))
      return usage(program, "unknown command `%s`; did you mean `%s`?", given, commands[i].name);
  return usage(program, "unknown command `%s`", given);
}

static bool whole_number(const char *text, bool negative, uint64_t *out) {
  char *end;
  errno = 0;
  bool minus = negative && *text == '-';
  if (text[minus] < '0' || text[minus] > '9') return false;
  *out = minus ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
  return !errno && !*end;
}

/* Stores what option `row` was given; -1, or the exit status. */
static int take(MtOptions *out, const Row *row, const char *value, const MtProgram *program) {
  char *at = (char *)out + row->field, *extra = (char *)out + row->extra, *end;
  uint64_t number;
  double rate;
  switch (row->kind) {
  case FLAG: *(bool *)at = true; break;
  case TEXT:
    if (!*value) return usage(program, "--%s: the name is empty", row->name);
    *(const char **)at = value;
    break;
  case COUNT:
    if (!whole_number(value, false, &number) || number < 1 || number > INT64_MAX / 2)
      return usage(program, "--%s: expected a whole number from 1, found `%s`", row->name, value);
    *(int64_t *)at = (int64_t)number;
    break;
  case SEED:
    if (!whole_number(value, true, &number))
      return usage(program, "--%s: expected a whole number, found `%s`", row->name, value);
    *(uint64_t *)at = number;
    *(bool *)extra = true;
    break;
  case RATE:
    rate = strtod(value, &end);
    if (end == value || *end || !isfinite(rate) || rate <= 0)
      return usage(program, "--%s: expected a positive number, found `%s`", row->name, value);
    *(double *)at = rate;
    break;
  case AMOUNT:
    rate = strtod(value, &end);
    if (end == value || *end || !isfinite(rate) || rate < 0)
      return usage(program, "--%s: expected a number from 0, found `%s`", row->name, value);
    *(double *)at = rate;
    *(bool *)extra = true;
    break;
  case WORDS:
    if (!*value) return usage(program, "--%s: the text is empty", row->name);
    *(const char **)at = value;
    break;
  case LIST:
    if (*(int *)extra == MT_MAX_GROUPS)
      return usage(program, "--%s is given more than %d times", row->name, MT_MAX_GROUPS);
    ((const char **)at)[(*(int *)extra)++] = value;
    break;
  case HELP: print_help(program); return 0;
  case VERSION: printf("%s (mtrt " MT_VERSION ", target %s)\n", program->name, program->backend->target); return 0;
  }
  return -1;
}

static int take_words(MtOptions *out, int n, char **words, const MtProgram *program) {
  if (n > 0) {
    int c = 0;
    while (c < MT_N_COMMANDS && strcmp(words[0], commands[c].name)) c++;
    if (c == MT_N_COMMANDS) return unknown_command(program, words[0]);
    out->command = (MtCommand)c;
  }
  out->inputs = words + 1;
  out->n_inputs = n > 1 ? n - 1 : 0;
  if (out->n_inputs && out->command != MT_COMMAND_PREDICT)
    return usage(program, "%s takes no files, found `%s`", commands[out->command].name, out->inputs[0]);
  return -1;
}

static int check_together(const MtOptions *o, const bool *given, const MtProgram *program) {
  const char *command = commands[o->command].name;
  for (int i = 0; i < N_ROWS; i++)
    if (given[i] && !(rows[i].commands & 1 << o->command))
      return usage(program, "--%s does not go with `%s`", rows[i].name, command);
  if (o->epochs && o->steps) return usage(program, "--epochs and --steps exclude each other");
  if (o->resume && o->n_init)
    return usage(program, "--resume and --init exclude each other: a checkpoint has its own weights");
  if (o->profile && o->serve) return usage(program, "--profile and --serve exclude each other");
  if (o->command == MT_COMMAND_PREDICT && !program->predict)
    return usage(program, "%s has no `predict`", program->source);
  if (o->command == MT_COMMAND_PREDICT && !o->output)
    return usage(program, "predict: -o is missing: where should the result go?");
  if (o->command == MT_COMMAND_PREDICT && o->n_inputs != program->predict->n_fields)
    return usage(program, "predict: the model takes %d file%s (%s%s), found %d", program->predict->n_fields,
                 program->predict->n_fields == 1 ? "" : "s",
                 program->predict->n_fields ? program->predict->fields[0].name : "none",
                 program->predict->n_fields > 1 ? ", ..." : "", o->n_inputs);
  if (o->command == MT_COMMAND_SAMPLE && !mt_scores(program))
    return usage(program,
                 "sample: %s has neither `sample net(d.x)` nor a `predict` from a window of tokens to scores of the next",
                 program->source);
  if (o->command == MT_COMMAND_EVAL && !program->n_evals) return usage(program, "%s has no `eval`", program->source);
  bool trains = o->command != MT_COMMAND_PREDICT && o->command != MT_COMMAND_EVAL && o->command != MT_COMMAND_SAMPLE;
  if (trains && !program->train)
    return usage(program, "%s has no `train`", program->source);
  return -1;
}

int mt_parse_options(MtOptions *out, int argc, char **argv, const MtProgram *program) {
  struct option list[N_ROWS + 1] = {0};
  char letters[2 * N_ROWS + 2] = ":";
  bool given[N_ROWS] = {false};
  memset(out, 0, sizeof *out);
  for (int i = 0; i < N_ROWS; i++) {
    list[i] = (struct option){rows[i].name, rows[i].argument ? required_argument : no_argument, NULL, 256 + i};
    if (rows[i].letter) snprintf(letters + strlen(letters), 3, "%c%s", rows[i].letter, rows[i].argument ? ":" : "");
  }
  out->argc = argc;
  out->argv = argv;
  opterr = 0;
  optind = 1;
  for (int c; (c = getopt_long(argc, argv, letters, list, NULL)) != -1;) {
    int i = c - 256;
    for (int k = 0; c < 256 && k < N_ROWS; k++)
      if (rows[k].letter == c) i = k;
    if (c == ':') return usage(program, "%s needs a value", argv[optind - 1]);
    if (i < 0) return unknown_option(program, argv[optind - 1]);
    given[i] = true;
    int status = take(out, &rows[i], optarg, program);
    if (status >= 0) return status;
  }
  int status = take_words(out, argc - optind, argv + optind, program);
  return status >= 0 ? status : check_together(out, given, program);
}
