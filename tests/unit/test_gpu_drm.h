// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_drm.h - trees of files as DRM's drivers make them, and what a back end says
 *
 * Cards are linked as in /sys.
 */
#ifndef TESTS_UNIT_TEST_GPU_DRM_H
#define TESTS_UNIT_TEST_GPU_DRM_H

#include "gpu/drm.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "test_gpu_files.h"

#define SECOND UINT64_C(1000000000)

static struct gpu_sample sample; // too large for the stack
static struct gpu_source_state said;
static struct gpu_source *source;

/* What a test is of: set before it opens it. */
static const struct gpu_backend *tested;
static const struct intel_calls *tested_calls; // NULL: the kernel's

static inline const char *path_of(const char *name)
{
    static char path[512];

    assert_true(snprintf(path, sizeof(path), "%s/%s", files_dir, name) <
                (int)sizeof(path));
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    return path;
}

static inline void put(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void put_link(const char *name, const char *to)
{
    assert_int_equal(symlink(to, path_of(name)), 0);
}

static inline void remove_tree(const char *name)
{
    assert_int_equal(nftw(path_of(name), files_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* <folder>/<name>, for those that take one name. */
PRINTF_LIKE(1, 2)
static inline const char *name_of(const char *format, ...)
{
    static char names[4][256];
    static unsigned turn;
    char *name = names[turn++ % 4];
    va_list args;

    va_start(args, format);
    assert_true(vsnprintf(name, sizeof(names[0]), format, args) < (int)sizeof(names[0]));
    va_end(args);
    return name;
}

/* class/drm/card0 -> ../../devices/pci0000:00/0000:03:00.0/drm/card0, and so on. */
static inline void put_card(uint32_t n, const char *address, const char *vendor,
                            const char *driver)
{
    char folder[128];

    (void)snprintf(folder, sizeof(folder), "sys/devices/pci0000:00/%s", address);
    put(name_of("%s/vendor", folder), vendor);
    put(name_of("%s/device", folder), "0x744c\n");
    put(name_of("%s/class", folder), "0x030000\n");
    put(name_of("%s/uevent", folder),
        name_of("DRIVER=%s\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME=%s\n"
                "MODALIAS=pci:v00001002\n",
                driver, address));
    put_link(name_of("%s/driver", folder),
             name_of("../../../bus/pci/drivers/%s", driver));
    put(name_of("%s/drm/card%u/dev", folder, n), name_of("226:%u\n", n));
    put(name_of("%s/drm/card%u/card%u-HDMI-A-1/status", folder, n, n), "connected\n");
    put(name_of("%s/drm/renderD%u/dev", folder, 128 + n), name_of("226:%u\n", 128 + n));
    put_link(name_of("%s/drm/card%u/device", folder, n), name_of("../../../%s", address));
    put_link(name_of("sys/class/drm/card%u", n),
             name_of("../../devices/pci0000:00/%s/drm/card%u", address, n));
    put_link(
        name_of("sys/class/drm/card%u-HDMI-A-1", n),
        name_of("../../devices/pci0000:00/%s/drm/card%u/card%u-HDMI-A-1", address, n, n));
    put_link(name_of("sys/class/drm/renderD%u", 128 + n),
             name_of("../../devices/pci0000:00/%s/drm/renderD%u", address, 128 + n));
    put_link(name_of("sys/bus/pci/devices/%s", address),
             name_of("../../../devices/pci0000:00/%s", address));
}

/* A descriptor of /dev/dri, and what fdinfo says about it. */
static inline void put_fd(uint32_t pid, uint32_t fd, const char *text)
{
    put_link(name_of("proc/%u/fd/%u", pid, fd), "/dev/dri/renderD129");
    put(name_of("proc/%u/fdinfo/%u", pid, fd), text);
}

/* A folder with a process that has no such descriptor. */
static inline int tree_setup(void **state)
{
    source = NULL;
    memset(&said, 0, sizeof(said));
    if (files_setup(state) < 0)
        return -1;
    put("proc/1/fd/0", "");
    put("proc/1/fdinfo/0", "pos:\t0\nflags:\t02\n");
    return 0;
}

static inline int teardown(void **state)
{
    if (source)
        tested->close(source);
    return files_teardown(state);
}

static inline int open_it(void)
{
    char sys[512], proc[512];
    const struct gpu_env env = {
        .sys_root = sys, .proc_root = proc, .intel = tested_calls};

    (void)snprintf(sys, sizeof(sys), "%s", path_of("sys"));
    (void)snprintf(proc, sizeof(proc), "%s", path_of("proc"));
    return tested->open(&env, &said, &source);
}

static inline void take(uint64_t now_ns, bool with_processes)
{
    if (!source)
        assert_int_equal(open_it(), 0);
    memset(&sample, 0, sizeof(sample));
    sample.n_sources = 1;
    sample.taken_ns = now_ns;
    assert_int_equal(tested->sample(source, with_processes, &said, &sample), 0);
}

static inline int by_pid(const void *a, const void *b)
{
    const struct gpu_process *x = a, *y = b;

    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* "pid/bytes ..." of all devices, by pid, those of each behind a "|"; "?" for UNKNOWN. */
static inline const char *processes(void)
{
    static char text[512];
    size_t len = 0;

    qsort(sample.processes, sample.n_processes, sizeof(*sample.processes), by_pid);
    text[0] = '\0';
    for (uint32_t d = 0; d < sample.n_devices; d++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "|");
        for (uint32_t i = 0; i < sample.n_processes; i++) {
            const struct gpu_process *p = &sample.processes[i];
            char used[32] = "?";

            if (p->device != d)
                continue;
            if (p->used_bytes != UNKNOWN)
                (void)snprintf(used, sizeof(used), "%" PRIu64, p->used_bytes);
            len += (size_t)snprintf(text + len, sizeof(text) - len, " %" PRIu32 "/%s",
                                    p->pid, used);
        }
    }
    return text;
}

static inline void expect_processes(const char *row, const char *expected,
                                    uint32_t incomplete)
{
    if (strcmp(processes(), expected) != 0 || sample.processes_incomplete != incomplete)
        fail_msg("[%s] \"%s\", incomplete %" PRIu32, row, processes(),
                 sample.processes_incomplete);
}

#endif
