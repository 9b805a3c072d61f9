/* test_crash.c - power cuts and kills at every moment of a run, then going on.
 *
 * One run is recorded: every file opened, written, synced, renamed.  A small
 * model of a disk then gives each state that a crash can leave: after every
 * prefix of these calls, with what was not synced lost or kept, the last write
 * torn, and the changes of names since the folder's last sync made or not.
 * From each, `--resume` must go on from the newest checkpoint whose save had
 * ended, and end with the bits of a run that nothing happened to.
 *
 * Then trainers are killed outright, at random moments and before each kind of
 * call, several times in one training, with the same demand.
 * MTC_KILLS=N makes it N kills instead of 50.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/faults/harness.h"
#include "tests/shell.h"
#include "tests/small_trainer.h"

static char base[128];

static void fresh_base(const char *model) {
  snprintf(base, sizeof base, "%s", scratch_folder());
  small_trainer(base, model);
  free(shell_ok("cd %s && mkdir work good", base));
  open_faults(base);
}

static void go_to_work(void) {
  char path[256];
  snprintf(path, sizeof path, "%s/work", base);
  ck_assert_int_eq(chdir(path), 0);
}

#define TRAINER "../trainer", "--data-dir", "..", "--save-dir", "."
static const char *const train[] = {TRAINER, NULL}, *const resume[] = {TRAINER, "--resume", NULL};

/* ---- the disk --------------------------------------------------------------------------- */

enum { MAX_INODES = 256, MAX_NAMES = 64, MAX_FDS = 64, MAX_RECORDS = 4096 };

typedef struct Inode {
  Bytes now;     /* as programs see it */
  size_t synced; /* bytes of it that a power cut leaves; files only grow between syncs */
} Inode;

typedef struct Names { /* a folder: what the names stand for */
  int n;
  struct {
    char name[64];
    int inode;
  } at[MAX_NAMES];
} Names;

typedef struct Disk {
  Inode inodes[MAX_INODES];
  int n_inodes;
  Names now, synced, steps[MAX_RECORDS]; /* steps: after each change of a name since the folder's last sync */
  int n_steps;
  struct {
    int inode;
    bool is_folder;
  } fds[MAX_FDS]; /* inode -1: of no interest */
  int saves;      /* checkpoints whose save has ended */
  bool renamed;   /* one that waits for the folder's sync */
} Disk;

static int find_name(const Names *names, const char *name) {
  for (int i = 0; i < names->n; i++)
    if (!strcmp(names->at[i].name, name)) return i;
  return -1;
}

static void drop_name(Names *names, const char *name) {
  int i = find_name(names, name);
  if (i >= 0) names->at[i] = names->at[--names->n];
}

static void set_name(Names *names, const char *name, int inode) {
  drop_name(names, name);
  ck_assert_int_lt(names->n, MAX_NAMES);
  snprintf(names->at[names->n].name, sizeof names->at[0].name, "%s", name);
  names->at[names->n++].inode = inode;
}

static void name_changed(Disk *disk) {
  ck_assert_int_lt(disk->n_steps, MAX_RECORDS);
  disk->steps[disk->n_steps++] = disk->now;
}

static const char *bare(const char *path) { return !strncmp(path, "./", 2) ? path + 2 : path; }

static void open_name(Disk *disk, const FaultRecord *r) {
  ck_assert(r->fd >= 0 && r->fd < MAX_FDS);
  disk->fds[r->fd].inode = -1;
  disk->fds[r->fd].is_folder = !strcmp(r->path, ".");
  int flags = (int)r->offset, i = find_name(&disk->now, bare(r->path));
  if (i < 0 && !(flags & O_CREAT)) return; /* data, libraries */
  if (i < 0) {
    ck_assert_int_lt(disk->n_inodes, MAX_INODES);
    set_name(&disk->now, bare(r->path), disk->n_inodes++);
    name_changed(disk);
    i = disk->now.n - 1;
  }
  Inode *inode = &disk->inodes[disk->fds[r->fd].inode = disk->now.at[i].inode];
  if (flags & O_TRUNC) inode->now.length = inode->synced = 0;
}

static void write_inode(Disk *disk, const FaultRecord *r, const char *bytes) {
  int i = r->fd < MAX_FDS ? disk->fds[r->fd].inode : -1;
  if (i < 0) return;
  Inode *inode = &disk->inodes[i];
  inode->now.at = realloc(inode->now.at, inode->now.length + (size_t)r->bytes + 1);
  ck_assert_ptr_nonnull(inode->now.at);
  memcpy(inode->now.at + inode->now.length, bytes, (size_t)r->bytes); /* all writes here append */
  inode->now.length += (size_t)r->bytes;
}

