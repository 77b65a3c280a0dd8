// SPDX-License-Identifier: Apache-2.0
#include "daemon/docker.h"

#include "base/buf.h"
#include "base/log.h"
#include "model/docker_ports.h"
#include "net/fetch.h"

#define ASK_EVERY_NS 5000000000ULL

enum {
    ANSWER_MAX = 256 * 1024, // it is parsed on the loop
    FAILURES_MAX = 3,
};

struct docker {
    struct fetcher *fetcher;
    struct fetch *fetch;
    struct buf answer;
    uint64_t due_ns;
    bool asking;
    unsigned failures; // in a row
    size_t n;
    struct host_port_proxy ports[DOCKER_PORTS_MAX];
};

static int on_body(void *ctx, struct span bytes)
{
    struct docker *docker = ctx;

    buf_add(&docker->answer, bytes.at, bytes.len);
    return docker->answer.error;
}

static void take_ports(struct docker *docker, const struct docker_ports *ports)
{
    docker->n = ports->n;
    for (size_t i = 0; i < ports->n; i++) {
        docker->ports[i] = (struct host_port_proxy){
            .container_port = ports->at[i].container_port,
            .host_port = ports->at[i].host_port,
        };
        memcpy(docker->ports[i].container_address, ports->at[i].address,
               HOST_ADDRESS_SIZE);
    }
}

/* What it said before holds for a while; then its addresses may be others'. */
static void on_done(void *ctx, const struct fetch_result *result)
{
    struct docker *docker = ctx;
    struct docker_ports ports;
    struct complaint why = {""};
    bool failed = result->outcome != FETCH_OK ||
                  docker_ports_read(buf_span(&docker->answer), &ports, &why) < 0;

    if (!failed)
        take_ports(docker, &ports);
    docker->failures = failed ? docker->failures + 1 : 0;
    if (docker->failures >= FAILURES_MAX)
        docker->n = 0;
    if (docker->failures == 1)
        log_warning("Docker does not tell its ports: %s",
                    result->outcome != FETCH_OK ? result->why : why.text);
    docker->asking = false;
    buf_done(&docker->answer);
}

int docker_new(uv_loop_t *loop, const char *socket_path, struct docker **ret)
{
    struct docker *docker = calloc(1, sizeof(*docker));
    struct fetch_options options = {
        .unix_path = socket_path, .body = on_body, .done = on_done, .ctx = docker};
    int r;

    if (!docker)
        return -ENOMEM;
    r = fetcher_new(loop, &docker->fetcher);
    if (r == 0)
        r = fetch_new(docker->fetcher, &options, &docker->fetch);
    if (r < 0) {
        docker_free(docker);
        return r;
    }
    *ret = docker;
    return 0;
}

void docker_free(struct docker *docker)
{
    if (!docker)
        return;
    fetch_free(docker->fetch);
    fetcher_free(docker->fetcher);
    buf_done(&docker->answer);
    free(docker);
}

void docker_run(struct docker *docker, bool wanted, uint64_t now_ns)
{
    if (!wanted)
        docker->n = 0; // by the time somebody wants to know it may be otherwise
    if (!wanted || docker->asking || now_ns < docker->due_ns)
        return;
    docker->due_ns = now_ns + ASK_EVERY_NS;
    buf_init(&docker->answer, ANSWER_MAX);
    docker->asking = fetch_start(docker->fetch, "http://localhost/containers/json") == 0;
}

const struct host_port_proxy *docker_ports(const struct docker *docker, size_t *ret_n)
{
    *ret_n = docker->n;
    return docker->ports;
}
