/* test_cli.c - the command lines of mtc and of a trainer: every command and
 * option, exact messages, exit statuses, and that nothing is half written.
 *
 * Both are run as a user would, by the shell, in a folder that holds a small
 * model with its data.  A trainer is built from that model once. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ir/ir.h"
#include "passes/passes.h"
#include "tests/shell.h"

static const char *folder;

static const char model[] = "# line.mt: a line through points  # kept by fmt\n"
                            "use nn\n"
                            "dim B = 4, P = 3\n"
                            "data points = csv(\"points.csv\") -> { x: f32[B, P], y: f32[B] }\n"
                            "module Line()(x: [B, P]) -> [B] {\n"
                            "  param w: [P] = zeros\n"
                            "  return sum(x * w, over: P)   # no bias\n"
                            "}\n"
                            "let net = Line()\n"
                            "train d in shuffled(points, seed: 1) for 5 epochs {\n"
                            "  let loss = mse(net(d.x), d.y)\n"
                            "  update net minimize loss using sgd(lr: 0.1)\n"
                            "  log loss\n"
                            "  every 1 epochs {\n"
                            "    eval e in points {\n"
                            "      log error = mean(abs(net(e.x) - e.y))\n"
                            "      save lowest error\n"
                            "    }\n"
                            "  }\n"
                            "}\n"
                            "predict p in { x: f32[B, P] } -> net(p.x)\n";

static void put_file(const char *name, const char *text) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  ck_assert_int_eq(fclose(file), 0);
}

static void set_up(void) {
  folder = strdup(scratch_folder());
  put_file("line.mt", model);
  Text rows = {0};
  for (int i = 0; i < 10; i++) text_add(&rows, "%d,%d,%d,%d\n", i % 3, i % 4, i % 2, i % 3 - 2 * (i % 4) + 1);
  put_file("points.csv", rows.data);
  put_file("empty.mt", "");
  put_file("warns.mt", "use nn\ndim B = 2, Z = 1\npredict p in { x: f32[B] } -> p.x\n");
  put_file("wrong.mt", "use nn\npredict p in { x: f32[B] } -> p.x\n");
  free(shell_ok("cd %s && printf 'dim B\\000' >binary.mt && mkdir -p folder.mt", folder));
  text_free(&rows);
}

/* In the folder; MTC is the compiler. */
#define IN_FOLDER "cd %s && export MTC=" MTC " && { "

static void says(const char *command, int status, const char *wanted) {
  Shell said = shell(IN_FOLDER "%s\n}", folder, command);
  ck_assert_msg(said.status == status && !strcmp(said.output, wanted),
                "%s\nexit status %d, expected %d\nexpected:\n%s\nfound:\n%s", command, said.status, status, wanted,
                said.output);
  free(said.output);
}

static void mentions(const char *command, int status, const char *part) {
  Shell said = shell(IN_FOLDER "%s\n}", folder, command);
  ck_assert_msg(said.status == status && strstr(said.output, part),
                "%s\nexit status %d, expected %d; no \"%s\" in:\n%s", command, said.status, status, part, said.output);
  free(said.output);
}

/* ---- what mtc makes ------------------------------------------------------------------ */

START_TEST(the_suffix_picks_the_target) {
  says("$MTC line.mt -o a.c && $MTC line.mt -o a.cu && $MTC line.mt -o a.ir && $MTC line.mt -o a.dot", 0, "");
  says("head -c 20 a.c; echo; head -c 21 a.cu; echo; head -c 7 a.ir; echo; head -c 7 a.dot; echo", 0,
       "// line.c, by mtc 0.\n// line.cu, by mtc 0.\nmtc-ir \ndigraph\n");
  says("for kind in c cu ir dot; do $MTC line.mt -o - --emit=$kind | cmp - a.$kind; $MTC line.mt -o b --emit=$kind; "
       "cmp a.$kind b; done",
       0, "");
  says("$MTC line.mt -oa2.c && cmp a.c a2.c; $MTC -o a2.c line.mt && cmp a.c a2.c", 0, "");
}
END_TEST

