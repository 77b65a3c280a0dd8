// SPDX-License-Identifier: Apache-2.0
/* Runs under one name, one machine under two, and what is told of nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet_stage.h"

#include <pthread.h>
#include <stdatomic.h>

#define MACHINE_A "aaaaaaaa00000000aaaaaaaa00000000"
#define MACHINE_B "bbbbbbbb00000000bbbbbbbb00000000"
#define MACHINE_A2 "aaaaaaaa11111111aaaaaaaa00000000"

static struct fleet_status status;
static struct compact_reader reader;
static struct compact_message message;

static int ask(const char *name)
{
    return fleet_status(stage.fleet, span_of(name), stage.now_ns, &status);
}

/* Both go on for a while, the second to begin being heard first or last. */
static void speak_both(struct stage_node *one, struct stage_node *other, int times)
{
    for (int i = 0; i < times; i++) {
        stage_say(one);
        stage_wait(10);
        stage_say(other);
        stage_wait(490);
    }
}

/* Another run under a name takes the place of the one before. */
static void test_restart(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), again = gpu1;

    (void)unused;
    again.boot = "bbbbbbbbbbbbbbbb";
    again.started_unix_ms += 1000;
    again.n_models = 1;
    gpu1.seq = 1000;
    stage_say(&gpu1);
    stage_wait(700);
    stage_say(&again);
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_nodes, 1);
    assert_string_equal(stage_find("gpu1")->boot, again.boot);
    assert_false(stage_find("gpu1")->name_taken);
    assert_int_equal(stage.sum->models_bytes, 10 * GIB);
    stage_wait(999);
    stage_say(&gpu1); // it was on the way
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_nodes, 1);
    assert_string_equal(stage_find("gpu1")->boot, again.boot);
    for (int i = 0; i < 30; i++) {
        stage_wait(500);
        stage_say(&again);
        assert_int_equal(stage_state("gpu1"), NODE_LIVE);
    }
}

/* It was started anew with a clock that is behind: it goes on alone. */
/* Each speaks once a minute: neither has gone when the other does. */
static void test_slow_namesakes(void **unused)
{
    struct stage_node a = stage_node("gpu1"), b = stage_node("gpu1");

    (void)unused;
    a.interval_ms = b.interval_ms = 60000;
    b.machine = MACHINE_B;
    b.uuid = "other";
    b.boot = "bbbbbbbbbbbbbbbb";
    b.started_unix_ms++;
    for (int i = 0; i < 4; i++) {
        stage_say(&a);
        stage_wait(30000);
        stage_say(&b);
        stage_wait(30000);
    }
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_counted, 2);
}

static void test_restart_in_the_past(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), again = gpu1;

    (void)unused;
    again.boot = "bbbbbbbbbbbbbbbb";
    again.started_unix_ms -= 100000000;
    stage_say(&gpu1);
    stage_wait(500);
    stage_say(&again);
    stage_wait(500);
    stage_say(&again);
    stage_wait(500);
    stage_say(&again);
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_nodes, 1);
    assert_string_equal(stage_find("gpu1")->boot, again.boot);
    stage_wait(11000); // and when the one before is lost, at once
    gpu1.boot = "cccccccccccccccc";
    gpu1.started_unix_ms = 1;
    stage_say(&gpu1);
    assert_int_equal(stage_state("gpu1"), NODE_LIVE);
    assert_string_equal(stage_find("gpu1")->boot, gpu1.boot);
}

