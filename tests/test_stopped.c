/* test_stopped.c - gradcheck where a model stops gradients: parameters that reach the loss past a stop are told as not
 * checked, all others are checked, and a wrong gradient beside a stop is still found.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

/* What the train block says, and what gradcheck of it: lines that begin so, and the last line. */
typedef struct Stops {
  const char *what, *body, *unchecked, *last;
} Stops;

#define NET "update net minimize loss using sgd(lr: 0.1)\n"
#define BOTH "update net minimize loss using sgd(lr: 0.1), head using sgd(lr: 0.1)\n"

static const Stops stops[] = {
    {"a function of one head is a target of the other", "let loss = mse(net(d.x), stop(head(d.x)) + d.y)\n" NET, "", "4 parameters, worst relative error"},
    {"of what the update moves itself", "let loss = mse(net(d.x), stop(net(d.x + 1)) + d.y)\n" NET,
     "net.fc1.weight net.fc1.bias net.fc2.weight net.fc2.bias", "0 parameters, worst relative error 0.0e+00: ok; 4 not checked"},
    {"of a part of it", "let loss = mse(net(d.x), stop(head(d.x)) + d.y) + mean(head(d.x) ^ 2)\n" BOTH,
     "head.fc1.weight head.fc1.bias head.fc2.weight head.fc2.bias", ": ok; 4 not checked"},
    {"a way straight through", "let z = net(d.x)\nlet loss = mse(z + stop(round(4 * z) / 4 - z), d.y)\n" NET,
     "net.fc1.weight net.fc1.bias net.fc2.weight net.fc2.bias", ": ok; 4 not checked"},
    {"past a comparison, which has no slope", "let z = net(d.x)\nlet loss = mse(z, d.y) + mean(where(stop(z) > 10, z, 0.5 * z))\n" NET, "", "4 parameters, worst relative error"},
    {"a softmax, whose shift is stopped", "let loss = cross_entropy(net(d.x), d.k) + mean(softmax(net(d.x), over: -1) ^ 2)\n" NET, "",
     "4 parameters, worst relative error"},
    {"a loss of nn.mt that stops", "let loss = bce(sigmoid(net(d.x)), sigmoid(d.y))\n" NET, "", "4 parameters, worst relative error"},
    {"a shift by hand, past which differences agree", "let z = net(d.x)\nlet loss = mean(log(sum(exp(z - stop(max(z, over: -1, keep: true))), over: -1)) + stop(max(z, over: -1)))\n" NET,
     "", "4 parameters, worst relative error"},
    {"the new value of a state", "let loss = mse(kept(d.x), d.y)\nupdate kept minimize loss using sgd(lr: 0.1)\n", "kept.fc.weight kept.fc.bias", ": ok; 2 not checked"},
    {"in a loop over time", "let loss = mean(over(d.x) ^ 2)\nupdate over minimize loss using sgd(lr: 0.1)\n", "over.fc.weight over.fc.bias", ": ok; 2 not checked"},
    {"in a loop, carried to a later turn", "let loss = mean(late(d.x) ^ 2)\nupdate late minimize loss using sgd(lr: 0.1)\n", "late.w", ": ok; 1 not checked"},
    {"a value that an earlier update has left behind", "let was = stop(net(d.x))\nlet loss = mse(net(d.x), d.y)\n" NET
     "let then = mse(net(d.x), was + d.y) + mean(head(d.x) ^ 2)\nupdate net minimize then using sgd(lr: 0.1), head using sgd(lr: 0.1)\n",
     "net.fc1.weight net.fc1.bias net.fc2.weight net.fc2.bias", "8 parameters, worst relative error"},
};
enum { N_STOPS = sizeof stops / sizeof *stops };

static const char *write_model(const Stops *m) {
  const char *folder = scratch_folder();
  char path[600];
  snprintf(path, sizeof path, "%s/m.mt", folder);
  FILE *model = fopen(path, "w");
  ck_assert_ptr_nonnull(model);
  fprintf(model,
          "use nn\ndim B = 4, P = 3, H = 5, T = 3\ndata rows = random(rows: 16, seed: 1) -> { x: f32[B, P], y: f32[B, H], k: i32[B] }\n"
          "module Net()(x: [n, P]) -> [n, H] {\nreturn x |> fc1: Linear(4) |> tanh |> fc2: Linear(H)\n}\n"
          "module Kept()(x: [n, P]) -> [n, H] {\nstate mean_of: [H] = zeros\nlet z = x |> fc: Linear(H)\n"
          "mean_of <- 0.5 * mean_of + 0.5 * mean(z, over: 0)\nreturn z * (1 + mean_of)\n}\n"
          "module Over()(x: [n, P]) -> [n, P] {\nlet h = x\nfor t in 0..T carry h {\nlet z = h |> fc: Linear(P)\nh = tanh(z) + stop(z)\n}\nreturn h\n}\n"
          "module Late()(x: [n, P]) -> [n, P] {\nparam w: [P] = ones\nlet h = x\nlet held = x\n"
          "for t in 0..T carry h, held {\nh = tanh(h * w) + held\nheld = stop(h)\n}\nreturn h\n}\n"
          "let net = Net()\nlet head = Net()\nlet kept = Kept()\nlet over = Over()\nlet late = Late()\n"
          "train d in rows for 8 steps {\n%slog loss\n}\n", m->body);
  ck_assert_int_eq(fclose(model), 0);
  return folder;
}