/* Every dump, after whatever pass and at whatever level, goes on to the same text. */
START_TEST(a_dump_is_taken_wherever_a_model_is) {
  says("for O in 0 1 2; do $MTC line.mt -O$O -o o$O.c; rm -rf dumps; $MTC check line.mt -O$O --dump-dir=dumps; "
       "for d in dumps/*.ir; do $MTC $d -O$O -o again.c; cmp o$O.c again.c; $MTC check $d; done; done",
       0, "");
  says("ls dumps", 0,
       "00-lower.ir\n01-attention.ir\n02-precision.ir\n03-gradient.ir\n04-simplify.ir\n05-narrow.ir\n06-hoist.ir\n07-rematerialize.ir\n08-split.ir\n"
       "09-fuse.ir\n10-schedule.ir\n11-plan.ir\n");
  says("cmp -s o0.c o2.c && echo the same", 1, "");
  says("cp dumps/09-fuse.ir line.ir && $MTC build line.ir --target=c -o fromir && ./fromir --version", 0,
       "line (mtrt 0.1, target c)\n");
}
END_TEST

START_TEST(dumps_and_limits) {
  mentions("$MTC check line.mt --dump=lower", 0, "# after lower\nmtc-ir 1 line from \"line.mt\" passes()\n");
  says("$MTC check line.mt --dump=all 2>&1 | grep '^# after'", 0,
       "# after lower\n# after attention\n# after precision\n# after gradient\n# after simplify\n# after narrow\n# after hoist\n# after rematerialize\n# after split\n# after fuse\n"
       "# after schedule\n# after plan\n");
  says("$MTC check line.mt --dump=changed 2>&1 | grep -c '^# after lower'", 0, "1\n");
  for (int i = 0; i < n_passes; i++) {
    char command[128], wanted[64];
    snprintf(command, sizeof command, "$MTC check line.mt --dump=%s 2>&1 | grep '^# after'", pipeline[i].name);
    snprintf(wanted, sizeof wanted, "# after %s\n", pipeline[i].name);
    says(command, 0, wanted);
    snprintf(command, sizeof command, "$MTC line.mt --stop-after=%s -o stopped.ir && head -1 stopped.ir | grep -c '%s'",
             pipeline[i].name, pipeline[i].name);
    says(command, 0, "1\n");
  }
  says("$MTC line.mt --stop-after=lower -o stopped.ir && $MTC check line.mt --dump-dir=d --dump=lower && "
       "cmp stopped.ir d/00-lower.ir",
       0, "");
  mentions("$MTC check line.mt --dump=rewrites", 0, "loss");
  says("$MTC check line.mt --dump=rewrites --bisect-limit=3 2>&1 | grep -vc 'not taken'", 0, "3\n");
  says("$MTC check line.mt --dump=rewrites --bisect-limit=0 2>&1 | grep -vc 'not taken'", 1, "0\n");
  says("$MTC line.mt --verify-each -o v.c && $MTC line.mt -o a.c && cmp v.c a.c", 0, "");
}
END_TEST

START_TEST(dims_are_overridden) {
  mentions("$MTC line.mt -D P=7 -D B=2 -o - --emit=c", 0, "enum { B = 2, P = 7 };");
  mentions("$MTC line.mt -DP=7 -o - --emit=c", 0, "enum { B = 4, P = 7 };");
  mentions("$MTC line.mt -D PP=7 -o x.c", 1, "error[E0101]: -D PP: the model has no dim of that name");
  mentions("$MTC line.mt -D PP=7 -o x.c", 1, "help: did you mean P?");
  mentions("$MTC line.mt -D B=0 -o x.c", 1, "the batch B must hold at least one row");
  static const char *const wrong[] = {"P", "P=", "=3", "P=x", "P=3x", "P=-1", "P=1.5", "P=99999999999999999999"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char command[64], wanted[256];
    snprintf(command, sizeof command, "$MTC line.mt -D %s -o x.c", wrong[i]);
    snprintf(wanted, sizeof wanted,
             "mtc: -D %s: expected NAME=N with a whole number N\nhelp: mtc --help lists commands and options\n",
             wrong[i]);
    says(command, 2, wanted);
  }
}
END_TEST

/* ---- fmt --------------------------------------------------------------------------------- */

