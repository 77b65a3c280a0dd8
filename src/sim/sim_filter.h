// SPDX-License-Identifier: Apache-2.0
/*
 * sim_filter.h - keep only the named samples of a page
 *
 * What prometheus_client does for /metrics/?name[]=a&name[]=b: sample names match exactly
 * (a counter needs its _total), families without a match vanish with their HELP and TYPE.
 */
#ifndef SIM_SIM_FILTER_H
#define SIM_SIM_FILTER_H

#include "base/buf.h"

enum {
    SIM_FILTER_QUERY_MAX = 8 * 1024,
    SIM_FILTER_NAMES_MAX = SIM_FILTER_QUERY_MAX / 8 // "name[]=a" is the shortest
};

/* The names asked for; the spans point into `text`. */
struct sim_filter {
    size_t n;
    struct span names[SIM_FILTER_NAMES_MAX];
    char text[SIM_FILTER_QUERY_MAX];
};

/*
 * Read every name[] of a query, percent-decoded. `filter->n` is 0 when there is none:
 * empty values do not count. -E2BIG: the query is longer than SIM_FILTER_QUERY_MAX.
 */
int sim_filter_read(struct span query, struct sim_filter *filter) MUST_CHECK;

/* Append what is left of `page`. */
void sim_filter_apply(const struct sim_filter *filter, struct span page, struct buf *out);

#endif
