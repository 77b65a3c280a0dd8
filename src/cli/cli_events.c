// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_feed.h"
#include "cli/cli_get.h"
#include "cli/cli_json.h"
#include "cli/cli_output.h"
#include "tui/host.h"

/* Changes of several daemons, worked out here from their documents. */
struct watch {
    const struct cli *cli;
    struct host *hosts[CLI_URLS_MAX];
    uint32_t told[CLI_URLS_MAX]; // its next_change when all were told
    int64_t n_told;
};

static const char *kind_name(enum change_kind kind)
{
    static const char *const names[] = {
        [CHANGE_CONNECTION] = "connection",
        [CHANGE_APPEARED] = "appeared",
        [CHANGE_VANISHED] = "vanished",
        [CHANGE_STATE] = "state",
        [CHANGE_RESTARTED] = "restarted",
        [CHANGE_STALE] = "stale",
        [CHANGE_PREEMPTED] = "preempted",
        [CHANGE_ORPHAN] = "orphan",
        [CHANGE_DEVICE] = "device",
        [CHANGE_KV_HIGH] = "kv-high",
        [CHANGE_LAG] = "lag",
    };

    return (size_t)kind < ARRAY_LEN(names) && names[kind] ? names[kind] : "other";
}

static int print_change(const struct watch *watch, const struct host *host,
                        const struct change *change)
{
    char when[CLI_TIME_SIZE];

    if (watch->cli->json)
        return cli_print_value(json_pack(
            "{s:o,s:o,s:s,s:b,s:o}", "unix_ms", cli_json_number(change->unix_ms), "host",
            cli_json_text(host->name), "kind", kind_name(change->kind), "bad",
            (int)change->bad, "text", cli_json_text(change->text)));
    cli_time_text(when, change->unix_ms);
    cli_print("%s %s%s%-10s %s", when, watch->cli->n_urls > 1 ? host->name : "",
              watch->cli->n_urls > 1 ? " " : "", kind_name(change->kind), change->text);
    return 0;
}

/* 1: as many as were asked for have been told. */
static int print_changes(struct watch *watch, size_t which)
{
    const struct host *host = watch->hosts[which];
    uint32_t left =
        (host->next_change + HOST_CHANGES_MAX - watch->told[which]) % HOST_CHANGES_MAX;

    watch->told[which] = host->next_change;
    while (left-- > 0) {
        int r = print_change(watch, host, host_change(host, left));

        if (r < 0)
            return r;
        if (++watch->n_told == watch->cli->count)
            return 1;
    }
    return 0;
}

static int watch_feed(struct watch *watch, struct feed *feed)
{
    while (cli_flush() == 0) {
        size_t which;
        const struct vramscope_event *event = feed_wait(feed, -1, &which);
        int r;

        if (!event)
            return errno == EINTR ? CLI_OK : CLI_FAILED;
        if (event->type == VRAMSCOPE_DISCONNECTED || event->type == VRAMSCOPE_NO_DATA)
            feed_tell(feed, which, event); // with the remedy
        r = host_take(watch->hosts[which], event);
        if (r < 0 && r != -ENOMEM) // for want of memory its history alone is not kept
            return CLI_FAILED;
        r = print_changes(watch, which);
        if (r != 0)
            return r < 0 ? CLI_FAILED : CLI_OK;
    }
    return CLI_FAILED;
}

static int watch_daemons(const struct cli *cli)
{
    struct watch watch = {.cli = cli};
    struct vramscope_options options = cli_connection(cli);
    struct complaint why = {"out of memory"};
    struct feed *feed = NULL;
    int r = 0, status = CLI_FAILED;

    for (size_t i = 0; i < cli->n_urls && r == 0; i++)
        r = tui_host_new(cli->urls[i], &watch.hosts[i]);
    if (r == 0)
        r = feed_open(cli, &options, &feed, &why);
    if (r < 0)
        cli_message("%s", why.text);
    else
        status = watch_feed(&watch, feed);
    feed_close(feed);
    for (size_t i = 0; i < cli->n_urls; i++)
        tui_host_free(watch.hosts[i]);
    return status;
}

int cli_events(const struct cli *cli)
{
    int status = CLI_OK;

    for (size_t i = 0; i < cli->n_urls; i++) {
        struct vramscope_answer *answer;
        int r = cli_get(cli, cli->urls[i], "/v1/events", &answer);

        if (r < 0 || answer->status == 404) {
            vramscope_answer_free(r < 0 ? NULL : answer);
            if (r < 0)
                return CLI_FAILED;
            cli_message("%s keeps no events: printing what changes from now on",
                        cli->urls[i]);
            return watch_daemons(cli);
        }
        status = MAX(status, cli_print_items(cli, cli->urls[i], "events", answer));
        vramscope_answer_free(answer);
    }
    return status;
}