static void sync_fd(Disk *disk, int fd) {
  if (disk->fds[fd].inode >= 0) disk->inodes[disk->fds[fd].inode].synced = disk->inodes[disk->fds[fd].inode].now.length;
  if (!disk->fds[fd].is_folder) return;
  disk->synced = disk->now;
  disk->n_steps = 0;
  disk->saves += disk->renamed;
  disk->renamed = false;
}

static void apply(Disk *disk, const FaultRecord *r, const char *bytes) {
  int i;
  switch (r->call) {
  case CALL_OPEN: open_name(disk, r); break;
  case CALL_WRITE: write_inode(disk, r, bytes); break;
  case CALL_FSYNC: sync_fd(disk, r->fd); break;
  case CALL_RENAME:
    i = find_name(&disk->now, bare(r->path));
    ck_assert_int_ge(i, 0);
    set_name(&disk->now, bare(bytes), disk->now.at[i].inode);
    drop_name(&disk->now, bare(r->path));
    name_changed(disk);
    disk->renamed |= !strcmp(bare(bytes), "m.checkpoint.safetensors");
    break;
  case CALL_UNLINK:
    drop_name(&disk->now, bare(r->path));
    name_changed(disk);
    break;
  default: break;
  }
}

/* ---- states ------------------------------------------------------------------------------------ */

