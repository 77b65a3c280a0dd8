// SPDX-License-Identifier: Apache-2.0
#include "history/aggregate.h"

#include <math.h>

/* Those that are known come first; how many they are. */
static size_t leave_out_unknown(double *samples, size_t n)
{
    size_t known = 0;

    for (size_t i = 0; i < n; i++)
        if (!isnan(samples[i]))
            samples[known++] = samples[i];
    return known;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void aggregate_sort(double *samples, size_t n)
{
    qsort(samples, n, sizeof(samples[0]), compare);
}

double aggregate_percentile(const double *highest, size_t n_highest, uint64_t n,
                            double fraction)
{
    double place = (double)(n - 1) * fraction;
    uint64_t below = (uint64_t)place, above = MIN(below + 1, n - 1);
    uint64_t missing = n - n_highest;
    double part = place - (double)below, low;

    if (below < missing)
        return (double)NAN;
    low = highest[below - missing];
    return low + part * (highest[above - missing] - low);
}

static double mean(const double *samples, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += samples[i];
    return sum / (double)n;
}

void aggregate(double *samples, size_t n, struct aggregate *ret)
{
    const double none = (double)NAN;

    n = leave_out_unknown(samples, n);
    *ret = (struct aggregate){n, none, none, none, none, none};
    if (n == 0)
        return;
    aggregate_sort(samples, n);
    ret->min = samples[0];
    ret->max = samples[n - 1];
    ret->mean = mean(samples, n);
    ret->p95 = aggregate_percentile(samples, n, n, 0.95);
    ret->p99 = aggregate_percentile(samples, n, n, 0.99);
}
