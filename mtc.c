/* mtc.c - the driver: options, then the whole pipeline as one page.
 *
 * Read compile_model() first: text to IR (frontend), IR to IR (passes), IR to
 * text (codegen).  Everything else here is about files, processes and the
 * command line, which is one table: it parses, and it prints the help, the
 * man page and the shell completion.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "ir/ir.h"
#include "passes/passes.h"

enum { EXIT_OK = 0, EXIT_INPUT = 1, EXIT_USAGE = 2 };

/* ---- the command line --------------------------------------------------- */

typedef enum Command { COMPILE, CHECK, RUN, BUILD, FMT } Command;
static const struct { const char *name; Command command; const char *help; } commands[] = {
    {"check", CHECK, "diagnostics only"},
    {"run", RUN, "compile, build with nvcc or cc in a cache, run; `-- ARGS` go to the trainer"},
    {"build", BUILD, "compile and build the trainer named by -o"},
    {"fmt", FMT, "rewrite the model in the one layout (with -o: write it there; `-o -`: print it)"},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

enum {
  OPT_DUMP = 256, OPT_DUMP_DIR, OPT_VERIFY, OPT_BISECT, OPT_EXPLAIN, OPT_COLOR, OPT_PRINT, OPT_EMIT, OPT_TARGET,
  OPT_WERROR, OPT_STOP, OPT_VERSION, OPT_COST
};
static const struct { int id; const char *name, *argument, *help; } option_table[] = {
    {'o', NULL, "FILE", "write FILE; the suffix picks the target: .cu .c .ir .dot; - is standard output"},
    {'D', NULL, "NAME=N", "override a dim of the model"},
    {'O', NULL, "0|1|2", "optimization level (default 2)"},
    {'v', NULL, NULL, "check: say what training takes in memory, and which lines hold it"},
    {OPT_EMIT, "emit", "KIND", "cu, c, ir or dot: what to write when the suffix does not say"},
    {OPT_TARGET, "target", "cuda|c", "run, build: what to build for (default cuda where there is a GPU and nvcc, else c); --cost"},
    {OPT_COST, "cost", NULL, "print what a training step costs, kernel by kernel, by a model of the target (default cuda)"},
    {OPT_DUMP, "dump", "all|changed|rewrites|PASS", "print the IR after passes, or each rewrite as it happens"},
    {OPT_DUMP_DIR, "dump-dir", "DIR", "write dumps to DIR/NN-PASS.ir instead of standard error"},
    {OPT_STOP, "stop-after", "PASS", "run no pass after PASS (`lower`: run none)"},
    {OPT_VERIFY, "verify-each", NULL, "verify the IR after every pass"},
    {OPT_BISECT, "bisect-limit", "N", "allow only the first N rewrites"},
    {OPT_WERROR, "Werror", NULL, "warnings are errors"},
    {OPT_EXPLAIN, "explain", "CODE", "the long story behind a message"},
    {OPT_COLOR, "color", "auto|always|never", "color in messages (default auto)"},
    {OPT_PRINT, "print", "WHAT", "cflags, libs, cuda-flags, runtime-dir, man or bash-completion"},
    {OPT_VERSION, "version", NULL, "print the version"},
    {'h', "help", NULL, "print this help"},
};
enum { N_OPTIONS = sizeof option_table / sizeof option_table[0], MAX_DIMS = 256 };

typedef struct Options {
  Command command;
  const char *model, *output, *emit, *target, *dump, *dump_dir, *stop_after;
  int n_dims;
  DimOverride dims[MAX_DIMS];
  int level;
  bool verify_each, werror, color, verbose, cost;
  long bisect_limit;
  char **trainer_args; /* after --, NULL-terminated */
} Options;

static int usage_error(const char *format, const char *what) {
  fprintf(stderr, "mtc: ");
  fprintf(stderr, format, what);
  fprintf(stderr, "\nhelp: mtc --help lists commands and options\n");
  return EXIT_USAGE;
}

/* A wrong word, and the right one it is near to. */
static int usage_near(const char *format, const char *what, const char *const *right, int n) {
  const char *guess = nearest(what, right, n);
  fprintf(stderr, "mtc: ");
  fprintf(stderr, format, what);
  fprintf(stderr, guess ? "\nhelp: did you mean %s?\n" : "\nhelp: mtc --help lists commands and options\n", guess);
  return EXIT_USAGE;
}

static void print_help(void) {
  printf("mtc MODEL.mt -o OUT.cu|OUT.c|OUT.ir|OUT.dot    compile a model to the program that trains it\n");
  for (int i = 0; i < N_COMMANDS; i++) printf("mtc %-5s MODEL.mt    %s\n", commands[i].name, commands[i].help);
  printf("\n");
  for (int i = 0; i < N_OPTIONS; i++) {
    char left[64];
    const char *argument = option_table[i].argument, *name = option_table[i].name;
    if (name) snprintf(left, sizeof left, "--%s%s%s", name, argument ? "=" : "", argument ? argument : "");
    else snprintf(left, sizeof left, "-%c%s%s", option_table[i].id, argument ? " " : "", argument ? argument : "");
    printf("  %-34s %s\n", left, option_table[i].help);
  }
  printf("\nExit status: 0 it worked, 1 errors in the input, 2 a wrong command line, 70 a fault of mtc's own.\n");
}

static void print_man(void) {
  printf(".TH MTC 1\n.SH NAME\nmtc \\- compile a model file to the program that trains it\n.SH SYNOPSIS\n");
  printf(".B mtc\n.I MODEL.mt\n\\-o OUT.cu|OUT.c|OUT.ir|OUT.dot\n");
  for (int i = 0; i < N_COMMANDS; i++)
    printf(".TP\n.B mtc %s\n.I MODEL.mt\n%s\n", commands[i].name, commands[i].help);
  printf(".SH OPTIONS\n");
  for (int i = 0; i < N_OPTIONS; i++) {
    const char *argument = option_table[i].argument, *name = option_table[i].name;
    if (name) printf(".TP\n.B \\-\\-%s%s%s\n", name, argument ? "=" : "", argument ? argument : "");
    else printf(".TP\n.B \\-%c%s%s\n", option_table[i].id, argument ? " " : "", argument ? argument : "");
    printf("%s\n", option_table[i].help);
  }
}

static void print_completion(void) {
  printf("complete -f -W '");
  for (int i = 0; i < N_COMMANDS; i++) printf("%s ", commands[i].name);
  for (int i = 0; i < N_OPTIONS; i++)
    if (option_table[i].name) printf("--%s%s ", option_table[i].name, option_table[i].argument ? "=" : "");
  printf("' mtc\n");
}

static bool is_one_of(const char *word, const char *const *list) {
  for (; *list; list++)
    if (!strcmp(word, *list)) return true;
  return false;
}

/* ---- files -------------------------------------------------------------- */

/* Calls that a signal interrupts are made again; 0, or why it failed. */
static int open_again(const char *path, int flags, int *fd) {
  while ((*fd = open(path, flags | O_CLOEXEC, 0666)) < 0 && errno == EINTR) continue;
  return *fd < 0 ? errno : 0;
}

static int write_bytes(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t n = write(fd, data, length);
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) data += n, length -= (size_t)n;
  }
  return 0;
}

