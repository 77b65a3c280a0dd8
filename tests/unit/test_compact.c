// SPDX-License-Identifier: Apache-2.0
/* What is written as a compact message is read again, whole; what is hostile is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/compact_fields.h"
#include "encode/detail.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum { ROUNDS = 300, TIMED = 2000 };

static struct snapshot snapshot;
static struct compact_head head;
static struct compact_writer writer;
static struct compact_reader reader;
static struct compact_message message;
static struct buf out;
static uint64_t seed = 88172645463325252ULL;

static const char *const literals[] = {NULL, "no page yet",
                                       "the size of a block is not known",
                                       "sleeping: its pool is gone", "an estimate"};

static uint64_t random_u64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static uint64_t below(uint64_t n)
{
    return random_u64() % n;
}

/* Small, large, 0, and of every length between. */
static uint64_t any_number(void)
{
    return random_u64() >> below(64);
}

static struct figure any_figure(void)
{
    struct figure figure = {any_number() >> 1, MEASURED + (enum provenance)below(4),
                            literals[below(5)], any_number()};

    if (below(4) == 0)
        figure = figure_unknown(literals[1 + below(4)]);
    return figure;
}

static void any_text(char *text, size_t room)
{
    size_t len = below(4) ? below(MIN(room, (size_t)40)) : room - 1;

    for (size_t i = 0; i < len; i++)
        text[i] = (char)(' ' + below(95));
    text[len] = '\0';
}

static void any_via(struct fleet_via *via)
{
    via->n = (uint32_t)below(below(2) ? 3 : FLEET_VIA_MAX + 1);
    for (uint32_t i = 0; i < via->n; i++)
        via->ids[i] = random_u64();
}

/* A member of its kind; numbers that stand for words, and indices, are set later. */
static void fill_member(const struct compact_field *field, char *member)
{
    uint64_t number = any_number();
    double real = below(5) ? (double)below(1000000) / 1000 : (double)NAN;
    struct figure figure = any_figure();
    const char *literal = literals[below(5)];
    enum event_kind kind = (enum event_kind)below(EVENT_KINDS);

    switch ((enum compact_kind)field->kind) {
    case COMPACT_NONE:
        break;
    case COMPACT_NUMBER:
        number = field->size == 1 ? number & 1 : number;
        memcpy(member, &number, field->size);
        break;
    case COMPACT_COUNT:
    case COMPACT_INSTANCE:
        number = below(5) ? number : UNKNOWN;
        memcpy(member, &number, field->size);
        break;
    case COMPACT_SIGNED:
        memcpy(member, &number, field->size);
        break;
    case COMPACT_REAL:
        memcpy(member, &real, sizeof(real));
        break;
    case COMPACT_TEXT:
        any_text(member, field->size);
        break;
    case COMPACT_LITERAL:
        memcpy(member, &literal, sizeof(literal));
        break;
    case COMPACT_EVENT_KIND:
        memcpy(member, &kind, sizeof(kind));
        break;
    case COMPACT_FIGURE:
        memcpy(member, &figure, sizeof(figure));
        break;
    case COMPACT_VIA:
        any_via((struct fleet_via *)(void *)member);
        break;
    }
}

static void fill(enum compact_part part, void *row)
{
    for (size_t i = 1; i < compact_tables[part].n; i++)
        fill_member(&compact_tables[part].fields[i],
                    (char *)row + compact_tables[part].fields[i].offset);
}

/* A member that has no field is then not 0: the documents will differ. */
static void spoil_rows(void)
{
    memset(snapshot.sources, 1, sizeof(snapshot.sources));
    memset(snapshot.devices, 1, sizeof(snapshot.devices));
    memset(snapshot.models, 1, sizeof(snapshot.models));
    memset(snapshot.processes, 1, sizeof(snapshot.processes));
    memset(snapshot.events, 1, sizeof(snapshot.events));
    for (size_t i = 0; i < SNAPSHOT_EVENTS_MAX; i++)
        snapshot.events[i].node[0] = '\0'; // whose it is the head says
}

static void fill_rows(void)
{
    spoil_rows();
    for (uint32_t i = 0; i < snapshot.n_sources; i++) {
        fill(COMPACT_PART_SOURCE, &snapshot.sources[i]);
        snapshot.sources[i].verdict %= GPU_VERDICTS;
    }
    for (uint32_t i = 0; i < snapshot.n_devices; i++) {
        fill(COMPACT_PART_DEVICE, &snapshot.devices[i]);
        snapshot.devices[i].source = (uint32_t)below(snapshot.n_sources);
    }
    for (uint32_t i = 0; i < snapshot.n_models; i++) {
        fill(COMPACT_PART_MODEL, &snapshot.models[i]);
        snapshot.models[i].state %= ENGINE_STATES;
    }
    for (uint32_t i = 0; i < snapshot.n_processes; i++) {
        fill(COMPACT_PART_PROCESS, &snapshot.processes[i]);
        snapshot.processes[i].device = (uint32_t)below(snapshot.n_devices);
        snapshot.processes[i].owner %= 3;
    }
    for (uint32_t i = 0; i < snapshot.n_events; i++)
        fill(COMPACT_PART_EVENT, &snapshot.events[i]);
    for (size_t i = 0; i < snapshot.self.n_limited; i++) {
        fill(COMPACT_PART_LIMITED, &snapshot.self.limited[i]);
        snapshot.self.limited[i].what = literals[1 + below(4)];
    }
}

