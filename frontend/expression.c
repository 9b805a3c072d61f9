/* expression.c - expressions: names, operators, and how values become tensors. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

/* ---- type errors ---- */

void report_type(Lower *l, const TypeError *error, const Expr *e) {
  static const struct {
    const char *kind;
    ErrorCode code;
  } codes[] = {{"broadcast", E0201}, {"repeat", E0202}, {"inner", E0203},   {"leading", E0203},
               {"rank", E0204},      {"axis", E0205},   {"reshape", E0206}, {"rows", E0211},
               {"index", E0210},     {"dtype", E0208},  {"count", E0104}};
  ErrorCode code = E0204;
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
    if (!strcmp(codes[i].kind, error->kind)) code = codes[i].code;
  report(l->d, code, place(l, e->at), "%s", error->message);
}

/* Two ways to make inner sizes meet. */
static void help_product(Lower *l, const Type *x, const Type *y) {
  const Type *types[] = {x, y};
  Attrs attrs = {.tb = true};
  Dim inner = y->dim[y->rank - 2];
  int64_t joined = 1;
  Type out;
  for (int i = 1; i < x->rank; i++) joined *= x->dim[i].size;
  if (infer_type(OP_matmul, 2, types, &attrs, true, &out, NULL))
    report_help(l->d, "they meet when the right side is transposed: x @ t(y)");
  else if (x->rank > 2 && joined == inner.size)
    report_help(l->d, "the axes after the first have %lld elements together: join them, x.[a, b, c -> a, (b c)]",
                (long long)joined);
}

/* What stands on both sides of an operator, or in the brackets of a call. */
static void note_operands(Lower *l, int n, Node *const *in, const Expr *e) {
  int first = e->kind == EXPR_CALL;
  if ((e->kind != EXPR_BINARY && e->kind != EXPR_CALL) || n < 2 || e->n_args != n + first) return;
  for (int i = 0; i < n; i++) {
    Value v = tensor_value(in[i]);
    report_note(l->d, place(l, e->args[i + first]->at), "this is %s", describe(l, &v));
  }
}

Value apply(Lower *l, Op op, int n, Node *const *in, const Attrs *attrs, const Expr *e) {
  const Type *types[8];
  Type out;
  TypeError error = {"", "rank"};
  for (int i = 0; i < n; i++) {
    if (!in[i]) return poison();
    types[i] = &in[i]->type;
  }
  if (!infer_type(op, n, types, attrs, true, &out, &error) && !(l->outer && !strcmp(error.kind, "repeat"))) {
    report_type(l, &error, e);
    bool by_name = infer_type(op, n, types, attrs, false, &out, NULL);
    if (by_name && strcmp(error.kind, "repeat"))
      report_help(l->d, "the sizes fit, but names are symbols: each matches only itself");
    if (!strcmp(error.kind, "repeat"))
      report_help(l->d, "for all pairs write outer(...); otherwise take an axis away first, as in x[:, 0]");
    if (op == OP_matmul && !strcmp(error.kind, "inner")) help_product(l, types[0], types[1]);
    note_operands(l, n, in, e);
    return poison();
  }
  return tensor_value(
      node_new(l->graph, op, in, n, attrs, claim(l, op == OP_matmul ? "mm" : op_info[op].name), place(l, e->at)));
}

/* ---- values as tensors and numbers ---- */

static Node *constant(Lower *l, double value, DType dtype, const Expr *e) {
  Builder b = builder(l, e);
  return b_const(&b, dtype, value);
}

bool in_graph(Lower *l, const Expr *e) {
  if (l->graph) return true;
  report(l->d, E0304, place(l, e->at),
         "tensors are computed in train, eval and predict; at file level stand numbers and instances");
  return false;
}

/* Of the batches only the graph's own has rows here. */
bool own_batch(Lower *l, Dim dim, const Expr *e) {
  const Symbol *rows = l->graph ? l->graph->rows : NULL;
  if (!dim.rows || !rows || dim.rows == rows) return true;
  report(l->d, E0211, place(l, e->at), "%s is the batch of other data: here a batch has %s rows", dim.rows->name, rows->name);
  report_help(l->d, "a module that is called with both names the axis in its signature, (x: [n, i]), and takes n");
  return false;
}

