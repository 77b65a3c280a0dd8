// SPDX-License-Identifier: Apache-2.0
/*
 * gpu_feed.h - the GPU worker's samples, on the loop
 *
 * gpu_link knows of no loop; this polls its socket and follows it as workers come and go.
 */
#ifndef DAEMON_GPU_FEED_H
#define DAEMON_GPU_FEED_H

#include "gpu/gpu_link.h"

#include <uv.h>

struct gpu_feed;

/* lost(ctx): no worker can be started any more, so that there will be no further sample. */
int gpu_feed_new(uv_loop_t *loop, const struct gpu_link_options *options,
                 void (*lost)(void *ctx), void *ctx, struct gpu_feed **ret) MUST_CHECK;
void gpu_feed_free(struct gpu_feed *feed); // takes NULL; the loop must turn once more

/* See to the worker, and ask it for a sample. */
void gpu_feed_request(struct gpu_feed *feed, uint64_t now_ns);

/* For what is known of samples, and of the worker. */
struct gpu_link *gpu_feed_link(struct gpu_feed *feed);

#endif
