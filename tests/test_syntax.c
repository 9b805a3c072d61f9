/* test_syntax.c - text to tree and back to text.
 *
 * The tree of every construct, as syntax_tree.c prints it; the programs of
 * syntax/ and samples/, which must parse and survive fmt; and mutations of
 * them, which must do no harm.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "tests/syntax_tree.h"

static const struct { const char *text, *tree; } trees[] = {
    {"let a = 1 + 2 * 3 - 4",
     "(let a (- (+ 1 (* 2 3)) 4))\n"},
    {"let a = 2 ^ 3 ^ 2",
     "(let a (^ 2 (^ 3 2)))\n"},
    {"let a = -x ^ 2",
     "(let a (- (^ x 2)))\n"},
    {"let a = x ^ -y * z",
     "(let a (* (^ x (- y)) z))\n"},
    {"let a = a / b // c % d @ e",
     "(let a (@ (% (// (/ a b) c) d) e))\n"},
    {"let a = not a == b and c or d and not not e",
     "(let a (or (and (not (== a b)) c) (and d (not (not e)))))\n"},
    {"let a = a < b\n"
     "let a = a >= b\n"
     "let a = a != b",
     "(let a (< a b))\n"
     "(let a (>= a b))\n"
     "(let a (!= a b))\n"},
    {"let a = (a + b) * c",
     "(let a (* (+ a b) c))\n"},
    {"let a = - - x",
     "(let a (- (- x)))\n"},
    {"let a = x |> f |> g(2) |> h: H(1) |> m.f |> m[0]",
     "(let a (|> (|> (|> (|> (|> x f) (call g 2)) (label h (call H 1))) (. f m)) (index m 0)))\n"},
    {"let a = x + y |> f",
     "(let a (|> (+ x y) f))\n"},
    {"let a = x + (y |> f)",
     "(let a (+ x (|> y f)))\n"},
    {"let a = x\n"
     "  |> f\n"
     "  |> g",
     "(let a (|> (|> x f) g))\n"},
    {"let a = x |> f\n"
     "  .[B, T -> T, B]",
     "(let a (rearrange (|> x f) [B T]->[T B]))\n"},
    {"let a = x.[B, T, (3 H E) -> 3, B, H, T, E]",
     "(let a (rearrange x [B T [3 H E]]->[3 B H T E]))\n"},
    {"let a = x.[*s, (H 2) -> *s, H, 2].[a, b]",
     "(let a (rearrange (rearrange x [*s [H 2]]->[*s H 2]) [a b]))\n"},
    {"let a = x[0, :, 1:, :n, a + 1:b - 1, -1]",
     "(let a (index x 0 (slice _ _) (slice 1 _) (slice _ n) (slice (+ a 1) (- b 1)) (- 1)))\n"},
    {"let a = wte[ids][i].f(x).g",
     "(let a (. g (call (. f (index (index wte ids) i)) x)))\n"},
    {"let a = f(x, over: [n, *s], keep: true, eps: 1e-5)",
     "(let a (call f x over:(shape n *s) keep:true eps:1e-05f))\n"},
    {"let a = f()",
     "(let a (call f))\n"},
    {"let a = f(x,\n"
     "  y,\n"
     ")",
     "(let a (call f x y))\n"},
    {"let a = [1, D * 2, *s]",
     "(let a (shape 1 (* D 2) *s))\n"},
    {"let a = \"quote \\\" backslash \\\\ tab \\t end\"",
     "(let a \"quote \" backslash \\ tab \t end\")\n"},
    {"let a = 1.5 + 1e3 + 1.25e-2 + 007 + 9007199254740992",
     "(let a (+ (+ (+ (+ 1.5f 1e+03f) 0.0125f) 7) 9007199254740992))\n"},
    {"let a = if n > 1 { x } else { y }",
     "(let a (if (> n 1) x y))\n"},
    {"let a = if n > 1 {\n"
     "  x\n"
     "} else if deep {\n"
     "  y\n"
     "}\n"
     "else {\n"
     "  z + (if c { 1 } else { 2 })\n"
     "}",
     "(let a (if (> n 1) x (if deep y (+ z (if c 1 2)))))\n"},
    {"let q, k, v = x",
     "(let q k v x)\n"},
    {"let a = x +\n"
     "  y *\n"
     "  z\n"
     "let b = f(a,\n"
     "  b\n"
     "  + c)",
     "(let a (+ x (* y z)))\n"
     "(let b (call f a (+ b c)))\n"},
    {"let a = 1; let b = 2; ; let c = 3;",
     "(let a 1)\n"
     "(let b 2)\n"
     "(let c 3)\n"},
    {"\n"
     "\n"
     "let a = 1\n"
     "\n"
     "\n"
     "let b = 2\n",
     "(let a 1)\n"
     "(let b 2)\n"},
    {"use nn\n"
     "use \"a b.mt\"",
     "(use nn)\n"
     "(use \"a b.mt\")\n"},
    {"dim B = 64, P = B * 2,\n"
     "  H = P // 3",
     "(dim B=64 P=(* B 2) H=(// P 3))\n"},
    {"data d = csv(\"a.csv\")\n"
     "  -> { x: f32[B, P], y: i32[B], }",
     "(data d (call csv \"a.csv\") {x:f32[B P] y:i32[B]})\n"},
    {"data d = random(rows: 10, seed: 1) |> augment(flip)",
     "(data d (|> (call random rows:10 seed:1) (call augment flip)))\n"},
    {"module M()() -> [B] { return 1 }",
     "(module M {} {} -> [B] {(return 1)})\n"},
    {"module M(n: dim, m: int = 3, f: float = 0.5, b: bool = true, act: fn = relu, inner: module, k = "
     "2)(x: [B, n], y: u8[]) -> bf16[B, 2 * n] {\n"
     "  return x\n"
     "}",
     "(module M {n:dim m:int=3 f:float=0.5f b:bool=true act:fn=relu inner:module k=2} {x:[B n] "
     "y:u8[]} -> bf16[B (* 2 n)] {(return x)})\n"},
    {"module M()(x: f64[n, *s, D / 2], b: bool[n]) -> ([n], f32[], u8[*s]) {\n"
     "  param w: [n] = zeros\n"
     "  state r: f32[n, 2] = constant(1)\n"
     "  r <- 0.9 * r + x\n"
     "  if training { return a, b, c }\n"
     "  return a, b, c\n"
     "}",
     "(module M {} {x:f64[n *s (/ D 2)] b:bool[n]} -> tuple [n] f32[] u8[*s] {(param w [n] zeros) "
     "(state r f32[n 2] (call constant 1)) (<- r (+ (* 0.9f r) x)) (if training {(return a b c)}) "
     "(return a b c)})\n"},
    {"fn f(x) = x + 1\n"
     "fn g(a, b = 2, c: [B] , d: fn = relu) = {\n"
     "  let y = a\n"
     "  if c { y } else { b }\n"
     "}\n"
     "fn h() = {\n"
     "  x\n"
     "}",
     "(fn f {x} (+ x 1))\n"
     "(fn g {a b=2 c:[B] d:fn=relu} {(let y a) (if c {(expr y)} {(expr b)})})\n"
     "(fn h {} {(expr x)})\n"},
    {"module M()(x: [B]) -> [B] {\n"
     "  for b in stack(Block(), L) carry x remat { x = b(x) }\n"
     "  for i in 0..T carry h, c collect y {\n"
     "    h, c = cell(x[i], h, c)\n"
     "    y = h\n"
     "  }\n"
     "  for i in n..n + 2 * T { let z = i }\n"
     "  return x\n"
     "}",
     "(module M {} {x:[B]} -> [B] {(for b (call stack (call Block) L) carry x remat {(set x (call b "
     "x))}) (for i (range 0 T) carry h c collect y {(set h c (call cell (index x i) h c)) (set y h)}) "
     "(for i (range n (+ n (* 2 T))) {(let z i)}) (return x)})\n"},
    {"train d in shuffled(s, seed: 1) for 30 epochs {\n"
     "  log loss\n"
     "  log a = b\n"
     "  log mean(x)\n"
     "}",
     "(train d (call shuffled s seed:1) 30 epochs {(log loss) (log a b) (log (call mean x))})\n"},
    {"train d in s for N * 2 steps with (accumulate: 4, precision: bf16, memory: \"8GiB\",) {\n"
     "  update net minimize loss using adamw(lr: 1e-3, decay: 0.1, clip: 1.0), net.norm using "
     "adamw(lr: 1e-3, decay: 0),\n"
     "    net.fc using sgd(0.1)\n"
     "  freeze net.embed, net.head\n"
     "  every 1 epochs eval e in test_set { save highest accuracy }\n"
     "  every 100 steps { save; sample net(d.x) ; update G minimize -loss using opt; save lowest loss }\n"
     "}",
     "(train d s (* N 2) steps accumulate:4 precision:bf16 memory:\"8GiB\" {(update loss net (call "
     "adamw lr:0.001f decay:0.1f clip:1f) (. norm net) (call adamw lr:0.001f decay:0) (. fc net) "
     "(call sgd 0.1f)) (freeze (. embed net) (. head net)) (every 1 epochs {(eval e test_set {(save "
     "accuracy highest)})}) (every 100 steps {(save) (sample (call net (. x d))) (update (- loss) G "
     "opt) (save loss lowest)})})\n"},
    {"weights net from \"gpt2.safetensors\"\n"
     "weights net from \"gpt2.safetensors\" {\n"
     "  wte: \"transformer.wte.weight\",\n"
     "  b.ln1.weight: t(\"h.{}.w\"),\n"
     "  \"b.0.x\": \"y\",\n"
     "}",
     "(weights net \"gpt2.safetensors\")\n"
     "(weights net \"gpt2.safetensors\" wte:\"transformer.wte.weight\" b.ln1.weight:(call t \"h.{}.w\") "
     "b.0.x:\"y\")\n"},
    {"predict p in { x: f32[B, P] } -> softmax(net(p.x), over: K)",
     "(predict p {x:f32[B P]} (call softmax (call net (. x p)) over:K))\n"},
    {"let state = 1\n"
     "let a = state + data.train * log(step) - update.let - epoch",
     "(let state 1)\n"
     "(let a (- (- (+ state (* (. train data) (call log step))) (. let update)) epoch))\n"},
    {"module M(state: [B], data: dim)(for: [B], in: [B], over: [B]) -> [B] {\n"
     "  state mean: [B] = zeros\n"
     "  state <- state + 1\n"
     "  let over = mean(mean, over: over, if: 3)\n"
     "  log(x)\n"
     "  return in + for\n"
     "}",
     "(module M {state:[B] data:dim} {for:[B] in:[B] over:[B]} -> [B] {(state mean [B] zeros) (<- "
     "state (+ state 1)) (let over (call mean mean over:over if:3)) (expr (call log x)) (return (+ in "
     "for))})\n"},
    {"train steps in epochs for epochs epochs { let with = steps.x; every steps steps { save highest "
     "highest } }",
     "(train steps epochs epochs epochs {(let with (. x steps)) (every steps steps {(save highest "
     "highest)})})\n"},
    {"train in in in for for steps { eval eval in eval { log log = log(log) } ; log log }",
     "(train in in for steps {(eval eval eval {(log log (call log log))}) (log log)})\n"},
    {"fn f(log, data, sample) = { sample(log) }\n"
     "fn f(log, data, sample) = { data }\n"
     "fn f(log, data, sample) = { data + 1 }\n"
     "fn f(log, data, sample) = { log[0] }\n"
     "fn f(log, data, sample) = { sample |> f }",
     "(fn f {log data sample} {(expr (call sample log))})\n"
     "(fn f {log data sample} {(expr data)})\n"
     "(fn f {log data sample} {(expr (+ data 1))})\n"
     "(fn f {log data sample} {(expr (index log 0))})\n"
     "(fn f {log data sample} {(expr (|> sample f))})\n"},
    {"update net minimize minimize using using",
     "(update minimize net using)\n"},
    {"# only a comment",
     ""},
    {"",
     ""},
    {"let a = f(x) # a comment |> g\n"
     "  # another\n"
     "  |> h  # and one more",
     "(let a (|> (call f x) h))\n"},
    {"let a = f( # open\n"
     "  x # first\n"
     "  , y)",
     "(let a (call f x y))\n"},
};

static const char *const programs[] = {
    TESTS_DIR "/syntax/digits.mt",     TESTS_DIR "/syntax/batchnorm.mt",
    TESTS_DIR "/syntax/gpt.mt",        TESTS_DIR "/syntax/everything.mt",
    SOURCE_DIR "/samples/digits.mt",   SOURCE_DIR "/samples/regression.mt",
    SOURCE_DIR "/samples/benchmark/mlp_wide.mt",
};
enum { N_PROGRAMS = sizeof programs / sizeof *programs };

static Arena *arena;
static Diagnostics *diagnostics;

static void setup(void) {
  arena = arena_new();
  diagnostics = diagnostics_new();
}

static void teardown(void) {
  arena_free(arena);
  diagnostics_free(diagnostics);
}

static Source source_of(const char *text, size_t length) { return (Source){.path = "m.mt", .text = text, .length = length}; }

static char *tree_of(const char *text, size_t length) {
  Source *s = arena_alloc(arena, sizeof *s);
  *s = source_of(text, length);
  Text out = {0};
  print_file(&out, parse(s, arena, diagnostics));
  text_add(&out, "%s", "");
  return text_take(&out, arena);
}

static char *formatted(const char *text, size_t length) {
  Source *s = arena_alloc(arena, sizeof *s);
  *s = source_of(text, length);
  return format(s, arena, diagnostics);
}

static char *read_whole(const char *path, size_t *length) {
  FILE *f = fopen(path, "rb");
  ck_assert_msg(f != NULL, "cannot open %s", path);
  char *text = arena_alloc(arena, 1 << 16);
  *length = fread(text, 1, (1 << 16) - 1, f);
  fclose(f);
  return text;
}

START_TEST(prints_the_tree) {
  ck_assert_str_eq(tree_of(trees[_i].text, strlen(trees[_i].text)), trees[_i].tree);
}
END_TEST

START_TEST(line_ends_and_marks_change_nothing) {
  const char *plain = "let a = 1\nlet b = f(a,\n  2)\n", *tree = "(let a 1)\n(let b (call f a 2))\n";
  const char *others[] = {
      "let a = 1\r\nlet b = f(a,\r\n  2)\r\n", "\xEF\xBB\xBFlet a = 1\nlet b = f(a,\n  2)", "let a = 1;let b = f(a,2)",
      "\tlet a = 1 # one\n\n\n\tlet b = f(a, # two\n2) # three",
  };
  ck_assert_str_eq(tree_of(plain, strlen(plain)), tree);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    ck_assert_str_eq(tree_of(others[i], strlen(others[i])), tree);
  ck_assert_int_eq(diagnostics_errors(diagnostics), 0);
}
END_TEST

static Expr *value_of(const char *text) {
  Source *s = arena_alloc(arena, sizeof *s);
  *s = source_of(text, strlen(text));
  return parse(s, arena, diagnostics)->statements[0]->value;
}

static void check_span(const Span *s, int line, int column, int length) {
  ck_assert_int_eq(s->line, line);
  ck_assert_int_eq(s->column, column);
  ck_assert_int_eq(s->length, length);
}

START_TEST(spans_cover_what_they_stand_for) {
  Expr *x = value_of("let a = foo(b) + c.d"); /* of an operation the operator, `first` where it begins */
  check_span(x->at, 1, 16, 1);
  check_span(x->first, 1, 9, 6);
  check_span(x->args[1]->at, 1, 18, 3);
  x = value_of("let a = (b + c) |> fc1: Linear(H)");
  check_span(x->at, 1, 9, 25);
  check_span(x->first, 1, 9, 7);
  check_span(x->args[1]->at, 1, 20, 14);
  x = value_of("let a = foo(b,   # of two lines, the first\n  c)");
  check_span(x->at, 1, 9, 6);
}
END_TEST

