/* test_attention.c - the pass attention: which spellings become the op, and which only look like it.  What the op
 * computes is for the tests of values: PyTorch's cases of attention run before and after all passes.
 */
#include <check.h>
#include <math.h>

#include "passes/passes.h"
#include "tests/compiled.h"

typedef struct Spelling {
  const char *what, *body; /* of q, k and v, [n, H, T, E], to z */
  const char *op;          /* its attributes; NULL: it is no attention */
} Spelling;

#define SCORES "let s = q @ t(k) / sqrt(E)\n"
#define PAIRS "let qq = q.[n, (G 2), T, E -> n, G, 2, T, E]\n"
#define APART "let s = einsum(\"ngrte,ngse->ngrts\", qq, k) / sqrt(E)\n"
#define TOGETHER "let z = einsum(\"ngrts,ngse->ngrte\", p, v).[n, G, r, T, E -> n, (G r), T, E]\n"
#define PAST "let past = outer(reshape(iota(T), [T, 1]) >= iota(T))\n"

static const Spelling spellings[] = {
    {"PyTorch's name", "let z = scaled_dot_product_attention(q, k, v)\n", "{scale=0.5}"},
    {"PyTorch's name, causal", "let z = scaled_dot_product_attention(q, k, v, causal: true)\n", "{scale=0.5 causal}"},
    {"PyTorch's name, with a scale", "let z = scaled_dot_product_attention(q, k, v, scale: 0.125)\n", "{scale=0.125}"},
    {"PyTorch's name, causal, with a scale of arithmetic", "let z = scaled_dot_product_attention(q, k, v, causal: true, scale: 3 / E)\n",
     "{scale=0.75 causal}"},
    {"written out", SCORES "let z = softmax(s, over: -1) @ v\n", "{scale=0.5}"},
    {"scaled by a product", "let s = 0.5 * (q @ t(k)) * 0.25\nlet z = softmax(s, over: -1) @ v\n", "{scale=0.125}"},
    {"not scaled", "let z = softmax(q @ t(k), over: -1) @ v\n", "{scale=1}"},
    {"by causal()", SCORES "let z = softmax(causal(s), over: -1) @ v\n", "{scale=0.5 causal}"},
    {"masked with a large number", SCORES PAST "let z = softmax(where(past, s, -1e9), over: -1) @ v\n", "{scale=0.5 causal}"},
    {"the condition turned round", SCORES "let z = softmax(where(outer(iota(T) <= reshape(iota(T), [T, 1])), s, -1e30), over: -1) @ v\n",
     "{scale=0.5 causal}"},
    {"one more is past", SCORES "let z = softmax(where(outer(reshape(iota(T), [T, 1]) + 1 > iota(T)), s, -1e30), over: -1) @ v\n",
     "{scale=0.5 causal}"},
    {"masked with a small number", SCORES PAST "let z = softmax(where(past, s, -10.0), over: -1) @ v\n", NULL},
    {"those behind it", SCORES "let z = softmax(where(outer(reshape(iota(T), [T, 1]) <= iota(T)), s, -1e30), over: -1) @ v\n", NULL},
    {"not itself", SCORES "let z = softmax(where(outer(reshape(iota(T), [T, 1]) > iota(T)), s, -1e30), over: -1) @ v\n", NULL},
    {"every second place", SCORES "let z = softmax(where(outer(2 * reshape(iota(T), [T, 1]) >= iota(T)), s, -1e30), over: -1) @ v\n", NULL},
    {"a mask of its own", SCORES "let z = softmax(where(q[:, :, :, :1] > 0, s, -1e30), over: -1) @ v\n", NULL},
    {"over the rows", SCORES "let z = softmax(s, over: -2) @ v\n", NULL},
    {"something added", SCORES "let z = softmax(s + 0.1 * iota(T), over: -1) @ v\n", NULL},
    {"dropped in training alone", "let z = scaled_dot_product_attention(q, k, v, dropout_p: 0.1)\n", "{scale=0.5}"},
    {"weights that are read twice", SCORES "let p = softmax(s, over: -1)\nlet z = p @ v + mean(p)\n", NULL},
    {"weights turned", SCORES "let z = t(softmax(s, over: -1)) @ v\n", NULL},
    {"no softmax", SCORES "let z = (exp(s) / sum(exp(s), over: -2, keep: true)) @ v\n", NULL},
};

