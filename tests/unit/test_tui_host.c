// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "tui/host.h"
#include "tui_document.h"

#define START INT64_C(1700000000000)

static const struct {
    const char *url, *name;
} names[] = {
    {"http://a1:6767", "a1:6767"},
    {"http://a1:6767/", "a1:6767"},
    {"https://gpu.example.org", "gpu.example.org"},
    {"https://user:secret@a1:6767/v1?token=x", "a1:6767"},
    {"http://user:p@ss@a1", "a1"},
    {"http://a1/mail@example.org", "a1"},
    {"http://[::1]:6767#x", "[::1]:6767"},
    {"http://", ""},
    {"unix:/run/vramscope.sock", "/run/vramscope.sock"},
    {"unix:", ""},
    {"/home/x/night.jsonl.gz", "night.jsonl.gz"},
    {"night.jsonl", "night.jsonl"},
    {"dir/", "dir/"},
    {"", ""},
    {"http://"
     "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "01234567890123456789:80",
     "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "012345678901234"},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char name[HOST_NAME_SIZE];

        host_name(names[i].url, name);
        if (strcmp(name, names[i].name) != 0)
            fail_msg("[%s] %s", names[i].url, name);
    }
}

/* Models and devices of a document, in few words. */
#define MODEL(name, port, state, rest)                                           \
    "{'model':'" name "','model_id':'" name "','port':" #port ",'state':'" state \
    "'" rest "}"
#define A(state, rest) MODEL("a", 8000, state, rest)
#define MODELS(list) "'models':[" list "]"
#define DEVICE(index, used)                                 \
    "{'backend':'nvml','index':" #index ",'uuid':'u" #index \
    "','name':'H100','used_bytes':" used "}"
#define DEVICES(list) "'devices':[" list "]"
#define ORPHAN(bytes) "'vram':{'orphan_bytes':" #bytes "}"

/* An event, so many seconds after the story's start. */
#define OUTAGE(why) "'fleet':{},'outage':{'message':'" why "','remedy':'look'}"
#define EVENTS(list) "'events':[" list "]"
#define E(id, at, severity, text)                                              \
    "{'id':" #id ",'unix_ms':1700000000000+" #at ",'severity':'" severity "'," \
    "'text':'" text "'}"

enum { FRESH = 1 }; // the story begins anew with this line

#define DOC VRAMSCOPE_DETAIL