Node *as_tensor(Lower *l, Value v, DType wish, const Expr *e) {
  if (v.kind == POISON || !in_graph(l, e)) return NULL;
  if (v.kind == TENSOR) return v.node;
  bool is_schedule = l->graph && l->graph == l->program->schedule;
  if (v.kind == NUMBER) {
    DType dtype = is_schedule ? F64 : (v.is_float || wish == BOOL) && !dtype_is_float(wish) ? F32 : wish;
    return constant(l, v.number, dtype, e);
  }
  if (v.kind == TRUTH) return constant(l, v.number, wish == BOOL ? BOOL : wish, e);
  if (v.kind == DIM && v.dim.rows && is_schedule) {
    report(l->d, E0502, place(l, e->at), "%s is the rows of one batch, and an optimizer's options are those of the whole run",
           v.dim.rows->name);
    report_help(l->d, "write the number, %lld, or declare it as a dim of its own", (long long)v.dim.rows->size);
    return NULL;
  }
  if (v.kind == DIM && l->graph && !own_batch(l, v.dim, e)) return NULL;
  if (v.kind == DIM && v.dim.rows && l->graph) {
    Builder b = builder(l, e);
    Type t = type_shape(F32, 1, &v.dim);
    int axis = 0;
    return b_count(&b, &t, 1, &axis, dtype_is_float(wish) ? wish : F32);
  }
  if (v.kind == DIM) return constant(l, (double)v.dim.size, is_schedule ? F64 : wish == BOOL ? F32 : wish, e);
  report(l->d, E0106, place(l, e->at), "a tensor is needed here, this is %s", describe(l, &v));
  return NULL;
}

static bool is_static(const Value *v) {
  return v->kind == NUMBER || v->kind == TRUTH || (v->kind == DIM && !v->dim.rows);
}
static double static_number(const Value *v) { return v->kind == DIM ? (double)v->dim.size : v->number; }

bool as_number(Lower *l, const Expr *e, double *out) {
  Value v = eval(l, e);
  if (v.kind == POISON) return false;
  if (is_static(&v)) return *out = static_number(&v), true;
  report(l->d, E0106, place(l, e->at), "a number known at compile time is needed here, this is %s", describe(l, &v));
  return false;
}

/* ---- operators ---- */

static Value fold(Op op, const Value *x, const Value *y) {
  double a = static_number(x), b = static_number(y);
  bool is_float = x->is_float || y->is_float || op == OP_div;
  switch (op) {
  case OP_add: return number_value(a + b, is_float);
  case OP_sub: return number_value(a - b, is_float);
  case OP_mul: return number_value(a * b, is_float);
  case OP_div: return number_value(a / b, is_float);
  case OP_floordiv: return number_value(floor(a / b), is_float);
  case OP_mod: return number_value(a - floor(a / b) * b, is_float);
  case OP_pow: return number_value(pow(a, b), is_float || b < 0);
  case OP_maximum: return number_value(isnan(a) || a > b ? a : b, is_float);
  case OP_minimum: return number_value(isnan(a) || a < b ? a : b, is_float);
  case OP_eq: return truth_value(a == b);
  case OP_ne: return truth_value(a != b);
  case OP_lt: return truth_value(a < b);
  case OP_le: return truth_value(a <= b);
  case OP_gt: return truth_value(a > b);
  case OP_ge: return truth_value(a >= b);
  case OP_and: return truth_value(a != 0 && b != 0);
  case OP_or: return truth_value(a != 0 || b != 0);
  default: return poison();
  }
}

static DType wish_for(const Value *other) { return other->kind == TENSOR ? other->node->type.dtype : F32; }

/* When the trailing rule does not fit, align the smaller operand's named axes with the larger one's. */
static Node *align_by_name(Lower *l, Node *small, const Node *large, const Expr *e) {
  Type shape = {.dtype = small->type.dtype, .rank = large->type.rank};
  int at[MAX_RANK], last = -1;
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = dim_literal(1);
  for (int i = 0; i < small->type.rank; i++) {
    const Symbol *s = small->type.dim[i].symbol;
    at[i] = -1;
    for (int k = 0; s && k < large->type.rank; k++)
      if (large->type.dim[k].symbol == s) at[i] = at[i] < 0 ? k : MAX_RANK;
    if (at[i] <= last || at[i] >= MAX_RANK) return NULL;
    last = at[i];
    shape.dim[at[i]] = small->type.dim[i];
  }
  Builder b = builder(l, e);
  return b_reshape(&b, small, &shape);
}

