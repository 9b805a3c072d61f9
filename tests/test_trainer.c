/* test_trainer.c - a trainer from its command line: a hand-written model
 * (runtime_model.h) trained, stopped, resumed, evaluated, and misused. */
#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/backend.h"
#include "runtime/storage.h"
#include "tests/runtime_model.h"
#include "tests/shell.h"

static char folder[128];

static double truth(const double *x) { return x[0] - 2 * x[1] + 0.5 * x[2] + 0.3; }

static void set_up(void) {
  char path[256];
  snprintf(folder, sizeof folder, "%s", scratch_folder());
  ck_assert_int_eq(chdir(folder), 0);
  snprintf(path, sizeof path, "%s/line.csv", folder);
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  for (int i = 0; i < MODEL_ROWS; i++) {
    double x[3] = {sin(i), cos(3 * i), sin(7 * i + 1)};
    fprintf(file, "%.9g,%.9g,%.9g,%.9g\n", x[0], x[1], x[2], truth(x));
  }
  fclose(file);
}

/* ---- running it -------------------------------------------------------------------- */

/* Writes to the descriptor `screen`; -1: to the file "output". */
static pid_t start_on(const MtProgram *program, const char *arguments, int screen) {
  fflush(NULL);
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child) return child;
  static char words[1024];
  char *argv[64] = {"./line"};
  int argc = 1;
  snprintf(words, sizeof words, "%s", arguments);
  for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
  if (screen >= 0 ? dup2(screen, STDOUT_FILENO) < 0 : !freopen("output", "w", stdout)) _exit(99);
  if (dup2(fileno(stdout), STDERR_FILENO) < 0) _exit(99);
  int status = mt_main(argc, argv, program);
  fflush(stdout);
  end_child(status);
}

static pid_t start(const MtProgram *program, const char *arguments) { return start_on(program, arguments, -1); }

static int finish(pid_t child) {
  int status;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The output of a run that must end with `status`. */
static char *run(const MtProgram *program, int status, const char *arguments) {
  int found = finish(start(program, arguments));
  char *output = read_text("output");
  ck_assert_msg(found == status, "`%s` ended with %d, not %d:\n%s", arguments, found, status, output);
  return output;
}

static void train(int model, const char *arguments) { free(run(&regression_models[model], 0, arguments)); }

static void ck_says(const char *text, const char *part) {
  ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part, text);
}

static char *file_text(const char *path) {
  char *text = read_text(path);
  ck_assert_msg(text != NULL, "%s cannot be read", path);
  return text;
}

static void same_files(const char *a, const char *b) {
  char line[512];
  snprintf(line, sizeof line, "cmp %s %s", a, b);
  ck_assert_msg(system(line) == 0, "%s and %s differ", a, b);
}

static void read_weights(const char *path, float w[4]) {
  MtArchive archive;
  MtError error = {""};
  ck_assert_msg(mt_read_safetensors(path, &archive, &error), "%s", error.text);
  memcpy(w, mt_archive_find(&archive, "w")->data, 12);
  memcpy(w + 3, mt_archive_find(&archive, "b")->data, 4);
  mt_archive_free(&archive);
}

/* ---- training ------------------------------------------------------------------------- */

START_TEST(training_finds_the_line) {
  char *output = run(&regression_models[_i], 0, "train --seed 3 --epochs 100");
  float w[4];
  const float found[4] = {1, -2, 0.5f, 0.3f};
  ck_says(output, "4 parameters, 50 rows");
  ck_says(output, "checkpoint: line.run/line.checkpoint.safetensors");
  ck_says(output, "weights: line.run/net.safetensors");
  ck_says(output, "line.run/net.best.safetensors");
  read_weights("line.run/net.safetensors", w);
  for (int i = 0; i < 4; i++) ck_assert_msg(fabsf(w[i] - found[i]) < 0.01f, "weight %d is %g", i, (double)w[i]);
  free(output);
}
END_TEST

START_TEST(a_line_an_epoch_and_metrics_always) {
  char *output = run(&regression_models[MODEL_EPOCHS], 0, ""), *metrics = file_text("line.run/metrics.csv");
  int lines = 0, rows = 0, step, epoch, length;
  double mean, loss, rmse, worst, least, eval_loss;
  for (const char *at = output; (at = strstr(at, "epoch ")); at++) lines++;
  ck_assert_int_eq(lines, 30);
  ck_says(output, "epoch  1/30  step   7/210  mean ");
  ck_says(output, "  best\n");
  const char *header = "step,epoch,mean,loss,rmse,worst,least,test_set.loss\n", *at = metrics + strlen(header);
  ck_assert_msg(!strncmp(metrics, header, strlen(header)), "%s", metrics);
  for (; sscanf(at, "%d,%d,%lf,%lf,%lf,%lf,%lf,%lf\n%n", &step, &epoch, &mean, &loss, &rmse, &worst, &least, &eval_loss,
                &length) == 8;
       at += length) {
    ck_assert_int_eq(step, 7 * ++rows);
    ck_assert_int_eq(epoch, rows);
    ck_assert(least <= rmse && rmse <= worst && fabs(eval_loss - rmse * rmse) < 1e-6);
  }
  ck_assert_msg(rows == 30 && !*at, "%d rows, then: %s", rows, at);
  free(output);
  free(metrics);
}
END_TEST

