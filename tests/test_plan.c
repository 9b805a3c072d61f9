/* test_plan.c - memory: nothing overlaps while alive, and bytes are used again. */
#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuse_models.h"
#include "tests/graph_kit.h"

static int64_t bytes_of(const Node *n) { return (type_bytes(&n->type) + 255) / 256 * 256; }

static const Node *root_of(const Node *n) {
  while (n->home == HOME_ALIAS) n = n->in[0];
  return n;
}

typedef struct Life {
  const Node *value;
  int birth, death;
} Life;

/* Written anew, on purpose, with nothing of the planner's. */
static int find_lives(const Graph *g, Life *lives) {
  int n = 0;
  for (int i = 0; i < g->n_nodes; i++) {
    const Node *value = g->nodes[i];
    if (value->home != HOME_ARENA) continue;
    Life life = {value, value->op == OP_result ? value->in[0]->id : i, i};
    for (int u = 0; u < g->n_nodes; u++)
      for (int k = 0; k < g->nodes[u]->n_in; k++)
        if (g->nodes[u]->op != OP_result && root_of(g->nodes[u]->in[k]) == value && u > life.death) life.death = u;
    for (int o = 0; o < g->n_outputs; o++)
      if (root_of(g->outputs[o].node) == value) life.death = g->n_nodes;
    lives[n++] = life;
  }
  return n;
}

/* b takes over a's bytes: a group's result, at the moment a dies. */
static bool is_in_place(const Life *a, const Life *b) {
  return a->death == b->birth && a->value->offset == b->value->offset && b->value->op == OP_result &&
         b->value->in[0]->attrs.pattern != PATTERN_COLUMN && type_bytes(&a->value->type) == type_bytes(&b->value->type);
}

static int check_arena(const Graph *g) {
  Life *lives = calloc((size_t)g->n_nodes + 1, sizeof *lives);
  int n = find_lives(g, lives), in_place = 0;
  int64_t peak = 0;
  for (int i = 0; i < n; i++) {
    const Node *a = lives[i].value;
    ck_assert_int_eq(a->offset % 256, 0);
    if (a->offset + bytes_of(a) > peak) peak = a->offset + bytes_of(a);
    for (int k = 0; k < i; k++) {
      const Node *b = lives[k].value;
      bool apart = a->offset + bytes_of(a) <= b->offset || b->offset + bytes_of(b) <= a->offset;
      bool never = lives[i].death < lives[k].birth || lives[k].death < lives[i].birth;
      bool taken = is_in_place(&lives[k], &lives[i]) || is_in_place(&lives[i], &lives[k]);
      in_place += !apart && !never && taken;
      ck_assert_msg(apart || never || taken, "%s and %s share bytes", a->name, b->name);
    }
  }
  ck_assert_int_eq(g->arena_bytes, peak);
  free(lives);
  return in_place;
}

static void run_passes(Program *program, Diagnostics *d, int level) {
  PassContext context = model_context(program, d, level);
  pass_fuse(&context);
  pass_schedule(&context);
  pass_plan(&context);
  const char *wrong = program_verify(program, program->arena);
  ck_assert_msg(!wrong, "%s", wrong);
}

static int64_t plan_mlp(int level, int *in_place) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *program = model_new(arena);
  Graph *g = program->train.graph;
  graph_output(g, OUT_VALUE, "out", model_mlp(g, 6, 64, 256)); /* products too large for kernels of their maps */
  run_passes(program, d, level);
  *in_place = check_arena(g);
  int64_t bytes = g->arena_bytes;
  diagnostics_free(d);
  arena_free(arena);
  return bytes;
}

START_TEST(bytes_are_used_again) {
  int in_place, apart;
  ck_assert_int_eq(plan_mlp(2, &in_place), 2 * 64 * 256 * 4); /* a matmul's operand and its result */
  ck_assert_int_eq(in_place, 5);                             /* the last relu goes to its slot */
  ck_assert_int_eq(plan_mlp(0, &apart), (6 * 2 + 5) * 64 * 256 * 4);
  ck_assert_int_eq(apart, 0);
}
END_TEST

