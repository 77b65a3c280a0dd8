// SPDX-License-Identifier: Apache-2.0
/*
 * fake_nvml.c - a libnvidia-ml.so.1 that does what a text file says
 *
 * The file is named by the environment variable VRAMSCOPE_FAKE_NVML and read afresh on
 * each call, so that it can be changed while a program runs: write another file and
 * rename it. Without the variable, or without the file, there is no device. Lines:
 *
 *   # anything                              a comment
 *   driver VERSION                          550.54.15 when not given
 *   device UUID NAME...                     the next device, from 0; its name ends the
 *                                           line, and both may hold bytes as \xNN
 *   memory TOTAL RESERVED USED              of the device above; USED without RESERVED,
 *                                           "none" for a figure that is not available
 *   process LIST PID BYTES [GI CI]          of the device above; LIST: compute or mps;
 *                                           BYTES may be "none"
 *   lost                                    the device above answers GPU_IS_LOST to all
 *   growing                                 the process lists of the device above always
 *                                           need one row more than there is room for
 *   error FUNCTION CODE [DEVICE]            that function (of that device) answers CODE
 *   hang FUNCTION SECONDS [DEVICE]          that function does not answer for so long
 *
 * FUNCTION is the name without "nvml", or "*"; a "_v2" or "_v3" belongs to it.
 *
 * VRAMSCOPE_FAKE_NVML_CALLS names a file to which each call appends a line: the function
 * without "nvml", and the device's index or "-".
 *
 * The interface is declared here a second time on purpose: an error in the program's own
 * declarations must not be repeated by its test double. Built thrice:
 *   (nothing)             a driver of today
 *   FAKE_NVML_V1_ONLY     an old one: no v2 of memory, no v2 or v3 of the process lists
 *   FAKE_NVML_535         535.43 to 535.98: v3 process rows of 32 bytes
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(FAKE_NVML_V1_ONLY) && defined(FAKE_NVML_535)
#error "one or the other"
#endif

typedef int nvmlReturn_t;
typedef struct nvmlDevice_st *nvmlDevice_t;

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    INSUFFICIENT_SIZE = 7,
    GPU_IS_LOST = 15,
    ARGUMENT_VERSION_MISMATCH = 25,
};

typedef struct {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
} nvmlMemory_t;

typedef struct {
    unsigned int version;
    unsigned long long total;
    unsigned long long reserved;
    unsigned long long free;
    unsigned long long used;
} nvmlMemory_v2_t;

typedef struct {
    unsigned int pid;
    unsigned long long usedGpuMemory;
} nvmlProcessInfo_v1_t;

typedef struct {
    unsigned int pid;
    unsigned long long usedGpuMemory;
    unsigned int gpuInstanceId;
    unsigned int computeInstanceId;
} nvmlProcessInfo_v2_t;

typedef struct {
    unsigned int pid;
    unsigned long long usedGpuMemory;
    unsigned int gpuInstanceId;
    unsigned int computeInstanceId;
    unsigned long long usedGpuCcProtectedMemory;
} nvmlProcessInfo_535_t;

_Static_assert(sizeof(nvmlMemory_v2_t) == 40, "as in nvml.h");
_Static_assert(sizeof(nvmlProcessInfo_v1_t) == 16, "as in nvml.h");
_Static_assert(sizeof(nvmlProcessInfo_v2_t) == 24, "as in nvml.h");
_Static_assert(sizeof(nvmlProcessInfo_535_t) == 32, "as in nvml.h");

enum {
    DEVICES_MAX = 80,
    PROCESSES_MAX = 4096,
    RULES_MAX = 64,
    WORD_MAX = 96,
    LINE_MAX = 512
};

static const unsigned long long NOT_AVAILABLE = ~0ULL;

struct nvmlDevice_st {
    char uuid[WORD_MAX];
    char name[WORD_MAX];
    unsigned long long total, reserved, used;
    bool lost;
    bool growing;
};

struct process {
    unsigned device;
    bool mps;
    unsigned pid;
    unsigned long long used;
    unsigned gi, ci;
};

struct rule {
    bool hang;
    char function[WORD_MAX];
    int value;  // return code, or seconds
    int device; // -1: any
};

static struct {
    bool initialized;
    char driver[WORD_MAX];
    struct nvmlDevice_st devices[DEVICES_MAX];
    unsigned n_devices;
    struct process processes[PROCESSES_MAX];
    unsigned n_processes;
    struct rule rules[RULES_MAX];
    unsigned n_rules;
} fake;

/* The next word of the line, cut off; "" at its end. */
static char *word(char **line)
{
    char *start = *line + strspn(*line, " ");
    char *end = start + strcspn(start, " ");

    *line = *end ? end + 1 : end;
    *end = '\0';
    return start;
}