static void test_two_of_a_name(void **unused)
{
    for (int order = 0; order < 2; order++) {
        struct stage_node a = stage_node("gpu1"), b = a;

        (void)unused;
        assert_int_equal(stage_clear(NULL) | stage_set(NULL), 0);
        a.machine = MACHINE_A;
        b.machine = MACHINE_B;
        b.boot = "bbbbbbbbbbbbbbbb";
        b.uuid = "other";
        b.started_unix_ms++;
        speak_both(order ? &b : &a, order ? &a : &b, 1);
        (void)stage_sum();
        assert_int_equal(stage.sum->fleet->n_nodes, 1);
        assert_string_equal(stage_find("gpu1")->boot, b.boot); // it began last
        speak_both(order ? &b : &a, order ? &a : &b, 3);
        (void)stage_sum();
        assert_int_equal(stage.sum->fleet->n_nodes, 2);
        assert_int_equal(stage.sum->fleet->n_counted, 2);
        assert_string_equal(stage.sum->fleet->nodes[0].name, "gpu1@aaaaaaaa");
        assert_string_equal(stage.sum->fleet->nodes[1].name, "gpu1@bbbbbbbb");
        assert_true(stage.sum->fleet->nodes[0].name_taken);
        assert_true(stage.sum->fleet->nodes[1].name_taken);
        assert_int_equal(ask("gpu1"), -ENOTUNIQ);
        assert_non_null(strstr(status.reason, "gpu1@aaaaaaaa"));
        assert_non_null(strstr(status.reason, "gpu1@bbbbbbbb"));
        assert_int_equal(ask("gpu1@bbbbbbbb"), 0);
        assert_int_equal(ask("gpu1@cccccccc"), -ENOENT);
        fleet_watch(stage.fleet, span_of("gpu1@bbbbbbbb"), true);
        assert_int_equal(stage_say(&a), 0);
        assert_int_equal(stage_say(&b), 1);
        for (int i = 0; i < 21; i++) { // one of them ends
            stage_wait(500);
            stage_say(&a);
        }
        (void)stage_sum();
        assert_int_equal(stage.sum->fleet->n_nodes, 1);
        assert_false(stage_find("gpu1")->name_taken);
        assert_string_equal(stage_find("gpu1")->machine, MACHINE_A);
        assert_int_equal(ask("gpu1"), 0);
        assert_int_equal(ask("gpu1@aaaaaaaa"), 0);
        assert_int_equal(ask("gpu1@bbbbbbbb"), -ENOENT);
    }
}

/* Names between "gpu1" and "gpu1@...": the list is by name all the same. */
static void test_order_of_names(void **unused)
{
    static const char *const order[] = {"gpu1-x",        "gpu10", "gpu1@aaaaaaaa",
                                        "gpu1@bbbbbbbb", "gpu1_", "gpu2"};
    static struct stage_node others[4];
    struct stage_node a = stage_node("gpu1"), b = a;

    (void)unused;
    a.machine = MACHINE_A;
    b.machine = MACHINE_B;
    b.boot = "bbbbbbbbbbbbbbbb";
    speak_both(&a, &b, 4);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = stage_node((const char *[]){"gpu1-x", "gpu10", "gpu2", "gpu1_"}[i]);
        stage_say(&others[i]);
    }
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_nodes, ARRAY_LEN(order));
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        assert_string_equal(stage.sum->fleet->nodes[i].name, order[i]);
    assert_int_equal(stage.sum->fleet->n_counted, 6);
}

/* Where the machine does not tell them apart, the run does. */
static void test_names_by_boot(void **unused)
{
    struct stage_node a = stage_node("gpu1"), b = a, c = a;

    (void)unused;
    a.machine = MACHINE_A;
    b.machine = MACHINE_A2;
    c.machine = MACHINE_B;
    a.boot = "0a0a0a0a0a0a0a0a";
    b.boot = "cafe0123456789ab";
    c.boot = "dddddddddddddddd";
    b.started_unix_ms++;
    for (int i = 0; i < 4; i++) {
        speak_both(&a, &b, 1);
        stage_say(&c);
    }
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_nodes, 3);
    assert_string_equal(stage.sum->fleet->nodes[0].name, "gpu1@0a0a0a0a"); // its boot
    assert_string_equal(stage.sum->fleet->nodes[1].name, "gpu1@bbbbbbbb");
    assert_string_equal(stage.sum->fleet->nodes[2].name, "gpu1@cafe0123");
}

