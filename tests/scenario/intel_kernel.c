// SPDX-License-Identifier: Apache-2.0
/*
 * intel_kernel.c - preloaded: render nodes of Intel's, as their kernel drivers answer
 *
 * INTEL_NODES names a folder. A file renderD<n> in it stands for /dev/dri/renderD<n>: its
 * first word is the driver (xe, i915), then come regions, each "class total used" in
 * bytes. Questions about memory are answered from it, with the layouts and the two steps
 * of the kernel's xe_query.c and i915_query.c, and what is in use only to who has
 * CAP_PERFMON or CAP_SYS_ADMIN.
 *
 * A process whose memory is to be seen holds a file clients/.../renderD<n> below that
 * folder open: what is in it is what fdinfo says of the descriptor.
 */
#undef _FILE_OFFSET_BITS // each name and its 64-bit twin are defined here
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// As in gpu/intel_abi.h, but not from there: what is tested does not say what is right.
#define XE_QUERY 0xc0286440UL
#define I915_QUERY 0xc0106479UL

enum { REGIONS_MAX = 8, REGION_SIZE = 88, XE_HEADER = 8, I915_HEADER = 16 };

struct memory {
    char driver[8];
    unsigned n;
    struct {
        unsigned class;
        unsigned long long total, used;
    } regions[REGIONS_MAX];
};

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* The path that a descriptor was opened with; "" if there is none. */
static void path_of(int fd, char path[512])
{
    char link[64];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, 511);
    path[n > 0 ? n : 0] = '\0';
}

static bool is_ours(const char *path)
{
    const char *folder = getenv("INTEL_NODES");

    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

/* Instead of a file of fdinfo, what the descriptor's own file says. */
static int fdinfo_of(int fd)
{
    char path[512], link[64], target[512];
    unsigned pid, number;
    ssize_t n;
    int other;

    path_of(fd, path);
    if (sscanf(path, "/proc/%u/fdinfo/%u", &pid, &number) != 2)
        return fd;
    (void)snprintf(link, sizeof(link), "/proc/%u/fd/%u", pid, number);
    n = readlink(link, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    if (!is_ours(target) || !strstr(target, "/clients/"))
        return fd;
    other = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    if (other < 0)
        return fd;
    (void)close(fd);
    return other;
}

static int open_any(int dir_fd, const char *path, int flags, mode_t mode)
{
    static const char nodes[] = "/dev/dri/";
    const char *folder = getenv("INTEL_NODES");
    char instead[512];
    int fd;

    if (folder && strncmp(path, nodes, sizeof(nodes) - 1) == 0) {
        (void)snprintf(instead, sizeof(instead), "%s/%s", folder,
                       path + sizeof(nodes) - 1);
        path = instead;
    }
    fd = (int)syscall(SYS_openat, dir_fd, path, flags, mode);
    return fd >= 0 && folder ? fdinfo_of(fd) : fd;
}

#define OPENING(name)                                      \
    int name(const char *path, int flags, ...)             \
    {                                                      \
        va_list args;                                      \
        mode_t mode;                                       \
                                                           \
        va_start(args, flags);                             \
        mode = flags & O_CREAT ? va_arg(args, mode_t) : 0; \
        va_end(args);                                      \
        return open_any(AT_FDCWD, path, flags, mode);      \
    }
#define OPENING_AT(name)                                   \
    int name(int dir_fd, const char *path, int flags, ...) \
    {                                                      \
        va_list args;                                      \
        mode_t mode;                                       \
                                                           \
        va_start(args, flags);                             \
        mode = flags & O_CREAT ? va_arg(args, mode_t) : 0; \
        va_end(args);                                      \
        return open_any(dir_fd, path, flags, mode);        \
    }

OPENING(open)
OPENING(open64)
OPENING_AT(openat)
OPENING_AT(openat64)

/* As the kernel's perfmon_capable(). */
static bool may_be_told(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct half[2] = {{0}};

    if (syscall(SYS_capget, &header, half) < 0)
        return false;
    return half[CAP_PERFMON / 32].effective & 1U << CAP_PERFMON % 32 ||
           half[CAP_SYS_ADMIN / 32].effective & 1U << CAP_SYS_ADMIN % 32;
}

static bool read_memory(int fd, struct memory *ret)
{
    char text[1024], path[512], *at = text;
    int used = 0;
    ssize_t n;

    path_of(fd, path);
    if (!is_ours(path))
        return false;
    n = pread(fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return false;
    text[n] = '\0';
    *ret = (struct memory){0};
    if (sscanf(at, "%7s%n", ret->driver, &used) != 1)
        return false;
    for (at += used; ret->n < REGIONS_MAX; at += used, ret->n++)
        if (sscanf(at, "%u %llu %llu%n", &ret->regions[ret->n].class,
                   &ret->regions[ret->n].total, &ret->regions[ret->n].used, &used) != 3)
            break;
    return true;
}

static void put(char *to, size_t at, uint64_t value, size_t size)
{
    memcpy(to + at, &value, size); // little-endian, as all that have such cards are
}

static int answer_xe(const struct memory *memory, char *query)
{
    uint32_t size, wanted = XE_HEADER + memory->n * REGION_SIZE;
    uint64_t data;
    char *to;

    memcpy(&size, query + 12, sizeof(size));
    memcpy(&data, query + 16, sizeof(data));
    to = (char *)(uintptr_t)data;
    if (size == 0) {
        put(query, 12, wanted, 4);
        return 0;
    }
    if (size != wanted) {
        errno = EINVAL;
        return -1;
    }
    memset(to, 0, size);
    put(to, 0, memory->n, 4);
    for (unsigned i = 0; i < memory->n; i++) {
        char *region = to + XE_HEADER + i * REGION_SIZE;

        put(region, 0, memory->regions[i].class, 2);
        put(region, 2, i, 2);
        put(region, 4, 65536, 4);
        put(region, 8, memory->regions[i].total, 8);
        put(region, 16, may_be_told() ? memory->regions[i].used : 0, 8);
    }
    return 0;
}

static int answer_i915(const struct memory *memory, const char *query)
{
    int32_t length, wanted = (int32_t)(I915_HEADER + memory->n * REGION_SIZE);
    uint64_t items, data;
    char *item, *to;

    memcpy(&items, query + 8, sizeof(items));
    item = (char *)(uintptr_t)items;
    memcpy(&length, item + 8, sizeof(length));
    memcpy(&data, item + 16, sizeof(data));
    to = (char *)(uintptr_t)data;
    if (length == 0 || length != wanted) {
        put(item, 8, (uint32_t)(length == 0 ? wanted : -EINVAL), 4);
        return 0;
    }
    memset(to, 0, (size_t)length);
    put(to, 0, memory->n, 4);
    for (unsigned i = 0; i < memory->n; i++) {
        char *region = to + I915_HEADER + i * REGION_SIZE;
        uint64_t used = may_be_told() ? memory->regions[i].used : 0;

        put(region, 0, memory->regions[i].class, 2);
        put(region, 8, memory->regions[i].total, 8);
        put(region, 16, memory->regions[i].total - used, 8);
    }
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    int (*next)(int fd, unsigned long request, void *argument);
    struct memory memory;
    void *argument;
    va_list args;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    if (request == XE_QUERY && read_memory(fd, &memory) && memory.driver[0] == 'x')
        return answer_xe(&memory, argument);
    if (request == I915_QUERY && read_memory(fd, &memory) && memory.driver[0] == 'i')
        return answer_i915(&memory, argument);
    *(void **)&next = real("ioctl");
    return next(fd, request, argument);
}