/* A host that tells all of its models does not say what they come to. */
static void no_sums(void)
{
    static const struct hit_counts unknown = {(double)NAN, (double)NAN};

    head.requests_running = head.requests_waiting = head.kv_pool_unknown = UNKNOWN;
    head.kv_pool_bytes = figure_unknown("its node does not say why");
    head.prefix_minute = head.prefix_five_minutes = head.prefix_lifetime = unknown;
}

static void make(uint32_t devices, uint32_t models)
{
    memset(&snapshot, 0, sizeof(snapshot));
    fill(COMPACT_PART_HEAD, &head);
    fill(COMPACT_PART_TOTALS, &snapshot);
    fill(COMPACT_PART_SELF, &snapshot.self);
    snapshot.hit_percent = (double)below(10001) / 100;
    snapshot.n_sources = 1 + (uint32_t)below(GPU_SOURCES_MAX);
    snapshot.n_devices = devices;
    snapshot.n_models = models;
    snapshot.n_processes = devices ? (uint32_t)below(COMPACT_PROCESSES_MAX + 1) : 0;
    snapshot.n_events = (uint32_t)below(SNAPSHOT_EVENTS_MAX + 1);
    snapshot.self.n_limited = below(SNAPSHOT_LIMITED_MAX + 1);
    fill_rows();
    strcpy(head.node, "node-1");
    strcpy(head.boot, "0123456789abcdef");
    head.unix_ms = snapshot.unix_ms = any_number();
    head.models_left_out = head.processes_left_out = 0;
    no_sums();
}

static int write_it(size_t max)
{
    return compact_write(&writer, &out, &head, &snapshot, &snapshot.self, max);
}

