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
    {"http://0123456789012345678901234567890123456789012345678901234567890123456789:80",
     "012345678901234567890123456789012345678901234567890123456789012"},
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
    {"nothing new", 0, 0.5, DOC, MODELS(A("ready", "")), 0, "", HOST_LIVE},
    {"another state", 0, 1, DOC, MODELS(A("sleeping", ",'reason':'weights offloaded'")),
     0, "a on port 8000: ready -> sleeping (weights offloaded)", HOST_LIVE},
    {"a bad one", 0, 1.5, DOC, MODELS(A("unreachable", "")), 0,
     "!a on port 8000: sleeping -> unreachable", HOST_LIVE},
    {"a second one", 0, 2, DOC,
     MODELS(A("unreachable", "") "," MODEL("b", 0, "loading", "")), 0,
     "b on a Unix socket appeared: loading", HOST_LIVE},
    {"the first is gone", 0, 2.5, DOC, MODELS(MODEL("b", 0, "loading", "")), 0,
     "!a on port 8000 is gone", HOST_LIVE},
    {"gone once", 0, 3, DOC, MODELS(MODEL("b", 0, "loading", "")), 0, "", HOST_LIVE},
    {"and back", 0, 39, DOC, MODELS(A("ready", "") "," MODEL("b", 0, "loading", "")), 0,
     "a on port 8000 is back after 37 s (ready)", HOST_LIVE},
    {"all are gone", 0, 40, DOC, MODELS(""), 0,
     "!b on a Unix socket is gone|!a on port 8000 is gone", HOST_LIVE},
    {"after ten minutes it is forgotten", 0, 700, DOC, MODELS(""), 0, "", HOST_LIVE},
    {"and new", 0, 701, DOC, MODELS(A("ready", "")), 0, "a on port 8000 appeared: ready",
     HOST_LIVE},
    {"a state nobody knows", 0, 702, DOC, MODELS("{'model_id':'a','port':8000}"), 0,
     "a on port 8000: ready -> ?", HOST_LIVE},

    {"a name too long", FRESH, 0, DOC, MODELS(""), 0, "connected", HOST_LIVE},
    {"cut between characters", 0, 1, DOC,
     MODELS(
         MODEL("0123456789012345678901234567890123456789012345678901234567890123456789"
               "01234\303\244\303\244\303\244",
               8000, "ready",
               ",'reason':'0123456789012345678901234567890123456789012345678901234567890"
               "1234567890123456789'")),
     0,
     "0123456789012345678901234567890123456789012345678901234567890123456789"
     "01234... on port 8000 appeared: ready "
     "(01234567890123456789012345678901234567890123456...",
     HOST_LIVE},

    {"a process", FRESH, 0, DOC, MODELS(A("ready", ",'pid':7")), 0, "connected",
     HOST_LIVE},
    {"is hidden", 0, 0.5, DOC, MODELS(A("ready", "")), 0, "", HOST_LIVE},
    {"is the same", 0, 1, DOC, MODELS(A("ready", ",'pid':7")), 0, "", HOST_LIVE},
    {"is another", 0, 1.5, DOC, MODELS(A("ready", ",'pid':9")), 0,
     "!a on port 8000 was restarted: process 7 -> 9", HOST_LIVE},
    {"once", 0, 2, DOC, MODELS(A("ready", ",'pid':9")), 0, "", HOST_LIVE},
    {"is hidden again", 0, 2, DOC, MODELS(A("ready", "")), 0, "", HOST_LIVE},
    {"and another meanwhile", 0, 2, DOC, MODELS(A("ready", ",'pid':10")), 0,
     "!a on port 8000 was restarted: process 9 -> 10", HOST_LIVE},
    {"comes back as another", 0, 2.5, DOC, MODELS(""), 0, "!a on port 8000 is gone",
     HOST_LIVE},
    {"which is told too", 0, 3, DOC, MODELS(A("loading", ",'pid':11")), 0,
     "a on port 8000 is back after 1.0 s (loading)|"
     "!a on port 8000 was restarted: process 10 -> 11",
     HOST_LIVE},

