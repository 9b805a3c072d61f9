/* runtime_model.h - a trainer written by hand: noisy linear regression.
 *
 *   y = x w + b + 0.01 (uniform - 0.5),  loss = mean((y - t)^2),  SGD
 *
 * It stands where mtc's output would, so that the runtime is tested without
 * the compiler.
 */
#ifndef MTC_TESTS_RUNTIME_MODEL_H
#define MTC_TESTS_RUNTIME_MODEL_H

#include "runtime/mtrt.h"

typedef enum ModelKind {
  MODEL_EPOCHS,
  MODEL_STEPS,
  MODEL_ACCUMULATE,
  MODEL_WRONG_GRADIENT,
  MODEL_TWO_WATCHES,
  N_MODELS
} ModelKind;
extern const MtProgram regression_models[N_MODELS];
extern const MtProgram regression_bare; /* neither train, eval nor predict */
enum { MODEL_ROWS = 50, MODEL_INPUTS = 3, MODEL_BATCH = 8 };

#endif
