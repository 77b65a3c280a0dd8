// SPDX-License-Identifier: Apache-2.0
/*
 * test_historian.c - who asks, reads, leaves and stops, while it writes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/historian.h"
#include "history/historian_parts.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { MOMENTS = 600, READERS = 6, ROUNDS = 30 };

static struct snapshot_pool *pool;
static struct past *past;
static struct journal *journal;
static char folder[] = "/tmp/test-historian-XXXXXX";
static char path[64];
static uint64_t begun_ns;
static int64_t begun_ms;

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

static void add_moment(int i)
{
    struct snapshot *snapshot = snapshot_new(pool);
    struct snapshot_model *model = &snapshot->models[snapshot->n_models++];

    memset(model, 0, sizeof(*model));
    (void)snprintf(model->served_name, sizeof(model->served_name), "org/model");
    snapshot_make_id(model->served_name, model->id);
    model->port = 8000;
    model->kv_used_bytes.value = (uint64_t)i;
    model->kv_pool_bytes.value = 1000;
    snapshot->taken_ns = begun_ns + (uint64_t)i * 100 * NS_PER_MS;
    snapshot->unix_ms = (uint64_t)(begun_ms + (int64_t)i * 100);
    past_add(past, snapshot);
    snapshot_unref(snapshot);
}

/* The last minute, as if we had been there. */
static int make_past(void **state)
{
    (void)state;
    begun_ns = now_ns(CLOCK_MONOTONIC) - (uint64_t)MOMENTS * 100 * NS_PER_MS;
    begun_ms = (int64_t)(now_ns(CLOCK_REALTIME) / NS_PER_MS) - (int64_t)MOMENTS * 100;
    assert_int_equal(snapshot_pool_new(&pool), 0);
    assert_int_equal(past_new(PAST_BYTES, &past), 0);
    assert_int_equal(journal_new(&journal), 0);
    for (int i = 0; i < MOMENTS; i++)
        add_moment(i);
    (void)snprintf(path, sizeof(path), "%s/history.db", folder);
    return 0;
}

static int drop_past(void **state)
{
    char command[96];

    (void)state;
    past_free(past);
    journal_free(journal);
    snapshot_pool_free(pool);
    (void)snprintf(command, sizeof(command), "rm -f %s*", path);
    return system(command);
}

static struct historian *begin(bool on_disk)
{
    const struct historian_options options = {
        .past = past,
        .journal = journal,
        .path = on_disk ? path : NULL,
        .folder = folder,
        .limits = {INT64_C(1) << 40, INT64_C(1) << 40, INT64_C(1) << 40,
                   UINT64_C(1) << 30},
        .interval_ms = 100,
    };
    struct historian *historian = NULL;

    assert_int_equal(historian_new(&options, &historian), 0);
    return historian;
}

static void end(struct historian *historian)
{
    historian_stop(historian);
    while (!historian_ended(historian))
        (void)usleep(1000);
    historian_free(historian);
}

static struct history_query query_of(int64_t from_ms, int64_t step_ms)
{
    return (struct history_query){.span = {.from_ms = from_ms,
                                           .to_ms = begun_ms + INT64_C(1000000),
                                           .step_ms = step_ms},
                                  .format = HISTORY_CSV};
}

static void post(void *ctx)
{
    (void)sem_post(ctx);
}

/* The lines of a whole answer; negative: it failed. */
static int read_answer(struct historian *historian, const struct history_query *query,
                       int pieces)
{
    struct history_request *request = NULL;
    struct complaint why = {""};
    struct span piece;
    sem_t ready;
    int lines = 0;
    int r = 0;

    (void)sem_init(&ready, 0, 0);
    r = historian_ask(historian, query, &(struct history_asker){post, &ready, {"", 0}},
                      &request);
    if (r < 0)
        return r;
    for (int i = 0; i < pieces; i++) {
        (void)sem_wait(&ready);
        r = history_request_piece(request, &piece, &why);
        if (r < 0)
            break;
        for (size_t at = 0; at < piece.len; at++)
            lines += piece.at[at] == '\n';
        if (r == 0)
            break;
        history_request_next(request);
    }
    history_request_drop(request);
    (void)sem_destroy(&ready);
    return r < 0 ? r : lines;
}

