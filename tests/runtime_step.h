/* runtime_step.h - forward and backward of runtime_model.c for one `real`.
 * Arena: y, then dy, one a row each. */

static void NAME(forward)(MtRun *run, const void *const *batch, int64_t rows) {
  real *y = run->arena;
  const real *params = run->params;
  if (mt_go(run)) mt_gemm(run, MT_NN, rows, 1, IN, batch[0], params, y);
  if (mt_go(run))
    for (int64_t i = 0; i < rows; i++)
      y[i] += params[IN] +
              (real)0.01 * (mt_uniform(run->scalars, 0x1234u, (uint64_t)(run->scalars->position + i)) - (real)0.5);
}

static void NAME(gradients)(MtRun *run, const void *const *batch, int64_t rows) {
  real *y = run->arena, *dy = y + CAPACITY, *outputs = run->outputs, *grads = run->grads;
  const real *x = batch[0], *t = batch[1];
  NAME(forward)(run, batch, rows);
  if (mt_go(run)) {
    outputs[MEAN] = outputs[LOSS] = 0;
    for (int64_t i = 0; i < rows; i++) {
      real error = y[i] - t[i];
      outputs[MEAN] += y[i] / rows;
      outputs[LOSS] += error * error / rows;
      dy[i] = 2 * error / rows;
    }
  }
  if (mt_go(run)) {
    for (int k = 0; k <= IN; k++) grads[k] = 0;
    for (int64_t i = 0; i < rows; i++) {
      for (int k = 0; k < IN; k++) grads[k] += dy[i] * x[i * IN + k];
      grads[IN] += dy[i];
    }
  }
}
