// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_doctor.h"
#include "tui/draw.h"

#include <stdio.h>

enum {
    GPU_AGE_MAX_MS =
        2000,          // as the daemon itself has it, unless three intervals are longer
    RSS_MAX_MIB = 128, // the daemon's packaged limit
    FLEET_RSS_MAX_MIB = 512, // that of a gateway
    LIMITS_SHOWN = 4,
};

static void look_at_version(struct doctor *doctor, const struct vramscope_detail *detail)
{
    static const char remedy[] = "Install the same version of vramscoped and vramscope.";
    const char *version = detail->version ? detail->version : "of no version";

    if (detail->schema != 1)
        doctor_row(doctor, VERDICT_WARN, "version", remedy,
                   "vramscoped %s has documents of schema %lld; this program knows 1",
                   version, (long long)detail->schema);
    else if (strcmp(version, vramscope_version()) != 0)
        doctor_row(doctor, VERDICT_WARN, "version", remedy,
                   "vramscoped %s, and this program is %s", version, vramscope_version());
    else
        doctor_row(doctor, VERDICT_PASS, "version", "", "vramscoped %s", version);
}

/* The detail document has the verdict's code alone; what helps is in docs of the daemon. */
static const char *remedy_for_verdict(const char *verdict)
{
    static const struct {
        const char *verdict, *remedy;
    } remedies[] = {
        {"no-library", "Install the driver's libnvidia-ml.so.1, or name it with "
                       "--nvml-library of vramscoped."},
        {"bad-library", "Install the libnvidia-ml.so.1 that belongs to the driver, owned "
                        "by root."},
        {"no-driver", "Load the kernel driver (modprobe nvidia, amdgpu or xe) and look "
                      "for its errors in dmesg."},
        {"version-mismatch", "The driver was upgraded while in use: reboot, or load its "
                             "kernel modules again."},
        {"no-device",
         "Look whether lspci shows the device; a container must be given it."},
        {"no-permission", "Let the daemon's user open the driver's device files."},
    };

    for (size_t i = 0; i < ARRAY_LEN(remedies); i++)
        if (verdict && strcmp(verdict, remedies[i].verdict) == 0)
            return remedies[i].remedy;
    return "Look for the driver's errors in dmesg, and at the daemon's log.";
}

static void look_at_sources(struct doctor *doctor, const struct vramscope_detail *detail)
{
    char what[64];

    if (detail->n_sources == 0)
        doctor_row(doctor, VERDICT_INFO, "driver", "",
                   detail->node
                       ? "none is asked: a gateway, or a host without a GPU on purpose"
                       : "none is asked: a host without a GPU on purpose (--gpu none)");
    for (size_t i = 0; i < detail->n_sources; i++) {
        const struct vramscope_source *source = detail->sources[i];
        bool is_well = source->verdict && strcmp(source->verdict, "ok") == 0;

        (void)snprintf(what, sizeof(what), "driver %s",
                       source->backend ? source->backend : "");
        if (is_well)
            doctor_row(doctor, VERDICT_PASS, what, "", "answers, version %s",
                       source->driver_version ? source->driver_version : "not told");
        else if (source->verdict && strcmp(source->verdict, "not-asked") != 0)
            doctor_row(doctor, VERDICT_WARN, what, remedy_for_verdict(source->verdict),
                       "%s: %s", source->verdict,
                       source->reason ? source->reason : "no reason given");
    }
}

static void look_at_age(struct doctor *doctor, const struct vramscope_detail *detail)
{
    int64_t limit_ms = GPU_AGE_MAX_MS;
    char age[FIGURE_TEXT_SIZE];

    if (detail->n_sources == 0)
        return;
    if (detail->interval_ms > 0 && detail->interval_ms < INT64_MAX / 3)
        limit_ms = MAX(limit_ms, 3 * detail->interval_ms);
    age_text(age, detail->gpu_age_ms);
    if (detail->gpu_age_ms == VRAMSCOPE_UNKNOWN || detail->gpu_age_ms > limit_ms)
        doctor_row(doctor, VERDICT_FAIL, "driver's figures",
                   "The driver does not answer: look at dmesg and nvidia-smi. The daemon "
                   "asks again by itself.",
                   "%s old", age);
    else
        doctor_row(doctor, VERDICT_PASS, "driver's figures", "", "%s old", age);
}

/* What a driver keeps from the daemon is no fault of the device's. */
static const char *remedy_for_device(const char *reason)
{
    return strstr(reason, "CAP_") || strstr(reason, "/dev/")
               ? "Give the daemon's service what the reason names: a capability, or a "
                 "file "
                 "of /dev."
               : "Look at nvidia-smi and dmesg: a lost device needs a reset or a reboot.";
}

