/* models.h - random models, trained: by the evaluator, and as what a trainer left in a folder. */
#ifndef MTC_TESTS_RANDOM_MODELS_H
#define MTC_TESTS_RANDOM_MODELS_H

#include "ir/ir.h"

/* Writes FOLDER/m.mt and its arrays x.npy, t.npy, y.npy; says what went wrong. */
bool random_model(uint64_t seed, const char *folder);

/* Named rows of numbers: what training comes to. */
typedef struct Series {
  const char *name; /* "loss", a log, "net.w", "optimizer.m.net.w", "gradient of net.w", "predicted" */
  int64_t count;
  double *data;
} Series;
typedef struct Course {
  Arena *arena;
  int n;
  Series *at;
} Course;

/* course.c: the program as lowered, trained by the evaluator from FOLDER's arrays.  With a `shake` values are
 * rounded as a target would and parameters moved by so much, up and down in turn, at first and after each step. */
Course course_evaluated(Program *program, const char *folder, double shake);
/* result.c: what a trainer left in FOLDER/RUN: metrics.csv, the checkpoint, grads.safetensors, out.npy.  False: said. */
bool course_read(const char *folder, const char *run, Arena *arena, Course *out);
/* NULL, or what differs; up and down: courses shaken by as much as rounding may do. */
const char *course_differs(const Course *want, const Course *up, const Course *down, const Course *got);

#endif
