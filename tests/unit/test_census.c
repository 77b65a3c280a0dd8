// SPDX-License-Identifier: Apache-2.0
#include "net/census.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 20000 };

static const struct http_limits limits = {
    .clients = 5, .clients_per_ip = 3, .streams = 2};

/* The address 10.0.0.LAST, or for 0 a Unix socket. */
static struct peer_address peer_of(uint8_t last)
{
    struct peer_address peer = {0};

    if (last) {
        peer.bytes[10] = peer.bytes[11] = 0xff;
        peer.bytes[12] = 10;
        peer.bytes[15] = last;
    }
    return peer;
}

static bool enter(struct census *census, uint8_t last)
{
    struct peer_address peer = peer_of(last);

    return census_enter(census, &peer, &limits);
}

static void leave(struct census *census, uint8_t last)
{
    struct peer_address peer = peer_of(last);

    census_leave(census, &peer);
}

static void test_connections(void **state)
{
    struct http_server_stats stats;
    struct census *census;

    (void)state;
    assert_int_equal(census_new(limits.clients, &census), 0);
    for (int i = 0; i < 3; i++)
        assert_true(enter(census, 1));
    assert_false(enter(census, 1)); // of one address
    assert_true(enter(census, 2));
    assert_true(enter(census, 0)); // a Unix socket is of none, but one in all
    assert_false(enter(census, 0));
    assert_false(enter(census, 3));
    stats = census_stats(census);
    assert_int_equal(stats.clients, 5);
    assert_int_equal(stats.accepted, 5);
    assert_int_equal(stats.limited[LIMITED_per_ip], 1);
    assert_int_equal(stats.limited[LIMITED_clients], 2);

    leave(census, 1);
    assert_true(enter(census, 1));
    assert_false(enter(census, 1));
    leave(census, 0);
    assert_true(enter(census, 3));
    stats = census_stats(census);
    assert_int_equal(stats.clients, 5);
    assert_int_equal(stats.accepted, 7);
    census_free(census);
}

static void test_streams(void **state)
{
    struct census *census;

    (void)state;
    assert_int_equal(census_new(limits.clients, &census), 0);
    assert_true(census_begin_stream(census, limits.streams));
    assert_true(census_begin_stream(census, limits.streams));
    assert_false(census_begin_stream(census, limits.streams));
    assert_int_equal(census_stats(census).streams, 2);
    assert_int_equal(census_stats(census).limited[LIMITED_streams], 1);
    census_end_stream(census);
    assert_true(census_begin_stream(census, limits.streams));
    census_free(census);
}

static void *come_and_go(void *ctx)
{
    struct census *census = ctx;

    for (int i = 0; i < ROUNDS; i++) {
        uint8_t last = (uint8_t)(1 + i % 3);

        if (enter(census, last))
            leave(census, last);
        if (census_begin_stream(census, limits.streams))
            census_end_stream(census);
    }
    return NULL;
}

/* Whoever was let in has left, and who was not was counted, on however many threads. */
static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    struct http_server_stats stats;
    struct census *census;

    (void)state;
    assert_int_equal(census_new(limits.clients, &census), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, census), 0);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    stats = census_stats(census);
    assert_int_equal(stats.clients, 0);
    assert_int_equal(stats.streams, 0);
    assert_int_equal(stats.accepted + stats.limited[LIMITED_clients] +
                         stats.limited[LIMITED_per_ip],
                     THREADS * ROUNDS);
    census_free(census);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
