// SPDX-License-Identifier: Apache-2.0
#include "net/peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/un.h>

#include <cmocka.h>

enum { MAX_PEERS = 50, ADDRESSES = 200, PER_PEER = 3, STEPS = 200000 };

static struct peer_address v4(uint32_t host)
{
    struct sockaddr_in in = {.sin_family = AF_INET};

    in.sin_addr.s_addr = htonl(host);
    return peer_address_of((struct sockaddr *)&in);
}

static struct peer_address v6(const char *text)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return peer_address_of((struct sockaddr *)&in6);
}

static bool same(struct peer_address a, struct peer_address b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void test_addresses(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = 1}, b = a;

    (void)state;
    a.sin_addr.s_addr = b.sin_addr.s_addr = htonl(0x7f000001);
    b.sin_port = 2;
    assert_true(same(peer_address_of((struct sockaddr *)&a),
                     peer_address_of((struct sockaddr *)&b)));
    assert_true(same(v4(0x7f000001), v6("::ffff:127.0.0.1")));
    assert_false(same(v4(0x7f000001), v4(0x7f000002)));
    assert_false(same(v4(1), v6("::1")));
    assert_false(same(v4(0), v6("::")));
}

static void test_limit(void **state)
{
    struct peer_address a = v6("::1"), b = v6("::2");
    struct peers *peers;

    (void)state;
    assert_int_equal(peers_new(4, &peers), 0);
    assert_int_equal(peers_add(peers, &a, 2), 0);
    assert_int_equal(peers_add(peers, &a, 2), 0);
    assert_int_equal(peers_add(peers, &a, 2), -EUSERS);
    assert_int_equal(peers_add(peers, &b, 2), 0);
    peers_remove(peers, &a);
    assert_int_equal(peers_add(peers, &a, 2), 0);
    assert_int_equal(peers_add(peers, &a, 2), -EUSERS);
    assert_int_equal(peers_add(peers, &b, 0), -EUSERS);
    peers_free(peers);
    peers_free(NULL);
}

static void test_unix_sockets_are_not_counted(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct peer_address address = peer_address_of((struct sockaddr *)&un);
    struct peers *peers;

    (void)state;
    assert_int_equal(peers_new(1, &peers), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(peers_add(peers, &address, 1), 0);
    for (int i = 0; i < 100; i++)
        peers_remove(peers, &address);
    peers_free(peers);
}

/* Against an array of counts: as many addresses at once as the table is made for. */
static void test_any_sequence(void **state)
{
    unsigned counts[ADDRESSES] = {0}, present = 0;
    uint64_t random = 1;
    struct peers *peers;

    (void)state;
    assert_int_equal(peers_new(MAX_PEERS, &peers), 0);
    for (int step = 0; step < STEPS; step++) {
        struct peer_address address;
        size_t i;

        random = random * 6364136223846793005U + 1442695040888963407U;
        i = (size_t)(random >> 33) % ADDRESSES;
        address = v4(0x0a000000 + (uint32_t)i * 256);
        if (random >> 63) {
            if (counts[i] == 0 && present == MAX_PEERS)
                continue;
            assert_int_equal(peers_add(peers, &address, PER_PEER),
                             counts[i] == PER_PEER ? -EUSERS : 0);
            present += counts[i] == 0;
            counts[i] += counts[i] < PER_PEER;
        } else {
            peers_remove(peers, &address); // also one that is not there
            present -= counts[i] == 1;
            counts[i] -= counts[i] > 0;
        }
    }
    peers_free(peers);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_unix_sockets_are_not_counted),
        cmocka_unit_test(test_any_sequence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
