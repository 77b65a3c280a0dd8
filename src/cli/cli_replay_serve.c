// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "base/number.h"
#include "base/text.h"
#include "cli/cli_output.h"
#include "cli/cli_play.h"
#include "cli/cli_replay_snapshot.h"
#include "serve/board.h"
#include "serve/service.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

enum {
    URL_MAX = 160,
    BOOT_SIZE = 65,
    ENTRIES_AT_ONCE = 64, // then others have their turn
    INTERVAL_MS = 500,    // where the recording does not say
    INTERVAL_MAX_MS = 60 * 1000,
    DRAIN_MS = 2000,
    DESCRIPTORS = 1024,
    SIGNALS = 2,
};

/* A recording in the place of a daemon, on one loop. */
struct server {
    const struct cli *cli;
    struct play *play;
    uv_loop_t loop;
    uv_timer_t due, drain;
    uv_signal_t signals[SIGNALS];
    struct gate *gate;
    struct service *service;
    struct snapshot_pool *snapshots;
    struct buf document; // published last
    char boot[BOOT_SIZE];
    uint64_t seq;
    bool draining;
    int status;
};

/* The document of the snapshot published last, which is the only one ever asked for. */
static void write_document(void *ctx, struct buf *out, const struct snapshot *snapshot)
{
    const struct server *server = ctx;

    (void)snapshot;
    buf_add(out, server->document.data, server->document.len);
}

static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z'))
            return false;
    }
    return text.len > 0;
}

/* "BOOT-SEQ", in the form in which it is sent again. */
static int split_id(struct span id, struct span *ret_boot, uint64_t *ret_seq)
{
    const char *dash = id.len ? memrchr(id.at, '-', id.len) : NULL;
    struct span seq;

    if (!dash)
        return -EINVAL;
    *ret_boot = (struct span){id.at, (size_t)(dash - id.at)};
    seq = (struct span){dash + 1, id.len - ret_boot->len - 1};
    if (ret_boot->len >= BOOT_SIZE || !is_plain(*ret_boot))
        return -EINVAL;
    if (seq.len > 1 && seq.at[0] == '0')
        return -EINVAL;
    return number_read_u64(seq, UINT64_MAX - 1, ret_seq);
}

/* The id under which a document goes out: that of its event, or else what it says itself. */
static int read_id(const struct recording_entry *entry,
                   const struct vramscope_detail *detail, struct span *ret_boot,
                   uint64_t *ret_seq)
{
    struct span boot = detail->boot ? span_of(detail->boot) : (struct span){"", 0};

    if (entry->id.len)
        return split_id(entry->id, ret_boot, ret_seq);
    if (detail->seq < 0 || boot.len >= BOOT_SIZE || !is_plain(boot))
        return -EINVAL;
    *ret_boot = boot;
    *ret_seq = (uint64_t)detail->seq;
    return 0;
}

/* Another run of the daemon, or the same one again: what is kept for readers who come back
 * is of no use to them any more. */
static void take_id(struct server *server, struct span boot, uint64_t seq)
{
    if (!span_is(boot, server->boot) || seq <= server->seq) {
        memcpy(server->boot, boot.at, boot.len);
        server->boot[boot.len] = '\0';
        service_begin_anew(server->service);
    }
    server->seq = seq;
}

static void set_times(struct snapshot *snapshot, const struct vramscope_detail *detail,
                      uint64_t seq)
{
    snapshot->seq = seq;
    snapshot->taken_ns = clock_now_ns();
    if (detail->gpu_age_ms >= 0)
        snapshot->gpu_taken_ns =
            snapshot->taken_ns -
            MIN((uint64_t)detail->gpu_age_ms, snapshot->taken_ns / NS_PER_MS - 1) *
                NS_PER_MS;
}

static void publish_outage(struct server *server, const char *code, struct span reason)
{
    char text[OUTAGE_TEXT_SIZE];
    struct outage outage = {code, text, ""};

    (void)text_clean(text, sizeof(text), reason);
    if (service_publish_outage(server->service, &outage, NULL) < 0)
        cli_message("out of memory: an outage is not told");
}

