// SPDX-License-Identifier: Apache-2.0
#include "history/watch_parts.h"

#include <stdio.h>

enum { NAME_CUT = 64 };

static const struct watch_subject of_host = {NULL, NULL};

/* "GPU 0 (NVIDIA H100)" */
static const char *place_text(char ret[WATCH_PLACE_SIZE],
                              const struct device_track *track)
{
    const struct gpu_device *device = &track->device;
    char number[48], name[NAME_CUT];

    watch_cut(name, sizeof(name), device->name);
    if (device->instance == GPU_NO_INSTANCE)
        (void)snprintf(number, sizeof(number), "GPU %u", device->index);
    else
        (void)snprintf(number, sizeof(number), "MIG instance %u of GPU %u",
                       device->instance, device->index);
    if (*name)
        (void)snprintf(ret, WATCH_PLACE_SIZE, "%s (%s)", number, name);
    else
        (void)snprintf(ret, WATCH_PLACE_SIZE, "%s", number);
    return ret;
}

static struct watch_subject about(const struct device_track *track)
{
    return (struct watch_subject){NULL, track->device.uuid};
}

/* ---- Which device is which ---- */

static bool is_same(const struct gpu_device *a, const struct snapshot_device *b)
{
    if (a->uuid[0] || b->uuid[0])
        return strcmp(a->uuid, b->uuid) == 0;
    return a->source == b->source && a->index == b->index && a->instance == b->instance;
}

static struct device_track *find(struct watch *watch,
                                 const struct snapshot_device *device)
{
    for (uint32_t i = 0; i < watch->n_devices; i++)
        if (is_same(&watch->devices[i].device, device))
            return &watch->devices[i];
    return NULL;
}

/* Where there is no room, one that is gone is forgotten: as many as that are not there. */
static struct device_track *make_room(struct watch *watch)
{
    struct device_track *track = watch->devices;

    if (watch->n_devices < DEVICE_TRACKS_MAX)
        return &watch->devices[watch->n_devices++];
    while (track->seen)
        track++;
    return track;
}

static struct device_track *add(struct watch *watch, const struct snapshot_device *from)
{
    struct device_track *track = make_room(watch);
    struct gpu_device *device = &track->device;

    *track = (struct device_track){0};
    memcpy(device->uuid, from->uuid, sizeof(device->uuid));
    memcpy(device->parent_uuid, from->parent_uuid, sizeof(device->parent_uuid));
    memcpy(device->name, from->name, sizeof(device->name));
    device->source = from->source;
    device->index = from->index;
    device->instance = from->instance;
    return track;
}

/* ---- Lost, and back ---- */

/* The GPU is there in other parts: instances in place of it, it in place of them, others. */
static bool was_partitioned(const struct gpu_device *gone,
                            const struct snapshot *snapshot)
{
    const char *parent = gone->parent_uuid;

    for (uint32_t i = 0; i < snapshot->n_devices; i++) {
        const struct snapshot_device *there = &snapshot->devices[i];

        if (gone->uuid[0] && strcmp(there->parent_uuid, gone->uuid) == 0)
            return true;
        if (*parent &&
            (strcmp(there->uuid, parent) == 0 || strcmp(there->parent_uuid, parent) == 0))
            return true;
    }
    return false;
}

static void tell_lost(struct watch *watch, struct device_track *track, const char *reason)
{
    char place[WATCH_PLACE_SIZE], cut[WATCH_PLACE_SIZE / 2];
    bool told;

    place_text(place, track);
    watch_cut(cut, sizeof(cut), reason);
    if (track->seen)
        told = watch_tell(watch, EVENT_GPU_LOST, about(track),
                          "%s: its memory is not known any more%s%s", place,
                          *cut ? ": " : "", cut);
    else
        told = watch_tell(watch, EVENT_GPU_LOST, about(track),
                          "%s is gone: the driver does not list it any more", place);
    if (told)
        condition_was_told(&track->lost, watch->now_ns);
}

static void tell_back(struct watch *watch, struct device_track *track)
{
    char place[WATCH_PLACE_SIZE], passed[WATCH_TIME_SIZE];

    place_text(place, track);
    watch_time(passed, watch->now_ns - track->lost.told_ns[true]);
    if (watch_tell(watch, EVENT_GPU_BACK, about(track), "%s is back after %s", place,
                   passed))
        condition_was_told(&track->lost, watch->now_ns);
}

static void see_lost(struct watch *watch, struct device_track *track, bool lost,
                     const char *reason)
{
    if (!condition_is_due(&track->lost, lost, WATCH_GPU_MS, watch->now_ns))
        return;
    if (lost)
        tell_lost(watch, track, reason);
    else
        tell_back(watch, track);
}

/* ---- Orphans ---- */

