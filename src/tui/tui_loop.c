// SPDX-License-Identifier: Apache-2.0
#include "tui/tui.h"

#include "base/clock.h"
#include "tui/draw.h"
#include "tui/opened_node.h"
#include "tui/screen_file.h"
#include "tui/terminal.h"
#include "tui/terminal_signals.h"
#include "tui/view.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    USUAL_REFRESH_MS = 100,
    KEY_REFRESH_MS = 40, // what a key does is seen soon, however slow the rest is
    KEYS_A_TURN = 64,
    EVENTS_A_TURN = 64, // of one source, so that the others and keys have their turn
    EMPTY_READS_MAX = 100,
    MESSAGE_SIZE = 160,
    MESSAGE_MS = 5000,
    SEEK_MS = 10 * 1000,
};

enum { POLL_SIGNALS, POLL_KEYS, POLL_OUTPUT, POLL_SOURCES };

struct loop {
    const struct tui_options *options;
    struct terminal *terminal;
    struct host *hosts[VIEW_HOSTS_MAX];
    struct opened_node opened; // the last of the sources, while one is
    struct pollfd polled[POLL_SOURCES + VIEW_HOSTS_MAX + 1];
    struct view view;
    struct canvas canvas;
    bool changed;      // there is something new to show
    bool touched;      // by the person
    bool busy;         // a source has more than a turn's events
    bool blocked;      // the terminal took no output when it was due
    int64_t drawn_ms;  // monotonic
    int64_t drawn_sec; // of the wall clock
    unsigned empty_reads;
    char message[MESSAGE_SIZE];
    int64_t message_until_ms; // monotonic
};

static int64_t now_ms(void)
{
    return (int64_t)(clock_now_ns() / NS_PER_MS);
}

static int64_t unix_ms(void)
{
    return (int64_t)clock_unix_ms();
}

static void say(struct loop *loop, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct loop *loop, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(loop->message, sizeof(loop->message), format, args);
    va_end(args);
    loop->message_until_ms = now_ms() + MESSAGE_MS;
    loop->touched = true;
}

static size_t n_sources(const struct loop *loop)
{
    return loop->options->n_sources + (loop->opened.host != NULL);
}

static const struct tui_source *source_at(const struct loop *loop, size_t i)
{
    return i < loop->options->n_sources ? &loop->options->sources[i]
                                        : &loop->opened.source;
}

static struct host *host_at(const struct loop *loop, size_t i)
{
    return i < loop->options->n_sources ? loop->hosts[i] : loop->opened.host;
}

/* ---- Drawing ---- */

/* Of what is shown: a recording has a time of its own. */
static int64_t shown_ms(const struct loop *loop)
{
    const struct tui_source *source = &loop->options->sources[0];

    return source->unix_ms ? source->unix_ms(source->ctx) : unix_ms();
}

static int draw(struct loop *loop)
{
    int rows, columns;

    terminal_size(loop->terminal, &rows, &columns);
    if (rows != loop->canvas.rows || columns != loop->canvas.columns) {
        int r = canvas_resize(&loop->canvas, rows, columns);

        if (r < 0)
            return r;
    }
    if (terminal_is_ascii(loop->terminal))
        loop->view.glyphs = GLYPHS_ASCII;
    loop->canvas.ascii = loop->view.glyphs == GLYPHS_ASCII;
    view_refresh(&loop->view, shown_ms(loop));
    draw_view(&loop->canvas, &loop->view);
    return 0;
}

/* Over the last line, for a while. */
static void draw_message(struct loop *loop)
{
    struct place line = {loop->canvas.rows - 1, 0, loop->canvas.columns};

    if (!loop->message[0])
        return;
    for (int i = 0; i < line.width; i++)
        (void)canvas_put(&loop->canvas, (struct place){line.row, i, 1}, STYLE_STRONG,
                         span_of(" "));
    line.column = 1;
    line.width--;
    (void)canvas_put(&loop->canvas, line, STYLE_STRONG, span_of(loop->message));
}

