/* main.c - a trainer's whole life: options, a session, one command. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/trainer.h"

static const struct { int needs, real_size; int (*run)(MtSession *s); } commands[MT_N_COMMANDS] = {
    [MT_COMMAND_TRAIN] = {MT_NEED_TRAIN | MT_NEED_EVALS | MT_NEED_UPDATES, 4, mt_train},
    [MT_COMMAND_EVAL] = {MT_NEED_EVALS, 4, mt_eval_command},
    [MT_COMMAND_PREDICT] = {MT_NEED_PREDICT, 4, mt_predict_command},
    [MT_COMMAND_SAMPLE] = {MT_NEED_SAMPLE, 4, mt_sample_command},
    [MT_COMMAND_GRADCHECK] = {MT_NEED_TRAIN, 8, mt_gradcheck},
    [MT_COMMAND_BENCH] = {MT_NEED_TRAIN | MT_NEED_UPDATES, 4, mt_bench},
};

/* A message that begins with FILE:LINE stays as editors like it. */
static void complain(const MtSession *s) {
  const char *text = s->error.text[0] ? s->error.text : s->run.error;
  if (text[0])
    fprintf(stderr, "%s%s%s\n", s->error_is_located ? "" : s->program->name, s->error_is_located ? "" : ": ", text);
}

/* Results that went to a full disk must not look like success. */
static bool stdout_is_written(MtSession *s) {
  if (!fflush(stdout) && !ferror(stdout)) return true;
  return mt_error(&s->error, "cannot write to standard output: %s", strerror(errno));
}

int mt_main(int argc, char **argv, const MtProgram *program) {
  MtOptions options;
  int status = mt_parse_options(&options, argc, argv, program);
  if (status >= 0) return status;
  MtSession *s = calloc(1, sizeof *s);
  if (!s) return perror(program->name), EXIT_FAILURE;
  status = EXIT_FAILURE;
  if (mt_session_open(s, program, &options, commands[options.command].needs, commands[options.command].real_size))
    status = commands[options.command].run(s);
  if (!stdout_is_written(s) && status == EXIT_SUCCESS) status = EXIT_FAILURE;
  if (status != EXIT_SUCCESS) complain(s);
  mt_session_close(s);
  free(s);
  return status;
}
