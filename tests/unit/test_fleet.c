// SPDX-License-Identifier: Apache-2.0
/* Whom a gateway hears: messages good and bad, late and twice, nodes there and gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet_stage.h"

#include <time.h>

static struct compact_reader reader;
static struct compact_message message;
static struct fleet_status status;

static int ask(const char *name)
{
    return fleet_status(stage.fleet, span_of(name), stage.now_ns, &status);
}

static void test_one_node(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");
    const struct fleet_node *node;

    (void)unused;
    assert_int_equal(stage_sum(), -ENODATA);
    assert_int_equal(stage.sum->fleet->n_nodes, 0);
    assert_int_equal(stage_say(&gpu1), 0);
    stage_wait(100);
    assert_int_equal(stage_sum(), 0);
    node = stage_find("gpu1");
    assert_non_null(node);
    assert_int_equal(node->state, NODE_LIVE);
    assert_true(node->counted);
    assert_string_equal(node->machine, gpu1.machine);
    assert_string_equal(node->boot, gpu1.boot);
    assert_string_equal(node->version, "1.0.0");
    assert_string_equal(node->reason, "");
    assert_int_equal(node->age_ns, 100 * 1000000);
    assert_int_equal(node->interval_ms, 500);
    assert_int_equal(node->seq, 1);
    assert_int_equal(node->nodes, 1);
    assert_int_equal(node->messages, 1);
    assert_int_equal(node->heard_ns, STAGE_START);
    assert_int_equal(node->n_devices, 2);
    assert_int_equal(node->n_models, 2);
    assert_int_equal(node->total_bytes.value, 160 * GIB);
    assert_int_equal(node->allocated_bytes.value, 23 * GIB);
    assert_int_equal(node->models_bytes, 20 * GIB);
    assert_int_equal(node->unattributed_bytes, GIB);
    assert_int_equal(node->kv_used_bytes, 2 * GIB);
    assert_int_equal(node->kv_used_how, DERIVED);
    assert_int_equal(node->kv_pool_bytes.value, 8 * GIB);
    assert_int_equal(node->kv_pool_bytes.how, BY_ENGINE);
    assert_int_equal(node->requests_running, 6);
    assert_int_equal(node->requests_waiting, 2);
    assert_true(node->hit_percent == 75);
}

static const struct {
    const char *row;
    const char *subject;
    const char *says; // its name in the message
    const char *boot;
    const char *machine;
    size_t cut; // bytes that are missing
    int format; // that it is made to say; 0: its own
    bool listed;
    const char *complaint;
} bad[] = {
    {"cut", "gpu1", "gpu1", "aaaa", "", 3, 0, true, "malformed"},
    {"another's name", "gpu1", "gpu2", "aaaa", "", 0, 0, true, "malformed"},
    {"a boot that is no word", "gpu1", "gpu1", "a/../b", "", 0, 0, true, "malformed"},
    {"a machine that is none", "gpu1", "gpu1", "aaaa", "<b>", 0, 0, true, "malformed"},
    {"format 2", "gpu1", "gpu1", "aaaa", "", 0, 2, true, "message format"},
    {"a name with a dot", "a.b", "a.b", "aaaa", "", 0, 0, false, "names no node"},
    {"no name", "", "x", "aaaa", "", 0, 0, false, "names no node"},
    {"a long name", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "a", "aaaa", "", 0, 0, false, "names no node"},
};

/* The format is a field of its own: 15, a varint. */
static void change_format(int format)
{
    for (size_t i = 0; i + 1 < stage.out.len; i++)
        if (stage.out.data[i] == 15 << 3 && stage.out.data[i + 1] == COMPACT_FORMAT) {
            stage.out.data[i + 1] = (char)format;
            return;
        }
    fail_msg("no format in the message");
}