/* One event each, and what is told of it. */
static const struct {
    const char *row;
    unsigned flags;
    double at_s;
    enum vramscope_event_type type;
    const char *text; // the body of a document, or a reason
    int64_t number;   // `skipped`, `retry_ms`
    const char *told;
    enum host_state state;
} story[] = {
    {"the stream begins", FRESH, 0, VRAMSCOPE_CONNECTED, NULL, 0, "connected", HOST_LIVE},
    {"once", 0, 1, VRAMSCOPE_CONNECTED, NULL, 0, "", HOST_LIVE},
    {"it breaks", 0, 2, VRAMSCOPE_DISCONNECTED, "reset", 500, "!connection lost: reset",
     HOST_LOST},
    {"an attempt is no edge", 0, 3, VRAMSCOPE_DISCONNECTED, "refused", 1000, "",
     HOST_LOST},
    {"it is back", 0, 39, VRAMSCOPE_CONNECTED, NULL, 0, "connected again after 37 s",
     HOST_LIVE},
    {"no data", 0, 40, VRAMSCOPE_NO_DATA, "no driver", 0, "!no data: no driver",
     HOST_NO_DATA},
    {"still none", 0, 41, VRAMSCOPE_NO_DATA, "no library", 0, "", HOST_NO_DATA},
    {"a first document", 0, 42, DOC, MODELS(A("ready", "")), 0,
     "data is back after 2.0 s", HOST_LIVE},
    {"a gateway's nodes are all lost", 0, 42.1, DOC, OUTAGE("none of 3"), 0,
     "!no data: none of 3", HOST_NO_DATA},
    {"still", 0, 42.2, DOC, OUTAGE("none of 4"), 0, "", HOST_NO_DATA},
    {"then it says no more", 0, 42.3, VRAMSCOPE_NO_DATA, "no node", 0, "", HOST_NO_DATA},
    {"one is back", 0, 42.4, DOC, MODELS(A("ready", "")), 0, "data is back after 0.3 s",
     HOST_LIVE},
    {"the daemon ends", 0, 43, VRAMSCOPE_BYE, NULL, 0, "!the daemon has ended",
     HOST_LOST},
    {"which was told", 0, 43, VRAMSCOPE_DISCONNECTED, "closed", 2000, "", HOST_LOST},
    {"and never again", 0, 45, VRAMSCOPE_DISCONNECTED, "204", -1,
     "!connection lost, and not tried again: 204", HOST_GONE},

    {"never there", FRESH, 0, VRAMSCOPE_DISCONNECTED, "refused", 500,
     "!no connection: refused", HOST_LOST},
    {"nor then", 0, 1, VRAMSCOPE_DISCONNECTED, "refused", 500, "", HOST_LOST},
    {"then it is", 0, 2, VRAMSCOPE_CONNECTED, NULL, 0, "connected", HOST_LIVE},
    {"no reason is given", 0, 3, VRAMSCOPE_DISCONNECTED, NULL, 0,
     "!connection lost: ", HOST_LOST},

    {"a recording begins in the middle", FRESH, 0, DOC, MODELS(A("ready", "")), 0,
     "connected", HOST_LIVE},
    {"models come and go: who tells of it is the daemon", 0, 0.5, DOC,
     MODELS(MODEL("b", 0, "loading", "")), 0, "", HOST_LIVE},
    {"so with devices, preemptions and orphans", 0, 1, DOC,
     DEVICES(DEVICE(0, "null")) "," ORPHAN(5368709120) "," MODELS(
         A("unreachable", ",'pid':9,'stale':true,'requests':{'preemptions':7}")),
     0, "", HOST_LIVE},

    {"a daemon that tells events", FRESH, 10, DOC, EVENTS(E(1, 3, "info", "one")), 0,
     "one|connected", HOST_LIVE},
    {"the same", 0, 11, DOC, EVENTS(E(1, 3, "info", "one")), 0, "", HOST_LIVE},
    {"one more", 0, 12, DOC,
     EVENTS(E(1, 3, "info", "one") "," E(2, 11.5, "warning", "two")), 0, "!two",
     HOST_LIVE},
    {"several, and the older are left out", 0, 13, DOC,
     EVENTS(E(4, 12.5, "critical", "four") "," E(5, 12.5, "odd", "five")), 0,
     "!!four|five", HOST_LIVE},
    {"it breaks", 0, 14, VRAMSCOPE_DISCONNECTED, "reset", 500, "!connection lost: reset",
     HOST_LOST},
    {"what was missed is told, by its own time", 0, 20, DOC,
     EVENTS(E(5, 12.5, "odd", "five") "," E(6, 13.5, "info", "six") "," E(7, 15, "info",
                                                                          "seven")),
     0, "six|seven|connected again after 6.0 s", HOST_LIVE},
    {"none any more", 0, 21, DOC, EVENTS(""), 0, "", HOST_LIVE},
    {"again what was told long ago", 0, 22, DOC, EVENTS(E(1, 3, "info", "one")), 0, "",
     HOST_LIVE},
    {"no text", 0, 23, DOC, "'events':[{'id':8,'kind':'gpu_lost'}]", 0, "gpu_lost",
     HOST_LIVE},
    {"nothing happens after its document", 0, 24, DOC, EVENTS(E(9, 9000, "info", "nine")),
     0, "nine", HOST_LIVE},
    {"nor was it that", 0, 25, DOC, EVENTS(E(10, 24.5, "info", "ten")), 0, "ten",
     HOST_LIVE},

    {"one daemon", FRESH, 0, DOC, "'boot':'b','version':'1'", 0, "connected", HOST_LIVE},
    {"another", 0, 1, DOC, "'boot':'c','version':'1'", 0, "the daemon was restarted",
     HOST_LIVE},
    {"a newer", 0, 2, DOC, "'boot':'d','version':'2'", 0,
     "the daemon was restarted: version 1 -> 2", HOST_LIVE},
    {"none is named", 0, 3, DOC, "'version':'2'", 0, "", HOST_LIVE},

#define BOOT(name, n, events) "'boot':'" name "','seq':" #n "," EVENTS(events)
    {"a daemon without a history", FRESH, 10, DOC,
     BOOT("b", 1, E(1, 8, "info", "one") "," E(2, 9, "info", "two")), 0,
     "one|two|connected", HOST_LIVE},
    {"begins its ids anew", 0, 20, DOC, BOOT("c", 1, E(1, 15, "info", "new one")), 0,
     "new one|the daemon was restarted", HOST_LIVE},
    {"and comes past where it was", 0, 21, DOC,
     BOOT("c", 2, E(2, 16, "info", "new two") "," E(3, 20, "info", "new three")), 0,
     "new two|new three", HOST_LIVE},

    {"a daemon with one", FRESH, 10, DOC, BOOT("b", 1, E(1, 8, "info", "one")), 0,
     "one|connected", HOST_LIVE},
    {"goes on", 0, 20, DOC,
     BOOT("c", 1, E(1, 8, "info", "one") "," E(2, 15, "info", "two")), 0,
     "two|the daemon was restarted", HOST_LIVE},

    {"a recording", FRESH, 10, DOC, BOOT("b", 7, E(1, 8, "info", "one")), 0,
     "one|connected", HOST_LIVE},
    {"plays on", 0, 11, DOC, BOOT("c", 8, E(1, 10.5, "info", "two")), 0,
     "two|the daemon was restarted", HOST_LIVE},
    {"goes back, to another boot: nothing has happened", 0, 1, DOC,
     BOOT("b", 3, E(1, 8, "info", "one")), 0, "", HOST_LIVE},
    {"and plays that again", 0, 12, DOC, BOOT("c", 8, E(1, 10.5, "info", "two")), 0,
     "the daemon was restarted", HOST_LIVE},

    {"a slow reader", FRESH, 0, VRAMSCOPE_LAG, NULL, 1,
     "!1 document left out: they were read too slowly", HOST_CONNECTING},
    {"as slow", 0, 5, VRAMSCOPE_LAG, NULL, 7, "", HOST_CONNECTING},
    {"told together", 0, 35, VRAMSCOPE_LAG, NULL, 2,
     "!9 documents left out in 35 s: they were read too slowly", HOST_CONNECTING},
    {"not understood", 0, 35, VRAMSCOPE_UNREADABLE, "not JSON", 0,
     "!1 event not understood: not JSON", HOST_CONNECTING},
    {"nor that", 0, 36, VRAMSCOPE_UNREADABLE, "not JSON", 0, "", HOST_CONNECTING},
    {"an event of tomorrow", 0, 36, VRAMSCOPE_OTHER, NULL, 0, "", HOST_CONNECTING},
    {"a seed document", 0, 36, VRAMSCOPE_SNAPSHOT, NULL, 0, "", HOST_CONNECTING},
    {"a document that was not decoded", 0, 36, DOC, NULL, 0, "", HOST_CONNECTING},
};

