// SPDX-License-Identifier: Apache-2.0
#include "tui/screen_file.h"

#include "base/buf.h"
#include "base/write_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

enum { TEXT_MAX = CANVAS_ROWS_MAX * (CANVAS_COLUMNS_MAX * CELL_TEXT_SIZE + 1) };

static void make_name(int64_t unix_ms, char name[SCREEN_FILE_NAME_SIZE])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm local = {0};

    (void)localtime_r(&seconds, &local);
    if (strftime(name, SCREEN_FILE_NAME_SIZE, "vramscope-%Y%m%d-%H%M%S.txt", &local) == 0)
        (void)snprintf(name, SCREEN_FILE_NAME_SIZE, "vramscope-%lld.txt",
                       (long long)seconds); // a year of many digits
}

/* Lines without the blanks at their ends. */
static void add_line(struct buf *out, const struct canvas *canvas, int row)
{
    size_t end = out->len;

    for (int i = 0; i < canvas->columns; i++) {
        const char *text = canvas_at(canvas, row, i)->text;

        buf_add_str(out, text);
        if (text[0] != ' ' || text[1] != '\0')
            end = out->len;
    }
    buf_cut(out, end);
    buf_add_char(out, '\n');
}

int screen_file_write(const struct canvas *canvas, int64_t unix_ms,
                      char name[SCREEN_FILE_NAME_SIZE])
{
    OWNED(buf_done) struct buf text = {.max = TEXT_MAX};
    int fd, r;

    make_name(unix_ms, name);
    for (int row = 0; row < canvas->rows; row++)
        add_line(&text, canvas, row);
    if (text.error)
        return text.error;

    fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return neg_errno();
    r = write_all(fd, buf_span(&text));
    if (close(fd) < 0 && r == 0)
        r = neg_errno();
    if (r < 0)
        (void)unlink(name); // half a screen is none
    return r;
}
