// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_output.h"

#include "base/write_all.h"
#include "tui/display_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum {
    OUTPUT_MAX = 64 << 20, // one document in JSON's longest form is 6 MiB
    MESSAGE_MAX = 8192,
    FLUSH_FROM = 64 << 10,
};

static struct {
    struct buf waiting; // made harmless already
    bool ascii;
    bool colours;
    int error; // of stdout; sticks
} output;

void cli_output_init(bool ascii, bool colours)
{
    buf_init(&output.waiting, OUTPUT_MAX);
    output.ascii = ascii;
    output.colours = colours;
    output.error = 0;
}

int cli_flush(void)
{
    if (output.error == 0)
        output.error = output.waiting.error;
    if (output.error == 0)
        output.error = write_all(STDOUT_FILENO, buf_span(&output.waiting));
    buf_clear(&output.waiting);
    return output.error;
}

static void end_line(void)
{
    buf_add_char(&output.waiting, '\n');
    if (output.waiting.len >= FLUSH_FROM)
        (void)cli_flush(); // the error sticks
}

PRINTF_LIKE(1, 0)
static void add_text(const char *format, va_list args)
{
    OWNED(free_str) char *text = NULL;

    if (vasprintf(&text, format, args) < 0) {
        text = NULL;
        output.error = output.error ? output.error : -ENOMEM;
        return;
    }
    display_text(&output.waiting, span_of(text), output.ascii, -1);
}

void cli_print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_text(format, args);
    va_end(args);
    end_line();
}

void cli_print_word(enum cli_look look, const char *word, const char *format, ...)
{
    static const char *const colours[] = {"", "\33[32m", "\33[33m", "\33[31m"};
    bool coloured = output.colours && look != LOOK_PLAIN;
    va_list args;

    buf_add_str(&output.waiting, coloured ? colours[look] : "");
    buf_add_str(&output.waiting, word);
    buf_add_str(&output.waiting, coloured ? "\33[0m" : "");
    va_start(args, format);
    add_text(format, args);
    va_end(args);
    end_line();
}

void cli_print_json(struct span json)
{
    display_json(&output.waiting, json);
    end_line();
}

static void add_blanks(struct buf *line, int n)
{
    for (int i = 0; i < n; i++)
        buf_add_char(line, ' ');
}

void cli_add_cell(struct buf *line, int width, const char *text)
{
    struct buf clean;
    int columns = abs(width), left;

    buf_init(&clean, MESSAGE_MAX);
    display_text(&clean, span_of(text), output.ascii, columns);
    left = columns - display_width(buf_span(&clean));
    if (width < 0)
        add_blanks(line, left);
    buf_add(line, clean.data, clean.len);
    if (width > 0)
        add_blanks(line, left);
    buf_add_char(line, ' ');
    buf_done(&clean);
}

void cli_time_text(char ret[CLI_TIME_SIZE], int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    size_t len;

    (void)snprintf(ret, CLI_TIME_SIZE, "--");
    if (unix_ms < 0 || !localtime_r(&seconds, &parts))
        return;
    len = strftime(ret, CLI_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &parts);
    if (len == 0)
        (void)snprintf(ret, CLI_TIME_SIZE, "--");
    else
        (void)snprintf(ret + len, CLI_TIME_SIZE - len, ".%03d", (int)(unix_ms % 1000));
}

void cli_message(const char *format, ...)
{
    char text[MESSAGE_MAX];
    struct buf line;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    buf_init(&line, 4 * MESSAGE_MAX);
    buf_add_str(&line, "vramscope: ");
    display_text(&line, span_of(text), output.ascii, -1);
    buf_add_char(&line, '\n');
    (void)!write_all(STDERR_FILENO, buf_span(&line)); // nobody is left to be told
    buf_done(&line);
}

int cli_output_done(void)
{
    int r = cli_flush();

    buf_done(&output.waiting);
    return r;
}