static unsigned long long figure(char **line)
{
    const char *text = word(line);

    return strcmp(text, "none") == 0 ? NOT_AVAILABLE : strtoull(text, NULL, 10);
}

static void copy(char *to, size_t room, const char *from)
{
    size_t n = strnlen(from, room - 1);

    memcpy(to, from, n);
    to[n] = '\0';
}

static void unescape(char *to, size_t room, const char *from)
{
    size_t n = 0;

    while (*from && n + 1 < room) {
        if (from[0] == '\\' && from[1] == 'x' && from[2] && from[3]) {
            const char digits[3] = {from[2], from[3], '\0'};

            to[n++] = (char)strtoul(digits, NULL, 16);
            from += 4;
        } else {
            to[n++] = *from++;
        }
    }
    to[n] = '\0';
}

static void read_device(char *line)
{
    struct nvmlDevice_st *device;

    if (fake.n_devices == DEVICES_MAX)
        return;
    device = &fake.devices[fake.n_devices++];
    memset(device, 0, sizeof(*device));
    unescape(device->uuid, sizeof(device->uuid), word(&line));
    unescape(device->name, sizeof(device->name), line);
}

static void read_process(char *line)
{
    struct process *process;
    const char *ci;

    if (fake.n_processes == PROCESSES_MAX || fake.n_devices == 0)
        return;
    process = &fake.processes[fake.n_processes++];
    process->device = fake.n_devices - 1;
    process->mps = strcmp(word(&line), "mps") == 0;
    process->pid = (unsigned)figure(&line);
    process->used = figure(&line);
    process->gi = ~0U;
    process->ci = ~0U;
    if (*line) {
        process->gi = (unsigned)figure(&line);
        ci = word(&line);
        process->ci = (unsigned)strtoul(ci, NULL, 10);
    }
}

static void read_rule(bool hang, char *line)
{
    struct rule *rule;

    if (fake.n_rules == RULES_MAX)
        return;
    rule = &fake.rules[fake.n_rules++];
    rule->hang = hang;
    copy(rule->function, sizeof(rule->function), word(&line));
    rule->value = (int)figure(&line);
    rule->device = *line ? (int)figure(&line) : -1;
}

static void read_line(char *line)
{
    const char *verb = word(&line);
    struct nvmlDevice_st *device = &fake.devices[fake.n_devices ? fake.n_devices - 1 : 0];

    if (strcmp(verb, "driver") == 0) {
        copy(fake.driver, sizeof(fake.driver), line);
    } else if (strcmp(verb, "device") == 0) {
        read_device(line);
    } else if (strcmp(verb, "memory") == 0) {
        device->total = figure(&line);
        device->reserved = figure(&line);
        device->used = figure(&line);
    } else if (strcmp(verb, "process") == 0) {
        read_process(line);
    } else if (strcmp(verb, "lost") == 0) {
        device->lost = true;
    } else if (strcmp(verb, "growing") == 0) {
        device->growing = true;
    } else if (strcmp(verb, "error") == 0) {
        read_rule(false, line);
    } else if (strcmp(verb, "hang") == 0) {
        read_rule(true, line);
    }
}

static void read_script(void)
{
    const char *path = getenv("VRAMSCOPE_FAKE_NVML");
    char line[LINE_MAX];
    FILE *file = path ? fopen(path, "re") : NULL;

    copy(fake.driver, sizeof(fake.driver), "550.54.15");
    fake.n_devices = 0;
    fake.n_processes = 0;
    fake.n_rules = 0;
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        read_line(line);
    }
    (void)fclose(file); // it was only read
}

