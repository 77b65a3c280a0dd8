// SPDX-License-Identifier: Apache-2.0
/*
 * facts.h - for tests: facts of driver, kernel and engines, put together in a few words
 */
#ifndef UNIT_FACTS_H
#define UNIT_FACTS_H

#include "join/join.h"

#define FACTS_NS_PER_S UINT64_C(1000000000)
#define FACTS_NOW (1000 * FACTS_NS_PER_S)
#define GIB (UINT64_C(1) << 30)

struct facts {
    struct gpu_sample gpu;
    struct host_tree tree;
    struct engine engines[SNAPSHOT_MODELS_MAX];
    struct join_engine joined[SNAPSHOT_MODELS_MAX];
    struct join_facts join;
};

static inline void facts_begin(struct facts *f)
{
    memset(f, 0, sizeof(*f));
    f->gpu.taken_ns = f->gpu.processes_taken_ns = FACTS_NOW;
    f->join = (struct join_facts){
        .now_ns = FACTS_NOW, .gpu = &f->gpu, .tree = &f->tree, .engines = f->joined};
}

static inline void facts_device(struct facts *f, uint64_t total, uint64_t used)
{
    f->gpu.devices[f->gpu.n_devices] = (struct gpu_device){
        .index = f->gpu.n_devices,
        .mem_total_bytes = total,
        .mem_used_bytes = used,
        .mem_reserved_bytes = UNKNOWN,
    };
    f->gpu.n_devices++;
}

static inline void facts_holds(struct facts *f, uint32_t pid, uint32_t device,
                               uint64_t bytes)
{
    f->gpu.processes[f->gpu.n_processes++] =
        (struct gpu_process){.pid = pid, .device = device, .used_bytes = bytes};
}

/* Put a process into the tree, by rising pid. */
static inline void facts_process(struct facts *f, uint32_t pid, uint32_t parent)
{
    uint32_t at = f->tree.n++;

    for (; at > 0 && f->tree.processes[at - 1].pid > pid; at--)
        f->tree.processes[at] = f->tree.processes[at - 1];
    f->tree.processes[at] = (struct host_process){.pid = pid, .parent_pid = parent};
}

/* An engine that answered just now; listener 0: not visible. "": it has no name yet. */
static inline struct join_engine *facts_engine(struct facts *f, uint16_t port,
                                               uint32_t listener, const char *name)
{
    size_t at = f->join.n_engines++;
    struct engine_page page;

    engine_page_clear(&page);
    page.engines = 1;
    page.kv_usage_ratio = 0;
    (void)strncpy(page.served_name, name, ENGINE_NAME_MAX);
    engine_init(&f->engines[at], "http://127.0.0.1", port, FACTS_NS_PER_S / 2);
    engine_take_page(&f->engines[at], &page, FACTS_NS_PER_S / 1000, FACTS_NOW);
    f->joined[at] = (struct join_engine){
        .engine = &f->engines[at],
        .root_pid = listener,
        .kv_bytes_per_block = UNKNOWN,
        .kv_pool_bytes_per_gpu = UNKNOWN,
        .gpus = UNKNOWN,
    };
    return &f->joined[at];
}

#endif
