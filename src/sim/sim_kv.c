// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_kv.h"

static bool is_retained(const struct sim_kv_group *group)
{
    return group->cached && group->refs == 0;
}

/* Blocks that nobody holds and that keep nothing for reuse. */
static uint64_t blank(const struct sim_kv *kv)
{
    uint64_t n = kv->usable - kv->used;

    for (size_t i = 0; i < SIM_KV_GROUPS; i++)
        if (is_retained(&kv->groups[i]))
            n -= kv->groups[i].blocks;
    return n;
}

static struct sim_kv_group *least_recent(struct sim_kv *kv)
{
    struct sim_kv_group *found = NULL;

    for (size_t i = 0; i < SIM_KV_GROUPS; i++) {
        struct sim_kv_group *group = &kv->groups[i];

        if (is_retained(group) && (!found || group->left < found->left))
            found = group;
    }
    return found;
}

bool sim_kv_grow(struct sim_kv *kv, uint64_t blocks)
{
    if (blocks > kv->usable - kv->used)
        return false;
    while (blank(kv) < blocks)
        least_recent(kv)->cached =
            false; // there is one: free blocks not blank are retained
    kv->used += blocks;
    return true;
}

static bool join(struct sim_kv *kv, struct sim_kv_group *group)
{
    if (group->refs == 0) {
        if (group->cached)
            kv->used += group->blocks;
        else if (!sim_kv_grow(kv, group->blocks))
            return false;
    }
    group->cached = true;
    group->refs++;
    return true;
}

static void leave(struct sim_kv *kv, struct sim_kv_group *group)
{
    group->refs--;
    if (group->refs > 0)
        return;
    kv->used -= group->blocks;
    group->left = ++kv->leavings;
}

bool sim_kv_admit(struct sim_kv *kv, size_t index, uint64_t blocks, bool *ret_hit)
{
    struct sim_kv_group *group = &kv->groups[index];
    bool hit = group->cached;

    if (!join(kv, group))
        return false;
    if (!sim_kv_grow(kv, blocks)) {
        leave(kv, group);
        group->cached = hit; // a prefix that was not computed is not there
        return false;
    }
    *ret_hit = hit;
    return true;
}

void sim_kv_release(struct sim_kv *kv, size_t index, uint64_t blocks)
{
    kv->used -= blocks;
    leave(kv, &kv->groups[index]);
}

double sim_kv_usage(const struct sim_kv *kv)
{
    double free_blocks = (double)(kv->usable - kv->used);

    return 1.0 - free_blocks / (double)kv->usable;
}
