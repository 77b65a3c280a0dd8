// SPDX-License-Identifier: Apache-2.0
#include "net/slices.h"

struct slices {
    uv_idle_t idle;
    slice_fn *work;
    void *ctx;
};

static void on_turn(uv_idle_t *idle)
{
    struct slices *slices = CONTAINER_OF(idle, struct slices, idle);

    if (!slices->work(slices->ctx))
        (void)uv_idle_stop(idle);
}

int slices_new(uv_loop_t *loop, slice_fn *work, void *ctx, struct slices **ret)
{
    struct slices *slices = calloc(1, sizeof(*slices));

    if (!slices)
        return -ENOMEM;
    slices->work = work;
    slices->ctx = ctx;
    (void)uv_idle_init(loop, &slices->idle); // cannot fail
    *ret = slices;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF((uv_idle_t *)(void *)handle, struct slices, idle));
}

void slices_free(struct slices *slices)
{
    if (slices)
        uv_close((uv_handle_t *)&slices->idle, on_closed);
}

void slices_start(struct slices *slices)
{
    (void)uv_idle_start(&slices->idle, on_turn); // fails without a callback only
}
