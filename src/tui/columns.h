// SPDX-License-Identifier: Apache-2.0
/*
 * columns.h - the order of rows by each column
 *
 * What is not known comes last in either direction.
 */
#ifndef TUI_COLUMNS_H
#define TUI_COLUMNS_H

#include "tui/view.h"

/* Below 0: `a` stands above `b`. 0 for a row and itself alone. */
int rows_compare(const struct row *a, const struct row *b, enum column column,
                 bool reverse);

void rows_sort(struct row *rows, size_t n, enum column column, bool reverse);

#endif