static int read_it(void)
{
    memset(&message, 0xa5, sizeof(message)); // what is left over must not show
    return compact_read(&reader, buf_span(&out), &message);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_figure(const char *a, const char *b)
{
    struct figure one, two;

    memcpy(&one, a, sizeof(one));
    memcpy(&two, b, sizeof(two));
    return one.value == two.value && one.how == two.how && one.error == two.error &&
           same_text(one.why, two.why);
}

static bool same_member(const struct compact_field *field, const char *a, const char *b)
{
    const char *one, *two;
    uint32_t n;

    switch ((enum compact_kind)field->kind) {
    case COMPACT_NONE:
        return true;
    case COMPACT_TEXT:
        return strcmp(a, b) == 0;
    case COMPACT_LITERAL:
        memcpy(&one, a, sizeof(one));
        memcpy(&two, b, sizeof(two));
        return same_text(one, two);
    case COMPACT_FIGURE:
        return same_figure(a, b);
    case COMPACT_VIA:
        memcpy(&n, a, sizeof(n));
        return memcmp(a, b, offsetof(struct fleet_via, ids) + n * sizeof(uint64_t)) == 0;
    default:
        return memcmp(a, b, field->size) == 0; // NANs are the same one
    }
}

static void assert_same(enum compact_part part, const void *a, const void *b)
{
    for (size_t i = 1; i < compact_tables[part].n; i++) {
        const struct compact_field *field = &compact_tables[part].fields[i];

        if (!same_member(field, (const char *)a + field->offset,
                         (const char *)b + field->offset))
            fail_msg("part %d: %s is another", (int)part, field->name);
    }
}

static void assert_same_rows(void)
{
    const struct snapshot *got = &message.snapshot;

    assert_int_equal(got->n_devices, snapshot.n_devices);
    assert_int_equal(got->n_models, snapshot.n_models);
    assert_int_equal(got->n_processes, snapshot.n_processes);
    assert_int_equal(got->n_events, snapshot.n_events);
    for (uint32_t i = 0; i < snapshot.n_sources; i++)
        assert_same(COMPACT_PART_SOURCE, &got->sources[i], &snapshot.sources[i]);
    for (uint32_t i = 0; i < snapshot.n_devices; i++)
        assert_same(COMPACT_PART_DEVICE, &got->devices[i], &snapshot.devices[i]);
    for (uint32_t i = 0; i < snapshot.n_models; i++)
        assert_same(COMPACT_PART_MODEL, &got->models[i], &snapshot.models[i]);
    for (uint32_t i = 0; i < snapshot.n_processes; i++)
        assert_same(COMPACT_PART_PROCESS, &got->processes[i], &snapshot.processes[i]);
    for (uint32_t i = 0; i < snapshot.n_events; i++)
        assert_same(COMPACT_PART_EVENT, &got->events[i], &snapshot.events[i]);
    for (size_t i = 0; i < snapshot.self.n_limited; i++)
        assert_same(COMPACT_PART_LIMITED, &got->self.limited[i],
                    &snapshot.self.limited[i]);
}

/* The tables know nothing of this document: a field that they lack is missing there. */
static void assert_same_document(void)
{
    static const struct detail_origin origin = {
        .boot = "0123456789abcdef", .version = "1.2.3", .interval_ms = 500};
    struct buf one, two;

    buf_init(&one, DETAIL_MAX);
    buf_init(&two, DETAIL_MAX);
    detail_write(&one, &snapshot, &origin);
    detail_write(&two, &message.snapshot, &origin);
    assert_int_equal(one.error, 0);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    buf_done(&one);
    buf_done(&two);
}

/* What is kept of a message is whole when another is read over it. */
static void assert_same_copy(void)
{
    static struct snapshot copied;
    static char kept[COMPACT_LITERALS_MAX];

    memset(&copied, 0xa5, sizeof(copied));
    copied.fleet = NULL;
    compact_copy(&message, &copied, kept);
    memset(&message, 0xa5, sizeof(message));
    message.snapshot = copied;
    assert_same(COMPACT_PART_TOTALS, &message.snapshot, &snapshot);
    assert_same(COMPACT_PART_SELF, &message.snapshot.self, &snapshot.self);
    assert_same_rows();
    assert_same_document();
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        make((uint32_t)below(GPU_DEVICES_MAX + 1),
             (uint32_t)below(SNAPSHOT_MODELS_MAX + 1));
        assert_int_equal(write_it(COMPACT_MAX), 0);
        assert_int_equal(read_it(), 0);
        assert_true(message.has_figures);
        assert_same(COMPACT_PART_HEAD, &message.head, &head);
        assert_same(COMPACT_PART_TOTALS, &message.snapshot, &snapshot);
        assert_same(COMPACT_PART_SELF, &message.snapshot.self, &snapshot.self);
        assert_same_rows();
        assert_same_document();
        assert_same_copy();
    }
}

static void test_zero_is_not_unknown(void **state)
{
    (void)state;
    make(1, 1);
    snapshot.models_bytes = 0;
    snapshot.other_bytes = UNKNOWN;
    snapshot.devices[0].mem_used_bytes = 0;
    snapshot.devices[0].mem_total_bytes = UNKNOWN;
    snapshot.models[0].allocated_bytes = figure_of(0, MEASURED, NULL);
    snapshot.models[0].kv_pool_bytes = figure_unknown("w");
    snapshot.models[0].page.kv_usage_ratio = 0;
    assert_int_equal(write_it(COMPACT_MAX), 0);
    assert_int_equal(read_it(), 0);
    assert_int_equal(message.snapshot.models_bytes, 0);
    assert_true(message.snapshot.other_bytes == UNKNOWN);
    assert_int_equal(message.snapshot.devices[0].mem_used_bytes, 0);
    assert_true(message.snapshot.devices[0].mem_total_bytes == UNKNOWN);
    assert_int_equal(message.snapshot.models[0].allocated_bytes.how, MEASURED);
    assert_int_equal(message.snapshot.models[0].kv_pool_bytes.how, FROM_NOWHERE);
    assert_string_equal(message.snapshot.models[0].kv_pool_bytes.why, "w");
    assert_true(message.snapshot.models[0].page.kv_usage_ratio == 0);
}

static void test_outage(void **state)
{
    (void)state;
    make(4, 4);
    strcpy(head.outage_code, "no-driver");
    assert_int_equal(
        compact_write(&writer, &out, &head, NULL, &snapshot.self, COMPACT_MAX), 0);
    assert_int_equal(read_it(), 0);
    assert_false(message.has_figures);
    assert_string_equal(message.head.outage_code, "no-driver");
    assert_int_equal(message.snapshot.n_models, 0);
    assert_int_equal(message.snapshot.self.subscribers, snapshot.self.subscribers);
}

/* What a gateway says of itself to another, and what a host does not say. */
static void test_gateway(void **state)
{
    (void)state;
    make(1, 1);
    head.gateway = true;
    head.nodes = 1000;
    assert_int_equal(write_it(COMPACT_MAX), 0);
    assert_int_equal(read_it(), 0);
    assert_true(message.head.gateway);
    assert_int_equal(message.head.nodes, 1000);
    head.gateway = false;
    head.nodes = 0;
    assert_int_equal(write_it(COMPACT_MAX), 0);
    assert_int_equal(read_it(), 0);
    assert_false(message.head.gateway);
    assert_int_equal(message.head.nodes, 0);
}

