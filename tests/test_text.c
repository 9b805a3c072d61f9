/* test_text.c - IR text: what is printed reads back to the same program, and
 * what is not IR text is refused at its place. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ir_models.h"

static char *print_program(const Program *p) {
  Text out = {0};
  program_print(&out, p);
  return out.data;
}

static char *messages(const Diagnostics *d) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  diagnostics_print(d, out, false);
  fclose(out);
  return text;
}

/* The text of what reading `text` gives; NULL and the messages when it is refused. */
static char *print_o_read(const char *text, char **refused) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Source *source = arena_alloc(arena, sizeof *source);
  *source = (Source){.path = "test.ir", .text = text, .length = strlen(text)};
  Program *p = program_read(source, arena, d);
  char *again = p ? print_program(p) : NULL;
  *refused = p ? NULL : messages(d);
  ck_assert_int_eq(p == NULL, diagnostics_errors(d) == 1);
  diagnostics_free(d);
  arena_free(arena);
  return again;
}

static int first_difference(const char *a, const char *b) {
  int i = 0;
  while (a[i] && a[i] == b[i]) i++;
  return i;
}

static void expect_round_trip(const Program *p, const char *what) {
  const char *wrong = program_verify(p, p->arena);
  ck_assert_msg(!wrong, "%s: %s", what, wrong);
  char *text = print_program(p), *refused, *again = print_o_read(text, &refused);
  ck_assert_msg(again != NULL, "%s is refused: %s\n%.2000s", what, refused, text);
  ck_assert_msg(!strcmp(text, again), "%s differs from byte %d on:\n%.800s\n---\n%.800s", what, first_difference(text, again),
                text + first_difference(text, again), again + first_difference(text, again));
  free(text);
  free(again);
}

/* ---- printing and reading back ------------------------------------------ */

START_TEST(a_whole_program_reads_back) {
  Arena *arena = arena_new();
  expect_round_trip(ir_model(arena), "the model");
  arena_free(arena);
}
END_TEST

START_TEST(every_op_reads_back) {
  for (int op = 0; op < OP_COUNT; op++) {
    Arena *arena = arena_new();
    Program *p = ir_model_of_op(arena, (Op)op);
    LIST_PUSH(arena, p->passes, p->n_passes, "fuse"); /* which makes the groups */
    char *text = print_program(p), word[64];
    snprintf(word, sizeof word, " = %s", op_info[op].name);
    ck_assert_msg(strstr(text, word) != NULL, "%s is not printed:\n%.3000s", op_info[op].name, text);
    expect_round_trip(p, op_info[op].name);
    free(text);
    arena_free(arena);
  }
}
END_TEST

