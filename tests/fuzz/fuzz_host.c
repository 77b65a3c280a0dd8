// SPDX-License-Identifier: Apache-2.0
/*
 * What is accepted from a line of /proc is accepted again when it is written out plainly,
 * and means the same.
 */
#include "base/text.h"
#include "host/host_parse.h"

#include <assert.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_stat(struct span text)
{
    struct host_process process, again;
    char line[256], clean[HOST_COMM_MAX];
    int n;

    if (host_parse_stat(text, &process) < 0)
        return;
    assert(process.pid > 0 && process.start_ticks != UNKNOWN);
    (void)text_clean(clean, sizeof(clean), span_of(process.comm));
    assert(strcmp(clean, process.comm) == 0);

    n = snprintf(line, sizeof(line),
                 "%u (%s) S %u 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 %ju 23",
                 process.pid, process.comm, process.parent_pid,
                 (uintmax_t)process.start_ticks);
    assert(host_parse_stat((struct span){line, (size_t)n}, &again) == 0);
    assert(host_parse_task((struct span){line, (size_t)n}) == HOST_TASK_PROCESS);
    assert(memcmp(&process, &again, sizeof(process)) == 0);
}

static void try_tcp_line(struct span text)
{
    struct host_socket found, again;
    char line[256];
    int n;

    if (host_parse_tcp_line(text, &found) < 0)
        return;
    n = snprintf(line, sizeof(line),
                 "0: 00000000:%04X 00000000:0000 %02X 0 0 0 %u 0 %ju 1", found.port,
                 found.state, found.uid, (uintmax_t)found.inode);
    assert(host_parse_tcp_line((struct span){line, (size_t)n}, &again) == 0);
    assert(found.port == again.port && found.state == again.state &&
           found.uid == again.uid && found.inode == again.inode);
}

static void try_socket_link(struct span text)
{
    char link[64];
    uint64_t inode, again;
    int n;

    if (host_parse_socket_link(text, &inode) < 0)
        return;
    n = snprintf(link, sizeof(link), "socket:[%ju]", (uintmax_t)inode);
    assert(host_parse_socket_link((struct span){link, (size_t)n}, &again) == 0);
    assert(inode == again);
}

static void try_loadavg(struct span text)
{
    uint32_t pid;

    if (host_parse_newest_pid(text, &pid) == 0)
        assert(pid > 0 && pid <= INT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};

    (void)host_parse_task(text); // any answer will do, if it reads no further
    try_stat(text);
    try_tcp_line(text);
    try_socket_link(text);
    try_loadavg(text);
    return 0;
}