/* 64 models, every text as long as it can be. */
static void make_largest(uint32_t devices)
{
    make(devices, SNAPSHOT_MODELS_MAX);
    snapshot.n_processes = SNAPSHOT_PROCESSES_MAX;
    fill_rows();
    for (uint32_t i = 0; i < SNAPSHOT_MODELS_MAX; i++) {
        struct snapshot_model *model = &snapshot.models[i];

        memset(model->served_name, 'a' + (int)(i % 26), ENGINE_NAME_MAX);
        (void)snprintf(model->served_name, 8, "m%06u", i);
        model->served_name[7] = 'x';
        memset(model->why, 'w', sizeof(model->why) - 1);
        (void)snprintf(model->why, 8, "w%06u", i);
        model->allocated_bytes = figure_of((uint64_t)i << 30, MEASURED, NULL);
    }
    for (uint32_t i = 0; i < devices; i++) {
        memset(snapshot.devices[i].reason, 'r', GPU_REASON_MAX - 1);
        (void)snprintf(snapshot.devices[i].reason, 8, "r%06u", i);
    }
}

static void test_largest(void **state)
{
    (void)state;
    make_largest(GPU_DEVICES_MAX);
    assert_int_equal(write_it(COMPACT_MAX), 0);
    assert_int_equal(read_it(), 0);
    assert_int_equal(message.snapshot.n_models, SNAPSHOT_MODELS_MAX);
    assert_int_equal(message.head.models_left_out, 0);
    assert_int_equal(message.snapshot.n_processes, COMPACT_PROCESSES_MAX);
    assert_int_equal(message.head.processes_left_out, SNAPSHOT_PROCESSES_MAX -
                                                          COMPACT_PROCESSES_MAX +
                                                          snapshot.processes_left_out);
    print_message("the largest message: %zu bytes\n", out.len);
}

static void test_cut(void **state)
{
    static const size_t sizes[] = {64 * 1024, 32 * 1024, 16 * 1024, 12 * 1024};

    (void)state;
    make(16, SNAPSHOT_MODELS_MAX);
    for (uint32_t i = 0; i < SNAPSHOT_MODELS_MAX; i++)
        snapshot.models[i].allocated_bytes =
            figure_of((uint64_t)((i * 7) % 64) << 30, MEASURED, NULL);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t least = UINT64_MAX;
        size_t kept;

        assert_int_equal(write_it(sizes[i]), 0);
        assert_true(out.len <= sizes[i]);
        assert_int_equal(read_it(), 0);
        kept = message.snapshot.n_models;
        assert_int_equal(kept + message.head.models_left_out, SNAPSHOT_MODELS_MAX);
        for (size_t k = 0; k < kept; k++)
            least = MIN(least, message.snapshot.models[k].allocated_bytes.value);
        if (kept) // those that are left are the largest
            assert_int_equal(least >> 30, SNAPSHOT_MODELS_MAX - kept);
        assert_int_equal(message.snapshot.n_devices, 16);
        assert_same(COMPACT_PART_TOTALS, &message.snapshot, &snapshot);
    }
    assert_true(message.head.models_left_out > 0);
    assert_int_equal(write_it(200), -E2BIG);
}

/* A field of each wire type that nobody has defined yet. */
static const char strange[] = "\xf8\x07\x05"                     // 127: varint
                              "\xf9\x07\1\2\3\4\5\6\7\10"        // fixed64
                              "\xfa\x07\x03"                     // bytes
                              "abc"                              //
                              "\xfd\x07\1\2\3\4"                 // fixed32
                              "\xf8\xff\xff\xff\x0f\xff\xff\x7f" // a large number
    ;

static void test_unknown_fields(void **state)
{
    size_t len;

    (void)state;
    make(8, 4);
    assert_int_equal(write_it(COMPACT_MAX), 0);
    len = out.len;
    buf_add(&out, strange, sizeof(strange) - 1);
    // A further model, of which only what is strange is said, and its port.
    buf_add(&out, "\x32", 1);
    buf_add_char(&out, (char)(sizeof(strange) - 1 + 2));
    buf_add(&out, strange, sizeof(strange) - 1);
    buf_add(&out, "\x18\x50", 2);
    assert_int_equal(out.error, 0);
    assert_true(out.len > len);
    assert_int_equal(read_it(), 0);
    assert_int_equal(message.snapshot.n_models, 5);
    assert_int_equal(message.snapshot.models[4].port, 80);
    assert_int_equal(message.snapshot.models[4].allocated_bytes.how, FROM_NOWHERE);
    assert_non_null(message.snapshot.models[4].allocated_bytes.why);
    assert_true(isnan(message.snapshot.models[4].page.kv_usage_ratio));
    snapshot.n_models = 4;
    message.snapshot.n_models = 4;
    assert_same_rows();
}

