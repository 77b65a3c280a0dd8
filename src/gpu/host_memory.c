// SPDX-License-Identifier: Apache-2.0
#include "gpu/host_memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/number.h"

enum { TEXT_MAX = 4096 }; // some 1,500 bytes, and the wanted lines are the first ones

static int read_text(const char *proc_root, char text[TEXT_MAX])
{
    OWNED(close_fd) int fd = -1;
    char path[PATH_MAX];
    ssize_t n;

    if (snprintf(path, sizeof(path), "%s/meminfo", proc_root) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return neg_errno();
    n = read(fd, text, TEXT_MAX - 1);
    if (n < 0)
        return neg_errno();
    text[n] = '\0';
    return 0;
}

/* "MemTotal:       131072000 kB" */
static int find_bytes(const char *text, const char *name, uint64_t *ret)
{
    const char *at = strstr(text, name);
    uint64_t kib;
    size_t len;
    int r;

    if (!at || (at > text && at[-1] != '\n'))
        return -EBADMSG;
    at += strlen(name);
    at += strspn(at, " ");
    len = strcspn(at, " \n");
    if (strncmp(at + len, " kB\n", 4) != 0)
        return -EBADMSG;
    r = number_read_u64((struct span){at, len}, INT64_MAX / 1024, &kib);
    if (r == 0)
        *ret = kib * 1024;
    return r;
}

/* Another device that has the same memory. */
static const struct gpu_device *find_holder(const struct gpu_sample *out)
{
    for (uint32_t i = 0; i + 1 < out->n_devices; i++)
        if (out->devices[i].unified && out->devices[i].mem_total_bytes != UNKNOWN)
            return &out->devices[i];
    return NULL;
}

void host_memory_fill(struct gpu_sample *out, const char *proc_root)
{
    struct gpu_device *device = &out->devices[out->n_devices - 1];
    const struct gpu_device *holder = find_holder(out);
    uint64_t total = 0, available = 0;
    char text[TEXT_MAX];
    int r;

    device->unified = 1;
    if (holder) {
        gpu_device_say(device,
                       "it shares the host's memory, which is counted at device %" PRIu32,
                       holder->index);
        return;
    }
    r = read_text(proc_root, text);
    r = r ? r : find_bytes(text, "MemTotal:", &total);
    r = r ? r : find_bytes(text, "MemAvailable:", &available);
    if (r == 0 && available > total)
        r = -EBADMSG;
    if (r < 0) {
        gpu_device_say(device, "it shares the host's memory, and %s/meminfo: %s",
                       proc_root, strerror(-r));
        return;
    }
    device->mem_total_bytes = total;
    device->mem_used_bytes = total - available;
    gpu_device_say(device, "it shares the host's memory: total and used are those of the "
                           "whole host (MemTotal, MemAvailable)");
}
