/* name.c - what nodes are called: call path, then binding, then the operation.
 *
 * In `let h = a * b + c * d` of the instance net.fc1 the first product is
 * net.fc1.h.mul.  The second one would be too, so its place in the expression
 * comes in between: net.fc1.h.rhs.mul.  So a line added to a model changes the
 * names of that line only.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/lower.h"

#define uthash_fatal(what) out_of_memory()
#include <uthash.h>

struct Claim {
  const char *name;
  UT_hash_handle hh;
};

static bool take(Lower *l, const char *name) {
  Claim *claim;
  HASH_FIND_STR(l->claims, name, claim); // GCOV_EXCL_BR_LINE: uthash's
  if (claim) return false;
  claim = arena_alloc(l->arena, sizeof *claim);
  claim->name = name;
  HASH_ADD_KEYPTR(hh, l->claims, claim->name, strlen(claim->name), claim); // GCOV_EXCL_BR_LINE: uthash's
  return true;
}

const char *claim(Lower *l, const char *role) {
  const char *name = join(l, l->prefix, role);
  if (take(l, name)) return name;
  if (l->spot) name = join(l, join(l, l->prefix, l->spot), role);
  if (l->spot && take(l, name)) return name;
  for (int i = 2;; i++) { /* one place, reached more than once: an instance called twice there */
    const char *again = arena_print(l->arena, "%s.%d", name, i);
    if (take(l, again)) return again;
  }
}

const char *claim_path(Lower *l, const char *path) {
  const char *dot = strrchr(path, '.');
  return take(l, path) ? path : claim(l, dot ? dot + 1 : path);
}

Claim *claims_start(Lower *l) {
  Claim *before = l->claims;
  l->claims = NULL;
  return before;
}

void claims_end(Lower *l, Claim *before) {
  HASH_CLEAR(hh, l->claims); /* the entries are the arena's */ // GCOV_EXCL_BR_LINE: uthash's
  l->claims = before;
}

Builder builders(Lower *l, const Expr *e, const char *name) {
  return (Builder){l->graph, place(l, e->at), claim(l, name)};
}

/* For a single node the builder's own role is the name's end, and node_new keeps it unique. */
Builder builder(Lower *l, const Expr *e) {
  const char *prefix = l->prefix && *l->prefix ? l->prefix : "value";
  return (Builder){l->graph, place(l, e->at), l->spot ? join(l, prefix, l->spot) : prefix};
}

Value eval_at(Lower *l, const Expr *e, const char *spot) {
  const char *saved = l->spot;
  l->spot = join(l, saved, spot);
  Value v = eval(l, e);
  l->spot = saved;
  return v;
}

Value eval_named(Lower *l, const Expr *e, const char *name) {
  const char *prefix = l->prefix, *spot = l->spot;
  l->prefix = join(l, prefix, name);
  l->spot = NULL;
  Value v = eval(l, e);
  l->prefix = prefix;
  l->spot = spot;
  return v;
}
