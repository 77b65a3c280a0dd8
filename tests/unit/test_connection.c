// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "publish/connection_parts.h"

/* Half of each wait is chance, which is looked for in many. */
static void expect_waits(const uint64_t *most_ms, size_t n)
{
    enum { TRIES = 64 };
    static const struct connection_options options;
    struct connection connection;
    uint64_t least = UINT64_MAX, most = 0;

    connection_init(&connection, NULL, &options);
    for (int t = 0; t < TRIES; t++) {
        for (size_t i = 0; i < n; i++) {
            uint64_t wait_ms = connection_wait_ms(&connection);

            if (wait_ms < most_ms[i] / 2 || wait_ms > most_ms[i])
                fail_msg("wait %zu: %ju ms", i + 1, (uintmax_t)wait_ms);
            if (i == 0) {
                least = MIN(least, wait_ms);
                most = MAX(most, wait_ms);
            }
        }
        connection_is_of_use(&connection);
    }
    assert_true(most - least > most_ms[0] / 8);
    connection_done(&connection);
}

static void test_waits(void **state)
{
    static const uint64_t most_ms[] = {250, 500, 1000, 2000, 4000, 4000, 4000};

    (void)state;
    expect_waits(most_ms, ARRAY_LEN(most_ms));
}

static void test_texts_are_its_own(void **state)
{
    char url[] = "nats://h", creds[] = "/c", token[] = "s3cret";
    struct connection_options options = {
        .servers = {url, url},
        .n_servers = 2,
        .tls = true,
        .creds_file = creds,
        .token = token,
    };

    (void)state;
    assert_int_equal(connection_options_own(&options), 0);
    memset(url, 'x', sizeof(url) - 1);
    memset(creds, 'x', sizeof(creds) - 1);
    memset(token, 'x', sizeof(token) - 1);
    assert_string_equal(options.servers[0], "nats://h");
    assert_string_equal(options.servers[1], "nats://h");
    assert_string_equal(options.creds_file, "/c");
    assert_string_equal(options.token, "s3cret");
    assert_null(options.ca_file);
    assert_true(options.tls);
    connection_options_free(&options);
    assert_null(options.token);
    assert_int_equal(options.n_servers, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_texts_are_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