static void align(Lower *l, Node **x, Node **y, const Expr *e) {
  Type out;
  TypeError error;
  if (infer_broadcast(&(*x)->type, &(*y)->type, true, &out, &error) || !strcmp(error.kind, "repeat")) return;
  Node **small = (*x)->type.rank < (*y)->type.rank ? x : y, *large = small == x ? *y : *x, *aligned;
  if (small == y && (*x)->type.rank == (*y)->type.rank) return;
  if ((aligned = align_by_name(l, *small, large, e))) *small = aligned;
}

/* argmax(z, over: K) == y: y is a class, or cross_entropy's mark for rows without one. */
static void note_answers(Lower *l, Node *const *in) {
  for (int i = 0; i < 2; i++)
    if (in[i]->op == OP_argmax) note_labels(l, in[1 - i], in[i]->in[0]->type.dim[in[i]->attrs.axes[0]].size, -100);
}

Value binary(Lower *l, Op op, Value x, Value y, const Expr *e) {
  if (x.kind == POISON || y.kind == POISON) return poison();
  if (is_static(&x) && is_static(&y)) return fold(op, &x, &y);
  const Expr *left = e->kind == EXPR_BINARY ? e->args[0] : e, *right = e->kind == EXPR_BINARY ? e->args[1] : e;
  Node *in[2] = {as_tensor(l, x, wish_for(&y), left), as_tensor(l, y, wish_for(&x), right)};
  if (!in[0] || !in[1]) return poison();
  if (op == OP_pow && y.kind == NUMBER && y.number == 0.5)
    return apply(l, OP_sqrt, 1, in, NULL, e); /* as PyTorch: NaN at -inf */
  align(l, &in[0], &in[1], e);
  if (op == OP_eq || op == OP_ne) note_answers(l, in);
  return apply(l, op, 2, in, NULL, e);
}

static const struct {
  const char *sign;
  Op op;
} operators[] = {{"+", OP_add}, {"-", OP_sub}, {"*", OP_mul}, {"/", OP_div},   {"//", OP_floordiv},
                 {"%", OP_mod}, {"^", OP_pow}, {"==", OP_eq}, {"!=", OP_ne},   {"<", OP_lt},
                 {"<=", OP_le}, {">", OP_gt},  {">=", OP_ge}, {"and", OP_and}, {"or", OP_or}};

/* The axes in front of a matrix. */
static Type leading(const Type *matrices) {
  Type t = *matrices;
  t.rank -= 2;
  return t;
}

static Node *with_leading(Lower *l, Node *x, const Type *front, const Expr *e) {
  Type own = leading(&x->type), wide = *front;
  if (type_same_shape(&own, front)) return x;
  wide.dtype = x->type.dtype;
  for (int i = 0; i < 2; i++) wide.dim[wide.rank++] = x->type.dim[own.rank + i];
  Builder b = builder(l, e);
  return b_broadcast(&b, x, &wide);
}

/* Leading axes broadcast, but for a single matrix on the right, which is read as it stands. */
static void align_matrices(Lower *l, Node *in[2], const Expr *e) {
  TypeError error;
  Type front;
  if (in[0]->type.rank < 2 || in[1]->type.rank <= 2) return;
  Type a = leading(&in[0]->type), b = leading(&in[1]->type);
  if (!infer_broadcast(&a, &b, true, &front, &error) || front.rank + 2 > MAX_RANK) return;
  for (int i = 0; i < 2; i++) in[i] = with_leading(l, in[i], &front, e);
}

static Value matrix_product(Lower *l, Value x, Value y, const Expr *e) {
  Node *in[2] = {as_tensor(l, x, F32, e->args[0]), as_tensor(l, y, F32, e->args[1])};
  Attrs attrs = {0};
  if (in[0] && in[1]) align_matrices(l, in, e);
  return in[0] && in[1] ? apply(l, OP_matmul, 2, in, &attrs, e) : poison();
}