START_TEST(fmt_rewrites_in_place) {
  says(
      "sed 's/  param/     param/; s/ = csv/=csv/; s/^  return/ return/' line.mt >messy.mt; cmp -s messy.mt line.mt || "
      "echo differs; $MTC fmt messy.mt; $MTC fmt line.mt -o - | cmp - messy.mt",
      0, "differs\n");
  says("cp messy.mt once.mt; $MTC fmt messy.mt; cmp once.mt messy.mt; grep -c '#' messy.mt", 0, "2\n");
  says("$MTC messy.mt --stop-after=lower -o - --emit=ir | sed 's/@.*//; 1,2d' >a; $MTC line.mt --stop-after=lower -o - "
       "--emit=ir | "
       "sed 's/@.*//; 1,2d' >b; cmp a b",
       0, "");
  says("printf 'dim = 3\\n' >bad.mt; cp bad.mt was.mt; $MTC fmt bad.mt 2>/dev/null; echo $?; cmp bad.mt was.mt", 0,
       "1\n");
  says("$MTC fmt a.ir", 2, "mtc: fmt lays out models, not a.ir\nhelp: mtc --help lists commands and options\n");
}
END_TEST

/* ---- messages about files ------------------------------------------------------------------- */

START_TEST(inputs_that_cannot_be_read) {
  says("$MTC none.mt -o x.c", 1, "none.mt:1:1: error[E0001]: cannot read none.mt: No such file or directory\n");
  says("$MTC check none.ir", 1, "none.ir:1:1: error[E0001]: cannot read none.ir: No such file or directory\n");
  says("$MTC folder.mt -o x.c", 1, "folder.mt:1:1: error[E0001]: cannot read folder.mt: it is a directory\n");
  mentions("$MTC empty.mt -o x.c", 1, "error[E0508]: there is nothing to build: no train block and no predict entry");
  mentions("$MTC binary.mt -o x.c", 1, "binary.mt:1:6: error[E0002]: a NUL byte: this is not a text file");
  mentions("cp binary.mt binary.ir; $MTC binary.ir -o x.c", 1, "binary.ir:1:");
  mentions("cp empty.mt empty.ir; $MTC empty.ir -o x.c", 1, "empty.ir:1:1: error[");
  says("ls x.c", 2, "ls: cannot access 'x.c': No such file or directory\n");
}
END_TEST

START_TEST(outputs_are_whole_or_untouched) {
  says("$MTC line.mt -o none/x.c", 1, "mtc: cannot write none/x.c: No such file or directory\n");
  says("$MTC line.mt -o folder.mt --emit=c", 1, "mtc: cannot write folder.mt: Is a directory\n");
  says("$MTC line.mt -o /dev/full --emit=c", 1, "mtc: cannot write /dev/full: No space left on device\n");
  says("$MTC line.mt -o - --emit=c >/dev/full", 1, "mtc: cannot write standard output: No space left on device\n");
  says("$MTC line.mt -o /dev/null --emit=c", 0, "");
  says(
      "echo mine >kept.c; for m in wrong.mt empty.mt none.mt; do $MTC $m -o kept.c 2>/dev/null; $MTC build $m "
      "--target=c -o kept.c 2>/dev/null; done; $MTC warns.mt --Werror -o kept.c 2>/dev/null; cat kept.c; ls | grep tmp",
      1, "mine\n");
  says("$MTC check line.mt --dump-dir=none/d", 1, "mtc: cannot make none/d: No such file or directory\n");
  says("$MTC check line.mt --dump-dir=line.mt", 1, "mtc: cannot write line.mt/00-lower.ir: Not a directory\n");
}
END_TEST

/* ---- the rest of the options ------------------------------------------------------------------ */

/* The runtime has room for the hyper-parameters of 64 groups. */
START_TEST(too_many_update_groups_are_told) {
  Text text = {0};
  text_add(&text, "dim B = 2\ndata r = random(rows: 4, seed: 1) -> { z: f32[B] }\nmodule M()(z: [B]) -> [] {\n");
  for (int i = 0; i < 65; i++) text_add(&text, "  param p%d: [2] = zeros\n", i);
  text_add(&text, "  return sum(p0");
  for (int i = 1; i < 65; i++) text_add(&text, " + p%d", i);
  text_add(&text, ")\n}\nlet net = M()\ntrain d in r for 1 steps {\n  let loss = net(d.z)\n  update net.p0 minimize "
                  "loss using sgd(lr: 1)");
  for (int i = 1; i < 64; i++) text_add(&text, ",\n    net.p%d using sgd(lr: 1)", i);
  size_t length = text.length;
  text_add(&text, "\n  freeze net.p64\n}\n");
  put_file("groups64.mt", text.data);
  text.data[text.length = length] = 0;
  text_add(&text, ",\n    net.p64 using sgd(lr: 1)\n}\n");
  put_file("groups65.mt", text.data);
  text_free(&text);
  says("$MTC check groups64.mt", 0, "");
  mentions("$MTC groups65.mt -o g.c", 1, "error[E0507]: a step has room for 64 groups, this update has 65");
}
END_TEST