typedef struct States {
  uint64_t seen[1 << 13];
  int n, failed;
  const int *least; /* the step to go on from at least, by the number of saves that have ended */
  bool must_work;   /* false: count those that do not, to show that the test can tell */
} States;

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n) { /* FNV-1a */
  for (size_t i = 0; i < n; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
  return hash;
}

static uint64_t hash_state(const Disk *disk, const Names *names, bool lost, size_t torn) {
  uint64_t sum = (uint64_t)disk->saves + torn;
  for (int i = 0; i < names->n; i++) {
    const Inode *inode = &disk->inodes[names->at[i].inode];
    uint64_t hash = hash_bytes(0xcbf29ce484222325u, names->at[i].name, strlen(names->at[i].name));
    sum += hash_bytes(hash, inode->now.at, lost ? inode->synced : inode->now.length);
  }
  return sum;
}

static bool is_new(States *states, uint64_t hash) {
  for (int i = 0; i < states->n; i++)
    if (states->seen[i] == hash) return false;
  ck_assert_int_lt(states->n, (int)(sizeof states->seen / sizeof states->seen[0]));
  states->seen[states->n++] = hash;
  return true;
}

static void lay_out(const Disk *disk, const Names *names, bool lost, int torn_inode, size_t torn) {
  empty_folder(".");
  for (int i = 0; i < names->n; i++) {
    const Inode *inode = &disk->inodes[names->at[i].inode];
    size_t length = lost ? inode->synced : inode->now.length;
    write_bytes(names->at[i].name, inode->now.at, names->at[i].inode == torn_inode ? length - torn : length);
  }
}

/* The step that a run went on from, by what it says. */
static long long went_on_at(const char *output) {
  const char *at = strstr(output, "going on at ");
  if (!at) at = strstr(output, "nothing is left to train: ");
  if (!at) return 0;
  while (*at && (*at < '0' || *at > '9')) at++;
  return strtoll(at, NULL, 10);
}

/* Goes on from the working folder: right when it begins no earlier than `least` and ends with the right bits. */
static bool goes_on(long long least, char **output) {
  bool saved = !access("m.checkpoint.safetensors", F_OK) || !access("m.previous.safetensors", F_OK);
  memset(faults, 0, sizeof *faults);
  Ended e = run_shimmed(saved ? resume : train);
  *output = e.output;
  return e.status == 0 && (saved ? went_on_at(e.output) : 0) >= least &&
         same_file("net.safetensors", "../good/net.safetensors") &&
         same_file("net.best.safetensors", "../good/net.best.safetensors");
}

static void try_state(States *states, const Disk *disk, const Names *names, bool lost, int torn_inode, size_t torn,
                      int at) {
  char *output;
  if (!is_new(states, hash_state(disk, names, lost, torn))) return;
  lay_out(disk, names, lost, torn_inode, torn);
  bool ok = goes_on(states->least[disk->saves], &output);
  states->failed += !ok;
  ck_assert_msg(ok || !states->must_work,
                "after %d calls (%s, %zu bytes of the last write missing, %d saves ended), --resume went wrong:\n%s",
                at, lost ? "what was not synced is lost" : "nothing is lost", torn, disk->saves, output);
  free(output);
}

/* Every state that a crash now can leave. */
static void try_states(States *states, const Disk *disk, const FaultRecord *last, int at) {
  int inode = last->call == CALL_WRITE && last->fd < MAX_FDS ? disk->fds[last->fd].inode : -1;
  try_state(states, disk, &disk->now, false, -1, 0, at);
  if (inode >= 0 && last->bytes > 1) try_state(states, disk, &disk->now, false, inode, (size_t)last->bytes / 2, at);
  try_state(states, disk, &disk->synced, true, -1, 0, at);
  for (int i = 0; i < disk->n_steps; i++) try_state(states, disk, &disk->steps[i], true, -1, 0, at);
}

static void put_file(const char *folder, const char *name, void *data) {
  Disk *disk = data;
  char path[600];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  Inode *inode = &disk->inodes[disk->n_inodes];
  inode->now = read_bytes(path);
  inode->synced = inode->now.length;
  set_name(&disk->now, name, disk->n_inodes++);
}

/* Where a recorded run begins, and what may be expected after its saves. */
typedef struct Beginning {
  const char *folder;
  const char *const *argv;
  int least[8];
} Beginning;
static const Beginning from_nothing = {"../empty", train, {0, 3, 6, 9, 12, 12}},
                       from_damaged = {"../damaged", resume, {6, 9, 12, 12}};

/* Replays the log; with `skip` records of that kind are left out, as if the program forgot these calls. */
static States *replay(const Beginning *beginning, const Bytes *log, int skip, bool must_work) {
  States *states = calloc(1, sizeof *states);
  Disk *disk = calloc(1, sizeof *disk);
  ck_assert(states && disk);
  states->must_work = must_work;
  states->least = beginning->least;
  each_name(beginning->folder, put_file, disk);
  disk->synced = disk->now;
  for (int i = 0; i < MAX_FDS; i++) disk->fds[i].inode = -1;
  int n = 0;
  for (size_t at = 0; at < log->length; n++) {
    FaultRecord r;
    memcpy(&r, log->at + at, sizeof r);
    const char *bytes = log->at + at + sizeof r;
    at += sizeof r + (size_t)r.bytes;
    if (r.call == skip && !(r.call == CALL_FSYNC && disk->fds[r.fd].is_folder)) continue;
    apply(disk, &r, bytes);
    try_states(states, disk, &r, n + 1);
  }
  for (int i = 0; i < disk->n_inodes; i++) free(disk->inodes[i].now.at);
  free(disk);
  return states;
}

static Bytes record(const Beginning *beginning) {
  empty_folder(".");
  copy_files(beginning->folder, ".");
  memset(faults, 0, sizeof *faults);
  snprintf(faults->log, sizeof faults->log, "%s/log", base);
  Ended e = run_shimmed(beginning->argv);
  ck_assert_msg(e.status == 0, "%s", e.output);
  free(e.output);
  copy_files(".", "../good");
  return read_bytes("../log");
}

static void build_small(void) {
  fresh_base(small_model);
  free(shell_ok(
      "cd %s && mkdir empty && export OMP_NUM_THREADS=1 && ./trainer --quiet --save-dir damaged --stop-after 6 && "
      "truncate -s -9 damaged/m.checkpoint.safetensors",
      base));
}

/* From nothing; and from a damaged checkpoint with a good one before it, which must not be lost to the damaged one. */
START_TEST(every_crash_state_goes_on) {
  const Beginning *beginning = _i ? &from_damaged : &from_nothing;
  go_to_work();
  Bytes log = record(beginning);
  States *states = replay(beginning, &log, -1, true);
  ck_assert_msg(states->n > 50, "only %d states", states->n);
  free(states);
  free(log.at);
}
END_TEST

/* The test can tell: without its fsyncs of files the same run would lose data. */
START_TEST(missing_fsyncs_would_show) {
  go_to_work();
  Bytes log = record(&from_nothing);
  States *states = replay(&from_nothing, &log, CALL_FSYNC, false);
  ck_assert_msg(states->failed > 5, "of %d states %d fail", states->n, states->failed);
  free(states);
  free(log.at);
}
END_TEST

/* ---- kill -9 --------------------------------------------------------------------------------------- */

static const char kill_model[] = "use nn\n"
                                 "dim B = 4, K = 3\n"
                                 "data train_set = csv(\"train.csv\") -> { x: f32[B, 2], y: i32[B] }\n"
                                 "module Net()(x: [B, 2]) -> [B, K] {\n"
                                 "  return x |> fc1: Linear(8) |> relu |> dropout(0.2) |> fc2: Linear(K)\n"
                                 "}\n"
                                 "let net = Net()\n"
                                 "train d in shuffled(train_set, seed: 1) for 40 epochs with (accumulate: 2) {\n"
                                 "  let loss = cross_entropy(net(d.x), d.y)\n"
                                 "  update net minimize loss using adamw(lr: cosine(1e-2, warmup: 5))\n"
                                 "  log loss\n"
                                 "  every 2 steps { save }\n"
                                 "  every 3 steps {\n"
                                 "    eval e in train_set {\n"
                                 "      log a = mean(argmax(net(e.x), over: K) == e.y)\n"
                                 "      save highest a\n"
                                 "    }\n"
                                 "  }\n"
                                 "}\n";

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static int64_t changes, microseconds; /* of an undisturbed run */

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void build_kill(void) {
  fresh_base(kill_model);
  go_to_work();
  memset(faults, 0, sizeof *faults);
  faults->how = FAULT_KILL; /* counts; `at` 0 never comes */
  int64_t begin = now();
  Ended e = run_shimmed(train);
  microseconds = now() - begin;
  changes = faults->all;
  ck_assert_msg(e.status == 0 && changes > 100, "%s", e.output);
  free(e.output);
  copy_files(".", "../good");
  ck_assert_int_eq(chdir(SOURCE_DIR), 0);
}

/* Starts or goes on, and dies: by a timer, or before a call that changes a file.  False: it came to its end first. */
static bool killed(uint64_t *seed) {
  bool saved = !access("m.checkpoint.safetensors", F_OK) || !access("m.previous.safetensors", F_OK);
  bool by_timer = next_random(seed) % 2;
  memset(faults, 0, sizeof *faults);
  faults->how = FAULT_KILL;
  if (!by_timer) faults->at = 1 + (int64_t)(next_random(seed) % (uint64_t)changes);
  int64_t wait = (int64_t)(next_random(seed) % (uint64_t)microseconds);
  pid_t pid = start_shimmed(saved ? resume : train);
  if (by_timer) {
    usleep((useconds_t)wait);
    kill(pid, SIGKILL);
  }
  Ended e = end_of(pid);
  ck_assert_msg(e.status == 0 || e.status == 128 + SIGKILL, "ended with %d: %s", e.status, e.output);
  free(e.output);
  return e.status != 0;
}

/* What a killed writer left is swept by the next. */
static void is_no_leftover(const char *folder, const char *name, void *data) {
  (void)data;
  ck_assert_msg(!strstr(name, ".tmp"), "%s/%s is left", folder, name);
}

START_TEST(killed_runs_go_on_to_the_same_bits) {
  const char *given = getenv("MTC_KILLS");
  int wanted = given ? atoi(given) : 50, kills = 0;
  go_to_work();
  for (int i = 0; kills < wanted; i++) {
    uint64_t seed = (uint64_t)i + 1;
    char *output;
    empty_folder(".");
    for (int k = 0; k < 8 && kills < wanted && killed(&seed); k++) kills++;
    ck_assert_msg(goes_on(0, &output), "training %d, %d kills: %s", i, kills, output);
    each_name(".", is_no_leftover, NULL);
    free(output);
    ck_assert_msg(i < 100 * wanted, "only %d kills in %d trainings", kills, i);
  }
}
END_TEST

Suite *crash_suite(void) {
  Suite *suite = suite_create("crash");
  TCase *states = tcase_create("states");
  tcase_set_timeout(states, 300);
  tcase_add_unchecked_fixture(states, build_small, NULL);
  tcase_add_loop_test(states, every_crash_state_goes_on, 0, 2);
  tcase_add_test(states, missing_fsyncs_would_show);
  suite_add_tcase(suite, states);
  TCase *kills = tcase_create("kills");
  tcase_set_timeout(kills, 3600);
  tcase_add_unchecked_fixture(kills, build_kill, NULL);
  tcase_add_test(kills, killed_runs_go_on_to_the_same_bits);
  suite_add_tcase(suite, kills);
  return suite;
}
