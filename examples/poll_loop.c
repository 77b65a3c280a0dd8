// SPDX-License-Identifier: Apache-2.0
/* Follow several daemons from one loop that could wait for anything else as well.
 *
 *     cc poll_loop.c $(pkg-config --cflags --libs libvramscope) &&
 *     ./a.out http://127.0.0.1:6767 unix:/run/vramscoped/vramscoped.sock
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <vramscope.h>

enum { DAEMONS_MAX = 8 };

static void print_figure(const char *name, const struct vramscope_figure *figure)
{
    if (figure->value == VRAMSCOPE_UNKNOWN)
        printf(" %s --", name);
    else
        printf(" %s %lld", name, (long long)figure->value);
}

static void print_detail(const char *url, const struct vramscope_detail *detail)
{
    size_t i;

    printf("%s: seq %lld", url, (long long)detail->seq);
    print_figure("total", &detail->total);
    print_figure("allocated", &detail->allocated);
    printf("\n");
    for (i = 0; i < detail->n_models; i++) {
        const struct vramscope_model *model = detail->models[i];

        printf("  %s:", model->model_id ? model->model_id : "?");
        print_figure("allocated", &model->allocated);
        print_figure("kv used", &model->kv_used);
        printf("\n");
    }
    fflush(stdout);
}

static void take_events(const char *url, struct vramscope *scope)
{
    const struct vramscope_event *event;

    while ((event = vramscope_next(scope)) != NULL) {
        if (event->type == VRAMSCOPE_DETAIL)
            print_detail(url, event->detail);
        else if (event->reason)
            fprintf(stderr, "%s: %s\n", url, event->reason);
    }
}

/* The least of the timeouts; -1 is for ever. */
static int least_timeout(struct vramscope *const *scopes, int n)
{
    int i, least = -1;

    for (i = 0; i < n; i++) {
        int timeout = vramscope_timeout_ms(scopes[i]);

        if (least < 0 || (timeout >= 0 && timeout < least))
            least = timeout;
    }
    return least;
}

int main(int argc, char **argv)
{
    struct vramscope_options options;
    struct vramscope *scopes[DAEMONS_MAX];
    struct pollfd fds[DAEMONS_MAX];
    int i, n = argc - 1;

    if (n < 1 || n > DAEMONS_MAX) {
        fprintf(stderr, "usage: poll_loop URL... (%d at most)\n", DAEMONS_MAX);
        return 2;
    }
    memset(&options, 0, sizeof(options));
    options.size = sizeof(options);
    options.stream = VRAMSCOPE_STREAM_DETAIL;
    for (i = 0; i < n; i++) {
        if (vramscope_open(argv[i + 1], &options, &scopes[i]) < 0) {
            fprintf(stderr, "%s: not a URL of a daemon\n", argv[i + 1]);
            return 1;
        }
        fds[i].fd = vramscope_fd(scopes[i]);
        fds[i].events = POLLIN;
    }
    for (;;) {
        (void)poll(fds, (nfds_t)n, least_timeout(scopes, n));
        for (i = 0; i < n; i++) {
            (void)vramscope_process(scopes[i]);
            take_events(argv[i + 1], scopes[i]);
        }
    }
}