#define BUILD "cc -std=gnu11 -fopenmp -O1 $(" MTC " --print=cflags) m.c $(" MTC " --print=libs) -o m && ./m gradcheck"

static int count(const char *text, const char *word) {
  int n = 0;
  for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) n++;
  return n;
}

START_TEST(what_lies_past_a_stop_is_told) {
  const Stops *m = &stops[_i];
  char *said = shell_ok("cd %s && " MTC " m.mt -o m.c && " BUILD, write_model(m));
  char names[200], *rest = names;
  snprintf(names, sizeof names, "%s", m->unchecked);
  int n = 0;
  for (char *name; (name = strtok_r(rest, " ", &rest)); n++) {
    char line[200];
    snprintf(line, sizeof line, "%-32s not checked: its gradient is stopped at m.mt:", name);
    ck_assert_msg(strstr(said, line) != NULL, "%s: no %s in\n%s", m->what, line, said);
  }
  ck_assert_msg(count(said, " not checked: ") == n && strstr(said, m->last) && !strstr(said, "WRONG"), "%s: %s", m->what, said);
  free(said);
}
END_TEST

/* Without what the compiler says of stops the same differences would be called wrong gradients. */
START_TEST(untold_they_would_be_wrong) {
  Shell said = shell("cd %s && " MTC " m.mt -o m.c && sed -i 's/, 4, train_stopped},/, 0, NULL},/' m.c && " BUILD, write_model(&stops[2]));
  ck_assert_msg(said.status == 1 && count(said.output, "WRONG") == 5, "%s", said.output);
  free(said.output);
}
END_TEST

/* The slope of tanh with a plus for its minus, in what no stop is about. */
START_TEST(a_wrong_gradient_beside_a_stop_is_found) {
  Shell said = shell("cd %s && " MTC " m.mt -o m.ir --stop-after=gradient && sed -i '/%%grad.update0.net.fc1.add.sub :/s/= sub /= add /' m.ir && "
                     MTC " m.ir -o m.c && " BUILD, write_model(&stops[2]));
  ck_assert_msg(said.status == 1 && strstr(said.output, "net.fc1.weight") && count(said.output, "WRONG") == 3 && count(said.output, "  ok") == 2 &&
                count(said.output, " not checked: ") == 4 && strstr(said.output, ": WRONG; 4 not checked"), "%s", said.output);
  free(said.output);
}
END_TEST

START_TEST(the_emulated_gpu_and_json_say_the_same) {
  const char *folder = write_model(&stops[2]);
  char *said = shell_ok("cd %s && " MTC " m.mt -o m.cu && MTC=" MTC " " TESTS_DIR "/emulator/run m.cu gradcheck --json --data-dir $PWD", folder);
  ck_assert_msg(count(said, ",\"ok\":true}") == 4 && count(said, "\"stopped\":\"m.mt:") == 4 && count(said, ",\"ok\":null}") == 4, "%s", said);
  free(said);
}
END_TEST

/* In the text, too: a dump is compiled to the same. */
START_TEST(a_dump_knows_of_stops) {
  free(shell_ok("cd %s && " MTC " m.mt -o b.c && for pass in gradient plan; do " MTC " m.mt -o m.ir --stop-after=$pass && " MTC " m.ir -o a.c && "
                "cmp a.c b.c && grep -q 'stopped (head.fc1.weight @m.mt:' m.ir || exit 1; done", write_model(&stops[2])));
}
END_TEST

Suite *stopped_suite(void) {
  Suite *suite = suite_create("stopped");
  TCase *tcase = tcase_create("stopped");
  tcase_set_timeout(tcase, 60);
  tcase_add_loop_test(tcase, what_lies_past_a_stop_is_told, 0, N_STOPS);
  tcase_add_test(tcase, untold_they_would_be_wrong);
  tcase_add_test(tcase, a_wrong_gradient_beside_a_stop_is_found);
  tcase_add_test(tcase, the_emulated_gpu_and_json_say_the_same);
  tcase_add_test(tcase, a_dump_knows_of_stops);
  suite_add_tcase(suite, tcase);
  return suite;
}
