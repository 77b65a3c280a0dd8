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
 *   mig MODE                                of the device above: "on" or "off"; without
 *                                           it, it does not support MIG
 *   instance SLOT GI UUID NAME...           a MIG device of the device above: "memory",
 *                                           "process" and "lost" below are about it, until
 *                                           the next "device"
 *   unified                                 the device above has no memory of its own
 *   process LIST PID BYTES [GI CI]          of the device or instance above; LIST: compute,
 *                                           mps or graphics; BYTES may be "none"
 *   lost                                    the device above answers GPU_IS_LOST to all
 *   latch                                   nvmlInit_v2 counts the devices, and a lost one
 *                                           stays lost until the next nvmlInit_v2
 *   growing                                 the process lists of the device above always
 *                                           need one row more than there is room for
 *   error FUNCTION CODE [DEVICE[/SLOT]]     that function (of that device, or of its MIG
 *                                           device in that slot) answers CODE
 *   hang FUNCTION SECONDS [DEVICE[/SLOT]]   that function does not answer for so long
 *
 * FUNCTION is the name without "nvml", or "*"; a "_v2" or "_v3" belongs to it.
 *
 * VRAMSCOPE_FAKE_NVML_CALLS names a file to which each call appends a line: the function
 * without "nvml", and the device's index, INDEX/SLOT of a MIG device, or "-". The list of
 * a device that is partitioned has the processes of its instances, too.
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
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
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
    SLOTS_MAX = 8,
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
    unsigned gi;
    bool used_slot; // an instance: the slot has one
    bool mig_known, mig;
    bool unified;
    bool lost;
    bool growing;
};

enum list { COMPUTE, MPS, GRAPHICS };

struct process {
    unsigned device;
    int slot; // -1: of the device itself
    enum list list;
    unsigned pid;
    unsigned long long used;
    unsigned gi, ci;
};

struct rule {
    bool hang;
    char function[WORD_MAX];
    int value;  // return code, or seconds
    int device; // -1: any
    int slot;   // -1: the device itself
};

static struct {
    bool initialized;
    char driver[WORD_MAX];
    struct nvmlDevice_st devices[DEVICES_MAX];
    struct nvmlDevice_st instances[DEVICES_MAX][SLOTS_MAX];
    unsigned n_devices;
    int slot; // of the instance that is being read; -1: none
    bool latch;
    unsigned n_latched; // devices, when nvmlInit_v2 was called
    bool latched[DEVICES_MAX];
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
    fake.slot = -1;
    memset(device, 0, sizeof(*device));
    memset(fake.instances[fake.n_devices - 1], 0, sizeof(fake.instances[0]));
    unescape(device->uuid, sizeof(device->uuid), word(&line));
    unescape(device->name, sizeof(device->name), line);
}

static void read_instance(char *line)
{
    int slot = (int)figure(&line);
    struct nvmlDevice_st *instance;

    if (fake.n_devices == 0 || slot < 0 || slot >= SLOTS_MAX)
        return;
    fake.slot = slot;
    instance = &fake.instances[fake.n_devices - 1][slot];
    instance->used_slot = true;
    instance->gi = (unsigned)figure(&line);
    unescape(instance->uuid, sizeof(instance->uuid), word(&line));
    unescape(instance->name, sizeof(instance->name), line);
}

static enum list read_list(const char *text)
{
    if (strcmp(text, "mps") == 0)
        return MPS;
    return strcmp(text, "graphics") == 0 ? GRAPHICS : COMPUTE;
}

static void read_process(char *line)
{
    struct process *process;
    const char *ci;

    if (fake.n_processes == PROCESSES_MAX || fake.n_devices == 0)
        return;
    process = &fake.processes[fake.n_processes++];
    process->device = fake.n_devices - 1;
    process->slot = fake.slot;
    process->list = read_list(word(&line));
    process->pid = (unsigned)figure(&line);
    process->used = figure(&line);
    process->gi = fake.slot < 0 ? ~0U : fake.instances[process->device][fake.slot].gi;
    process->ci = fake.slot < 0 ? ~0U : 0;
    if (*line) {
        process->gi = (unsigned)figure(&line);
        ci = word(&line);
        process->ci = (unsigned)strtoul(ci, NULL, 10);
    }
}

static void read_rule(bool hang, char *line)
{
    struct rule *rule;
    char *slot;

    if (fake.n_rules == RULES_MAX)
        return;
    rule = &fake.rules[fake.n_rules++];
    rule->hang = hang;
    copy(rule->function, sizeof(rule->function), word(&line));
    rule->value = (int)figure(&line);
    slot = strchr(line, '/');
    rule->slot = slot ? (int)strtol(slot + 1, NULL, 10) : -1;
    rule->device = *line ? (int)strtol(line, NULL, 10) : -1;
}

