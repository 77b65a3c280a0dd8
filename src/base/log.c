// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 1024 };

static const struct {
    const char *name;
    const char *systemd; // sd-daemon(3)
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error: ", "<3>"},
    [LOG_LEVEL_WARNING] = {"warning: ", "<4>"},
    [LOG_LEVEL_INFO] = {"", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug: ", "<7>"},
};

static const char *program_name = "vramscope";
static enum log_level max_level = LOG_LEVEL_INFO;
static bool under_systemd;

void log_init(const char *program, enum log_level level)
{
    program_name = program;
    max_level = level;
    under_systemd = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level)
{
    max_level = level;
}

/* Copy with control bytes as \xNN; UTF-8 passes. The result always ends in a newline. */
static size_t escape(char *to, size_t room, const char *text)
{
    size_t n = 0;

    for (; *text && n + 5 < room; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c != 0x7f)
            to[n++] = (char)c;
        else
            n += (size_t)snprintf(to + n, room - n, "\\x%02x", c);
    }
    to[n++] = '\n';
    return n;
}

static void PRINTF_LIKE(2, 0)
    log_va(enum log_level level, const char *format, va_list args)
{
    char text[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES + 64];
    int head;
    size_t len;

    if (level > max_level)
        return;

    (void)vsnprintf(text, sizeof(text), format, args);
    if (under_systemd)
        head = snprintf(line, sizeof(line), "%s", levels[level].systemd);
    else
        head = snprintf(line, sizeof(line), "%s: %s", program_name, levels[level].name);
    len = (size_t)head + escape(line + head, sizeof(line) - (size_t)head, text);

    while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
        continue; // a log that cannot be written has nobody to complain to
}

#define DEFINE_LOG(name, level)        \
    void name(const char *format, ...) \
    {                                  \
        va_list args;                  \
                                       \
        va_start(args, format);        \
        log_va(level, format, args);   \
        va_end(args);                  \
    }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
