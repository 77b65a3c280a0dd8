// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "config/config.h"
#include "daemon/archive.h"
#include "daemon/daemon.h"
#include "daemon/front.h"
#include "gpu/gpu_worker.h"
#include "version.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

enum { EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

/* One thread beside the loop is all we use; each would bring a heap of its own. */
static void stay_small(void)
{
    (void)setenv("UV_THREADPOOL_SIZE", "1", 0);
    (void)mallopt(M_ARENA_MAX, 1);
}

static void end_at_once(int number)
{
    (void)number;
    _exit(0);
}

/*
 * libuv ends the program without a word when its table of descriptors cannot grow; of what
 * it allocates, only that is reallocated.
 */
static void *reallocate_or_end(void *memory, size_t size)
{
    void *larger = realloc(memory, size);

    if (!larger && size) {
        log_error("out of memory");
        _exit(EXIT_RUNTIME);
    }
    return larger;
}

static int serve(struct config *config, const struct daemon_arguments *arguments)
{
    struct complaint complaint = {0};
    struct daemon *daemon;
    int status;

    if (daemon_new(config, arguments, &daemon, &complaint) < 0) {
        log_error("%s", complaint.text);
        return EXIT_RUNTIME;
    }
    status = daemon_run(daemon);
    if (!daemon_free(daemon))
        _exit(status);
    return status;
}

static int check(struct config *config)
{
    struct complaint complaint = {0};
    int r = archive_check(config, &complaint);

    if (r == 0)
        r = front_check(config, &complaint);
    if (r < 0)
        log_error("%s", complaint.text);
    else
        log_info("the configuration is good");
    config_free(config);
    return r < 0 ? EXIT_USAGE : 0;
}

int main(int argc, char **argv)
{
    struct daemon_arguments arguments = {argc, argv, environ};
    struct complaint complaint = {0};
    enum config_action action;
    struct config *config;

    log_init("vramscoped", LOG_LEVEL_INFO);
    if (argc > 1 && strcmp(argv[1], GPU_WORKER_ROLE) == 0)
        return gpu_worker_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], GPU_KEEPER_ROLE) == 0)
        return gpu_keeper_main(argc, argv);

    (void)signal(SIGTERM, end_at_once); // until the loop takes them
    (void)signal(SIGINT, end_at_once);
    if (config_load(argc, argv, environ, &config, &action, &complaint) < 0) {
        log_error("%s", complaint.text);
        return EXIT_USAGE;
    }
    if (action == CONFIG_HELP) {
        config_print_help();
        return 0;
    }
    if (action == CONFIG_VERSION) {
        (void)puts("vramscoped " VRAMSCOPE_VERSION);
        return 0;
    }
    stay_small();
    (void)uv_replace_allocator(malloc, reallocate_or_end, calloc, free); // none is NULL
    log_set_level((enum log_level)config->log_level);
    if (config->check_only)
        return check(config);
    return serve(config, &arguments);
}