static void test_malformed(void **unused)
{
    char complaint[256];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct stage_node node = stage_node(bad[i].says);

        print_message("# %s\n", bad[i].row);
        assert_int_equal(stage_clear(NULL) | stage_set(NULL), 0);
        node.boot = bad[i].boot;
        node.machine = bad[i].machine;
        stage_fill(&node, &stage.said);
        stage_write(&node);
        if (bad[i].format)
            change_format(bad[i].format);
        stage.out.len -= bad[i].cut;
        assert_int_equal(stage_take(bad[i].subject), 0);
        assert_int_equal(stage_state(bad[i].subject),
                         bad[i].listed ? (int)NODE_UNREADABLE : -1);
        assert_int_equal(stage.sum->fleet->link.malformed, 1);
        assert_int_equal(stage.sum->fleet->n_counted, 0);
        assert_true(fleet_complaint(stage.fleet, complaint, sizeof(complaint)));
        assert_non_null(strstr(complaint, bad[i].complaint));
        assert_false(fleet_complaint(stage.fleet, complaint, sizeof(complaint)));
        if (!bad[i].listed)
            continue;
        assert_non_null(strstr(stage_find("gpu1")->reason, bad[i].complaint));
        assert_int_equal(stage_find("gpu1")->malformed, 1);
        assert_int_equal(stage_find("gpu1")->age_ns, UNKNOWN);
        assert_int_equal(
            fleet_read(stage.fleet, span_of("gpu1"), &reader, &message, &status),
            -ENODATA);
        assert_int_equal(status.state, NODE_UNREADABLE);
        stage_wait(10001);
        assert_int_equal(stage_state("gpu1"), NODE_LOST);
    }
}

/* A node that was read before keeps its figures until they are old. */
static void test_rubbish_later(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");

    (void)unused;
    stage_say(&gpu1);
    for (int i = 0; i < 11; i++) {
        stage_wait(1000);
        (void)fleet_take(stage.fleet, span_of("gpu1"), span_of("rubbish"), stage.now_ns,
                         stage_unix());
        assert_int_equal(stage_state("gpu1"), i < 2    ? NODE_LIVE
                                              : i < 10 ? NODE_STALE
                                                       : NODE_LOST);
    }
    assert_non_null(strstr(stage_find("gpu1")->reason, "malformed"));
    assert_int_equal(stage_find("gpu1")->malformed, 11);
    stage_say(&gpu1);
    assert_int_equal(stage_state("gpu1"), NODE_LIVE);
}

static void test_flood(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), gpu2 = stage_node("gpu2");

    (void)unused;
    for (int i = 0; i < 100; i++)
        stage_say(&gpu1);
    gpu2.machine = "ffff";
    stage_say(&gpu2);
    (void)stage_sum();
    assert_int_equal(stage_find("gpu1")->messages, 40);
    assert_int_equal(stage_find("gpu1")->dropped, 60);
    assert_int_equal(stage_find("gpu2")->dropped, 0);
    assert_int_equal(stage.sum->fleet->link.dropped, 60);
    stage_wait(1000);
    for (int i = 0; i < 100; i++)
        stage_say(&gpu1);
    (void)stage_sum();
    assert_int_equal(stage_find("gpu1")->messages, 60);
    for (int i = 0; i < 100; i++) { // as fast as it may, for ever
        stage_wait(50);
        stage_say(&gpu1);
    }
    (void)stage_sum();
    assert_int_equal(stage_find("gpu1")->messages, 160);
}

static void test_old_and_twice(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");

    (void)unused;
    fleet_watch(stage.fleet, span_of("gpu1"), true); // it is not there yet
    gpu1.seq = 10;
    assert_int_equal(stage_say(&gpu1), 0);
    fleet_watch(stage.fleet, span_of("gpu1"), true);
    assert_int_equal(stage_take("gpu1"), 0); // the same again
    gpu1.seq = 5;
    assert_int_equal(stage_say(&gpu1), 0);
    gpu1.seq = 11;
    assert_int_equal(stage_say(&gpu1), 1);
    (void)stage_sum();
    assert_int_equal(stage_find("gpu1")->messages, 2);
    assert_int_equal(stage_find("gpu1")->seq, 12);
    fleet_watch(stage.fleet, span_of("gpu1"), false);
    assert_int_equal(stage_say(&gpu1), 0);
}