START_TEST(pipes_thousands_long_are_fine) {
  Text text = {0};
  text_add(&text, "let a = x");
  for (int i = 0; i < 4000; i++) text_add(&text, "%s|> f", i % 5 ? " " : "\n");
  char *whole = text_take(&text, arena);
  tree_of(whole, strlen(whole));
  ck_assert_int_eq(diagnostics_errors(diagnostics), 0);
}
END_TEST

/* ---- fmt ---- */

static const struct { const char *text, *formatted; } layouts[] = {
    {"let   a=1+2*-3;let b=-a^2#c", "let a = 1 + 2 * -3\nlet b = -a ^ 2  #c\n"},
    {"", ""},
    {"\n\n# top\n\n\n\n#  next  \nuse nn\n\n\n\nuse nn\n\n", "# top\n\n#  next\nuse nn\n\nuse nn\n"},
    {"let a = f(x,y:[n,*s] ,z : 3,)[ 1 : ,:n, : ]", "let a = f(x, y: [n, *s], z: 3)[1:, :n, :]\n"},
    {"let a=x.[B,T,( 3 H E )->3,B,H,T,E]", "let a = x.[B, T, (3 H E) -> 3, B, H, T, E]\n"},
    {"let a=x\n|>f(1)|>g:G()\n  |> h", "let a = x\n  |> f(1) |> g: G()\n  |> h\n"},
    {"data d=csv(\"a\")->{x:f32[B,P],}", "data d = csv(\"a\") -> { x: f32[B, P] }\n"},
    {"module M()()->[B]{\n\nif c{\n\nlet a=1\n\n}else if d {let b=2} else{\nlet e=3;let f=4}\n\n\n}",
     "module M()() -> [B] {\n  if c {\n    let a = 1\n  } else if d { let b = 2 } else {\n"
     "    let e = 3\n    let f = 4\n  }\n}\n"},
    {"module M()()->[B]{for b in stack(Block(),L) carry x remat{x=b(x)}}",
     "module M()() -> [B] {\n  for b in stack(Block(), L) carry x remat { x = b(x) }\n}\n"},
    {"fn f()={\nfor i in 0 .. T-1 collect y{ # turns\n# body\ny=i\n# end\n} # done\n}",
     "fn f() = {\n  for i in 0..T - 1 collect y {  # turns\n    # body\n    y = i\n    # end\n  }  # done\n}\n"},
    {"dim B=64, # rows\n  P=3 # columns\n", "dim B = 64,  # rows\n  P = 3  # columns\n"},
    {"let a=f( # open\nx)", "let a = f(  # open\n    x)\n"},
    {"let a = x\n  # why\n  |> f # how\n  |> g", "let a = x\n  # why\n  |> f  # how\n  |> g\n"},
    {"let a = 2 . x\nlet b=2 .[B->B]", "let a = 2 .x\nlet b = 2 .[B -> B]\n"},
    {"let a = ((b))+(c)", "let a = ((b)) + (c)\n"},
    {"let a = if c{\n1}else{\n2}", "let a = if c { 1 } else { 2 }\n"},
    {"let a = a_rather_long_name_for_a_value |> a_function_with_a_name(1) |> another_function_with_a_name |> b",
     "let a = a_rather_long_name_for_a_value\n  |> a_function_with_a_name(1)\n"
     "  |> another_function_with_a_name\n  |> b\n"},
    {"let a = f(\"a text of about a hundred columns, more than a line can hold, has a line of its own all the same\", b)",
     "let a = f(\"a text of about a hundred columns, more than a line can hold, has a line of its own all the same\",\n"
     "    b)\n"},
    {"let a = a_function_with_a_name(a_rather_long_name_for_a_value, an_option: 3, "
     "another(option, of: two), and: more)",
     "let a = a_function_with_a_name(a_rather_long_name_for_a_value, an_option: 3,\n"
     "    another(option, of: two), and: more)\n"},
};