static void count_call(const char *function, int device)
{
    const char *path = getenv("VRAMSCOPE_FAKE_NVML_CALLS");
    char line[LINE_MAX];
    int fd, n;

    if (!path)
        return;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (device < 0)
        n = snprintf(line, sizeof(line), "%s -\n", function);
    else
        n = snprintf(line, sizeof(line), "%s %d\n", function, device);
    if (write(fd, line, (size_t)n) != n)
        abort(); // a count that is wrong would be believed
    (void)close(fd);
}

static void hang(int seconds)
{
    struct timespec left = {seconds, 0};

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

/* Every call begins here. `device` -1: it is about none. */
static nvmlReturn_t begin(const char *function, int device)
{
    count_call(function, device);
    read_script();
    for (unsigned i = 0; i < fake.n_rules; i++) {
        const struct rule *rule = &fake.rules[i];

        if ((strcmp(rule->function, "*") != 0 && strcmp(rule->function, function) != 0) ||
            (rule->device >= 0 && rule->device != device))
            continue;
        if (!rule->hang)
            return rule->value;
        hang(rule->value);
    }
    return SUCCESS;
}

/* The same for calls that need nvmlInit_v2() before them, and a device that answers. */
static nvmlReturn_t begin_device(const char *function, nvmlDevice_t device)
{
    ptrdiff_t index = device - fake.devices;
    nvmlReturn_t r;

    if (!device || index < 0 || index >= DEVICES_MAX)
        return INVALID_ARGUMENT;
    r = begin(function, (int)index);
    if (r != SUCCESS)
        return r;
    if (!fake.initialized)
        return UNINITIALIZED;
    if (index >= (ptrdiff_t)fake.n_devices || device->lost)
        return GPU_IS_LOST;
    return SUCCESS;
}

static nvmlReturn_t give_text(const char *text, char *to, unsigned room)
{
    if (strlen(text) >= room)
        return INSUFFICIENT_SIZE;
    memcpy(to, text, strlen(text) + 1);
    return SUCCESS;
}

static unsigned count_rows(const struct nvmlDevice_st *device, bool mps)
{
    unsigned n = 0;

    for (unsigned i = 0; i < fake.n_processes; i++)
        n += &fake.devices[fake.processes[i].device] == device &&
             fake.processes[i].mps == mps;
    return n;
}

/* As NVML does: with too little room it writes no row, only how many there are. */
static nvmlReturn_t give_rows(nvmlDevice_t device, bool mps, size_t size, unsigned *count,
                              void *rows)
{
    unsigned n = device->growing ? *count + 1 : count_rows(device, mps);
    unsigned at = 0;

    if (n > *count || (n > 0 && !rows)) {
        *count = n;
        return INSUFFICIENT_SIZE;
    }
    for (unsigned i = 0; i < fake.n_processes; i++) {
        const struct process *p = &fake.processes[i];
        nvmlProcessInfo_535_t row = {p->pid, p->used, p->gi, p->ci, 0};

        if (&fake.devices[p->device] == device && p->mps == mps)
            memcpy((char *)rows + size * at++, &row, size);
    }
    *count = n;
    return SUCCESS;
}

#define EXPORT __attribute__((visibility("default")))

EXPORT nvmlReturn_t nvmlInit_v2(void);
EXPORT nvmlReturn_t nvmlInit_v2(void)
{
    nvmlReturn_t r = begin("Init_v2", -1);

    fake.initialized = r == SUCCESS;
    return r;
}

EXPORT nvmlReturn_t nvmlShutdown(void);
EXPORT nvmlReturn_t nvmlShutdown(void)
{
    nvmlReturn_t r = begin("Shutdown", -1);

    if (r == SUCCESS && !fake.initialized)
        return UNINITIALIZED;
    fake.initialized = false;
    return r;
}

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length);
EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    nvmlReturn_t r = begin("SystemGetDriverVersion", -1);

    return r == SUCCESS ? give_text(fake.driver, version, length) : r;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count);
EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count)
{
    nvmlReturn_t r = begin("DeviceGetCount_v2", -1);

    if (r == SUCCESS && !fake.initialized)
        return UNINITIALIZED;
    if (r == SUCCESS)
        *count = fake.n_devices;
    return r;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device);
EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device)
{
    nvmlReturn_t r = begin("DeviceGetHandleByIndex_v2", (int)index);

    if (r != SUCCESS)
        return r;
    if (!fake.initialized)
        return UNINITIALIZED;
    if (index >= fake.n_devices)
        return INVALID_ARGUMENT;
    if (fake.devices[index].lost)
        return GPU_IS_LOST;
    *device = &fake.devices[index];
    return SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length);
EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length)
{
    nvmlReturn_t r = begin_device("DeviceGetUUID", device);

    return r == SUCCESS ? give_text(device->uuid, uuid, length) : r;
}

EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length);
EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length)
{
    nvmlReturn_t r = begin_device("DeviceGetName", device);

    return r == SUCCESS ? give_text(device->name, name, length) : r;
}

/* "used" of the first version counts what driver and firmware hold. */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory);
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    nvmlReturn_t r = begin_device("DeviceGetMemoryInfo", device);

    if (r != SUCCESS)
        return r;
    memory->total = device->total;
    memory->used =
        device->used == NOT_AVAILABLE ? NOT_AVAILABLE : device->used + device->reserved;
    memory->free = device->total - memory->used;
    return SUCCESS;
}

#define LIST(name, function, mps, row)                                              \
    EXPORT nvmlReturn_t name(nvmlDevice_t device, unsigned *count, void *rows);     \
    EXPORT nvmlReturn_t name(nvmlDevice_t device, unsigned *count, void *rows)      \
    {                                                                               \
        nvmlReturn_t r = begin_device(function, device);                            \
                                                                                    \
        return r == SUCCESS ? give_rows(device, mps, sizeof(row), count, rows) : r; \
    }

LIST(nvmlDeviceGetComputeRunningProcesses, "DeviceGetComputeRunningProcesses", false,
     nvmlProcessInfo_v1_t)
LIST(nvmlDeviceGetMPSComputeRunningProcesses, "DeviceGetMPSComputeRunningProcesses", true,
     nvmlProcessInfo_v1_t)

#ifndef FAKE_NVML_V1_ONLY

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device,
                                               nvmlMemory_v2_t *memory);
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device,
                                               nvmlMemory_v2_t *memory)
{
    nvmlReturn_t r = begin_device("DeviceGetMemoryInfo_v2", device);

    if (r != SUCCESS)
        return r;
    if (memory->version != 0x02000028)
        return ARGUMENT_VERSION_MISMATCH;
    memory->total = device->total;
    memory->reserved = device->reserved;
    memory->used = device->used;
    memory->free = device->total - device->reserved - device->used;
    return SUCCESS;
}

#ifdef FAKE_NVML_535
typedef nvmlProcessInfo_535_t nvmlProcessInfo_v3_t;
#else
typedef nvmlProcessInfo_v2_t nvmlProcessInfo_v3_t;
#endif

LIST(nvmlDeviceGetComputeRunningProcesses_v2, "DeviceGetComputeRunningProcesses_v2",
     false, nvmlProcessInfo_v2_t)
LIST(nvmlDeviceGetComputeRunningProcesses_v3, "DeviceGetComputeRunningProcesses_v3",
     false, nvmlProcessInfo_v3_t)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, "DeviceGetMPSComputeRunningProcesses_v2",
     true, nvmlProcessInfo_v2_t)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, "DeviceGetMPSComputeRunningProcesses_v3",
     true, nvmlProcessInfo_v3_t)

EXPORT nvmlReturn_t nvmlDeviceGetConfComputeMemSizeInfo(nvmlDevice_t device, void *info);
EXPORT nvmlReturn_t nvmlDeviceGetConfComputeMemSizeInfo(nvmlDevice_t device, void *info)
{
    (void)info;
    return begin_device("DeviceGetConfComputeMemSizeInfo", device);
}

#ifndef FAKE_NVML_535

EXPORT nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device,
                                                          void *list);
EXPORT nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device, void *list)
{
    (void)list;
    return begin_device("DeviceGetRunningProcessDetailList", device);
}

#endif
#endif