/* Cut anywhere it is refused or says less, and is never read beyond its end. */
static void test_truncated(void **state)
{
    (void)state;
    make(3, 2);
    assert_int_equal(write_it(COMPACT_MAX), 0);
    for (size_t len = 0; len < out.len; len++) {
        char *bytes = malloc(len + 1); // of exactly that size: for the sanitizer
        struct span part = {bytes, len};
        int r;

        assert_non_null(bytes);
        bytes = realloc(bytes, MAX(len, (size_t)1));
        part.at = bytes;
        memcpy(bytes, out.data, len);
        r = compact_read(&reader, part, &message);
        assert_true(r == 0 || r == -EBADMSG);
        free(bytes);
    }
}

#define FORMAT "\x78\x01"
#define TEXTS           \
    "\x0a\x01n\x0a\x01" \
    "b"
#define HEAD_PART "\x12\x04\x08\x00\x18\x01"

static const struct {
    const char *row;
    struct span bytes;
    int r;
} hostile[] = {
#define BYTES(text)            \
    {                          \
        text, sizeof(text) - 1 \
    }
    {"empty", BYTES(""), -EBADMSG},
    {"no format", BYTES(TEXTS HEAD_PART), -EBADMSG},
    {"least", BYTES(FORMAT TEXTS HEAD_PART), 0},
    {"another format", BYTES("\x78\x02" TEXTS HEAD_PART), -EPROTONOSUPPORT},
    {"no node", BYTES(FORMAT TEXTS "\x12\x02\x18\x01"), -EBADMSG},
    {"a text that is not there", BYTES(FORMAT TEXTS "\x12\x04\x08\x00\x18\x07"),
     -EBADMSG},
    {"a length beyond the end", BYTES(FORMAT TEXTS HEAD_PART "\x32\x7f"), -EBADMSG},
    {"a huge length",
     BYTES(FORMAT TEXTS HEAD_PART "\x32\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     -EBADMSG},
    {"a varint without an end",
     BYTES(FORMAT TEXTS HEAD_PART "\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
     -EBADMSG},
    {"a group", BYTES(FORMAT TEXTS HEAD_PART "\x33"), -EBADMSG},
    {"a device of no source", BYTES(FORMAT TEXTS HEAD_PART "\x2a\x02\x10\x01"), -EBADMSG},
    {"a port that is none", BYTES(FORMAT TEXTS HEAD_PART "\x32\x04\x18\x80\x80\x04"),
     -EBADMSG},
    {"a flag of 2", BYTES(FORMAT TEXTS HEAD_PART "\x32\x03\xc0\x01\x02"), -EBADMSG},
    {"figures without a percentage", BYTES(FORMAT TEXTS HEAD_PART "\x1a\x00"), 0},
    {"a percentage that is no number",
     BYTES(FORMAT TEXTS HEAD_PART "\x1a\x09\x61\0\0\0\0\0\0\xf8\x7f"), 0},
    {"a percentage of 101",
     BYTES(FORMAT TEXTS HEAD_PART "\x1a\x09\x61\0\0\0\0\0\x40\x59\x40"), -EBADMSG},
    {"a percentage below 0",
     BYTES(FORMAT TEXTS HEAD_PART "\x1a\x09\x61\0\0\0\0\0\0\xf0\xbf"), -EBADMSG},
    {"an endless percentage",
     BYTES(FORMAT TEXTS HEAD_PART "\x1a\x09\x61\0\0\0\0\0\0\xf0\x7f"), -EBADMSG},
    {"a part of a gateway's id",
     BYTES(FORMAT TEXTS "\x12\x0e\x08\x00\x18\x01\xca\x01\x07"
                        "abcdefg"),
     -EBADMSG},
    {"a gateway's id",
     BYTES(FORMAT TEXTS "\x12\x0f\x08\x00\x18\x01\xca\x01\x08"
                        "abcdefgh"),
     0},
    {"a process on no device", BYTES(FORMAT TEXTS HEAD_PART "\x3a\x02\x08\x01"),
     -EBADMSG},
    {"a strange state", BYTES(FORMAT TEXTS HEAD_PART "\x32\x02\x20\x63"), 0},
    {"a limit without a name", BYTES(FORMAT TEXTS HEAD_PART "\x52\x02\x10\x01"),
     -EBADMSG},
#undef BYTES
};

static void test_hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        int r = compact_read(&reader, hostile[i].bytes, &message);

        if (r != hostile[i].r)
            fail_msg("[%s] %d, not %d", hostile[i].row, r, hostile[i].r);
    }
}

static void test_too_many(void **state)
{
    (void)state;
    buf_clear(&out);
    buf_add(&out, FORMAT TEXTS HEAD_PART, sizeof(FORMAT TEXTS HEAD_PART) - 1);
    for (int i = 0; i < SNAPSHOT_MODELS_MAX; i++)
        buf_add(&out, "\x32\x00", 2);
    assert_int_equal(read_it(), 0);
    assert_int_equal(message.snapshot.n_models, SNAPSHOT_MODELS_MAX);
    buf_add(&out, "\x32\x00", 2);
    assert_int_equal(read_it(), -E2BIG);

    buf_clear(&out);
    buf_add(&out, FORMAT HEAD_PART, sizeof(FORMAT HEAD_PART) - 1);
    for (int i = 0; i < COMPACT_TEXTS_MAX; i++)
        buf_add(&out, "\x0a\x01n", 3);
    assert_int_equal(read_it(), 0);
    buf_add(&out, "\x0a\x01n", 3);
    assert_int_equal(read_it(), -E2BIG);
}

/* Rows of which nothing is kept, and fields that are said again and again, cost as well. */
static void test_dear(void **state)
{
    static const char least[] = FORMAT TEXTS HEAD_PART;
    size_t events = 0, fields = 0;

    (void)state;
    buf_clear(&out);
    buf_add(&out, least, sizeof(least) - 1);
    while (read_it() == 0 && events < 1000) {
        buf_add(&out, "\x42\x00", 2); // an event of no kind that is known
        events++;
    }
    assert_int_equal(events, SNAPSHOT_EVENTS_MAX + 1);
    assert_int_equal(read_it(), -E2BIG);

    buf_clear(&out);
    buf_add(&out, least, sizeof(least) - 1);
    for (fields = 6; fields < COMPACT_FIELDS_MAX - 1; fields += 2) // six are there
        buf_add(&out, "\x12\x02\x48\x00", 4);
    assert_int_equal(read_it(), 0);
    buf_add(&out, "\x12\x02\x48\x00", 4);
    assert_int_equal(read_it(), -E2BIG);

    buf_clear(&out);
    buf_add(&out, least, sizeof(least) - 1);
    for (fields = 6; fields < COMPACT_FIELDS_MAX; fields++)
        buf_add(&out, "\x12\x00", 2);
    assert_int_equal(read_it(), 0);
    buf_add(&out, "\x12\x00", 2);
    assert_int_equal(read_it(), -E2BIG);
}

/* Names come from anybody: what could move a cursor does not get in. */
static void test_texts_are_cleaned(void **state)
{
    static const char bytes[] = FORMAT "\x0a\x03\x1b[m\x0a\x02\xff\x62" HEAD_PART;

    (void)state;
    assert_int_equal(
        compact_read(&reader, (struct span){bytes, sizeof(bytes) - 1}, &message), 0);
    assert_string_equal(message.head.node, "\xef\xbf\xbd[m");
    assert_string_equal(message.head.boot, "\xef\xbf\xbd"
                                           "b");
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* 8 GPUs, 4 models of two GPUs each, as a host in use has them. */
static void make_usual(void)
{
    make(8, 4);
    snapshot.n_sources = 1;
    snapshot.n_processes = 8;
    snapshot.n_events = 8;
    snapshot.self.n_limited = 6;
    fill_rows();
    for (uint32_t i = 0; i < 8; i++) {
        struct snapshot_device *device = &snapshot.devices[i];

        strcpy(device->name, "NVIDIA H100 80GB HBM3");
        (void)snprintf(device->uuid, sizeof(device->uuid),
                       "GPU-4a7d1c2e-%04x-11ee-8c99-0242ac12000%x", i * 7919, i);
        device->reason[0] = device->parent_uuid[0] = '\0';
        device->instance = GPU_NO_INSTANCE;
    }
    for (uint32_t i = 0; i < 4; i++) {
        struct snapshot_model *model = &snapshot.models[i];

        (void)snprintf(model->served_name, sizeof(model->served_name),
                       "meta-llama/Llama-3.1-70B-Instruct-%u", i);
        strcpy(model->page.served_name, model->served_name);
        snapshot_make_id(model->served_name, model->id);
        memset(model->container_id, 'a' + (int)i, 64);
        model->container_id[64] = model->pod_uid[0] = model->why[0] = '\0';
        strcpy(model->page.kv_dtype, "auto");
    }
    for (uint32_t i = 0; i < snapshot.n_events; i++) {
        strcpy(snapshot.events[i].served_name, snapshot.models[i % 4].served_name);
        strcpy(snapshot.events[i].text, "found at http://127.0.0.1:8000, pid 12345");
        snapshot.events[i].device[0] = '\0';
    }
    strcpy(head.outage_code, "");
    strcpy(head.outage_reason, "");
}

static void test_cost(void **state)
{
    uint64_t start, wrote, read;

    (void)state;
    make_usual();
    start = now_ns();
    for (int i = 0; i < TIMED; i++)
        assert_int_equal(write_it(COMPACT_MAX), 0);
    wrote = now_ns();
    for (int i = 0; i < TIMED; i++)
        assert_int_equal(compact_read(&reader, buf_span(&out), &message), 0);
    read = now_ns();
    print_message("8 GPUs, 4 models: %zu bytes, written in %.1f us, read in %.1f us\n",
                  out.len, (double)(wrote - start) / TIMED / 1000,
                  (double)(read - wrote) / TIMED / 1000);
    assert_true(out.len < 6144);
    assert_true(read - wrote < (uint64_t)TIMED * 1000 * 1000); // far off on any machine
}

static char *read_doc(void)
{
    FILE *file = fopen(FLEET_DOC_PATH, "r");
    char *text = calloc(1, 1 << 17);

    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 17) - 1, file) > 0);
    (void)fclose(file);
    return text;
}