static Value eval_binary(Lower *l, const Expr *e) {
  Value x = eval_at(l, e->args[0], "lhs"), y = eval_at(l, e->args[1], "rhs");
  if (x.kind == POISON || y.kind == POISON) return poison();
  if (!strcmp(e->name, "@")) return matrix_product(l, x, y, e);
  for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
    if (!strcmp(operators[i].sign, e->name)) return binary(l, operators[i].op, x, y, e);
  fault("operator %s", e->name);
}

static Value eval_unary(Lower *l, const Expr *e) {
  Value x = eval(l, e->args[0]);
  bool is_not = !strcmp(e->name, "not");
  if (x.kind == POISON) return x;
  if (is_static(&x)) return is_not ? truth_value(static_number(&x) == 0) : number_value(-static_number(&x), x.is_float);
  Node *node = as_tensor(l, x, F32, e->args[0]);
  return node ? apply(l, is_not ? OP_not : OP_neg, 1, &node, NULL, e) : poison();
}

/* ---- names and parts ---- */

static Value counter(Lower *l, const char *name, const Expr *e) {
  bool is_schedule = l->graph == l->program->schedule;
  Attrs attrs = {.path = name, .shape = type_scalar(is_schedule ? F64 : F32)};
  return tensor_value(node_new(l->graph, OP_counter, NULL, 0, &attrs, name, place(l, e->at)));
}

static const char *const counters[] = {"step", "epoch", "total"};
enum { N_COUNTERS = sizeof counters / sizeof counters[0] };

int counter_names(const char **out) {
  for (int i = 0; i < N_COUNTERS; i++) out[i] = counters[i];
  return N_COUNTERS;
}

static Value eval_name(Lower *l, const Expr *e) {
  Entry *entry = lookup(l->scope, e->name, false);
  if (entry && entry->graph && entry->graph != l->graph && is_around(l, entry->graph))
    return entry->state ? state_of_entry(l, entry) : import_value(l, entry->value, entry->graph);
  if (entry) return same_graph(l, entry, e) ? entry->value : poison();
  bool counts = false;
  for (int i = 0; i < N_COUNTERS; i++) counts |= !strcmp(e->name, counters[i]);
  if (counts && l->graph && (l->training || l->graph == l->program->schedule)) return counter(l, e->name, e);
  if (!strcmp(e->name, "training")) return truth_value(l->training);
  const Builtin *found = builtin_find(e->name);
  if (found) return (Value){.kind = BUILTIN, .builtin = found};
  if (is_schedule(l, e) && l->graph == l->program->schedule) {
    report(l->d, E0502, e->at, "%s needs the rate it starts from: %s(1e-3)", e->name, e->name);
    return poison();
  }
  return unknown_name(l, e->name, e->at, false);
}

/* As training sees it where it trains, and as it is elsewhere. */
static const Node *value_of_field(Lower *l, const Value *batch, int i, const Span *at) {
  Field *field = &batch->fields[i];
  const char *path = join(l, batch->name, field->name);
  Attrs attrs = {.path = path, .shape = field->type};
  Node *leaf = node_new(l->graph, OP_input, NULL, 0, &attrs, path, at);
  for (int k = 0; k < l->n_leaves; k++)
    if (l->leaves[k].leaf == leaf) return l->leaves[k].value;
  bool moved = l->training && batch->augment && batch->augment->moved[i];
  FieldLeaf known = {leaf, moved ? augmented(l, batch->augment, batch->name, leaf) : leaf, field};
  LIST_PUSH(l->arena, l->leaves, l->n_leaves, known);
  return known.value;
}

