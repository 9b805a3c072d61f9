/* reduce.c - the smallest program that still fails: edits are tried until none helps. */
#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/random/random.h"

char *random_apart(RandomCheck check, const Kit *kit, uint64_t seed) {
  int ends[2];
  if (pipe(ends)) return strdup("no pipe");
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    omp_set_num_threads(1); /* the parent's other threads are not here: to wait for them would never end */
    const char *said = check(kit, seed);
    if (said && write(ends[1], said, strlen(said)) < 0) _exit(2);
    _exit(0); /* not end_child: thousands of them would write their counters */
  }
  close(ends[1]);
  char *text = calloc(1, 4096);
  size_t length = 0;
  for (ssize_t n; (n = read(ends[0], text + length, 4095 - length)) != 0 && length < 4095;)
    if (n > 0) length += (size_t)n;
    else if (errno != EINTR) break;
  close(ends[0]);
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFSIGNALED(status)) snprintf(text, 4096, "died of signal %d", WTERMSIG(status));
  else if (WEXITSTATUS(status)) snprintf(text, 4096, "ended with status %d", WEXITSTATUS(status));
  if (*text) return text;
  free(text);
  return NULL;
}

/* The edited program when it is one and still fails; it takes the place of `kit`. */
static bool try_edit(Kit **kit, Edit edit, RandomCheck check, uint64_t seed) {
  Kit *smaller = random_copy(*kit, edit);
  if (!smaller) return false;
  char *fails = smaller->graph->n_outputs ? random_apart(check, smaller, seed) : NULL;
  if (fails) {
    free(fails);
    kit_free(*kit);
    *kit = smaller;
    return true;
  }
  kit_free(smaller);
  return false;
}

static bool drop_outputs(Kit **kit, RandomCheck check, uint64_t seed) {
  bool helped = false;
  for (int i = (*kit)->graph->n_outputs - 1; i >= 0; i--)
    helped |= try_edit(kit, (Edit){EDIT_DROP_OUTPUT, .at = i}, check, seed);
  return helped;
}

static bool drop_nodes(Kit **kit, RandomCheck check, uint64_t seed) {
  bool helped = false;
  for (int i = (*kit)->graph->n_nodes - 1; i >= 0; i--) {
    if (i >= (*kit)->graph->n_nodes) continue;
    bool gone = false;
    int n_in = (*kit)->graph->nodes[i]->n_in;
    for (int k = 0; k < n_in && !gone; k++)
      gone = try_edit(kit, (Edit){EDIT_TAKE_OPERAND, .at = i, .operand = k}, check, seed);
    if (!gone && n_in) gone = try_edit(kit, (Edit){EDIT_MAKE_LEAF, .at = i}, check, seed);
    helped |= gone;
  }
  return helped;
}

static bool shrink_axes(Kit **kit, RandomCheck check, uint64_t seed) {
  bool helped = false;
  for (int64_t size = 70; size > 1; size--) {
    const int64_t to[] = {1, 2, size / 2, size - 1};
    for (int i = 0; i < 4; i++)
      if (to[i] >= 1 && to[i] < size && try_edit(kit, (Edit){EDIT_RESIZE, .from = size, .to = to[i]}, check, seed)) {
        helped = true;
        break;
      }
  }
  return helped;
}

Kit *random_reduce(Kit *kit, RandomCheck check, uint64_t seed) {
  for (bool helped = true; helped;) {
    helped = drop_outputs(&kit, check, seed);
    helped |= drop_nodes(&kit, check, seed);
    helped |= shrink_axes(&kit, check, seed);
  }
  return kit;
}