/* k and v are [n, G, T, E]: two heads of q share each. */
static const Spelling shared[] = {
    {"grouped heads, by PyTorch's option", "let z = scaled_dot_product_attention(q, k, v, causal: true, enable_gqa: true)\n", "{scale=0.5 causal}"},
    {"heads repeated", "let z = scaled_dot_product_attention(q, repeat_heads(k, 2), concat(v, v, over: 1).[n, (2 G), t, e -> n, (G 2), t, e])\n",
     "{scale=0.5}"},
    {"an axis of pairs", PAIRS "let s = qq @ t(k.[n, G, T, E -> n, G, 1, T, E]) / sqrt(E)\n"
     "let z = (softmax(causal(s), over: -1) @ v.[n, G, T, E -> n, G, 1, T, E]).[n, G, r, T, E -> n, (G r), T, E]\n", "{scale=0.5 causal}"},
    {"pairs by einsum", PAIRS APART "let p = softmax(s, over: -1)\n" TOGETHER, "{scale=0.5}"},
    {"pairs by einsum, causal", PAIRS APART "let p = softmax(causal(s), over: -1)\n" TOGETHER, "{scale=0.5 causal}"},
    {"pairs by einsum, from k turned", PAIRS "let s = einsum(\"ngrte,nges->ngrts\", qq, t(k)) / sqrt(E)\n"
     "let p = softmax(causal(s), over: -1)\n" TOGETHER, "{scale=0.5 causal}"},
    {"pairs among the places", "let s = q.[n, (G 2), T, E -> n, G, (2 T), E] @ t(k) / sqrt(E)\n"
     "let z = (softmax(s, over: -1) @ v).[n, G, (r T), E -> n, (G r), T, E]\n", "{scale=0.5}"},
    {"pairs whose weights are read apart", PAIRS APART "let p = softmax(causal(s), over: -1)\n"
     "let z = einsum(\"ngrts,ngse->ngrte\", p, v).[n, G, r, T, E -> n, (G r), T, E] + mean(p)\n", NULL},
    {"pairs that see what is hidden", PAIRS APART "let p = softmax(where(outer(reshape(iota(T), [T, 1]) <= iota(T)), s, -1e30), over: -1)\n"
     TOGETHER, NULL},
};
enum { N_SPELLINGS = sizeof spellings / sizeof *spellings, N_SHARED = sizeof shared / sizeof *shared, COUNT = 2 * 4 * 5 * 4 };

static const char *model(Arena *arena, const char *body, bool is_shared) {
  char of = is_shared ? 'G' : 'H';
  return arena_print(arena,
                     "use nn\ndim B = 2, H = 4, G = 2, T = 5, E = 4\n"
                     "module Net()(q: [n, H, T, E], k: [n, %c, T, E], v: [n, %c, T, E]) -> [n, H, T, E] {\n%sreturn z\n}\n"
                     "let net = Net()\npredict p in { q: f32[B, H, T, E], k: f32[B, %c, T, E], v: f32[B, %c, T, E] } -> net(p.q, p.k, p.v)\n",
                     of, of, body, of, of);
}

/* Of q, k and v that differ in every element. */
static Tensor value_of(const Graph *graph, Arena *arena) {
  Binding bindings[3];
  for (int i = 0; i < 3; i++) {
    double *data = arena_alloc(arena, sizeof *data * COUNT);
    for (int j = 0; j < COUNT; j++) data[j] = sin(j * (i + 1.0) + i);
    bindings[i] = (Binding){(const char *const[]){"p.q", "p.k", "p.v"}[i], data};
  }
  Tensor out;
  const char *missing = "?";
  ck_assert_msg(evaluate(graph, bindings, 3, &(EvaluateOptions){.rows = 2}, &out, &missing), "no %s", missing);
  return out;
}

