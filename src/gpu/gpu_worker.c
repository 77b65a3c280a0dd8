// SPDX-License-Identifier: Apache-2.0
#include "gpu/gpu_worker.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"
#include "gpu/gpu_frame.h"

#define RETRY_FIRST_NS NS_PER_S
#define RETRY_MAX_NS (60 * NS_PER_S)

enum { EXIT_USAGE = 2 };

static const struct gpu_backend *const backends[] = {
#define BACKEND(name) &gpu_##name,
#include "gpu/backends.def"
#undef BACKEND
};

_Static_assert(ARRAY_LEN(backends) <= GPU_SOURCES_MAX, "each back end fits into a frame");

struct slot {
    const struct gpu_backend *backend;
    struct gpu_source *source; // NULL: not open
    struct gpu_source_state state;
    uint64_t retry_ns; // not to be opened before
    uint64_t delay_ns; // of the last failure; 0 after a good sample
    bool stale;        // the driver's library is an old one, and stays in this process
};

struct worker {
    struct gpu_env env;
    struct slot slots[GPU_SOURCES_MAX];
    size_t n_slots;
    bool blind; // confined so that other processes' files cannot be read
    struct gpu_sample sample;
    struct gpu_device listed[GPU_DEVICES_MAX]; // when the process lists were last taken
    uint32_t n_listed;
    char frame[GPU_FRAME_MAX];
};

static void slot_failed(struct slot *slot, int r)
{
    if (slot->state.verdict == GPU_NOT_ASKED || slot->state.verdict == GPU_OK)
        (void)gpu_say(&slot->state, r, GPU_FAILED, "%s failed: %s", slot->backend->name,
                      strerror(-r));

    slot->delay_ns =
        MIN(slot->delay_ns ? 2 * slot->delay_ns : RETRY_FIRST_NS, RETRY_MAX_NS);
    slot->retry_ns =
        clock_now_ns() + slot->delay_ns; // after the attempt, which may take long
}

static void slot_open(struct slot *slot, const struct gpu_env *env)
{
    int r;

    if (clock_now_ns() < slot->retry_ns)
        return;

    memset(&slot->state, 0, sizeof(slot->state));
    memcpy(slot->state.backend, slot->backend->name,
           strnlen(slot->backend->name, sizeof(slot->state.backend) - 1));
    r = slot->backend->open(env, &slot->state, &slot->source);
    slot->stale = r == -ESTALE;
    if (r < 0)
        slot_failed(slot, r);
}

/* A driver that fails half-way leaves nothing: half a list would pass for a whole. */
static void slot_sample(struct slot *slot, bool with_processes, struct gpu_sample *out)
{
    uint32_t n_devices = out->n_devices, n_processes = out->n_processes;
    uint32_t incomplete = out->processes_incomplete;
    int r = slot->backend->sample(slot->source, with_processes, &slot->state, out);

    if (r < 0) {
        out->n_devices = n_devices;
        out->n_processes = n_processes;
        out->processes_incomplete = incomplete;
        slot->backend->close(TAKE(slot->source));
        slot_failed(slot, r);
        return;
    }

    slot->delay_ns = 0;
    slot->state.verdict = GPU_OK;
    slot->state.reason[0] = '\0';
    if (out->n_devices == n_devices)
        (void)gpu_say(&slot->state, 0, GPU_NO_DEVICE,
                      "the driver answers, but has no device");
}

/* Nothing on this host asks for such a driver. */
static bool is_absent(const struct gpu_source_state *state)
{
    return state->verdict == GPU_NO_LIBRARY || state->verdict == GPU_NO_DEVICE;
}

/*
 * Who has the GPUs of one vendor need not hear that another's driver is missing. Where
 * all are, all are told.
 */
static void leave_out_absent(struct gpu_sample *out)
{
    uint32_t kept = 0, moved_to[GPU_SOURCES_MAX];

    for (uint32_t i = 0; i < out->n_sources; i++) {
        moved_to[i] = kept;
        kept += !is_absent(&out->sources[i]);
    }
    if (kept == 0)
        return;
    for (uint32_t i = 0; i < out->n_sources; i++)
        if (!is_absent(&out->sources[i]))
            out->sources[moved_to[i]] = out->sources[i];
    for (uint32_t i = 0; i < out->n_devices; i++)
        out->devices[i].source = moved_to[out->devices[i].source];
    out->n_sources = kept;
}

static void take_sample(struct worker *w, bool with_processes)
{
    struct gpu_sample *out = &w->sample;

    out->n_sources = 0;
    out->n_devices = 0;
    out->n_processes = 0;
    out->processes_incomplete = 0;
    out->taken_ns = clock_now_ns();
    out->processes_taken_ns = with_processes ? out->taken_ns : 0;

    for (size_t i = 0; i < w->n_slots; i++) {
        struct slot *slot = &w->slots[i];
        uint32_t at = out->n_sources++; // gpu_add_device() looks here

        if (!slot->source) {
            slot_open(slot, &w->env);
            if (w->blind && slot->source && slot->backend->reads_processes)
                slot->stale = true; // the next worker will keep the rights for it
        }
        if (slot->source)
            slot_sample(slot, with_processes, out);
        out->sources[at] = slot->state;
    }
    leave_out_absent(out);
}

static bool is_stale(const struct worker *w)
{
    for (size_t i = 0; i < w->n_slots; i++)
        if (w->slots[i].stale)
            return true;
    return false;
}

/*
 * Other devices, or other memory, than when the process lists were taken. The memory of
 * the host never rests, and says nothing about a device that shares it.
 */
