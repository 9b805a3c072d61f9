/* schedule.c - the order of nodes, chosen to keep few bytes alive.
 *
 * List scheduling: of the nodes whose operands are there, take one that frees
 * at least as much arena as it needs, the most first; that places weight
 * gradients as soon as they can be had and lets go of activations early.
 * When every ready node would only take memory, go on in source order, which
 * follows the model.  Ties go by source order, so the result is the same on
 * every machine.  The source order itself is kept where it needs no more.
 */
#include <string.h>

#include "passes/internal.h"

typedef struct Entry {
  int64_t key;   /* higher first */
  int id;        /* then lower first */
} Entry;

typedef struct Heap {
  Arena *arena;
  int n, room;
  Entry *at;
} Heap;

static bool is_before(Entry a, Entry b) { return a.key != b.key ? a.key > b.key : a.id < b.id; }

static void heap_push(Heap *heap, Entry entry) {
  heap->at = arena_room(heap->arena, heap->at, heap->n, &heap->room, sizeof *heap->at);
  int i = heap->n++;
  for (; i > 0 && is_before(entry, heap->at[(i - 1) / 2]); i = (i - 1) / 2) heap->at[i] = heap->at[(i - 1) / 2];
  heap->at[i] = entry;
}

static void heap_pop(Heap *heap) {
  Entry last = heap->at[--heap->n];
  int i = 0;
  for (int child; (child = 2 * i + 1) < heap->n; i = child) {
    if (child + 1 < heap->n && is_before(heap->at[child + 1], heap->at[child])) child++;
    if (!is_before(heap->at[child], last)) break;
    heap->at[i] = heap->at[child];
  }
  heap->at[i] = last;
}

typedef struct List { int n, room, *at; } List;

typedef struct Schedule {
  Graph *graph;
  Arena *arena;
  int n;
  int *root;       /* the value whose bytes a node stands for */
  int64_t *bytes;  /* of a root in the arena; 0 where it lives elsewhere */
  List *readers;   /* of any node: who has it as operand */
  List *consumers; /* of a root: nodes that read its bytes, each once */
  int *left;       /* consumers of a root not yet placed */
  int *waiting;    /* operands not yet placed */
  bool *placed;
  Heap by_score, by_source;
  int n_order, *order;
} Schedule;

static void list_push(Arena *arena, List *list, int value) {
  list->at = arena_room(arena, list->at, list->n, &list->room, sizeof *list->at);
  list->at[list->n++] = value;
}

/* Nodes that come at once and cost nothing: results of a group or loop, aliases. */
static bool is_free(const Node *n) {
  Kind kind = op_info[n->op].kind;
  return kind == LEAF || kind == VIEW;
}

static void find_values(Schedule *s) {
  for (int i = 0; i < s->n; i++) {
    const Node *n = s->graph->nodes[i];
    s->root[i] = op_info[n->op].kind == VIEW ? s->root[n->in[0]->id] : i;
    bool stored = n->op == OP_result || (op_info[n->op].kind != LEAF && op_info[n->op].kind != VIEW && !n->body);
    s->bytes[i] = stored ? type_bytes(&n->type) : 0;
  }
  for (int i = 0; i < s->graph->n_outputs; i++) /* their slots are there in any case */
    s->bytes[s->root[s->graph->outputs[i].node->id]] = 0;
}

static void find_readers(Schedule *s) {
  for (int i = 0; i < s->n; i++) {
    const Node *n = s->graph->nodes[i];
    s->waiting[i] = n->n_in;
    for (int k = 0; k < n->n_in; k++) {
      list_push(s->arena, &s->readers[n->in[k]->id], i);
      if (is_free(n)) continue;
      int root = s->root[n->in[k]->id];
      List *consumers = &s->consumers[root];
      if (consumers->n && consumers->at[consumers->n - 1] == i) continue;
      list_push(s->arena, consumers, i);
      s->left[root]++;
    }
  }
}

/* Bytes node i gives back less the bytes it takes. */
static int64_t score(const Schedule *s, int i) {
  const Node *n = s->graph->nodes[i];
  int64_t result = 0;
  for (int k = 0; k < n->n_in; k++) {
    int root = s->root[n->in[k]->id];
    bool again = false;
    for (int e = 0; e < k; e++) again |= s->root[n->in[e]->id] == root;
    if (!again && s->left[root] == 1) result += s->bytes[root];
  }
  if (!n->body) return result - s->bytes[i];
  for (int r = 0; r < s->readers[i].n; r++) result -= s->bytes[s->readers[i].at[r]];
  return result;
}

static void offer(Schedule *s, int i) {
  heap_push(&s->by_source, (Entry){0, i});
  int64_t gain = score(s, i);
  if (gain >= 0) heap_push(&s->by_score, (Entry){gain, i});
}

static void place(Schedule *s, int i);

static void release_readers(Schedule *s, int i) {
  for (int r = 0; r < s->readers[i].n; r++) {
    int reader = s->readers[i].at[r];
    if (--s->waiting[reader] > 0) continue;
    if (is_free(s->graph->nodes[reader])) place(s, reader);
    else offer(s, reader);
  }
}

/* The last consumer of a value now frees it: its score has risen. */
static void rescore_last(Schedule *s, int root) {
  const List *consumers = &s->consumers[root];
  for (int c = 0; c < consumers->n; c++)
    if (!s->placed[consumers->at[c]] && s->waiting[consumers->at[c]] <= 0) offer(s, consumers->at[c]);
}

