/* update_groups.c - groups of parameters that can be stretches of one block.
 *
 * The plan puts parameters in the order of the update groups.  Here that order
 * is made: within a group those that later updates move too come last, beside
 * what those move alone.  So a group is one stretch of the block wherever that
 * can be; one that cannot, because updates divide the same parameters in
 * different ways, becomes several.
 */
#include <string.h>

#include "passes/internal.h"

typedef struct Order {
  Program *program;
  Arena *arena;
  int **owner;        /* by update and parameter: the group that moves it, or -1 */
  int n, *params;     /* in the order of the block */
  int *place;         /* by parameter; -1: none yet */
} Order;

static void find_owners(Order *o) {
  const Train *t = &o->program->train;
  o->owner = arena_alloc(o->arena, sizeof *o->owner * ((size_t)t->n_updates + 1));
  for (int u = 0; u < t->n_updates; u++) {
    o->owner[u] = arena_alloc(o->arena, sizeof **o->owner * ((size_t)o->program->n_params + 1));
    for (int p = 0; p < o->program->n_params; p++) o->owner[u][p] = -1;
    for (int g = 0; g < t->updates[u].n_groups; g++)
      for (int i = 0; i < t->updates[u].groups[g].n_params; i++) o->owner[u][t->updates[u].groups[g].params[i]] = g;
  }
}

/* By the groups of updates from `update` on. */
static bool stands_behind(const Order *o, int update, int a, int b) {
  for (int u = update; u < o->program->train.n_updates; u++)
    if (o->owner[u][a] != o->owner[u][b]) return o->owner[u][a] > o->owner[u][b];
  return false;
}

static void place(Order *o, int param) {
  o->place[param] = o->n;
  o->params[o->n++] = param;
}

/* What earlier groups have left of it, sorted; equals stay in their order. */
static void place_group(Order *o, int update, const UpdateGroup *group) {
  int first = o->n;
  for (int i = 0; i < group->n_params; i++) {
    if (o->place[group->params[i]] >= 0) continue;
    place(o, group->params[i]);
    for (int k = o->n - 1; k > first && stands_behind(o, update + 1, o->params[k - 1], o->params[k]); k--) {
      int param = o->params[k];
      o->params[k] = o->params[k - 1], o->params[k - 1] = param;
      o->place[o->params[k]] = k, o->place[param] = k - 1;
    }
  }
}

static void sort_by_place(const Order *o, UpdateGroup *group) {
  const int *given = group->params;
  group->params = arena_alloc(o->program->arena, sizeof *given * ((size_t)group->n_params + 1));
  for (int i = 0; i < group->n_params; i++) group->params[i] = given[i];
  for (int i = 1; i < group->n_params; i++)
    for (int k = i; k > 0 && o->place[group->params[k - 1]] > o->place[group->params[k]]; k--) {
      int param = group->params[k];
      group->params[k] = group->params[k - 1], group->params[k - 1] = param;
    }
}

/* A group for each stretch. */
static void split_update(Order *o, Update *update) {
  Update split = *update;
  split.groups = NULL, split.n_groups = 0;
  for (int g = 0; g < update->n_groups; g++) {
    UpdateGroup rest = update->groups[g];
    sort_by_place(o, &rest);
    do {
      UpdateGroup one = rest;
      one.n_params = rest.n_params > 0;
      while (one.n_params < rest.n_params && o->place[rest.params[one.n_params]] == o->place[rest.params[one.n_params - 1]] + 1) one.n_params++;
      LIST_PUSH(o->program->arena, split.groups, split.n_groups, one);
      rest.params += one.n_params, rest.n_params -= one.n_params;
    } while (rest.n_params);
  }
  *update = split;
}

/* All updates of a step share the room for hyper-parameters. */
static void check_room(PassContext *context) {
  const Train *t = &context->program->train;
  for (int u = 0, n = 0; u < t->n_updates; n += t->updates[u++].n_groups) {
    if (n + t->updates[u].n_groups <= MAX_GROUPS) continue;
    int more = n + t->updates[u].n_groups;
    report(context->diagnostics, E0507, t->updates[u].groups[MAX_GROUPS - n].span,
           n ? "a step has room for %d groups, with those before it this update has %d"
             : "a step has room for %d groups, this update has %d",
           MAX_GROUPS, more);
    return;
  }
}

void order_update_groups(PassContext *context) {
  Program *program = context->program;
  Train *t = &program->train;
  Order o = {.program = program, .arena = arena_new()};
  size_t room = (size_t)program->n_params + 1;
  o.params = arena_alloc(o.arena, room * sizeof *o.params);
  o.place = arena_alloc(o.arena, room * sizeof *o.place);
  for (int i = 0; i < program->n_params; i++) o.place[i] = -1;
  find_owners(&o);
  for (int u = 0; u < t->n_updates; u++)
    for (int g = 0; g < t->updates[u].n_groups; g++) place_group(&o, u, &t->updates[u].groups[g]);
  for (int u = 0; u < t->n_updates; u++) split_update(&o, &t->updates[u]);
  check_room(context);
  arena_free(o.arena);
}