START_TEST(fmt_lays_out) {
  char *once = formatted(layouts[_i].text, strlen(layouts[_i].text));
  ck_assert_int_eq(diagnostics_errors(diagnostics), 0);
  ck_assert_str_eq(once, layouts[_i].formatted);
  ck_assert_str_eq(formatted(once, strlen(once)), once);
}
END_TEST

START_TEST(programs_survive_fmt) {
  size_t length;
  char *text = read_whole(programs[_i], &length);
  char *once = formatted(text, length);
  ck_assert_msg(once != NULL && diagnostics_errors(diagnostics) == 0, "%s does not parse", programs[_i]);
  ck_assert_str_eq(tree_of(once, strlen(once)), tree_of(text, length));
  ck_assert_str_eq(formatted(once, strlen(once)), once);
  if (!strcmp(programs[_i], TESTS_DIR "/syntax/everything.mt")) ck_assert_str_eq(once, text);
}
END_TEST

START_TEST(trees_survive_fmt) {
  const char *text = trees[_i].text;
  char *once = formatted(text, strlen(text));
  if (!once) return; /* parts of programs that stand where they may not */
  ck_assert_str_eq(tree_of(once, strlen(once)), trees[_i].tree);
  ck_assert_str_eq(formatted(once, strlen(once)), once);
}
END_TEST

