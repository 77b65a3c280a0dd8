// SPDX-License-Identifier: Apache-2.0
/*
 * tls.h - the certificate and the rules of TLS that a server's connections share
 *
 * TLS 1.2 with AEAD suites and forward secrecy, or 1.3; no compression, no renegotiation,
 * no early data. Sessions are not resumed: a ticket's key would undo forward secrecy while
 * it lives, and a stream that comes back pays a handshake, half a millisecond with a P-256 key.
 *
 * One holder may serve several loops on several threads. tls_replace() swaps the
 * certificate for those who come after; a session keeps the one that it began with.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/complaint.h"

struct tls;
struct transport;

/*
 * Read a certificate, with those between it and its root, and its key, both in PEM. The
 * key must have no passphrase and must not be open to others than its owner and group.
 * 1: it is usable, but `complaint` says what is wrong with it, such as that it has expired.
 * Negative: the complaint names the file and the cause.
 */
int tls_new(const char *cert_file, const char *key_file, struct complaint *complaint,
            struct tls **ret) MUST_CHECK;

/* Take over the certificate of `fresh`, and free that. It cannot fail. */
void tls_replace(struct tls *tls, struct tls *fresh);

void tls_free(struct tls *tls); // after every session of its own

/* Give the transport a session of its own, as the server, on its socket. */
int tls_begin(struct tls *tls, struct transport *transport) MUST_CHECK;

#endif