static Source *read_source(const char *path, Arena *arena, Diagnostics *d) {
  Source *source = arena_alloc(arena, sizeof *source);
  source->path = arena_copy(arena, path, strlen(path));
  source->text = "";
  Span *start = arena_alloc(arena, sizeof *start);
  *start = (Span){.source = source, .line = 1, .column = 1, .length = 1};
  Text text = {0};
  int why = file_read(path, &text);
  source->length = why ? 0 : text.length;
  if (!why && text.data) source->text = text_take(&text, arena);
  text_free(&text);
  if (!why) return source;
  source->text = NULL; /* no line to show */
  report(d, E0001, start, "cannot read %s: %s", path, why == EISDIR ? "it is a directory" : strerror(why));
  return NULL;
}

/* Where `path` is a file or nothing: a temporary file beside it, then rename. */
static int replace_file(const char *path, const Text *text) {
  char temporary[PATH_MAX];
  int fd, why;
  if (snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid()) >= PATH_MAX) return ENAMETOOLONG;
  if ((why = open_again(temporary, O_WRONLY | O_CREAT | O_TRUNC, &fd))) return why;
  why = write_bytes(fd, text->data ? text->data : "", text->length);
  if (close(fd) && errno != EINTR && !why) why = errno;
  while (!why && rename(temporary, path))
    if (errno != EINTR) why = errno;
  if (why) unlink(temporary);
  return why;
}