static void look_at_device(struct doctor *doctor, const struct vramscope_detail *detail,
                           const struct vramscope_device *device)
{
    char what[DEVICE_LABEL_SIZE], total[FIGURE_TEXT_SIZE], used[FIGURE_TEXT_SIZE];
    bool is_known = device->total_bytes != VRAMSCOPE_UNKNOWN &&
                    device->used_bytes != VRAMSCOPE_UNKNOWN;
    const char *reason = device->reason ? device->reason : "no reason given";

    device_label(what, detail, device);
    bytes_text(total, device->total_bytes);
    bytes_text(used, device->used_bytes);
    if (is_known)
        doctor_row(doctor, VERDICT_PASS, what, "", "%s: %s of %s in use%s%s",
                   device->name ? device->name : "", used, total,
                   device->reason ? "; " : "", device->reason ? reason : "");
    else
        doctor_row(doctor, VERDICT_WARN, what, remedy_for_device(reason),
                   "%s: its memory is not known: %s", device->name ? device->name : "",
                   reason);
}

static void look_at_devices(struct doctor *doctor, const struct vramscope_detail *detail)
{
    if (detail->n_devices == 0 && detail->n_sources > 0)
        doctor_row(doctor, VERDICT_FAIL, "GPUs",
                   "Look whether lspci shows the device; a container must be given it.",
                   "the driver answers and has none");
    for (size_t i = 0; i < detail->n_devices; i++)
        look_at_device(doctor, detail, detail->devices[i]);
}

static void look_at_models(struct doctor *doctor, const struct vramscope_detail *detail)
{
    if (detail->n_models == 0)
        doctor_row(
            doctor, VERDICT_WARN, "models",
            "Processes with the command line of a vLLM server are looked for "
            "(vllm serve, python -m vllm.entrypoints...), where the daemon can see "
            "them: not with --no-discover, nor from within a container of its own "
            "without --pid=host. Name others with --engine URL.",
            "none are found");
    for (size_t i = 0; i < detail->n_models; i++)
        doctor_look_at_model(doctor, detail->models[i]);
}

/* "connections: 3, streams: 1" */
static void list_limits(const struct vramscope_self *self, char *ret, size_t room)
{
    size_t len = 0, n = 0;

    for (size_t i = 0; i < self->n_limited && n < LIMITS_SHOWN; i++) {
        if (self->limited[i]->total <= 0)
            continue;
        len += (size_t)snprintf(ret + len, room - len, "%s%.40s: %lld", n++ ? ", " : "",
                                self->limited[i]->name ? self->limited[i]->name : "",
                                (long long)self->limited[i]->total);
    }
}

static void look_at_limits(struct doctor *doctor, const struct vramscope_self *self)
{
    char limits[LIMITS_SHOWN * 72] = "";

    list_limits(self, limits, sizeof(limits));
    if (*limits)
        doctor_row(
            doctor, VERDICT_WARN, "limits",
            "Clients were refused or let go, as LIMITS in vramscoped(8) says: look "
            "who they are, or raise the limit.",
            "met since the start: %s", limits);
    else
        doctor_row(doctor, VERDICT_PASS, "limits", "", "none was met");
    if (self->worker_restarts > 0)
        doctor_row(doctor, VERDICT_WARN, "driver's reader",
                   "The driver has not answered for 10 s, or has crashed: look at dmesg.",
                   "started again %lld times", (long long)self->worker_restarts);
}

static void look_at_cost(struct doctor *doctor, const struct vramscope_detail *detail)
{
    const struct vramscope_self *self = detail->self;
    bool is_late = self->late_ms > (double)detail->interval_ms / 2;
    int64_t rss_max = detail->fleet ? FLEET_RSS_MAX_MIB : RSS_MAX_MIB;
    bool is_large = self->rss_bytes > rss_max << 20;
    char rss[FIGURE_TEXT_SIZE];

    bytes_text(rss, self->rss_bytes);
    doctor_row(doctor, is_large ? VERDICT_WARN : VERDICT_PASS, "daemon's memory",
               is_large ? "That is more than it needs with its default limits." : "",
               "%s, readers: %lld", rss, (long long)MAX(self->subscribers, (int64_t)0));
    doctor_row(doctor, is_late ? VERDICT_WARN : VERDICT_PASS, "daemon's beat",
               is_late ? "The host is short of CPU time, or the daemon is held to too "
                         "little of it."
                       : "",
               is_late ? "late by %.0f ms" : "on time (%.0f ms)",
               self->late_ms >= 0 ? self->late_ms : 0.0);
}

void doctor_look_at_detail(struct doctor *doctor, const struct vramscope_detail *detail)
{
    look_at_version(doctor, detail);
    if (detail->fleet) {
        doctor_look_at_fleet(doctor, detail);
    } else {
        look_at_sources(doctor, detail);
        look_at_age(doctor, detail);
        look_at_devices(doctor, detail);
        look_at_models(doctor, detail);
        doctor_look_at_memory(doctor, detail);
    }
    look_at_limits(doctor, detail->self);
    look_at_cost(doctor, detail);
}
