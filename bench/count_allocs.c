// SPDX-License-Identifier: Apache-2.0
/*
 * count_allocs.c - preloaded into the daemon: how often is memory asked for?
 *
 * Counts malloc, calloc, realloc, reallocarray and posix_memalign of the whole process,
 * libraries included. SIGUSR2 writes the count so far as a line to the file named by COUNT_ALLOCS.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

static atomic_ulong count;

void *malloc(size_t size)
{
    atomic_fetch_add(&count, 1);
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    atomic_fetch_add(&count, 1);
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    atomic_fetch_add(&count, 1);
    return __libc_realloc(old, size);
}

static void on_signal(int number)
{
    const char *path = getenv("COUNT_ALLOCS");
    char line[32];
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    int len = snprintf(line, sizeof(line), "%lu\n", atomic_load(&count));

    (void)number;
    if (fd >= 0 && len > 0)
        (void)!write(fd, line, (size_t)len);
    if (fd >= 0)
        (void)close(fd);
}

__attribute__((constructor)) static void start(void)
{
    (void)signal(SIGUSR2, on_signal);
}
