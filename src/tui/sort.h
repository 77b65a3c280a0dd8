// SPDX-License-Identifier: Apache-2.0
/*
 * sort.h - put an array in order, in place: qsort() may allocate
 */
#ifndef TUI_SORT_H
#define TUI_SORT_H

#include "base/base.h"

enum { SORT_ITEM_MAX = 64 }; // bytes of an item

/* Below 0: `a` stands before `b`. 0 for an item and itself alone. */
typedef int sort_fn(const void *a, const void *b, const void *how);

void sort_items(void *items, size_t n, size_t size, sort_fn *compare, const void *how);

#endif