static void place(Schedule *s, int i) {
  const Node *n = s->graph->nodes[i];
  if (s->placed[i]) return;
  s->placed[i] = true;
  s->order[s->n_order++] = i;
  for (int k = 0; !is_free(n) && k < n->n_in; k++) {
    int root = s->root[n->in[k]->id];
    bool again = false;
    for (int e = 0; e < k; e++) again |= s->root[n->in[e]->id] == root;
    if (again) continue;
    if (--s->left[root] == 1 && s->bytes[root] > 0) rescore_last(s, root);
  }
  release_readers(s, i);
}

static void run(Schedule *s) {
  for (int i = 0; i < s->n; i++)
    if (op_info[s->graph->nodes[i]->op].kind == LEAF && s->graph->nodes[i]->n_in == 0) place(s, i);
  for (int i = 0; i < s->n; i++)
    if (s->waiting[i] == 0 && !s->placed[i]) offer(s, i);
  while (s->by_source.n) {
    Heap *heap = s->by_score.n ? &s->by_score : &s->by_source;
    Entry top = heap->at[0];
    heap_pop(heap);
    if (s->placed[top.id]) continue;
    if (heap == &s->by_score && score(s, top.id) != top.key) continue; /* offered again since */
    place(s, top.id);
  }
}

/* Most bytes alive at once in this order. */
static int64_t peak(Schedule *s, const int *order) {
  int64_t live = 0, most = 0;
  int *left = arena_alloc(s->arena, (size_t)s->n * sizeof *left);
  for (int i = 0; i < s->n; i++) left[i] = s->consumers[i].n;
  for (int i = 0; i < s->n; i++) {
    const Node *n = s->graph->nodes[order[i]];
    live += s->bytes[order[i]];
    if (live > most) most = live;
    for (int k = 0; !is_free(n) && k < n->n_in; k++) {
      int root = s->root[n->in[k]->id];
      bool again = false;
      for (int e = 0; e < k; e++) again |= s->root[n->in[e]->id] == root;
      if (!again && --left[root] == 0) live -= s->bytes[root];
    }
  }
  return most;
}

static bool reads(const Node *node, const Node *x) {
  for (int k = 0; k < node->n_in; k++)
    if (node->in[k] == x) return true;
  return false;
}

static void move(Node **nodes, int from, int to) {
  Node *node = nodes[from];
  for (; from > to; from--) nodes[from] = nodes[from - 1];
  for (; from < to; from++) nodes[from] = nodes[from + 1];
  nodes[to] = node;
}

/* Where the attention is whose lse this is; -1: none, or something in front of it reads the lse. */
static int place_of_attention(const Graph *graph, int lse) {
  int at = 0;
  while (at < graph->n_nodes && !attention_has_lse(graph->nodes[at], graph->nodes[lse])) at++;
  if (at == graph->n_nodes) return -1;
  for (int i = lse + 1; i < at; i++)
    if (reads(graph->nodes[i], graph->nodes[lse])) return -1;
  return at;
}

/* lse right before the attention that it is of, for one call makes both. */
static void pair_attention(Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    int at = graph->nodes[i]->op == OP_attention_lse ? place_of_attention(graph, i) : -1;
    if (at < 0 || at == i + 1) continue;
    move(graph->nodes, i, at > i ? at - 1 : at);
    if (at > i) i--; /* what stands here now was not looked at */
  }
  graph_number(graph);
}

static void schedule_graph(Graph *graph) {
  graph_number(graph);
  Arena *arena = arena_new();
  size_t n = (size_t)graph->n_nodes;
  Schedule s = {.graph = graph, .arena = arena, .n = graph->n_nodes};
  s.root = arena_alloc(arena, n * sizeof *s.root);
  s.bytes = arena_alloc(arena, n * sizeof *s.bytes);
  s.readers = arena_alloc(arena, n * sizeof *s.readers);
  s.consumers = arena_alloc(arena, n * sizeof *s.consumers);
  s.left = arena_alloc(arena, n * sizeof *s.left);
  s.waiting = arena_alloc(arena, n * sizeof *s.waiting);
  s.placed = arena_alloc(arena, n * sizeof *s.placed);
  s.order = arena_alloc(arena, n * sizeof *s.order);
  s.by_score.arena = s.by_source.arena = arena;
  int *source = arena_alloc(arena, n * sizeof *source);
  for (int i = 0; i < s.n; i++) source[i] = i;
  find_values(&s);
  find_readers(&s);
  run(&s);
  if (s.n_order != s.n) fault("schedule: graph %s has a cycle", graph->name);
  if (peak(&s, s.order) < peak(&s, source)) {
    Node **nodes = arena_alloc(arena, n * sizeof *nodes);
    for (int i = 0; i < s.n; i++) nodes[i] = graph->nodes[s.order[i]];
    memcpy(graph->nodes, nodes, n * sizeof *nodes); /* a list has room to grow: it stays where it is */
  }
  pair_attention(graph);
  arena_free(arena);
}

void pass_schedule(PassContext *context) {
  Graph **graphs = program_graphs(context->program);
  for (int i = 0; graphs[i]; i++)
    if (graphs[i] != context->program->schedule) schedule_graph(graphs[i]);
}