/* What is asked for from now on. -ENOMEM: nothing is, as the one before is gone. */
static int take_document(struct server *server, struct span document)
{
    buf_clear(&server->document);
    buf_add(&server->document, document.at, document.len);
    if (server->document.error)
        publish_outage(server, "failed", span_of("out of memory"));
    return server->document.error;
}

/* A gateway's document without figures is shown, and taken for none elsewhere. */
static int put_out(struct server *server, const struct snapshot *snapshot,
                   const struct vramscope_outage *said)
{
    char texts[3][OUTAGE_TEXT_SIZE];
    const char *words[3] = {"", "", ""};
    const struct outage outage = {texts[0], texts[1], texts[2]};

    if (!said)
        return service_publish(server->service, snapshot);
    words[0] = said->code;
    words[1] = said->message;
    words[2] = said->remedy;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        (void)text_clean(texts[i], sizeof(texts[i]), span_of(words[i] ? words[i] : ""));
    return service_publish_outage(server->service, &outage, snapshot);
}

static int publish(struct server *server, const struct recording_entry *entry,
                   const struct vramscope_detail *detail, struct complaint *why)
{
    struct snapshot *snapshot = snapshot_new(server->snapshots);
    struct span boot = {NULL, 0};
    uint64_t seq = 0;
    int r;

    if (!snapshot)
        return complain(why, -ENOMEM, "out of memory");
    r = replay_snapshot_fill(snapshot, detail, why);
    if (r == 0 && read_id(entry, detail, &boot, &seq) < 0)
        r = complain(why, -EBADMSG, "its \"id\" is not that of a daemon's event");
    if (r == 0) {
        take_id(server, boot, seq);
        set_times(snapshot, detail, seq);
        r = take_document(server, entry->text);
        if (r == 0)
            r = put_out(server, snapshot, detail->outage);
        if (r < 0)
            (void)complain(why, r, "it cannot be served: %s", strerror(-r));
    }
    snapshot_unref(snapshot);
    return r;
}

static void publish_document(struct server *server, const struct recording_entry *entry)
{
    const struct vramscope_detail *detail = play_decode(server->play, entry);
    struct complaint why = {""};

    if (detail && publish(server, entry, detail, &why) < 0)
        recording_refuse(server->play->recording, why.text);
    vramscope_detail_unref(detail);
}

static void take_entry(struct server *server, const struct recording_entry *entry)
{
    switch (entry->kind) {
    case RECORDING_DETAIL:
        publish_document(server, entry);
        break;
    case RECORDING_NO_DATA:
        publish_outage(server, "no-data", entry->text);
        break;
    case RECORDING_DISCONNECTED:
        publish_outage(server, "disconnected", entry->text);
        break;
    case RECORDING_SKIPPED: // our own readers are told what they miss
        break;
    }
}

static void on_drained(void *ctx)
{
    struct server *server = ctx;

    uv_stop(&server->loop);
}

static void on_drain_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void drain(struct server *server)
{
    if (server->draining)
        return;
    server->draining = true;
    (void)uv_timer_stop(&server->due);
    (void)uv_timer_start(&server->drain, on_drain_over, DRAIN_MS, 0);
    service_drain(server->service, on_drained, server);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct server *server = signal->data;

    (void)number;
    if (server->draining)
        uv_stop(&server->loop);
    else
        drain(server);
}