/* Every field has a line in the section of its part, with its number and its type. */
static void check_part(const char *doc, const char *title,
                       const struct compact_table *table)
{
    static const char *const types[] = {
        [COMPACT_NUMBER] = "number", [COMPACT_SIGNED] = "signed",
        [COMPACT_COUNT] = "count",   [COMPACT_INSTANCE] = "count",
        [COMPACT_REAL] = "real",     [COMPACT_TEXT] = "text",
        [COMPACT_LITERAL] = "text",  [COMPACT_EVENT_KIND] = "text",
        [COMPACT_FIGURE] = "figure", [COMPACT_VIA] = "ids",
    };
    char heading[64];
    const char *section, *end;

    (void)snprintf(heading, sizeof(heading), "\n### `%s`\n", title);
    section = strstr(doc, heading);
    if (!section)
        fail_msg("docs/fleet.md has no section %s", title);
    end = strstr(section + strlen(heading), "\n##");
    for (size_t i = 1; i < table->n; i++) {
        const struct compact_field *field = &table->fields[i];
        char line[128];
        const char *found;

        (void)snprintf(line, sizeof(line), "\n| %d | `%s` | %s |", (int)field->number,
                       field->name, types[field->kind]);
        found = strstr(section, line);
        if (field->kind && (!found || (end && found > end)))
            fail_msg("docs/fleet.md, %s: no line %s", title, line + 1);
    }
}

