// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "cli/cli_output.h"
#include "cli/cli_play.h"
#include "tui/tui.h"

#include <sys/timerfd.h>

enum { TEXT_SIZE = 1280 }; // longer than an id may be

/* The recording as a source of the terminal UI. */
struct source {
    struct play play;
    int timer_fd;   // readable when an entry is due
    bool has_given; // something that the screen shows
    bool has_told_end;
    struct vramscope_event event;
    const struct vramscope_detail *detail; // the event's
    char id[TEXT_SIZE];
    char reason[TEXT_SIZE];
};

static int source_fd(void *ctx)
{
    const struct source *source = ctx;

    return source->timer_fd;
}

static int source_timeout_ms(void *ctx)
{
    (void)ctx;
    return -1; // the descriptor says it
}

/* Wake the UI in so many nanoseconds; UINT64_MAX: not at all. */
static void set_timer(struct source *source, uint64_t wait_ns)
{
    struct itimerspec when = {{0, 0}, {0, 0}};

    if (wait_ns < UINT64_MAX) {
        wait_ns = MAX(wait_ns, (uint64_t)1); // 0 would stop it
        when.it_value.tv_sec = (time_t)(wait_ns / NS_PER_S);
        when.it_value.tv_nsec = (long)(wait_ns % NS_PER_S);
    }
    (void)timerfd_settime(source->timer_fd, 0, &when, NULL); // fails on bad times only
}

static const char *copy_text(char room[TEXT_SIZE], struct span text)
{
    size_t len = MIN(text.len, (size_t)TEXT_SIZE - 1);

    if (len)
        memcpy(room, text.at, len);
    room[len] = '\0';
    return room;
}

/* Nothing comes any more, and the screen has nothing that would say why. */
static const struct vramscope_event *tell_end(struct source *source, const char *reason)
{
    source->has_told_end = true;
    source->event = (struct vramscope_event){
        .type = VRAMSCOPE_DISCONNECTED,
        .unix_ms = source->event.unix_ms,
        .name = "",
        .id = "",
        .data = "",
        .reason = copy_text(source->reason, span_of(reason)),
        .retry_ms = -1,
    };
    return &source->event;
}

/* The event that an entry was made of; NULL: its document cannot be read. */
static const struct vramscope_event *event_of(struct source *source,
                                              const struct recording_entry *entry)
{
    static const enum vramscope_event_type types[] = {
        [RECORDING_DETAIL] = VRAMSCOPE_DETAIL,
        [RECORDING_NO_DATA] = VRAMSCOPE_NO_DATA,
        [RECORDING_DISCONNECTED] = VRAMSCOPE_DISCONNECTED,
        [RECORDING_SKIPPED] = VRAMSCOPE_LAG,
    };
    bool is_document = entry->kind == RECORDING_DETAIL;

    vramscope_detail_unref(TAKE(source->detail));
    if (is_document) {
        source->detail = play_decode(&source->play, entry);
        if (!source->detail)
            return NULL;
    }
    source->event = (struct vramscope_event){
        .type = types[entry->kind],
        .unix_ms = entry->unix_ms,
        .name = entry->kind == RECORDING_SKIPPED ? "lag" : "message",
        .id = copy_text(source->id, entry->id),
        .data = "",
        .detail = source->detail,
        .skipped = (int64_t)entry->skipped,
    };
    if (entry->kind == RECORDING_NO_DATA || entry->kind == RECORDING_DISCONNECTED)
        source->event.reason = copy_text(source->reason, entry->text);
    return &source->event;
}

static const struct vramscope_event *source_next(void *ctx)
{
    struct source *source = ctx;
    struct player *player = source->play.player;
    uint64_t now_ns = clock_now_ns();
    const struct vramscope_event *event = NULL;
    struct recording_entry entry;
    struct complaint why;
    int r = 1;

    while (!event && r == 1) {
        r = player_next(player, now_ns, &entry, &why);
        if (r == 1)
            event = event_of(source, &entry);
    }
    if (event) {
        source->has_given |= event->type != VRAMSCOPE_LAG;
        return event;
    }
    set_timer(source, player_wait_ns(player, now_ns));
    if (r < 0)
        return tell_end(source, why.text);
    if (player_ended(player) && !source->has_given && !source->has_told_end)
        return tell_end(source, "there is no document in the recording");
    return NULL;
}