/* Of 33 updates each begins a stretch of the step, and so does what may stand between two. */
START_TEST(too_many_updates_are_told) {
  Text text = {0};
  text_add(&text, "dim B = 2\ndata r = random(rows: 4, seed: 1) -> { z: f32[B] }\nmodule M()(z: [B]) -> [] {\n"
                  "  param p: [2] = zeros\n  return sum(p)\n}\nlet net = M()\ntrain d in r for 1 steps {\n");
  for (int i = 0; i < 33; i++) text_add(&text, "  every 2 steps { update net minimize net(d.z) using sgd(lr: 1)\n  log a%d = net(d.z) }\n", i);
  text_add(&text, "}\n");
  put_file("updates33.mt", text.data);
  text_free(&text);
  mentions("$MTC check updates33.mt", 1, "updates33.mt:8:1: error[E0507]: the updates cut this step into 98 parts, and there is room for 64");
}
END_TEST

START_TEST(a_step_has_its_cost) {
  mentions("$MTC --cost line.mt", 0, "line.mt: a training step takes ");
  mentions("$MTC --cost line.mt", 0, " on an NVIDIA H100 by the model: ");
  mentions("$MTC line.mt --cost --target=c", 0, " on two CPU cores with AVX-512 by the model: ");
  says("$MTC --cost line.mt >a; $MTC --cost line.mt -D B=4 --target=cuda | cmp a -; $MTC --cost line.mt -D B=8 | cmp -s a - && echo same",
       1, "");
  mentions("$MTC --cost wrong.mt", 1, "wrong.mt:2:23: error[E0402]: ");
  mentions("$MTC --cost none.mt", 1, "none.mt:1:1: error[E0001]: cannot read none.mt");
  says("printf 'dim B = 2\npredict p in { x: f32[B] } -> p.x\n' >only.mt; $MTC --cost only.mt", 0,
       "only.mt: no train block, so there is no training step\n");
  says("$MTC --cost line.mt >/dev/full", 1, "mtc: cannot write standard output: No space left on device\n");
}
END_TEST

START_TEST(warnings_may_be_errors) {
  mentions("$MTC warns.mt -o w.c && ls w.c", 0, "warning[W0101]: Z is never used");
  mentions("$MTC check warns.mt --Werror", 1, "error[W0101]: Z is never used");
}
END_TEST

START_TEST(color_on_a_terminal_only) {
  says("$MTC check wrong.mt 2>&1 | grep -c \"$(printf '\\033')\"", 1, "0\n");
  says("$MTC check wrong.mt --color=never 2>&1 | grep -c \"$(printf '\\033')\"", 1, "0\n");
  says("$MTC check wrong.mt --color=always 2>&1 | grep -q \"$(printf '\\033')\" && echo colored", 0, "colored\n");
  says("NO_COLOR=1 $MTC check wrong.mt --color=always 2>&1 | grep -q \"$(printf '\\033')\" && echo colored", 0,
       "colored\n");
  if (system("command -v script >/dev/null 2>&1") != 0) return; /* a terminal, from util-linux */
  says("script -qec '$MTC check wrong.mt' /dev/null </dev/null | grep -q \"$(printf '\\033')\" && echo colored", 0,
       "colored\n");
  says("NO_COLOR=1 script -qec '$MTC check wrong.mt' /dev/null </dev/null | grep -c \"$(printf '\\033')\"", 1, "0\n");
}
END_TEST

START_TEST(every_code_is_explained) {
  static const char *const codes[] = {
#define ERROR(code, kind, story) #code,
#include "ir/errors.def"
#undef ERROR
  };
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    Shell said = shell(MTC " --explain %s", codes[i]);
    ck_assert_int_eq(said.status, 0);
    ck_assert_msg(!strncmp(said.output, codes[i], strlen(codes[i])) && strlen(said.output) > 40, "%s", said.output);
    free(said.output);
  }
  says("$MTC --explain E9999", 2, "mtc: no message has the code E9999\nhelp: mtc --help lists commands and options\n");
}
END_TEST

