// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/board.h"

#include <math.h>
#include <stdio.h>

static struct snapshot_pool *pool;

static uint64_t now_ns(void)
{
    return 1;
}

/* ---- What a tap was told ---- */

enum { TOLD_MAX = 64 * 1024 };

static struct {
    int documents, outages;
    int64_t unix_ms;
    char id[64];
    char text[TOLD_MAX];
} told;

static void copy(char *ret, size_t room, struct span text)
{
    assert_in_range(text.len, 1, room - 1);
    memcpy(ret, text.at, text.len);
    ret[text.len] = '\0';
}

static void on_document(void *ctx, int64_t unix_ms, struct span id, struct span document)
{
    assert_ptr_equal(ctx, &told);
    told.documents++;
    told.unix_ms = unix_ms;
    copy(told.id, sizeof(told.id), id);
    copy(told.text, sizeof(told.text), document);
}

static void on_outage(void *ctx, const char *reason)
{
    assert_ptr_equal(ctx, &told);
    told.outages++;
    copy(told.text, sizeof(told.text), span_of(reason));
}

static const struct board_tap tap = {
    .document = on_document, .outage = on_outage, .ctx = &told};

static struct board *make_board(const struct board_options *options)
{
    struct board *board = NULL;

    memset(&told, 0, sizeof(told));
    assert_int_equal(board_new(options, &board), 0);
    return board;
}

static void publish(struct board *board, uint64_t seq)
{
    struct snapshot *snapshot = snapshot_new(pool);

    assert_non_null(snapshot);
    snapshot->seq = seq;
    snapshot->taken_ns = seq * 1000;
    snapshot->unix_ms = UINT64_C(1790000000000) + seq * 500;
    snapshot->hit_percent = (double)NAN;
    assert_int_equal(board_publish(board, snapshot), 0);
    snapshot_unref(snapshot);
}

/* Every document, though nobody streams any, with its id; and why there is none. */
static void test_tap(void **state)
{
    static const struct outage outage = {"no-driver", "it is gone", "load it"};
    const struct board_options options = {
        .interval_ms = 500, .now_ns = now_ns, .tap = &tap};
    struct board *board = make_board(&options);

    (void)state;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        char boot[64], wanted[128];

        publish(board, seq);
        assert_int_equal(told.documents, seq);
        assert_int_equal(told.unix_ms, 1790000000000 + (int64_t)seq * 500);
        assert_int_equal(
            sscanf(told.text,
                   "{\"schema\":1,\"version\":\"%*[^\"]\",\"boot\":\"%16[0-9a-f]\"",
                   boot),
            1);
        (void)snprintf(wanted, sizeof(wanted), "%s-%llu", boot, (unsigned long long)seq);
        assert_string_equal(told.id, wanted);
        (void)snprintf(wanted, sizeof(wanted), "\"seq\":%llu,", (unsigned long long)seq);
        assert_non_null(strstr(told.text, wanted));
        assert_int_equal(told.text[strlen(told.text) - 1], '}');
        assert_null(strchr(told.text, '\n'));
    }
    assert_int_equal(board_publish_outage(board, &outage, NULL), 0);
    assert_int_equal(board_publish_outage(board, &outage, NULL), 0);
    assert_int_equal(told.outages, 2);
    assert_string_equal(told.text, "it is gone");
    publish(board, 4);
    assert_int_equal(told.documents, 4);
    board_free(board);
}

static int rendered;

static void write_document(void *ctx, struct buf *out, const struct snapshot *snapshot)
{
    (void)snapshot;
    rendered++;
    buf_add_str(out, ctx);
}

/* Without a tap nothing is made that nobody wants; with one, those that are there already. */
static void test_given_documents(void **state)
{
    char text[] = "{\"a\":1}";
    const struct board_documents documents = {
        .write = write_document, .ctx = text, .boot = "b00"};
    struct board_options options = {
        .interval_ms = 500, .now_ns = now_ns, .documents = &documents};
    struct board *board = make_board(&options);

    (void)state;
    publish(board, 1);
    assert_int_equal(rendered, 0);
    assert_int_equal(told.documents, 0);
    board_free(board);

    options.tap = &tap;
    board = make_board(&options);
    publish(board, 7);
    assert_int_equal(rendered, 1);
    assert_string_equal(told.id, "b00-7");
    assert_string_equal(told.text, text);
    board_free(board);
}

/* ---- A gateway in an outage ---- */

/* Of a gateway with so many nodes, none of which counts. */
static struct snapshot *uncounted(uint64_t seq, uint32_t n_nodes)
{
    struct snapshot *snapshot = snapshot_new(pool);