static Value field_of_batch(Lower *l, const Value *batch, const Expr *e) {
  for (int i = 0; i < batch->n; i++)
    if (!strcmp(batch->fields[i].name, e->name)) return tensor_value((Node *)value_of_field(l, batch, i, place(l, e->at)));
  const char *names[64];
  Text list = {0};
  int n = batch->n < 64 ? batch->n : 64;
  for (int i = 0; i < n; i++) {
    names[i] = batch->fields[i].name;
    text_add(&list, "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", names[i]);
  }
  const char *guess = nearest(e->name, names, n);
  report(l->d, E0107, place(l, e->at), "%s has no field %s", batch->name, e->name);
  if (guess) report_help(l->d, "did you mean %s.%s?", batch->name, guess);
  else report_help(l->d, "it has %s", list.data);
  text_free(&list);
  return poison();
}

/* The known path, or the front of one, that is nearest to what was written. */
static void help_near_path(Lower *l, int n, const char *const *paths, const char *written) {
  enum { ROOM = 256 };
  const char *names[ROOM];
  int depth = 0, count = 0;
  for (const char *c = written; *c; c++) depth += *c == '.';
  for (int i = 0; i < n && count < ROOM; i++) {
    size_t length = 0;
    for (int dots = 0; paths[i][length] && (paths[i][length] != '.' || dots++ < depth);) length++;
    names[count++] = arena_copy(l->arena, paths[i], length);
  }
  const char *guess = nearest(written, names, count);
  if (guess) report_help(l->d, "did you mean %s?", guess);
}

void help_uncalled(Lower *l, const Instance *instance) {
  if (instance->first_call) return;
  report_help(l->d, "an instance has parameters from its first call on: call %s first", instance->path);
}

static void help_instance(Lower *l, const Instance *instance, const char *part) {
  enum { ROOM = 64 };
  const char *paths[ROOM];
  int n = 0;
  for (int i = 0; i < instance->n_children && n < ROOM; i++) paths[n++] = instance->children[i]->path;
  for (int i = 0; i < instance->n_params && n < ROOM; i++) paths[n++] = l->program->params[instance->params[i]].path;
  if (n) help_near_path(l, n, paths, join(l, instance->path, part));
  else help_uncalled(l, instance);
}

/* What a record holds at that path: a gradient, or the record of those further down. */
static Value part_of_record(Lower *l, const Value *record, const Expr *e) {
  Value part = {.kind = RECORD, .name = join(l, record->name, e->name)};
  size_t length = strlen(part.name);
  for (int i = 0; i < record->n; i++) {
    if (strncmp(record->names[i], part.name, length)) continue;
    if (!record->names[i][length]) return record->items[i];
    if (record->names[i][length] != '.') continue;
    int n = part.n;
    LIST_PUSH(l->arena, part.names, part.n, record->names[i]);
    LIST_PUSH(l->arena, part.items, n, record->items[i]);
  }
  if (part.n) return part;
  report(l->d, E0107, place(l, e->at), "the gradients of %s have no part called %s", record->name, e->name);
  help_near_path(l, record->n, record->names, part.name);
  return poison();
}

/* Words that are parts of arrays in other languages. */
static const struct {
  const char *part, *help;
} array_parts[] = {{"T", "t(x) exchanges the last two axes"},
                   {"shape", "a shape's sizes are dims: write B, P, or size(x, over: -1)"},
                   {"view", "write reshape(x, [...])"},
                   {"permute", "write x.[a, b -> b, a]"},
                   {"squeeze", "write x[:, 0]"},
                   {"unsqueeze", "write x.[a -> a, 1]"},
                   {"detach", "write stop(x)"},
                   {"grad", "write grad(loss, x)"},
                   {"item", "a scalar is used as it is, without it"},
                   {"backward", "`update net minimize loss using ...` computes the gradients by itself"},
                   {"float", "write f32(x)"},
                   {"long", "write i32(x)"}};

/* x.sum() is sum(x) here. */
static void help_part(Lower *l, const Value *x, const char *part) {
  if (x->kind == SET) report_help(l->d, "a batch of it has fields: train d in %s ... { ... d.%s ... }", x->name, part);
  if (x->kind == INSTANCE) help_instance(l, x->instance, part);
  if (x->kind != TENSOR) return;
  for (size_t i = 0; i < sizeof array_parts / sizeof array_parts[0]; i++)
    if (!strcmp(part, array_parts[i].part)) {
      report_help(l->d, "%s", array_parts[i].help);
      return;
    }
  if (builtin_find(part)) report_help(l->d, "a function takes its value in brackets: %s(x)", part);
}