/* An operand read elsewhere than where the result stands must not be overwritten. */
START_TEST(in_place_only_at_the_same_element) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *program = model_new(arena);
  Graph *g = program->train.graph;
  Builder b = {.graph = g, .prefix = "v"};
  Node *x = model_input(g, "x", F32, 2, (int64_t[]){16, 16});
  Node *mm = b_matmul(&b, x, x, false, false);
  Node *sum = b_binary(&b, OP_add, mm, b_transpose(&b, mm, (int[]){1, 0}));
  graph_output(g, OUT_VALUE, "out", b_matmul(&b, sum, x, false, false));
  run_passes(program, d, 2);
  ck_assert_int_eq(check_arena(g), 0);
  ck_assert_int_eq(g->arena_bytes, 2 * 1024);
  diagnostics_free(d);
  arena_free(arena);
}
END_TEST

START_TEST(random_graphs_do_not_overlap) {
  for (uint64_t seed = 1000; seed < 1300; seed++) {
    Arena *arena = arena_new();
    Diagnostics *d = diagnostics_new();
    Program *program = model_random(arena, seed, 1);
    ModelValues before = model_evaluate(program->train.graph, 5, 0);
    run_passes(program, d, seed % 3 ? 2 : 0);
    check_arena(program->train.graph);
    ModelValues after = model_evaluate(program->train.graph, 5, 0);
    char room[200];
    const char *difference = model_differs(&before, &after, room, sizeof room);
    ck_assert_msg(!difference, "seed %d: %s", (int)seed, difference);
    model_free(&before);
    model_free(&after);
    diagnostics_free(d);
    arena_free(arena);
  }
}
END_TEST

/* Two groups take their parameters out of order: each is one range, the frozen one last. */
START_TEST(update_groups_are_ranges_of_the_block) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *program = model_new(arena);
  Graph *g = program->train.graph;
  Builder b = {.graph = g, .prefix = "v"};
  static const char *const names[] = {"a", "frozen", "b", "c", "d"};
  Node *sum = NULL;
  for (int i = 0; i < 5; i++) {
    Node *p = model_param(g, names[i], 1, (int64_t[]){10 + 60 * i});
    int axis = 0;
    Node *s = b_reduce(&b, OP_sum, p, 1, &axis, false);
    sum = sum ? b_binary(&b, OP_add, sum, s) : s;
  }
  graph_output(g, OUT_LOSS, "update0", sum);
  Node *grad = b_unary(&b, OP_sin, graph_find(g, "b"));
  graph_output(g, OUT_GRAD, "b", grad);
  UpdateGroup groups[] = {{.n_params = 2, .params = (int[]){0, 3}}, {.n_params = 2, .params = (int[]){2, 4}}};
  Update update = {.name = "update0", .n_groups = 2, .groups = groups};
  program->train.n_updates = 1;
  program->train.updates = &update;
  PassContext context = model_context(program, d, 2);
  pass_fuse(&context);
  pass_schedule(&context);
  pass_plan(&context);
  const int64_t offsets[] = {0, 64 + 192 + 192 + 256, 64 + 192, 64, 64 + 192 + 192};
  for (int i = 0; i < 5; i++) ck_assert_int_eq(program->params[i].offset, offsets[i]);
  ck_assert_int_eq(program->param_elements, 64 + 192 + 192 + 256 + 128);
  ck_assert_int_eq(g->outputs[1].node->home, HOME_GRAD);
  ck_assert_int_eq(g->outputs[1].node->offset, program->params[2].offset);
  ck_assert_int_eq(g->outputs[0].node->home, HOME_OUTPUT);
  for (int i = 0; i < g->n_nodes; i++)
    if (g->nodes[i]->op == OP_param) ck_assert_int_eq(g->nodes[i]->home, HOME_PARAM);
  diagnostics_free(d);
  arena_free(arena);
}
END_TEST

