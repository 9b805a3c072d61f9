/* test_cli.c - mtc's command line: every command, option and way to get them wrong. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "passes/passes.h"
#include "tests/shell.h"

static const char model[] = "dim B = 4, P = 3, K = 2\n"
                            "module M()(x: [B, P]) -> [B, K] {\n"
                            "  param w: [P, K] = zeros\n"
                            "  return relu(x @ w) * 2 + 1  # a comment\n"
                            "}\n"
                            "let net = M()\n"
                            "predict p in { x: f32[B, P] } -> net(p.x)\n";

/* A folder with the model as m.mt, and wrong ones. */
static const char *start(void) {
  static char folder[256];
  snprintf(folder, sizeof folder, "%s", scratch_folder());
  free(shell_ok(
      "cd %s && cat > m.mt <<'END'\n%sEND\n"
      "sed 's/relu/rellu/' m.mt > bad.mt && : > empty.mt && printf '\\0\\377\\1' > binary.mt && mkdir folder && "
      "sed 's/return/let unused = 1\\n  return/' m.mt > warn.mt",
      folder, model));
  return folder;
}

/* ---- wrong command lines: exit 2, this text, nothing written ---- */

static const struct {
  const char *args, *says;
} wrong[] = {
    {"", "mtc: no model given: mtc MODEL.mt -o OUT.cu\nhelp: mtc --help lists commands and options\n"},
    {"check", "mtc: no model given: mtc MODEL.mt -o OUT.cu\nhelp: mtc --help lists commands and options\n"},
    {"m.mt", "mtc: -o is missing: where should the result go?\nhelp: mtc --help lists commands and options\n"},
    {"build m.mt", "mtc: -o is missing: where should the result go?\nhelp: mtc --help lists commands and options\n"},
    {"m.mt -o x.foo", "mtc: -o x.foo: the suffix must be .cu, .c, .ir or .dot, or say --emit=KIND\nhelp: mtc --help "
                      "lists commands and options\n"},
    {"m.mt -o -", "mtc: -o -: the suffix must be .cu, .c, .ir or .dot, or say --emit=KIND\nhelp: mtc --help lists "
                  "commands and options\n"},
    {"m.mt -o", "mtc: -o needs a value\nhelp: mtc --help lists commands and options\n"},
    {"m.mt -x", "mtc: there is no option -x\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt --dmup=all", "mtc: there is no option --dmup\nhelp: did you mean dump?\n"},
    {"check m.mt --frobnicate", "mtc: there is no option --frobnicate\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt --Werror=all", "mtc: --Werror takes no value\nhelp: mtc --help lists commands and options\n"},
    {"--explain", "mtc: --explain needs a value\nhelp: mtc --help lists commands and options\n"},
    {"--explain=E9999", "mtc: no message has the code E9999\nhelp: mtc --help lists commands and options\n"},
    {"--print=foo", "mtc: --print=foo: expected cflags, libs, cuda-flags, runtime-dir, man or bash-completion\nhelp: "
                    "mtc --help lists commands and options\n"},
    {"check m.mt -D K",
     "mtc: -D K: expected NAME=N with a whole number N\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt -D K=x",
     "mtc: -D K=x: expected NAME=N with a whole number N\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt -D K=-1",
     "mtc: -D K=-1: expected NAME=N with a whole number N\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt -D K=99999999999999999999", "mtc: -D K=99999999999999999999: expected NAME=N with a whole number "
                                             "N\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt -O3", "mtc: -O3: expected -O0, -O1 or -O2\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt --dump=fues", "mtc: there is no pass called fues\nhelp: did you mean fuse?\n"},
    {"m.mt -o x.ir --stop-after=all",
     "mtc: there is no pass called all\nhelp: mtc --help lists commands and options\n"},
    {"m.mt -o x.c --stop-after=fuse",
     "mtc: --stop-after leaves IR that only .ir and .dot can show\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt --bisect-limit=x",
     "mtc: --bisect-limit=x: expected a whole number\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt --color=maybe",
     "mtc: --color=maybe: expected auto, always or never\nhelp: mtc --help lists commands and options\n"},
    {"m.mt -o x.c --emit=cpp",
     "mtc: --emit=cpp: expected cu, c, ir or dot\nhelp: mtc --help lists commands and options\n"},
    {"build m.mt -o x --target=rocm",
     "mtc: --target=rocm: expected cuda or c\nhelp: mtc --help lists commands and options\n"},
    {"chekc m.mt", "mtc: there is no command chekc\nhelp: did you mean check?\n"},
    {"check m.mt m.mt",
     "mtc: one model at a time: m.mt is one too many\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt -o x.c",
     "mtc: check writes nothing: -o has no meaning\nhelp: mtc --help lists commands and options\n"},
    {"check m.mt -- --epochs 3",
     "mtc: arguments after -- go to a trainer: use mtc run\nhelp: mtc --help lists commands and options\n"},
};

