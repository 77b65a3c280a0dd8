// SPDX-License-Identifier: Apache-2.0
#include "gpu/gpu_frame.h"

#include "base/text.h"

#define REQUEST_MAGIC UINT32_C(0x71757067) // "gpuq"
#define FRAME_MAGIC UINT32_C(0x66757067)   // "gpuf"

enum {
    VERSION = 2,
    WITH_PROCESSES = 1, // the only flag
};

struct request_record {
    uint32_t magic;
    uint32_t version;
    uint32_t seq;
    uint32_t flags;
};

struct frame_header {
    uint32_t magic;
    uint32_t version;
    uint32_t length; // of the whole frame
    uint32_t seq;
    uint32_t flags;
    uint32_t source_size;
    uint32_t device_size;
    uint32_t process_size;
    uint32_t n_sources;
    uint32_t n_devices;
    uint32_t n_processes;
    uint32_t processes_incomplete;
    uint64_t taken_ns;
    uint64_t processes_taken_ns;
};

_Static_assert(sizeof(struct request_record) == GPU_REQUEST_SIZE, "no unnamed bytes");
_Static_assert(sizeof(struct frame_header) == GPU_FRAME_HEADER_SIZE, "no unnamed bytes");
_Static_assert(sizeof(struct gpu_source_state) == 16 + 2 * 4 + 32 + GPU_REASON_MAX,
               "no unnamed bytes");
_Static_assert(sizeof(struct gpu_device) ==
                   4 * 4 + 2 * GPU_UUID_MAX + GPU_NAME_MAX + 3 * 8 + GPU_REASON_MAX,
               "no unnamed bytes");
_Static_assert((int)GPU_REASON_MAX >= (int)GPU_NAME_MAX &&
                   (int)GPU_REASON_MAX >= (int)GPU_UUID_MAX,
               "the reason is the longest string");
_Static_assert(sizeof(struct gpu_process) == 2 * 4 + 8, "no unnamed bytes");

void gpu_request_encode(const struct gpu_request *request, char to[GPU_REQUEST_SIZE])
{
    struct request_record record = {
        .magic = REQUEST_MAGIC,
        .version = VERSION,
        .seq = request->seq,
        .flags = request->with_processes ? WITH_PROCESSES : 0,
    };

    memcpy(to, &record, sizeof(record));
}

int gpu_request_decode(struct span bytes, struct gpu_request *ret)
{
    struct request_record record;

    if (bytes.len != sizeof(record))
        return -EBADMSG;
    memcpy(&record, bytes.at, sizeof(record));
    if (record.magic != REQUEST_MAGIC || record.version != VERSION ||
        (record.flags & ~(uint32_t)WITH_PROCESSES) != 0)
        return -EBADMSG;

    *ret = (struct gpu_request){record.seq, record.flags & WITH_PROCESSES};
    return 0;
}

static size_t put(char *to, size_t at, const void *records, size_t len)
{
    memcpy(to + at, records, len);
    return at + len;
}

size_t gpu_frame_encode(const struct gpu_frame_info *info,
                        const struct gpu_sample *sample, char *to)
{
    struct frame_header header = {
        .magic = FRAME_MAGIC,
        .version = VERSION,
        .seq = info->seq,
        .flags = info->with_processes ? WITH_PROCESSES : 0,
        .source_size = sizeof(struct gpu_source_state),
        .device_size = sizeof(struct gpu_device),
        .process_size = sizeof(struct gpu_process),
        .n_sources = sample->n_sources,
        .n_devices = sample->n_devices,
        .taken_ns = sample->taken_ns,
    };
    size_t at = sizeof(header);

    if (info->with_processes) {
        header.n_processes = sample->n_processes;
        header.processes_incomplete = sample->processes_incomplete;
        header.processes_taken_ns = sample->processes_taken_ns;
    }

    at = put(to, at, sample->sources, header.n_sources * sizeof(*sample->sources));
    at = put(to, at, sample->devices, header.n_devices * sizeof(*sample->devices));
    at = put(to, at, sample->processes, header.n_processes * sizeof(*sample->processes));
    header.length = (uint32_t)at;
    memcpy(to, &header, sizeof(header));
    return at;
}