/* All of it or nothing, but to standard output, /dev/null or a pipe. */
static bool write_output(const char *path, const Text *text) {
  struct stat info;
  bool to_stdout = !strcmp(path, "-"), special = to_stdout || (!stat(path, &info) && !S_ISREG(info.st_mode));
  int why = 0, fd = STDOUT_FILENO;
  if (!special) why = replace_file(path, text);
  else if (to_stdout || !(why = open_again(path, O_WRONLY, &fd))) {
    why = write_bytes(fd, text->data ? text->data : "", text->length);
    if (!to_stdout) close(fd);
  }
  if (why) fprintf(stderr, "mtc: cannot write %s: %s\n", to_stdout ? "standard output" : path, strerror(why));
  return !why;
}

static const char *suffix(const char *path) {
  const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
  return dot && (!slash || dot > slash) ? dot + 1 : "";
}

static char *base_name(Arena *arena, const char *path) {
  const char *slash = strrchr(path, '/'), *start = slash ? slash + 1 : path, *dot = strrchr(start, '.');
  return arena_copy(arena, start, dot && dot > start ? (size_t)(dot - start) : strlen(start));
}

/* ---- the pipeline --------------------------------------------------------- */

typedef struct Dump {
  const Options *options;
  int number;
  bool failed;
  Text before;
} Dump;

static void dump_after(const Pass *pass, const Program *program, void *data) {
  Dump *dump = data;
  const Options *o = dump->options;
  if ((!o->dump && !o->dump_dir) || dump->failed) return;
  const char *what = o->dump ? o->dump : "all", *name = pass ? pass->name : "lower";
  Text text = {0};
  program_print(&text, program);
  bool changed = !dump->before.data || strcmp(dump->before.data, text.data) != 0;
  if (!strcmp(what, "all") || !strcmp(what, name) || (!strcmp(what, "changed") && changed)) {
    if (o->dump_dir) {
      char path[PATH_MAX];
      snprintf(path, sizeof path, "%s/%02d-%s.ir", o->dump_dir, dump->number, name);
      if (!write_output(path, &text)) dump->failed = true;
    } else {
      fprintf(stderr, "# after %s\n%s\n", name, text.data);
    }
  }
  dump->number++;
  text_free(&dump->before);
  dump->before = text;
}

static bool run_passes(const Options *o, Program *program, Arena *arena, Diagnostics *d) {
  Dump dump = {.options = o};
  if (o->dump_dir && mkdir(o->dump_dir, 0777) && errno != EEXIST) {
    fprintf(stderr, "mtc: cannot make %s: %s\n", o->dump_dir, strerror(errno));
    return false;
  }
  dump_after(NULL, program, &dump);
  PassContext context = {.program = program, .arena = arena, .diagnostics = d, .level = o->level,
                         .bisect_limit = o->bisect_limit, .verify_each = o->verify_each,
                         .stop_after = o->stop_after,
                         .trace = o->dump && !strcmp(o->dump, "rewrites") ? stderr : NULL};
  bool ok = run_pipeline(&context, dump_after, &dump);
  text_free(&dump.before);
  return ok && !dump.failed;
}

