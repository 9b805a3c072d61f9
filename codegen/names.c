/* names.c - identifiers of the generated program.
 *
 * Node names are paths that do not change when a layer is inserted elsewhere
 * ("net.fc1.mm"), so identifiers made of them keep diffs of generated files
 * small.  What C, C++, the math library or the runtime call their own is
 * avoided by a trailing underscore; what is taken twice gets a number.
 */
#include <ctype.h>
#include <string.h>

#include "codegen/names.h"

/* Never: keywords, macros, functions that expressions call, and the fixed names of generated code. */
static const char *const reserved[] = {
    "alignas", "alignof",  "and",       "asm",      "auto",     "bool",      "break",   "case",    "catch",
    "char",    "class",    "const",     "continue", "default",  "delete",    "do",      "double",  "else",
    "enum",    "explicit", "export",    "extern",   "false",    "float",     "for",     "friend",  "goto",
    "if",      "inline",   "int",       "long",     "mutable",  "namespace", "new",     "not",     "operator",
    "or",      "private",  "protected", "public",   "register", "restrict",  "return",  "short",   "signed",
    "sizeof",  "static",   "struct",    "switch",   "template", "this",      "throw",   "true",    "try",
    "typedef", "typename", "typeof",    "union",    "unsigned", "using",     "virtual", "void",    "volatile",
    "while",   "xor",      "constexpr", "nullptr",  "concept",  "requires",  "I",       "complex", "imaginary",
    "NULL",    "NAN",      "INFINITY",  "EOF",      "HUGE_VAL", "unix",      "linux",   "ceil",    "cos",
    "cosh",    "erf",      "exp",       "expm1",    "fabs",     "floor",     "fmod",    "log",     "log1p",
    "max",     "min",      "pow",       "rint",     "rsqrt",    "sin",       "sqrt",    "tanh",    "abs",
    "std",     "f64",      "real",      "AT",       "STEP",     "LAUNCH",    "SHARED",  "Params",  "main",
    "run",     "batch",    "rows",      "row",      "column",   "lane",      "own",     "first",   "last",
    "scalars", "i",        "j",         "k",        "l",        "m",         "n",       "o",       "t",
    "p",       "d",        "s",         "to",       "bf16",     "as_bf16",   "to_bf16", "from_bf16"};

/* Not as functions and tables: what the included headers or the file itself declare. */
static const char *const declared[] = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "conj", "copysign", "div", "drem", "erfc",
    "exit", "exp2", "exp10", "fdim", "finite", "fma", "fmax", "fmin", "frexp", "gamma", "hypot", "ilogb", "index",
    "isinf", "isnan", "j0", "j1", "jn", "labs", "ldexp", "lgamma", "llrint", "llround", "log10", "log2", "logb",
    "lrint", "lround", "modf", "nan", "nearbyint", "nextafter", "norm", "rand", "random", "remainder", "remquo",
    "round", "scalb", "scalbn", "signbit", "significand", "sincos", "sinh", "tan", "tgamma", "time", "clock",
    "signal", "select", "read", "write", "close", "open", "pipe", "access", "link", "free", "malloc", "trunc", "y0",
    "y1", "yn", "schedule", "train", "program", "params", "states", "data", "evals", "predict", "predict_step",
    "train_gradients", "train_gradients_f64", "train_update", "update", "params_at", "predict_fields", "train_logs",
    "train_groups", "train_values", "train_every", "train_phases", "train_costs", "warp_sum", "block_sum",
    "column_sum"};

typedef struct Taken {
  struct Taken *next;
  const char *name;
  int copies; /* how many names were made of it by numbering */
} Taken;

enum { BUCKETS = 256 };
struct Names {
  Arena *arena;
  const Names *outer;
  Taken *bucket[BUCKETS];
};

Names *names_new(Arena *arena, const Names *outer) {
  Names *names = arena_alloc(arena, sizeof *names);
  names->arena = arena;
  names->outer = outer;
  return names;
}

static unsigned bucket_of(const char *name) {
  unsigned hash = 2166136261u;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
  return hash % BUCKETS;
}

static Taken *find(const Names *names, const char *name) {
  for (Taken *t = names->bucket[bucket_of(name)]; t; t = t->next)
    if (!strcmp(t->name, name)) return t;
  return NULL;
}

bool names_has(const Names *names, const char *name) {
  for (; names; names = names->outer)
    if (find(names, name)) return true;
  return false;
}

static bool is_reserved(const char *name, bool global) {
  for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
    if (!strcmp(reserved[i], name)) return true;
  for (size_t i = 0; global && i < sizeof declared / sizeof declared[0]; i++)
    if (!strcmp(declared[i], name)) return true;
  return !strncmp(name, "mt_", 3) || !strncmp(name, "Mt", 2) || !strncmp(name, "MT_", 3);
}

static Taken *add(Names *names, const char *name) {
  Taken *t = arena_alloc(names->arena, sizeof *t);
  unsigned b = bucket_of(name);
  *t = (Taken){names->bucket[b], name, 0};
  names->bucket[b] = t;
  return t;
}

/* Letters, digits and underscores, not beginning with a digit or underscore. */
static char *clean(Arena *arena, const char *wanted) {
  char *name = arena_print(arena, "%s%s", isalpha((unsigned char)wanted[0]) ? "" : "v", wanted);
  for (char *c = name; *c; c++)
    if (!isalnum((unsigned char)*c)) *c = '_';
  return name;
}