START_TEST(a_wrong_command_line_is_told) {
  const char *folder = start();
  Shell said = shell("cd %s && " MTC " %s", folder, wrong[_i].args);
  ck_assert_str_eq(said.output, wrong[_i].says);
  ck_assert_int_eq(said.status, 2);
  free(said.output);
  free(shell_ok("cd %s && ! ls x.* 2>/dev/null", folder));
}
END_TEST

/* ---- wrong input: exit 1, an older output left as it was, nothing half written ---- */

static const struct {
  const char *args, *says;
} failing[] = {
    {"nope.mt -o out.c", "nope.mt:1:1: error[E0001]: cannot read nope.mt: No such file or directory\n"},
    {"folder -o out.c", "folder:1:1: error[E0001]: cannot read folder: it is a directory\n"},
    {"empty.mt -o out.c", "empty.mt:1:1: error[E0508]: there is nothing to build"},
    {"binary.mt -o out.c", "binary.mt:1:1: error[E0002]"},
    {"bad.mt -o out.c", "bad.mt:4:10: error[E0101]"},
    {"warn.mt -o out.c --Werror", "warn.mt:4:7: error[W0101]: unused is never used"},
    {"m.mt -o out.c -D Kk=3", "m.mt:1:1: error[E0101]: -D Kk: the model has no dim of that name"},
    {"m.mt -o missing/out.c", "mtc: cannot write missing/out.c: No such file or directory\n"},
    {"m.mt -o /dev/full --emit=c", "mtc: cannot write /dev/full: No space left on device\n"},
    {"build bad.mt --target=c -o out.c", "bad.mt:4:10: error[E0101]"},
    {"fmt bad-syntax.mt -o out.c", "bad-syntax.mt:"},
};

START_TEST(wrong_input_writes_nothing) {
  const char *folder = start();
  free(shell_ok("cd %s && echo 'dim = 3' > bad-syntax.mt && echo old > out.c && touch before after && ls > before",
                folder));
  Shell said = shell("cd %s && " MTC " %s", folder, failing[_i].args);
  ck_assert_msg(!strncmp(said.output, failing[_i].says, strlen(failing[_i].says)), "%s: %s", failing[_i].args,
                said.output);
  ck_assert_int_eq(said.status, 1);
  free(said.output);
  free(shell_ok("cd %s && test \"$(cat out.c)\" = old && ls > after && diff before after", folder));
}
END_TEST

/* ---- what works ---- */