/* No two are called alike, whatever a hostile one says that it is. */
static void test_names_alike(void **unused)
{
    static const struct {
        const char *row, *machine, *boot;
        uint32_t nodes;
    } rows[] = {
        {"another", MACHINE_B, "0000000000000000", 2},
        {"the digits of the boot", MACHINE_B, "0a0a0a0affffffff", 1},
        {"no machine, and these", "", "0a0a0a0affffffff", 1},
        {"the machine's digits as its boot", MACHINE_B, "aaaaaaaaffffffff", 1},
        {"the boot's as its machine", "0a0a0a0a", "0000000000000000", 1},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage_node a = stage_node("gpu1"), b = a;
        char complaint[256];

        print_message("# %s\n", rows[i].row);
        assert_int_equal(stage_clear(NULL) | stage_set(NULL), 0);
        a.machine = MACHINE_A;
        a.boot = "0a0a0a0a0a0a0a0a";
        b.machine = rows[i].machine;
        b.boot = rows[i].boot;
        speak_both(&a, &b, 4);
        (void)stage_sum();
        assert_int_equal(stage.sum->fleet->n_nodes, rows[i].nodes);
        assert_int_equal(fleet_complaint(stage.fleet, complaint, sizeof(complaint)),
                         rows[i].nodes == 1);
        if (rows[i].nodes > 1)
            continue;
        assert_string_equal(stage.sum->fleet->nodes[0].name, "gpu1");
        assert_string_equal(stage.sum->fleet->nodes[0].boot, a.boot);
        assert_int_equal(stage.sum->fleet->nodes[0].malformed, 4);
        assert_non_null(strstr(complaint, "cannot be told from another's"));
    }
}

static void test_at_most_four(void **unused)
{
    static struct stage_node nodes[6];
    char machines[6][33];

    (void)unused;
    for (int i = 0; i < 6; i++) {
        (void)snprintf(machines[i], sizeof(machines[i]), "%032d", i);
        machines[i][0] = (char)('a' + i);
        nodes[i] = stage_node("gpu1");
        nodes[i].machine = machines[i];
        nodes[i].boot = machines[i];
    }
    for (int i = 0; i < 6; i++)
        nodes[i].boot = (const char *[]){"a", "b", "c", "d", "e", "f"}[i];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 6; i++)
            stage_say(&nodes[i]);
        stage_wait(500);
    }
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_nodes, 4);
    assert_true(stage.sum->fleet->link.refused > 0);
}

/* One machine with the same GPUs counts once, whatever its daemons are called. */
static void test_one_machine_twice(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), gpu2 = stage_node("gpu2"),
                      gpu3 = stage_node("gpu3");

    (void)unused;
    gpu2.uuid = "gpu1";
    gpu2.started_unix_ms++;
    for (int i = 0; i < 4; i++) {
        if (i == 1)
            gpu2.uuid = "gpu2"; // each has GPUs of its own
        if (i == 2)
            gpu1.n_devices = gpu2.n_devices = 0; // none has any
        if (i == 3) {
            gpu1.n_devices = gpu2.n_devices = 2;
            gpu1.uuid = gpu2.uuid = "the same";
            gpu1.started_unix_ms += 2;
        }
        stage_say(&gpu1);
        stage_say(&gpu2);
        assert_int_equal(stage_sum(), 0);
        assert_int_equal(stage.sum->fleet->n_nodes, 2);
        assert_int_equal(stage.sum->fleet->n_counted, i == 1 || i == 2 ? 2 : 1);
        assert_int_equal(stage_find("gpu1")->counted, i != 0);
        assert_int_equal(stage_find("gpu2")->counted, i != 3);
        if (i == 0)
            assert_non_null(strstr(stage_find("gpu1")->reason, "gpu2"));
    }
    gpu3.uuid = "the same"; // a third, whichever comes last in the list
    gpu3.started_unix_ms = gpu2.started_unix_ms--;
    gpu1.started_unix_ms = gpu2.started_unix_ms - 1;
    stage_say(&gpu1);
    stage_say(&gpu2);
    stage_say(&gpu3);
    for (int i = 0; i < 2; i++) {
        (void)stage_sum();
        assert_int_equal(stage.sum->fleet->n_counted, 1);
        assert_int_equal(stage_find(i ? "gpu2" : "gpu3")->counted, true);
        gpu2.started_unix_ms += 5;
        stage_say(&gpu2);
    }
    stage_wait(10001); // the other counts when the first is lost
    stage_say(&gpu2);
    (void)stage_sum();
    assert_true(stage_find("gpu2")->counted);
    assert_int_equal(stage.sum->models_bytes, 20 * GIB);
}

static struct event event;

static bool next_event(void)
{
    return fleet_next_event(stage.fleet, &event);
}