START_TEST(quiet_prints_nothing_and_json_prints_objects) {
  char *quiet = run(&regression_models[MODEL_EPOCHS], 0, "--quiet --epochs 2"),
       *json = run(&regression_models[MODEL_EPOCHS], 0, "--json --epochs 2");
  ck_assert_str_eq(quiet, "");
  ck_assert_msg(!strncmp(json, "{\"step\":7,\"epoch\":1,\"mean\":", 27), "%s", json);
  ck_says(json, "{\"step\":14,\"epoch\":2,");
  ck_says(json, ",\"rmse\":");
  free(quiet);
  free(json);
}
END_TEST

/* Logs are means by rows: over an epoch with a rate of almost 0, the mean of
 * the batches equals that of the whole set, short last batch included. */
START_TEST(logs_are_weighted_by_rows) {
  train(MODEL_EPOCHS, "--epochs 1 --lr 1e-30 --no-shuffle");
  train(MODEL_EPOCHS, "--epochs 1 --lr 1e-30 --log-every 1 --no-shuffle --save-dir each");
  char *whole = file_text("line.run/metrics.csv"), *each = file_text("each/metrics.csv");
  double mean, loss, sum = 0;
  ck_assert_int_eq(sscanf(strchr(whole, '\n'), "\n7,1,%lf,%lf", &mean, &loss), 2);
  char *at = strchr(each, '\n');
  for (int i = 0; i < 7; i++, at = strchr(at + 1, '\n')) {
    double one, other;
    int step, epoch;
    ck_assert_int_eq(sscanf(at, "\n%d,%d,%lf,%lf", &step, &epoch, &other, &one), 4);
    sum += one * (i < 6 ? 8 : 2) / MODEL_ROWS;
  }
  ck_assert_double_eq_tol(sum, loss, 1e-6);
  free(whole);
  free(each);
}
END_TEST

START_TEST(seeds_repeat_and_differ) {
  train(MODEL_EPOCHS, "--epochs 2 --seed 1 --save-dir a");
  train(MODEL_EPOCHS, "--epochs 2 --seed 1 --save-dir b");
  train(MODEL_EPOCHS, "--epochs 2 --seed 2 --save-dir c");
  same_files("a/net.safetensors", "b/net.safetensors");
  ck_assert_int_ne(system("cmp -s a/net.safetensors c/net.safetensors"), 0);
}
END_TEST

/* With the mean gradient over rows, three micro-batches of 8, 8 and 8 rows are
 * one batch of 24; here against a twin in double. */
START_TEST(accumulated_gradients_are_averaged_by_rows) {
  train(MODEL_ACCUMULATE, "--epochs 1 --no-shuffle --log-every 1");
  char *metrics = file_text("line.run/metrics.csv");
  int rows = 0;
  for (const char *at = strchr(metrics, '\n'); at && at[1]; at = strchr(at + 1, '\n')) rows++;
  ck_assert_int_eq(rows, 3); /* 24, 24 and 2 of 50 rows */
  MtArchive archive;
  MtError error = {""};
  ck_assert_msg(mt_read_safetensors("line.run/line.checkpoint.safetensors", &archive, &error), "%s", error.text);
  ck_assert_str_eq(mt_archive_note(&archive, "step"), "3");
  ck_assert_str_eq(mt_archive_note(&archive, "epoch"), "1");
  ck_assert_str_eq(mt_archive_note(&archive, "row"), "0");
  mt_archive_free(&archive);
  free(metrics);
}
END_TEST

START_TEST(the_rate_is_scaled_to_its_highest) {
  train(MODEL_EPOCHS, "--epochs 2 --save-dir a");
  train(MODEL_EPOCHS, "--epochs 2 --save-dir b --lr 0.1");
  train(MODEL_EPOCHS, "--epochs 2 --save-dir c --lr 0.05");
  same_files("a/net.safetensors", "b/net.safetensors");
  ck_assert_int_ne(system("cmp -s a/net.safetensors c/net.safetensors"), 0);
}
END_TEST

START_TEST(weights_travel_by_export_and_init) {
  float w[4], start[4];
  train(MODEL_EPOCHS, "--epochs 1 --export out.safetensors");
  same_files("out.safetensors", "line.run/net.safetensors");
  train(MODEL_EPOCHS, "--epochs 1 --lr 1e-30 --init out.safetensors --export net=again.safetensors --save-dir b");
  read_weights("out.safetensors", start);
  read_weights("again.safetensors", w);
  for (int i = 0; i < 4; i++) ck_assert(w[i] == start[i]);
}
END_TEST