    assert_non_null(snapshot);
    assert_int_equal(snapshot_make_fleet(snapshot, n_nodes, 0), 0);
    snapshot->seq = seq;
    snapshot->hit_percent = (double)NAN;
    snapshot->fleet->n_nodes = n_nodes;
    snapshot->fleet->outage = (struct fleet_outage){.code = "no-nodes", .remedy = ""};
    for (uint32_t i = 0; i < n_nodes; i++)
        snapshot->fleet->nodes[i] =
            (struct fleet_node){.name = "gpu1", .age_ns = UNKNOWN};
    return snapshot;
}

static bool has_document(struct board *board)
{
    struct span id, json;

    return channel_newest(board_channel(board, CHANNEL_DETAIL), &id, &json) &&
           memmem(json.at, json.len, "\"outage\":{", 10);
}

/* Its nodes are a detail document, and nothing else: no figures, nothing for the past. */
static void test_nodes_in_outage(void **state)
{
    static const struct outage outage = {"no-nodes", "none of 1", ""};
    const struct board_options options = {
        .interval_ms = 500, .now_ns = now_ns, .fleet = true, .tap = &tap};
    struct board *board = make_board(&options);
    uint64_t oldest_ns, newest_ns;

    (void)state;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct snapshot *nodes = uncounted(seq, seq == 2 ? 0 : 1);
        struct board_newest newest;
        struct buf rows;

        assert_int_equal(board_publish_outage(board, &outage, nodes), 0);
        snapshot_unref(nodes);
        assert_int_equal(has_document(board), seq != 2); // without nodes there is none
        assert_true(board_is_out(board));
        buf_init(&rows, 1);
        assert_int_equal(board_newest(board, &rows, &newest), -ENODATA);
        buf_done(&rows);
        assert_int_equal(told.outages, seq);
        assert_string_equal(told.text, "none of 1");
    }
    assert_int_equal(told.documents, 0);
    past_span(board_past(board), &oldest_ns, &newest_ns);
    assert_int_equal(newest_ns, 0);
    publish(board, 4);
    assert_false(has_document(board));
    assert_int_equal(told.documents, 1);
    assert_int_equal(board_publish_outage(board, &outage, NULL), 0);
    assert_false(has_document(board));
    board_free(board);
}

/* One that is too large is sent to nobody, and nobody is told the one before again. */
static void write_too_much(void *ctx, struct buf *out, const struct snapshot *snapshot)
{
    static const char blanks[64 * 1024];

    (void)ctx;
    for (size_t i = 0; snapshot->seq == 2 && i < 32; i++)
        buf_add(out, blanks, sizeof(blanks));
    buf_add_str(out, "{}");
}

static void test_document_too_large(void **state)
{
    const struct board_documents documents = {.write = write_too_much, .boot = "b00"};
    const struct board_options options = {
        .interval_ms = 500, .now_ns = now_ns, .documents = &documents, .tap = &tap};
    struct board *board = make_board(&options);
    struct snapshot *snapshot = snapshot_new(pool);

    (void)state;
    publish(board, 1);
    snapshot->seq = 2;
    assert_int_equal(board_publish(board, snapshot), -E2BIG);
    snapshot_unref(snapshot);
    assert_int_equal(told.documents, 1);
    publish(board, 3);
    assert_int_equal(told.documents, 2);
    assert_string_equal(told.id, "b00-3");
    board_free(board);
}

/* ---- The past ---- */

/* It is added to, is there for whoever lent it, and begins anew with the run. */
static void test_lent_past(void **state)
{
    struct board_options options = {.interval_ms = 500, .now_ns = now_ns};
    struct past *past = NULL;
    struct past_reader *reader = NULL;
    struct board *board;
    uint64_t oldest_ns, newest_ns;

    (void)state;
    assert_int_equal(past_new(PAST_BYTES, &past), 0);
    options.past = past;
    board = make_board(&options);
    assert_ptr_equal(board_past(board), past);
    publish(board, 1);
    publish(board, 2);
    board_free(board);
    assert_int_equal(past_reader_new(past, &reader), 0);
    assert_int_equal(past_reader_next(reader)->taken_ns, 1000);
    assert_int_equal(past_reader_next(reader)->unix_ms, 1790000001000);
    assert_null(past_reader_next(reader));
    past_reader_free(reader);

    board = make_board(&options);
    board_begin_anew(board);
    past_span(past, &oldest_ns, &newest_ns);
    assert_int_equal(newest_ns, 0);
    board_free(board);
    past_free(past);
}

static int set_up(void **state)
{
    (void)state;
    return snapshot_pool_new(&pool);
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tap),
        cmocka_unit_test(test_given_documents),
        cmocka_unit_test(test_document_too_large),
        cmocka_unit_test(test_nodes_in_outage),
        cmocka_unit_test(test_lent_past),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
