// SPDX-License-Identifier: Apache-2.0
/*
 * recording_line.h - one line of a recording (docs/recording.md)
 */
#ifndef RECORDING_RECORDING_LINE_H
#define RECORDING_RECORDING_LINE_H

#include "base/buf.h"
#include "recording/recording.h"

enum {
    RECORDING_FORMAT = 1,
    RECORDING_ID_MAX = 1024,     // bytes of an event id
    RECORDING_REASON_MAX = 1024, // bytes of a reason; a longer one is cut
};

/* Memory that is used for each line again. */
struct recording_scratch {
    struct buf rest; // the line without its document
    void *values;    // what an entry lends of it
};

void recording_scratch_init(struct recording_scratch *scratch);
void recording_scratch_done(struct recording_scratch *scratch);

/* Append the line of an entry. -EINVAL: it cannot be one, for the reason in `why`. */
int recording_line_write(struct buf *out, const struct recording_entry *entry,
                         struct complaint *why) MUST_CHECK;
void recording_head_write(struct buf *out, const char *url, int64_t unix_ms);

/*
 * Read a line without its end. The entry lends from the line and the scratch. -EBADMSG,
 * -EFBIG: it is no such line. A document is only looked at as far as it takes to see where
 * it ends, and that it is on one line whatever ends one elsewhere.
 */
int recording_line_read(struct span line, struct recording_scratch *scratch,
                        struct recording_entry *ret, struct complaint *why) MUST_CHECK;

/*
 * Read the first line; `ret_url` is lent by the scratch. -EBADMSG: it is none, or of
 * another format.
 */
int recording_head_read(struct span line, struct recording_scratch *scratch,
                        const char **ret_url, struct complaint *why) MUST_CHECK;

#endif