/* All updates of a step share the room for hyper-parameters: the first that finds none left is told, and no other. */
static const struct { int groups[3]; const char *message; } rooms[] = {
    {{MAX_GROUPS}, NULL},
    {{40, 24}, NULL},
    {{MAX_GROUPS + 1}, "a step has room for 64 groups, this update has 65"},
    {{40, 25}, "a step has room for 64 groups, with those before it this update has 65"},
    {{40, 24, 1}, "a step has room for 64 groups, with those before it this update has 65"},
    {{65, 1}, "a step has room for 64 groups, this update has 65"},
};
START_TEST(groups_have_room) {
  Kit *kit = kit_new(1);
  Node *x[3];
  int own[] = {0, 1, 2};
  for (int u = 0; u < 3; u++) x[u] = kit_param(kit, (const char *const[]){"x", "y", "z"}[u], kit_type(F32, 1, (int64_t[]){2}));
  for (int u = 0; u < 3 && rooms[_i].groups[u]; u++) {
    kit_minimize(kit, kit_sum(kit, x[u]));
    Update *update = &kit->program->train.updates[u];
    update->groups[0].n_params = 1, update->groups[0].params = &own[u];
    UpdateGroup more = update->groups[0];
    more.n_params = 0;
    while (update->n_groups < rooms[_i].groups[u]) LIST_PUSH(kit->arena, update->groups, update->n_groups, more);
    for (int k = 0; k <= u; k++) /* there is one schedule, the last */
      for (int g = 0; g < rooms[_i].groups[k]; g++)
        memcpy(kit->program->train.updates[k].groups[g].hyper, more.hyper, sizeof more.hyper);
  }
  bool run = kit_run(kit, 2, "gradient", LONG_MAX, NULL);
  ck_assert_int_eq(diagnostics_errors(kit->diagnostics), rooms[_i].message != NULL);
  ck_assert(run == !rooms[_i].message && (run || kit_printed(kit, rooms[_i].message)));
  kit_free(kit);
}
END_TEST

/* Updates that divide parameters 0 to 5 in several ways: '.' is moved by none, else a letter a group.  What comes of it:
 * the parameters in the order of their block, and the groups that are stretches of it. */
static const struct { const char *updates[3], *order, *stretches; } divisions[] = {
    {{"aaabbb"}, "012345", "012 345 | "},
    {{"aaaaaa", "...aa."}, "012534", "012534 | 34 | "},
    {{"aaaa..", "..aaaa"}, "012345", "0123 | 2345 | "},
    {{"aabb..", ".a.a.a"}, "012354", "01 23 | 1 35 | "},
    {{"aabbcc", "ababab"}, "012345", "01 23 45 | 0 2 4 1 3 5 | "},
    {{"aaaaaa", "ababab", "bbbbba"}, "024513", "024513 | 024 513 | 5 024 13 | "},
};

START_TEST(updates_may_divide_parameters_in_several_ways) {
  Kit *kit = kit_new(1);
  Text order = {0}, stretches = {0};
  Program *p = kit->program;
  Node *x[6];
  static const char *const names[] = {"0", "1", "2", "3", "4", "5"};
  for (int i = 0; i < 6; i++) x[i] = kit_param(kit, names[i], kit_type(F32, 1, (int64_t[]){2}));
  for (int u = 0; u < 3 && divisions[_i].updates[u]; u++) {
    const char *groups = divisions[_i].updates[u];
    kit_minimize(kit, kit_sum(kit, x[0]));
    Update *update = &p->train.updates[u];
    UpdateGroup one = update->groups[0];
    update->groups = NULL, update->n_groups = 0;
    for (char name = 'a'; strchr(groups, name); name++) {
      one.params = NULL, one.n_params = 0;
      for (int i = 0; i < 6; i++)
        if (groups[i] == name) LIST_PUSH(kit->arena, one.params, one.n_params, i);
      LIST_PUSH(kit->arena, update->groups, update->n_groups, one);
    }
  }
  PassContext context = {.program = p, .arena = kit->arena, .diagnostics = kit->diagnostics, .level = 2};
  order_update_groups(&context);
  pass_plan(&context);
  for (int64_t at = 0; at < p->param_elements; at += 64)
    for (int i = 0; i < 6; i++)
      if (p->params[i].offset == at) text_add(&order, "%d", i);
  for (int u = 0; u < p->train.n_updates; u++) {
    const Update *update = &p->train.updates[u];
    for (int g = 0; g < update->n_groups; g++) {
      Stretch all = group_stretch(p, &update->groups[g]);
      ck_assert_int_eq(all.count, 64 * (update->groups[g].n_params - 1) + 2);
      for (int i = 0; i < update->groups[g].n_params; i++) text_add(&stretches, "%d", update->groups[g].params[i]);
      text_add(&stretches, " ");
    }
    text_add(&stretches, "| ");
  }
  ck_assert_str_eq(order.data, divisions[_i].order);
  ck_assert_str_eq(stretches.data, divisions[_i].stretches);
  text_free(&order);
  text_free(&stretches);
  kit_free(kit);
}
END_TEST

