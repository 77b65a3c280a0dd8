// SPDX-License-Identifier: Apache-2.0
/*
 * aggregate.h - many samples of a figure in a few numbers
 *
 * A percentile is what numpy.percentile() gives by default: of n samples in rising order,
 * numbered from 0, the p-th is at (n - 1) * p / 100, and between two of them it is on the
 * straight line from the one to the other.
 */
#ifndef HISTORY_AGGREGATE_H
#define HISTORY_AGGREGATE_H

#include "base/base.h"

struct aggregate {
    size_t count;                    // of samples that were known
    double min, max, mean, p95, p99; // NAN when there was none
};

/* Of `n` samples, which are put in another order. NAN: not known, and left out. */
void aggregate(double *samples, size_t n, struct aggregate *ret);

/* Rising; none is NAN. */
void aggregate_sort(double *samples, size_t n);

/*
 * A percentile, which is a fraction here, of `n` samples, of which the highest are given in
 * rising order. NAN: it is below them.
 */
double aggregate_percentile(const double *highest, size_t n_highest, uint64_t n,
                            double fraction);

#endif
