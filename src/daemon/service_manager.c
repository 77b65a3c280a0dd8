// SPDX-License-Identifier: Apache-2.0
#include "daemon/service_manager.h"

#include "base/log.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#define NS_PER_US 1000U
#define STATUS_EVERY_NS 5000000000ULL

enum { STATUS_MAX = 160 };

static const char LIBRARY[] = "libsystemd.so.0";
static const char NOTIFY_SOCKET[] = "NOTIFY_SOCKET";

struct service_manager {
    void *library;
    __typeof__(sd_listen_fds) *listen_fds;
    __typeof__(sd_is_socket) *is_socket;
    __typeof__(sd_notify) *notify;
    __typeof__(sd_watchdog_enabled) *watchdog_enabled;
    char *environment[2]; // NOTIFY_SOCKET alone; [0] is NULL: nobody is to be told
    int room_fd;          // connected to that socket, to see whether it has room; or -1
    size_t n_sockets;
    uint64_t watchdog_ns;
    uint64_t alive_ns; // when we last said so
    uint64_t status_ns;
    char status[STATUS_MAX];
    bool ready;
    bool owes_ready; // there was no room for it
    bool unheard;
};

static void clear_environment(void)
{
    static const char *const names[] = {
        NOTIFY_SOCKET, "WATCHDOG_USEC",  "WATCHDOG_PID",  "LISTEN_FDS",
        "LISTEN_PID",  "LISTEN_FDNAMES", "LISTEN_PIDFDID"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unsetenv(names[i]);
}

static bool find_function(void *library, const char *name, void *ret)
{
    void *symbol = dlsym(library, name);

    memcpy(ret, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static bool load(struct service_manager *manager)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    manager->library = library;
    return library && find_function(library, "sd_listen_fds", &manager->listen_fds) &&
           find_function(library, "sd_is_socket", &manager->is_socket) &&
           find_function(library, "sd_notify", &manager->notify) &&
           find_function(library, "sd_watchdog_enabled", &manager->watchdog_enabled);
}

/* LISTEN_FDS may be meant for another process; then there are none. */
static int count_sockets(struct service_manager *manager, struct complaint *complaint)
{
    int n = manager->listen_fds(0);

    if (n < 0)
        return complain(complaint, n, "cannot take the sockets of LISTEN_FDS: %s",
                        strerror(-n));
    if (n > SERVICE_MANAGER_SOCKETS_MAX)
        return complain(complaint, -E2BIG, "LISTEN_FDS has %d sockets, more than %d", n,
                        SERVICE_MANAGER_SOCKETS_MAX);
    manager->n_sockets = (size_t)n;
    return 0;
}

/* -1 where that cannot be: then nothing will be sent, or it is no Unix socket. */
static int connect_to(const char *address)
{
    OWNED(close_fd) int fd = -1;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t len = strlen(address);
    socklen_t name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    int ret;

    if ((address[0] != '/' && address[0] != '@') || len >= sizeof(name.sun_path))
        return -1;
    memcpy(name.sun_path, address, len);
    if (address[0] == '@')
        name.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&name, name_len) < 0)
        return -1;
    ret = fd;
    fd = -1;
    return ret;
}

static int keep_notify_socket(struct service_manager *manager,
                              struct complaint *complaint)
{
    const char *address = getenv(NOTIFY_SOCKET);
    uint64_t watchdog_us = 0;

    if (!address)
        return 0;
    if (asprintf(&manager->environment[0], "%s=%s", NOTIFY_SOCKET, address) < 0) {
        manager->environment[0] = NULL;
        return complain(complaint, -ENOMEM, "out of memory");
    }
    manager->room_fd = connect_to(address);
    if (manager->watchdog_enabled(0, &watchdog_us) > 0)
        manager->watchdog_ns = watchdog_us * NS_PER_US;
    return 0;
}

static int open_manager(struct service_manager **ret, struct complaint *complaint)
{
    struct service_manager *manager = calloc(1, sizeof(*manager));
    int r;

    if (!manager)
        return complain(complaint, -ENOMEM, "out of memory");
    manager->room_fd = -1;
    *ret = manager;
    if (!load(manager)) {
        const char *why = dlerror();

        if (getenv("LISTEN_FDS"))
            return complain(complaint, -ELIBACC,
                            "cannot take the sockets of LISTEN_FDS: %s",
                            why ? why : "no such library");
        log_warning("NOTIFY_SOCKET is told nothing: %s", why ? why : "no such library");
        return 0;
    }
    r = count_sockets(manager, complaint);
    return r < 0 ? r : keep_notify_socket(manager, complaint);
}