static uint32_t count_orphans(const struct snapshot *snapshot, uint32_t device)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < snapshot->n_processes; i++)
        n += snapshot->processes[i].device == device &&
             snapshot->processes[i].owner == OWNER_ORPHAN;
    return n;
}

static bool tell_orphans(struct watch *watch, const struct device_track *track,
                         uint32_t orphans, uint64_t bytes)
{
    char place[WATCH_PLACE_SIZE], size[WATCH_BYTES_SIZE];

    place_text(place, track);
    watch_bytes(size, bytes);
    if (orphans == 0)
        return watch_tell(watch, EVENT_ORPHAN_GONE, about(track),
                          "no orphan holds memory on %s any more: it was %s", place,
                          track->orphan_bytes ? watch_bytes(size, track->orphan_bytes)
                                              : "not known how much");
    return watch_tell(watch, EVENT_ORPHAN_APPEARED, about(track),
                      "%u worker%s of vLLM whose server is gone hold%s %s on %s", orphans,
                      orphans == 1 ? "" : "s", orphans == 1 ? "s" : "",
                      bytes ? size : "memory", place);
}

static void see_orphans(struct watch *watch, struct device_track *track,
                        const struct snapshot *snapshot, uint32_t device)
{
    uint64_t bytes = snapshot->devices[device].orphan_bytes;
    uint32_t orphans = count_orphans(snapshot, device);

    if (!condition_is_due(&track->orphan, orphans > 0, WATCH_ORPHAN_MS, watch->now_ns) ||
        !tell_orphans(watch, track, orphans, bytes))
        return;
    condition_was_told(&track->orphan, watch->now_ns);
    track->orphan_bytes = bytes;
}

/* ---- Devices and drivers ---- */

/* What never told its memory is not lost when it does not. */
static void see_device(struct watch *watch, const struct snapshot *snapshot, uint32_t i)
{
    const struct snapshot_device *device = &snapshot->devices[i];
    bool known = device->mem_used_bytes != UNKNOWN && device->mem_total_bytes != UNKNOWN;
    struct device_track *track = find(watch, device);
    bool was_known = track && track->known;

    if (!track)
        track = add(watch, device);
    track->seen = true;
    watch->steady = watch->steady && known == was_known;
    if (!known && !was_known && !track->lost.since_ns && !track->lost.told)
        return;
    track->known = known;
    see_lost(watch, track, !known, device->reason);
    if (known)
        see_orphans(watch, track, snapshot, i);
}

static void see_devices(struct watch *watch, const struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < watch->n_devices; i++)
        watch->devices[i].seen = false;
    for (uint32_t i = 0; i < snapshot->n_devices; i++)
        see_device(watch, snapshot, i);
    for (uint32_t i = 0; i < watch->n_devices; i++) {
        struct device_track *track = &watch->devices[i];

        if (track->seen)
            continue;
        watch->steady = watch->steady && !track->known;
        if (track->known || track->lost.since_ns || track->lost.told)
            see_lost(watch, track, !was_partitioned(&track->device, snapshot), "");
        track->known = false;
    }
}

static uint32_t find_driver(struct watch *watch, const struct gpu_source_state *source)
{
    uint32_t i = 0;

    while (i < watch->n_drivers &&
           strcmp(watch->drivers[i].backend, source->backend) != 0)
        i++;
    return i;
}

static void see_driver(struct watch *watch, const struct gpu_source_state *source)
{
    uint32_t i = find_driver(watch, source);

    if (!source->driver_version[0] || i == GPU_SOURCES_MAX)
        return;
    if (i < watch->n_drivers) {
        const char *before = watch->drivers[i].driver_version;

        if (strcmp(before, source->driver_version) == 0 ||
            !pause_is_over(watch->driver_told_ns[i], watch->now_ns) ||
            !watch_tell(watch, EVENT_DRIVER_CHANGED, of_host,
                        "%s driver changed: %s -> %s", source->backend, before,
                        source->driver_version))
            return;
        watch->driver_told_ns[i] = watch->now_ns;
    } else {
        watch->n_drivers++;
    }
    watch->drivers[i] = *source;
}

static void see_outage_over(struct watch *watch)
{
    char passed[WATCH_TIME_SIZE];

    watch->steady = !watch->was_outage;
    watch->was_outage = false;
    if (!condition_is_due(&watch->outage, false, WATCH_GPU_MS, watch->now_ns))
        return;
    watch_time(passed, watch->now_ns - watch->outage.told_ns[true]);
    if (watch_tell(watch, EVENT_GPU_BACK, of_host, "GPU figures are back after %s",
                   passed))
        condition_was_told(&watch->outage, watch->now_ns);
}

void watch_see_host(struct watch *watch, const struct snapshot *snapshot)
{
    see_outage_over(watch);
    see_devices(watch, snapshot);
    for (uint32_t i = 0; i < snapshot->n_sources; i++)
        see_driver(watch, &snapshot->sources[i]);
}
