// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_nvml.h - open the NVML back end on a scripted library, and take samples
 *
 * The back end runs in this process; the time that it sees is the sample's.
 */
#ifndef TESTS_UNIT_TEST_GPU_NVML_H
#define TESTS_UNIT_TEST_GPU_NVML_H

#include "gpu/gpu_backend.h"

#include <inttypes.h>

#include "test_gpu_files.h"

#define SECOND UINT64_C(1000000000)

static struct gpu_sample sample; // too large for the stack
static struct gpu_source_state said;

static inline int nvml_open(const char *library, struct gpu_source **ret)
{
    const struct gpu_env env = {
        .nvml_library = library, .sys_root = "/sys", .proc_root = files_dir};

    memset(&said, 0, sizeof(said));
    return gpu_nvml.open(&env, &said, ret);
}

static inline struct gpu_source *nvml_open_good(const char *library, const char *script)
{
    struct gpu_source *source = NULL;

    files_write("script", script);
    files_write("calls", "");
    if (nvml_open(library, &source) != 0)
        fail_msg("%s", said.reason);
    return source;
}

static inline int take(struct gpu_source *source, uint64_t now_ns, bool with_processes)
{
    memset(&sample, 0, sizeof(sample));
    sample.n_sources = 1;
    sample.taken_ns = now_ns;
    return gpu_nvml.sample(source, with_processes, &said, &sample);
}

/* "pid/bytes ..." of a device, in the order given; "?" for UNKNOWN. */
static inline const char *processes_of(uint32_t device)
{
    static char text[512];
    size_t len = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < sample.n_processes; i++) {
        const struct gpu_process *p = &sample.processes[i];
        char used[32] = "?";

        if (p->device != device)
            continue;
        if (p->used_bytes != UNKNOWN)
            (void)snprintf(used, sizeof(used), "%" PRIu64, p->used_bytes);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%" PRIu32 "/%s",
                                len ? " " : "", p->pid, used);
    }
    return text;
}

static inline int nvml_setup(void **state)
{
    if (files_setup(state) < 0)
        return -1;
    return setenv("VRAMSCOPE_FAKE_NVML", files_path("script"), 1) |
           setenv("VRAMSCOPE_FAKE_NVML_CALLS", files_path("calls"), 1);
}

#endif
