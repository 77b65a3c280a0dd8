// SPDX-License-Identifier: Apache-2.0
/*
 * page_reader.h - what a server answers, gathered into one page of figures
 *
 * The metrics page comes in pieces, other parts whole. Which kind of engine it is of, its
 * samples tell: the first kind that has one, unless that yields to another. Where no
 * sample tells, it is the kind that was expected, if that can be without. No socket, no
 * clock; nothing is allocated per page once warm.
 */
#ifndef ENGINE_PAGE_READER_H
#define ENGINE_PAGE_READER_H

#include "engine/engine_kind.h"
#include "wire/prom.h"

enum { PAGE_JSON_MAX = 1 << 20 }; // of a page in JSON; a longer one is refused

struct page_reader {
    struct prom_reader prom;
    const char *names[PROM_WANTED_MAX]; // of all kinds
    uint8_t kind_of[PROM_WANTED_MAX];
    uint8_t index_of[PROM_WANTED_MAX]; // within its kind
    size_t n_names;
    struct buf json; // a page in JSON, so far

    const struct engine_kind *expected; // NULL: any
    const struct engine_kind *kind;     // of the page being read; NULL: not known yet
    void *state;                        // of that kind
    uint64_t seen;                      // bit per name of its page
    const char *why;                    // what is wrong with the page; a literal, or NULL
    bool is_malformed;                  // in JSON: it is none
};

int page_reader_init(struct page_reader *reader) MUST_CHECK;
void page_reader_done(struct page_reader *reader);

/* A new page begins. */
void page_reader_begin(struct page_reader *reader, const struct engine_kind *expected);

/* A piece of the metrics page, and its end. Errors of both stick until the next page. */
int page_reader_feed(struct page_reader *reader, struct span bytes) MUST_CHECK;
int page_reader_end(struct page_reader *reader) MUST_CHECK;

/*
 * Another part in JSON, whole, once the page has ended. What cannot be read of it is not
 * said.
 */
void page_reader_take_part(struct page_reader *reader, enum engine_part part,
                           struct span text);

/* False: it is no engine's. */
bool page_reader_finish(struct page_reader *reader, struct engine_page *ret) MUST_CHECK;

/* Why it could not be read, for people. False: nothing is wrong with the page. */
bool page_reader_complain(const struct page_reader *reader, char *ret, size_t room);

#endif
