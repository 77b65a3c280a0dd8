// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_table.h"

#include "cli/cli_output.h"
#include "tui/display_text.h"

#include <assert.h>
#include <stdio.h>

enum { LINE_MAX_LEN = 8192 };

void cli_set_text(char *ret, const char *text)
{
    (void)snprintf(ret, CLI_CELL_SIZE, "%s", text && *text ? text : "--");
}

void cli_set_number(char *ret, int64_t number)
{
    (void)snprintf(ret, CLI_CELL_SIZE, "%lld", (long long)number);
    if (number == VRAMSCOPE_UNKNOWN)
        cli_set_text(ret, NULL);
}

static size_t row_of(const struct cli_table *table, size_t i)
{
    return table->picks ? table->picks[i] : i;
}

static int width_of(const char *text)
{
    struct buf clean;
    int width;

    buf_init(&clean, CLI_CELL_SIZE * 4);
    display_text(&clean, span_of(text), false, -1);
    width = display_width(buf_span(&clean));
    buf_done(&clean);
    return width;
}

/* As wide as the widest cell, within the column's bounds; a negative one is kept so. */
static int fit(const struct vramscope_detail *detail, const struct cli_table *table,
               size_t k)
{
    const struct cli_column *column = &table->columns[k];
    int widest = abs(column->widest), width = (int)strlen(column->name), wanted;
    char cell[CLI_CELL_SIZE];

    for (size_t i = 0; i < table->n_rows && width < widest; i++) {
        column->cell(detail, row_of(table, i), cell);
        wanted = width_of(cell);
        width = wanted > width ? wanted : width;
    }
    width = MIN(width, widest);
    return column->widest < 0 ? -width : width;
}

static void print_row(const struct vramscope_detail *detail,
                      const struct cli_table *table, const int *widths, const size_t *row)
{
    struct buf line;

    buf_init(&line, LINE_MAX_LEN);
    for (size_t k = 0; k < table->n_columns; k++) {
        char cell[CLI_CELL_SIZE];

        if (row)
            table->columns[k].cell(detail, row_of(table, *row), cell);
        cli_add_cell(&line, widths[k], row ? cell : table->columns[k].name);
    }
    while (line.len > 0 && line.data[line.len - 1] == ' ')
        buf_cut(&line, line.len - 1);
    cli_print("%.*s", (int)line.len, line.data);
    buf_done(&line);
}

void cli_print_table(const struct vramscope_detail *detail, const struct cli_table *table)
{
    int widths[CLI_COLUMNS_MAX];

    assert(table->n_columns <= CLI_COLUMNS_MAX);
    if (table->n_rows == 0)
        return;
    cli_print("%s", "");
    for (size_t k = 0; k < table->n_columns; k++)
        widths[k] = fit(detail, table, k);
    print_row(detail, table, widths, NULL);
    for (size_t i = 0; i < table->n_rows; i++)
        print_row(detail, table, widths, &i);
}