START_TEST(several_best_values_have_files_of_their_own) {
  train(MODEL_TWO_WATCHES, "--epochs 2");
  ck_assert_int_eq(access("line.run/net.lowest.test_set.rmse.safetensors", R_OK), 0);
  ck_assert_int_eq(access("line.run/net.highest.test_set.least.safetensors", R_OK), 0);
}
END_TEST

/* ---- stopping and going on --------------------------------------------------------------- */

static const char *const stops[] = {"1", "3", "7", "10", "100"};

START_TEST(a_resumed_run_ends_with_the_same_bits) {
  int model = _i % 2 ? MODEL_ACCUMULATE : MODEL_EPOCHS;
  char arguments[200];
  train(model, "--save-dir whole");
  snprintf(arguments, sizeof arguments, "--save-dir parts --stop-after %s", stops[_i / 2]);
  char *output = run(&regression_models[model], 0, arguments);
  if (!(model == MODEL_ACCUMULATE && _i / 2 == 4)) ck_says(output, "resume with: ./line --save-dir parts --resume");
  free(output);
  train(model, "--save-dir parts --resume");
  same_files("whole/net.safetensors", "parts/net.safetensors");
  same_files("whole/net.best.safetensors", "parts/net.best.safetensors");
  same_files("whole/line.checkpoint.safetensors", "parts/line.checkpoint.safetensors");
}
END_TEST

START_TEST(resuming_keeps_metrics_up_to_its_step) {
  train(MODEL_EPOCHS, "--save-dir whole --log-every 1 --epochs 3");
  train(MODEL_EPOCHS, "--save-dir parts --log-every 1 --epochs 3 --stop-after 10");
  ck_assert_int_eq(system("printf '11,1,9,9,,,,\\n12,1,9,9,,,,\\n' >>parts/metrics.csv"),
                   0); /* a run that went on and was killed */
  train(MODEL_EPOCHS, "--save-dir parts --log-every 1 --epochs 3 --resume");
  same_files("whole/metrics.csv", "parts/metrics.csv");
}
END_TEST

START_TEST(signals_save_and_say_how_to_go_on) {
  int number = _i ? SIGTERM : SIGINT;
  pid_t child = start(&regression_models[MODEL_STEPS], "--steps 100000000 --log-every 2000 --save-dir long");
  for (int i = 0; i < 500; i++) {
    struct stat info;
    if (stat("long/metrics.csv", &info) == 0 && info.st_size > 200) break;
    usleep(10000);
  }
  ck_assert_int_eq(kill(child, number), 0);
  ck_assert_int_eq(finish(child), 130);
  char *output = read_text("output");
  ck_says(output, "resume with: ./line --steps 100000000 --log-every 2000 --save-dir long --resume");
  ck_says(output, "checkpoint: long/line.checkpoint.safetensors");
  free(output);
  output = run(&regression_models[MODEL_STEPS], 0,
               "--steps 100000000 --log-every 2000 --save-dir long --resume --stop-after 5");
  ck_says(output, ", going on at ");
  free(output);
}
END_TEST

/* What a run says to a terminal of `columns` columns until it has said `part`, or ends; it is stopped then.  Of much the
 * end: lines come faster than bars. */
static char *on_terminal(const char *term, int columns, const char *arguments, const char *part) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  ck_assert_int_ge(master, 0);
  ck_assert(grantpt(master) == 0 && unlockpt(master) == 0);
  int screen = open(ptsname(master), O_RDWR | O_NOCTTY);
  struct winsize size = {.ws_row = 25, .ws_col = (unsigned short)columns};
  ck_assert_int_eq(ioctl(screen, TIOCSWINSZ, &size), 0);
  setenv("TERM", term, 1);
  pid_t child = start_on(&regression_models[MODEL_STEPS], arguments, screen);
  close(screen);
  static char said[4096];
  size_t n = 0;
  said[0] = 0;
  for (ssize_t got; !strstr(said, part) && (got = read(master, said + n, sizeof said - 1 - n)) > 0;) {
    said[n += (size_t)got] = 0;
    if (n < sizeof said / 2 || strstr(said, part)) continue;
    memmove(said, said + n / 2, n - n / 2 + 1);
    n -= n / 2;
  }
  kill(child, SIGINT);
  close(master);
  finish(child);
  return said;
}

START_TEST(a_bar_is_drawn_on_terminals_only) {
  const char *many = "--steps 4000000000000000000 --log-every 1000000000 --save-dir bar";
  ck_says(on_terminal("xterm", 60, many, "%  loss "), "\r\033[K[--------------------]   0%  loss ");
  const char *wide = on_terminal("xterm", 200, many, " left");
  ck_says(wide, "\r\033[K[----------------------------------------]   0%  loss ");
  ck_assert_msg(!strstr(wide, "steps/s  -"), "%s", wide); /* millions of years */
  ck_assert_ptr_null(strstr(on_terminal("dumb", 60, "--steps 20000 --save-dir bar", "weights: "), "\033"));
  ck_assert_ptr_null(strstr(on_terminal("xterm", 60, "--steps 20000 --quiet --save-dir bar", "weights: "), "\033"));
}
END_TEST