static int show(struct loop *loop)
{
    int r = draw(loop);

    if (r < 0)
        return r;
    draw_message(loop);
    r = terminal_show(loop->terminal, &loop->canvas, loop->view.theme);
    loop->changed = loop->touched = false;
    loop->drawn_ms = now_ms();
    loop->drawn_sec = unix_ms() / 1000;
    return r;
}

/* When something is to be drawn next, by the monotonic clock. */
static int64_t due_ms(const struct loop *loop)
{
    int64_t pace = loop->view.refresh_ms, now = now_ms(), unix_now = unix_ms();

    if (loop->touched)
        return loop->drawn_ms + MIN(pace, (int64_t)KEY_REFRESH_MS);
    if (loop->changed || unix_now / 1000 != loop->drawn_sec)
        return loop->drawn_ms + pace;
    return MAX(loop->drawn_ms + pace, now + 1000 - unix_now % 1000); // ages go on
}

static int show_when_due(struct loop *loop)
{
    if (loop->message[0] && now_ms() >= loop->message_until_ms) {
        loop->message[0] = '\0';
        loop->changed = true;
    }
    if (now_ms() < due_ms(loop))
        return 0;
    loop->blocked = !terminal_has_room(loop->terminal);
    return loop->blocked ? 0 : show(loop);
}

/* ---- Keys ---- */

static void write_screen(struct loop *loop)
{
    char name[SCREEN_FILE_NAME_SIZE] = "";
    int r = draw(loop); // without a message

    if (r == 0)
        r = screen_file_write(&loop->canvas, unix_ms(), name);
    if (r < 0)
        say(loop, "%s was not written: %s", name[0] ? name : "the screen", strerror(-r));
    else
        say(loop, "the screen is in %s", name);
}

static void steer(struct loop *loop, enum view_wish wish)
{
    for (size_t i = 0; i < loop->options->n_sources; i++) {
        const struct tui_source *source = &loop->options->sources[i];

        if (wish == WISH_HOLD && source->hold)
            source->hold(source->ctx, loop->view.held);
        else if ((wish == WISH_BACK || wish == WISH_FORWARD) && source->seek)
            source->seek(source->ctx, wish == WISH_BACK ? -SEEK_MS : SEEK_MS);
        else if ((wish == WISH_FASTER || wish == WISH_SLOWER) && source->speed)
            source->speed(source->ctx, wish == WISH_FASTER ? 2 : 0.5);
    }
}

/* That a recording is held is told by the title. */
static void tell_wish(struct loop *loop, enum view_wish wish)
{
    static const char *const words[] = {
        [WISH_FASTER] = "twice as fast", [WISH_SLOWER] = "half as fast",
        [WISH_BACK] = "10 s back",       [WISH_FORWARD] = "10 s forward",
        [WISH_HOLD] = "played on",
    };

    say(loop, "%s", wish == WISH_HOLD && loop->view.held ? "held" : words[wish]);
}

/* What a key may change of how all is drawn. */
struct look_of_view {
    int refresh_ms;
    const struct theme *theme;
    enum glyphs glyphs;
};

static struct look_of_view look_of(const struct view *view)
{
    return (struct look_of_view){view->refresh_ms, view->theme, view->glyphs};
}

static void tell_look(struct loop *loop, const struct look_of_view *before)
{
    static const char *const signs[] = {
        [GLYPHS_BRAILLE] = "braille", [GLYPHS_BLOCK] = "block", [GLYPHS_ASCII] = "ascii"};
    const struct view *view = &loop->view;

    if (view->refresh_ms != before->refresh_ms)
        say(loop, "drawn every %d.%d s", view->refresh_ms / 1000,
            view->refresh_ms / 100 % 10);
    else if (view->theme != before->theme)
        say(loop, "theme %s", view->theme->name);
    else if (view->glyphs != before->glyphs && terminal_is_ascii(loop->terminal))
        say(loop, "the locale's characters are ASCII alone");
    else if (view->glyphs != before->glyphs)
        say(loop, "graphs in %s", signs[view->glyphs]);
}

