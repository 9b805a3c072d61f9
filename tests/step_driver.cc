/* step_driver.cc - runs a step of an emitted CUDA program on given blocks: on a
 * GPU, or linked with the emulator.
 *
 *   driver TIMES <call >results
 *
 * Each time under another schedule; one that gives other bits is an error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "runtime/backend.h"
#include "tests/step_driver.h"

extern int (*const mains[])(int, char **); /* of the programs: generated beside them */
extern "C" const MtBackend mt_cuda;

static const MtProgram *program;
extern "C" int catch_program(int, char **, const MtProgram *p) { return program = p, 0; }

[[noreturn]] static void give_up(const char *why) {
  fprintf(stderr, "driver: %s\n", why);
  exit(1);
}

static std::vector<char> read_bytes(size_t bytes) {
  std::vector<char> block(bytes);
  if (fread(block.data(), 1, bytes, stdin) != bytes) give_up("the call is cut short");
  return block;
}

static void *on_device(MtRun *run, const std::vector<char> &block) {
  void *memory = mt_cuda.alloc(run, block.size() + 1);
  if (!memory || !mt_cuda.write(run, memory, block.data(), block.size())) give_up(run->error);
  return memory;
}

struct Work {
  MtStep step;
  const void *const *batch;
  int64_t rows;
};
static void record(MtRun *run, void *data) {
  const Work *work = (const Work *)data;
  work->step(run, work->batch, work->rows);
}

int main(int argc, char **argv) {
  StepCall call;
  if (fread(&call, sizeof call, 1, stdin) != 1) give_up("there is no call");
  mains[call.program](0, nullptr);
  const MtTrain *train = program->train;
  std::vector<char> params = read_bytes(call.params), states = read_bytes(call.states), first;
  std::vector<std::vector<char>> fields;
  for (int64_t i = 0; i < call.n_fields; i++) fields.push_back(read_bytes(call.field[i]));
  size_t outputs = (size_t)train->size.outputs * call.real_size;
  std::vector<char> scalars((char *)&call.scalars, (char *)(&call.scalars + 1));
  for (int time = 1; time <= (argc > 1 ? atoi(argv[1]) : 1); time++) {
    setenv("MTC_SCHEDULE", std::to_string(time).c_str(), 1);
    MtRun run = {};
    run.backend = &mt_cuda;
    run.program = program;
    run.real_size = (int)call.real_size;
    run.budget = -1;
    if (!mt_cuda.open(&run, false)) give_up(run.error);
    run.scalars = (MtScalars *)on_device(&run, scalars);
    run.params = on_device(&run, params);
    run.states = on_device(&run, states);
    run.new_states = on_device(&run, std::vector<char>(call.states, (char)0xff));
    run.grads = on_device(&run, std::vector<char>(call.params, (char)0xff));
    run.outputs = on_device(&run, std::vector<char>(outputs, (char)0xff));
    run.arena = on_device(&run, std::vector<char>(mt_arena_bytes(train->size, (int)call.real_size), (char)0xff));
    std::vector<const void *> batch;
    for (auto &field : fields) batch.push_back(on_device(&run, field));
    Work work = {call.real_size == 8 ? train->phases[0].gradients_f64 : train->phases[0].gradients, batch.data(), call.rows};
    std::vector<char> results(call.params + call.states + outputs);
    if (!mt_cuda.play(&run, 0, record, &work) || !mt_cuda.read(&run, results.data(), run.grads, call.params) ||
        !mt_cuda.read(&run, results.data() + call.params, run.new_states, call.states) ||
        !mt_cuda.read(&run, results.data() + call.params + call.states, run.outputs, outputs) || !mt_cuda.wait(&run))
      give_up(run.error);
    if (time == 1) first = results;
    if (results != first) give_up("another schedule gives other bits");
    mt_cuda.close(&run);
  }
  if (fwrite(first.data(), 1, first.size(), stdout) != first.size() || fflush(stdout)) give_up("cannot write");
  return 0;
}
