// SPDX-License-Identifier: Apache-2.0
/*
 * sort.h - put an array in order, in place: qsort() may allocate; and that order
 */
#ifndef TUI_SORT_H
#define TUI_SORT_H

#include "base/base.h"

enum { SORT_ITEM_MAX = 64 }; // bytes of an item

/* Below 0: `a` stands before `b`. 0 for an item and itself alone. */
typedef int sort_fn(const void *a, const void *b, const void *how);

void sort_items(void *items, size_t n, size_t size, sort_fn *compare, const void *how);

/*
 * The order of two keys, which `falls` where the larger comes first. What is not known, NAN
 * or NULL, comes last in either direction. `r` is the order of two that are known.
 */
int sort_known(bool a_known, bool b_known, int r, bool falls);
int sort_numbers(double a, double b, bool falls);

typedef int sort_text_fn(const char *a, const char *b); // as strcmp()

int sort_texts(const char *a, const char *b, sort_text_fn *compare, bool falls);

#endif