static void test_outage(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");

    (void)unused;
    stage_say(&gpu1);
    stage_wait(500);
    gpu1.outage = "the driver does not answer";
    stage_say(&gpu1);
    assert_int_equal(stage_state("gpu1"), NODE_OUTAGE);
    assert_string_equal(stage_find("gpu1")->reason, "the driver does not answer");
    assert_false(stage_find("gpu1")->counted);
    assert_int_equal(stage_find("gpu1")->total_bytes.how, FROM_NOWHERE);
    assert_int_equal(stage_find("gpu1")->age_ns, UNKNOWN);
    assert_int_equal(stage_sum(), -ENODATA);
    assert_int_equal(stage.sum->kv_used_bytes, UNKNOWN);
    assert_true(isnan(stage.sum->hit_percent));
    assert_int_equal(stage.sum->total_bytes.how, FROM_NOWHERE);
    assert_int_equal(stage.sum->fleet->kv_pool_bytes.how, FROM_NOWHERE);
    assert_int_equal(stage.sum->fleet->requests_running, UNKNOWN);
    assert_int_equal(stage.sum->fleet->n_models, 0);
    assert_int_equal(ask("gpu1"), 0);
    assert_int_equal(status.state, NODE_OUTAGE);

    gpu1.outage = "an older word";
    stage.now_ns -= 200 * 1000000;
    stage_say(&gpu1);
    stage.now_ns += 200 * 1000000;
    assert_int_equal(stage_state("gpu1"), NODE_OUTAGE);
    assert_string_equal(stage_find("gpu1")->reason, "the driver does not answer");

    gpu1.wall_ahead_ms = -3600000; // its wall clock is set back
    for (int i = 0; i < 5; i++) {
        stage_wait(500);
        stage_say(&gpu1);
    }
    assert_string_equal(stage_state("gpu1") == NODE_OUTAGE ? stage_find("gpu1")->reason
                                                           : "",
                        "an older word");

    gpu1.outage = NULL;
    stage_wait(500);
    stage_say(&gpu1);
    assert_int_equal(stage_state("gpu1"), NODE_LIVE);
    gpu1.outage = "again";
    stage_wait(500);
    stage_say(&gpu1);
    stage_wait(10001);
    assert_int_equal(stage_state("gpu1"), NODE_LOST);
}

static const struct {
    uint64_t interval_ms;
    uint64_t waited_ms;
    enum node_state state;
} ages[] = {
    {500, 0, NODE_LIVE},
    {500, 2000, NODE_LIVE},
    {500, 2001, NODE_STALE},
    {500, 10000, NODE_STALE},
    {500, 10001, NODE_LOST},
    {5000, 15000, NODE_LIVE},
    {5000, 15001, NODE_STALE},
    {5000, 50000, NODE_STALE},
    {5000, 50001, NODE_LOST},
    {UINT64_MAX, 180000, NODE_LIVE},
    {UINT64_MAX, 180001, NODE_STALE},
    {UINT64_MAX, 600001, NODE_LOST},
};

static void test_ages(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
        struct stage_node gpu1 = stage_node("gpu1");

        assert_int_equal(stage_clear(NULL) | stage_set(NULL), 0);
        gpu1.interval_ms = ages[i].interval_ms;
        stage_say(&gpu1);
        stage_wait(ages[i].waited_ms);
        assert_int_equal(stage_state("gpu1"), ages[i].state);
        assert_int_equal(stage_find("gpu1")->counted, ages[i].state != NODE_LOST);
        assert_int_equal(stage_find("gpu1")->reason[0] != '\0',
                         ages[i].state != NODE_LIVE);
        assert_int_equal(ask("gpu1"), 0);
        assert_int_equal(status.state, ages[i].state);
    }
}

/* Its wall clock may be years off, and jump: only the offset tells. */
static void test_skewed_clock(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");

    (void)unused;
    gpu1.wall_ahead_ms = -INT64_C(10) * 365 * 86400 * 1000;
    for (int i = 0; i < 5; i++) {
        stage_say(&gpu1);
        assert_int_equal(stage_state("gpu1"), NODE_LIVE);
        assert_int_equal(stage_find("gpu1")->clock_offset_ms, gpu1.wall_ahead_ms);
        gpu1.wall_ahead_ms /= -7;
        stage_wait(500);
    }
}