/* "1700000000000+3.5" is no number in JSON: worked out here. */
static void add_times(char *ret, size_t room, const char *text)
{
    static const char start[] = "1700000000000+";
    size_t len = 0;

    while (*text && len + 32 < room) {
        char *end;

        if (strncmp(text, start, strlen(start)) != 0) {
            ret[len++] = *text++;
            continue;
        }
        len += (size_t)snprintf(
            ret + len, room - len, "%lld",
            (long long)(START + (int64_t)(1000 * strtod(text + strlen(start), &end))));
        text = end;
    }
    ret[len] = '\0';
}

static const struct vramscope_detail *story_document(size_t i, int64_t at_ms)
{
    char body[4096];

    if (story[i].type != DOC || !story[i].text)
        return NULL;
    add_times(body, sizeof(body), story[i].text);
    return document("{'schema':1,'interval_ms':500,'unix_ms':%lld,%s}", (long long)at_ms,
                    body);
}

/* What is kept now and was not before, oldest first. */
static struct change kept[HOST_CHANGES_MAX];
static uint32_t n_kept;

static void keep(const struct host *host)
{
    n_kept = host->n_changes;
    for (uint32_t i = 0; i < n_kept; i++)
        kept[i] = *host_change(host, i);
}

static bool was_kept(const struct change *change)
{
    for (uint32_t i = 0; i < n_kept; i++)
        if (kept[i].unix_ms == change->unix_ms && strcmp(kept[i].text, change->text) == 0)
            return true;
    return false;
}

