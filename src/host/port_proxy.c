// SPDX-License-Identifier: Apache-2.0
#include "host/port_proxy.h"

#include "base/number.h"
#include "host/host_parse.h"
#include "host/host_text.h"

#include <arpa/inet.h>

enum option { PROTOCOL, HOST_IP, HOST_PORT, CONTAINER_IP, CONTAINER_PORT, OPTIONS };

static const char *const option_names[OPTIONS] = {
    [PROTOCOL] = "proto",
    [HOST_IP] = "host-ip",
    [HOST_PORT] = "host-port",
    [CONTAINER_IP] = "container-ip",
    [CONTAINER_PORT] = "container-port",
};

static bool is_proxy(struct span program)
{
    const char *slash = program.len ? memrchr(program.at, '/', program.len) : NULL;
    size_t skipped = slash ? (size_t)(slash - program.at) + 1 : 0;

    return span_is((struct span){program.at + skipped, program.len - skipped},
                   "docker-proxy");
}

/* -name or --name, in either case without the dashes. Nothing else is an option. */
static bool take_dashes(struct span *argument)
{
    int dashes = 0;

    while (dashes < 2 && argument->len > 0 && *argument->at == '-') {
        argument->at++;
        argument->len--;
        dashes++;
    }
    return dashes > 0;
}

static enum option find_option(struct span name)
{
    enum option option = 0;

    while (option < OPTIONS && !span_is(name, option_names[option]))
        option++;
    return option;
}

/* As Go's flags: "-name value" or "-name=value", and of several the last counts. */
static bool read_options(struct span arguments, struct span values[OPTIONS])
{
    struct span argument, name;

    while (host_take_until(&arguments, '\0', &argument)) {
        enum option option;

        if (!take_dashes(&argument))
            continue; // the value of an option that we do not know
        name = (struct span){argument.at, 0};
        if (!host_take_until(&argument, '=', &name))
            continue;
        option = find_option(name);
        if (option == OPTIONS)
            continue;
        values[option] = argument;
        if (name.at + name.len == argument.at && // no '='
            !host_take_until(&arguments, '\0', &values[option]))
            return false;
    }
    return true;
}

static bool read_address(struct span text, uint8_t ret[HOST_ADDRESS_SIZE])
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr v4;

    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &v4) != 1)
        return inet_pton(AF_INET6, copy, ret) == 1;
    host_map_v4(ret, &v4);
    return true;
}

static bool read_port(struct span text, uint16_t *ret)
{
    uint64_t port;

    if (number_read_u64(text, UINT16_MAX, &port) < 0 || port == 0)
        return false;
    *ret = (uint16_t)port;
    return true;
}

bool host_parse_port_proxy(struct span cmdline, struct host_port_proxy *ret)
{
    struct span program, values[OPTIONS] = {[PROTOCOL] = {"tcp", 3}};
    struct host_port_proxy found = {0};

    if (cmdline.len == 0 || cmdline.at[cmdline.len - 1] != '\0' || // cut off
        !host_take_until(&cmdline, '\0', &program) || !is_proxy(program) ||
        !read_options(cmdline, values) || !span_is(values[PROTOCOL], "tcp"))
        return false;
    if (!read_address(values[HOST_IP], found.host_address) ||
        !read_address(values[CONTAINER_IP], found.container_address) ||
        !read_port(values[HOST_PORT], &found.host_port) ||
        !read_port(values[CONTAINER_PORT], &found.container_port))
        return false;
    *ret = found;
    return true;
}