START_TEST(a_finished_run_has_nothing_to_resume) {
  train(MODEL_EPOCHS, "--epochs 2");
  char *output = run(&regression_models[MODEL_EPOCHS], 0, "--epochs 2 --resume");
  ck_says(output, "nothing is left to train: 14 of 14 updates are done");
  free(output);
  output = run(&regression_models[MODEL_EPOCHS], 0, "--epochs 3 --resume");
  ck_says(output, "going on at 14");
  ck_says(output, "7 updates in ");
  free(output);
}
END_TEST

/* ---- values that are not finite -------------------------------------------------------------- */

START_TEST(a_value_that_is_not_finite_stops_the_run_by_name) {
  char *output = run(&regression_models[MODEL_EPOCHS], 1, "--lr 1e30");
  ck_says(output, "line.mt:11: loss is not finite (inf at element 1) at step 1\n");
  free(output);
  output = run(&regression_models[MODEL_EPOCHS], 1, "--lr 3e38");
  ck_says(output, "line.mt:5: net.w is not finite (inf at element 0) before step 1\n");
  free(output);
  output = run(&regression_models[MODEL_EPOCHS], 0, "--lr 1e30 --keep-going --epochs 3");
  ck_says(output, "nan");
  free(output);
}
END_TEST

START_TEST(a_bad_row_is_named) {
  ck_assert_int_eq(system("sed -i '5s/^[^,]*/inf/' line.csv"), 0);
  char *output = run(&regression_models[MODEL_EPOCHS], 1, "--no-shuffle");
  ck_says(output, "line.mt:2: field x of train_set holds inf in row 4, at step 0\n");
  free(output);
}
END_TEST

START_TEST(a_bad_parameter_is_named) {
  train(MODEL_EPOCHS, "--epochs 1 --export w.safetensors");
  MtArchive archive;
  MtError error = {""};
  ck_assert(mt_read_safetensors("w.safetensors", &archive, &error));
  ((float *)mt_archive_find(&archive, "w")->data)[1] = NAN;
  ck_assert(mt_write_safetensors("w.safetensors", NULL, &archive, &error));
  mt_archive_free(&archive);
  char *output = run(&regression_models[MODEL_EPOCHS], 1, "--init w.safetensors");
  ck_says(output, "line.mt:5: net.w is not finite (nan at element 1) before step 0\n");
  free(output);
}
END_TEST

/* ---- the other commands ------------------------------------------------------------------------ */

START_TEST(eval_takes_the_best_weights) {
  train(MODEL_EPOCHS, "");
  char *output = run(&regression_models[MODEL_EPOCHS], 0, "eval"),
       *json = run(&regression_models[MODEL_EPOCHS], 0, "eval --json");
  double rmse, worst, least, loss;
  ck_says(output, "weights: line.run/net.best.safetensors\n");
  ck_assert_msg(
      sscanf(json, "{\"rmse\":%lf,\"worst\":%lf,\"least\":%lf,\"loss\":%lf}\n", &rmse, &worst, &least, &loss) == 4,
      "%s", json);
  ck_assert(rmse < 0.02 && least <= rmse && rmse <= worst);
  free(output);
  free(json);
}
END_TEST

/* Without columns: [rows]. */
static void write_rows(const char *path, int64_t rows, int columns) {
  int64_t n = rows * (columns ? columns : 1);
  float *x = calloc((size_t)n + 1, sizeof *x);
  MtArray array = {.type = MT_WIDE_F32, .rank = columns ? 2 : 1, .shape = {rows, columns}, .data = x};
  MtError error = {""};
  for (int64_t i = 0; i < n; i++) x[i] = (float)sin((double)i);
  ck_assert_msg(mt_write_npy(path, &array, &error), "%s", error.text);
  free(x);
}

START_TEST(predictions_come_in_batches_with_a_short_last_one) {
  static const int64_t rows[] = {1, 8, 21, 0};
  train(MODEL_EPOCHS, "");
  write_rows("in.npy", rows[_i], 3);
  free(run(&regression_models[MODEL_EPOCHS], 0, "predict in.npy -o out.npy"));
  MtArray out;
  MtError error = {""};
  ck_assert_msg(mt_read_npy("out.npy", &out, &error), "%s", error.text);
  ck_assert_int_eq(out.rank, 1);
  ck_assert_int_eq(out.shape[0], rows[_i]);
  for (int64_t i = 0; i < rows[_i]; i++) {
    double x[3] = {sin(3.0 * (double)i), sin(3.0 * (double)i + 1), sin(3.0 * (double)i + 2)};
    ck_assert_double_eq_tol((double)((float *)out.data)[i], truth(x), 0.05);
  }
  mt_array_free(&out);
}
END_TEST

