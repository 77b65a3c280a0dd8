// SPDX-License-Identifier: Apache-2.0
/* Print what the KV cache really holds, each time a daemon says so.
 *
 *     cc follow.c $(pkg-config --cflags --libs libvramscope) && ./a.out
 */
#include <stdio.h>
#include <vramscope.h>

int main(int argc, char **argv)
{
    const char *url = argc > 1 ? argv[1] : "http://127.0.0.1:6767";
    struct vramscope *scope;
    const struct vramscope_event *event;

    if (vramscope_open(url, NULL, &scope) < 0) {
        fprintf(stderr, "%s: not a URL of a daemon\n", url);
        return 1;
    }
    while ((event = vramscope_wait(scope, -1)) != NULL) {
        if (event->type == VRAMSCOPE_SNAPSHOT)
            printf("%lld\n", (long long)event->snapshot->used_kv_cache_bytes);
        else if (event->reason) // from outside: not for a terminal that is to be trusted
            fprintf(stderr, "%s\n", event->reason);
        fflush(stdout);
    }
    vramscope_close(scope);
    return 0;
}
