// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "join/discover.h"

// clang-format off
#define V4(a, b, c, d) {[10] = 0xff, [11] = 0xff, a, b, c, d}
#define ANY {0}
#define V6_LOOPBACK {[15] = 1}
#define V6_HOST {0xfd, 0, 0x12, 0x34, [15] = 1}
#define V6_GLOBAL {0xfd, 0, 0x12, 0x34, [15] = 2}
// clang-format on

enum { OURS = 1000 };

static const struct {
    const char *row;
    uint32_t uid;
    bool holds_gpu;
    uint32_t own_uid;
    bool may;
} permissions[] = {
    {"root's", 0, false, OURS, true},
    {"our own", OURS, false, OURS, true},
    {"a stranger's", 1001, false, OURS, false},
    {"a stranger's with device memory", 1001, true, OURS, true},
    {"a stranger's, seen by root", 1001, false, 0, false},
    {"with device memory, seen by root", 1001, true, 0, true},
    {"of nobody", 65534, false, OURS, false},
    {"of a user that is named", 1005, false, OURS, true},
    {"of an unknown user", UINT32_MAX, false, OURS, false},
};

static void test_permissions(void **state)
{
    static const uint32_t named[] = {1004, 1005};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(permissions); i++) {
        struct discover_server server = {.uid = permissions[i].uid,
                                         .holds_gpu = permissions[i].holds_gpu};

        struct discover_users users = {permissions[i].own_uid, named, ARRAY_LEN(named)};

        if (discover_may_ask(&server, &users) != permissions[i].may)
            fail_msg("[%s]", permissions[i].row);
    }
}

/* By port: inode 1 is port 22, and so on. */
static const struct host_listeners listeners = {
    .n = 7,
    .at = {{.inode = 1, .uid = 0, .port = 22},
           {.inode = 2, .uid = 1001, .port = 1023},
           {.inode = 3, .uid = 1001, .port = 1024},
           {.inode = 4, .uid = 0, .port = 8000},
           {.inode = 5, .uid = 1001, .port = 8000},
           {.inode = 6, .uid = 1001, .port = 8001},
           {.inode = 7, .uid = 1001, .port = 40000}},
};

/* What is held are rows of `listeners`; -1: not for us to see. */
static const struct {
    const char *row;
    uint32_t uid;
    uint16_t port;
    uint32_t held[5];
    int n;
    uint64_t rejected[DISCOVER_REJECTED_MAX];
    int at;
} sockets[] = {
    {"its port", 1001, 8001, {4, 5, 6}, 3, {0}, 5},
    {"its port is not open", 1001, 9000, {4, 5, 6}, 3, {0}, -1},
    {"it holds nothing", 1001, 8000, {0}, 0, {0}, -1},
    {"another's socket on its port", 1001, 8000, {5}, 1, {0}, -1},
    {"port not known: the lowest", 1001, 0, {2, 5, 6}, 3, {0}, 2},
    {"port not known: not below 1024", 0, 0, {0, 1}, 2, {0}, -1},
    {"told a port below 1024", 0, 22, {0}, 1, {0}, -1},
    {"the first was rejected", 1001, 0, {2, 5, 6}, 3, {3}, 5},
    {"the first two were", 1001, 0, {2, 5, 6}, 3, {6, 3}, 6},
    {"all were: none again", 1001, 0, {2, 5, 6}, 3, {3, 6, 7}, -1},
    {"its port was rejected: no other is tried", 1001, 8001, {2, 5, 6}, 3, {6}, -1},
    {"two on its port, one rejected", 1001, 8000, {3, 4}, 2, {4}, 4},
    {"what was rejected is gone", 1001, 8001, {5}, 1, {99}, 5},
    {"so many were rejected", 1001, 0, {5}, 1, {91, 92, 93, 94, 95, 96, 97, 98}, -1},
    {"no rights: its user's on its port", 1001, 8000, {0}, -EACCES, {0}, 4},
    {"no rights: root's is root's", 0, 8000, {0}, -EACCES, {0}, 3},
    {"no rights: nobody's on its port", 1002, 8000, {0}, -EACCES, {0}, -1},
    {"no rights, port not known: vLLM's own", 1001, 0, {0}, -EACCES, {0}, 4},
    {"no rights, below 1024", 0, 22, {0}, -EACCES, {0}, -1},
    {"no rights, rejected", 1001, 8000, {0}, -EACCES, {5}, -1},
};

static void test_sockets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
        struct discover_server server = {.uid = sockets[i].uid, .port = sockets[i].port};
        int at;

        for (; server.n_rejected < DISCOVER_REJECTED_MAX; server.n_rejected++) {
            server.rejected[server.n_rejected] = sockets[i].rejected[server.n_rejected];
            if (server.rejected[server.n_rejected] == 0)
                break;
        }
        at = discover_socket(&server, &listeners, sockets[i].held, sockets[i].n);
        if (at != sockets[i].at)
            fail_msg("[%s] %d, not %d", sockets[i].row, at, sockets[i].at);
    }
}