/* It ends inside its field and is what text_clean() would have made of it. */
static bool is_clean(const char *field, size_t room)
{
    char clean[GPU_REASON_MAX]; // the longest field
    size_t len = strnlen(field, room);

    if (len == room)
        return false;
    return text_clean(clean, sizeof(clean), (struct span){field, len}) == len &&
           memcmp(clean, field, len) == 0;
}

static bool is_header_good(const struct frame_header *h, size_t len)
{
    if (h->magic != FRAME_MAGIC || h->version != VERSION || h->length != len)
        return false;
    if (h->source_size != sizeof(struct gpu_source_state) ||
        h->device_size != sizeof(struct gpu_device) ||
        h->process_size != sizeof(struct gpu_process))
        return false;
    if (h->n_sources > GPU_SOURCES_MAX || h->n_devices > GPU_DEVICES_MAX ||
        h->n_processes > GPU_PROCESSES_MAX || h->processes_incomplete > 1)
        return false;
    if (len != sizeof(*h) + h->n_sources * sizeof(struct gpu_source_state) +
                   h->n_devices * sizeof(struct gpu_device) +
                   h->n_processes * sizeof(struct gpu_process))
        return false;
    if (h->flags == WITH_PROCESSES)
        return true;
    return h->flags == 0 && h->n_processes == 0 && h->processes_incomplete == 0 &&
           h->processes_taken_ns == 0;
}

static bool are_sources_good(const struct frame_header *h, const char *at)
{
    for (uint32_t i = 0; i < h->n_sources; i++, at += sizeof(struct gpu_source_state)) {
        struct gpu_source_state s;

        memcpy(&s, at, sizeof(s));
        if (s.verdict >= GPU_VERDICTS || s.reserved != 0 ||
            !is_clean(s.backend, sizeof(s.backend)) ||
            !is_clean(s.driver_version, sizeof(s.driver_version)) ||
            !is_clean(s.reason, sizeof(s.reason)))
            return false;
    }
    return true;
}

static bool are_devices_good(const struct frame_header *h, const char *at)
{
    for (uint32_t i = 0; i < h->n_devices; i++, at += sizeof(struct gpu_device)) {
        struct gpu_device d;

        memcpy(&d, at, sizeof(d));
        if (d.source >= h->n_sources || d.unified > 1 || d.used_is_estimate > 1 ||
            !is_clean(d.uuid, sizeof(d.uuid)) || !is_clean(d.name, sizeof(d.name)) ||
            !is_clean(d.parent_uuid, sizeof(d.parent_uuid)) ||
            !is_clean(d.reason, sizeof(d.reason)))
            return false;
    }
    return true;
}

static bool are_processes_good(const struct frame_header *h, const char *at)
{
    for (uint32_t i = 0; i < h->n_processes; i++, at += sizeof(struct gpu_process)) {
        struct gpu_process p;

        memcpy(&p, at, sizeof(p));
        if (p.device >= h->n_devices)
            return false;
    }
    return true;
}

int gpu_frame_decode(struct span bytes, struct gpu_frame_info *ret_info,
                     struct gpu_sample *ret)
{
    const char *sources, *devices, *processes;
    struct frame_header h;

    if (bytes.len < sizeof(h))
        return -EBADMSG;
    memcpy(&h, bytes.at, sizeof(h));
    if (!is_header_good(&h, bytes.len))
        return -EBADMSG;

    sources = bytes.at + sizeof(h);
    devices = sources + h.n_sources * sizeof(struct gpu_source_state);
    processes = devices + h.n_devices * sizeof(struct gpu_device);
    if (!are_sources_good(&h, sources) || !are_devices_good(&h, devices) ||
        !are_processes_good(&h, processes))
        return -EBADMSG;

    ret->taken_ns = h.taken_ns;
    ret->processes_taken_ns = h.processes_taken_ns;
    ret->n_sources = h.n_sources;
    ret->n_devices = h.n_devices;
    ret->n_processes = h.n_processes;
    ret->processes_incomplete = h.processes_incomplete;
    memcpy(ret->sources, sources, (size_t)(devices - sources));
    memcpy(ret->devices, devices, (size_t)(processes - devices));
    memcpy(ret->processes, processes, h.n_processes * sizeof(struct gpu_process));
    *ret_info = (struct gpu_frame_info){h.seq, h.flags & WITH_PROCESSES};
    return 0;
}
