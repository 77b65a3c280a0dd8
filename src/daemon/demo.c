// SPDX-License-Identifier: Apache-2.0
#include "daemon/demo.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum {
    TEXT_MAX = 128,
    ARGUMENTS_MAX = 24,
    LISTEN_WAIT_MS = 5000,
    LISTEN_LOOK_MS = 10,
};

#define GIB (1024ULL * 1024 * 1024)

/* One GPU of 80 GiB, 90 % of it held, as on any host that serves with vLLM. */
static const char DEVICES[] = "GPU-d3e0d3e0-0000-0000-0000-000000000000 85899345920 "
                              "536870912 Simulated 80 GiB GPU\n";

/* Pool = blocks x bytes per block of 16 tokens, which follow from the model's shape. */
static const struct demo_model {
    const char *name;
    uint16_t port;
    uint64_t vram_bytes;
    uint64_t kv_blocks;
    uint64_t kv_bytes_per_block;
    const char *load;
} models[] = {
    {"Qwen/Qwen3-0.6B", 8000, 26 * GIB, 14043, 1835008, "sine"},
    {"meta-llama/Llama-3.1-8B-Instruct", 8001, 36 * GIB, 9728, 2097152, "steady"},
    {"Qwen/Qwen2.5-0.5B-Instruct", 8002, 10 * GIB, 46421, 196608, "burst"},
};

struct demo {
    char dir[TEXT_MAX];
    struct server {
        uv_process_t process;
        uint16_t port;
        bool running;
    } servers[ARRAY_LEN(models)];
    unsigned handles; // not yet closed by the loop
    bool freeing;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* `wanted` if it is free, else any that is; 0 when there is none. */
static uint16_t pick_port(uint16_t wanted)
{
    const uint16_t tries[] = {wanted, 0};
    const int on = 1;

    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        OWNED(close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = loopback(tries[i]);
        socklen_t len = sizeof(address);

        if (fd < 0)
            return 0;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
            listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0)
            return ntohs(address.sin_port);
    }
    return 0;
}

static bool listens(uint16_t port)
{
    OWNED(close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(port);

    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static int wait_until_listening(uint16_t port)
{
    const struct timespec pause = {.tv_nsec = LISTEN_LOOK_MS * 1000000L};

    for (int waited = 0; waited < LISTEN_WAIT_MS; waited += LISTEN_LOOK_MS) {
        if (listens(port))
            return 0;
        (void)nanosleep(&pause, NULL);
    }
    return -ETIMEDOUT;
}

static int write_file(const char *dir, const char *name, const char *text)
{
    OWNED(close_fd) int fd = -1;
    char path[TEXT_MAX + 32];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return neg_errno();
    return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -EIO;
}

static int make_dir(struct demo *demo)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    char processes[TEXT_MAX + 32];

    if (snprintf(demo->dir, sizeof(demo->dir), "%s/vramscope-demo-XXXXXX",
                 base && base[0] == '/' ? base : "/tmp") >= (int)sizeof(demo->dir))
        return -ENAMETOOLONG;
    if (!mkdtemp(demo->dir)) {
        demo->dir[0] = '\0';
        return neg_errno();
    }
    (void)snprintf(processes, sizeof(processes), "%s/processes", demo->dir);
    if (mkdir(processes, 0700) < 0)
        return neg_errno();
    return write_file(demo->dir, "devices", DEVICES);
}

static void empty_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir)
        return;
    for (;;) {
        entry = readdir(dir);
        if (!entry)
            break;
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
    (void)rmdir(path);
}

static void remove_dir(const struct demo *demo)
{
    char processes[TEXT_MAX + 32];

    if (!demo->dir[0])
        return;
    (void)snprintf(processes, sizeof(processes), "%s/processes", demo->dir);
    empty_dir(processes);
    empty_dir(demo->dir);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
    struct server *server = CONTAINER_OF(process, struct server, process);

    server->running = false;
    if (!process->data || !((struct demo *)process->data)->freeing)
        log_warning("the simulated server on port %u ended (status %d, signal %d)",
                    server->port, (int)status, signal);
}

/* The program that lies beside this one, wherever that is installed. */
static int find_program(char *path, size_t room)
{
    static const char name[] = "vramscope-sim";
    ssize_t len = readlink("/proc/self/exe", path, room - 1);
    char *slash;

    if (len < 0)
        return neg_errno();
    path[len] = '\0';
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + sizeof(name) > room)
        return -ENAMETOOLONG;
    memcpy(slash + 1, name, sizeof(name));
    return 0;
}

