// SPDX-License-Identifier: Apache-2.0
/*
 * page_parts.h - what the kinds of engines share: labels, names, series and their sums
 *
 * A kind gathers its samples in a struct of its own; these are the parts it is made of.
 * A series is what one data-parallel engine says: the same figures of each, told apart by
 * a label. Zeroed, all of them are empty.
 */
#ifndef ENGINE_PAGE_PARTS_H
#define ENGINE_PAGE_PARTS_H

#include "engine/engine_kind.h"

enum {
    SERIES_LABEL_MAX = 16, // of a series' label, with its NUL
    SERIES_FIGURES_MAX = 16,
    BLOCKS_MAX = 1000000000, // per server; more is a broken or hostile page
    COUNT_MAX = 1000000000,  // requests, preemptions
};

#define BYTES_MAX ((uint64_t)1 << 50)
#define TOKENS_MAX 9007199254740992.0 // 2^53: up to there doubles hold every integer

/* Where the value of a label is kept: a struct span at that offset. */
struct label_place {
    const char *name; // exact: other labels can end like those wanted
    size_t at;
};

/*
 * Fill the spans in `ret` that `places` (n of them) name; it is zeroed by the caller, and
 * a span without an address stays where the label is absent. -EBADMSG: malformed, or a
 * label is given twice.
 */
int labels_read(struct span text, const struct label_place *places, size_t n,
                void *ret) MUST_CHECK;

/* The server's name: the first that its samples give. */
struct model_name_note {
    char name[ENGINE_NAME_MAX + 1];
    bool several; // others came, too
};

/* As it is written, escapes and all; what is more than is kept is cut off. */
void model_name_note(struct model_name_note *note, struct span escaped);

struct series {
    char label[SERIES_LABEL_MAX];
    double figure[SERIES_FIGURES_MAX]; // NAN: absent, or not a number
    uint16_t given;                    // bit per figure: a sample was there
};

struct series_set {
    uint32_t n;
    struct series at[ENGINE_SERIES_MAX];
};

/* The series of that label, made where it is new. NULL: too many, or too long a label. */
struct series *series_of(struct series_set *set, struct span label);

extern const char SERIES_TOO_MANY[]; // why there was none

/* Keep the larger one: ranks repeat a value, and one that has stopped shows less. */
void series_set_largest(struct series *series, unsigned figure, double value);

/* Sum of one figure over all series; NAN when one of them does not say, or below 0. */
double series_sum(const struct series_set *set, unsigned figure);

/* Likewise of those that say it; NAN: none does. */
double series_sum_given(const struct series_set *set, unsigned figure);

/*
 * A page of plain figures, one each in a series: what most kinds gather. Of ranks that
 * repeat a value, and of labels that nobody knows, the largest counts.
 */
struct plain_page {
    struct model_name_note model;
    struct series_set series;
};

/* What its labels are called; NULL: there is none. */
struct plain_labels {
    const char *model;
    const char *series;
};

int plain_sample(struct plain_page *page, const struct plain_labels *names,
                 unsigned figure, struct span labels, double value,
                 const char **ret_why) MUST_CHECK;

/* A text in JSON that is the server's name. */
void plain_take_name(struct plain_page *page, struct span text);

/* Clear `ret`, and say who it is and how many engines. */
void plain_finish(const struct plain_page *page, struct engine_page *ret);

/* The use of a pool of blocks, and its size, where they fit. */
void page_set_blocks(struct engine_page *ret, double used, double blocks);

/* A count as it is kept: UNKNOWN for what is no number, below 0 or above `max`. */
uint64_t count_of(double value, uint64_t max);

/* NAN for what is not in 0..1. */
double ratio_of(double value);

/* Hits and queries; not known where either is, or where there are more hits. */
struct hit_counts hits_of(double hits, double queries);

/* A number written in a label. */
uint64_t count_in(struct span text, uint64_t max);

#endif
