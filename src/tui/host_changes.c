// SPDX-License-Identifier: Apache-2.0
#include "tui/host_changes.h"
#include "tui/model_value.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    BURST_MS = 30 * 1000,
    GPU_STALE_MS = 2000,
    DEVICE_TEXT_SIZE = 104,
    DEVICE_NAME_MAX = 64,
};

#define GIB ((int64_t)1 << 30)

void duration_text(char ret[DURATION_TEXT_SIZE], int64_t ms)
{
    if (ms < 0)
        ms = 0;
    if (ms < 10 * 1000)
        (void)snprintf(ret, DURATION_TEXT_SIZE, "%.1f s", (double)ms / 1e3);
    else if (ms < 120 * 1000)
        (void)snprintf(ret, DURATION_TEXT_SIZE, "%" PRId64 " s", ms / 1000);
    else if (ms < 120 * 60 * 1000)
        (void)snprintf(ret, DURATION_TEXT_SIZE, "%" PRId64 " min", ms / 60000);
    else
        (void)snprintf(ret, DURATION_TEXT_SIZE, "%" PRId64 " h", ms / 3600000);
}

/* Make the text end in "...", before `room`, without a torn character. */
static void end_in_dots(char *text, size_t room)
{
    size_t end = room - sizeof("...");

    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(text + end, "...", sizeof("..."));
}

void cut_text(char *ret, size_t room, const char *text)
{
    if ((size_t)snprintf(ret, room, "%s", text) >= room)
        end_in_dots(ret, room);
}

static struct change *next_change(struct host *host)
{
    struct change *change = &host->changes[host->next_change];

    host->next_change = (host->next_change + 1) % HOST_CHANGES_MAX;
    if (host->n_changes < HOST_CHANGES_MAX)
        host->n_changes++;
    return change;
}

static PRINTF_LIKE(2, 0) void write_text(struct change *change, const char *format,
                                         va_list args)
{
    if (vsnprintf(change->text, sizeof(change->text), format, args) >=
        (int)sizeof(change->text))
        end_in_dots(change->text, sizeof(change->text));
}

void host_tell(struct host *host, int64_t unix_ms, enum change_kind kind, bool bad,
               const char *format, ...)
{
    struct change *change = next_change(host);
    va_list args;

    change->unix_ms = unix_ms;
    change->kind = kind;
    change->bad = bad;
    va_start(args, format);
    write_text(change, format, args);
    va_end(args);
}

void look_tell(const struct look *look, enum change_kind kind, bool bad,
               const char *format, ...)
{
    struct change *change;
    va_list args;

    if (look->silent)
        return;
    change = next_change(look->host);
    change->unix_ms = look->unix_ms;
    change->kind = kind;
    change->bad = bad;
    va_start(args, format);
    write_text(change, format, args);
    va_end(args);
}

void burst_add(struct burst *burst, int64_t count)
{
    if (count <= 0)
        return;
    if (__builtin_add_overflow(burst->count, count, &burst->count))
        burst->count = INT64_MAX;
}

int64_t burst_due(struct burst *burst, int64_t unix_ms, char ret[DURATION_TEXT_SIZE + 8])
{
    int64_t count = burst->count, passed_ms = unix_ms - burst->told_ms;
    char passed[DURATION_TEXT_SIZE];

    if (!count || (burst->told_ms && passed_ms >= 0 && passed_ms < BURST_MS))
        return 0;
    ret[0] = '\0';
    if (burst->told_ms && passed_ms >= 0 && passed_ms < 2 * (int64_t)BURST_MS) {
        duration_text(passed, passed_ms);
        (void)snprintf(ret, DURATION_TEXT_SIZE + 8, " in %s", passed);
    }
    *burst = (struct burst){.told_ms = unix_ms};
    return count;
}

static void daemon_changes(const struct look *look)
{
    const char *boot = look->now->boot, *before = look->before->boot;
    const char *version = text_or_empty(look->now->version);
    const char *version_before = text_or_empty(look->before->version);

    if (!boot || !before || strcmp(boot, before) == 0)
        return;
    if (strcmp(version, version_before) == 0)
        look_tell(look, CHANGE_RESTARTED, false, "the daemon was restarted");
    else
        look_tell(look, CHANGE_RESTARTED, false,
                  "the daemon was restarted: version %.40s -> %.40s", version_before,
                  version);
}

