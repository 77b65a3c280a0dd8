// SPDX-License-Identifier: Apache-2.0
/*
 * cli_table.h - tables of what is in a document
 */
#ifndef CLI_CLI_TABLE_H
#define CLI_CLI_TABLE_H

#include "tui/draw.h"

#include <vramscope.h>

enum {
    CLI_CELL_SIZE = 1100, // a name of 512 bytes, cleaned
    CLI_COLUMNS_MAX = 16,
};

/* What a table shows of entry `i` of its list. */
typedef void cli_cell_fn(const struct vramscope_detail *detail, size_t i, char *ret);

struct cli_column {
    const char *name;
    int widest; // cells; negative: to the right
    cli_cell_fn *cell;
};

struct cli_table {
    const struct cli_column *columns;
    size_t n_columns;
    size_t n_rows;
    const size_t *picks; // which entries the rows are; NULL: the first ones
};

/* After an empty line; nothing where there are no rows. */
void cli_print_table(const struct vramscope_detail *detail,
                     const struct cli_table *table);

/* Into a cell: `--` where it is not known. */
void cli_set_text(char *ret, const char *text);
void cli_set_number(char *ret, int64_t number);

/* A column that is a member, shown by a function as those above, or of draw.h. */
#define CLI_CELL(name, show, value)                                              \
    static void name(const struct vramscope_detail *detail, size_t i, char *ret) \
    {                                                                            \
        show(ret, value);                                                        \
    }

#endif