static void test_memory_and_disk(void **state)
{
    struct history_query all = query_of(0, 0), part = query_of(begun_ms + 30000, 1000);

    (void)state;
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        struct historian *historian = begin(on_disk);

        assert_int_equal(read_answer(historian, &all, 1000), 1 + 2 * MOMENTS);
        assert_in_range(read_answer(historian, &part, 1000), 1 + 2 * 30, 1 + 2 * 31);
        assert_true(historian_errors(historian) == (on_disk ? 0 : UNKNOWN));
        end(historian);
    }
}

/* Who asks all the time is no reason to write all the time. */
static void test_written_once_a_second(void **state)
{
    const struct timespec pause = {.tv_sec = 1, .tv_nsec = 50 * 1000 * 1000};
    struct history_query all = query_of(0, 0);
    struct historian *historian = begin(true);

    (void)state;
    assert_int_equal(read_answer(historian, &all, 1000), 1 + 2 * MOMENTS);
    add_moment(MOMENTS);
    assert_int_equal(read_answer(historian, &all, 1000), 1 + 2 * MOMENTS);
    (void)nanosleep(&pause, NULL);
    assert_int_equal(read_answer(historian, &all, 1000), 1 + 2 * (MOMENTS + 1));
    end(historian);
}

/* What was not written yet is written at the end; ids of events go on. */
static void test_what_is_left(void **state)
{
    const struct event event = {.unix_ms = 1790000000000, .kind = EVENT_GPU_LOST};
    const struct history_query all = query_of(0, 0);
    struct historian *historian = begin(true);
    struct event events[4];

    (void)state;
    journal_add(journal, &event);
    journal_add(journal, &event);
    end(historian);
    journal_free(journal);
    past_free(past);
    assert_int_equal(journal_new(&journal), 0);
    assert_int_equal(past_new(PAST_BYTES, &past), 0);
    historian = begin(true);
    assert_int_equal(journal_copy(journal, 0, events, 4), 2);
    journal_add(journal, &event);
    assert_int_equal(journal_copy(journal, 0, events, 4), 3);
    assert_int_equal(events[0].id, 1);
    assert_int_equal(events[2].id, 3);
    assert_int_equal(read_answer(historian, &all, 1000), 1 + 2 * MOMENTS);
    end(historian);
}

/* Ids on disk go on, though the journal's could not: another had the file at the start. */
static void test_disk_comes_late(void **state)
{
    const struct event event = {.unix_ms = 1790000000000, .kind = EVENT_GPU_LOST};
    const struct store_limits limits = {INT64_C(1) << 40, INT64_C(1) << 40,
                                        INT64_C(1) << 40, UINT64_C(1) << 30};
    struct complaint why = {""};
    struct store *store = NULL;
    struct historian *historian;
    struct event events[8];

    (void)state;
    historian = begin(true);
    journal_add(journal, &event);
    journal_add(journal, &event);
    end(historian);
    journal_free(journal);
    assert_int_equal(journal_new(&journal), 0);
    assert_int_equal(store_open(path, &limits, &store, &why), 0);
    historian = begin(true);
    for (int i = 0; i < 3; i++)
        journal_add(journal, &event);
    store_close(store);
    end(historian);
    assert_int_equal(store_open(path, &limits, &store, &why), 0);
    assert_int_equal(store_read_events(store, events, ARRAY_LEN(events)), 5);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(events[i].id, i + 1);
    store_close(store);
}

static uint64_t taken_ns(int moment)
{
    return begun_ns + (uint64_t)moment * 100 * NS_PER_MS;
}