static void told_since(const struct host *host, char *ret, size_t room)
{
    static const char *const marks[] = {[VRAMSCOPE_SEVERITY_UNKNOWN] = "",
                                        [VRAMSCOPE_SEVERITY_INFO] = "",
                                        [VRAMSCOPE_SEVERITY_WARNING] = "!",
                                        [VRAMSCOPE_SEVERITY_CRITICAL] = "!!"};

    ret[0] = '\0';
    for (uint32_t i = host->n_changes; i > 0; i--) {
        const struct change *change = host_change(host, i - 1);
        size_t len = strlen(ret);

        if (!was_kept(change))
            (void)snprintf(ret + len, room - len, "%s%s%s", len ? "|" : "",
                           marks[change->severity], change->text);
    }
}

static void test_story(void **state)
{
    struct host *host = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(story); i++) {
        int64_t at_ms = START + (int64_t)(story[i].at_s * 1000);
        const struct vramscope_detail *detail = story_document(i, at_ms);
        struct vramscope_event event = {
            .type = story[i].type,
            .unix_ms = at_ms,
            .detail = detail,
            .reason = detail ? NULL : story[i].text,
            .skipped = story[i].number,
            .retry_ms = story[i].number,
        };
        char told[1024];

        if (story[i].flags & FRESH) {
            tui_host_free(host);
            assert_int_equal(tui_host_new("http://a1:6767", &host), 0);
        }
        keep(host);
        assert_int_equal(host_take(host, &event), 0);
        vramscope_detail_unref(detail);
        told_since(host, told, sizeof(told));
        if (strcmp(told, story[i].told) != 0)
            fail_msg("[%s] told: %s\nnot: %s", story[i].row, told, story[i].told);
        if (host->state != story[i].state)
            fail_msg("[%s] state %d", story[i].row, host->state);
    }
    tui_host_free(host);
}

static void take(struct host *host, int64_t at_ms, const char *body)
{
    const struct vramscope_detail *detail =
        document("{'schema':1,'unix_ms':%lld,%s}", (long long)at_ms, body);
    struct vramscope_event event = {
        .type = VRAMSCOPE_DETAIL, .unix_ms = at_ms, .detail = detail};

    assert_int_equal(host_take(host, &event), 0);
    vramscope_detail_unref(detail);
}

static void test_why_not(void **state)
{
    struct vramscope_event event = {.type = VRAMSCOPE_DISCONNECTED,
                                    .unix_ms = START,
                                    .reason = "no driver",
                                    .remedy = "load it",
                                    .retry_ms = 700};
    struct host *host;

    (void)state;
    assert_int_equal(tui_host_new("http://a1:6767", &host), 0);
    assert_int_equal(host_take(host, &event), 0);
    assert_string_equal(host->reason, "no driver");
    assert_string_equal(host->remedy, "load it");
    assert_int_equal(host->retry_at_ms, START + 700);
    event.retry_ms = INT64_MAX;
    assert_int_equal(host_take(host, &event), 0);
    assert_int_equal(host->retry_at_ms, START + 24 * 60 * 60 * 1000);
    event.retry_ms = -1;
    assert_int_equal(host_take(host, &event), 0);
    assert_int_equal(host->retry_at_ms, 0);
    event.type = VRAMSCOPE_CONNECTED;
    assert_int_equal(host_take(host, &event), 0);
    assert_string_equal(host->reason, "");
    assert_string_equal(host->remedy, "");
    tui_host_free(host);
}

static void test_stale(void **state)
{
    struct vramscope_event lost = {.type = VRAMSCOPE_DISCONNECTED, .unix_ms = START};
    struct host *host;

    (void)state;
    assert_int_equal(tui_host_new("x", &host), 0);
    assert_true(host_is_stale(host, START));
    take(host, START, MODELS(""));
    assert_false(host_is_stale(host, START + 1500));
    assert_true(host_is_stale(host, START + 1501));
    take(host, START, "'interval_ms':100");
    assert_false(host_is_stale(host, START + 1000));
    assert_true(host_is_stale(host, START + 1001));
    assert_int_equal(host_take(host, &lost), 0);
    assert_true(host_is_stale(host, START));
    tui_host_free(host);
}