START_TEST(mtc_tells_about_itself) {
  says("$MTC --version", 0, "mtc 0.1.0\n");
  mentions("$MTC --help", 0, "mtc MODEL.mt -o OUT.cu|OUT.c|OUT.ir|OUT.dot");
  mentions("$MTC -h", 0, "Exit status: 0 it worked, 1 errors in the input, 2 a wrong command line, 70");
  says("for w in check run build fmt --emit --target --dump --dump-dir --stop-after --cost --verify-each --bisect-limit "
       "--Werror --explain --color --print --version --help; do $MTC --help | grep -q -- \" $w\" || echo no $w; "
       "$MTC --print=bash-completion | grep -q -- \"$w\" || echo no $w; done",
       0, "");
  mentions("$MTC --print=man", 0, ".TH MTC 1");
  says("test -f $($MTC --print=runtime-dir)/libmtrt.a && test -f $($MTC --print=runtime-dir)/include/mtrt.h && echo "
       "there",
       0, "there\n");
  says("$MTC line.mt -o line.c && cc line.c -fopenmp $($MTC --print=cflags) $($MTC --print=libs) -o byhand && "
       "./byhand --version",
       0, "line (mtrt 0.1, target c)\n");
  mentions("$MTC --print=cuda-flags", 0, "-lmtrt_cuda");
}
END_TEST

static const struct {
  const char *arguments, *message, *help;
} misuses[] = {
    {"", "no model given: mtc MODEL.mt -o OUT.cu", NULL},
    {"check", "no model given: mtc MODEL.mt -o OUT.cu", NULL},
    {"line.mt", "-o is missing: where should the result go?", NULL},
    {"build line.mt", "-o is missing: where should the result go?", NULL},
    {"line.mt -o", "-o needs a value", NULL},
    {"line.mt -o x.foo", "-o x.foo: the suffix must be .cu, .c, .ir or .dot, or say --emit=KIND", NULL},
    {"line.mt -o x", "-o x: the suffix must be .cu, .c, .ir or .dot, or say --emit=KIND", NULL},
    {"line.mt -o -", "-o -: the suffix must be .cu, .c, .ir or .dot, or say --emit=KIND", NULL},
    {"line.mt -o x.c --emit=exe", "--emit=exe: expected cu, c, ir or dot", NULL},
    {"run line.mt --emit=c", "--emit=c goes with -o of a compilation only", NULL},
    {"run line.mt --target=cpu", "--target=cpu: expected cuda or c", NULL},
    {"line.mt -o x.c --target=c", "--target=c goes with run and build: a compilation's target is its suffix", NULL},
    {"check line.mt -o x.c", "-o x.c: check and run write no file", NULL},
    {"check --cost line.mt", "--cost goes without a command: mtc --cost MODEL.mt", NULL},
    {"--cost line.mt -o x.c", "-o x.c: --cost writes no file", NULL},
    {"--cost line.mt --emit=c", "--emit=c goes with -o of a compilation only", NULL},
    {"--cost line.mt --stop-after=fuse", "--stop-after=fuse: --cost tells of the planned program", NULL},
    {"--cost line.mt --target=x", "--target=x: expected cuda or c", NULL},
    {"--cost", "no model given: mtc MODEL.mt -o OUT.cu", NULL},
    {"line.mt -O3 -o x.c", "-O3: expected -O0, -O1 or -O2", NULL},
    {"line.mt -Ofast -o x.c", "-Ofast: expected -O0, -O1 or -O2", NULL},
    {"line.mt --color=blue -o x.c", "--color=blue: expected auto, always or never", NULL},
    {"line.mt --bisect-limit=x -o x.c", "--bisect-limit=x: expected a whole number", NULL},
    {"line.mt --bisect-limit=-1 -o x.c", "--bisect-limit=-1: expected a whole number", NULL},
    {"line.mt --dump=fus -o x.c", "there is no pass called fus", "did you mean fuse?"},
    {"line.mt --dump=nonsense -o x.c", "there is no pass called nonsense", NULL},
    {"line.mt --stop-after=all -o x.ir", "there is no pass called all", NULL},
    {"line.mt --stop-after=plan -o x.c", "--stop-after leaves IR that only .ir and .dot can show", NULL},
    {"--print=foo", "--print=foo: expected cflags, libs, cuda-flags, runtime-dir, man or bash-completion", NULL},
    {"line.mt --dumb=all -o x.c", "unknown option --dumb", "did you mean --dump?"},
    {"line.mt --verify-eech -o x.c", "unknown option --verify-eech", "did you mean --verify-each?"},
    {"line.mt --zzzz -o x.c", "unknown option --zzzz", NULL},
    {"line.mt --version=3", "--version takes no value", NULL},
    {"line.mt --dump", "--dump needs a value", NULL},
    {"line.mt -x -o x.c", "unknown option -x", NULL},
    {"chek line.mt", "unknown command chek", "did you mean check?"},
    {"line.mt line.mt -o x.c", "one model at a time: line.mt is one too many", NULL},
    {"check line.mt -- --epochs 3", "arguments after -- go to a trainer: use mtc run", NULL},
    {"a.ir -D P=3 -o x.c", "-D P: the dims of a dumped program are fixed; compile the model again", NULL},
};