/* What training takes, one kind a line, and the lines of the model at the peak of a step. */
static void print_memory(Text *out, const Program *program, Arena *arena) {
  Memory m = program_memory(program, arena);
  int64_t held = 0;
  if (!program->has_train) return;
  text_add(out, "%s: training takes %lld bytes\n  ", program->source, (long long)m.total);
  memory_parts(out, &m);
  text_add(out, "\n%s", m.has_files ? "  data files come on top: their length is known when they are read\n" : "");
  if (m.n_lines) text_add(out, "most values of a step at once, %lld bytes:\n", (long long)m.arena);
  for (int i = 0; i < m.n_lines; i++) {
    const Span *at = m.lines[i].span;
    text_add(out, "%12lld  ", (long long)m.lines[i].bytes);
    if (at) text_add(out, "%s:%d\n", at->source->path, at->line);
    else text_add(out, "no line of the model\n");
    held += m.lines[i].bytes;
  }
  if (held < m.arena) text_add(out, "%12lld  between them\n", (long long)(m.arena - held));
}

/* The whole compiler: from the file `o->model` to text of the kind asked for. */
static bool compile_model(const Options *o, const char *kind, Text *out, Arena *arena, Diagnostics *d) {
  const Source *source = read_source(o->model, arena, d);
  if (!source) return false;
  FrontendOptions frontend = {o->n_dims, o->dims};
  Program *program = !strcmp(suffix(o->model), "ir") ? program_read(source, arena, d) : compile(source, &frontend, arena, d);
  if (!program || diagnostics_errors(d) || !run_passes(o, program, arena, d) || diagnostics_errors(d)) return false;
  if (!strcmp(kind, "cu")) emit_cuda(out, program, arena);
  else if (!strcmp(kind, "c")) emit_c(out, program, arena);
  else if (!strcmp(kind, "dot")) program_dot(out, program);
  else if (!strcmp(kind, "ir")) program_print(out, program);
  else if (o->cost) print_cost(out, program, arena, !o->target || !strcmp(o->target, "cuda"));
  else if (o->verbose) print_memory(out, program, arena);
  return true;
}

/* Compile and print what there is to say; false when nothing was made. */
static bool compile_and_report(const Options *o, const char *kind, Text *out) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  if (o->werror) diagnostics_warnings_are_errors(d);
  bool ok = compile_model(o, kind, out, arena, d) && !diagnostics_errors(d);
  diagnostics_print(d, stderr, o->color);
  diagnostics_free(d);
  arena_free(arena);
  return ok;
}

static bool format_model(const Options *o, Text *out) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  const Source *source = read_source(o->model, arena, d);
  char *text = source ? format(source, arena, d) : NULL;
  if (text) text_add_bytes(out, text, strlen(text));
  diagnostics_print(d, stderr, o->color);
  diagnostics_free(d);
  arena_free(arena);
  return text != NULL;
}

/* ---- building and running a trainer ----------------------------------------- */

/* The folder of the runtime, beside the executable: ../lib/mtc. */
static void runtime_folder(char out[PATH_MAX]) {
  char exe[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  if (n < 0) n = 0;
  exe[n] = 0;
  for (int i = 0; i < 2; i++) {
    char *slash = strrchr(exe, '/');
    if (slash) *slash = 0;
  }
  const char *given = getenv("MTC_RUNTIME");
  if (given) snprintf(out, PATH_MAX, "%s", given);
  else if (snprintf(out, PATH_MAX, "%s/" MTC_LIBDIR "/mtc", exe) >= PATH_MAX) fault("the path of mtc is too long");
}

#define HOST_LIBS "-ljansson -lzip -lz -lm"
#define CUDA_LIBS "-lmtrt_cuda -lmtrt " HOST_LIBS " -lgomp -lcublasLt -lcublas"

/* What nvcc compiles for: the GPU that is here, or without one its own default, which has no tensor cores.  The driver
 * is asked, for nvcc only warns where there is no GPU, and its `native` leaves out what only Hopper has (sm_90a: wgmma). */
static const char *cuda_arch(void) {
  enum { MAJOR = 75, MINOR = 76 }; /* CUdevice_attribute */
  void *driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) return "";
  int (*init)(unsigned), (*attribute)(int *, int, int), major = 0, minor = 0;
  *(void **)&init = dlsym(driver, "cuInit"), *(void **)&attribute = dlsym(driver, "cuDeviceGetAttribute");
  bool found = init && attribute && !init(0) && !attribute(&major, MAJOR, 0) && !attribute(&minor, MINOR, 0);
  return !found ? "" : major == 9 && minor == 0 ? "-arch=sm_90a " : "-arch=native ";
}

