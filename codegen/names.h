/* names.h - identifiers of the generated program, made of stable node names. */
#ifndef MTC_CODEGEN_NAMES_H
#define MTC_CODEGEN_NAMES_H

#include "ir/ir.h"

/* A scope: names taken so far; what an enclosing scope holds is taken too. */
typedef struct Names Names;
Names *names_new(Arena *arena, const Names *outer);
/* `wanted` as a C identifier that nothing else has: "x", "x_2" ... */
const char *names_take(Names *names, const char *wanted);
/* Outside of kernels, whose loops have them: `i`, `t` and such stay as they are. */
const char *names_take_letter(Names *names, const char *wanted);
bool names_has(const Names *names, const char *name);

/* First components of paths that say nothing: the one instance ("net" when no
 * other has parameters) and the batch variables ("d"). */
typedef struct Roots {
  Arena *arena;
  int n;
  const char **root;
  const char **dims; /* identifiers of the program's symbols */
} Roots;
Roots roots_of(const Program *program, Arena *arena, Names *globals); /* the dims are taken in `globals` */

/* "net.fc1.mm" -> "fc1_mm", "grad.update0.net.fc1.mm" -> "d_fc1_mm": the path without its root. */
const char *name_of_path(const Roots *roots, const char *path);
/* What n paths have in common, without operators at the end: "net.l1.norm.mul", "net.l2.norm.mul" -> "norm". */
const char *name_in_common(const Roots *roots, const char *const *paths, int n);
/* One identifier for a value inside a kernel: the last component, or two when
 * the last only names an operator. */
const char *name_short(const Roots *roots, const char *path);

#endif
