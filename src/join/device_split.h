// SPDX-License-Identifier: Apache-2.0
/*
 * device_split.h - what of a model's KV cache lies on each of its devices
 *
 * An engine tells its KV cache over all its GPUs. Where vLLM leaves no choice (one GPU, or
 * the ranks of one tensor-parallel engine), what lies on one of them is worked out exactly.
 * Else it is an estimate within bounds that hold however it is spread: no device has more
 * of it than the model holds there, nor can the others together have more than they hold.
 * Where even the devices are in doubt it is not known.
 */
#ifndef JOIN_DEVICE_SPLIT_H
#define JOIN_DEVICE_SPLIT_H

#include "join/kv.h"

/* The device memory of a model's processes. */
struct model_memory {
    struct figure bytes;            // on all devices
    uint64_t devices;               // bit per device that it is on
    uint64_t held[GPU_DEVICES_MAX]; // on each; all 0 where `bytes` is not known
};

/* Of a KV cache, on one device. */
struct kv_share {
    struct figure pool;
    struct figure used;
};

/* `device` is one that the model's memory is on. */
struct kv_share device_split_kv(const struct join_engine *engine,
                                const struct kv_bytes *kv,
                                const struct model_memory *memory, unsigned device);

/*
 * The pool on each of its devices, of engines with a pool each on average. Known only where
 * a block takes as many bytes on each of the GPUs: without pipeline stages.
 */
struct figure device_split_each(const struct join_engine *engine,
                                const struct kv_bytes *kv,
                                const struct model_memory *memory);

/* Add a model to the devices that its memory is on. */
void device_split_add(const struct join_engine *engine, const struct kv_bytes *kv,
                      const struct model_memory *memory, struct snapshot_device *devices);

#endif