/* nn.relu(x), torch.relu(x): names of files are no values. */
static bool is_library(Lower *l, const Expr *e) {
  static const char *const names[] = {"nn", "torch", "np", "numpy", "F", "tf"};
  for (size_t i = 0; e->kind == EXPR_NAME && i < sizeof names / sizeof names[0]; i++)
    if (!strcmp(e->name, names[i])) return !lookup(l->scope, e->name, false);
  return false;
}

static Value eval_field(Lower *l, const Expr *e) {
  if (is_library(l, e->args[0])) {
    report(l->d, E0107, place(l, e->at), "%s is no value that has parts", e->args[0]->name);
    report_help(l->d, "functions and layers are called by their names alone: %s(...)", e->name);
    return poison();
  }
  Value x = eval(l, e->args[0]);
  if (x.kind == POISON) return x;
  if (x.kind == BATCH) return field_of_batch(l, &x, e);
  if (x.kind == INSTANCE) {
    for (int i = 0; i < x.instance->n_children; i++)
      if (!strcmp(x.instance->children[i]->path + strlen(x.instance->path) + 1, e->name))
        return (Value){.kind = INSTANCE, .instance = x.instance->children[i]};
    const char *path = join(l, x.instance->path, e->name);
    for (int i = 0; i < x.instance->n_params && l->graph; i++) {
      const Param *param = &l->program->params[x.instance->params[i]];
      if (strcmp(param->path, path)) continue;
      if (l->graph != l->program->schedule) return param_value(l, param, param->span);
      report(l->d, E0502, place(l, e->at),
             "an optimizer's options are computed from step, epoch and total alone, not from a parameter");
      return poison();
    }
  }
  if (x.kind == INSTANCE && l->graph && l->graph != l->program->schedule) {
    Value state = state_value(l, join(l, x.instance->path, e->name));
    if (state.kind != POISON) return state;
  }
  if (x.kind == RECORD) return part_of_record(l, &x, e);
  report(l->d, E0107, place(l, e->at), "%s has no part called %s", describe(l, &x), e->name);
  help_part(l, &x, e->name);
  return poison();
}

static Value eval_if(Lower *l, const Expr *e) {
  Value c = eval(l, e->args[0]);
  if (c.kind == POISON) return c;
  if (is_static(&c)) return eval(l, e->args[static_number(&c) != 0 ? 1 : 2]);
  report(l->d, E0106, place(l, e->args[0]->at), "`if` chooses at compile time, by the configuration or `training`");
  report_help(l->d, "to choose element by element write where(condition, yes, no)");
  return poison();
}

static Value eval_tuple(Lower *l, const Expr *e) {
  Value v = {.kind = TUPLE, .n = e->n_args, .items = arena_alloc(l->arena, sizeof(Value) * (size_t)(e->n_args + 1))};
  for (int i = 0; i < e->n_args; i++) v.items[i] = eval(l, e->args[i]);
  return v;
}

Value eval(Lower *l, const Expr *e) {
  switch (e->kind) {
  case EXPR_NUMBER: return number_value(e->number, e->is_float);
  case EXPR_STRING: return (Value){.kind = TEXT, .name = e->name};
  case EXPR_TRUE: return truth_value(true);
  case EXPR_FALSE: return truth_value(false);
  case EXPR_NAME: return eval_name(l, e);
  case EXPR_UNARY: return eval_unary(l, e);
  case EXPR_BINARY: return eval_binary(l, e);
  case EXPR_PIPE: return eval_pipe(l, e);
  case EXPR_CALL: return eval_call(l, e, NULL);
  case EXPR_FIELD: return eval_field(l, e);
  case EXPR_INDEX: return eval_index(l, e);
  case EXPR_REARRANGE: return eval_rearrange(l, e);
  case EXPR_IF: return eval_if(l, e);
  case EXPR_SHAPE: return eval_tuple(l, e);
  case EXPR_LABEL:
  case EXPR_SLICE:
  case EXPR_SPREAD:
  case EXPR_RANGE: break;
  }
  report(l->d, E0106, place(l, e->at), "a value is needed here");
  return poison();
}
