/* frontend.h - text to IR: what the driver calls. */
#ifndef MTC_FRONTEND_FRONTEND_H
#define MTC_FRONTEND_FRONTEND_H

#include "ir/ir.h"

typedef struct DimOverride { /* -D NAME=N */
  const char *name;
  int64_t size;
} DimOverride;

typedef struct FrontendOptions {
  int n_dims;
  const DimOverride *dims;
} FrontendOptions;

/* Parse, check and lower a model and the files it uses.  NULL when any error
 * was reported.  The program has run no pass: `update`s have losses but no
 * gradients yet, and `grad` nodes stand as written. */
Program *compile(const Source *source, const FrontendOptions *options, Arena *arena, Diagnostics *d);

/* The one layout of a model's text, or NULL when it does not parse. */
char *format(const Source *source, Arena *arena, Diagnostics *d);

#endif