START_TEST(misuse_has_a_message_and_status_2) {
  for (size_t i = 0; i < sizeof misuses / sizeof misuses[0]; i++) {
    char command[256], wanted[512];
    snprintf(command, sizeof command, "$MTC %s", misuses[i].arguments);
    snprintf(wanted, sizeof wanted, "mtc: %s\nhelp: %s\n", misuses[i].message,
             misuses[i].help ? misuses[i].help : "mtc --help lists commands and options");
    says(command, 2, wanted);
  }
  says("ls x.c x.ir 2>&1 | grep -c cannot", 0, "2\n");
}
END_TEST

/* No model has parameters of bf16, but a program can be written that does. */
START_TEST(a_fault_of_mtc_ends_with_70) {
  says("$MTC line.mt --stop-after=lower -o - --emit=ir | sed 's/f32/bf16/g' >odd.ir; echo mine >x.c; $MTC odd.ir -o "
       "x.c 2>said; "
       "echo $?; cat said x.c",
       0,
       "70\nmtc: internal fault: net.w: parameters of bf16 have no generated code yet\n"
       "This is a bug in mtc, not in your model. Please report it with the model and the command line.\nmine\n");
}
END_TEST

START_TEST(run_builds_in_a_cache) {
  mentions("XDG_CACHE_HOME=$PWD/cache $MTC run line.mt --target=c -- --epochs 1 --quiet; ls cache/mtc | head -1", 0,
           "line-");
  says("ls cache/mtc | wc -l; XDG_CACHE_HOME=$PWD/cache $MTC run line.mt --target=c -- --epochs 1 --quiet >/dev/null; "
       "ls "
       "cache/mtc | wc -l",
       0, "2\n2\n");
  mentions("XDG_CACHE_HOME=$PWD/cache $MTC run line.mt --target=c -- --epoks 1", 2,
           "line: unknown option --epoks; did you mean --epochs?");
  mentions("XDG_CACHE_HOME=/dev/null/x $MTC run line.mt --target=c", 1, "mtc: cannot make /dev/null/x");
  mentions("CC=false $MTC build line.mt --target=c -D P=2 -o t", 1, "mtc: the build failed:\n  false -O3");
}
END_TEST

/* ---- a trainer's own ------------------------------------------------------------------------------ */

static void set_up_trainer(void) {
  set_up();
  says("$MTC build line.mt --target=c -o line", 0, "");
}

/* A folder of its own a test: tests of a case share the trainer. */
#define FRESH "rm -rf s t *.st; "

START_TEST(a_trainer_lists_its_options) {
  mentions("./line --help", 0,
           "line, a trainer made by mtc from line.mt\n\n  line [COMMAND] [OPTIONS]\n\n  train       train");
  mentions("./line -h", 0, "The model, line.mt: 3 parameters; 5 epochs over points\n  update net using sgd\n");
  says("for w in eval predict gradcheck bench --epochs --steps --stop-after --lr --seed --resume --init --export "
       "--save-dir --data-dir --output --no-shuffle --log-every --dump-grads --keep-going --tune --serve --profile --quiet --json --help "
       "--version; do ./line --help | grep -q -- \" $w\" || echo no $w; done",
       0, "");
  says("./line --version", 0, "line (mtrt 0.1, target c)\n");
}
END_TEST