static const struct host_addresses v4_network = {.n = 1, .at = {V4(172, 17, 0, 2)}};
static const struct host_addresses v6_network = {.n = 1, .at = {V6_GLOBAL}};
static const struct host_addresses both = {.n = 2, .at = {V6_GLOBAL, V4(10, 0, 0, 9)}};
static const struct host_addresses none;
static const struct host_addresses own = {.n = 2, .at = {V6_HOST, V4(192, 0, 2, 7)}};
static const struct host_addresses all = {.incomplete = true};
static const struct host_addresses feigned = {.n = 1, .at = {V4(192, 0, 2, 7)}};
static const struct host_addresses half = {.n = 2, .at = {V6_GLOBAL, V4(192, 0, 2, 7)}};

static const struct {
    const char *row;
    bool tls;
    uint8_t address[HOST_ADDRESS_SIZE];
    const struct host_addresses *network; // NULL: our own
    const char *url;                      // NULL: -EHOSTUNREACH
} urls[] = {
    {"any", false, ANY, NULL, "http://127.0.0.1:8000"},
    {"any of IPv4", false, V4(0, 0, 0, 0), NULL, "http://127.0.0.1:8000"},
    {"loopback", false, V4(127, 0, 0, 1), NULL, "http://127.0.0.1:8000"},
    {"another of loopback", false, V4(127, 1, 2, 3), NULL, "http://127.1.2.3:8000"},
    {"one IPv4 address", false, V4(192, 0, 2, 7), NULL, "http://192.0.2.7:8000"},
    {"IPv6 loopback", false, V6_LOOPBACK, NULL, "http://[0:0:0:0:0:0:0:1]:8000"},
    {"one IPv6 address", false, V6_HOST, NULL, "http://[fd00:1234:0:0:0:0:0:1]:8000"},
    {"one that is not ours", false, V4(8, 8, 8, 8), NULL, NULL},
    {"an IPv6 one that is not ours", false, V6_GLOBAL, NULL, NULL},
    {"https", true, ANY, NULL, "https://127.0.0.1:8000"},
    {"any, in a container", false, ANY, &v4_network, "http://172.17.0.2:8000"},
    {"any, with IPv6 alone", false, ANY, &v6_network,
     "http://[fd00:1234:0:0:0:0:0:2]:8000"},
    {"any, with both: IPv4", true, ANY, &both, "https://10.0.0.9:8000"},
    {"its own, in a container", false, V6_GLOBAL, &both,
     "http://[fd00:1234:0:0:0:0:0:2]:8000"},
    {"loopback, in a container", false, V4(127, 0, 0, 1), &v4_network, NULL},
    {"IPv6 loopback, in a container", false, V6_LOOPBACK, &both, NULL},
    {"not its own, in a container", false, V4(8, 8, 8, 8), &v4_network, NULL},
    {"any, in a container that feigns to be us", false, ANY, &feigned, NULL},
    {"our address, in such a container", false, V4(192, 0, 2, 7), &feigned, NULL},
    {"any, ours and its own", false, ANY, &half, "http://[fd00:1234:0:0:0:0:0:2]:8000"},
    {"a container without an address", false, ANY, &none, NULL},
};

static void test_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct discover_server server = {.tls = urls[i].tls};
        struct host_listener socket = {.port = 8000};
        char url[DISCOVER_URL_MAX] = "as it was";
        int r;

        memcpy(socket.address, urls[i].address, sizeof(socket.address));
        r = discover_url(&server, &socket, urls[i].network, &own, url);
        if (r != (urls[i].url ? 0 : -EHOSTUNREACH) ||
            strcmp(url, urls[i].url ? urls[i].url : "as it was") != 0)
            fail_msg("[%s] %d, %s", urls[i].row, r, url);
    }
}

/* The longest there can be. */
static void test_longest_url(void **state)
{
    struct discover_server server = {.tls = true};
    struct host_listener socket = {.port = UINT16_MAX};
    char url[DISCOVER_URL_MAX];

    (void)state;
    memset(socket.address, 0xff, sizeof(socket.address));
    assert_int_equal(discover_url(&server, &socket, NULL, &all, url), 0);
    assert_string_equal(url, "https://[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static const struct host_port_proxy proxies[] = {
    {.container_address = V4(172, 17, 0, 3), .container_port = 8000, .host_port = 18000},
    {.container_address = V4(172, 17, 0, 2), .container_port = 8001, .host_port = 18001},
    {.container_address = V4(172, 17, 0, 2), .container_port = 8000, .host_port = 18002},
    {.container_address = V4(172, 17, 0, 2), .container_port = 8000, .host_port = 18003},
    {.container_address = V6_GLOBAL, .container_port = 8000, .host_port = 18004},
};

static const struct {
    const char *row;
    const struct host_addresses *network;
    uint16_t port;
    size_t n;
    uint16_t host_port;
} host_ports[] = {
    {"published", &v4_network, 8000, 5, 18002},
    {"another port of it", &v4_network, 8001, 5, 18001},
    {"not published", &v4_network, 8002, 5, 0},
    {"published of another container alone", &v4_network, 8000, 1, 0},
    {"by its IPv6 address", &v6_network, 8000, 5, 18004},
    {"no proxies", &v4_network, 8000, 0, 0},
    {"no address", &none, 8000, 5, 0},
};

static void test_host_ports(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(host_ports); i++) {
        uint16_t port = discover_host_port(host_ports[i].network, host_ports[i].port,
                                           proxies, host_ports[i].n);

        if (port != host_ports[i].host_port)
            fail_msg("[%s] %u", host_ports[i].row, port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permissions), cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_urls),        cmocka_unit_test(test_longest_url),
        cmocka_unit_test(test_host_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
