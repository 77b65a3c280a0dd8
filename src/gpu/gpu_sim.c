// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_sim.c - a simulated driver: its devices and allocations are files
 *
 *   DIR/devices           a line per device: <uuid> <total bytes> <reserved bytes> <name>
 *   DIR/processes/<pid>   a line per allocation: <device, from 0> <bytes>
 *
 * As a real driver frees the memory of a process that ends, the file of a process that no
 * longer lives counts for nothing. Writers replace files by renaming; a name that is no
 * number is not looked at.
 */
#include "gpu/gpu_backend.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>

#include "base/number.h"
#include "base/text.h"
#include "gpu/small_files.h"

enum { FILE_MAX = 32768, NAMES_MAX = 8192 };

static const char DEFAULT_DEVICES[] =
    "GPU-00000000-0000-0000-0000-000000000000 85899345920 0 Simulated GPU\n";

struct sim_row {
    uint32_t pid;
    uint32_t device;
    uint64_t used_bytes; // UNKNOWN: the file says something that is not a number
};

struct sim {
    struct gpu_source base;
    const char *dir; // NULL: the default device, no processes
    char devices[FILE_MAX];
    char file[FILE_MAX];
    char names[NAMES_MAX] __attribute__((aligned(8))); // of struct dirent64
    struct sim_row rows[GPU_PROCESSES_MAX];
    uint32_t n_rows;
    bool incomplete;                      // `rows` lacks some
    bool unattributed;                    // an allocation could be on any device
    uint64_t used_bytes[GPU_DEVICES_MAX]; // UNKNOWN: a row of it is
};

static bool take_number(struct span *rest, uint64_t max, uint64_t *ret)
{
    struct span word;

    return take_until(rest, ' ', &word) && number_read_u64(word, max, ret) == 0;
}

/* The whole file into `to`; -EFBIG when it does not fit. */
static int read_file(int dir_fd, const char *path, char to[FILE_MAX], struct span *ret)
{
    OWNED(close_fd) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t len = 0;

    if (fd < 0)
        return neg_errno();
    for (;;) {
        ssize_t n = read(fd, to + len, FILE_MAX - len);

        if (n < 0)
            return neg_errno();
        if (n == 0)
            break;
        len += (size_t)n;
        if (len == FILE_MAX)
            return -EFBIG;
    }
    *ret = (struct span){to, len};
    return 0;
}

static void read_allocation(struct sim *sim, uint32_t pid, struct span line)
{
    uint64_t device, used_bytes;

    if (!take_number(&line, GPU_DEVICES_MAX - 1, &device)) {
        sim->unattributed = true;
        return;
    }
    if (number_read_u64(line, UNKNOWN - 1, &used_bytes) < 0)
        used_bytes = UNKNOWN;
    sim->used_bytes[device] = add_saturating(sim->used_bytes[device], used_bytes);

    if (sim->n_rows == ARRAY_LEN(sim->rows)) {
        sim->incomplete = true;
        return;
    }
    sim->rows[sim->n_rows++] = (struct sim_row){pid, (uint32_t)device, used_bytes};
}

static void read_process(struct sim *sim, int dir_fd, const char *name)
{
    struct span rest, line;
    uint64_t pid;
    int r;

    if (number_read_u64(span_of(name), INT_MAX, &pid) < 0 || pid == 0)
        return;
    if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
        return;

    r = read_file(dir_fd, name, sim->file, &rest);
    if (r == -ENOENT)
        return; // gone since its name was read
    if (r < 0) {
        sim->unattributed = true;
        return;
    }
    while (take_until(&rest, '\n', &line))
        if (line.len > 0)
            read_allocation(sim, (uint32_t)pid, line);
}

/* No folder: no process has allocated anything yet. */
static int read_processes(struct sim *sim, int dir_fd)
{
    OWNED(close_fd)
    int fd = openat(dir_fd, "processes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t len;

    if (fd < 0)
        return errno == ENOENT ? 0 : neg_errno();

    // Not readdir(), which would allocate for each sample.
    while ((len = getdents64(fd, sim->names, sizeof(sim->names))) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct dirent64 *entry = (const void *)(sim->names + at);

            read_process(sim, fd, entry->d_name);
            at += entry->d_reclen;
        }
    }
    return len < 0 ? neg_errno() : 0;
}

