// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>

#include "tui/host.h"
#include "tui_document.h"

#define START INT64_C(1700000000000)

enum {
    MODELS = 1000, // of a document, of MODELS_OF_ALL
    MODELS_OF_ALL = 10000,
    DEVICES = 100,
    EVENTS = 100,
    LOOKS = 80,
    ID_LENGTHS = 600, // some longer than those that are followed
    BODY_SIZE = 1024 * 1024,
};

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 33) % below;
}

static size_t write_model(char *text, size_t room, uint64_t *seed)
{
    static const char *const states[] = {"ready", "loading", "unreachable", "\\u009b31m"};
    int model = (int)draw(seed, MODELS_OF_ALL);
    int len = draw(seed, 100) ? (int)draw(seed, 60) : (int)draw(seed, ID_LENGTHS);

    return (size_t)snprintf(
        text, room,
        "{\"model\":\"\\u202e%0*d\",\"model_id\":\"%0*d\",\"port\":%d,\"pid\":%d,"
        "\"state\":\"%s\",\"stale\":%s,\"reason\":\"%0*d\","
        "\"kv_cache\":{\"usage_ratio\":%d.%d},"
        "\"requests\":{\"preemptions\":%llu},"
        "\"prefix_cache\":{\"lifetime\":{\"queries\":9223372036854775807}}}",
        len, model, len, model, (int)draw(seed, 65536), (int)draw(seed, 3),
        states[draw(seed, ARRAY_LEN(states))], draw(seed, 2) ? "true" : "false", len, 1,
        0, (int)draw(seed, 10), (unsigned long long)draw(seed, INT64_MAX));
}

/* Any document, of a daemon that has gone mad. */
static const struct vramscope_detail *any_document(uint64_t *seed)
{
    static char text[BODY_SIZE];
    const struct vramscope_detail *detail;
    char why[128] = "";
    size_t len;

    len = (size_t)snprintf(
        text, sizeof(text),
        "{\"schema\":1,\"boot\":\"%d\",\"seq\":%llu,\"unix_ms\":%llu,"
        "\"interval_ms\":%llu,\"gpu\":{\"age_ms\":%d},\"vram\":{\"orphan_bytes\":%llu},"
        "\"devices\":[",
        (int)draw(seed, 4), (unsigned long long)draw(seed, INT64_MAX),
        (unsigned long long)(draw(seed, 4) ? START + (int64_t)draw(seed, 3000000)
                                           : INT64_MAX),
        (unsigned long long)(draw(seed, 4) ? draw(seed, 500) : INT64_MAX),
        (int)draw(seed, 5000), (unsigned long long)draw(seed, INT64_MAX));
    for (int i = 0; i < DEVICES; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%s{\"uuid\":\"%d\",\"index\":%d}", i ? "," : "",
                                (int)draw(seed, 1000), i);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "],\"models\":[");
    for (int i = 0; i < MODELS; i++) {
        if (i)
            text[len++] = ',';
        len += write_model(text + len, sizeof(text) - len, seed);
    }
    len += (size_t)snprintf(text + len, sizeof(text) - len, "],\"events\":[");
    for (int i = 0; i < EVENTS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%s{\"id\":%d,\"unix_ms\":%llu,\"kind\":"
                                "\"engine_restarted\",\"text\":\"\\u202e%0*d\"}",
                                i ? "," : "", (int)draw(seed, 1000),
                                (unsigned long long)draw(seed, 2 * START),
                                (int)draw(seed, 300), i);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "]}");
    if (vramscope_detail_parse(text, len, &detail, why, sizeof(why)) < 0)
        fail_msg("%s", why);
    return detail;
}

/* The tracks are in order, each once, and not more than there may be. */
static void check_tracks(const struct host *host)
{
    assert_true(host->n_tracks <= HOST_TRACKS_MAX);
    for (size_t i = 0; i < host->n_tracks; i++) {
        const struct track *track = host->tracks[i];
        struct vramscope_model model = {.model_id = track->model_id, .port = track->port};

        assert_true(strlen(track->model_id) <= TRACK_ID_MAX);
        assert_true(track->history.count <= HISTORY_SAMPLES);
        assert_ptr_equal(host_track(host, &model), track);
    }
}

static void check_changes(const struct host *host)
{
    assert_true(host->n_changes <= HOST_CHANGES_MAX);
    for (uint32_t i = 1; i < host->n_changes; i++)
        assert_true(host_change(host, i)->order_ms <= host_change(host, i - 1)->order_ms);
}

static void test_flood(void **state)
{
    uint64_t seed = 42;
    struct host *host;
    size_t most = 0;

    (void)state;
    assert_int_equal(tui_host_new("http://a1:6767", &host), 0);
    for (int i = 0; i < LOOKS; i++) {
        struct vramscope_event event = {
            .type = VRAMSCOPE_DETAIL,
            .unix_ms = START + i * 500,
            .detail = any_document(&seed),
        };

        assert_int_equal(host_take(host, &event), 0);
        vramscope_detail_unref(event.detail);
        check_tracks(host);
        check_changes(host);
        assert_ptr_equal(host->detail, event.detail);
        if (i == LOOKS / 2)
            most = mallinfo2().uordblks;
    }
    assert_int_equal(host->n_tracks, HOST_TRACKS_MAX);
    assert_int_equal(host->n_changes, HOST_CHANGES_MAX);
    // The second half needed no more than a newest document that is larger than that one.
    assert_true(mallinfo2().uordblks <= most + 2 * BODY_SIZE);
    tui_host_free(host);
}

/* Forgotten after ten minutes, all of them. */
static void test_forgotten(void **state)
{
    struct vramscope_event event = {.type = VRAMSCOPE_DETAIL, .unix_ms = START};
    uint64_t seed = 7;
    struct host *host;

    (void)state;
    assert_int_equal(tui_host_new("x", &host), 0);
    for (int i = 0; i < 3; i++) {
        event.detail = i == 0 ? any_document(&seed) : document("{'schema':1}");
        assert_int_equal(host_take(host, &event), 0);
        vramscope_detail_unref(event.detail);
        assert_true(i == 2 ? host->n_tracks == 0 : host->n_tracks > MODELS / 2);
        event.unix_ms += TRACK_KEPT_MS / 2 + 1;
    }
    tui_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
