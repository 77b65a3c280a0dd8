// SPDX-License-Identifier: Apache-2.0
/*
 * follow_events.c - print what libvramscope says of a daemon, an event a line, as JSON
 *
 * Usage: follow_events [OPTION VALUE]... URL
 *
 *     --stream seed|detail   --token T   --token-file F   --ca-file F   --last-id ID
 *     --event-max BYTES   --connect-timeout MS   --silence-timeout MS
 *     --undecoded 1       --once 1
 *     --events N          end after so many
 *     --seconds S         end after so long
 *     --loop wait|fd|timeout|slow   vramscope_wait(); the descriptor alone; no longer than
 *                         vramscope_timeout_ms(); one event each 100 ms
 *     --get PATH          one answer of vramscope_get()
 *
 * Only what the public header has is used. The last line has "end": how often
 * vramscope_process() was called, resident memory, open descriptors, threads.
 */
#include "vramscope.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct follower {
    const char *url;
    struct vramscope_options options;
    const char *loop;
    const char *get;
    long events, seconds;
    long processed;
    double began;
};

static const char *const types[] = {
    [VRAMSCOPE_CONNECTED] = "connected",   [VRAMSCOPE_SNAPSHOT] = "snapshot",
    [VRAMSCOPE_DETAIL] = "detail",         [VRAMSCOPE_LAG] = "lag",
    [VRAMSCOPE_NO_DATA] = "no_data",       [VRAMSCOPE_BYE] = "bye",
    [VRAMSCOPE_UNREADABLE] = "unreadable", [VRAMSCOPE_DISCONNECTED] = "disconnected",
    [VRAMSCOPE_OTHER] = "other",
};

static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void print(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);

    puts(text ? text : "{\"type\":\"not UTF-8\"}");
    (void)fflush(stdout);
    free(text);
    json_decref(object);
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        (void)json_object_set_new(object, key, json_string(text));
}

static void print_event(const struct follower *follower,
                        const struct vramscope_event *event)
{
    size_t shown = event->data_len > 200 ? 200 : event->data_len;
    json_t *object = json_pack(
        "{s:s, s:f, s:I, s:I, s:i, s:I, s:I}", "type", types[event->type], "at",
        now() - follower->began, "unix_ms", (json_int_t)event->unix_ms, "data_len",
        (json_int_t)event->data_len, "status", event->status, "retry_ms",
        (json_int_t)event->retry_ms, "skipped", (json_int_t)event->skipped);

    set_text(object, "name", event->name);
    set_text(object, "id", event->id);
    set_text(object, "reason", event->reason);
    set_text(object, "code", event->code);
    set_text(object, "remedy", event->remedy);
    (void)json_object_set_new(object, "data", json_stringn_nocheck(event->data, shown));
    (void)json_object_set_new(object, "ends",
                              json_boolean(event->data[event->data_len] == '\0'));
    if (event->snapshot)
        (void)json_object_set_new(object, "total",
                                  json_integer(event->snapshot->total_vram_bytes));
    if (event->detail)
        (void)json_object_set_new(object, "seq", json_integer(event->detail->seq));
    print(object);
}

static long status_field(const char *name)
{
    FILE *status = fopen("/proc/self/status", "re");
    size_t len = strlen(name);
    char line[256];
    long value = -1;

    while (status && fgets(line, sizeof(line), status))
        if (strncmp(line, name, len) == 0 && line[len] == ':')
            value = strtol(line + len + 1, NULL, 10);
    if (status)
        (void)fclose(status);
    return value;
}

static long count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    long n = -3; // ".", "..", and this one

    while (dir && readdir(dir))
        n++;
    if (dir)
        (void)closedir(dir);
    return n;
}

static void print_end(const struct follower *follower, const char *why)
{
    print(json_pack(
        "{s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:s}", "type", "end", "why", why, "at",
        now() - follower->began, "processed", (json_int_t)follower->processed, "rss_kib",
        (json_int_t)status_field("VmRSS"), "peak_kib", (json_int_t)status_field("VmHWM"),
        "descriptors", (json_int_t)count_descriptors(), "threads",
        (json_int_t)status_field("Threads"), "version", vramscope_version()));
}

static double time_left(const struct follower *follower)
{
    return follower->began + (double)follower->seconds - now();
}

static void poll_once(struct follower *follower, struct vramscope *scope)
{
    int most = (int)(time_left(follower) * 1000) + 1;
    int timeout = vramscope_timeout_ms(scope);
    struct pollfd fd = {vramscope_fd(scope), POLLIN, 0};

    if (strcmp(follower->loop, "timeout") != 0 || timeout < 0 || timeout > most)
        timeout = most;
    if (strcmp(follower->loop, "slow") == 0)
        (void)poll(NULL, 0, 100);
    (void)poll(&fd, 1, timeout);
    follower->processed++;
    (void)vramscope_process(scope);
}

