// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/docker_ports.h"

#include <stdio.h>

#define AT(ip) \
    "\"NetworkSettings\":{\"Networks\":{\"bridge\":{\"IPAddress\":\"" ip "\"}}}"
#define PORT(inside, outside)                                                  \
    "{\"IP\":\"0.0.0.0\",\"PrivatePort\":" #inside ",\"PublicPort\":" #outside \
    ",\"Type\":\"tcp\"}"

/* Each as "last byte of the address:port inside>port of the host". */
static const struct {
    const char *json;
    int result;
    const char *ports;
} rows[] = {
    {"[]", 0, ""},
    {"[{\"Id\":\"a\",\"Ports\":[" PORT(8000, 18000) "]," AT("172.17.0.2") "}]", 0,
     "2:8000>18000 "},
    {"[{\"Ports\":[" PORT(8000, 18000) "," PORT(8001, 18001) "]," AT("172.17.0.3") "}]",
     0, "3:8000>18000 3:8001>18001 "},
    {"[{\"Ports\":[" PORT(8000, 18000) "," PORT(8000, 18000) "]," AT("172.17.0.2") "}]",
     0, "2:8000>18000 "},
    // Both families, two networks.
    {"[{\"Ports\":[" PORT(
         1, 2) "],\"NetworkSettings\":{\"Networks\":{"
               "\"a\":{\"IPAddress\":\"10.0.0.4\",\"GlobalIPv6Address\":\"fd00::5\"},"
               "\"b\":{\"IPAddress\":\"10.0.0.6\",\"GlobalIPv6Address\":\"\"}}}}]",
     0, "4:1>2 5:1>2 6:1>2 "},
    // Not published, not TCP, impossible, or nowhere.
    {"[{\"Ports\":[{\"PrivatePort\":8000,\"Type\":\"tcp\"}]," AT("172.17.0.2") "}]", 0,
     ""},
    {"[{\"Ports\":[{\"PrivatePort\":1,\"PublicPort\":2,\"Type\":\"udp\"}]," AT(
         "1.1.1.1") "}]",
     0, ""},
    {"[{\"Ports\":[" PORT(8000, 65536) "," PORT(0, 1) "," PORT(-1, 1) "," PORT(
         1.5, 1) "]," AT("1.1.1.1") "}]",
     0, ""},
    {"[{\"Ports\":[" PORT(1, 2) "]," AT("") "}]", 0, ""},
    {"[{\"Ports\":[" PORT(1, 2) "]," AT("nowhere") "}]", 0, ""},
    {"[{\"Ports\":[" PORT(1, 2) "]},7,null,[],{\"Ports\":3," AT("1.1.1.1") "}]", 0, ""},
    {"{\"message\":\"permission denied\"}", -EBADMSG, "before"},
    {"", -EBADMSG, "before"},
    {"[", -EBADMSG, "before"},
    {"[]},{", -EBADMSG, "before"},
};

static void test_rows(void **state)
{
    static struct docker_ports ports;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct complaint why = {""};
        char text[256] = "";

        ports.n = 77;
        if (docker_ports_read(span_of(rows[i].json), &ports, &why) != rows[i].result)
            fail_msg("[row %zu] %s", i, why.text);
        if (rows[i].result < 0) {
            assert_int_equal(ports.n, 77);
            assert_true(why.text[0]);
            continue;
        }
        for (size_t j = 0; j < ports.n; j++)
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u:%u>%u ",
                           ports.at[j].address[15], ports.at[j].container_port,
                           ports.at[j].host_port);
        assert_string_equal(text, rows[i].ports);
    }
}

static void test_more_than_fit(void **state)
{
    static char json[64 * 1024];
    static struct docker_ports ports;
    struct complaint why = {""};
    size_t len = 0;

    (void)state;
    len += (size_t)snprintf(json, sizeof(json), "[{" AT("10.0.0.1") ",\"Ports\":[");
    for (int i = 0; i <= DOCKER_PORTS_MAX; i++)
        len += (size_t)snprintf(
            json + len, sizeof(json) - len,
            "%s{\"PrivatePort\":8000,\"PublicPort\":%d,\"Type\":\"tcp\"}", i ? "," : "",
            9000 + i);
    (void)snprintf(json + len, sizeof(json) - len, "]}]");
    assert_int_equal(docker_ports_read(span_of(json), &ports, &why), 0);
    assert_int_equal(ports.n, DOCKER_PORTS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_more_than_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