START_TEST(a_trainer_trains) {
  mentions(FRESH "./line --save-dir s", 0,
           "10 rows, 15 updates in 5 epochs\nepoch 1/5  step  3/15  loss 4.44  error 1.06");
  says("ls s", 0, "line.checkpoint.safetensors\nmetrics.csv\nnet.best.safetensors\nnet.safetensors\n");
  mentions("./line eval --save-dir s", 0, "weights: s/net.best.safetensors\nerror 0.");
  says("./line --quiet --save-dir t && cmp s/net.safetensors t/net.safetensors", 0, "");
  says("./line train --quiet --epochs 5 --seed 0 --save-dir t && cmp s/net.safetensors t/net.safetensors", 0, "");
  says("./line --quiet --tune --keep-going --save-dir t && cmp s/net.safetensors t/net.safetensors", 0, "");
  says("./line --quiet --no-shuffle --save-dir t; cmp -s s/net.safetensors t/net.safetensors", 1, "");
  says("./line --quiet --lr 0.01 --save-dir t; cmp -s s/net.safetensors t/net.safetensors", 1, "");
  says("./line --quiet --export w.st --save-dir t && cmp w.st t/net.safetensors", 0, "");
  says("./line --json --epochs 2 --save-dir t | sed -E 's/\"seconds.*//; s/([0-9]\\.[0-9]{5})[0-9]*/\\1/g'; "
       "./line --json --steps 2 --log-every 1 --save-dir t | wc -l",
       0,
       "{\"step\":3,\"epoch\":1,\"loss\":4.43994,\"error\":1.05955,\n"
       "{\"step\":6,\"epoch\":2,\"loss\":1.29817,\"error\":0.69932,\n2\n");
}
END_TEST

START_TEST(a_trainer_resumes_and_starts_from_weights) {
  says(FRESH
       "./line --quiet --save-dir s; ./line --quiet --stop-after 7 --save-dir t; ./line --quiet --resume --save-dir t; "
       "cmp s/net.safetensors t/net.safetensors",
       0, "");
  mentions("./line eval --init s/net.safetensors", 0, "error 0.");
  says("./line eval --init net=s/net.best.safetensors --quiet >a; ./line eval --save-dir s --quiet >b; cmp a b", 0, "");
  mentions("./line --quiet --steps 1 --init nat=s/net.safetensors --save-dir t", 1, "nat");
  says("./line --init none.st --save-dir t", 1, "line: none.st: no such file (nor none.st.gz)\n");
  says("./line --resume --save-dir none", 1,
       "line: none/line.checkpoint.safetensors: there is no checkpoint to resume from; train without --resume first\n");
  says("mkdir -p d && mv points.csv d; ./line --quiet --save-dir t; ./line --quiet --data-dir d --save-dir t && cmp "
       "s/net.safetensors t/net.safetensors; mv d/points.csv .",
       0, "line: points.csv: no such file (nor points.csv.gz); data points of line.mt:4 reads it: --data-dir says in which folder data are\n");
}
END_TEST

START_TEST(a_trainer_checks_and_measures) {
  mentions("./line gradcheck", 0, "3 of        3 elements  relative error ");
  mentions("./line gradcheck --quiet", 0, "");
  mentions("./line bench --steps 2", 0, "line, target c: ");
  mentions("./line bench --steps 2 --json", 0, "\"");
  mentions("./line bench --profile --steps 3", 0, " ms a step, launch by launch (medians of 3 steps); 0.0004 ms by the model of two CPU cores with AVX-512\n");
  says("./line bench --profile --steps 3 | tail -n +3 | cut -d' ' -f1 | sort", 0,
       "d_w_columns\nkernel\nloss_mse_mean_rows\nloss_mse_rows\nmt_sgd\n");
  mentions("./line bench --profile --json --steps 3", 0, "{\"model\":\"line\",\"target\":\"c\",\"device\":\"");
  says("printf '3\\n200\\n' | ./line bench --serve | sed 's/[0-9][0-9.e-]*/N/g'", 0, "ready N\nN N\nN N\n");
  says("printf '3\\nmany\\n' | ./line bench --serve >answers", 1,
       "line: bench --serve: a line of standard input is no number of steps: many\n");
  says(FRESH "./line --dump-grads g.st --save-dir s && head -c 400 g.st | grep -ao 'net.w' | head -1; ls s", 2,
       "loss 8.75; gradients: g.st\nnet.w\nls: cannot access 's': No such file or directory\n");
}
END_TEST

