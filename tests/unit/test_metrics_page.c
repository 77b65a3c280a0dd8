// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/metrics_accept.h"
#include "serve/metrics_page.h"

#define OPEN "application/openmetrics-text"

static const struct {
    const char *row;
    const char *accept; // NULL: no such field
    enum metrics_format format;
} accepts[] = {
    {"nothing said", NULL, METRICS_TEXT},
    {"nothing in it", "", METRICS_TEXT},
    {"anything", "*/*", METRICS_TEXT},
    {"a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
     METRICS_TEXT},
    {"Prometheus 2.42",
     OPEN ";version=1.0.0," OPEN ";version=0.0.1;q=0.75,"
          "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
     METRICS_OPENMETRICS},
    {"Prometheus 3, without protocol buffers",
     OPEN ";version=1.0.0;escaping=allow-utf-8;q=0.6," OPEN ";version=0.0.1;q=0.5,"
          "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
          "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
     METRICS_OPENMETRICS},
    {"Prometheus, told to prefer text",
     "text/plain;version=0.0.4;q=0.5," OPEN ";version=1.0.0;q=0.4", METRICS_TEXT},
    {"text alone", "text/plain", METRICS_TEXT},
    {"OpenMetrics alone", OPEN, METRICS_OPENMETRICS},
    {"in capitals, with blanks",
     " Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=1.0 , text/plain ; q=0.9 ",
     METRICS_OPENMETRICS},
    {"both alike", "text/plain," OPEN, METRICS_TEXT},
    {"both alike, by name and by range", "*/*," OPEN, METRICS_OPENMETRICS},
    {"the name counts more than the range", "*/*;q=0.9," OPEN ";q=0.1", METRICS_TEXT},
    {"a range of it", "application/*,text/plain;q=0.5", METRICS_OPENMETRICS},
    {"a version that there is not", OPEN ";version=2.0.0,*/*;q=0.1", METRICS_TEXT},
    {"of two versions the one that there is",
     OPEN ";version=2.0.0;q=0.9," OPEN ";version=1.0.0;q=0.6,text/plain;q=0.5",
     METRICS_OPENMETRICS},
    {"refused", OPEN ";q=0,text/plain;q=0", METRICS_TEXT},
    {"refused by name", "*/*;q=0.5," OPEN ";q=0", METRICS_TEXT},
    {"text refused, and all else taken", "text/plain;q=0,*/*", METRICS_OPENMETRICS},
    {"a weight that is none", OPEN ";q=x,text/plain;q=0.1", METRICS_TEXT},
    {"a weight above one", OPEN ";q=2,text/plain;q=0.1", METRICS_TEXT},
    {"a weight that is no number", OPEN ";q=NaN,text/plain;q=0.1", METRICS_TEXT},
    {"neither", "image/png", METRICS_TEXT},
    {"commas", ",,;,=,;;,", METRICS_TEXT},
    {"a longer word", OPEN "x,text/plain;q=0.1", METRICS_TEXT},
};

static void test_accept(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(accepts); i++) {
        struct span accept = {NULL, 0};

        if (accepts[i].accept)
            accept = span_of(accepts[i].accept);
        if (metrics_accept(accept) != accepts[i].format)
            fail_msg("[%s] the other one", accepts[i].row);
    }
}

static struct metrics_page *page;
static struct snapshot snapshots[2]; // too large for a stack

static int set_up(void **state)
{
    (void)state;
    snapshots[0].unix_ms = 1000;
    snapshots[0].self.subscribers = 1;
    snapshots[1].unix_ms = 2000;
    snapshots[1].self.subscribers = 2;
    return metrics_page_new(false, &page);
}

static int tear_down(void **state)
{
    (void)state;
    metrics_page_free(page);
    return 0;
}

static bool says(struct frame *frame, const char *line)
{
    struct span text = frame_event(frame);

    return memmem(text.at, text.len, line, strlen(line));
}

static struct frame *get(enum metrics_format format)
{
    struct frame *frame;

    assert_int_equal(metrics_page_get(page, format, &frame), 0);
    return frame;
}

static void test_made_once(void **state)
{
    struct frame *first, *again, *other, *next;

    (void)state;
    metrics_page_publish(page, &snapshots[0]);
    first = get(METRICS_TEXT);
    again = get(METRICS_TEXT);
    other = get(METRICS_OPENMETRICS);
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, other);
    assert_false(says(first, "# EOF"));
    assert_true(says(other, "# EOF"));
    metrics_page_publish(page, &snapshots[1]);
    next = get(METRICS_TEXT);
    assert_true(says(next, "vramscope_last_sample_timestamp_seconds 2\n"));
    assert_true(says(first, "vramscope_last_sample_timestamp_seconds 1\n"));
    frame_unref(first);
    frame_unref(again);
    frame_unref(other);
    frame_unref(next);
}

static void expect(const char *row, const char *line, bool there)
{
    struct frame *frame = get(METRICS_TEXT);

    if (says(frame, line) != there)
        fail_msg("[%s] %s", row, line);
    frame_unref(frame);
}

static void test_outage(void **state)
{
    struct snapshot_self self = {.subscribers = 7};

    (void)state;
    expect("at the start", "\nvramscope_up 0\n", true);
    expect("at the start", "vramscope_subscribers", false);
    expect("at the start", "vramscope_last_sample", false);
    metrics_page_tell_self(page, &self);
    metrics_page_publish(page, &snapshots[0]);
    expect("with figures", "\nvramscope_up 1\n", true);
    expect("with figures", "vramscope_subscribers 1\n", true);
    metrics_page_tell_self(page, &self);
    metrics_page_publish_outage(page, NULL);
    expect("out", "\nvramscope_up 0\n", true);
    expect("out", "vramscope_subscribers 7\n", true);
    expect("out", "vramscope_last_sample_timestamp_seconds 1\n", true);
    expect("out", "vramscope_vram_", false);
    self.subscribers = 8;
    metrics_page_tell_self(page, &self);
    metrics_page_publish_outage(page, NULL);
    expect("still out", "vramscope_subscribers 8\n", true);
    metrics_page_publish(page, &snapshots[1]);
    expect("back", "\nvramscope_up 1\n", true);
}

/* A gateway tells of its nodes, and of its connection, while none has figures. */
static void test_outage_of_a_gateway(void **state)
{
    struct fleet_node lost = {.name = "gpu17", .state = NODE_LOST, .age_ns = UNKNOWN};
    struct snapshot_fleet fleet = {.n_nodes = 1, .nodes = &lost};

    (void)state;
    fleet.by_state[NODE_LOST] = 1;
    metrics_page_publish_outage(page, &fleet);
    expect("out", "\nvramscope_up 0\n", true);
    expect("out", "\nvramscope_node_up{node=\"gpu17\"} 0\n", true);
    expect("out", "\nvramscope_fleet_nodes{state=\"lost\"} 1\n", true);
    expect("out", "\nvramscope_fleet_connected 0\n", true);
    expect("out", "vramscope_vram_", false);
    expect("out", "vramscope_model_", false);
    metrics_page_publish(page, &snapshots[1]);
    expect("back", "vramscope_fleet_", false); // that one is a host's
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),
        cmocka_unit_test_setup_teardown(test_made_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outage_of_a_gateway, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