static void add_event(struct stage_node *node, uint64_t id, int64_t unix_ms)
{
    struct event *to = &node->events[node->n_events++];

    memset(to, 0, sizeof(*to));
    to->id = id;
    to->unix_ms = unix_ms;
    to->kind = EVENT_KV_HIGH;
    (void)snprintf(to->text, sizeof(to->text), "event %d", (int)id);
}

/* Two gateways of one fleet say the same. */
static void test_gateways(void **unused)
{
    struct stage_node a = stage_node("east"), b = a;

    (void)unused;
    a.gateway = b.gateway = true;
    a.nodes = b.nodes = 40;
    a.n_devices = b.n_devices = 0;
    a.machine = MACHINE_A;
    b.machine = MACHINE_B;
    b.boot = "bbbbbbbbbbbbbbbb";
    speak_both(&a, &b, 4);
    (void)stage_sum();
    assert_int_equal(stage.sum->fleet->n_nodes, 2);
    assert_int_equal(stage.sum->fleet->n_counted, 1);
    assert_true(stage_find("east@bbbbbbbb")->counted);
    assert_true(stage_find("east@bbbbbbbb")->is_gateway);
    assert_int_equal(stage_find("east@bbbbbbbb")->nodes, 40);
    assert_int_equal(stage_find("east@bbbbbbbb")->n_devices, 0);
    assert_int_equal(stage.sum->models_bytes, 20 * GIB);
    assert_non_null(strstr(stage_find("east@aaaaaaaa")->reason, "east@bbbbbbbb"));
    assert_false(stage_find("east@aaaaaaaa")->name_taken); // they share it on purpose
    assert_false(next_event());
    assert_int_equal(fleet_read(stage.fleet, span_of("east"), &reader, &message, &status),
                     0);
    assert_string_equal(message.head.boot, b.boot);
    add_event(&a, 1, (int64_t)stage_unix()); // each tells what the nodes have told
    add_event(&b, 1, (int64_t)stage_unix());
    speak_both(&a, &b, 1);
    assert_true(next_event());
    assert_string_equal(event.node, "east");
    assert_false(next_event());
    for (int i = 0; i < 5; i++) {
        stage_wait(500);
        stage_say(&a);
    }
    add_event(&a, 2, (int64_t)stage_unix());
    stage_say(&a);
    assert_true(next_event()); // the other says nothing any more
}

/* A second gateway of one fleet has not heard all nodes when it begins. */
static void test_gateway_that_begins(void **unused)
{
    struct stage_node a = stage_node("east"), b = a;

    (void)unused;
    a.gateway = b.gateway = true;
    a.nodes = 40;
    b.nodes = 39;
    a.n_devices = b.n_devices = 0;
    b.n_models = 1;
    b.boot = "bbbbbbbbbbbbbbbb";
    b.started_unix_ms++;
    stage_say(&a);
    for (int i = 0; i < 6; i++) {
        speak_both(&a, &b, 1);
        (void)stage_sum();
        assert_int_equal(stage.sum->fleet->n_counted, 1);
        assert_int_equal(stage.sum->models_bytes, 20 * GIB);
    }
    assert_int_equal(stage.sum->fleet->n_nodes, 2);
    assert_true(stage_find("east@aaaaaaaa")->counted);
    b.nodes = 41;
    speak_both(&a, &b, 1);
    (void)stage_sum();
    assert_true(stage_find("east@bbbbbbbb")->counted);
}

static void test_events_of_nodes(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), again;
    int64_t year = INT64_C(365) * 86400000;
    int64_t now = (int64_t)stage_unix() - year; // by its clock

    (void)unused;
    gpu1.wall_ahead_ms = -year;
    add_event(&gpu1, 7, now - 60001);
    add_event(&gpu1, 8, now - 60000);
    stage_say(&gpu1);
    assert_true(next_event());
    assert_string_equal(event.text, "event 8");
    assert_string_equal(event.node, "gpu1");
    assert_int_equal(event.kind, EVENT_KV_HIGH);
    assert_int_equal(event.unix_ms, (int64_t)stage_unix() - 60000); // by ours
    assert_false(next_event());
    stage_wait(500);
    add_event(&gpu1, 9, now + 400);
    stage_say(&gpu1);
    assert_true(next_event());
    assert_string_equal(event.text, "event 9");
    assert_false(next_event());
    stage_say(&gpu1);
    assert_false(next_event());

    again = gpu1; // its numbers go on, as its history is kept
    again.boot = "bbbbbbbbbbbbbbbb";
    again.started_unix_ms++;
    add_event(&again, 10, now + 450);
    stage_say(&again);
    assert_true(next_event());
    assert_string_equal(event.text, "event 10");
    assert_false(next_event());

    again.boot = "cccccccccccccccc"; // or begin anew
    again.started_unix_ms++;
    again.n_events = 0;
    add_event(&again, 1, now + 480);
    stage_say(&again);
    assert_true(next_event());
    assert_string_equal(event.text, "event 1");
    assert_false(next_event());
}

