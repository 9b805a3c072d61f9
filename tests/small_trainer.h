/* small_trainer.h - a trainer of a few parameters as users build one, and its data.
 *
 * For tests that disturb a whole program: its model reads csv, npy, npz and
 * idx, evaluates and saves at the end of each of 4 epochs of 3 updates.
 */
#ifndef MTC_TESTS_SMALL_TRAINER_H
#define MTC_TESTS_SMALL_TRAINER_H

#include <stddef.h>

typedef struct Bytes {
  char *at; /* malloc'd, with room for 4096 more */
  size_t length;
} Bytes;
Bytes read_bytes(const char *path);
void write_bytes(const char *path, const void *bytes, size_t length);

/* train.csv, x.npy, y.npy, set.npz, x.idx, y.idx, text.txt and tokens.bin of the working folder. */
void write_good_files(void);
/* set.npz again, from x.npy and y.npy, but for `name`, whose bytes are `other` (NULL: left out). */
void write_npz(const char *name, const char *other, size_t length, const char *password);

extern const char small_model[];
/* FOLDER/m.mt, built as FOLDER/trainer, and the good files beside it. */
void small_trainer(const char *folder, const char *model);

#endif