static void test_documented(void **state)
{
    static const char *const titles[COMPACT_PARTS] = {
        [COMPACT_PART_HEAD] = "head",       [COMPACT_PART_TOTALS] = "totals",
        [COMPACT_PART_SOURCE] = "source",   [COMPACT_PART_DEVICE] = "device",
        [COMPACT_PART_MODEL] = "model",     [COMPACT_PART_PROCESS] = "process",
        [COMPACT_PART_EVENT] = "event",     [COMPACT_PART_SELF] = "self",
        [COMPACT_PART_LIMITED] = "limited",
    };
    char *doc = read_doc();

    (void)state;
    for (size_t i = COMPACT_PART_HEAD; i < COMPACT_PARTS; i++)
        check_part(doc, titles[i], &compact_tables[i]);
    check_part(doc, "figure", &compact_figure);
    free(doc);
}

/* What the rows of make() come to, by a plain count. */
static void count_models(struct compact_head *ret)
{
    uint64_t running = UNKNOWN, pool = 0;

    ret->kv_pool_unknown = 0;
    ret->prefix_minute = (struct hit_counts){0};
    for (uint32_t i = 0; i < snapshot.n_models; i++) {
        const struct snapshot_model *model = &snapshot.models[i];

        if (model->page.requests_running != UNKNOWN)
            running = (running == UNKNOWN ? 0 : running) + model->page.requests_running;
        if (model->kv_pool_bytes.how == FROM_NOWHERE)
            ret->kv_pool_unknown++;
        else
            pool += model->kv_pool_bytes.value;
        if (!isnan(model->prefix_minute.hits) && !isnan(model->prefix_minute.queries)) {
            ret->prefix_minute.hits += model->prefix_minute.hits;
            ret->prefix_minute.queries += model->prefix_minute.queries;
        }
    }
    ret->requests_running = running;
    ret->kv_pool_bytes.value = pool;
}