/* ---- mutations ---- */

static uint64_t state;
static size_t draw(size_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (size_t)(state >> 11) % below;
}

static size_t mutate(char *text, size_t length, size_t room) {
  size_t at = draw(length), run = 1 + draw(draw(4) ? 3 : 40), other = draw(length);
  if (run > length - at) run = length - at;
  char swapped = text[other];
  switch (draw(5)) {
  case 0: memmove(text + at, text + at + run, length - at - run); return length - run;
  case 1:
    if (length + run > room) return length;
    memmove(text + at + run, text + at, length - at);
    return length + run;
  case 2: text[other] = text[at], text[at] = swapped; return length;
  case 3: text[at] = (char)draw(256); return length;
  default: text[at] = "(){}[].|>,:;\n\"#<-=*^ifor0"[draw(25)]; return length;
  }
}

/* Whatever the text: no crash, an error where there is no result, and fmt's result is final. */
START_TEST(mutations_do_no_harm) {
  enum { CASES = 300, ROOM = 1 << 14 };
  size_t length;
  char *text = read_whole(programs[_i], &length), *broken = malloc(ROOM);
  ck_assert(length > 100 && length < ROOM / 2);
  state = 88172645463325252u + (unsigned)_i;
  for (int i = 0; i < CASES; i++) {
    size_t n = length;
    memcpy(broken, text, length);
    for (size_t edits = 1 + draw(6); edits > 0 && n > 10; edits--) n = mutate(broken, n, ROOM - 1);
    broken[n] = 0;
    Arena *outer = arena;
    Diagnostics *kept = diagnostics;
    setup();
    char *once = formatted(broken, n);
    if (once) ck_assert_str_eq(formatted(once, strlen(once)), once);
    else ck_assert_int_gt(diagnostics_errors(diagnostics), 0);
    teardown();
    arena = outer;
    diagnostics = kept;
  }
  free(broken);
}
END_TEST

Suite *syntax_suite(void) {
  Suite *s = suite_create("syntax");
  TCase *t = tcase_create("syntax");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_loop_test(t, prints_the_tree, 0, sizeof trees / sizeof *trees);
  tcase_add_test(t, line_ends_and_marks_change_nothing);
  tcase_add_test(t, spans_cover_what_they_stand_for);
  tcase_add_test(t, pipes_thousands_long_are_fine);
  tcase_add_loop_test(t, fmt_lays_out, 0, sizeof layouts / sizeof *layouts);
  tcase_add_loop_test(t, programs_survive_fmt, 0, N_PROGRAMS);
  tcase_add_loop_test(t, trees_survive_fmt, 0, sizeof trees / sizeof *trees);
  tcase_add_loop_test(t, mutations_do_no_harm, 0, N_PROGRAMS);
  suite_add_tcase(s, t);
  return s;
}