/* Messages that waited on the way are as old as they are. */
static void test_delayed(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");

    (void)unused;
    stage_say(&gpu1);
    stage_wait(500);
    for (int i = 0; i < 4; i++) {
        gpu1.seq++;
        stage_fill(&gpu1, &stage.said);
        stage_write(&gpu1);
        stage_wait(3000); // under way
        assert_int_equal(stage_take("gpu1"), 0);
        assert_int_equal(stage_state("gpu1"), NODE_STALE);
        assert_in_range(stage_find("gpu1")->age_ns, 2990 * 1000000ULL, 3000 * 1000000ULL);
        assert_non_null(strstr(stage_find("gpu1")->reason, "after they were sent"));
    }
    stage_say(&gpu1);
    assert_int_equal(stage_state("gpu1"), NODE_LIVE);
    gpu1.seq++;
    stage_fill(&gpu1, &stage.said);
    stage_write(&gpu1);
    stage_wait(11000);
    assert_int_equal(stage_take("gpu1"), 0);
    assert_int_equal(stage_state("gpu1"), NODE_LOST);
}

/* What it says with a clock that is off by `taken` from what the stage writes. */
static void say_by_clock(struct stage_node *node, int64_t taken_ns)
{
    node->seq++;
    stage_fill(node, &stage.said);
    stage.said.taken_ns += (uint64_t)taken_ns;
    stage_write(node);
    (void)stage_take(node->name);
}

/* Clocks drift by some 50 parts in a million; a machine that slept has lost an hour. */
static void test_clocks_of_machines(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");
    int64_t drift = 0;

    (void)unused;
    for (int i = 0; i < 2000; i++) {
        stage_wait(60000);
        drift -= INT64_C(60) * 100000; // 100 ppm slow: 12 s in all
        say_by_clock(&gpu1, drift);
    }
    assert_int_equal(stage_state("gpu1"), NODE_LIVE);
    stage_wait(500);
    say_by_clock(&gpu1, drift - (int64_t)(3600 * SECOND));
    assert_int_equal(stage_state("gpu1"), NODE_LIVE);
    for (int i = 0; i < 3; i++) { // whatever it claims
        stage_wait(500);
        say_by_clock(&gpu1, i == 1 ? INT64_MIN : INT64_MAX);
        assert_in_range(stage_state("gpu1"), NODE_LOST, NODE_LIVE);
    }
}

static void test_lost_and_forgotten(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), gpu2 = stage_node("gpu2");

    (void)unused;
    gpu2.machine = "ffff";
    stage_say(&gpu1);
    stage_say(&gpu2);
    fleet_watch(stage.fleet, span_of("gpu2"), true);
    stage_wait(3600 * 1000);
    assert_int_equal(stage_state("gpu1"), NODE_LOST);
    assert_int_equal(stage_find("gpu1")->models_bytes, 20 * GIB); // what it said last
    stage_wait(1);
    assert_int_equal(stage_state("gpu1"), -1);
    assert_int_equal(stage_state("gpu2"), NODE_LOST); // somebody waits for it
    assert_int_equal(ask("gpu1"), -ENOENT);
    stage_say(&gpu1);
    assert_int_equal(stage_state("gpu1"), NODE_LIVE);
}

static void name_of(int i, char ret[16])
{
    (void)snprintf(ret, 16, "n%04d", i);
}

static void test_full(void **unused)
{
    char name[16];

    (void)unused;
    for (int i = 0; i < FLEET_NODES_MAX + 2; i++) {
        struct stage_node node;

        if (i == FLEET_NODES_MAX / 2)
            stage_wait(5000);
        name_of(i, name);
        node = stage_node(name);
        node.n_models = 1;
        stage_say(&node);
    }
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_nodes, FLEET_NODES_MAX);
    assert_int_equal(stage.sum->fleet->link.refused, 2);
    assert_null(stage_find("n4096"));
    stage_wait(5001);
    stage_take("n4097"); // the first half is lost by now
    (void)stage_sum();
    assert_non_null(stage_find("n4097"));
    assert_int_equal(stage.sum->fleet->n_nodes, FLEET_NODES_MAX);
    assert_int_equal(stage.sum->fleet->link.refused, 2);
    assert_int_equal(stage.sum->fleet->by_state[NODE_LOST], FLEET_NODES_MAX / 2 - 1);
}