/* Every attribute an op has is in its line: a program that differs in one prints differently. */
START_TEST(every_attribute_is_printed) {
  static const struct { Op op; const char *text; } rows[] = {
      {OP_input, "%sample : f32[B, P] = input d.x @nn.mt:7:10-20<digits.mt:11:8-22\n"},
      {OP_const, " : f32[] = const -0.3333333333333333 @"},
      {OP_rows, " : i32[] = rows B @"},
      {OP_counter, " : f64[] = counter epoch @"},
      {OP_iota, " : i32[B, P] = iota {axis=1} @"},
      {OP_random, " : f32[B, P] = random net.drop.0 {distribution=normal} @"},
      {OP_reshape, " : f32[B*P<=24:B] = reshape %d.x @"},
      {OP_transpose, " : f32[P, B] = transpose %d.x {axes=[1, 0]} @"},
      {OP_broadcast, " : f32[H, B, P] = broadcast %d.x @"},
      {OP_slice, " : f32[B, 2] = slice %d.x {start=[0, 1] step=[1, 2]} @"},
      {OP_pad, " : f32[B, 14] = pad %d.x {start=[0, 1] step=[1, 2]} @"},
      {OP_skew, " : f32[B, 9, 3] = skew %sample.broadcast {axis=1 window=2 stride=2 dilation=3 padding=4} @"},
      {OP_cast, " : bf16[B, P] = cast %d.x @"},
      {OP_clamp, " : f32[B, P] = clamp %d.x {value=-inf high=0.1} @"},
      {OP_gt, " : bool[B, P] = gt %d.x, %sample.const=0 @"},
      {OP_sum, " : f32[B, 1] = sum %d.x {axes=[1] keep} @"},
      {OP_min, " : f32[B] = min %d.x {axes=[1]} @"},
      {OP_matmul, " : f32[P, P] = matmul %d.x, %d.x {ta} @"},
      {OP_attention, " : f32[H, K, P] = attention %net.q, %net.k, %net.k {scale=0.25 causal} @"},
      {OP_attention_lse, " : f32[H, K] = attention_lse %net.q, %net.k {scale=0.25} @"},
      {OP_attention_dkv, " : f32[2, H, P, P] = attention_dkv %net.q, %net.k, %net.k, %net.line, %net.q, %net.line {scale=0.25 causal} @"},
      {OP_scatter_add, " : f32[H, P] = scatter_add %d.x, %d.y @"},
      {OP_group, "%sample.group = group %d.x {pattern=row axes=[1] space=[B, P]} @nn.mt:7:10-20<digits.mt:11:8-22 body sample.group {\n    %d.x : f32[B, P] = input {index=0}\n"},
      {OP_result, " : f32[B, 1] = result %sample.group {index=1} @"},
      {OP_loop, "%sample.loop = loop %d.x, %net.w, %d.x {path=net.t space=[H] carried=1 stacked=1 reverse} @"},
      {OP_turn, "    %sample : i32[] = turn net.t @"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    Arena *arena = arena_new();
    char *text = print_program(ir_model_of_op(arena, rows[i].op));
    ck_assert_msg(strstr(text, rows[i].text) != NULL, "no `%s` in:\n%.3000s", rows[i].text, text);
    free(text);
    arena_free(arena);
  }
}
END_TEST

START_TEST(a_program_prints_what_it_holds) {
  static const char *const lines[] = {
      "mtc-ir 1 digits from \"digits.mt\" passes(gradient, fuse)\n\ndim B<=4\ndim P=6\ndim H=3\ndim K=2\ndim H=5\n",
      "data train_set = csv(\"data/\\\"odd\\\"\\n\\x01.csv\") {x: f32[B, P], y: i32[B] in 0..3 ignore -100} rows B @digits.mt:11:8-22\n",
      "data noise = random() {\"odd name\": f32[B] in -3..9} rows B drop limit 100 seed -7 window 8\n",
      "block 192\nparam net.fc1.weight : f32[H, P] = uniform(-0.125, 0.125) at 0 @",
      "state \"net.running mean\" : f32[H] = constant(0.1) at 64 @\"my <models>/a.mt\":1:1\n",
      "graph train rows B arena 512 {\n",
      "%net.fc1.div : f32[B, P] = div %d.x, %net.fc1.const=16 @",
      "because \"two \\\"maps\\\" over [B, H]\" @",
      "    -> value = %net.fc1.relu\n  }\n",
      "%net.fc1.relu.2 : f32[B, H] = result %net.fc1.relu {index=0} in arena+256 @",
      " in arena aka net.out, \"strange name\" @",
      "%loss.reshape : f32[B*K<=8:B, i=1] = reshape %net.fc2.mm in alias @",
      "  -> loss \"update 0\" = %loss.sum\n",
      "  -> grad net.fc1.bias = %loss.sum.2\n",
      "  -> acc acc.0 = %accuracy.sum sum\n  -> acc acc.1 = %accuracy.max max\n",
      "eval e in train_set batch eval0 finish eval0.finish @digits.mt:11:8-22\n",
      "update \"update 0\" clip 0.5 @",
      "  net.fc1.bias using sgd(lr=%net.fc1.bias.mul, momentum=%",
      ") on (net.fc1.weight, net.fc2.weight) @",
      "train d in train_set shuffled 1 for 30 epochs accumulate 1 precision tf32 graph train @digits.mt:11:8-22 {\n"
      "  update 0 @digits.mt:11:8-22\n  log loss\n  every 2 epochs @digits.mt:11:8-22 {\n    eval 0 {\n"
      "      save highest accuracy\n    }\n  }\n}\n",
      "predict p {x: f32[B, P]} graph predict @\"my <models>/a.mt\":1:1\n",
  };
  Arena *arena = arena_new();
  char *text = print_program(ir_model(arena));
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
    ck_assert_msg(strstr(text, lines[i]) != NULL, "no `%s` in:\n%.3000s", lines[i], text);
  free(text);
  arena_free(arena);
}
END_TEST

/* ---- refusing ----------------------------------------------------------- */

/* Replaces the first `from` by `to`. */
static char *edited(const char *text, const char *from, const char *to) {
  const char *at = strstr(text, from);
  ck_assert_msg(at != NULL, "no `%s` in:\n%.3000s", from, text);
  char *result = malloc(strlen(text) + strlen(to) + 1);
  sprintf(result, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
  return result;
}

START_TEST(each_edit_is_refused_at_its_place) {
  static const struct { const char *from, *to, *message; } rows[] = {
      {"mtc-ir 1", "mtc-ir 2", "test.ir:1:8: error[E0701]: this mtc reads version 1 of IR text only"},
      {"mtc-ir", "module", "test.ir:1:1: error[E0701]: not IR text: it begins with `mtc-ir 1`"},
      {"dim B<=4", "dim B<=0", "test.ir:3:8: error[E0705]: the number must lie in 1..281474976710656"},
      {"dim P=6", "dim P=99999999999999999999", "test.ir:4:7: error[E0705]: the number is too large"},
      {"dim P=6", "dam P=6", "test.ir:4:1: error[E0701]: expected `dim`, `data`, `param`, `graph`, `train` ... here"},
      {"{x: f32[B, P]", "{x: f32[B, Q]", "test.ir:9:59: error[E0702]: no dim `Q` is declared above"},
      {"{x: f32[B, P]", "{x: f31[B, P]", "test.ir:9:52: error[E0702]: `f31` is no dtype"},
      {"uniform(", "uniforn(", "error[E0701]: expected an initializer, one of `constant` to `normal`"},
      {"param net.fc1.bias", "param net.fc1.weight", "error[E0702]: `net.fc1.weight` is declared twice"},
      {"= matmul", "= matmull", "error[E0702]: no op is called `matmull`"},
      {"{tb}", "{tc}", "error[E0702]: matmul has no such attribute; it has: ta tb"},
      {"{tb}", "{ta}", "error[E0703]: matmul: inner sizes differ"},
      {"matmul %net.fc1.div", "matmul %net.fc1.dov", "error[E0702]: no node `%net.fc1.dov` stands above in this graph"},
      {"%net.fc1.const=16", "%net.fc1.const=17", "error[E0703]: `%net.fc1.const` is not that constant"},
      {"%net.fc1.mm : f32[B, H]", "%net.fc1.mm : f32[B, K]", "error[E0703]: the type written is not the one matmul has here, f32[B<=4, H=3]"},
      {"%net.fc1.mm : f32[B, H]", "%net.fc1.div : f32[B, H]", "error[E0702]: a second node `%net.fc1.div`"},
      {"axes=[0, 1]", "axes=[0, 9]", "error[E0705]: the number must lie in 0..7"},
      {"space=[B, H]", "space=[B, P]", "error[E0704]: net.fc1.relu: %net.fc1.relu: it is an output, but has not the shape of the space"},
      {"in arena+256", "in arena+100", "error[E0704]: train: %net.fc1.relu.2: its offset is not aligned"},
      {"in arena+256", "in attic", "error[E0701]: expected a home, one of `none` to `result`"},
      {"-> loss", "-> lost", "error[E0701]: expected a role, one of `value` to `carry`"},
      {"finish eval0.finish", "finish eval1.finish", "error[E0702]: no graph `eval1.finish` stands above"},
      {"using adamw", "using adamx", "error[E0702]: no optimizer is called `adamx`"},
      {"beta1=", "beta=", "error[E0701]: expected `beta1` here"},
      {"on (net.fc1.weight", "on (net.fc3.weight", "error[E0702]: no parameter `net.fc3.weight` is declared above"},
      {"  update 0", "  update 1", "error[E0704]: the script runs update 1, which is not there"},
      {"every 2", "every 0", "error[E0705]: the number must lie in 1.."},
      {"precision tf32", "precision tf16", "error[E0701]: expected a precision, one of `f32` to `bf16`"},
      {"\"strange name\"", "\"strange name", "error[E0701]: the quoted name is not closed"},
      {"at 128", "at 64", "error[E0704]: parameter net.fc"},
      {"B*K<=8:B", "B*K<=7:B", "error[E0703]: 7 is no multiple of a capacity `B`"},
      {"graph predict @", "graph nowhere @", "error[E0702]: no graph `nowhere` stands above"},
  };
  Arena *arena = arena_new();
  char *text = print_program(ir_model(arena));
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char *broken = edited(text, rows[i].from, rows[i].to), *refused, *again = print_o_read(broken, &refused);
    ck_assert_msg(!again, "`%s` -> `%s` is read", rows[i].from, rows[i].to);
    ck_assert_msg(strstr(refused, rows[i].message) != NULL, "`%s` -> `%s`:\n%s", rows[i].from, rows[i].to, refused);
    free(broken);
    free(refused);
  }
  free(text);
  arena_free(arena);
}
END_TEST

/* Cut anywhere, or with any byte changed, the text is read or refused, never followed off its end. */
START_TEST(garbage_is_refused_without_harm) {
  Arena *arena = arena_new();
  char *text = print_program(ir_model(arena));
  size_t length = strlen(text);
  int refusals = 0;
  for (size_t i = 0; i < length; i += 3) {
    char *part = strndup(text, length), *refused;
    if (i % 2) part[i] = '\0';
    else part[i] = "\"{}%[]=:@<,0-9z\n "[i / 2 % 17];
    char *again = print_o_read(part, &refused);
    refusals += !again;
    free(part);
    free(again);
    free(refused);
  }
  ck_assert_int_gt(refusals, (int)(length / 6));
  free(text);
  arena_free(arena);
}
END_TEST

START_TEST(depth_has_a_limit) {
  Text text = {0};
  text_add(&text, "mtc-ir 1 a from \"a\" passes()\ndim B<=1\ndata d = random() {x: f32[B]} rows B\ngraph train rows B {\n}\n");
  text_add(&text, "train d in d for 1 steps accumulate 1 precision f32 graph train {\n");
  for (int i = 0; i < 100000; i++) text_add(&text, "every 1 steps {\n");
  char *refused, *again = print_o_read(text.data, &refused);
  ck_assert_ptr_null(again);
  ck_assert_msg(strstr(refused, "E0705]: statements are nested too deep") != NULL, "%s", refused);
  free(refused);
  text_free(&text);
}
END_TEST

/* ---- one node, and pictures --------------------------------------------- */

START_TEST(one_node_is_one_line) {
  Arena *arena = arena_new();
  Program *p = ir_model_of_op(arena, OP_transpose);
  Text text = {0};
  node_print(&text, p->train.graph->outputs[0].node);
  ck_assert_str_eq(text.data, "%sample.transpose : f32[P, B] = transpose %d.x {axes=[1, 0]} @nn.mt:7:10-20<digits.mt:11:8-22");
  text_free(&text);
  arena_free(arena);
}
END_TEST

static int count(const char *text, const char *part) {
  int n = 0;
  for (; (text = strstr(text, part)); text++) n++;
  return n;
}

START_TEST(a_picture_has_every_graph_and_no_loose_end) {
  Arena *arena = arena_new();
  Text text = {0};
  program_dot(&text, ir_model(arena));
  ck_assert_int_eq(count(text.data, "subgraph cluster"), 6); /* train and its group, eval, its finish, predict, schedule */
  ck_assert_int_eq(count(text.data, "{"), count(text.data, "}"));
  ck_assert_ptr_null(strstr(text.data, "n-1"));
  ck_assert_ptr_nonnull(strstr(text.data, "[label=\"net.fc1.mm\\nmatmul\", shape=box, style=bold];"));
  ck_assert_ptr_nonnull(strstr(text.data, "[label=\"16\", shape=plaintext];"));
  ck_assert_ptr_nonnull(strstr(text.data, "[label=\"f32[B, H]\"];"));
  text_free(&text);
  arena_free(arena);
}
END_TEST

Suite *text_suite(void) {
  Suite *suite = suite_create("text");
  TCase *tests = tcase_create("text");
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, a_whole_program_reads_back);
  tcase_add_test(tests, every_op_reads_back);
  tcase_add_test(tests, every_attribute_is_printed);
  tcase_add_test(tests, a_program_prints_what_it_holds);
  tcase_add_test(tests, each_edit_is_refused_at_its_place);
  tcase_add_test(tests, garbage_is_refused_without_harm);
  tcase_add_test(tests, depth_has_a_limit);
  tcase_add_test(tests, one_node_is_one_line);
  tcase_add_test(tests, a_picture_has_every_graph_and_no_loose_end);
  suite_add_tcase(suite, tests);
  return suite;
}
