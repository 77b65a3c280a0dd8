// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_feed.h"
#include "cli/cli_get.h"
#include "cli/cli_json.h"
#include "cli/cli_output.h"
#include "tui/told_events.h"

#include <inttypes.h>
#include <stdio.h>

/* What was told of one daemon. */
struct telling {
    const char *url;
    struct span host;
    struct told_events told;
    bool keeps_none;          // but what its documents tell
    int64_t last_id, last_ms; // of the newest of its last document; VRAMSCOPE_UNKNOWN
    char boot[64];            // of that document
};

struct watch {
    const struct cli *cli;
    struct telling tellings[CLI_URLS_MAX];
    int64_t left; // to be told; negative: without end
};

/* VRAMSCOPE_UNKNOWN where it is no whole number. */
static int64_t number_of(const json_t *event, const char *key)
{
    const json_t *number = json_object_get(event, key);

    return json_is_integer(number) ? json_integer_value(number) : VRAMSCOPE_UNKNOWN;
}

static int print_event(const struct watch *watch, const struct telling *telling,
                       json_t *event)
{
    const char *text = cli_text_of(event, "text"), *node = cli_text_of(event, "node");
    bool with_host = watch->cli->n_urls > 1;
    bool with_node = *node && !strstr(text, node); // where it does not tell it itself
    char when[CLI_TIME_SIZE], host[256];

    (void)snprintf(host, sizeof(host), "%.*s", (int)telling->host.len, telling->host.at);
    if (watch->cli->json || !*text) {
        if (json_object_set_new(event, "host", cli_json_text(host)) < 0)
            return -ENOMEM;
        return cli_print_value(json_incref(event));
    }
    cli_time_text(when, number_of(event, "unix_ms"));
    cli_print("%s %s%s%-8s %-19s %s%s%s", when, with_host ? host : "",
              with_host ? " " : "", cli_text_of(event, "severity"),
              cli_text_of(event, "kind"), with_node ? node : "", with_node ? ": " : "",
              text);
    return 0;
}

/*
 * What happened on the node that was asked for: of what it keeps a gateway tells that alone,
 * its documents have all.
 */
static bool is_meant(const struct watch *watch, const json_t *event)
{
    return !watch->cli->node || strcmp(cli_text_of(event, "node"), watch->cli->node) == 0;
}

/*
 * Those of a list that have not been told; of more than are wanted in all the newest. 1:
 * none is wanted any more.
 */
static int print_list(struct watch *watch, struct telling *telling, const json_t *list)
{
    size_t n = json_array_size(list), i = 0;

    if (watch->cli->node) {
        i = n;
        for (size_t wanted = 0; i > 0; i--) {
            wanted += is_meant(watch, json_array_get(list, i - 1));
            if (watch->left >= 0 && wanted > (uint64_t)watch->left)
                break;
        }
    } else if (watch->left >= 0 && (uint64_t)watch->left < n)
        i = n - (size_t)watch->left;
    for (; i < n && watch->left != 0; i++) {
        json_t *event = json_array_get(list, i);

        if (!json_is_object(event) || !is_meant(watch, event) ||
            !told_events_add(&telling->told, number_of(event, "id"),
                             number_of(event, "unix_ms")))
            continue;
        if (print_event(watch, telling, event) < 0)
            return -ENOMEM;
        watch->left -= watch->left > 0;
    }
    return watch->left == 0;
}

/* What the daemon keeps, from after that id on. A negative errno: it was told why not. */
static int print_kept(struct watch *watch, struct telling *telling, int64_t after)
{
    struct vramscope_answer *answer;
    json_t *object = NULL;
    char path[64], source[CLI_SOURCE_SIZE];
    int r;

    (void)snprintf(path, sizeof(path), "/v1/events?after=%" PRId64, after);
    cli_source_name(source, watch->cli, telling->url);
    r = cli_get(watch->cli, telling->url, path, &answer);
    if (r < 0)
        return r;
    telling->keeps_none = answer->status == 404 && !watch->cli->node;
    if (telling->keeps_none)
        cli_message("%s keeps no events: it is of an older version", telling->url);
    else
        object = cli_take_object(source, answer);
    r = object ? print_list(watch, telling, json_object_get(object, "events")) : -EPROTO;
    json_decref(object);
    vramscope_answer_free(answer);
    return r;
}