/* Values of a series as "1 - 3", a dash for what is not known. */
static const char *read_series(const struct history *history, enum history_series series)
{
    static char text[256];
    float values[8];
    size_t n = history_read(history, series, values, ARRAY_LEN(values));

    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(text);

        if (isnan(values[i]))
            (void)snprintf(text + len, sizeof(text) - len, "%s-", i ? " " : "");
        else
            (void)snprintf(text + len, sizeof(text) - len, "%s%g", i ? " " : "",
                           (double)values[i]);
    }
    return text;
}

#define USED(n) \
    MODELS(A("ready", ",'kv_cache':{'used_bytes':{'value':" #n ",'from':'engine'}}"))

/* The last of the documents so far, `at_s` of each by its own clock. */
static const struct {
    const char *row;
    double at_s;
    const char *body, *series;
} samples[] = {
    {"the first", 0, USED(1), "1"},
    {"the next", 0.5, USED(2), "1 2"},
    {"late, but the next", 1.3, USED(3), "1 2 3"},
    {"one is missing", 2.3, USED(4), "1 2 3 - 4"},
    {"unknown", 2.8, USED(null), "1 2 3 - 4 -"},
    {"gone", 3.3, MODELS(""), "1 2 3 - 4 - -"},
    {"back", 3.8, USED(5), "1 2 3 - 4 - - 5"},
    {"a recording went back", 1.4, USED(6), "1 2 3 6"},
    {"at the same time: replaced", 1.4, USED(7), "1 2 3 7"},
    {"before all", -9, USED(8), "8"},
    {"ages later", 9e10, USED(9), "- - - - - - - 9"},
};

static void test_history(void **state)
{
    const struct vramscope_detail *detail = document("{'schema':1,%s}", USED(1));
    const struct track *track;
    struct host *host;

    (void)state;
    assert_int_equal(tui_host_new("x", &host), 0);
    assert_null(host_track(host, detail->models[0]));
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        take(host, START + (int64_t)(samples[i].at_s * 1000), samples[i].body);
        track = host_track(host, detail->models[0]);
        assert_non_null(track);
        if (strcmp(read_series(&track->history, HISTORY_KV_USED), samples[i].series) != 0)
            fail_msg("[%s] %s", samples[i].row,
                     read_series(&track->history, HISTORY_KV_USED));
    }
    assert_string_equal(read_series(&track->history, HISTORY_ALLOCATED),
                        "- - - - - - - -");
    vramscope_detail_unref(detail);
    tui_host_free(host);
}

static void test_ring(void **state)
{
    static struct history history;
    float values[HISTORY_SAMPLES + 10];

    (void)state;
    assert_int_equal(history_read(&history, HISTORY_KV_USED, values, 5), 0);
    for (int i = 0; i < 2 * HISTORY_SAMPLES + 7; i++)
        history_add(&history, i, (double[N_HISTORY_SERIES]){i, 2 * i, (double)NAN});
    assert_int_equal(history.count, HISTORY_SAMPLES);
    assert_int_equal(history_read(&history, HISTORY_ALLOCATED, values, ARRAY_LEN(values)),
                     HISTORY_SAMPLES);
    for (int i = 0; i < HISTORY_SAMPLES; i++)
        assert_int_equal((int)values[i], 2 * (HISTORY_SAMPLES + 7 + i));
    assert_int_equal(history_read(&history, HISTORY_KV_USED, values, 2), 2);
    assert_int_equal((int)values[1], 2 * HISTORY_SAMPLES + 6);
    assert_int_equal(history_read(&history, HISTORY_HIT_PERCENT, values, 1), 1);
    assert_true(isnan(values[0]));
}

static void take_told(struct host *host, int64_t at_ms, int id, int64_t told_ms)
{
    char body[256];

    (void)snprintf(body, sizeof(body),
                   "'events':[{'id':%d,'unix_ms':%lld,'text':'event %d'}]", id,
                   (long long)told_ms, id);
    take(host, at_ms, body);
}

static void test_changes_are_a_ring(void **state)
{
    struct host *host;

    (void)state;
    assert_int_equal(tui_host_new("x", &host), 0);
    for (int i = 0; i < 2 * HOST_CHANGES_MAX; i++)
        take_told(host, START + i * 500, i, START + i * 500);
    assert_int_equal(host->n_changes, HOST_CHANGES_MAX);
    assert_string_equal(host_change(host, 0)->text, "event 1023");
    assert_string_equal(host_change(host, HOST_CHANGES_MAX - 1)->text, "event 512");

    // There is no room for what is older than all of it.
    take_told(host, START + 512000, 5000, START + 1);
    assert_string_equal(host_change(host, HOST_CHANGES_MAX - 1)->text, "event 512");
    take_told(host, START + 512000, 5001, START + 256001);
    assert_string_equal(host_change(host, HOST_CHANGES_MAX - 1)->text, "event 5001");
    assert_string_equal(host_change(host, HOST_CHANGES_MAX - 2)->text, "event 513");
    tui_host_free(host);
}

/*
 * By time, whenever it is told, which is that of its document at most; of the same time,
 * who is told last stands last.
 */
static void test_order(void **state)
{
    static const int64_t at_ms[] = {50, 20, 9000, 20, 10, 80, 90};
    static const char *const order[] = {"event 6", "event 5", "event 2", "connected",
                                        "event 0", "event 3", "event 1", "event 4"};
    struct host *host;

    (void)state;
    assert_int_equal(tui_host_new("x", &host), 0);
    for (int i = 0; i < (int)ARRAY_LEN(at_ms); i++)
        take_told(host, START + 60 + i * 10, i, START + at_ms[i]);
    assert_int_equal(host->n_changes, ARRAY_LEN(order));
    for (uint32_t i = 0; i < ARRAY_LEN(order); i++)
        assert_string_equal(host_change(host, i)->text, order[i]);
    tui_host_free(host);
}

/* A daemon whose clock is a day behind: the times are its own, the order is not. */
static void test_other_clock(void **state)
{
    static const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    struct vramscope_event event = {.type = VRAMSCOPE_CONNECTED, .unix_ms = START};
    struct host *host;

    (void)state;
    assert_int_equal(tui_host_new("x", &host), 0);
    assert_int_equal(host_take(host, &event), 0);
    event.type = VRAMSCOPE_DETAIL;
    event.unix_ms = START + 5000;
    event.detail =
        document("{'unix_ms':%lld,'events':[{'id':1,'unix_ms':%lld,'text':'before'},"
                 "{'id':2,'unix_ms':%lld,'text':'after'}]}",
                 (long long)(START + 5000 - day_ms), (long long)(START - 1 - day_ms),
                 (long long)(START + 1 - day_ms));
    assert_int_equal(host_take(host, &event), 0);
    vramscope_detail_unref(event.detail);
    assert_int_equal(host->n_changes, 3);
    assert_string_equal(host_change(host, 0)->text, "after");
    assert_int_equal(host_change(host, 0)->unix_ms, START + 1 - day_ms);
    assert_string_equal(host_change(host, 1)->text, "connected");
    assert_string_equal(host_change(host, 2)->text, "before");
    tui_host_free(host);
}

/* Its daemon says when, by a clock that is an hour ahead of ours. */
static void test_restarted(void **state)
{
    static const struct {
        const char *kind, *model_id;
        int port, at_s;
        int64_t restarted_ms;
    } rows[] = {
        {"engine_restarted", "a", 8000, 3590, START - 10000},
        {"engine_restarted", "a", 8000, 3601, 0}, // after its document
        {"engine_restarted", "b", 8000, 3590, 0},
        {"engine_restarted", "a", 8001, 3590, 0},
        {"engine_found", "a", 8000, 3590, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct vramscope_detail *detail =
            document("{'unix_ms':%lld,%s,'events':[{'id':1,'unix_ms':%lld,'kind':'%s',"
                     "'model_id':'%s','port':%d}]}",
                     (long long)START + 3600000, MODELS(A("ready", "")),
                     (long long)(START + rows[i].at_s * 1000), rows[i].kind,
                     rows[i].model_id, rows[i].port);
        struct vramscope_event event = {
            .type = VRAMSCOPE_DETAIL, .unix_ms = START, .detail = detail};
        struct host *host;

        assert_int_equal(tui_host_new("x", &host), 0);
        assert_int_equal(host_take(host, &event), 0);
        assert_int_equal(host_track(host, detail->models[0])->restarted_unix_ms,
                         rows[i].restarted_ms);
        vramscope_detail_unref(detail);
        tui_host_free(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_story),
        cmocka_unit_test(test_why_not),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_changes_are_a_ring),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_other_clock),
        cmocka_unit_test(test_restarted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