const char *names_take(Names *names, const char *wanted) {
  const char *base = clean(names->arena, wanted);
  if (is_reserved(base, !names->outer)) base = arena_print(names->arena, "%s_", base);
  if (!names_has(names, base)) return add(names, base)->name;
  Taken *first = find(names, base);
  if (!first) first = add(names, base);
  const char *name;
  do name = arena_print(names->arena, "%s_%d", base, ++first->copies + 1);
  while (names_has(names, name));
  return add(names, name)->name;
}

const char *names_take_letter(Names *names, const char *wanted) {
  bool letter = wanted[0] && !wanted[1] && strchr("ijklmnost", wanted[0]);
  return letter && !names_has(names, wanted) ? add(names, wanted)->name : names_take(names, wanted);
}

/* ---- paths ---------------------------------------------------------------- */

static void add_root(Roots *roots, const char *path) {
  size_t length = strcspn(path, ".");
  for (int i = 0; i < roots->n; i++)
    if (strlen(roots->root[i]) == length && !memcmp(roots->root[i], path, length)) return;
  const char *root = arena_copy(roots->arena, path, length);
  LIST_PUSH(roots->arena, roots->root, roots->n, root);
}

Roots roots_of(const Program *program, Arena *arena, Names *globals) {
  Roots roots = {.arena = arena};
  roots.dims = arena_alloc(arena, ((size_t)program->n_symbols + 1) * sizeof *roots.dims);
  for (int i = 0; i < program->n_symbols; i++) roots.dims[i] = names_take(globals, program->symbols[i]->name);
  for (int i = 0; i < program->n_params; i++) add_root(&roots, program->params[i].path);
  for (int i = 0; i < program->n_states; i++) add_root(&roots, program->states[i].path);
  if (roots.n > 1) roots.n = 0; /* several instances: their names tell them apart */
  if (program->has_train) add_root(&roots, program->train.variable);
  if (program->has_predict) add_root(&roots, program->predict.variable);
  if (program->has_sample) add_root(&roots, program->sample.variable);
  for (int i = 0; i < program->n_evals; i++) add_root(&roots, program->evals[i].variable);
  return roots;
}

enum { MAX_PARTS = 32 };
typedef struct Path {
  bool adjoint;
  int n;
  const char *part[MAX_PARTS];
} Path;

static bool is_root(const Roots *roots, const char *part) {
  for (int i = 0; i < roots->n; i++)
    if (!strcmp(roots->root[i], part)) return true;
  return false;
}

/* The components of a path, without what says nothing. */
static Path path_split(const Roots *roots, const char *text) {
  Path path = {0};
  char *at = NULL, *copy = arena_copy(roots->arena, text, strlen(text));
  for (char *part = strtok_r(copy, ".", &at); part && path.n < MAX_PARTS; part = strtok_r(NULL, ".", &at))
    path.part[path.n++] = part;
  int drop = 0;
  if (path.n > 2 && !strcmp(path.part[0], "grad")) path.adjoint = true, drop = 2;
  if (path.n > drop + 1 && !strcmp(path.part[path.n - 1], "group")) path.n--;
  if (path.n > drop + 1 && is_root(roots, path.part[drop])) drop++;
  path.n -= drop;
  memmove(path.part, path.part + drop, (size_t)path.n * sizeof *path.part);
  return path;
}

static const char *path_join(const Roots *roots, const Path *path, int from) {
  Text text = {0};
  if (path->adjoint) text_add(&text, "d");
  for (int i = from; i < path->n; i++) text_add(&text, "%s%s", text.length ? "_" : "", path->part[i]);
  if (!text.length) text_add(&text, "value");
  return text_take(&text, roots->arena);
}

const char *name_of_path(const Roots *roots, const char *text) {
  Path path = path_split(roots, text);
  return path_join(roots, &path, 0);
}

/* A component that names what is done, not what it is. */
static bool names_operator(const char *part) {
  Op op;
  if (op_find(part, &op) || isdigit((unsigned char)part[0])) return true;
  static const char *const roles[] = {"lhs", "rhs", "mm", "to", "scalar"};
  for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
    if (!strcmp(part, roles[i])) return true;
  return false;
}

enum { KERNEL_PARTS = 4 }; /* components of a kernel's name, at most */

const char *name_in_common(const Roots *roots, const char *const *paths, int n) {
  Path common = path_split(roots, paths[0]);
  for (int k = 1; k < n; k++) {
    Path other = path_split(roots, paths[k]), both = {.adjoint = common.adjoint && other.adjoint};
    for (int i = 0; i < common.n; i++) {
      int j = other.n - (common.n - i); /* aligned at their ends */
      if (j >= 0 && !strcmp(common.part[i], other.part[j])) both.part[both.n++] = common.part[i];
    }
    common = both;
  }
  while (common.n > 1 && names_operator(common.part[common.n - 1])) common.n--;
  return path_join(roots, &common, common.n > KERNEL_PARTS ? common.n - KERNEL_PARTS : 0);
}

const char *name_short(const Roots *roots, const char *text) {
  Path path = path_split(roots, text);
  int from = path.n - 1;
  while (from > 0 && path.n - from < 3 && names_operator(path.part[from])) from--;
  return path_join(roots, &path, from < 0 ? 0 : from);
}
