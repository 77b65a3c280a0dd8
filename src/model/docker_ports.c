// SPDX-License-Identifier: Apache-2.0
#include "model/docker_ports.h"

#include "base/buf.h"
#include "model/model_limits.h"

#include <arpa/inet.h>

/* False: not an address. */
static bool read_address(const json_t *value, uint8_t ret[16])
{
    static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
    const char *text = json_string_value(value);

    if (!text || !*text)
        return false;
    if (inet_pton(AF_INET6, text, ret) == 1)
        return true;
    memcpy(ret, v4_prefix, sizeof(v4_prefix));
    return inet_pton(AF_INET, text, ret + sizeof(v4_prefix)) == 1;
}

static bool read_port(const json_t *value, uint16_t *ret)
{
    json_int_t port = json_integer_value(value);

    if (!json_is_integer(value) || port <= 0 || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool is_there(const struct docker_ports *ports, const struct docker_port *port)
{
    for (size_t i = 0; i < ports->n; i++)
        if (memcmp(&ports->at[i], port, sizeof(*port)) == 0)
            return true;
    return false;
}

/* The published ports of one container at one of its addresses. */
static void add_ports(const json_t *ports, const uint8_t address[16],
                      struct docker_ports *ret)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(ports, i, entry)
    {
        struct docker_port port = {.host_port = 0};
        const char *type = json_string_value(json_object_get(entry, "Type"));

        if (ret->n == DOCKER_PORTS_MAX)
            return;
        if (!type || strcmp(type, "tcp") != 0 ||
            !read_port(json_object_get(entry, "PrivatePort"), &port.container_port) ||
            !read_port(json_object_get(entry, "PublicPort"), &port.host_port))
            continue;
        memcpy(port.address, address, sizeof(port.address));
        if (!is_there(ret, &port)) // it is told once for IPv4 and once for IPv6
            ret->at[ret->n++] = port;
    }
}

static void add_container(const json_t *container, struct docker_ports *ret)
{
    static const char *const keys[] = {"IPAddress", "GlobalIPv6Address"};
    json_t *networks =
        json_object_get(json_object_get(container, "NetworkSettings"), "Networks");
    const json_t *ports = json_object_get(container, "Ports"), *network;
    const char *name;

    json_object_foreach(networks, name, network)
    {
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            uint8_t address[16];

            if (read_address(json_object_get(network, keys[i]), address))
                add_ports(ports, address, ret);
        }
    }
}

int docker_ports_read(struct span json, struct docker_ports *ret, struct complaint *why)
{
    OWNED(json_decrefp) json_t *root = NULL;
    OWNED(buf_done) struct buf text;
    const json_t *list, *container;
    size_t i;
    int r;

    // An object is what can be read; the answer is a list.
    buf_init(&text, MODEL_JSON_MAX);
    buf_add_str(&text, "{\"list\":");
    buf_add(&text, json.at, json.len);
    buf_add_char(&text, '}');
    if (text.error < 0)
        return complain(why, -EFBIG, "longer than %d bytes", MODEL_JSON_MAX);
    r = json_read(buf_span(&text), &model_json_limits, &root, why);
    if (r < 0)
        return r;
    list = json_object_get(root, "list");
    if (!json_is_array(list))
        return complain(why, -EBADMSG, "not a list of containers");
    ret->n = 0;
    json_array_foreach(list, i, container) add_container(container, ret);
    return 0;
}