/* Few large batches, but what has happened, or is in doubt, is not waited with. */
static void test_when_it_is_due(void **state)
{
    const struct event event = {.unix_ms = 1790000000000, .kind = EVENT_GPU_LOST};
    static const struct {
        const char *row;
        int added;   // moments, all in all
        int written; // the last of them that is
        bool is_due;
    } rows[] = {
        {"nothing is new", MOMENTS, MOMENTS - 1, false},
        {"nothing is written", MOMENTS, 0, true},
        {"less than half waits", MOMENTS, MOMENTS / 2, false},
        {"half of it waits", MOMENTS, MOMENTS / 2 - 1, true},
        {"a minute waits", 5 * MOMENTS, 4 * MOMENTS - 1, true},
        {"not quite", 5 * MOMENTS, 4 * MOMENTS, false},
    };
    static struct historian historian;
    int n = MOMENTS;

    (void)state;
    historian.options.past = past;
    historian.options.journal = journal;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        while (n < rows[i].added)
            add_moment(n++);
        historian.disk.store = (struct store *)&historian; // it is open
        historian.disk.written_ns = taken_ns(rows[i].written);
        if (disk_is_due(&historian) != rows[i].is_due)
            fail_msg("[%s] is%s due", rows[i].row, rows[i].is_due ? " not" : "");
    }
    historian.disk.written_ns = taken_ns(n - 1);
    assert_false(disk_is_due(&historian));
    journal_add(journal, &event);
    assert_true(disk_is_due(&historian));
    historian.disk.written_event = 1;
    assert_false(disk_is_due(&historian));
    historian.disk.is_in_trouble = true;
    assert_true(disk_is_due(&historian));
    historian.disk.is_in_trouble = false;
    historian.disk.store = NULL;
    assert_true(disk_is_due(&historian));
}

struct reader {
    struct historian *historian;
    unsigned seed;
    pthread_t thread;
};

static void *read_and_leave(void *ctx)
{
    struct reader *reader = ctx;

    for (int i = 0; i < ROUNDS; i++) {
        struct history_query query =
            query_of(begun_ms + rand_r(&reader->seed) % 50000 - 10000,
                     rand_r(&reader->seed) % 3 * 100);
        int r = read_answer(reader->historian, &query, rand_r(&reader->seed) % 4);

        if (r < 0 && r != -EBUSY && r != -ECANCELED)
            fail_msg("an answer is %d", r);
    }
    return NULL;
}

/* Some leave before their answer is there, the last ones while it ends. */
static void test_readers(void **state)
{
    (void)state;
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        struct historian *historian = begin(on_disk);
        struct reader readers[READERS];

        for (unsigned i = 0; i < READERS; i++) {
            readers[i] = (struct reader){.historian = historian, .seed = i};
            assert_int_equal(
                pthread_create(&readers[i].thread, NULL, read_and_leave, &readers[i]), 0);
        }
        for (int i = 0; i < 100; i++) {
            struct observation seen[4];

            add_moment(MOMENTS + i);
            (void)historian_errors(historian);
            (void)historian_observations(historian, seen, ARRAY_LEN(seen));
            (void)usleep(200);
        }
        historian_stop(historian);
        for (unsigned i = 0; i < READERS; i++)
            (void)pthread_join(readers[i].thread, NULL);
        end(historian);
    }
}