static bool has_moved(const struct worker *w)
{
    const struct gpu_sample *now = &w->sample;

    if (now->n_devices != w->n_listed)
        return true;
    for (uint32_t i = 0; i < w->n_listed; i++) {
        const struct gpu_device *a = &w->listed[i], *b = &now->devices[i];

        if (!gpu_is_same_device(a, b) || a->source != b->source ||
            a->unified != b->unified)
            return true;
        if (!a->unified && a->mem_used_bytes != b->mem_used_bytes)
            return true;
    }
    return false;
}

static size_t answer(struct worker *w, const struct gpu_request *request)
{
    struct gpu_frame_info info = {request->seq, request->with_processes};

    take_sample(w, info.with_processes);
    if (!info.with_processes && has_moved(w)) {
        info.with_processes = true;
        take_sample(w, true);
    }
    if (info.with_processes) {
        w->n_listed = w->sample.n_devices;
        memcpy(w->listed, w->sample.devices, w->n_listed * sizeof(*w->listed));
    }
    return gpu_frame_encode(&info, &w->sample, w->frame);
}

/* 1: a request; 0: the other end has closed. */
static int receive(struct gpu_request *ret)
{
    char bytes[GPU_REQUEST_SIZE];
    ssize_t n;
    int r;

    do
        n = recv(GPU_WORKER_FD, bytes, sizeof(bytes), MSG_TRUNC);
    while (n < 0 && errno == EINTR);

    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return 0;
    if (n < 0)
        return neg_errno();
    if ((size_t)n != sizeof(bytes))
        return -EBADMSG;
    r = gpu_request_decode((struct span){bytes, sizeof(bytes)}, ret);
    return r < 0 ? r : 1;
}

static int serve(struct worker *w)
{
    struct gpu_request request;
    int r = 0;

    // The answer that says so is the last one.
    while (!is_stale(w) && (r = receive(&request)) > 0) {
        size_t len = answer(w, &request);
        ssize_t sent;

        do
            sent = send(GPU_WORKER_FD, w->frame, len, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent < 0)
            return errno == EPIPE || errno == ECONNRESET ? 0 : neg_errno();
    }
    return r;
}

static bool is_wanted(const struct gpu_backend *backend, const char *wanted)
{
    return strcmp(wanted, "auto") == 0 ? !backend->only_by_name
                                       : strcmp(backend->name, wanted) == 0;
}

static void choose_backends(struct worker *w, const char *wanted)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (is_wanted(backends[i], wanted))
            w->slots[w->n_slots++].backend = backends[i];
}

bool gpu_worker_may_read_counters(const char *wanted)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (backends[i]->reads_counters && is_wanted(backends[i], wanted))
            return true;
    return false;
}

bool gpu_worker_may_read_processes(const char *wanted)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (backends[i]->reads_processes && is_wanted(backends[i], wanted))
            return true;
    return false;
}

/*
 * Before any vendor's library is loaded. The right to read other processes' files is only
 * for a host that has such a driver; opening one of these loads nothing. Where one turns
 * up later, this worker is of no use any more (see take_sample()).
 */
static int confine_worker(struct worker *w)
{
    struct confine_options options = {.families = CONFINE_UNIX, .write_below = "/dev"};
    struct complaint complaint = {0};
    int r;

    for (size_t i = 0; i < w->n_slots; i++) {
        struct slot *slot = &w->slots[i];

        options.write_files |= slot->backend->opens_devices;
        if (!slot->backend->reads_processes)
            continue;
        slot_open(slot, &w->env);
        if (slot->source || slot->state.verdict != GPU_NO_DEVICE) {
            options.rights = CONFINE_READ;
            options.counters |= slot->backend->reads_counters;
        }
    }
    options.landlock = options.rights == CONFINE_DROP;
    r = confine(&options, &complaint);
    if (r < 0)
        log_error("the GPU worker: %s; --no-confine goes without", complaint.text);
    w->blind = options.landlock;
    return r;
}

static void worker_free(struct worker **worker)
{
    struct worker *w = *worker;

    for (size_t i = 0; w && i < w->n_slots; i++)
        if (w->slots[i].source)
            w->slots[i].backend->close(w->slots[i].source);
    free(w);
}

int gpu_worker_main(int argc, char **argv)
{
    OWNED(worker_free) struct worker *w = NULL;

    if (argc != GPU_ARGS || strcmp(argv[GPU_ARG_ROLE], GPU_WORKER_ROLE) != 0)
        return EXIT_USAGE;
    w = calloc(1, sizeof(*w));
    if (!w)
        return EXIT_FAILURE;

    w->env = (struct gpu_env){
        .nvml_library = *argv[GPU_ARG_NVML_LIBRARY] ? argv[GPU_ARG_NVML_LIBRARY] : NULL,
        .sys_root = argv[GPU_ARG_SYS_ROOT],
        .proc_root = argv[GPU_ARG_PROC_ROOT],
        .sim_dir = *argv[GPU_ARG_SIM_DIR] ? argv[GPU_ARG_SIM_DIR] : NULL,
    };
    choose_backends(w, argv[GPU_ARG_BACKENDS]);
    if (w->n_slots == 0)
        return EXIT_USAGE;
    if (gpu_child_settle("vramscope-gpu") < 0)
        return EXIT_FAILURE;
    if (*argv[GPU_ARG_CONFINED] && confine_worker(w) < 0)
        return EXIT_FAILURE;
    return serve(w) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