static void source_hold(void *ctx, bool held)
{
    struct source *source = ctx;

    player_hold(source->play.player, held, clock_now_ns());
    set_timer(source, 1);
}

static void source_seek(void *ctx, int64_t by_ms)
{
    struct source *source = ctx;
    struct complaint why; // of a file that cannot seek: it goes on where it is

    if (player_seek(source->play.player, by_ms, clock_now_ns(), &why) == 0)
        source->has_told_end = false;
    set_timer(source, 1);
}

static void source_speed(void *ctx, double factor)
{
    struct source *source = ctx;

    player_speed(source->play.player, factor, clock_now_ns());
    set_timer(source, 1);
}

static int64_t source_unix_ms(void *ctx)
{
    const struct source *source = ctx;

    return player_unix_ms(source->play.player, clock_now_ns());
}

/* The last document stays, as of its own time: nobody was lost. */
static bool source_over(void *ctx)
{
    const struct source *source = ctx;

    return player_ended(source->play.player);
}

static int show(const struct cli *cli, struct source *source)
{
    struct tui_source tui = {
        .url = cli->operand,
        .ctx = source,
        .fd = source_fd,
        .timeout_ms = source_timeout_ms,
        .next = source_next,
        .hold = source_hold,
        .seek = source_seek,
        .speed = source_speed,
        .unix_ms = source_unix_ms,
        .over = source_over,
    };
    int status;

    source->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (source->timer_fd < 0) {
        cli_message("no timer can be made: %s", strerror(errno));
        return CLI_FAILED;
    }
    set_timer(source, 1);
    status = cli_show(cli, &tui, 1);
    (void)close(source->timer_fd);
    vramscope_detail_unref(source->detail);
    return status;
}

/* Keep what the entry holds, or else why there is nothing. */
static void keep(struct buf *last, struct buf *reason,
                 const struct recording_entry *entry)
{
    if (entry->kind == RECORDING_SKIPPED)
        return;
    buf_clear(reason);
    if (entry->kind == RECORDING_DETAIL)
        buf_clear(last);
    buf_add(entry->kind == RECORDING_DETAIL ? last : reason, entry->text.at,
            entry->text.len);
}

static int print_last(const struct cli *cli, struct play *play, const struct buf *last,
                      const struct buf *reason)
{
    struct recording_entry entry = {.kind = RECORDING_DETAIL, .text = buf_span(last)};
    const struct vramscope_detail *detail;

    if (reason->len)
        cli_message("%s: at its end: %.*s", cli->operand, (int)reason->len, reason->data);
    if (!last->len || last->error) {
        cli_message("%s: there is no document in it", cli->operand);
        return CLI_FAILED;
    }
    detail = play_decode(play, &entry);
    if (!detail)
        return CLI_FAILED; // told with the other faults
    cli_print_detail(cli->operand, detail);
    vramscope_detail_unref(detail);
    return CLI_OK;
}

/* The last document, whatever comes after it. */
static int print_once(const struct cli *cli, struct play *play)
{
    struct recording_entry entry;
    struct complaint why = {""};
    struct buf last, reason;
    int r, status;

    buf_init(&last, RECORDING_LINE_MAX);
    buf_init(&reason, RECORDING_LINE_MAX);
    while ((r = recording_next(play->recording, &entry, &why)) == 1)
        keep(&last, &reason, &entry);
    if (r < 0)
        cli_message("%s", why.text);
    status = print_last(cli, play, &last, &reason);
    buf_done(&last);
    buf_done(&reason);
    return r < 0 ? CLI_FAILED : status;
}

int cli_replay(const struct cli *cli)
{
    struct source source = {.timer_fd = -1};
    bool has_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    struct complaint why = {""};
    int status;

    if (play_open(&source.play, cli, &why) < 0) {
        cli_message("%s", why.text);
        status = CLI_FAILED;
    } else if (cli->listen) {
        status = cli_replay_serve(cli, &source.play);
    } else if (cli->once || !has_terminal) {
        status = print_once(cli, &source.play);
    } else {
        status = show(cli, &source);
    }
    if (source.play.recording)
        play_tell_faults(&source.play);
    play_close(&source.play);
    return status;
}
