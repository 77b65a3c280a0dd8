// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever a head says, the answer is one of a few, made of our texts; and who is let in
 * has named a host of ours, and shown the token or asked for a route that needs none.
 */
#include "serve/gate.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const allowed_hosts[] = {"gpu1.example:8443"};
static const char *const allowed_origins[] = {"https://dash.example"};

static struct gate *open_gate(bool has_token)
{
    static const uint8_t digest[GATE_DIGEST_BYTES] = {1}; // of nothing that will be sent
    struct gate_options options = {.hosts = allowed_hosts,
                                   .n_hosts = 1,
                                   .origins = allowed_origins,
                                   .n_origins = 1,
                                   .token_sha256 = has_token ? digest : NULL};
    struct gate *gate = NULL;

    assert(gate_new(&options, &gate) == 0);
    return gate;
}

/* Only characters of the names and addresses that are ours can be let in. */
static bool could_be_ours(struct span host)
{
    static const char chars[] = "0123456789abcdefABCDEFlocalhstLOCALHSTgpuxmGPUXM.:[]";

    for (size_t i = 0; i < host.len; i++)
        if (!host.at[i] || !strchr(chars, host.at[i]))
            return false;
    return host.len > 0;
}

static void check(struct gate *gate, const struct http_request *request, bool has_token)
{
    struct gate_peer peer = {.tls = request->query.len > 0};
    struct gate_verdict verdict;

    gate_check(gate, request, &peer, 0, &verdict);
    assert(!verdict.allow_origin[0] || span_is(request->origin, verdict.allow_origin));
    assert(!verdict.allow_origin[0] ||
           strcmp(verdict.allow_origin, allowed_origins[0]) == 0);
    switch (verdict.status) {
    case 0:
        assert(!has_token);
        assert(!request->host.at || could_be_ours(request->host));
        assert(!span_is(request->sec_fetch_site, "cross-site") ||
               verdict.allow_origin[0]);
        break;
    case 204:
        assert(verdict.allow_origin[0] && request->method == METHOD_OPTIONS);
        break;
    default:
        assert(verdict.limited < HTTP_LIMITED && verdict.code[0]);
        assert(verdict.status == 400 || verdict.status == 401 || verdict.status == 403 ||
               verdict.status == 421 || verdict.status == 429);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gate *gates[2];
    struct http_request request;

    for (size_t i = 0; i < ARRAY_LEN(gates); i++)
        if (!gates[i])
            gates[i] = open_gate(i == 1);
    if (http_request_parse((struct span){(const char *)data, size}, &request) < 0)
        return 0;
    check(gates[0], &request, false);
    check(gates[1], &request, true);
    return 0;
}