static const struct vramscope_event *next_event(struct follower *follower,
                                                struct vramscope *scope)
{
    const struct vramscope_event *event;
    double left = time_left(follower);

    if (strcmp(follower->loop, "wait") == 0)
        return left > 0 ? vramscope_wait(scope, (int)(left * 1000) + 1) : NULL;
    for (;;) {
        event = vramscope_next(scope);
        if (event || time_left(follower) <= 0)
            return event;
        poll_once(follower, scope);
    }
}

static int follow(struct follower *follower)
{
    struct vramscope *scope;
    bool never = false;
    int r = vramscope_open(follower->url, &follower->options, &scope);

    if (r < 0) {
        (void)fprintf(stderr, "vramscope_open: %s\n", strerror(-r));
        return 2;
    }
    errno = 0;
    while (follower->events != 0 && !never) {
        const struct vramscope_event *event = next_event(follower, scope);

        if (!event)
            break;
        print_event(follower, event);
        never = strcmp(follower->loop, "wait") != 0 && event->retry_ms < 0;
        if (follower->events > 0)
            follower->events--;
    }
    print_end(follower, never || errno == ENOTCONN ? "never" : "time");
    vramscope_close(scope);
    return 0;
}

static int get(const struct follower *follower)
{
    struct vramscope_answer *answer;
    char why[256] = "";
    int r = vramscope_get(follower->url, &follower->options, follower->get,
                          (int)follower->seconds * 1000, &answer, why, sizeof(why));

    if (r < 0) {
        print(json_pack("{s:s, s:s, s:f}", "error", strerrorname_np(-r), "why", why, "at",
                        now() - follower->began));
        return 0;
    }
    print(json_pack("{s:i, s:s, s:I, s:s%}", "status", answer->status, "type",
                    answer->type, "len", (json_int_t)answer->body_len, "body",
                    answer->body,
                    answer->body_len > 500 ? (size_t)500 : answer->body_len));
    vramscope_answer_free(answer);
    return 0;
}

static bool set_option(struct follower *follower, const char *name, const char *value)
{
    struct vramscope_options *options = &follower->options;
    const struct {
        const char *name;
        const char **text;
        long *number;
        int *ms;
        bool *on;
    } all[] = {
        {"--token", &options->token, NULL, NULL, NULL},
        {"--token-file", &options->token_file, NULL, NULL, NULL},
        {"--ca-file", &options->ca_file, NULL, NULL, NULL},
        {"--last-id", &options->last_event_id, NULL, NULL, NULL},
        {"--loop", &follower->loop, NULL, NULL, NULL},
        {"--get", &follower->get, NULL, NULL, NULL},
        {"--events", NULL, &follower->events, NULL, NULL},
        {"--seconds", NULL, &follower->seconds, NULL, NULL},
        {"--connect-timeout", NULL, NULL, &options->connect_timeout_ms, NULL},
        {"--silence-timeout", NULL, NULL, &options->silence_timeout_ms, NULL},
        {"--undecoded", NULL, NULL, NULL, &options->undecoded},
        {"--once", NULL, NULL, NULL, &options->once},
    };

    if (strcmp(name, "--stream") == 0)
        options->stream = strcmp(value, "detail") == 0 ? VRAMSCOPE_STREAM_DETAIL
                                                       : VRAMSCOPE_STREAM_SEED;
    else if (strcmp(name, "--event-max") == 0)
        options->event_max = (size_t)strtol(value, NULL, 10);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(name, all[i].name) != 0)
            continue;
        if (all[i].text)
            *all[i].text = value;
        else if (all[i].number)
            *all[i].number = strtol(value, NULL, 10);
        else if (all[i].ms)
            *all[i].ms = (int)strtol(value, NULL, 10);
        else
            *all[i].on = *value == '1';
        return true;
    }
    return strcmp(name, "--stream") == 0 || strcmp(name, "--event-max") == 0;
}

int main(int argc, char **argv)
{
    struct follower follower = {.options = {.size = sizeof(follower.options)},
                                .loop = "wait",
                                .events = -1,
                                .seconds = 30,
                                .began = now()};

    for (int i = 1; i + 1 < argc; i += 2)
        if (!set_option(&follower, argv[i], argv[i + 1]))
            return 2;
    if (argc % 2 != 0)
        return 2;
    follower.url = argv[argc - 1];
    return follower.get ? get(&follower) : follow(&follower);
}
