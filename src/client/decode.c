// SPDX-License-Identifier: Apache-2.0
#include "client/decode.h"

#include "client/decode_document.h"

#include <stdio.h>

enum { SCHEMA = 1 };

static struct document *document_of(const struct vramscope_detail *detail)
{
    // It is ours, and not const: only those who hold it may not change it.
    return CONTAINER_OF((uintptr_t)detail, struct document, root.detail);
}

int decode_snapshot(struct span json, const struct vramscope_snapshot **ret,
                    struct complaint *why)
{
    struct document *document;
    int r = document_read(json, &shape_snapshot, &document, why);

    if (r == 0)
        *ret = &document->root.snapshot;
    return r;
}

void decode_snapshot_free(const struct vramscope_snapshot *snapshot)
{
    if (snapshot)
        document_free(CONTAINER_OF((uintptr_t)snapshot, struct document, root.snapshot));
}

static bool is_device(const struct vramscope_detail *detail, int64_t device)
{
    return device == VRAMSCOPE_UNKNOWN || (uint64_t)device < detail->n_devices;
}

/* Readers use them as indices. */
static int check_devices(const struct vramscope_detail *detail, struct complaint *why)
{
    for (size_t i = 0; i < detail->n_models; i++)
        for (size_t k = 0; k < detail->models[i]->n_devices; k++)
            if (!is_device(detail, detail->models[i]->devices[k]))
                return complain(why, -EBADMSG, "models[%zu].devices[%zu]: no such device",
                                i, k);
    for (size_t i = 0; i < detail->n_processes; i++)
        if (!is_device(detail, detail->processes[i]->device))
            return complain(why, -EBADMSG, "processes[%zu].device: no such device", i);
    return 0;
}

static int check_detail(const struct vramscope_detail *detail, struct complaint *why)
{
    // Another number says that keys have changed their meaning.
    if (detail->schema != VRAMSCOPE_UNKNOWN && detail->schema != SCHEMA)
        return complain(why, -EBADMSG, "schema: %lld is not known here, %d is",
                        (long long)detail->schema, SCHEMA);
    return check_devices(detail, why);
}

int decode_detail(struct span json, const struct vramscope_detail **ret,
                  struct complaint *why)
{
    struct document *document;
    int r = document_read(json, &shape_detail, &document, why);

    if (r < 0)
        return r;
    r = check_detail(&document->root.detail, why);
    if (r < 0) {
        document_free(document);
        return r;
    }
    *ret = &document->root.detail;
    return 0;
}

int vramscope_detail_parse(const char *json, size_t len,
                           const struct vramscope_detail **ret, char *why, size_t room)
{
    struct complaint complaint = {""};
    int r = decode_detail((struct span){json, len}, ret, &complaint);

    if (room > 0)
        (void)snprintf(why, room, "%s", r < 0 ? complaint.text : "");
    return r;
}

const struct vramscope_detail *vramscope_detail_ref(const struct vramscope_detail *detail)
{
    // Who takes one has one, so that nothing needs to be seen before it.
    atomic_fetch_add_explicit(&document_of(detail)->references, 1, memory_order_relaxed);
    return detail;
}

void vramscope_detail_unref(const struct vramscope_detail *detail)
{
    if (detail && atomic_fetch_sub_explicit(&document_of(detail)->references, 1,
                                            memory_order_acq_rel) == 1)
        document_free(document_of(detail));
}
