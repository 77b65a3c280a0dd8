// SPDX-License-Identifier: Apache-2.0
#include "tui/sort.h"

#include <assert.h>
#include <math.h>

struct heap {
    char *items;
    size_t size;
    sort_fn *compare;
    const void *how;
};

static void *at(const struct heap *heap, size_t place)
{
    return heap->items + place * heap->size;
}

/* Let the item at `place` sink in the heap below it. */
static void sink(const struct heap *heap, size_t place, size_t n)
{
    char item[SORT_ITEM_MAX];

    memcpy(item, at(heap, place), heap->size);
    for (size_t child = 2 * place + 1; child < n; child = 2 * place + 1) {
        if (child + 1 < n &&
            heap->compare(at(heap, child), at(heap, child + 1), heap->how) < 0)
            child++;
        if (heap->compare(item, at(heap, child), heap->how) >= 0)
            break;
        memcpy(at(heap, place), at(heap, child), heap->size);
        place = child;
    }
    memcpy(at(heap, place), item, heap->size);
}

/* No two items compare equal, so a heap does. */
void sort_items(void *items, size_t n, size_t size, sort_fn *compare, const void *how)
{
    struct heap heap = {items, size, compare, how};

    assert(size <= SORT_ITEM_MAX);
    for (size_t i = n / 2; i > 0; i--)
        sink(&heap, i - 1, n);
    for (size_t i = n; i > 1; i--) {
        char last[SORT_ITEM_MAX];

        memcpy(last, at(&heap, i - 1), size);
        memcpy(at(&heap, i - 1), items, size);
        memcpy(items, last, size);
        sink(&heap, 0, i - 1);
    }
}

int sort_known(bool a_known, bool b_known, int r, bool falls)
{
    if (!a_known || !b_known)
        return (int)b_known - (int)a_known;
    return falls ? -r : r;
}

int sort_numbers(double a, double b, bool falls)
{
    return sort_known(!isnan(a), !isnan(b), (a > b) - (a < b), falls);
}

int sort_texts(const char *a, const char *b, sort_text_fn *compare, bool falls)
{
    return sort_known(a, b, a && b ? compare(a, b) : 0, falls);
}