static const struct {
  const char *command; /* in a folder with m.mt */
} working[] = {
    {"mtc m.mt -o x.c && cc -std=c11 -c x.c $(mtc --print=cflags)"},
    {"mtc m.mt -o x.cu && grep -q __global__ x.cu"},
    {"mtc m.mt -o x.ir && mtc x.ir -o a.c && mtc m.mt -o b.c && cmp a.c b.c"},
    {"mtc m.mt -o x.ir --stop-after=lower && mtc x.ir -o a.cu && mtc m.mt -o b.cu && cmp a.cu b.cu"},
    {"mtc m.mt -o x.dot && head -1 x.dot | grep -q digraph"},
    {"mtc m.mt -o - --emit=ir | grep -q '^mtc-ir 1 m from'"},
    {"mtc m.mt -o x.out --emit=ir && grep -q '^mtc-ir' x.out"},
    {"mtc m.mt -D K=7 -o - --emit=ir | grep -q 'dim K=7'"},
    {"mtc m.mt -DK=7 -D P=5 -o - --emit=ir | grep -q 'f32\\[P, K\\]'"},
    {"for o in 0 1 2; do mtc m.mt -O$o --verify-each -o x$o.c || exit 1; done; ! cmp -s x0.c x2.c || true"},
    {"mtc m.mt -O0 -o - --emit=ir | head -1 | grep -q 'passes(gradient, fuse, schedule, plan)'"},
    {"mtc check m.mt 2>&1 | cmp - /dev/null"},
    {"mtc check warn.mt 2>&1 | grep -q 'warning\\[W0101\\]'"},
    {"mtc check m.mt --dump=fuse 2>&1 | head -1 | grep -q '# after fuse'"},
    {"test $(mtc check m.mt --dump=all 2>&1 | grep -c '^# after') = 7"},
    {"test $(mtc check m.mt --dump=changed 2>&1 | grep -c '^# after') -ge 3"},
    {"mtc check m.mt --dump-dir=d && ls d | tr '\\n' ' ' | grep -q '00-lower.ir 01-gradient.ir 02-simplify.ir "
     "03-split.ir 04-fuse.ir 05-schedule.ir 06-plan.ir'"},
    {"mtc m.mt --bisect-limit=0 -o - --emit=ir > a && mtc m.mt -o - --emit=ir > b && ! cmp -s a b"},
    {"mtc fmt m.mt -o - | cmp - m.mt"},
    {"sed 's/ = /  =  /; s/^  //' m.mt > f.mt && mtc fmt f.mt && cmp f.mt m.mt"},
    {"mtc build m.mt --target=c -o t && ./t --help | grep -q predict"},
    {"export XDG_CACHE_HOME=$PWD/cache; mtc run m.mt --target=c -- --help | grep -q predict && "
     "mtc run m.mt --target=c -- --help | grep -q predict"},
    {"mtc --explain E0203 | head -1 | grep -q 'E0203 (error)'"},
    {"mtc --version | grep -q '^mtc [0-9]'"},
    {"mtc --help | grep -q 'Exit status'"},
    {"test -f $(mtc --print=runtime-dir)/libmtrt.a"},
    {"mtc --print=man | grep -q '^.TH MTC'"},
    {"mtc --print=bash-completion | bash -n"},
    {"mtc check bad.mt --color=always 2>&1 | grep -q '\033\\['"},
    {"! mtc check bad.mt 2>&1 | grep -q '\033\\['"},
    {"! mtc check bad.mt --color=never 2>&1 | grep -q '\033\\['"},
    {"script -qec 'mtc check bad.mt' /dev/null | grep -q '\033\\['"},
    {"! NO_COLOR=1 script -qec 'mtc check bad.mt' /dev/null | grep -q '\033\\['"},
};

START_TEST(commands_and_options_work) {
  free(shell_ok("export PATH=$(dirname " MTC "):$PATH; cd %s && %s", start(), working[_i].command));
}
END_TEST

/* A pass that is listed can be dumped and stopped after; a message that is listed can be explained. */
START_TEST(every_pass_can_be_seen) {
  const char *folder = start();
  for (int i = 0; i < n_passes; i++)
    free(shell_ok("cd %s && " MTC " check m.mt --dump=%s && " MTC " m.mt -o x.ir --stop-after=%s", folder,
                  pipeline[i].name, pipeline[i].name));
}
END_TEST

START_TEST(every_message_can_be_explained) {
  static const char *const codes[] = {
#define ERROR(code, kind, story) #code,
#include "ir/errors.def"
#undef ERROR
  };
  for (int i = 0; i < ERROR_CODE_COUNT; i++) free(shell_ok(MTC " --explain=%s | grep -q '^%s ('", codes[i], codes[i]));
}
END_TEST

#define COUNT(list) (int)(sizeof(list) / sizeof *(list))

Suite *cli_suite(void) {
  Suite *suite = suite_create("command line");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 60);
  tcase_add_loop_test(all, a_wrong_command_line_is_told, 0, COUNT(wrong));
  tcase_add_loop_test(all, wrong_input_writes_nothing, 0, COUNT(failing));
  tcase_add_loop_test(all, commands_and_options_work, 0, COUNT(working));
  tcase_add_test(all, every_pass_can_be_seen);
  tcase_add_test(all, every_message_can_be_explained);
  suite_add_tcase(suite, all);
  return suite;
}