/* The device or instance that a line is about. */
static struct nvmlDevice_st *current(void)
{
    unsigned at = fake.n_devices ? fake.n_devices - 1 : 0;

    return fake.slot < 0 ? &fake.devices[at] : &fake.instances[at][fake.slot];
}

static void read_line(char *line)
{
    const char *verb = word(&line);
    struct nvmlDevice_st *device = current();

    if (strcmp(verb, "driver") == 0) {
        copy(fake.driver, sizeof(fake.driver), line);
    } else if (strcmp(verb, "device") == 0) {
        read_device(line);
    } else if (strcmp(verb, "mig") == 0) {
        device->mig_known = true;
        device->mig = strcmp(word(&line), "on") == 0;
    } else if (strcmp(verb, "instance") == 0) {
        read_instance(line);
    } else if (strcmp(verb, "unified") == 0) {
        device->unified = true;
    } else if (strcmp(verb, "latch") == 0) {
        fake.latch = true;
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
    fake.slot = -1;
    fake.latch = false;
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        read_line(line);
    }
    (void)fclose(file); // it was only read
    for (unsigned i = 0; i < fake.n_devices; i++)
        fake.latched[i] = fake.latched[i] || fake.devices[i].lost;
}

static bool is_lost(unsigned device)
{
    return fake.devices[device].lost || (fake.latch && fake.latched[device]);
}

static void count_call(const char *function, int device, int slot)
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
    else if (slot < 0)
        n = snprintf(line, sizeof(line), "%s %d\n", function, device);
    else
        n = snprintf(line, sizeof(line), "%s %d/%d\n", function, device, slot);
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

/* Every call begins here. `device` -1: it is about none; `slot` -1: about no instance. */
static nvmlReturn_t begin_at(const char *function, int device, int slot)
{
    count_call(function, device, slot);
    read_script();
    for (unsigned i = 0; i < fake.n_rules; i++) {
        const struct rule *rule = &fake.rules[i];

        if ((strcmp(rule->function, "*") != 0 && strcmp(rule->function, function) != 0) ||
            (rule->device >= 0 && (rule->device != device || rule->slot != slot)))
            continue;
        if (!rule->hang)
            return rule->value;
        hang(rule->value);
    }
    return SUCCESS;
}

static nvmlReturn_t begin(const char *function, int device)
{
    return begin_at(function, device, -1);
}

/* Whose handle it is. */
static bool find(nvmlDevice_t device, unsigned *ret_index, int *ret_slot)
{
    ptrdiff_t at;

    if (device >= fake.devices && device < fake.devices + DEVICES_MAX) {
        *ret_index = (unsigned)(device - fake.devices);
        *ret_slot = -1;
        return true;
    }
    if (device < fake.instances[0] ||
        device >= fake.instances[0] + (ptrdiff_t)DEVICES_MAX * SLOTS_MAX)
        return false;
    at = device - fake.instances[0];
    *ret_index = (unsigned)(at / SLOTS_MAX);
    *ret_slot = (int)(at % SLOTS_MAX);
    return true;
}

/* The same for calls that need nvmlInit_v2() before them, and a device that answers. */
static nvmlReturn_t begin_device(const char *function, nvmlDevice_t device)
{
    unsigned index;
    int slot;
    nvmlReturn_t r;

    if (!find(device, &index, &slot))
        return INVALID_ARGUMENT;
    r = begin_at(function, (int)index, slot);
    if (r != SUCCESS)
        return r;
    if (!fake.initialized)
        return UNINITIALIZED;
    if (index >= fake.n_devices || is_lost(index))
        return GPU_IS_LOST;
    if (slot >= 0 && (!fake.devices[index].mig || !device->used_slot))
        return NOT_FOUND;
    return device->lost ? GPU_IS_LOST : SUCCESS;
}

static nvmlReturn_t give_text(const char *text, char *to, unsigned room)
{
    if (strlen(text) >= room)
        return INSUFFICIENT_SIZE;
    memcpy(to, text, strlen(text) + 1);
    return SUCCESS;
}

static bool is_listed(const struct process *p, nvmlDevice_t device, enum list list)
{
    unsigned index;
    int slot;

    return p->list == list && find(device, &index, &slot) && p->device == index &&
           (slot < 0 || p->slot == slot);
}

static unsigned count_rows(nvmlDevice_t device, enum list list)
{
    unsigned n = 0;

    for (unsigned i = 0; i < fake.n_processes; i++)
        n += is_listed(&fake.processes[i], device, list);
    return n;
}