/* A model that reads two fields a row, each from a file. */
START_TEST(fields_of_a_prediction_have_as_many_rows) {
  MtProgram program = regression_models[MODEL_EPOCHS];
  MtPredict two = *program.predict;
  two.n_fields = 2;
  program.predict = &two;
  train(MODEL_EPOCHS, "--epochs 1");
  write_rows("in.npy", 4, 3);
  write_rows("four.npy", 4, 0);
  write_rows("five.npy", 5, 0);
  ck_says(run(&program, 0, "predict in.npy four.npy -o out.npy"), "out.npy: [4]\n");
  ck_assert_str_eq(run(&program, 0, "predict in.npy four.npy -o out.npy --json"), "{\"rows\":4,\"output\":\"out.npy\"}\n");
  ck_assert_str_eq(run(&program, 0, "predict in.npy four.npy -o out.npy --quiet"), "");
  ck_assert_str_eq(run(&program, 1, "predict in.npy five.npy -o out.npy"),
                   "line: five.npy: field t: it has 5 rows, the fields before it have 4\n");
  ck_assert_str_eq(run(&program, 1, "predict in.npy in.npy -o out.npy"),
                   "line: in.npy: field t: the array is [4, 3], the model needs [rows]\n");
  ck_assert_str_eq(run(&program, 2, "predict in.npy -o out.npy"),
                   "line: predict: the model takes 2 files (x, ...), found 1\n`line --help` lists commands and options\n");
  ck_says(run(&program, 1, "predict in.npy four.npy -o out.png"), "line: out.png: a picture is made of [n, h, w]");
  MtPredict none = *program.predict;
  none.n_fields = 0;
  program.predict = &none;
  ck_assert_str_eq(run(&program, 2, "predict in.npy -o out.npy"),
                   "line: predict: the model takes 0 files (none), found 1\n`line --help` lists commands and options\n");
}
END_TEST

START_TEST(predictions_go_through_a_pipe) {
  train(MODEL_EPOCHS, "--epochs 1");
  write_rows("in.npy", 4, 3);
  free(shell_ok("mkfifo %s/pipe && { (cat %s/pipe >%s/copy.part && mv %s/copy.part %s/copy) & }", folder, folder, folder,
                folder, folder));
  free(run(&regression_models[MODEL_EPOCHS], 0, "predict in.npy -o pipe"));
  free(run(&regression_models[MODEL_EPOCHS], 0, "predict in.npy -o out.npy"));
  for (int i = 0; i < 500 && access("copy", F_OK); i++) usleep(10000);
  same_files("out.npy", "copy");
}
END_TEST

/* Results that cannot be written are no success. */
START_TEST(a_full_disk_is_no_success) {
  if (access("/dev/full", W_OK)) return;
  train(MODEL_EPOCHS, "--epochs 1");
  write_rows("in.npy", 4, 3);
  char *output = run(&regression_models[MODEL_EPOCHS], 1, "predict in.npy -o /dev/full");
  ck_assert_str_eq(output, "line: /dev/full: cannot write: No space left on device\n");
  free(output);
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (!child) {
    char *argv[] = {"./line", "eval", "--json", NULL};
    if (!freopen("/dev/full", "w", stdout) || !freopen("output", "w", stderr)) _exit(99);
    int status = mt_main(3, argv, &regression_models[MODEL_EPOCHS]);
    fflush(stderr);
    end_child(status);
  }
  ck_assert_int_eq(finish(child), 1);
  output = read_text("output");
  ck_assert_str_eq(output, "line: cannot write to standard output: No space left on device\n");
  free(output);
}
END_TEST

START_TEST(gradcheck_passes_right_gradients_and_finds_wrong_ones) {
  char *output = run(&regression_models[MODEL_EPOCHS], 0, "gradcheck");
  ck_says(output, "net.w ");
  ck_says(output, "2 parameters, worst relative error ");
  free(output);
  output = run(&regression_models[MODEL_WRONG_GRADIENT], 1, "gradcheck");
  ck_says(output, "WRONG");
  const char *bias = strstr(output, "net.b ");
  ck_assert(bias && strstr(bias, "  ok\n"));
  free(output);
}
END_TEST

START_TEST(bench_prints_its_figures) {
  double ms, min, max, peak;
  char *output = run(&regression_models[MODEL_EPOCHS], 0, "bench --steps 50 --json");
  ck_assert_msg(sscanf(output,
                       "{\"model\":\"line\",\"target\":\"c\",\"ms\":%lf,\"min\":%lf,\"max\":%lf,\"peak_MiB\":%lf}", &ms,
                       &min, &max, &peak) == 4,
                "%s", output);
  ck_assert(0 < min && min <= ms && ms <= max && max < 1000 && peak < 10);
  free(output);
}
END_TEST

