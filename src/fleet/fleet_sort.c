// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

static void sift(void **items, size_t at, size_t n, fleet_order_fn *order)
{
    for (size_t child = 2 * at + 1; child < n; at = child, child = 2 * at + 1) {
        void *item = items[at];

        if (child + 1 < n && order(items[child], items[child + 1]) < 0)
            child++;
        if (order(item, items[child]) >= 0)
            return;
        items[at] = items[child];
        items[child] = item;
    }
}

/* A heap sort: qsort() allocates. */
void fleet_sort(void **items, size_t n, fleet_order_fn *order)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(items, i, n, order);
    for (size_t i = n; i-- > 1;) {
        void *last = items[i];

        items[i] = items[0];
        items[0] = last;
        sift(items, 0, i, order);
    }
}
