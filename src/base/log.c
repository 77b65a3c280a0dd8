// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    LINE_MAX_BYTES = 1024,
    FLOWS = 32, // formats that are remembered; the one not used for longest is forgotten
    BURST = 64, // lines of one format at once: one for each engine
    LINE_MS = 200, // until there is room for one more
};

/* How much is said in one format. */
struct flow {
    const char *format; // by its address
    uint64_t free_ms;   // when all its lines will have been paid for
    uint64_t left_out;
};

static struct flow flows[FLOWS];
static pthread_mutex_t flows_lock = PTHREAD_MUTEX_INITIALIZER;

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

/* Is stderr the journal's socket? Its children inherit the variable with any stderr. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char ours[64];
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    (void)snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino);
    return strcmp(stream, ours) == 0;
}

void log_init(const char *program, enum log_level level)
{
    program_name = program;
    max_level = level;
    under_systemd = is_journal();
}

void log_set_level(enum log_level level)
{
    max_level = level;
}

/* C0 and DEL, and the two bytes of a C1 character, which terminals obey as well. */
static bool is_control(const unsigned char *c, unsigned char before)
{
    return *c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) ||
           (before == 0xc2 && *c >= 0x80 && *c < 0xa0);
}

/* Copy with control bytes as \xNN; UTF-8 passes. The result always ends in a newline. */
static size_t escape(char *to, size_t room, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char before = 0;
    size_t n = 0;

    for (; *s && n + 5 < room; before = *s++) {
        unsigned char c = *s;

        if (!is_control(s, before))
            to[n++] = (char)c;
        else
            n += (size_t)snprintf(to + n, room - n, "\\x%02x", c);
    }
    to[n++] = '\n';
    return n;
}

static uint64_t now_ms(void)
{
    return clock_now_ns() / NS_PER_MS;
}

static struct flow *flow_of(const char *format)
{
    struct flow *oldest = &flows[0];

    for (size_t i = 0; i < FLOWS; i++) {
        if (flows[i].format == format)
            return &flows[i];
        if (flows[i].free_ms < oldest->free_ms)
            oldest = &flows[i];
    }
    *oldest = (struct flow){.format = format};
    return oldest;
}

/* Has this format a line left? Then also how many it had to leave out before. */
static bool may_say(const char *format, uint64_t *ret_left_out)
{
    uint64_t now = now_ms();
    struct flow *flow;
    bool may;

    (void)pthread_mutex_lock(&flows_lock);
    flow = flow_of(format);
    flow->free_ms = MAX(flow->free_ms, now);
    may = flow->free_ms - now <= (uint64_t)(BURST - 1) * LINE_MS;
    *ret_left_out = flow->left_out;
    flow->left_out = may ? 0 : flow->left_out + 1;
    if (may)
        flow->free_ms += LINE_MS;
    (void)pthread_mutex_unlock(&flows_lock);
    return may;
}

static void PRINTF_LIKE(2, 0)
    log_va(enum log_level level, const char *format, va_list args)
{
    char text[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES + 64];
    uint64_t left_out;
    size_t len;
    int head;

    if (level > max_level || !may_say(format, &left_out))
        return;

    (void)vsnprintf(text, sizeof(text), format, args);
    if (left_out)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                       " (%ju like it were left out)", (uintmax_t)left_out);
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
