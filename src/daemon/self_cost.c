// SPDX-License-Identifier: Apache-2.0
#include "daemon/self_cost.h"

#include "base/number.h"

#include <fcntl.h>
#include <sys/resource.h>

void self_cost_open(struct self_cost *cost)
{
    cost->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void self_cost_close(struct self_cost *cost)
{
    close_fd(&cost->statm_fd);
}

/* The second number of the line, in pages. */
uint64_t self_cost_rss_bytes(const struct self_cost *cost)
{
    char text[64];
    ssize_t n = pread(cost->statm_fd, text, sizeof(text), 0);
    const char *end = text + MAX(n, (ssize_t)0);
    const char *space = n > 0 ? memchr(text, ' ', (size_t)n) : NULL;
    const char *second = space ? space + 1 : end, *after = second;
    uint64_t pages;

    while (after < end && *after != ' ')
        after++;
    if (number_read_u64((struct span){second, (size_t)(after - second)}, UINT32_MAX,
                        &pages) < 0)
        return UNKNOWN;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

double self_cost_cpu_seconds(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage); // cannot fail with these arguments
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}
