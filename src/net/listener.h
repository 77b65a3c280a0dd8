// SPDX-License-Identifier: Apache-2.0
/*
 * listener.h - turn "HOST:PORT" or "unix:PATH" into a listening socket
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/complaint.h"

enum {
    LISTENER_URL_MAX = 160,
    LISTENER_BACKLOG = 4096, // connections that may wait to be accepted
};

struct listener_options {
    bool allow_public;    // addresses that are not loopback
    bool several;         // twins will listen on the same address
    uint32_t socket_mode; // of a Unix socket's file; 0: 0660
};

/*
 * A non-blocking listening socket, and its address as a URL with the port that was given
 * out. A Unix socket has its mode from its first instant; one left behind by a dead server is replaced, one
 * that answers is not. -EACCES: not loopback, and allow_public is false. Any other
 * negative errno: the complaint says the address and the cause.
 */
int listener_open(const char *address, const struct listener_options *options,
                  char *ret_url, size_t url_room, struct complaint *complaint) MUST_CHECK;

/*
 * Another listening socket on the address of one of `several`: the kernel gives each its
 * share of who connects. Of a Unix socket, or one that was passed to us and is not to be
 * shared so, it is the same one again.
 */
int listener_twin(int fd) MUST_CHECK;

/*
 * The same for a listening stream socket of TCP or Unix that somebody else has opened; it
 * stays the caller's on failure. -EAFNOSUPPORT: it is neither.
 */
int listener_adopt(int fd, const struct listener_options *options, char *ret_url,
                   size_t url_room, struct complaint *complaint) MUST_CHECK;

/* Set what an accepted Unix socket does not inherit. */
void listener_tune_accepted(int fd);

#endif
