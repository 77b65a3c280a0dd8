// SPDX-License-Identifier: Apache-2.0
/*
 * gate.h - who may ask: the name asked for, the page that asks, the token shown
 *
 * Three questions about a request, before anything is done for it. Is Host a name of ours,
 * so that no page can reach us under a name that it owns (DNS rebinding)? Does the browser
 * say that a page of another site asks? Does it show the token, where there is one?
 *
 * One gate serves every thread; what it compares with is replaced as a whole. Of the token
 * it knows the SHA-256 alone. Nothing here does I/O, and nothing of a request is given back.
 */
#ifndef SERVE_GATE_H
#define SERVE_GATE_H

#include "base/complaint.h"
#include "net/http_request.h"
#include "net/http_server.h"

enum {
    GATE_HOSTS_MAX = 16,
    GATE_OWN_HOSTS_MAX = 16, // of the addresses listened on
    GATE_ORIGINS_MAX = 16,
    GATE_ORIGIN_MAX = 255, // bytes
    GATE_DIGEST_BYTES = 32,
    GATE_FAILURES_MAX = 10, // wrong tokens in a second, of all clients
};

struct gate;

/* Lent for the call. */
struct gate_options {
    const char *const *hosts; // "name", "name:port", "[::1]:port"
    size_t n_hosts;
    const char *const *origins; // as browsers write them
    size_t n_origins;
    const uint8_t *token_sha256; // GATE_DIGEST_BYTES; NULL: no token is asked for
};

/* What the request itself does not say. */
struct gate_peer {
    bool unix_socket;
    bool tls;
    bool open_route; // tells nothing that needs a token
    bool page;       // a document that a person may come to from any other
};

struct gate_verdict {
    int status; // 0: come in; 204: a preflight request, answered by `extra` alone
    const char *code;
    const char *message;
    const char *remedy;
    const char *extra;                      // fields of the answer; NULL: none
    enum http_limited limited;              // of a refusal
    char allow_origin[GATE_ORIGIN_MAX + 1]; // whose page may read the answer; "": ours
};

/* -EINVAL: an entry that cannot be read, or too many; the gate stays as it was. */
int gate_new(const struct gate_options *options, struct gate **ret) MUST_CHECK;
int gate_apply(struct gate *gate, const struct gate_options *options) MUST_CHECK;
void gate_free(struct gate *gate);

/*
 * Who asks for HOST:PORT, or for a URL's, is right here, whatever the port: an address or
 * name that is listened on. A wildcard address stands for every address, but for no name.
 */
void gate_listens_on(struct gate *gate, const char *address);

void gate_check(struct gate *gate, const struct http_request *request,
                const struct gate_peer *peer, uint64_t now_ns, struct gate_verdict *ret);

#endif