static void expect_event(enum event_kind kind, const char *node, const char *text)
{
    assert_true(next_event());
    assert_int_equal(event.kind, kind);
    assert_string_equal(event.node, node);
    assert_non_null(strstr(event.text, text));
    assert_in_range(stage_unix() - (uint64_t)event.unix_ms, 0, 500);
}

static void test_events_of_the_fleet(void **unused)
{
    struct stage_node a = stage_node("gpu1"), b = stage_node("gpu2"),
                      twin = stage_node("gpu2");

    (void)unused;
    stage_say(&a);
    (void)stage_sum();
    stage_wait(5000);
    stage_say(&a);
    (void)stage_sum();
    assert_false(next_event()); // all are found in the first seconds
    stage_wait(1);
    stage_say(&b);
    (void)stage_sum();
    expect_event(EVENT_NODE_FOUND, "gpu2", "node gpu2 with 2 GPUs");
    assert_false(next_event());
    stage_wait(10001);
    stage_say(&b);
    (void)stage_sum();
    expect_event(EVENT_NODE_LOST, "gpu1", "it has said nothing for 10 s");
    (void)stage_sum();
    assert_false(next_event());
    a.boot = "bbbbbbbbbbbbbbbb"; // a new run of it
    stage_say(&a);
    (void)stage_sum();
    expect_event(EVENT_NODE_BACK, "gpu1", "back");
    assert_false(next_event());
    twin.machine = MACHINE_B;
    twin.boot = "bbbbbbbbbbbbbbbb";
    speak_both(&b, &twin, 4);
    (void)stage_sum();
    expect_event(EVENT_NODE_NAME_TAKEN, "gpu2", "gpu2@bbbbbbbb");
    for (int i = 0; i < 21; i++) {
        stage_wait(500);
        stage_say(&a);
        stage_say(&b);
        (void)stage_sum();
    }
    expect_event(EVENT_NODE_LOST, "gpu2@bbbbbbbb", "nothing for 10 s");
    assert_false(next_event());
}

static void test_ring_of_events(void **unused)
{
    int n = 0;

    (void)unused;
    for (uint64_t i = 1; i <= FLEET_EVENTS + 10; i++) {
        struct stage_node node;
        char name[16];

        (void)snprintf(name, sizeof(name), "gpu%llu", (unsigned long long)i);
        node = stage_node(name);
        add_event(&node, i, (int64_t)stage_unix());
        stage_say(&node);
    }
    for (; next_event(); n++)
        assert_int_equal(atoi(event.text + 6), n + 11);
    assert_int_equal(n, FLEET_EVENTS);
}

/* As when a server is away. */
static void test_many_at_once(void **unused)
{
    static struct stage_node nodes[40];
    char names[40][16];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "gpu%02d", (int)i);
        nodes[i] = stage_node(names[i]);
        stage_say(&nodes[i]);
    }
    (void)stage_sum();
    assert_false(next_event());
    for (int back = 0; back < 2; back++) {
        stage_wait(10001);
        for (size_t i = 0; back && i < ARRAY_LEN(nodes); i++)
            stage_say(&nodes[i]);
        (void)stage_sum();
        for (int i = 0; i < 16; i++)
            expect_event(back ? EVENT_NODE_BACK : EVENT_NODE_LOST, names[i], names[i]);
        expect_event(back ? EVENT_NODE_BACK : EVENT_NODE_LOST, "",
                     back ? "24 more nodes are back" : "24 more nodes are lost");
        assert_false(next_event());
    }
}

