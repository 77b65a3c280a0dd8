// SPDX-License-Identifier: Apache-2.0
/*
 * table_shape.h - which columns of a table there is room for, in which order, and how wide
 */
#ifndef TUI_TABLE_SHAPE_H
#define TUI_TABLE_SHAPE_H

#include "base/base.h"

enum { TABLE_COLUMNS_MAX = 20 };

struct table_shape {
    int shown[TABLE_COLUMNS_MAX]; // the table's own numbers of columns
    size_t n;
    int width[TABLE_COLUMNS_MAX]; // by such a number
    int drop[TABLE_COLUMNS_MAX];  // likewise: the least goes first; 0: it stays
    int gap;                      // between two
};

/* Without that of the column that takes what is left, as long as it is 0. */
int table_shape_width(const struct table_shape *shape);

/* Leave one out. False: all that are left stay. */
bool table_shape_drop(struct table_shape *shape);

bool table_shape_has(const struct table_shape *shape, int column);

#endif