static void open_node(struct loop *loop)
{
    struct complaint why = {""};

    if (opened_node_open(&loop->opened, loop->options, &loop->view, &why) < 0)
        say(loop, "%s", why.text);
    loop->polled[POLL_SOURCES + loop->options->n_sources].revents = 0;
}

static void press(struct loop *loop, int key)
{
    struct look_of_view before = look_of(&loop->view);
    enum view_wish wish = view_key(&loop->view, key);

    loop->touched = true;
    tell_look(loop, &before);
    if (wish == WISH_WRITE) {
        write_screen(loop);
    } else if (wish == WISH_OPEN) {
        open_node(loop);
    } else if (wish == WISH_LEAVE) {
        opened_node_close(&loop->opened, loop->options, &loop->view);
    } else if (wish != WISH_NOTHING) {
        steer(loop, wish);
        tell_wish(loop, wish);
    }
}

/* -EIO: the terminal is gone. One that is always readable and never has a key is, too. */
static int take_keys(struct loop *loop)
{
    const short gone = POLLHUP | POLLERR | POLLNVAL;
    int n = 0, key;

    if ((loop->polled[POLL_KEYS].revents | loop->polled[POLL_OUTPUT].revents) & gone)
        return -EIO;
    if (!(loop->polled[POLL_KEYS].revents & POLLIN))
        return 0;
    while (n < KEYS_A_TURN && !loop->view.quit) {
        key = terminal_key(loop->terminal);
        if (key == KEY_CODE_NONE)
            break;
        press(loop, key);
        n++;
    }
    loop->touched = true; // Ctrl-L is no key, yet the screen is wanted
    loop->empty_reads = n > 0 ? 0 : loop->empty_reads + 1;
    return loop->empty_reads > EMPTY_READS_MAX ? -EIO : 0;
}

/* ---- Sources ---- */

/* Of a recording, which may be left again by seeking back. */
static void look_for_end(struct loop *loop)
{
    const struct tui_source *source = &loop->options->sources[0];
    bool is_over = loop->view.is_recording && source->over && source->over(source->ctx);

    loop->changed = loop->changed || is_over != loop->view.is_over;
    loop->view.is_over = is_over;
}

static void take_events(struct loop *loop)
{
    bool busy = false;

    for (size_t i = 0; i < n_sources(loop); i++) {
        const struct tui_source *source = source_at(loop, i);
        const struct vramscope_event *event = NULL;
        int n = 0;

        if (!loop->busy && !loop->polled[POLL_SOURCES + i].revents &&
            source->timeout_ms(source->ctx) != 0)
            continue;
        while (n < EVENTS_A_TURN && (event = source->next(source->ctx)) != NULL) {
            if (host_take(host_at(loop, i), event) < 0)
                say(loop, "%s: out of memory, some of its history is lost",
                    host_at(loop, i)->name);
            loop->changed = true;
            n++;
        }
        busy = busy || n == EVENTS_A_TURN;
    }
    loop->busy = busy;
    look_for_end(loop);
}

/* ---- The loop ---- */

static int timeout_ms(const struct loop *loop)
{
    int64_t least = loop->blocked ? INT32_MAX : MAX(due_ms(loop) - now_ms(), (int64_t)0);

    if (loop->busy)
        return 0;
    for (size_t i = 0; i < n_sources(loop); i++) {
        const struct tui_source *source = source_at(loop, i);
        int64_t timeout = source->timeout_ms(source->ctx);

        if (timeout >= 0)
            least = MIN(least, timeout);
    }
    return (int)MIN(least, (int64_t)INT32_MAX);
}