#define PREEMPTIONS(n) MODELS(A("ready", ",'requests':{'preemptions':" #n "}"))
    {"preemptions before", FRESH, 0, DOC, PREEMPTIONS(5), 0, "connected", HOST_LIVE},
    {"three more", 0, 1, DOC, PREEMPTIONS(8), 0, "!a on port 8000: 3 preemptions",
     HOST_LIVE},
    {"more, soon after", 0, 2, DOC, PREEMPTIONS(9), 0, "", HOST_LIVE},
    {"and more", 0, 20, DOC, PREEMPTIONS(19), 0, "", HOST_LIVE},
    {"they are told together", 0, 31, DOC, PREEMPTIONS(19), 0,
     "!a on port 8000: 11 preemptions in 30 s", HOST_LIVE},
    {"nothing since", 0, 100, DOC, PREEMPTIONS(19), 0, "", HOST_LIVE},
    {"one, much later", 0, 200, DOC, PREEMPTIONS(20), 0, "!a on port 8000: 1 preemption",
     HOST_LIVE},
    {"unknown for a while", 0, 300, DOC, PREEMPTIONS(null), 0, "", HOST_LIVE},
    {"known again", 0, 301, DOC, PREEMPTIONS(22), 0, "!a on port 8000: 2 preemptions",
     HOST_LIVE},
    {"fewer: begun anew", 0, 400, DOC, PREEMPTIONS(3), 0,
     "!a on port 8000 was restarted: its counters fell", HOST_LIVE},
    {"from there", 0, 401, DOC, PREEMPTIONS(4), 0, "!a on port 8000: 1 preemption",
     HOST_LIVE},

    {"a process with preemptions", FRESH, 0, DOC,
     MODELS(A("ready", ",'pid':7,'requests':{'preemptions':5}")), 0, "connected",
     HOST_LIVE},
    {"another, of which nothing is known", 0, 1, DOC, MODELS(A("loading", ",'pid':8")), 0,
     "!a on port 8000 was restarted: process 7 -> 8|a on port 8000: ready -> loading",
     HOST_LIVE},
    {"its count begins anew", 0, 2, DOC,
     MODELS(A("loading", ",'pid':8,'requests':{'preemptions':2}")), 0, "", HOST_LIVE},
    {"another, with more", 0, 3, DOC,
     MODELS(A("loading", ",'pid':9,'requests':{'preemptions':9}")), 0,
     "!a on port 8000 was restarted: process 8 -> 9", HOST_LIVE},

#define QUERIES(n) MODELS(A("ready", ",'prefix_cache':{'lifetime':{'queries':" #n "}}"))
    {"queries before", FRESH, 0, DOC, QUERIES(500), 0, "connected", HOST_LIVE},
    {"fewer", 0, 1, DOC, QUERIES(499), 0,
     "!a on port 8000 was restarted: its counters fell", HOST_LIVE},
    {"from there", 0, 2, DOC, QUERIES(600), 0, "", HOST_LIVE},

#define STALE(age) ",'stale':true,'age_ms':" #age
    {"stale at first sight", FRESH, 0, DOC, MODELS(A("ready", STALE(2000))), 0,
     "connected|!a on port 8000: figures are stale: 2.0 s old", HOST_LIVE},
    {"once", 0, 0.5, DOC, MODELS(A("ready", STALE(2500))), 0, "", HOST_LIVE},
    {"fresh", 0, 1, DOC, MODELS(A("ready", "")), 0,
     "a on port 8000: figures are fresh again", HOST_LIVE},
    {"while loading none are missed", 0, 2, DOC, MODELS(A("loading", STALE(null))), 0,
     "a on port 8000: ready -> loading", HOST_LIVE},
    {"but later", 0, 3, DOC, MODELS(A("ready", STALE(null))), 0,
     "a on port 8000: loading -> ready|!a on port 8000: no figures come in", HOST_LIVE},

