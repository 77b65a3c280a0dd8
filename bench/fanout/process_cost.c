// SPDX-License-Identifier: Apache-2.0
#include "process_cost.h"

#include <stdio.h>
#include <time.h>

/* The text of a small file of /proc/PID; empty when it cannot be read. */
static void read_text(pid_t pid, const char *name, char *text, size_t room)
{
    char path[64];
    size_t n = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    file = fopen(path, "re");
    if (file) {
        n = fread(text, 1, room - 1, file);
        (void)fclose(file);
    }
    text[n] = '\0';
}

static uint64_t anonymous_kb(pid_t pid)
{
    static const char key[] = "RssAnon:";
    char text[4096];
    const char *at;

    read_text(pid, "status", text, sizeof(text));
    at = strstr(text, key);
    return at ? strtoull(at + sizeof(key) - 1, NULL, 10) : 0;
}

int process_cost_read(pid_t pid, struct process_cost *ret)
{
    struct timespec cpu;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &cpu) < 0)
        return -ESRCH;
    *ret = (struct process_cost){.cpu_s = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9,
                                 .anonymous_kb = anonymous_kb(pid)};
    return 0;
}
