// SPDX-License-Identifier: Apache-2.0
/*
 * attribute.h - give each process's device bytes to the engine whose tree it is in
 */
#ifndef JOIN_ATTRIBUTE_H
#define JOIN_ATTRIBUTE_H

#include "join/join.h"

/*
 * More on one device is a broken driver's word, and not believed. Below it no sum over
 * devices and processes can overflow.
 */
#define ATTRIBUTE_BYTES_MAX (UINT64_C(1) << 50)

enum { ATTRIBUTE_NOBODY = -1, ATTRIBUTE_ORPHAN = -2 };

/* The device memory of one engine's process tree. */
struct attribution {
    struct figure bytes;
    uint64_t devices; // bit per index in gpu_sample.devices
};

struct attributions {
    struct attribution engines[SNAPSHOT_MODELS_MAX]; // as facts->engines
    uint64_t devices_bytes[GPU_DEVICES_MAX];         // of all processes on each
    uint64_t other_bytes;                            // of processes in no engine's tree
    uint64_t orphan_bytes;                           // of workers whose server is gone
    int16_t owner[GPU_PROCESSES_MAX]; // of each row of the driver's lists: an index of
                                      // `engines`, or one of the two above
};

/* facts->n_engines is at most SNAPSHOT_MODELS_MAX. */
void attribute(const struct join_facts *facts, struct attributions *ret);

#endif