/* As NVML does: with too little room it writes no row, only how many there are. */
static nvmlReturn_t give_rows(nvmlDevice_t device, enum list list, size_t size,
                              unsigned *count, void *rows)
{
    unsigned n = device->growing ? *count + 1 : count_rows(device, list);
    unsigned at = 0;

    if (n > *count || (n > 0 && !rows)) {
        *count = n;
        return INSUFFICIENT_SIZE;
    }
    for (unsigned i = 0; i < fake.n_processes; i++) {
        const struct process *p = &fake.processes[i];
        nvmlProcessInfo_535_t row = {p->pid, p->used, p->gi, p->ci, 0};

        if (is_listed(p, device, list))
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
    fake.n_latched = fake.n_devices;
    for (unsigned i = 0; i < fake.n_devices; i++)
        fake.latched[i] = fake.devices[i].lost;
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
        *count = fake.latch ? fake.n_latched : fake.n_devices;
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
    if (is_lost(index))
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
    if (device->unified)
        return NOT_SUPPORTED;
    memory->total = device->total;
    memory->used =
        device->used == NOT_AVAILABLE ? NOT_AVAILABLE : device->used + device->reserved;
    memory->free = device->total - memory->used;
    return SUCCESS;
}

#define LIST(name, function, list, row)                                              \
    EXPORT nvmlReturn_t name(nvmlDevice_t device, unsigned *count, void *rows);      \
    EXPORT nvmlReturn_t name(nvmlDevice_t device, unsigned *count, void *rows)       \
    {                                                                                \
        nvmlReturn_t r = begin_device(function, device);                             \
                                                                                     \
        return r == SUCCESS ? give_rows(device, list, sizeof(row), count, rows) : r; \
    }

LIST(nvmlDeviceGetComputeRunningProcesses, "DeviceGetComputeRunningProcesses", COMPUTE,
     nvmlProcessInfo_v1_t)
LIST(nvmlDeviceGetMPSComputeRunningProcesses, "DeviceGetMPSComputeRunningProcesses", MPS,
     nvmlProcessInfo_v1_t)
LIST(nvmlDeviceGetGraphicsRunningProcesses, "DeviceGetGraphicsRunningProcesses", GRAPHICS,
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
    if (device->unified)
        return NOT_SUPPORTED;
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
     COMPUTE, nvmlProcessInfo_v2_t)
LIST(nvmlDeviceGetComputeRunningProcesses_v3, "DeviceGetComputeRunningProcesses_v3",
     COMPUTE, nvmlProcessInfo_v3_t)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, "DeviceGetMPSComputeRunningProcesses_v2",
     MPS, nvmlProcessInfo_v2_t)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, "DeviceGetMPSComputeRunningProcesses_v3",
     MPS, nvmlProcessInfo_v3_t)

LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, "DeviceGetGraphicsRunningProcesses_v2",
     GRAPHICS, nvmlProcessInfo_v2_t)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, "DeviceGetGraphicsRunningProcesses_v3",
     GRAPHICS, nvmlProcessInfo_v3_t)

EXPORT nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current,
                                         unsigned *pending);
EXPORT nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current,
                                         unsigned *pending)
{
    nvmlReturn_t r = begin_device("DeviceGetMigMode", device);

    if (r != SUCCESS)
        return r;
    if (!device->mig_known)
        return NOT_SUPPORTED;
    *current = device->mig;
    *pending = device->mig;
    return SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count);
EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count)
{
    nvmlReturn_t r = begin_device("DeviceGetMaxMigDeviceCount", device);

    if (r == SUCCESS)
        *count = device->mig ? SLOTS_MAX - 1 : 0;
    return r;
}

EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device,
                                                        unsigned index,
                                                        nvmlDevice_t *migDevice);
EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device,
                                                        unsigned index,
                                                        nvmlDevice_t *migDevice)
{
    nvmlReturn_t r = begin_device("DeviceGetMigDeviceHandleByIndex", device);
    unsigned at;
    int slot;

    if (r != SUCCESS)
        return r;
    if (index >= SLOTS_MAX - 1 || !find(device, &at, &slot) || slot >= 0)
        return INVALID_ARGUMENT;
    if (!fake.instances[at][index].used_slot)
        return NOT_FOUND;
    *migDevice = &fake.instances[at][index];
    return SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *id);
EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *id)
{
    nvmlReturn_t r = begin_device("DeviceGetGpuInstanceId", device);

    if (r == SUCCESS)
        *id = device->gi;
    return r;
}

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
