// SPDX-License-Identifier: Apache-2.0
/*
 * prom.h - read the Prometheus text format while it comes in
 *
 * Of a page of thousands of lines a reader wants a dozen families. Bytes are fed in any
 * pieces; each complete line whose metric name is, exactly, one of the wanted ones is
 * given to a callback, everything else is skipped without a look inside. OpenMetrics
 * text is read too: its exemplars, timestamps and "# EOF" are passed over.
 *
 * Nothing is allocated but the one buffer that holds a line split between two pieces,
 * kept between pages. A last line without its line feed may be torn: a wanted one fails
 * the page, another is dropped.
 */
#ifndef WIRE_PROM_H
#define WIRE_PROM_H

#include "base/buf.h"

enum {
    PROM_LINE_MAX = 64 * 1024,
    PROM_NAME_MAX = 127, // longer names are never wanted
    PROM_WANTED_MAX = 250,
};

/*
 * One wanted sample: `family` is the index of its name; `labels` is what stands between
 * the braces, to be read with prom_next_label(), valid during the call. `value` is NAN
 * when what is written there is not a finite decimal number ("NaN", "-nan(ind)").
 * A negative result stops the reading; prom_feed() returns it.
 */
typedef int prom_sample_fn(void *ctx, unsigned family, struct span labels, double value);

struct prom_reader {
    prom_sample_fn *sample;
    void *ctx;
    const char *const *names;
    uint8_t
        first[PROM_NAME_MAX + 1];  // by length of name: 1 + index of the first, 0: none
    uint8_t next[PROM_WANTED_MAX]; // 1 + index of the next of that length
    struct buf torn;               // the beginning of a line whose end is to come
    uint64_t line;                 // number of the line being read, for messages
    int error;
};

/* `names` (n of them) must outlive the reader. */
void prom_init(struct prom_reader *reader, const char *const *names, size_t n,
               prom_sample_fn *sample, void *ctx);
void prom_done(struct prom_reader *reader);
void prom_restart(struct prom_reader *reader); // a new page begins

/*
 * -EBADMSG: a wanted line is malformed; -EMSGSIZE: a line is longer than PROM_LINE_MAX;
 * or what the callback returned. The error sticks until prom_restart(); reader->line
 * says where.
 */
int prom_feed(struct prom_reader *reader, struct span bytes) MUST_CHECK;

/*
 * The page is complete. -EBADMSG: its last line is wanted and has no line feed, so nobody
 * knows whether all of it came; an error before it is returned again.
 */
int prom_finish(struct prom_reader *reader) MUST_CHECK;

struct prom_label {
    struct span name;
    struct span value; // as written: escapes are still in it
};

/* The next of `labels`: 1; 0 at their end; -EBADMSG. Call until it is not 1. */
int prom_next_label(struct span *labels, struct prom_label *ret) MUST_CHECK;

/*
 * Resolve \\, \" and \n of a label value into `dst`; another backslash stays as it is.
 * Returns the length, or -E2BIG when it does not fit.
 */
int prom_unescape(struct span value, char *dst, size_t room) MUST_CHECK;

#endif