START_TEST(the_first_gradients_can_be_written) {
  char *output = run(&regression_models[MODEL_EPOCHS], 0, "--dump-grads g.safetensors --no-shuffle");
  ck_says(output, "gradients: g.safetensors");
  MtArchive archive;
  MtError error = {""};
  ck_assert_msg(mt_read_safetensors("g.safetensors", &archive, &error), "%s", error.text);
  ck_assert_int_eq(archive.n_arrays, 3);
  const MtArray *loss = mt_archive_find(&archive, "loss"), *w = mt_archive_find(&archive, "net.w");
  ck_assert(loss && loss->rank == 0 && *(float *)loss->data > 0 && w && w->rank == 1 && w->shape[0] == 3);
  ck_assert_ptr_nonnull(mt_archive_find(&archive, "net.b"));
  mt_archive_free(&archive);
  ck_assert_int_ne(access("line.run", F_OK), 0);
  free(output);
}
END_TEST

START_TEST(help_lists_everything) {
  char *output = run(&regression_models[MODEL_EPOCHS], 0, "--help");
  static const char *const words[] = {"train",
                                      "eval",
                                      "predict",
                                      "gradcheck",
                                      "bench",
                                      "--epochs N",
                                      "--steps N",
                                      "--lr X",
                                      "--seed N",
                                      "--resume",
                                      "--init",
                                      "--export",
                                      "--save-dir DIR",
                                      "--data-dir DIR",
                                      "-o, --output FILE",
                                      "--no-shuffle",
                                      "--log-every N",
                                      "--dump-grads FILE",
                                      "--keep-going",
                                      "--tune",
                                      "-q, --quiet",
                                      "--json",
                                      "-h, --help",
                                      "--version",
                                      "update net using sgd",
                                      "30 epochs over train_set"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) ck_says(output, words[i]);
  free(output);
}
END_TEST

/* ---- misuse ----------------------------------------------------------------------------------------- */

static const struct { const char *arguments; int status; const char *message; } misuse[] = {
    {"trian", 2, "line: unknown command `trian`; did you mean `train`?\n"},
    {"frobnicate", 2, "line: unknown command `frobnicate`\n"},
    {"--epoch-count 3", 2, "line: unknown option --epoch-count\n"},
    {"--sav-dir=x", 2, "line: unknown option --sav-dir=x; did you mean --save-dir?\n"},
    {"--epochs", 2, "line: --epochs needs a value\n"},
    {"--epochs 0", 2, "line: --epochs: expected a whole number from 1, found `0`\n"},
    {"--epochs 2x", 2, "line: --epochs: expected a whole number from 1, found `2x`\n"},
    {"--lr -1", 2, "line: --lr: expected a positive number, found `-1`\n"},
    {"--seed one", 2, "line: --seed: expected a whole number, found `one`\n"},
    {"--epochs 2 --steps 3", 2, "line: --epochs and --steps exclude each other\n"},
    {"--resume --init w", 2, "line: --resume and --init exclude each other: a checkpoint has its own weights\n"},
    {"eval --epochs 3", 2, "line: --epochs does not go with `eval`\n"},
    {"train file", 2, "line: train takes no files, found `file`\n"},
    {"predict in.npy", 2, "line: predict: -o is missing: where should the result go?\n"},
    {"predict -o out.npy", 2, "line: predict: the model takes 1 file (x), found 0\n"},
    {"--resume", 1, "line: line.run/line.checkpoint.safetensors: there is no checkpoint to resume from; train without --resume first\n"},
    {"eval", 1, "line: there are no trained weights in line.run: train first, or name a file with --init\n"},
    {"--init missing.safetensors", 1, "line: missing.safetensors: no such file"},
    {"--data-dir nowhere", 1, "line: nowhere/line.csv: no such file"},
    {"--save-dir line.csv", 1, "line: line.csv: it is not a folder\n"},
    {"--save-dir line.csv/x", 1, "line: line.csv/x: cannot make this folder: Not a directory\n"},
    {"--export nowhere/w.safetensors", 1, "line: nowhere/w.safetensors: cannot write: No such file or directory\n"},
    {"predict line.csv -o out.npy", 1, "line: line.csv: "},
    {"predict in.npy -o nowhere/out.npy", 1, "line: nowhere/out.npy: cannot write: No such file or directory\n"},
};
enum { N_MISUSE = sizeof misuse / sizeof misuse[0] };

START_TEST(misuse_is_told) {
  char *output = run(&regression_models[MODEL_EPOCHS], misuse[_i].status, misuse[_i].arguments);
  ck_assert_msg(!strncmp(output, misuse[_i].message, strlen(misuse[_i].message)), "`%s` said:\n%s",
                misuse[_i].arguments, output);
  ck_assert_int_ne(access("line.run/net.safetensors", F_OK), 0);
  free(output);
}
END_TEST

