// SPDX-License-Identifier: Apache-2.0
/*
 * amdgpu.h - what the parts of the AMD back end share, over what is in gpu/drm.h
 *
 *   amdgpu_cards.c    which cards are amdgpu's, and their names
 *   amdgpu_kfd.c      memory of compute processes, below SYS/class/kfd
 *   gpu_amdgpu.c      the back end: memory of the cards, rows of their processes
 */
#ifndef GPU_AMDGPU_H
#define GPU_AMDGPU_H

#include "gpu/drm.h"

enum {
    AMDGPU_NODES_MAX = 256, // of KFD: a card has one per partition
};

extern const struct drm_vendor amdgpu_vendor;

drm_identify_fn amdgpu_identify;

struct amdgpu_node {
    uint32_t gpu_id;
    uint32_t card;
};

struct amdgpu_kfd {
    bool hidden; // a node may not be read: a card without one may have one all the same
    bool has_card[GPU_DEVICES_MAX]; // it counts the memory of its compute processes
    uint32_t n_nodes;
    struct amdgpu_node nodes[AMDGPU_NODES_MAX];
};

/* Which card each of KFD's GPUs is. After each listing of the cards. */
void amdgpu_kfd_map(struct amdgpu_kfd *kfd, int sys_fd, const struct drm_cards *cards);

/*
 * What KFD counts for each process; 0 bytes too. -ENOENT: there is no KFD. -ENODATA: some
 * of it could not be read.
 */
int amdgpu_kfd_read(const struct amdgpu_kfd *kfd, int sys_fd,
                    struct drm_rows *rows) MUST_CHECK;

#endif