#define KV(ratio) MODELS(A("ready", ",'kv_cache':{'usage_ratio':" #ratio "}"))
    {"KV at 90 %", FRESH, 0, DOC, KV(0.9), 0, "connected", HOST_LIVE},
    {"above", 0, 1, DOC, KV(0.901), 0, "!a on port 8000: KV cache above 90 %", HOST_LIVE},
    {"unknown", 0, 2, DOC, KV(null), 0, "", HOST_LIVE},
    {"a bit below", 0, 2, DOC, KV(0.8), 0, "", HOST_LIVE},
    {"above, as before", 0, 2, DOC, KV(0.99), 0, "", HOST_LIVE},
    {"below", 0, 2, DOC, KV(0.79), 0, "a on port 8000: KV cache below 80 %", HOST_LIVE},
    {"not so high", 0, 2, DOC, KV(0.85), 0, "", HOST_LIVE},

#define ORPHAN(bytes) "'vram':{'orphan_bytes':" #bytes "}"
    {"orphans from the start", FRESH, 0, DOC, ORPHAN(2147483648), 0,
     "connected|!workers of vLLM whose server is gone hold 2.0 GiB", HOST_LIVE},
    {"as before", 0, 1, DOC, ORPHAN(2147483648), 0, "", HOST_LIVE},
    {"a GiB more is little", 0, 1, DOC, ORPHAN(3221225472), 0, "", HOST_LIVE},
    {"but not this", 0, 1, DOC, ORPHAN(3221225473), 0,
     "!workers of vLLM whose server is gone hold 3.0 GiB, 1.0 GiB more", HOST_LIVE},
    {"unknown", 0, 1, DOC, ORPHAN(null), 0, "", HOST_LIVE},
    {"less", 0, 1, DOC, ORPHAN(1000), 0, "", HOST_LIVE},
    {"and grown from there", 0, 1, DOC, ORPHAN(2147483648), 0,
     "!workers of vLLM whose server is gone hold 2.0 GiB, 2.0 GiB more", HOST_LIVE},
    {"none", 0, 1, DOC, ORPHAN(0), 0, "memory of orphaned workers is free again",
     HOST_LIVE},
    {"still none", 0, 1, DOC, ORPHAN(0), 0, "", HOST_LIVE},

    {"devices", FRESH, 0, DOC, DEVICES(DEVICE(0, "5") "," DEVICE(1, "5")), 0, "connected",
     HOST_LIVE},
    {"in another order", 0, 1, DOC, DEVICES(DEVICE(1, "5") "," DEVICE(0, "5")), 0, "",
     HOST_LIVE},
    {"one is gone", 0, 1, DOC, DEVICES(DEVICE(1, "5")), 0, "!GPU 0 (H100) is gone",
     HOST_LIVE},
    {"figures are", 0, 1, DOC, DEVICES(DEVICE(1, "null,'reason':'lost'")), 0,
     "!GPU 1 (H100): figures are not known: lost", HOST_LIVE},
    {"as before", 0, 1, DOC, DEVICES(DEVICE(1, "null")), 0, "", HOST_LIVE},
    {"both are back", 0, 1, DOC, DEVICES(DEVICE(0, "0") "," DEVICE(1, "0")), 0,
     "GPU 0 (H100) appeared|GPU 1 (H100): figures are known again", HOST_LIVE},
    {"a part of one, unknown", 0, 1, DOC,
     DEVICES(DEVICE(0, "0") "," DEVICE(1, "0") ",{'index':0,'instance':3}"), 0,
     "MIG instance 3 appeared|!MIG instance 3: figures are not known", HOST_LIVE},
    {"without a UUID", 0, 1, DOC,
     DEVICES(DEVICE(0, "0") "," DEVICE(1, "0") ",{'index':1,'instance':3}"), 0,
     "MIG instance 3 appeared|!MIG instance 3: figures are not known|!MIG instance 3 is "
     "gone",
     HOST_LIVE},
    {"unknown from the start", FRESH, 0, DOC, DEVICES(DEVICE(0, "null")), 0,
     "connected|!GPU 0 (H100): figures are not known", HOST_LIVE},

