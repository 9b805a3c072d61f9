/* runtime_model.c - see runtime_model.h.  The step is written once, in
 * runtime_step.h, and compiled for float and for double. */
#include "runtime/mtrt_math.h"

#include "tests/runtime_model.h"

enum { IN = MODEL_INPUTS, CAPACITY = MODEL_BATCH };
enum { ARENA_BYTES = 2 * CAPACITY * 4, LOSS = 1, MEAN = 0 }; /* outputs: mean, loss */

#define real float
#define NAME(x) x##_f32
#include "tests/runtime_step.h"
#undef real
#undef NAME
#define real double
#define NAME(x) x##_f64
#include "tests/runtime_step.h"

static void evaluate_batch(MtRun *run, const void *const *batch, int64_t rows) {
  const float *t = batch[1], *y = run->arena, *params = run->params;
  float *outputs = run->outputs;
  mt_gemm(run, MT_NN, rows, 1, IN, batch[0], params, run->arena);
  outputs[0] = 0, outputs[1] = -INFINITY, outputs[2] = INFINITY;
  for (int64_t i = 0; i < rows; i++) {
    float error = fabs(y[i] + params[IN] - t[i]);
    outputs[0] += error * error;
    outputs[1] = mt_maximum(outputs[1], error);
    outputs[2] = mt_minimum(outputs[2], error);
  }
}

static void evaluate_finish(MtRun *run, const void *const *sums, int64_t rows) {
  float *outputs = run->outputs;
  outputs[0] = sqrt(*(const float *)sums[0] / rows);
  outputs[1] = *(const float *)sums[1];
  outputs[2] = *(const float *)sums[2];
  outputs[3] = *(const float *)sums[0] / rows;
}

static void predict_rows(MtRun *run, const void *const *batch, int64_t rows) {
  float *outputs = run->outputs;
  mt_gemm(run, MT_NN, rows, 1, IN, batch[0], run->params, outputs);
  for (int64_t i = 0; i < rows; i++) outputs[i] += ((const float *)run->params)[IN];
}

static void wrong_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  gradients_f64(run, batch, rows);
  ((double *)run->grads)[1] *= 1.001;
}

/* The rate falls linearly to 0; highest at step 0. */
static void update(MtRun *run, const MtEnd *end) {
  MtScalars *s = run->scalars;
  s->done = s->step;
  const double row[5] = {0.1 * (1 - (double)s->step / (double)(s->total ? s->total : 1)) * s->lr_scale, 0.9, 0, 0, 0};
  for (int i = 0; i < 5; i++) s->hyper[0][i] = row[i];
  mt_check_gradients(run, end, 0, IN + 1);
  mt_sgd(run, 0, 0, IN + 1);
  mt_finish(run, end);
}

static const MtTensor params[] = {
    {"net.w", 1, {IN}, 0, MT_UNIFORM, -0.5, 0.5, "line.mt:5", NULL},
    {"net.b", 0, {0}, IN, MT_CONSTANT, 0, 0, "line.mt:6", NULL},
};
static const MtField fields[] = {{"x", MT_F32, 1, {IN}, 0, 0, 0}, {"t", MT_F32, 0, {0}, 0, 0, 0}};
static const char *const paths[] = {"line.csv"};
static const MtData data[] = {
    {"train_set", MT_CSV, 1, paths, 2, fields, CAPACITY, false, 0, 0, 0, "line.mt:2"},
    {"test_set", MT_CSV, 1, paths, 2, fields, CAPACITY, false, 20, 0, 0, "line.mt:3"},
};
static const MtValue values[] = {
    {0, "net.mm", "line.mt:7", MT_IN_ARENA, 0, CAPACITY, 1, 0},
    {1, "net.y", "line.mt:7", MT_IN_ARENA, 0, CAPACITY, 1, 0},
    {2, "loss", "line.mt:11", MT_IN_OUTPUTS, MEAN, 2, 0, 0},
    {3, "grad.net.w", "line.mt:7", MT_IN_GRADS, 0, IN, 0, 0},
    {3, "grad.net.b", "line.mt:7", MT_IN_GRADS, IN, 1, 0, 0},
};
static const MtLog logs[] = {{"mean", MEAN}, {"loss", LOSS}};
static const MtGroup groups[] = {{"net", "sgd", 1, {"buf"}, 0, IN + 1, 0}};
static const MtAccumulator accumulators[] = {{'+', 0, 1}, {'>', 1, 1}, {'<', 2, 1}};
static const MtLog eval_logs[] = {{"rmse", 0}, {"worst", 1}, {"least", 2}, {"loss", 3}};
static const MtEval evals[] = {
    {1, evaluate_batch, {ARENA_BYTES, 3}, 3, accumulators, evaluate_finish, {0, 4}, 4, eval_logs}};
static const MtAction actions[] = {{'e', 0, 0}, {'l', 0, "rmse"}, {'h', 0, "least"}};
static const MtEvery one_watch[] = {{1, MT_EPOCHS, 2, actions}}, two_watches[] = {{5, MT_STEPS, 3, actions}};
static const MtPredict predict = {1, fields, CAPACITY, predict_rows, {ARENA_BYTES, CAPACITY}, 0, {0}, true};

#define PHASE(wide) {{gradients_f32, wide, update, 1, LOSS, 0, IN + 1, 0, 2, 0, 1, 4, 5, values, 0, NULL}}
static const MtPhase right[] = PHASE(gradients_f64), wrong[] = PHASE(wrong_gradients);
#define TRAIN(count, unit, accumulate, phases, every)                                                                  \
  {                                                                                                                    \
    0, true, 7, count, unit, accumulate, false, 1, phases, {ARENA_BYTES, 2}, 2, logs, 1, groups, 1, every, 0, NULL, NULL             \
  }
static const MtTrain trains[N_MODELS] = {
    [MODEL_EPOCHS] = TRAIN(30, MT_EPOCHS, 1, right, one_watch),
    [MODEL_STEPS] = TRAIN(100, MT_STEPS, 1, right, one_watch),
    [MODEL_ACCUMULATE] = TRAIN(30, MT_EPOCHS, 3, right, one_watch),
    [MODEL_WRONG_GRADIENT] = TRAIN(30, MT_EPOCHS, 1, wrong, one_watch),
    [MODEL_TWO_WATCHES] = TRAIN(30, MT_EPOCHS, 1, right, two_watches),
};
#define PROGRAM(kind)                                                                                                  \
  { "line", "line.mt", &mt_cpu, 2, 0, 2, 1, IN + 1, 0, params, NULL, data, &trains[kind], evals, &predict, NULL, 0, NULL }
const MtProgram regression_models[N_MODELS] = {PROGRAM(0), PROGRAM(1), PROGRAM(2), PROGRAM(3), PROGRAM(4)};
const MtProgram regression_bare = {"line", "line.mt", &mt_cpu, 2,    0,    0,    0,   IN + 1,
                                   0,      params,    NULL,    NULL, NULL, NULL, NULL, NULL, 0,    NULL};