int service_manager_open(struct service_manager **ret, struct complaint *complaint)
{
    int r = 0;

    *ret = NULL;
    if (getenv("LISTEN_FDS") || getenv(NOTIFY_SOCKET))
        r = open_manager(ret, complaint);
    clear_environment();
    if (r < 0)
        service_manager_free(TAKE(*ret));
    return r;
}

void service_manager_free(struct service_manager *manager)
{
    if (!manager)
        return;
    close_fd(&manager->room_fd);
    free(manager->environment[0]);
    if (manager->library)
        (void)dlclose(manager->library);
    free(manager);
}

size_t service_manager_sockets(const struct service_manager *manager)
{
    return manager ? manager->n_sockets : 0;
}

int service_manager_take_socket(struct service_manager *manager, size_t i,
                                struct complaint *complaint)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    int fd = SD_LISTEN_FDS_START + (int)i;

    for (size_t j = 0; j < ARRAY_LEN(families); j++)
        if (manager->is_socket(fd, families[j], SOCK_STREAM, 1) > 0)
            return fd;
    return complain(complaint, -EINVAL,
                    "descriptor %d of LISTEN_FDS is not a listening stream socket of TCP "
                    "or Unix",
                    fd);
}

uint64_t service_manager_watchdog_ns(const struct service_manager *manager)
{
    return manager ? manager->watchdog_ns : 0;
}

/* The library would wait for it, and the stream with us. */
static bool has_room(const struct service_manager *manager)
{
    struct pollfd room = {.fd = manager->room_fd, .events = POLLOUT};

    return manager->room_fd < 0 || poll(&room, 1, 0) > 0;
}

/*
 * False: it has no room now. The library finds the address in the environment of the
 * moment, in which children must not find it; another thread that looks meanwhile finds
 * either of two whole ones.
 */
static bool tell(struct service_manager *manager, const char *text)
{
    char **own = environ;
    int r;

    if (!manager || !manager->environment[0])
        return true;
    if (!has_room(manager))
        return false;
    environ = manager->environment;
    r = manager->notify(0, text);
    environ = own;
    if (r < 0 && !manager->unheard)
        log_warning("the service manager cannot be told anything: %s", strerror(-r));
    manager->unheard = r < 0;
    return true;
}

void service_manager_ready(struct service_manager *manager)
{
    if (!manager)
        return;
    manager->ready = true;
    manager->owes_ready = !tell(manager, "READY=1");
}

void service_manager_stopping(struct service_manager *manager)
{
    (void)tell(manager, "STOPPING=1");
}

void service_manager_reloading(struct service_manager *manager, uint64_t now_ns)
{
    char text[64];

    if (!manager || !manager->ready)
        return;
    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)(now_ns / NS_PER_US));
    (void)tell(manager, text);
}

void service_manager_reloaded(struct service_manager *manager)
{
    if (manager && manager->ready)
        service_manager_ready(manager);
}

static void write_status(const struct service_status *status, char *text)
{
    (void)snprintf(text, STATUS_MAX, "STATUS=%zu engine%s, %zu subscriber%s%s%s",
                   status->engines, status->engines == 1 ? "" : "s", status->subscribers,
                   status->subscribers == 1 ? "" : "s",
                   status->outage[0] ? "; no GPU figures: " : "", status->outage);
}

static void tell_status(struct service_manager *manager,
                        const struct service_status *status, uint64_t now_ns)
{
    char text[STATUS_MAX];

    if (manager->status_ns && now_ns - manager->status_ns < STATUS_EVERY_NS)
        return;
    write_status(status, text);
    if (strcmp(text, manager->status) == 0 || !tell(manager, text))
        return;
    memcpy(manager->status, text, sizeof(text));
    manager->status_ns = now_ns;
}

void service_manager_beat(struct service_manager *manager,
                          const struct service_status *status, uint64_t now_ns,
                          uint64_t period_ns)
{
    if (!manager || !manager->environment[0] || !manager->ready)
        return;
    // The next beat would be too late: half of the time is left for a late one.
    if (manager->watchdog_ns &&
        now_ns + period_ns - manager->alive_ns > manager->watchdog_ns / 2 &&
        tell(manager, "WATCHDOG=1"))
        manager->alive_ns = now_ns;
    if (manager->owes_ready)
        service_manager_ready(manager);
    tell_status(manager, status, now_ns);
}
