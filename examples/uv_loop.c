// SPDX-License-Identifier: Apache-2.0
/* A line for each event: cc uv_loop.c $(pkg-config --cflags --libs libvramscope libuv) */
#include <stdio.h>
#include <uv.h>
#include <vramscope.h>

static void print_line(const struct vramscope_snapshot *now)
{
    printf("allocated=%lld kv=%lld hit=%.2f", (long long)now->allocated_vram_bytes,
           (long long)now->used_kv_cache_bytes, now->prefix_cache_hit_rate);
    for (size_t i = 0; i < now->n_models; i++)
        printf(" %s:%d=%lld", now->models[i]->model_id, (int)now->models[i]->port,
               (long long)now->models[i]->used_kv_cache_bytes);
    printf("\n");
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    const struct vramscope_event *event;
    (void)vramscope_process(poll->data), (void)status, (void)events;
    while ((event = vramscope_next(poll->data)) != NULL)
        if (event->type == VRAMSCOPE_SNAPSHOT)
            print_line(event->snapshot);
        else if (event->reason)
            fprintf(stderr, "%s\n", event->reason);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct vramscope *scope;
    uv_poll_t poll;
    if (vramscope_open(argc > 1 ? argv[1] : "http://127.0.0.1:6767", NULL, &scope) < 0)
        return 2;
    (void)uv_poll_init(uv_default_loop(), &poll, vramscope_fd(scope));
    poll.data = scope;
    (void)uv_poll_start(&poll, UV_READABLE, on_readable);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