/* Orphaned memory is told when it appears, when it is gone, and for each GiB more. */
static void orphan_changes(const struct look *look)
{
    int64_t *told = &look->host->orphan_bytes, bytes = look->now->orphan_bytes;

    if (bytes < 0)
        return;
    if (bytes == 0 && *told > 0)
        look_tell(look, CHANGE_ORPHAN, false, "memory of orphaned workers is free again");
    else if (bytes > 0 && *told == 0)
        look_tell(look, CHANGE_ORPHAN, true,
                  "workers of vLLM whose server is gone hold %.1f GiB",
                  (double)bytes / (double)GIB);
    else if (bytes - *told > GIB)
        look_tell(look, CHANGE_ORPHAN, true,
                  "workers of vLLM whose server is gone hold %.1f GiB, %.1f GiB more",
                  (double)bytes / (double)GIB, (double)(bytes - *told) / (double)GIB);
    else
        bytes = MIN(bytes, *told);
    *told = bytes;
}

static void gpu_changes(const struct look *look)
{
    int64_t age_ms = look->now->gpu_age_ms;
    char age[DURATION_TEXT_SIZE];
    bool stale = age_ms > GPU_STALE_MS;

    if (age_ms < 0 || stale == look->host->gpu_stale)
        return;
    look->host->gpu_stale = stale;
    duration_text(age, age_ms);
    if (stale)
        look_tell(look, CHANGE_STALE, true, "the GPU driver's figures are stale: %s old",
                  age);
    else
        look_tell(look, CHANGE_STALE, false, "the GPU driver's figures are fresh again");
}

static bool same_device(const struct vramscope_device *a,
                        const struct vramscope_device *b)
{
    const char *uuid = text_or_empty(a->uuid);

    if (strcmp(uuid, text_or_empty(b->uuid)) != 0)
        return false;
    return *uuid || (a->index == b->index && a->instance == b->instance &&
                     strcmp(text_or_empty(a->backend), text_or_empty(b->backend)) == 0);
}

/* The device in another document, where it is in most cases at the same place. */
static const struct vramscope_device *find_device(const struct vramscope_detail *detail,
                                                  const struct vramscope_device *device,
                                                  size_t place)
{
    if (place < detail->n_devices && same_device(detail->devices[place], device))
        return detail->devices[place];
    for (size_t i = 0; i < detail->n_devices; i++)
        if (same_device(detail->devices[i], device))
            return detail->devices[i];
    return NULL;
}

static void device_text(char ret[DEVICE_TEXT_SIZE], const struct vramscope_device *device)
{
    char name[DEVICE_NAME_MAX], number[48];

    cut_text(name, sizeof(name), text_or_empty(device->name));
    if (device->instance < 0)
        (void)snprintf(number, sizeof(number), "GPU %" PRId64, device->index);
    else
        (void)snprintf(number, sizeof(number), "MIG instance %" PRId64, device->instance);
    if (*name)
        (void)snprintf(ret, DEVICE_TEXT_SIZE, "%.30s (%s)", number, name);
    else
        (void)snprintf(ret, DEVICE_TEXT_SIZE, "%.30s", number);
}

/* `before` is NULL for a device that was not there. */
static void device_changes(const struct look *look, const struct vramscope_device *before,
                           const struct vramscope_device *now)
{
    bool was_known = !before || before->used_bytes >= 0, known = now->used_bytes >= 0;
    const char *reason = text_or_empty(now->reason);
    char text[DEVICE_TEXT_SIZE];

    if (before ? was_known == known : known && !look->before)
        return;
    device_text(text, now);
    if (!before && look->before)
        look_tell(look, CHANGE_DEVICE, false, "%s appeared", text);
    if (was_known && !known)
        look_tell(look, CHANGE_DEVICE, true, "%s: figures are not known%s%s", text,
                  *reason ? ": " : "", reason);
    if (!was_known && known)
        look_tell(look, CHANGE_DEVICE, false, "%s: figures are known again", text);
}

static void devices_changes(const struct look *look)
{
    const struct vramscope_detail *before = look->before, *now = look->now;
    char text[DEVICE_TEXT_SIZE];

    for (size_t i = 0; i < now->n_devices; i++)
        device_changes(look, before ? find_device(before, now->devices[i], i) : NULL,
                       now->devices[i]);
    for (size_t i = 0; before && i < before->n_devices; i++) {
        if (find_device(now, before->devices[i], i))
            continue;
        device_text(text, before->devices[i]);
        look_tell(look, CHANGE_DEVICE, true, "%s is gone", text);
    }
}

void changes_of_host(const struct look *look)
{
    if (look->before)
        daemon_changes(look);
    gpu_changes(look);
    orphan_changes(look);
    devices_changes(look);
}