static void test_as_many_as_may_be(void **state)
{
    const struct history_query query = query_of(0, 0);
    struct history_request *requests[HISTORIAN_ANSWERS_MAX + 1];
    struct historian *historian = begin(false);
    struct complaint why = {""};
    struct span piece;
    sem_t ready;
    const struct history_asker asker = {post, &ready, {"", 0}};

    (void)state;
    (void)sem_init(&ready, 0, 0);
    for (int i = 0; i < HISTORIAN_ANSWERS_MAX; i++)
        assert_int_equal(historian_ask(historian, &query, &asker, &requests[i]), 0);
    assert_int_equal(
        historian_ask(historian, &query, &asker, &requests[HISTORIAN_ANSWERS_MAX]),
        -EBUSY);
    history_request_drop(requests[3]);
    while (historian_ask(historian, &query, &asker, &requests[3]) == -EBUSY)
        (void)usleep(1000); // it may have been in the middle of the one that left
    historian_stop(historian);
    while (!historian_ended(historian))
        (void)usleep(1000);
    for (int i = 0; i < HISTORIAN_ANSWERS_MAX; i++) {
        int r = history_request_piece(requests[i], &piece, &why);

        assert_true(r >= 0 || r == -ECANCELED); // made before the end, or never
        if (r > 0) {
            history_request_next(requests[i]);
            assert_int_equal(history_request_piece(requests[i], &piece, &why),
                             -ECANCELED);
        }
        history_request_drop(requests[i]);
    }
    assert_int_equal(historian_ask(historian, &query, &asker, &requests[0]), -EBUSY);
    historian_free(historian);
    (void)sem_destroy(&ready);
}

/* One client leaves room for others; who is nobody is not counted. */
static void test_as_many_of_one(void **state)
{
    static const struct {
        const char *client; // "": nobody
        int r;
    } rows[] = {
        {"0123456789abcdef", 0},
        {"0123456789abcdeg", 0},
        {"", 0},
        {"0123456789abcdef", -EUSERS},
        {"", 0},
        {"0123456789abcdeg", -EBUSY},
    };
    const struct history_query query = query_of(0, 0);
    struct history_request *requests[HISTORIAN_ANSWERS_MAX];
    struct historian *historian = begin(false);
    sem_t ready;
    int n = 0;

    (void)state;
    (void)sem_init(&ready, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct history_asker asker = {post, &ready, span_of(rows[i].client)};
        bool first = i == 0;
        int r;

        if (rows[i].r == -EUSERS) { // with one of the others gone
            history_request_drop(requests[--n]);
            do
                r = historian_ask(historian, &query, &asker, &requests[n]);
            while (r == -EBUSY);
        } else {
            r = historian_ask(historian, &query, &asker, &requests[n]);
        }
        assert_int_equal(r, rows[i].r);
        n += r == 0;
        for (int k = 1; first && k < HISTORIAN_ANSWERS_OF_ONE; k++)
            assert_int_equal(historian_ask(historian, &query, &asker, &requests[n++]), 0);
    }
    while (n > 0)
        history_request_drop(requests[--n]);
    end(historian);
    (void)sem_destroy(&ready);
}

/* A folder that is not there: what is asked for is answered from memory. */
static void test_no_folder(void **state)
{
    const struct history_query all = query_of(0, 0);
    struct historian *historian;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/none/history.db", folder);
    historian = begin(true);
    assert_int_equal(read_answer(historian, &all, 1000), 1 + 2 * MOMENTS);
    assert_int_equal(historian_errors(historian),
                     1); // and it waits before it tries again
    end(historian);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_and_disk, make_past, drop_past),
        cmocka_unit_test_setup_teardown(test_written_once_a_second, make_past, drop_past),
        cmocka_unit_test_setup_teardown(test_what_is_left, make_past, drop_past),
        cmocka_unit_test_setup_teardown(test_disk_comes_late, make_past, drop_past),
        cmocka_unit_test_setup_teardown(test_when_it_is_due, make_past, drop_past),
        cmocka_unit_test_setup_teardown(test_readers, make_past, drop_past),
        cmocka_unit_test_setup_teardown(test_as_many_as_may_be, make_past, drop_past),
        cmocka_unit_test_setup_teardown(test_as_many_of_one, make_past, drop_past),
        cmocka_unit_test_setup_teardown(test_no_folder, make_past, drop_past),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