static int print_what(const char *what) {
  char folder[PATH_MAX];
  runtime_folder(folder);
  if (!strcmp(what, "cflags")) printf("-I%s/include\n", folder);
  else if (!strcmp(what, "libs")) printf("-L%s -lmtrt " HOST_LIBS "\n", folder);
  else if (!strcmp(what, "cuda-flags")) printf("%s-I%s/include -L%s " CUDA_LIBS "\n", cuda_arch(), folder, folder);
  else if (!strcmp(what, "runtime-dir")) printf("%s\n", folder);
  else if (!strcmp(what, "man")) print_man();
  else if (!strcmp(what, "bash-completion")) print_completion();
  else return usage_error("--print=%s: expected cflags, libs, cuda-flags, runtime-dir, man or bash-completion", what);
  return EXIT_OK;
}

static bool on_path(const char *program) {
  char command[256];
  snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
  return system(command) == 0;
}

static const char *pick_target(const Options *o) {
  if (o->target) return o->target;
  return !access("/dev/nvidia0", F_OK) && on_path("nvcc") ? "cuda" : "c";
}

static int wait_for(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return 127;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Build `source` with the compiler of its target; quoted paths, one shell line, printed when it fails. */
static bool build_trainer(const char *target, const char *source, const char *trainer) {
  char folder[PATH_MAX];
  runtime_folder(folder);
  Text line = {0};
  bool cuda = !strcmp(target, "cuda");
  if (cuda && !on_path("nvcc")) {
    fprintf(stderr, "mtc: --target=cuda needs nvcc, which is not on the PATH\nhelp: --target=c builds for the CPU\n");
    return false;
  }
  if (cuda)
    text_add(&line, "nvcc -O3 %s'%s' -I'%s/include' -L'%s' " CUDA_LIBS " -o '%s'", cuda_arch(), source, folder, folder, trainer);
  else
    text_add(&line, "%s -O3 -march=native -fopenmp '%s' -I'%s/include' -L'%s' -lmtrt " HOST_LIBS " -o '%s'",
             getenv("CC") ? getenv("CC") : "cc", source, folder, folder, trainer);
  int status = system(line.data);
  if (status != 0) fprintf(stderr, "mtc: the build failed:\n  %s\n", line.data);
  text_free(&line);
  return status == 0;
}

static uint64_t hash_text(uint64_t hash, const char *text) { /* FNV-1a */
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
  return hash;
}

/* ~/.cache/mtc, made when it is missing. */
static bool cache_folder(char out[PATH_MAX - 64]) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  char parent[PATH_MAX / 2];
  if (cache && *cache) snprintf(parent, sizeof parent, "%s", cache);
  else snprintf(parent, sizeof parent, "%s/.cache", home && *home ? home : "/tmp");
  snprintf(out, PATH_MAX - 64, "%s/mtc", parent);
  if ((mkdir(parent, 0777) && errno != EEXIST) || (mkdir(out, 0777) && errno != EEXIST)) {
    fprintf(stderr, "mtc: cannot make %s: %s\n", out, strerror(errno));
    return false;
  }
  return true;
}