#define GPU_AGE(ms) "'gpu':{'age_ms':" #ms "}"
    {"the driver", FRESH, 0, DOC, GPU_AGE(2000), 0, "connected", HOST_LIVE},
    {"is silent", 0, 1, DOC, GPU_AGE(2001), 0,
     "!the GPU driver's figures are stale: 2.0 s old", HOST_LIVE},
    {"still", 0, 1, DOC, GPU_AGE(9000), 0, "", HOST_LIVE},
    {"unknown", 0, 1, DOC, GPU_AGE(null), 0, "", HOST_LIVE},
    {"answers", 0, 1, DOC, GPU_AGE(40), 0, "the GPU driver's figures are fresh again",
     HOST_LIVE},

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

    {"one daemon", FRESH, 0, DOC, "'boot':'b','version':'1'", 0, "connected", HOST_LIVE},
    {"another", 0, 1, DOC, "'boot':'c','version':'1'", 0, "the daemon was restarted",
     HOST_LIVE},
    {"a newer", 0, 2, DOC, "'boot':'d','version':'2'", 0,
     "the daemon was restarted: version 1 -> 2", HOST_LIVE},
    {"none is named", 0, 3, DOC, "'version':'2'", 0, "", HOST_LIVE},

#define AT(n, rest) "'boot':'b','seq':" #n "," rest
    {"a recording", FRESH, 0, DOC, AT(7, PREEMPTIONS(5)), 0, "connected", HOST_LIVE},
    {"goes back: nothing has happened", 0, 1, DOC,
     AT(3, DEVICES(DEVICE(0, "5")) "," MODELS(MODEL("b", 1, "ready", ""))), 0, "",
     HOST_LIVE},
    {"goes on", 0, 2, DOC, AT(4, DEVICES("") "," MODELS(MODEL("b", 1, "loading", ""))), 0,
     "!GPU 0 (H100) is gone|b on port 1: ready -> loading", HOST_LIVE},
};

static const struct vramscope_detail *story_document(size_t i, int64_t at_ms)
{
    if (story[i].type != DOC || !story[i].text)
        return NULL;
    return document("{'schema':1,'interval_ms':500,'unix_ms':%lld,%s}", (long long)at_ms,
                    story[i].text);
}

/* What was told since `before`, oldest first. */
static void told_since(const struct host *host, uint32_t before, char *ret, size_t room)
{
    ret[0] = '\0';
    for (uint32_t i = host->n_changes - before; i > 0; i--) {
        const struct change *change = host_change(host, i - 1);
        size_t len = strlen(ret);

        (void)snprintf(ret + len, room - len, "%s%s%s", len ? "|" : "",
                       change->bad ? "!" : "", change->text);
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
        uint32_t before;
        char told[1024];

        if (story[i].flags & FRESH) {
            tui_host_free(host);
            assert_int_equal(tui_host_new("http://a1:6767", &host), 0);
        }
        before = host->n_changes;
        assert_int_equal(host_take(host, &event), 0);
        vramscope_detail_unref(detail);
        told_since(host, before, told, sizeof(told));
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

static void test_changes_are_a_ring(void **state)
{
    struct host *host;
    char body[256];

    (void)state;
    assert_int_equal(tui_host_new("x", &host), 0);
    for (int i = 0; i < 2 * HOST_CHANGES_MAX; i++) {
        (void)snprintf(body, sizeof(body), "'models':[{'model_id':'a','state':'%d'}]", i);
        take(host, START + i * 500, body);
    }
    assert_int_equal(host->n_changes, HOST_CHANGES_MAX);
    assert_string_equal(host_change(host, 0)->text, "a: 1022 -> 1023");
    assert_string_equal(host_change(host, HOST_CHANGES_MAX - 1)->text, "a: 511 -> 512");
    tui_host_free(host);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