static const struct {
  const char *arguments, *message;
} trainer_misuses[] = {
    {"trian", "unknown command `trian`; did you mean `train`?"},
    {"dance", "unknown command `dance`"},
    {"train x", "train takes no files, found `x`"},
    {"--epcohs 2", "unknown option --epcohs; did you mean --epochs?"},
    {"--nonsense", "unknown option --nonsense"},
    {"-z", "unknown option -z"},
    {"--json=3", "--json takes no value"},
    {"--epochs", "--epochs needs a value"},
    {"--epochs 0", "--epochs: expected a whole number from 1, found `0`"},
    {"--steps x", "--steps: expected a whole number from 1, found `x`"},
    {"--log-every 1.5", "--log-every: expected a whole number from 1, found `1.5`"},
    {"--stop-after -1", "--stop-after: expected a whole number from 1, found `-1`"},
    {"--lr 0", "--lr: expected a positive number, found `0`"},
    {"--lr nan", "--lr: expected a positive number, found `nan`"},
    {"--seed x", "--seed: expected a whole number, found `x`"},
    {"--save-dir ''", "--save-dir: the name is empty"},
    {"--epochs 1 --steps 1", "--epochs and --steps exclude each other"},
    {"--resume --init w.st", "--resume and --init exclude each other: a checkpoint has its own weights"},
    {"eval --lr 3", "--lr does not go with `eval`"},
    {"predict --epochs 3", "--epochs does not go with `predict`"},
    {"gradcheck --export w.st", "--export does not go with `gradcheck`"},
    {"--profile", "--profile does not go with `train`"},
    {"eval --profile", "--profile does not go with `eval`"},
    {"bench --profile --serve", "--profile and --serve exclude each other"},
    {"bench --resume", "--resume does not go with `bench`"},
    {"predict", "predict: -o is missing: where should the result go?"},
    {"predict -o o.npy", "predict: the model takes 1 file (x), found 0"},
    {"predict a b -o o.npy", "predict: the model takes 1 file (x), found 2"},
};

START_TEST(a_misused_trainer_says_so) {
  for (size_t i = 0; i < sizeof trainer_misuses / sizeof trainer_misuses[0]; i++) {
    char command[256], wanted[512];
    snprintf(command, sizeof command, FRESH "./line %s", trainer_misuses[i].arguments);
    snprintf(wanted, sizeof wanted, "line: %s\n`line --help` lists commands and options\n", trainer_misuses[i].message);
    says(command, 2, wanted);
  }
  says("./line predict points.csv -o o.npy --init none.st; ls o.npy", 2,
       "line: none.st: no such file (nor none.st.gz)\nls: cannot access 'o.npy': No such file or directory\n");
  says("./line --save-dir /dev/null/x", 1, "line: /dev/null/x: cannot make this folder: Not a directory\n");
}
END_TEST

Suite *cli_suite(void) {
  Suite *suite = suite_create("cli");
  TCase *compiler = tcase_create("mtc");
  tcase_set_timeout(compiler, 120);
  tcase_add_unchecked_fixture(compiler, set_up, NULL);
  tcase_add_test(compiler, the_suffix_picks_the_target);
  tcase_add_test(compiler, a_dump_is_taken_wherever_a_model_is);
  tcase_add_test(compiler, dumps_and_limits);
  tcase_add_test(compiler, dims_are_overridden);
  tcase_add_test(compiler, fmt_rewrites_in_place);
  tcase_add_test(compiler, inputs_that_cannot_be_read);
  tcase_add_test(compiler, outputs_are_whole_or_untouched);
  tcase_add_test(compiler, too_many_update_groups_are_told);
  tcase_add_test(compiler, a_step_has_its_cost);
  tcase_add_test(compiler, too_many_updates_are_told);
  tcase_add_test(compiler, warnings_may_be_errors);
  tcase_add_test(compiler, color_on_a_terminal_only);
  tcase_add_test(compiler, every_code_is_explained);
  tcase_add_test(compiler, mtc_tells_about_itself);
  tcase_add_test(compiler, misuse_has_a_message_and_status_2);
  tcase_add_test(compiler, a_fault_of_mtc_ends_with_70);
  tcase_add_test(compiler, run_builds_in_a_cache);
  suite_add_tcase(suite, compiler);
  TCase *trainer = tcase_create("trainer");
  tcase_set_timeout(trainer, 120);
  tcase_add_unchecked_fixture(trainer, set_up_trainer, NULL);
  tcase_add_test(trainer, a_trainer_lists_its_options);
  tcase_add_test(trainer, a_trainer_trains);
  tcase_add_test(trainer, a_trainer_resumes_and_starts_from_weights);
  tcase_add_test(trainer, a_trainer_checks_and_measures);
  tcase_add_test(trainer, a_misused_trainer_says_so);
  suite_add_tcase(suite, trainer);
  return suite;
}
