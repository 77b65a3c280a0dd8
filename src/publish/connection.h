// SPDX-License-Identifier: Apache-2.0
/*
 * connection.h - a connection to a NATS server, made by those who publish and subscribe
 */
#ifndef PUBLISH_CONNECTION_H
#define PUBLISH_CONNECTION_H

#include "base/base.h"

enum { CONNECTION_SERVERS_MAX = 16 };

/* Texts are lent until who was given them has copied them. */
struct connection_options {
    const char *servers[CONNECTION_SERVERS_MAX]; // URLs; tried in any order
    size_t n_servers;
    bool tls; // to all of them
    const char *creds_file;
    const char *token;
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
};

/*
 * Make the texts the caller's own, to be freed even on failure: what they were lent by may
 * go. -ENOMEM.
 */
int connection_options_own(struct connection_options *options) MUST_CHECK;
void connection_options_free(struct connection_options *options); // wipes the token

#endif