START_TEST(outputs_have_slots_in_order) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *program = model_new(arena);
  Graph *g = program->train.graph;
  Builder b = {.graph = g, .prefix = "v"};
  Node *x = model_input(g, "x", F32, 2, (int64_t[]){3, 5});
  int axis = 1;
  graph_output(g, OUT_VALUE, "first", b_unary(&b, OP_sin, x));
  graph_output(g, OUT_VALUE, "second", b_reduce(&b, OP_sum, x, 1, &axis, false));
  graph_output(g, OUT_VALUE, "third", b_unary(&b, OP_cos, x));
  run_passes(program, d, 2);
  const int64_t slots[] = {0, 15, 18};
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(g->outputs[i].node->home, HOME_OUTPUT);
    ck_assert_int_eq(g->outputs[i].node->offset, slots[i]);
  }
  ck_assert_int_eq(g->arena_bytes, 0);
  diagnostics_free(d);
  arena_free(arena);
}
END_TEST

/* Two long branches, listed breadth first: one after the other needs less. */
START_TEST(schedule_finishes_a_branch_first) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *program = model_new(arena);
  Graph *g = program->train.graph;
  Builder b = {.graph = g, .prefix = "v"};
  Node *x = model_input(g, "x", F32, 2, (int64_t[]){64, 64}), *branch[4];
  Node *thin = model_input(g, "thin", F32, 2, (int64_t[]){64, 1});
  for (int i = 0; i < 4; i++) branch[i] = b_matmul(&b, x, x, i & 1, i & 2);
  for (int i = 0; i < 4; i++) branch[i] = b_matmul(&b, branch[i], thin, false, false);
  for (int i = 1; i < 4; i++) branch[0] = b_binary(&b, OP_add, branch[0], branch[i]);
  graph_output(g, OUT_VALUE, "out", branch[0]);
  run_passes(program, d, 2);
  check_arena(g);
  ck_assert_int_eq(g->arena_bytes, 64 * 64 * 4 + 4 * 256);
  diagnostics_free(d);
  arena_free(arena);
}
END_TEST

Suite *plan_suite(void) {
  Suite *suite = suite_create("plan");
  TCase *tcase = tcase_create("plan");
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, bytes_are_used_again);
  tcase_add_test(tcase, in_place_only_at_the_same_element);
  tcase_add_test(tcase, random_graphs_do_not_overlap);
  tcase_add_test(tcase, update_groups_are_ranges_of_the_block);
  tcase_add_loop_test(tcase, groups_have_room, 0, sizeof rooms / sizeof rooms[0]);
  tcase_add_loop_test(tcase, updates_may_divide_parameters_in_several_ways, 0, sizeof divisions / sizeof divisions[0]);
  tcase_add_test(tcase, outputs_have_slots_in_order);
  tcase_add_test(tcase, schedule_finishes_a_branch_first);
  suite_add_tcase(suite, tcase);
  return suite;
}
