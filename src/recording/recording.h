// SPDX-License-Identifier: Apache-2.0
/*
 * recording.h - detail documents with their times, in a file
 *
 * One JSON object a line (docs/recording.md). The first line names the format:
 *
 *     {"vramscope_recording":1,"version":"0.1.0","url":"http://h:6767","unix_ms":1790000000000}
 *     {"unix_ms":1790000000000,"id":"eb6d5328413fa3ef-1","detail":{...}}
 *     {"unix_ms":1790000000500,"no_data":"the NVIDIA kernel driver is not loaded"}
 *     {"unix_ms":1790000001000,"disconnected":"connection reset"}
 *     {"unix_ms":1790000001500,"skipped":3}
 *
 * `detail` is the last key of its line and holds the document as it came, byte for byte.
 * A name that ends in `.gz` is written as gzip, a member every minute and flushed every few
 * seconds, so that a torn file loses no more than those; reading tells the two apart by their
 * first bytes. A line that the end of the file cuts off is skipped. Recordings that were put
 * one behind the other are one.
 */
#ifndef RECORDING_RECORDING_H
#define RECORDING_RECORDING_H

#include "base/complaint.h"

enum { RECORDING_LINE_MAX = 6 << 20 }; // a gateway's document may have 4 MiB

enum recording_kind {
    RECORDING_DETAIL,       // `text` is the document, `id` its event id
    RECORDING_NO_DATA,      // `text` is the reason
    RECORDING_DISCONNECTED, // `text` is the reason
    RECORDING_SKIPPED,      // `skipped` documents
};

struct recording_entry {
    enum recording_kind kind;
    int64_t unix_ms;
    struct span id;
    struct span text;
    uint64_t skipped;
};

struct recording_writer;

/* `path` "-" is stdout. An existing file is replaced; -EEXIST unless `replace`. */
int recording_create(const char *path, bool replace, const char *url, int64_t unix_ms,
                     struct recording_writer **ret, struct complaint *why) MUST_CHECK;

/*
 * -EINVAL, -E2BIG: this entry cannot be recorded, the next one may. Any other: nothing more
 * can be written; what was written before can be read.
 */
int recording_write(struct recording_writer *writer, const struct recording_entry *entry,
                    struct complaint *why) MUST_CHECK;
uint64_t recording_written(const struct recording_writer *writer); // bytes of the file

/* Complete the file; takes NULL. What could not be written is told. */
int recording_close(struct recording_writer *writer, struct complaint *why) MUST_CHECK;

struct recording;

/*
 * -EBADMSG: not a recording, or of a format number that is not known. `path` "-" is stdin.
 * Every complaint begins with the file's name.
 */
int recording_open(const char *path, struct recording **ret,
                   struct complaint *why) MUST_CHECK;
void recording_free(struct recording *recording);

/*
 * The next entry, lent until the next call: 1; 0 at the end. Lines that are none are
 * skipped and counted. -EIO: the file cannot be read any further.
 */
int recording_next(struct recording *recording, struct recording_entry *ret,
                   struct complaint *why) MUST_CHECK;

/* Where the next line begins, to go on from there another time. */
struct recording_mark {
    uint64_t at, skip; // within the file; of no use to others
    uint64_t line;
};

struct recording_mark recording_mark(const struct recording *recording);

/* Negative: the file cannot seek; a pipe cannot. */
int recording_seek(struct recording *recording, const struct recording_mark *mark,
                   struct complaint *why) MUST_CHECK;

/* To the first entry again; lines that were none are forgotten, they will be met again. */
int recording_rewind(struct recording *recording, struct complaint *why) MUST_CHECK;

/* The entry given last is none after all: its reader found what is wrong with it. */
void recording_refuse(struct recording *recording, const char *reason);

/* Lines that were none, each time they were met; what was wrong with the first, "": none. */
uint64_t recording_skipped_lines(const struct recording *recording);
const char *recording_fault(const struct recording *recording);

const char *
recording_url(const struct recording *recording); // it was made from; "": not known

#endif