/* The newest id of this run of the daemon that is known; 0: none is. */
static int64_t newest_known(const struct telling *telling, const char *boot)
{
    bool is_same_run = telling->last_id >= 0 && boot && strcmp(telling->boot, boot) == 0;

    return is_same_run ? telling->last_id : 0;
}

/*
 * A document tells the newest alone: what it does not tell and was not told before is asked
 * for, and left out where the daemon does not answer.
 */
static int print_missed(struct watch *watch, struct telling *telling,
                        const struct vramscope_detail *detail)
{
    int64_t first = detail->events[0]->id, known = newest_known(telling, detail->boot);
    int r;

    if (telling->keeps_none || first < 0 || first - 1 <= known)
        return 0;
    r = print_kept(watch, telling, known);
    return r == -ENOMEM ? r : MAX(r, 0);
}

static int print_document(struct watch *watch, struct telling *telling,
                          const struct vramscope_event *event)
{
    const struct vramscope_answer body = {.body = event->data,
                                          .body_len = event->data_len};
    json_t *object = cli_answer_json(&body);
    int r = print_list(watch, telling, json_object_get(object, "events"));

    json_decref(object);
    return r;
}

/* 1: as many as were asked for have been told. */
static int take_document(struct watch *watch, struct telling *telling,
                         const struct vramscope_event *event)
{
    const struct vramscope_detail *detail = event->detail;
    const struct vramscope_host_event *newest;
    int r;

    if (detail->n_events == 0)
        return 0;
    newest = detail->events[detail->n_events - 1];
    if (newest->id == telling->last_id && newest->unix_ms == telling->last_ms)
        return 0;
    r = print_missed(watch, telling, detail);
    if (r == 0)
        r = print_document(watch, telling, event);
    telling->last_id = newest->id;
    telling->last_ms = newest->unix_ms;
    (void)snprintf(telling->boot, sizeof(telling->boot), "%s",
                   detail->boot ? detail->boot : "");
    return r;
}

static int watch_feed(struct watch *watch, struct feed *feed)
{
    while (cli_flush() == 0) {
        size_t which;
        const struct vramscope_event *event = feed_wait(feed, -1, &which);
        int r;

        if (!event)
            return errno == EINTR ? CLI_OK : CLI_FAILED;
        feed_tell(feed, which, event);
        if (event->type != VRAMSCOPE_DETAIL)
            continue;
        if (!event->detail->tells_events) {
            cli_message("%s tells no events: it is of an older version",
                        watch->tellings[which].url);
            feed_drop(feed, which);
            continue;
        }
        r = take_document(watch, &watch->tellings[which], event);
        if (r != 0)
            return r < 0 ? CLI_FAILED : CLI_OK;
    }
    return CLI_FAILED;
}

static int follow(struct watch *watch)
{
    struct vramscope_options options = cli_connection(watch->cli); // of all nodes
    struct complaint why = {""};
    struct feed *feed;
    int status;

    if (feed_open(watch->cli, &options, &feed, &why) < 0) {
        cli_message("%s", why.text);
        return CLI_FAILED;
    }
    status = watch_feed(watch, feed);
    feed_close(feed);
    return status;
}

static int run(struct watch *watch)
{
    const struct cli *cli = watch->cli;
    int status = CLI_OK;

    for (size_t i = 0; i < cli->n_urls; i++) {
        struct telling *telling = &watch->tellings[i];
        int r;

        telling->url = cli->urls[i];
        telling->host = cli_host_name(cli->urls[i]);
        telling->last_id = telling->last_ms = VRAMSCOPE_UNKNOWN;
        r = print_kept(watch, telling, 0);
        if (r > 0 || r == -ENOMEM)
            return r > 0 ? status : CLI_FAILED;
        if (r < 0)
            status = CLI_FAILED;
    }
    return cli->follow ? follow(watch) : status;
}

int cli_events(const struct cli *cli)
{
    struct watch *watch = calloc(1, sizeof(*watch)); // half a MiB
    int status;

    if (!watch) {
        cli_message("out of memory");
        return CLI_FAILED;
    }
    watch->cli = cli;
    watch->left = cli->count > 0 ? cli->count : -1;
    status = run(watch);
    free(watch);
    return status;
}
