/* bad_files.h - the catalogue of damaged files, and what is said of each.
 *
 * Every row is one file made bad in one way, and the message, to the letter,
 * of a trainer that meets it.  Good files lie around it (test_bad_files.c), so
 * a row says only how it differs.
 */
#ifndef MTC_TESTS_BAD_FILES_H
#define MTC_TESTS_BAD_FILES_H

#include <stddef.h>

typedef enum BadForm {
  BAD_BYTES,   /* the file is `bytes` */
  BAD_NPY,     /* `bytes` is an npy header, `number` zero bytes follow, the first 8 of them `other` if given */
  BAD_TENSORS, /* `bytes` is a safetensors header, the rest as above */
  BAD_CUT,     /* the good file's first `number` bytes; negative: all but so many */
  BAD_FLIP,    /* the good file with the byte at `number` (negative: from its end) changed */
  BAD_LONGER,  /* the good file, then `bytes` */
  BAD_EDIT,    /* the good safetensors file, its header's first `bytes` replaced by `other`; the length is kept right */
  BAD_VALUE,   /* the good file, from byte `number` (negative: from its end) on overwritten with `bytes` */
  BAD_GZIP,    /* the file is missing, FILE.gz holds `bytes` compressed, the last `number` bytes left out */
  BAD_MEMBER,  /* an archive whose member `other` is `bytes`; NULL: left out */
  BAD_SECRET,  /* an archive whose members are encrypted */
  BAD_COPY,    /* the file is a copy of `bytes`, another file's name */
  BAD_MISSING, /* there is none */
  BAD_FOLDER,  /* a folder has its name */
  BAD_LOOP,    /* a link to itself */
  BAD_DEVICE,  /* reading fails */
} BadForm;

typedef struct BadFile {
  const char *name; /* what is wrong, in a word or two */
  const char *file;
  BadForm form;
  const char *bytes;
  size_t length;
  long number;
  const char *other;
  const char *message; /* behind "m: " */
} BadFile;

extern const BadFile bad_data[], bad_checkpoints[], bad_weights[];
extern const int n_bad_data, n_bad_checkpoints, n_bad_weights;

#endif