/* Nodes that say much, all together: their figures count, the rest is not kept. */
static void test_much(void **unused)
{
    size_t n = 64 << 20 >> 19, kept = 0; // as many as there is room for
    char name[16], text[1025];
    struct stage_node node;

    (void)unused;
    memset(text, 'x', sizeof(text));
    memcpy(text, "\x0a\xfe\x07", 3); // a text that nobody points at, of 1,022 bytes
    for (size_t i = 0; i < n + 8; i++) {
        name_of((int)i, name);
        node = stage_node(name);
        node.seq++;
        stage_fill(&node, &stage.said);
        stage_write(&node);
        for (int j = 0; j < 500; j++)
            buf_add(&stage.out, text, sizeof(text));
        stage_take(name);
    }
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_counted, n + 8);
    for (size_t i = 0; i < n + 8; i++) {
        name_of((int)i, name);
        kept += fleet_read(stage.fleet, span_of(name), &reader, &message, &status) == 0;
    }
    assert_int_equal(kept, n);
    stage_wait(500);
    stage_say(
        &node); // less, for which there is none either; but when the first says less
    assert_int_equal(fleet_read(stage.fleet, span_of(name), &reader, &message, &status),
                     -ENODATA);
    node = stage_node("n0000");
    node.seq++;
    stage_say(&node);
    stage_take("n0000");
    node = stage_node(name);
    node.seq += 2;
    stage_say(&node);
    assert_int_equal(fleet_read(stage.fleet, span_of(name), &reader, &message, &status),
                     0);
}

/* Of those that have no place each may say much. */
static void test_full_for_long(void **unused)
{
    clock_t began;
    char name[16];

    (void)unused;
    for (int i = 0; i < FLEET_NODES_MAX; i++) {
        struct stage_node node;

        name_of(i, name);
        node = stage_node(name);
        node.n_models = 0;
        stage_say(&node);
    }
    began = clock();
    for (int i = 0; i < 20000; i++)
        stage_take("another");
    assert_true(clock() - began < CLOCKS_PER_SEC / 5);
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->link.refused, 20000);
}

static void test_read(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");
    uint64_t before;

    (void)unused;
    stage_say(&gpu1);
    assert_int_equal(ask("gpu1"), 0);
    before = status.message;
    stage_wait(500);
    stage_say(&gpu1);
    assert_int_equal(fleet_read(stage.fleet, span_of("gpu1"), &reader, &message, &status),
                     0);
    assert_true(status.message > before);
    assert_int_equal(status.state, NODE_LIVE);
    assert_int_equal(message.snapshot.seq, 2);
    assert_string_equal(message.head.node, "gpu1");
    assert_int_equal(message.snapshot.n_models, 2);
    before = status.message;
    gpu1.boot = "bbbbbbbbbbbbbbbb"; // it goes on to rise when the node is started anew
    gpu1.started_unix_ms++;
    gpu1.seq = 0;
    stage_say(&gpu1);
    assert_int_equal(ask("gpu1"), 0);
    assert_true(status.message > before);
    assert_int_equal(ask("gpu2"), -ENOENT);
    assert_int_equal(ask(""), -ENOENT);
    assert_int_equal(ask("gpu1@"), -ENOENT);
    assert_int_equal(ask("gpu1@01234567"), 0);
    assert_int_equal(ask("gpu1@11234567"), -ENOENT);
    assert_int_equal(ask("../x"), -ENOENT);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_set, stage_clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_one_node),
        STAGED(test_malformed),
        STAGED(test_rubbish_later),
        STAGED(test_flood),
        STAGED(test_old_and_twice),
        STAGED(test_outage),
        STAGED(test_ages),
        STAGED(test_skewed_clock),
        STAGED(test_delayed),
        STAGED(test_clocks_of_machines),
        STAGED(test_lost_and_forgotten),
        STAGED(test_full),
        STAGED(test_much),
        STAGED(test_full_for_long),
        STAGED(test_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