/* The trainer is cached under a hash of everything that makes it. */
static bool cached_trainer(const char *target, const char *name, const Text *text, char trainer[PATH_MAX]) {
  char folder[PATH_MAX - 64], runtime[PATH_MAX], library[PATH_MAX + 16], stamp[64] = "", source[PATH_MAX + 8];
  if (!cache_folder(folder)) return false;
  runtime_folder(runtime);
  snprintf(library, sizeof library, "%s/libmtrt.a", runtime);
  struct stat info;
  if (!stat(library, &info)) snprintf(stamp, sizeof stamp, "%lld.%ld", (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  uint64_t hash = hash_text(hash_text(hash_text(hash_text(0xcbf29ce484222325u, MTC_VERSION), target), stamp), text->data);
  snprintf(trainer, PATH_MAX, "%s/%.32s-%016llx", folder, name, (unsigned long long)hash);
  if (!access(trainer, X_OK)) return true;
  snprintf(source, sizeof source, "%s.%s", trainer, !strcmp(target, "cuda") ? "cu" : "c");
  char fresh[PATH_MAX + 16];
  snprintf(fresh, sizeof fresh, "%s.%ld", trainer, (long)getpid());
  if (!write_output(source, text) || !build_trainer(target, source, fresh)) return false;
  if (!rename(fresh, trainer)) return true;
  fprintf(stderr, "mtc: cannot write %s: %s\n", trainer, strerror(errno));
  return false;
}

static int run_trainer(const char *trainer, const Options *o) {
  int n = 0;
  while (o->trainer_args && o->trainer_args[n]) n++;
  char **argv = calloc((size_t)n + 4, sizeof *argv), folder[PATH_MAX];
  if (!argv) out_of_memory();
  int count = 0;
  argv[count++] = (char *)trainer;
  bool has_command = n > 0 && o->trainer_args[0][0] != '-';
  for (int i = 0; i < n; i++) argv[count++] = o->trainer_args[i];
  bool given = false;
  for (int i = 0; i < n; i++) given |= !strncmp(o->trainer_args[i], "--data-dir", 10);
  snprintf(folder, sizeof folder, "%s", o->model);
  char *slash = strrchr(folder, '/');
  if (slash) *slash = 0;
  if (!given && slash && !(has_command && !strcmp(o->trainer_args[0], "--help")))
    argv[count++] = (char *)"--data-dir", argv[count++] = folder;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    execv(trainer, argv);
    fprintf(stderr, "mtc: cannot run %s: %s\n", trainer, strerror(errno));
    _exit(127);
  }
  free(argv);
  return child < 0 ? 127 : wait_for(child);
}

static int build_or_run(const Options *o) {
  const char *target = pick_target(o);
  Text text = {0};
  char trainer[PATH_MAX];
  Arena *arena = arena_new();
  bool ok = compile_and_report(o, !strcmp(target, "cuda") ? "cu" : "c", &text) &&
            cached_trainer(target, base_name(arena, o->model), &text, trainer);
  arena_free(arena);
  text_free(&text);
  if (!ok) return EXIT_INPUT;
  if (o->command == RUN) return run_trainer(trainer, o);
  Text binary = {0};
  int why = file_read(trainer, &binary);
  if (why) fprintf(stderr, "mtc: cannot read %s: %s\n", trainer, strerror(why));
  ok = !why && write_output(o->output, &binary) && (!strcmp(o->output, "-") || !chmod(o->output, 0755));
  text_free(&binary);
  return ok ? EXIT_OK : EXIT_INPUT;
}

/* ---- main ------------------------------------------------------------------ */

static bool parse_dim(const char *text, DimOverride *out) {
  const char *equals = strchr(text, '=');
  char *end;
  if (!equals || equals == text || !equals[1]) return false;
  errno = 0;
  long long size = strtoll(equals + 1, &end, 10);
  if (*end || errno || size < 0) return false;
  *out = (DimOverride){strndup(text, (size_t)(equals - text)), size};
  return out->name != NULL;
}

/* The exit status, or -1 to go on. */
static int take_option(Options *o, int id, const char *value) {
  static const char *const kinds[] = {"cu", "c", "ir", "dot", NULL}, *const targets[] = {"cuda", "c", NULL},
                           *const colors[] = {"auto", "always", "never", NULL}, *const levels[] = {"0", "1", "2", NULL};
  char *end;
  switch (id) {
  case 'o': o->output = value; break;
  case 'D':
    if (o->n_dims == MAX_DIMS || !parse_dim(value, &o->dims[o->n_dims++])) return usage_error("-D %s: expected NAME=N with a whole number N", value);
    break;
  case 'O':
    if (!is_one_of(value, levels)) return usage_error("-O%s: expected -O0, -O1 or -O2", value);
    o->level = value[0] - '0';
    break;
  case OPT_EMIT:
    if (!is_one_of(value, kinds)) return usage_error("--emit=%s: expected cu, c, ir or dot", value);
    o->emit = value;
    break;
  case OPT_TARGET:
    if (!is_one_of(value, targets)) return usage_error("--target=%s: expected cuda or c", value);
    o->target = value;
    break;
  case OPT_COLOR:
    if (!is_one_of(value, colors)) return usage_error("--color=%s: expected auto, always or never", value);
    if (strcmp(value, "auto")) o->color = !strcmp(value, "always");
    break;
  case OPT_BISECT:
    o->bisect_limit = strtol(value, &end, 10);
    if (*end || end == value || o->bisect_limit < 0) return usage_error("--bisect-limit=%s: expected a whole number", value);
    break;
  case OPT_DUMP: case OPT_STOP: {
    const char *words[64] = {"lower", "all", "changed", "rewrites"};
    int n = id == OPT_DUMP ? 4 : 1, known = 0;
    for (int i = 0; i < n_passes && n < 63; i++) words[n++] = pipeline[i].name;
    while (known < n && strcmp(value, words[known])) known++;
    if (known == n) return usage_near("there is no pass called %s", value, words, n);
    *(id == OPT_DUMP ? &o->dump : &o->stop_after) = value;
    break;
  }
  case OPT_DUMP_DIR: o->dump_dir = value; break;
  case OPT_VERIFY: o->verify_each = true; break;
  case OPT_COST: o->cost = true; break;
  case OPT_WERROR: o->werror = true; break;
  case 'v': o->verbose = true; break;
  case OPT_PRINT: return print_what(value);
  case OPT_EXPLAIN: return explain(value, stdout) ? EXIT_OK : usage_error("no message has the code %s", value);
  case OPT_VERSION: printf("mtc " MTC_VERSION "\n"); return EXIT_OK;
  case 'h': print_help(); return EXIT_OK;
  default: break;
  }
  return -1;
}

/* What getopt did not know: `word` is the argument it stands in. */
static int wrong_option(int id, const char *word) {
  const char *names[N_OPTIONS];
  char text[64], room[N_OPTIONS][32];
  int n = 0;
  if (id == ':') return usage_error("%s needs a value", word);
  if (word[1] != '-') {
    snprintf(text, sizeof text, "-%c", optopt);
    return usage_error("unknown option %s", text);
  }
  snprintf(text, sizeof text, "%.*s", (int)strcspn(word, "="), word);
  for (int i = 0; i < N_OPTIONS; i++) {
    if (!option_table[i].name) continue;
    snprintf(room[n], sizeof room[n], "--%s", option_table[i].name);
    names[n] = room[n];
    if (!strcmp(text, room[n++])) return usage_error("%s takes no value", text);
  }
  return usage_near("unknown option %s", text, names, n);
}

/* Words and options that each make sense, together. */
static int check_together(const Options *o) {
  bool compiles = o->command == COMPILE && !o->cost, builds = o->command == RUN || o->command == BUILD;
  if (o->trainer_args && o->command != RUN) return usage_error("%s", "arguments after -- go to a trainer: use mtc run");
  if (o->cost && o->command != COMPILE) return usage_error("%s", "--cost goes without a command: mtc --cost MODEL.mt");
  if (o->cost && o->output) return usage_error("-o %s: --cost writes no file", o->output);
  if (o->cost && o->stop_after) return usage_error("--stop-after=%s: --cost tells of the planned program", o->stop_after);
  if ((compiles || o->command == BUILD) && !o->output) return usage_error("%s", "-o is missing: where should the result go?");
  if ((o->command == CHECK || o->command == RUN) && o->output)
    return usage_error("-o %s: check and run write no file", o->output);
  if (o->verbose && o->command != CHECK) return usage_error("%s", "-v goes with check: mtc check -v MODEL.mt");
  if (o->verbose && o->stop_after) return usage_error("--stop-after=%s: -v tells of the planned program", o->stop_after);
  if (o->emit && !compiles) return usage_error("--emit=%s goes with -o of a compilation only", o->emit);
  if (o->target && !builds && !o->cost) return usage_error("--target=%s goes with run and build: a compilation's target is its suffix", o->target);
  if (o->command == FMT && !strcmp(suffix(o->model), "ir")) return usage_error("fmt lays out models, not %s", o->model);
  if (o->n_dims && !strcmp(suffix(o->model), "ir"))
    return usage_error("-D %s: the dims of a dumped program are fixed; compile the model again", o->dims[0].name);
  return -1;
}

static int parse_options(int argc, char **argv, Options *o) {
  struct option longs[N_OPTIONS + 1] = {0};
  int n = 0, id, status;
  for (int i = 0; i < N_OPTIONS; i++)
    if (option_table[i].name)
      longs[n++] = (struct option){option_table[i].name, option_table[i].argument ? required_argument : no_argument, NULL, option_table[i].id};
  for (int i = 1; i < argc; i++)
    if (!strcmp(argv[i], "--")) {
      o->trainer_args = argv + i + 1;
      argc = i;
      break;
    }
  opterr = 0;
  while ((id = getopt_long(argc, argv, ":o:D:O:vh", longs, NULL)) != -1) {
    if (id == '?' || id == ':') return wrong_option(id, argv[optind - 1]);
    if ((status = take_option(o, id, optarg)) >= 0) return status;
  }
  const char *names[N_COMMANDS];
  for (int i = 0; i < N_COMMANDS && optind < argc; i++) {
    names[i] = commands[i].name;
    if (!strcmp(argv[optind], names[i]) && o->command == COMPILE) o->command = commands[i].command, optind++;
  }
  if (optind >= argc) return usage_error("%s", "no model given: mtc MODEL.mt -o OUT.cu");
  o->model = argv[optind++];
  if (optind < argc && o->command == COMPILE && !*suffix(o->model))
    return usage_near("unknown command %s", o->model, names, N_COMMANDS);
  if (optind < argc) return usage_error("one model at a time: %s is one too many", argv[optind]);
  return check_together(o);
}

static int compile_to_file(const Options *o) {
  static const char *const kinds[] = {"cu", "c", "ir", "dot", NULL};
  const char *kind = o->emit ? o->emit : suffix(o->output);
  if (!is_one_of(kind, kinds)) return usage_error("-o %s: the suffix must be .cu, .c, .ir or .dot, or say --emit=KIND", o->output);
  if (o->stop_after && strcmp(kind, "ir") && strcmp(kind, "dot")) return usage_error("--stop-after leaves IR that only %s can show", ".ir and .dot");
  Text text = {0};
  bool ok = compile_and_report(o, kind, &text) && write_output(o->output, &text);
  text_free(&text);
  return ok ? EXIT_OK : EXIT_INPUT;
}

static int tell_or_format(const Options *o) {
  Text text = {0};
  bool ok = o->command != FMT ? compile_and_report(o, "", &text) && (!text.data || write_output("-", &text))
                                : format_model(o, &text) && write_output(o->output ? o->output : o->model, &text);
  text_free(&text);
  return ok ? EXIT_OK : EXIT_INPUT;
}

int main(int argc, char **argv) {
  Options o = {.level = 2, .bisect_limit = LONG_MAX, .color = isatty(STDERR_FILENO) && !getenv("NO_COLOR")};
  int status = parse_options(argc, argv, &o);
  if (status >= 0) return status;
  switch (o.command) {
  case COMPILE: return o.cost ? tell_or_format(&o) : compile_to_file(&o);
  case RUN: case BUILD: return build_or_run(&o);
  case CHECK: case FMT: return tell_or_format(&o);
  }
  return EXIT_OK;
}
