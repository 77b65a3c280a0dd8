// SPDX-License-Identifier: Apache-2.0
/*
 * draw_split.h - the parts that a device's memory is in, and the bar they make
 */
#ifndef TUI_DRAW_SPLIT_H
#define TUI_DRAW_SPLIT_H

#include "tui/draw_parts.h"

/* In the order they are drawn in. */
enum part {
    PART_MODELS, // weights and all else of the models, where the KV cache is not known
    PART_WEIGHTS,
    PART_KV_USED,
    PART_KV_FREE,
    PART_OTHER,
    PART_ORPHAN,
    PART_UNATTRIBUTED,
    PART_USED, // whose it is nobody tells
    PART_FREE,
    PART_RESERVED, // stays blank
    N_PARTS,
};

/* Of one device, or of several together. */
struct split {
    int64_t parts[N_PARTS]; // UNKNOWN: there is no such part
    int64_t total, used;
    struct vramscope_figure kv_pool, kv_used;
    size_t devices, unknown; // of them, without total or used bytes
    bool unified;
};

struct split split_none(void);
void split_add(struct split *split, const struct vramscope_device *device);
void put_bar(struct pen *pen, int width, const struct split *split);

/* A place in all devices of all hosts; begin with zeros. */
struct cursor {
    size_t host, device;
};

/* True: *ret is the next device, of ret_host. */
bool next_device(const struct drawing *drawing, struct cursor *at,
                 const struct vramscope_device **ret, const struct host **ret_host);
size_t count_devices(const struct drawing *drawing);

/* Those parts that there are, and the signs they are drawn with. */
void draw_legend(struct drawing *drawing, int row);

#endif
