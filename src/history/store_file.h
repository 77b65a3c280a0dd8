// SPDX-License-Identifier: Apache-2.0
/*
 * store_file.h - the files of a store: whose they are, made, put aside; for store*.c alone
 *
 * A file is looked at before the database may touch it: one that is not ours stays as it
 * is to the last byte.
 */
#ifndef HISTORY_STORE_FILE_H
#define HISTORY_STORE_FILE_H

#include "base/complaint.h"

#include <sqlite3.h>

/* The folder's links are followed, so that the last part of the path alone can be one. */
int store_file_resolve(const char *path, char **ret,
                       struct complaint *complaint) MUST_CHECK;

/* -EBUSY: another process has it. */
int store_file_lock(const char *path, int *ret_fd,
                    struct complaint *complaint) MUST_CHECK;

/*
 * 1: it is a store's; 0: there is none, or an empty one. -EBADMSG: it is damaged, to be put
 * aside. Others, with the complaint: it is not ours to touch (-EEXIST), or of a newer
 * version (-ENOTSUP), or no file.
 */
int store_file_look(const char *path, struct complaint *complaint) MUST_CHECK;

/* Begin a new one, in place of an empty one. A part of it is never seen. */
int store_file_make(const char *path, struct complaint *complaint) MUST_CHECK;

/* To PATH.damaged, in place of the one that was there. */
int store_file_put_aside(const char *path) MUST_CHECK;

/* The errno of a code of SQLite's; `db` may be NULL. */
int store_file_errno(int code, sqlite3 *db);

#endif
