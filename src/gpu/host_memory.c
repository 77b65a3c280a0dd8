// SPDX-License-Identifier: Apache-2.0
#include "gpu/host_memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/number.h"
#include "base/text.h"
#include "gpu/small_files.h"

enum { TEXT_MAX = 4096 }; // it is some 1,500 bytes

static int read_text(const char *proc_root, char text[TEXT_MAX], struct span *ret)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/meminfo", proc_root) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return small_file_read(AT_FDCWD, path, text, TEXT_MAX, ret);
}

/* "MemTotal:       131072000 kB" */
static int find_bytes(struct span text, const char *name, uint64_t *ret)
{
    struct span line, key, number;
    uint64_t kib;

    while (take_until(&text, '\n', &line)) {
        if (!take_until(&line, ':', &key) || !span_is(key, name))
            continue;
        line = text_trim(line);
        if (!take_until(&line, ' ', &number) || !span_is(line, "kB") ||
            number_read_u64(number, INT64_MAX / 1024, &kib) < 0)
            return -EBADMSG;
        *ret = kib * 1024;
        return 0;
    }
    return -EBADMSG;
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
    char room[TEXT_MAX];
    struct span text = {0};
    int r;

    device->unified = 1;
    if (holder) {
        gpu_device_say(device,
                       "it shares the host's memory, which is counted at device %" PRIu32,
                       holder->index);
        return;
    }
    r = read_text(proc_root, room, &text);
    r = r ? r : find_bytes(text, "MemTotal", &total);
    r = r ? r : find_bytes(text, "MemAvailable", &available);
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