START_TEST(inputs_of_another_shape_are_refused) {
  train(MODEL_EPOCHS, "--epochs 1");
  write_rows("in.npy", 4, 5);
  char *output = run(&regression_models[MODEL_EPOCHS], 1, "predict in.npy -o out.npy");
  ck_assert_str_eq(output, "line: in.npy: field x: the array is [4, 5], the model needs [rows, 3]\n");
  ck_assert_int_ne(access("out.npy", F_OK), 0);
  free(output);
}
END_TEST

START_TEST(another_seed_than_the_checkpoints_is_refused) {
  train(MODEL_EPOCHS, "--epochs 1 --seed 4");
  char *output = run(&regression_models[MODEL_EPOCHS], 1, "--resume --seed 5");
  ck_assert_str_eq(output, "line: --seed 5: the checkpoint in line.run was made with seed 4\n");
  free(output);
}
END_TEST

START_TEST(a_model_without_train_says_so) {
  static const char *const commands[] = {"", "eval", "predict -o x", "bench"}, *const messages[] = {
                                                                                   "no `train`", "no `eval`",
                                                                                   "no `predict`", "no `train`"};
  for (int i = 0; i < 4; i++) {
    char *output = run(&regression_bare, 2, commands[i]);
    ck_says(output, messages[i]);
    free(output);
  }
}
END_TEST

/* ---- a device that fails ------------------------------------------------------------------------- */

static int64_t device_calls, failing_call; /* from 1; of a child: the parent's are as they were */
static bool device_fails(MtRun *run) {
  if (++device_calls != failing_call) return false;
  snprintf(run->error, sizeof run->error, "the device failed");
  return mkdir("fired", 0777) == 0; /* for the parent */
}
static bool fail_open(MtRun *run, bool tf32) { return !device_fails(run) && mt_cpu.open(run, tf32); }
static void *fail_alloc(MtRun *run, size_t bytes) { return device_fails(run) ? NULL : mt_cpu.alloc(run, bytes); }
static bool fail_write(MtRun *run, void *to, const void *from, size_t bytes) {
  return !device_fails(run) && mt_cpu.write(run, to, from, bytes);
}
static bool fail_read(MtRun *run, void *to, const void *from, size_t bytes) {
  return !device_fails(run) && mt_cpu.read(run, to, from, bytes);
}
static bool fail_zero(MtRun *run, void *memory, size_t bytes) {
  return !device_fails(run) && mt_cpu.zero(run, memory, bytes);
}
static bool fail_wait(MtRun *run) { return !device_fails(run) && mt_cpu.wait(run); }
static bool fail_play(MtRun *run, int64_t key, void (*record)(MtRun *, void *), void *data) {
  return !device_fails(run) && mt_cpu.play(run, key, record, data);
}

static const struct {
  ModelKind model;
  const char *arguments;
} device_runs[] = {
    {MODEL_EPOCHS, "--epochs 1 --save-dir new"},
    {MODEL_ACCUMULATE, "--epochs 1 --save-dir new"},
    {MODEL_STEPS, "--steps 3 --log-every 1 --save-dir new"},
    {MODEL_EPOCHS, "--epochs 2 --save-dir started --resume"},
    {MODEL_EPOCHS, "eval --save-dir started"},
    {MODEL_EPOCHS, "predict in.npy -o out.npy --save-dir started"},
    {MODEL_EPOCHS, "gradcheck"},
    {MODEL_EPOCHS, "bench --steps 20"},
    {MODEL_EPOCHS, "bench --profile --steps 3"},
    {MODEL_EPOCHS, "--dump-grads g.safetensors"},
    {MODEL_EPOCHS, "--lr 1e30 --save-dir new"}, /* a loss that is not finite is looked for */
};
enum { N_DEVICE_RUNS = sizeof device_runs / sizeof device_runs[0] };

/* Each call of the device is failed in a run of its own: it ends with the device's message, and a run that was
 * stopped so goes on. */
START_TEST(a_device_that_fails_is_told) {
  MtBackend failing = mt_cpu;
  failing.open = fail_open, failing.alloc = fail_alloc, failing.write = fail_write, failing.read = fail_read;
  failing.zero = fail_zero, failing.wait = fail_wait, failing.play = fail_play;
  MtProgram program = regression_models[device_runs[_i].model];
  program.backend = &failing;
  write_rows("in.npy", 21, 3);
  train(MODEL_EPOCHS, "--epochs 1 --save-dir good");
  for (failing_call = 1;; failing_call++) {
    ck_assert_int_lt(failing_call, 2000);
    free(shell_ok("cd %s && rm -rf started new fired && cp -r good started", folder));
    int status = finish(start(&program, device_runs[_i].arguments));
    char *output = read_text("output");
    bool fired = !access("fired", F_OK), told = strstr(output, "the device failed\n") != NULL;
    ck_assert_msg(fired == told && (status == 1 || (status == 0 && !fired)), "%s, call %lld: status %d:\n%s",
                  device_runs[_i].arguments, (long long)failing_call, status, output);
    free(output);
    if (!fired) break;
  }
  ck_assert_int_gt(failing_call, 15);
}
END_TEST

