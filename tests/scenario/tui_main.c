// SPDX-License-Identifier: Apache-2.0
/*
 * tui_main.c - for tests: the terminal UI over documents from files, without a daemon
 *
 *     tui-main [ascii|block|mono|fault|stuck|flood|recording]... FILE...
 *
 * Each file is a source that has its document twice a second. `fault` divides at the fifth
 * as nobody should; `stuck` then never comes back; `flood` always has another document.
 */
#include "tui/tui.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <time.h>

enum { DOCUMENT_MAX = 1 << 20, PACE_MS = 500, AT_DOCUMENT = 5 };

static struct {
    bool ascii, block, mono, fault, stuck, flood, recording;
} wanted;

static const struct {
    const char *word;
    bool *flag;
} words[] = {
    {"ascii", &wanted.ascii},         {"block", &wanted.block}, {"mono", &wanted.mono},
    {"fault", &wanted.fault},         {"stuck", &wanted.stuck}, {"flood", &wanted.flood},
    {"recording", &wanted.recording},
};

struct file_source {
    const char *path;
    int timer;
    unsigned taken;
    bool held;
    char text[DOCUMENT_MAX];
    const struct vramscope_detail *detail;
    struct vramscope_event event;
};

static int source_fd(void *ctx)
{
    return ((struct file_source *)ctx)->timer;
}

static int source_timeout_ms(void *ctx)
{
    (void)ctx;
    return wanted.flood ? 0 : -1;
}

static void misbehave(void)
{
    const struct timespec second = {.tv_sec = 1};

    if (wanted.fault)
        __builtin_trap();
    while (wanted.stuck)
        (void)nanosleep(&second, NULL);
}

static int64_t unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int read_document(struct file_source *source)
{
    int fd = open(source->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, source->text, sizeof(source->text));

    close_fd(&fd);
    vramscope_detail_unref(source->detail);
    source->detail = NULL;
    if (n < 0)
        return neg_errno();
    n = vramscope_detail_parse(source->text, (size_t)n, &source->detail, NULL, 0);
    if (n == 0) // nobody else has it yet
        ((struct vramscope_detail *)(uintptr_t)source->detail)->unix_ms =
            source->event.unix_ms;
    return (int)n;
}

static const struct vramscope_event *source_next(void *ctx)
{
    struct file_source *source = ctx;
    uint64_t beats;

    source->event = (struct vramscope_event){.unix_ms = unix_ms(), .id = ""};
    if (source->taken++ == 0) {
        source->event.type = VRAMSCOPE_CONNECTED;
        return &source->event;
    }
    if (!wanted.flood && read(source->timer, &beats, sizeof(beats)) < 0) {
        source->taken--;
        return NULL;
    }
    if (source->taken == AT_DOCUMENT)
        misbehave();
    if (source->held)
        return NULL;
    source->event.type = VRAMSCOPE_DETAIL;
    if (read_document(source) < 0) {
        source->event.type = VRAMSCOPE_UNREADABLE;
        source->event.reason = "not a document";
    }
    source->event.detail = source->detail;
    return &source->event;
}

static void source_hold(void *ctx, bool held)
{
    ((struct file_source *)ctx)->held = held;
}

static int add_source(const char *path, struct tui_source *ret)
{
    const struct itimerspec pace = {{0, PACE_MS * 1000000}, {0, 1000000}};
    struct file_source *source = calloc(1, sizeof(*source));

    if (!source)
        return -ENOMEM;
    source->path = path;
    source->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (source->timer < 0 || timerfd_settime(source->timer, 0, &pace, NULL) < 0) {
        free(source);
        return neg_errno();
    }
    *ret = (struct tui_source){.url = path,
                               .ctx = source,
                               .fd = source_fd,
                               .timeout_ms = source_timeout_ms,
                               .next = source_next,
                               .hold = wanted.recording ? source_hold : NULL};
    return 0;
}

static bool is_word(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i].word, text) == 0)
            return *words[i].flag = true;
    return false;
}

int main(int argc, char **argv)
{
    struct tui_source sources[8] = {{0}};
    struct tui_options options = {.sources = sources, .theme = theme_find("dark")};
    struct complaint why = {""};
    int r = 0;

    (void)setlocale(LC_CTYPE, "");
    for (int i = 1; i < argc && r == 0 && options.n_sources < ARRAY_LEN(sources); i++)
        if (!is_word(argv[i]))
            r = add_source(argv[i], &sources[options.n_sources++]);
    options.colours = !wanted.mono;
    if (wanted.ascii || wanted.block)
        options.glyphs = wanted.ascii ? GLYPHS_ASCII : GLYPHS_BLOCK;
    r = r < 0 ? r : tui_run(&options, &why);
    for (size_t i = 0; i < options.n_sources; i++) {
        struct file_source *source = sources[i].ctx;

        if (source)
            vramscope_detail_unref(source->detail);
        free(source);
    }
    (void)fprintf(stderr, "tui-main: %d %s\n", r, why.text);
    return -r;
}