static void test_flood_of_events(void **unused)
{
    struct stage_node hostile = stage_node("gpu1"), gpu2 = stage_node("gpu2");
    int n[2] = {0};

    (void)unused;
    add_event(&gpu2, 1, (int64_t)stage_unix());
    stage_say(&gpu2);
    for (uint64_t i = 1; i <= 4000; i += 4) {
        hostile.n_events = 0;
        for (uint64_t j = i; j < i + 4; j++)
            add_event(&hostile, j, (int64_t)stage_unix());
        stage_say(&hostile);
        stage_wait(50);
    }
    while (next_event())
        n[strcmp(event.node, "gpu2") == 0]++;
    assert_int_equal(n[1], 1);
    assert_in_range(n[0], 176, 180); // 50 s, and what may be told at once
}

/* What a gateway tells is of its nodes: which, its text says. */
static void test_events_of_a_gateway(void **unused)
{
    struct stage_node eu = stage_node("eu");

    (void)unused;
    eu.gateway = true;
    eu.nodes = 2;
    add_event(&eu, 1, (int64_t)stage_unix());
    (void)snprintf(eu.events[0].node, sizeof(eu.events[0].node), "gpu17");
    add_event(&eu, 2, (int64_t)stage_unix());
    (void)snprintf(eu.events[1].node, sizeof(eu.events[1].node), "gpu17");
    (void)snprintf(eu.events[1].text, sizeof(eu.events[1].text), "node gpu17 is lost");
    eu.events[1].kind = EVENT_NODE_LOST;
    stage_say(&eu);
    expect_event(EVENT_KV_HIGH, "eu", "gpu17: event 1");
    expect_event(EVENT_NODE_LOST, "eu", "eu: node gpu17 is lost");
    assert_memory_equal(event.text, "eu: node", 8); // and no node of ours
}

static atomic_bool over;

/* Asks all that may be asked, as ticks and connections do. */
static void *sum_on(void *unused)
{
    static struct compact_reader own_reader;
    static struct compact_message read;
    struct fleet_status told;
    char complaint[128];

    (void)unused;
    while (!atomic_load(&over)) {
        (void)stage_sum();
        if (fleet_status(stage.fleet, span_of("gpu1"), STAGE_START, &told) == 0 &&
            fleet_read(stage.fleet, span_of("gpu1"), &own_reader, &read, &told) == 0)
            assert_string_equal(read.head.node, "gpu1");
        (void)fleet_next_event(stage.fleet, &event);
        (void)fleet_complaint(stage.fleet, complaint, sizeof(complaint));
        fleet_watch(stage.fleet, span_of("gpu1"), true);
    }
    return NULL;
}

static void test_two_threads(void **unused)
{
    struct stage_node a = stage_node("gpu1"), b = stage_node("gpu1");
    pthread_t thread;

    (void)unused;
    b.machine = MACHINE_B;
    b.boot = "bbbbbbbbbbbbbbbb";
    over = false;
    assert_int_equal(pthread_create(&thread, NULL, sum_on, NULL), 0);
    for (uint64_t i = 0; i < 2000; i++) {
        struct stage_node *node = i % 2 ? &a : &b;

        node->seq++;
        stage_fill(node, &stage.said);
        stage_write(node);
        (void)fleet_take(stage.fleet, span_of("gpu1"), buf_span(&stage.out),
                         STAGE_START + i * SECOND / 10, STAGE_UNIX);
        (void)fleet_take(stage.fleet, span_of("x"), span_of("rubbish"),
                         STAGE_START + i * SECOND / 10, STAGE_UNIX);
    }
    atomic_store(&over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_set, stage_clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_restart),         STAGED(test_restart_in_the_past),
        STAGED(test_two_of_a_name),   STAGED(test_order_of_names),
        STAGED(test_names_by_boot),   STAGED(test_names_alike),
        STAGED(test_at_most_four),    STAGED(test_one_machine_twice),
        STAGED(test_gateways),        STAGED(test_gateway_that_begins),
        STAGED(test_events_of_nodes), STAGED(test_events_of_the_fleet),
        STAGED(test_ring_of_events),  STAGED(test_many_at_once),
        STAGED(test_flood_of_events), STAGED(test_events_of_a_gateway),
        STAGED(test_slow_namesakes),  STAGED(test_two_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
