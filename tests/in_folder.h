/* in_folder.h - tests of files: a folder of its own for each, with a file in it. */
#ifndef MTC_TESTS_IN_FOLDER_H
#define MTC_TESTS_IN_FOLDER_H

#include "runtime/storage.h"

extern char folder[128], path[256]; /* path: folder/file */
void set_up_folder(void);           /* a checked fixture */
void put(const char *bytes, size_t length); /* are the file */
const char *said(const MtError *error);     /* the message without the folder in front of it */

#endif