/* Arguments of a server, by which it is found like any other; `text` is where the numbers among them are written. */
static void describe(const struct demo *demo, const struct demo_model *model,
                     uint16_t port, char text[4][TEXT_MAX],
                     char *arguments[ARGUMENTS_MAX])
{
    const char *const words[] = {
        "vllm",      "serve",     model->name, "--port",           text[0], "--kv-blocks",
        text[1],     "--vram",    text[2],     "--kv-pool-bytes",  text[3], "--load",
        model->load, "--gpu-dir", demo->dir,   "--die-with-parent"};

    (void)snprintf(text[0], TEXT_MAX, "%u", port);
    (void)snprintf(text[1], TEXT_MAX, "%llu", (unsigned long long)model->kv_blocks);
    (void)snprintf(text[2], TEXT_MAX, "%llu", (unsigned long long)model->vram_bytes);
    (void)snprintf(text[3], TEXT_MAX, "%llu",
                   (unsigned long long)(model->kv_blocks * model->kv_bytes_per_block));
    static_assert(ARRAY_LEN(words) < ARGUMENTS_MAX, "and a NULL behind them");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        arguments[i] = (char *)(uintptr_t)words[i];
    arguments[ARRAY_LEN(words)] = NULL;
}

static int start_server(struct demo *demo, uv_loop_t *loop, size_t i)
{
    struct server *server = &demo->servers[i];
    char program[4 * TEXT_MAX], text[4][TEXT_MAX];
    char *arguments[ARGUMENTS_MAX];
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
    };
    uv_process_options_t options = {.exit_cb = on_exit_of,
                                    .file = program,
                                    .args = arguments,
                                    .flags =
                                        UV_PROCESS_DETACHED, // Ctrl-C is ours to pass on
                                    .stdio_count = ARRAY_LEN(stdio),
                                    .stdio = stdio};
    int r = find_program(program, sizeof(program));

    if (r < 0)
        return r;
    server->port = pick_port(models[i].port);
    if (server->port == 0)
        return -EADDRINUSE;
    describe(demo, &models[i], server->port, text, arguments);
    server->process.data = demo;
    demo->handles++;
    r = uv_spawn(loop, &server->process, &options);
    if (r < 0)
        return r;
    server->running = true;
    if (server->port != models[i].port)
        log_warning("port %u is taken: '%s' is served on port %u", models[i].port,
                    models[i].name, server->port);
    return wait_until_listening(server->port);
}

static int add_engine(struct config *config, uint16_t port)
{
    struct config_engine *engine = &config->engines[config->n_engines];

    if (config->n_engines == CONFIG_ENGINES_MAX)
        return -E2BIG;
    *engine = (struct config_engine){
        .kv_bytes_per_block = UNKNOWN, .kv_pool_bytes_per_gpu = UNKNOWN, .gpus = UNKNOWN};
    if (asprintf(&engine->url, "http://127.0.0.1:%u", port) < 0) {
        engine->url = NULL;
        return -ENOMEM;
    }
    config->n_engines++;
    return 0;
}

int demo_new(uv_loop_t *loop, struct config *config, struct demo **ret,
             struct complaint *complaint)
{
    struct demo *demo = calloc(1, sizeof(*demo));
    int r = demo ? make_dir(demo) : -ENOMEM;

    if (r < 0) {
        (void)complain(complaint, r, "cannot start the demo: %s: %s",
                       demo ? demo->dir : "memory", strerror(-r));
        free(demo);
        return r;
    }
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(models); i++) {
        r = start_server(demo, loop, i);
        if (r == 0 && !config->discover)
            r = add_engine(config, demo->servers[i].port);
    }
    if (r < 0) {
        (void)complain(complaint, r, "cannot start the demo: vramscope-sim: %s",
                       strerror(-r));
        demo_free(demo);
        return r;
    }
    *ret = demo;
    return 0;
}

static void on_server_closed(uv_handle_t *handle)
{
    struct demo *demo = handle->data;

    if (--demo->handles > 0)
        return;
    remove_dir(demo);
    free(demo);
}

void demo_free(struct demo *demo)
{
    unsigned handles;

    if (!demo)
        return;
    demo->freeing = true;
    handles = demo->handles;
    for (unsigned i = 0; i < handles; i++) {
        if (demo->servers[i].running)
            (void)uv_process_kill(&demo->servers[i].process, SIGTERM);
        uv_close((uv_handle_t *)&demo->servers[i].process, on_server_closed);
    }
    if (handles == 0) {
        remove_dir(demo);
        free(demo);
    }
}

const char *demo_gpu_dir(const struct demo *demo)
{
    return demo->dir;
}