/* Everything that is due, then sleep until the next is. */
static void on_due(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct player *player = server->play->player;
    uint64_t now_ns = clock_now_ns(), wait_ns = 0;
    struct recording_entry entry;
    struct complaint why = {""};
    int r = 1;

    for (int i = 0; i < ENTRIES_AT_ONCE && r == 1; i++) {
        r = player_next(player, now_ns, &entry, &why);
        if (r == 1)
            take_entry(server, &entry);
        play_tell_fault(server->play);
    }
    if (r < 0) {
        cli_message("%s", why.text);
        server->status = CLI_FAILED;
    }
    if (r < 0 || (r == 0 && player_ended(player))) {
        drain(server);
        return;
    }
    if (r == 0)
        wait_ns = player_wait_ns(player, now_ns);
    uv_update_time(timer->loop);
    (void)uv_timer_start(timer, on_due, (wait_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
}

/* From one document to the next as they are played: what is older than three is stale. */
static uint64_t find_interval_ms(struct play *play, double speed)
{
    struct recording_entry entry = {.kind = RECORDING_SKIPPED};
    const struct vramscope_detail *detail = NULL;
    struct complaint why;
    int64_t interval_ms = INTERVAL_MS;

    if (recording_rewind(play->recording, &why) < 0)
        return (uint64_t)ceil(INTERVAL_MS / speed); // a pipe is not looked into
    while (recording_next(play->recording, &entry, &why) == 1)
        if (entry.kind == RECORDING_DETAIL)
            break;
    if (entry.kind == RECORDING_DETAIL &&
        vramscope_detail_parse(entry.text.at, entry.text.len, &detail, NULL, 0) == 0 &&
        detail->interval_ms > 0 && detail->interval_ms <= INTERVAL_MAX_MS)
        interval_ms = detail->interval_ms;
    vramscope_detail_unref(detail);
    (void)!recording_rewind(play->recording, &why); // it could before
    return (uint64_t)ceil((double)interval_ms / speed);
}

/* As many as clients may need, where more are allowed. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS)
        return;
    limit.rlim_cur = MIN((rlim_t)DESCRIPTORS, limit.rlim_max);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int listen_on(struct server *server, struct complaint *why)
{
    const char *address = server->cli->listen;
    char url[URL_MAX];
    int r = service_listen(server->service, address, url, sizeof(url), why);

    if (r == -EACCES && !server->cli->allow_public)
        return complain(why, r,
                        "will not listen on %s: anyone who reaches that address could "
                        "read the recording; use a loopback address, or add "
                        "--allow-public",
                        address);
    if (r < 0)
        return r;
    gate_listens_on(server->gate, address);
    gate_listens_on(server->gate, url);
    r = service_start(server->service);
    if (r < 0)
        return complain(why, r, "%s", strerror(-r));
    cli_message("listening on %s", url);
    return 0;
}

static int open_signals(struct server *server)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT};
    int r = 0;

    for (size_t i = 0; r == 0 && i < SIGNALS; i++) {
        r = uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
        if (r == 0)
            r = uv_signal_start(&server->signals[i], on_signal, numbers[i]);
    }
    return r;
}

static int open_server(struct server *server, struct complaint *why)
{
    const struct gate_options gate = {.n_hosts = 0};
    const struct board_documents documents = {
        .write = write_document, .ctx = server, .boot = server->boot};
    struct service_options options = {
        .loop = &server->loop,
        .allow_public = server->cli->allow_public,
        .model_id = (enum seed_model_id)server->cli->model_id,
        .documents = &documents,
        .fleet = true, // it may be a gateway's
        .interval_ms = find_interval_ms(server->play, server->cli->speed),
        .now_ns = clock_now_ns,
    };
    int r = gate_new(&gate, &server->gate);

    options.gate = server->gate;
    if (r == 0)
        r = snapshot_pool_new(&server->snapshots);
    if (r == 0)
        r = open_signals(server);
    if (r == 0)
        r = service_new(&options, &server->service);
    return r < 0 ? complain(why, r, "%s", strerror(-r)) : listen_on(server, why);
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_server(struct server *server)
{
    if (server->service)
        service_close(server->service);
    uv_walk(&server->loop, close_handle, NULL); // what is left: signals and timers
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    service_free(server->service);
    gate_free(server->gate);
    snapshot_pool_free(server->snapshots);
    buf_done(&server->document);
    (void)uv_loop_close(&server->loop);
}

int cli_replay_serve(const struct cli *cli, struct play *play)
{
    struct server server = {.cli = cli, .play = play, .status = CLI_OK};
    struct complaint why = {""};
    int r = uv_loop_init(&server.loop);

    if (r < 0) {
        cli_message("%s", uv_strerror(r));
        return CLI_FAILED;
    }
    raise_descriptors();
    buf_init(&server.document, RECORDING_LINE_MAX);
    (void)uv_timer_init(&server.loop, &server.due);
    (void)uv_timer_init(&server.loop, &server.drain);
    server.due.data = &server;
    if (open_server(&server, &why) == 0) {
        (void)uv_timer_start(&server.due, on_due, 0, 0);
        (void)uv_run(&server.loop, UV_RUN_DEFAULT);
    } else {
        cli_message("%s", why.text);
        server.status = CLI_FAILED;
    }
    close_server(&server);
    return server.status;
}