/* A host with no room for all of its models says what they come to. */
static void test_sums_of_a_host(void **state)
{
    struct compact_head counted;

    (void)state;
    make(2, 40);
    for (uint32_t i = 0; i < 40; i++) {
        snapshot.models[i].page.requests_running =
            i % 3 ? snapshot.models[i].page.requests_running >> 8 : UNKNOWN;
        snapshot.models[i].kv_pool_bytes.value >>=
            snapshot.models[i].kv_pool_bytes.how == FROM_NOWHERE ? 0 : 8;
    }
    count_models(&counted);
    assert_int_equal(write_it(8192), 0);
    assert_int_equal(read_it(), 0);
    assert_true(message.snapshot.n_models < 40);
    assert_int_equal(message.head.requests_running, counted.requests_running);
    assert_int_equal(message.head.kv_pool_bytes.value, counted.kv_pool_bytes.value);
    assert_int_equal(message.head.kv_pool_unknown, counted.kv_pool_unknown);
    assert_true(message.head.prefix_minute.hits == counted.prefix_minute.hits);
    assert_true(message.head.prefix_minute.queries == counted.prefix_minute.queries);
}

/*
 * Fields 17 to 25 of the head are newer than the first readers, for whom they have the
 * numbers of nothing. All else is read as before, and of them nothing.
 */
static void test_older_reader(void **state)
{
    struct snapshot_fleet fleet = {.n_models = 70};
    struct compact_head whole;
    size_t at, end, n = 0;

    (void)state;
    make(2, 3);
    snapshot.fleet = &fleet;
    fleet.requests_running = 7;
    fleet.requests_waiting = 8;
    fleet.kv_pool_bytes = figure_of(9, MEASURED, NULL);
    fleet.kv_pool_unknown = 10;
    fleet.prefix_minute = (struct hit_counts){11, 12};
    head.via.n = 5;
    assert_int_equal(write_it(COMPACT_MAX), 0);
    snapshot.fleet = NULL;
    assert_int_equal(read_it(), 0);
    whole = message.head;
    assert_int_equal(whole.via.n, 5);
    assert_int_equal(whole.kv_pool_unknown, 10);
    assert_true(whole.prefix_minute.queries == 12);

    // The head is the first part after the format: a key, a length of two bytes, fields.
    assert_int_equal(out.data[2], 0x12);
    at = 5;
    end = at + ((unsigned char)out.data[3] & 0x7fU) + ((size_t)out.data[4] << 7);
    while (at < end) {
        unsigned number = (unsigned char)out.data[at] >> 3 & 15U, wire = out.data[at] & 7;

        if (out.data[at++] & (char)0x80) {
            number |= (unsigned)out.data[at] << 4;
            assert_in_range(number, 16, 25);
            if (number >= 17) {
                out.data[at] = (char)(out.data[at] + 8); // 128 more
                n++;
            }
            at++;
        }
        if (wire == 1)
            at += 8;
        else if (wire == 2)
            at += 1U + (unsigned char)out.data[at];
        else
            while (out.data[at++] & (char)0x80)
                ;
    }
    assert_int_equal(at, end);
    assert_int_equal(n, 9);
    assert_int_equal(read_it(), 0);
    assert_int_equal(message.head.via.n, 0);
    assert_int_equal(message.head.kv_pool_unknown, UNKNOWN);
    assert_int_equal(message.head.kv_pool_bytes.how, FROM_NOWHERE);
    assert_true(isnan(message.head.prefix_minute.queries));
    assert_int_equal(message.head.requests_waiting, 8);
    assert_int_equal(message.head.models_left_out, 67);
    assert_string_equal(message.head.version, whole.version);
    snapshot.n_models = 3;
    assert_same_rows();
    assert_same(COMPACT_PART_TOTALS, &message.snapshot, &snapshot);
}

/* What it tells of is a part of what it has. */
static void test_gateway_of_many_models(void **state)
{
    struct snapshot_fleet fleet = {.n_models = 200,
                                   .models_left_out = 5,
                                   .requests_running = 1000,
                                   .requests_waiting = UNKNOWN};

    (void)state;
    make(2, SNAPSHOT_MODELS_MAX);
    snapshot.fleet = &fleet;
    assert_int_equal(write_it(COMPACT_MAX), 0);
    snapshot.fleet = NULL;
    assert_int_equal(read_it(), 0);
    assert_int_equal(message.snapshot.n_models, SNAPSHOT_MODELS_MAX);
    assert_int_equal(message.head.models_left_out, 205 - SNAPSHOT_MODELS_MAX);
    assert_int_equal(message.head.requests_running, 1000);
    assert_int_equal(message.head.requests_waiting, UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_zero_is_not_unknown),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_gateway_of_many_models),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_dear),
        cmocka_unit_test(test_sums_of_a_host),
        cmocka_unit_test(test_older_reader),
        cmocka_unit_test(test_texts_are_cleaned),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_documented),
    };
    int r;

    buf_init(&out, COMPACT_MAX);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&out);
    return r;
}
