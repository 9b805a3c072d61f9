/* faults.h - what the tests and the shim in the program under test share.
 *
 * The shim (shim.c) is loaded before the C library.  It counts calls by kind,
 * and makes the one that it is told to fail: FAULTS names a file that holds a
 * Faults, which both sides map, so that counts survive a crash.
 */
#ifndef MTC_TESTS_FAULTS_H
#define MTC_TESTS_FAULTS_H

#include <stdint.h>

typedef enum FaultCall {
  CALL_MEMORY, /* malloc, calloc, realloc, aligned_alloc, posix_memalign, mmap */
  CALL_OPEN,
  CALL_READ,
  CALL_WRITE,
  CALL_FSYNC,
  CALL_CLOSE,
  CALL_RENAME,
  CALL_TRUNCATE,
  CALL_UNLINK,
  CALL_MKDIR,
  CALL_STAT, /* fstat */
  N_FAULT_CALLS
} FaultCall;

enum { FAULT_NONE = 0, FAULT_SHORT = -1, FAULT_KILL = -2, FAULT_NOTHING = -3 }; /* other values are an errno */

typedef struct Faults {
  int64_t calls[N_FAULT_CALLS];
  int64_t at;    /* the call that fails, from 1; 0: none */
  int64_t fired; /* how often one did */
  int64_t all;   /* calls that change files, of whatever kind: FAULT_KILL counts these */
  int32_t call, how;
  char log[256]; /* where calls that change files are written down (FaultRecord), "" for nowhere */
} Faults;

/* A record of the log; `bytes` of data follow it: what was written, or a second path. */
typedef struct FaultRecord {
  int32_t call, fd;
  int64_t offset, bytes;
  char path[240];
} FaultRecord;

#endif