static void read_device(struct span line, struct gpu_device *device)
{
    struct span uuid;
    uint64_t total, reserved;

    if (!take_until(&line, ' ', &uuid) || !take_number(&line, UNKNOWN - 1, &total) ||
        !take_number(&line, UNKNOWN - 1, &reserved) || line.len == 0) {
        gpu_device_say(device, "the simulated driver's line of this device is malformed");
        return;
    }
    (void)text_clean(device->uuid, sizeof(device->uuid), uuid);
    (void)text_clean(device->name, sizeof(device->name), line);
    device->mem_total_bytes = total;
    device->mem_reserved_bytes = reserved;
}

static void add_device(struct sim *sim, uint32_t index, struct span line,
                       struct gpu_sample *out)
{
    struct gpu_device *device = gpu_add_device(out, index);

    if (!device)
        return;
    read_device(line, device);
    if (!sim->unattributed)
        device->mem_used_bytes = sim->used_bytes[index];
    if (device->mem_used_bytes == UNKNOWN)
        gpu_device_say(device, "a simulated allocation is malformed");
    gpu_device_check(device);
}

static void add_processes(const struct sim *sim, uint32_t index, struct gpu_sample *out)
{
    for (uint32_t i = 0; i < sim->n_rows; i++)
        if (sim->rows[i].device == index)
            gpu_add_process(out, sim->rows[i].pid, sim->rows[i].used_bytes);
}

static void add_devices(struct sim *sim, struct span rest, bool with_processes,
                        struct gpu_sample *out)
{
    struct span line;
    uint32_t n = 0;

    while (n < GPU_DEVICES_MAX && take_until(&rest, '\n', &line)) {
        if (line.len == 0)
            continue;
        add_device(sim, n, line, out);
        if (with_processes)
            add_processes(sim, n, out);
        n++;
    }
    for (uint32_t i = 0; i < sim->n_rows; i++)
        if (sim->rows[i].device >= n)
            sim->incomplete = true; // on a device that is not there
    if (with_processes && (sim->incomplete || sim->unattributed))
        out->processes_incomplete = 1;
}

static int cannot_read(const struct sim *sim, struct gpu_source_state *state, int r)
{
    return gpu_say(state, r, r == -EACCES ? GPU_NO_PERMISSION : GPU_NO_DRIVER,
                   "the simulated driver in \"%s\" cannot be read: %s", sim->dir,
                   strerror(-r));
}

static int sim_sample(struct gpu_source *source, bool with_processes,
                      struct gpu_source_state *state, struct gpu_sample *out)
{
    struct sim *sim = CONTAINER_OF(source, struct sim, base);
    OWNED(close_fd) int fd = -1;
    struct span devices = span_of(DEFAULT_DEVICES);
    int r;

    sim->n_rows = 0;
    sim->incomplete = false;
    sim->unattributed = false;
    memset(sim->used_bytes, 0, sizeof(sim->used_bytes));

    if (sim->dir) {
        fd = open(sim->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return cannot_read(sim, state, neg_errno());
        r = read_file(fd, "devices", sim->devices, &devices);
        if (r >= 0)
            r = read_processes(sim, fd);
        if (r < 0)
            return cannot_read(sim, state, r);
    }
    add_devices(sim, devices, with_processes, out);
    return 0;
}

static void sim_close(struct gpu_source *source)
{
    free(CONTAINER_OF(source, struct sim, base));
}

static int sim_open(const struct gpu_env *env, struct gpu_source_state *state,
                    struct gpu_source **ret)
{
    static const char version[] = "simulated";
    struct sim *sim = calloc(1, sizeof(*sim));

    if (!sim)
        return -ENOMEM;
    sim->base.backend = &gpu_sim;
    sim->dir = env->sim_dir;
    memcpy(state->driver_version, version, sizeof(version));
    *ret = &sim->base;
    return 0;
}

const struct gpu_backend gpu_sim = {
    .name = "sim",
    .only_by_name = true,
    .open = sim_open,
    .sample = sim_sample,
    .close = sim_close,
};