/* ---- a device that chooses how it multiplies ------------------------------------------------------ */

static void say_tuned(MtRun *run, bool on) { (void)run, printf("tuned: %d\n", on); }
static char *three_choices(const MtRun *run) { return (void)run, strdup("3 1 4"); }
static bool say_chosen(MtRun *run, const char *text) { return (void)run, printf("chosen: %s\n", text) > 0; }
static bool choose_none(MtRun *run, const char *text) {
  return snprintf(run->error, sizeof run->error, "no such choice: %s", text) < 0;
}

START_TEST(choices_are_kept_for_a_resumed_run) {
  MtBackend choosing = mt_cpu;
  choosing.tune = say_tuned, choosing.choices = three_choices, choosing.choose = say_chosen;
  MtProgram program = regression_models[MODEL_EPOCHS];
  program.backend = &choosing;
  char *output = run(&program, 0, "--epochs 1 --tune");
  ck_says(output, "tuned: 1\n");
  ck_assert_ptr_null(strstr(output, "chosen"));
  free(output);
  output = run(&program, 0, "--epochs 2 --resume");
  ck_says(output, "chosen: 3 1 4\n");
  ck_assert_ptr_null(strstr(output, "tuned"));
  free(output);
  choosing.choose = choose_none;
  output = run(&program, 1, "--epochs 3 --resume");
  ck_says(output, "line: no such choice: 3 1 4\n");
  free(output);
  train(MODEL_EPOCHS, "--epochs 3 --resume"); /* a device that has nothing to choose */
}
END_TEST

Suite *trainer_suite(void) {
  Suite *suite = suite_create("trainer");
  TCase *training = tcase_create("training");
  tcase_set_timeout(training, 60);
  tcase_add_checked_fixture(training, set_up, NULL);
  tcase_add_loop_test(training, training_finds_the_line, MODEL_EPOCHS, MODEL_ACCUMULATE + 1);
  tcase_add_test(training, a_line_an_epoch_and_metrics_always);
  tcase_add_test(training, a_bar_is_drawn_on_terminals_only);
  tcase_add_test(training, quiet_prints_nothing_and_json_prints_objects);
  tcase_add_test(training, logs_are_weighted_by_rows);
  tcase_add_test(training, seeds_repeat_and_differ);
  tcase_add_test(training, accumulated_gradients_are_averaged_by_rows);
  tcase_add_test(training, the_rate_is_scaled_to_its_highest);
  tcase_add_test(training, weights_travel_by_export_and_init);
  tcase_add_test(training, several_best_values_have_files_of_their_own);
  suite_add_tcase(suite, training);
  TCase *stopping = tcase_create("stopping");
  tcase_set_timeout(stopping, 60);
  tcase_add_checked_fixture(stopping, set_up, NULL);
  tcase_add_loop_test(stopping, a_resumed_run_ends_with_the_same_bits, 0, 10);
  tcase_add_test(stopping, resuming_keeps_metrics_up_to_its_step);
  tcase_add_loop_test(stopping, signals_save_and_say_how_to_go_on, 0, 2);
  tcase_add_test(stopping, a_finished_run_has_nothing_to_resume);
  tcase_add_test(stopping, a_value_that_is_not_finite_stops_the_run_by_name);
  tcase_add_test(stopping, a_bad_row_is_named);
  tcase_add_test(stopping, a_bad_parameter_is_named);
  suite_add_tcase(suite, stopping);
  TCase *commands = tcase_create("commands");
  tcase_set_timeout(commands, 60);
  tcase_add_checked_fixture(commands, set_up, NULL);
  tcase_add_test(commands, eval_takes_the_best_weights);
  tcase_add_loop_test(commands, predictions_come_in_batches_with_a_short_last_one, 0, 4);
  tcase_add_test(commands, fields_of_a_prediction_have_as_many_rows);
  tcase_add_test(commands, predictions_go_through_a_pipe);
  tcase_add_test(commands, a_full_disk_is_no_success);
  tcase_add_test(commands, gradcheck_passes_right_gradients_and_finds_wrong_ones);
  tcase_add_test(commands, bench_prints_its_figures);
  tcase_add_loop_test(commands, a_device_that_fails_is_told, 0, N_DEVICE_RUNS);
  tcase_add_test(commands, choices_are_kept_for_a_resumed_run);
  tcase_add_test(commands, the_first_gradients_can_be_written);
  tcase_add_test(commands, help_lists_everything);
  tcase_add_loop_test(commands, misuse_is_told, 0, N_MISUSE);
  tcase_add_test(commands, inputs_of_another_shape_are_refused);
  tcase_add_test(commands, another_seed_than_the_checkpoints_is_refused);
  tcase_add_test(commands, a_model_without_train_says_so);
  suite_add_tcase(suite, commands);
  return suite;
}
