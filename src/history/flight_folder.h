// SPDX-License-Identifier: Apache-2.0
/*
 * flight_folder.h - the flight recorder's files, bounded in number and bytes
 *
 *     flight-20260730T142501Z-engine_lost.ndjson.gz
 *     flight-20260730T142501Z-engine_lost-2.ndjson.gz
 *     .flight.ndjson.gz.part
 *
 * A file is written under the last of these names and gets its own once it is whole and on
 * the disk. No other file in the folder is touched.
 */
#ifndef HISTORY_FLIGHT_FOLDER_H
#define HISTORY_FLIGHT_FOLDER_H

#include "base/base.h"

struct flight_folder;

/* What a crash has left half written is removed. */
int flight_folder_open(const char *path, struct flight_folder **ret) MUST_CHECK;
void flight_folder_close(struct flight_folder *folder); // takes NULL

const char *flight_folder_path(const struct flight_folder *folder);

/* Begin a file; then write it, and keep or drop it. */
int flight_folder_begin(struct flight_folder *folder) MUST_CHECK;
int flight_folder_write(void *folder, struct span piece) MUST_CHECK;
void flight_folder_drop(struct flight_folder *folder);

/*
 * Give the file its name, and remove the oldest where there are too many. The name goes to
 * `ret_path` (PATH_MAX), behind the folder's. On failure the file is dropped.
 */
int flight_folder_keep(struct flight_folder *folder, int64_t unix_ms, const char *kind,
                       char *ret_path) MUST_CHECK;

#endif