START_TEST(spellings_are_told_from_what_looks_alike) {
  bool is_shared = _i >= N_SPELLINGS;
  const Spelling *spelling = is_shared ? &shared[_i - N_SPELLINGS] : &spellings[_i];
  Arena *arena = arena_new();
  const char *text = model(arena, spelling->body, is_shared);
  const Graph *graph = compiled_until(arena, text, "attention")->predict.graph;
  const Node *found = NULL;
  int products = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    products += graph->nodes[i]->op == OP_matmul;
    if (graph->nodes[i]->op == OP_attention) found = graph->nodes[i];
  }
  ck_assert_msg((found != NULL) == (spelling->op != NULL), "%s: %s", spelling->what, found ? "attention" : "no attention");
  ck_assert_msg(products == (found ? 0 : 2), "%s: %d products are left", spelling->what, products);
  if (found) ck_assert_str_eq(arena_print(arena, "{scale=%g%s}", found->attrs.scale, found->attrs.causal ? " causal" : ""), spelling->op);
  Tensor before = value_of(compiled(arena, text)->predict.graph, arena), after = value_of(graph, arena);
  ck_assert_int_eq(before.count, COUNT);
  for (int i = 0; i < COUNT; i++) ck_assert_double_eq_tol(before.data[i], after.data[i], 1e-13);
  tensor_free(&before);
  tensor_free(&after);
  arena_free(arena);
}
END_TEST

/* --bisect-limit leaves it as it was written. */
START_TEST(the_rewrite_can_be_left_out) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *p = compiled(arena, model(arena, spellings[0].body, false));
  PassContext context = {.program = p, .arena = arena, .diagnostics = d, .level = 2, .verify_each = true, .stop_after = "attention"};
  ck_assert(run_pipeline(&context, NULL, NULL));
  for (int i = 0; i < p->predict.graph->n_nodes; i++) ck_assert_int_ne(p->predict.graph->nodes[i]->op, OP_attention);
  diagnostics_free(d);
  arena_free(arena);
}
END_TEST

/* lse is made where the attention is, by one call, and saved for the gradient; what no gradient passes through has none. */
START_TEST(the_sums_are_made_with_the_attention) {
  Arena *arena = arena_new();
  const Program *p = compiled_until(
      arena,
      "use nn\ndim B = 4, T = 8, D = 8\ndata d = random(rows: 8, seed: 1) -> { x: f32[B, T, D], y: f32[B, T, D] }\n"
      "module Block()(x: [n, T, D]) -> [n, T, D] {\nlet k = x |> key: Linear(D)\n"
      "let seen = scaled_dot_product_attention(x, k, x, causal: true)\n"
      "let past = stop(scaled_dot_product_attention(k, x, x))\nreturn x + seen + past\n}\n"
      "module Net()(x: [n, T, D]) -> [n, T, D] {\nfor b in stack(Block(), 3) carry x { x = b(x) }\nreturn x\n}\n"
      "let net = Net()\ntrain r in d for 2 steps {\nlet loss = mse(net(r.x), r.y)\n"
      "update net minimize loss using sgd(lr: 0.1)\nlog loss\n}\n", "schedule");
  const Graph *bodies[2];
  int n_bodies = 0;
  for (int i = 0; i < p->train.graph->n_nodes; i++)
    if (p->train.graph->nodes[i]->op == OP_loop && n_bodies++ < 2) bodies[n_bodies - 1] = p->train.graph->nodes[i]->body;
  ck_assert_int_eq(n_bodies, 2);
  for (int b = 0; b < 2; b++) {
    int sums = 0, paired = 0;
    for (int i = 0; i < bodies[b]->n_nodes; i++) {
      const Node *node = bodies[b]->nodes[i];
      sums += node->op == OP_attention_lse;
      paired += node->op == OP_attention_lse && attention_has_lse(bodies[b]->nodes[i + 1], node);
    }
    ck_assert_int_eq(sums, b == 0);
    ck_assert_int_eq(paired, b == 0);
  }
  arena_free(arena);
}
END_TEST

Suite *attention_suite(void) {
  Suite *suite = suite_create("attention");
  TCase *pass = tcase_create("pass");
  tcase_add_loop_test(pass, spellings_are_told_from_what_looks_alike, 0, N_SPELLINGS + N_SHARED);
  tcase_add_test(pass, the_rewrite_can_be_left_out);
  tcase_add_test(pass, the_sums_are_made_with_the_attention);
  suite_add_tcase(suite, pass);
  return suite;
}