static int wait(struct loop *loop)
{
    size_t n = POLL_SOURCES + n_sources(loop);

    for (size_t i = 0; i < n_sources(loop); i++) {
        const struct tui_source *source = source_at(loop, i);

        loop->polled[POLL_SOURCES + i] =
            (struct pollfd){.fd = source->fd(source->ctx), .events = POLLIN};
    }
    loop->polled[POLL_OUTPUT].events = loop->blocked ? POLLOUT : 0;
    if (poll(loop->polled, n, timeout_ms(loop)) >= 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        loop->polled[i].revents = 0;
    return errno == EINTR ? 0 : neg_errno();
}

/* Ctrl-Z, and back: whatever else has had the screen meanwhile. */
static void stop(struct loop *loop)
{
    terminal_suspend(loop->terminal);
    signals_stop_self();
    terminal_resume(loop->terminal);
    loop->touched = true;
}

static int turn(struct loop *loop)
{
    int r = wait(loop);
    unsigned signals = signals_take();

    if (r < 0)
        return r;
    if (signals & SIGNALS_LEAVE) {
        loop->view.quit = true;
        return 0;
    }
    if (signals & SIGNALS_STOP) {
        stop(loop);
        return 0; // one to leave may have come meanwhile: nothing is drawn before it is seen
    }
    if (signals & SIGNALS_CONTINUE)
        terminal_resume(loop->terminal);
    if (signals)
        loop->touched = true;
    r = take_keys(loop);
    if (r < 0 || loop->view.quit)
        return r;
    take_events(loop);
    return show_when_due(loop);
}

static int open_hosts(struct loop *loop, struct complaint *why)
{
    const struct tui_options *options = loop->options;

    if (options->n_sources > VIEW_HOSTS_MAX)
        return complain(why, -EINVAL, "%zu are too many to watch at once: at most %d",
                        options->n_sources, VIEW_HOSTS_MAX);
    for (size_t i = 0; i < options->n_sources; i++) {
        int r = tui_host_new(options->sources[i].url, &loop->hosts[i]);

        if (r < 0)
            return complain(why, r, "%s: %s", options->sources[i].url, strerror(-r));
    }
    return 0;
}

static void open_view(struct loop *loop)
{
    const struct tui_options *options = loop->options;

    view_init(&loop->view, loop->hosts, options->n_sources);
    loop->view.theme = options->theme ? options->theme : themes;
    loop->view.glyphs = options->glyphs;
    loop->view.refresh_ms =
        options->refresh_ms > 0 ? options->refresh_ms : USUAL_REFRESH_MS;
    for (size_t i = 0; i < options->n_sources; i++)
        loop->view.is_recording |= options->sources[i].hold != NULL;
    loop->view.opens_nodes = options->open_node && !loop->view.is_recording;
}

static int run(struct loop *loop, struct complaint *why)
{
    int r = terminal_open(loop->options->colours, &loop->terminal, why);

    if (r < 0)
        return r;
    loop->polled[POLL_KEYS] =
        (struct pollfd){.fd = terminal_fd(loop->terminal), .events = POLLIN};
    loop->polled[POLL_OUTPUT].fd = terminal_output_fd(loop->terminal);
    loop->touched = true;
    while (r == 0 && !loop->view.quit)
        r = turn(loop);
    terminal_close(loop->terminal);
    if (r == -EIO)
        return complain(why, r, "the terminal is gone");
    return r < 0 ? complain(why, r, "%s", strerror(-r)) : 0;
}

int tui_run(const struct tui_options *options, struct complaint *why)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int r;

    if (!loop)
        return complain(why, -ENOMEM, "out of memory");
    loop->options = options;
    r = open_hosts(loop, why);
    if (r == 0) {
        open_view(loop);
        r = signals_open();
        loop->polled[POLL_SIGNALS] = (struct pollfd){.fd = r, .events = POLLIN};
        r = r < 0 ? complain(why, r, "signals: %s", strerror(-r)) : run(loop, why);
        signals_close();
        opened_node_close(&loop->opened, options, &loop->view);
        view_done(&loop->view);
    }
    for (size_t i = 0; i < MIN(options->n_sources, (size_t)VIEW_HOSTS_MAX); i++)
        tui_host_free(loop->hosts[i]);
    canvas_done(&loop->canvas);
    free(loop);
    return r;
}
