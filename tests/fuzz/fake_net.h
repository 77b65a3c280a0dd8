// SPDX-License-Identifier: Apache-2.0
/*
 * fake_net.h - sockets and a loop that do only what a script says
 *
 * Linked with --wrap in the place of the system calls and of libuv, so that a server's
 * whole life is one deterministic call: time passes when the script says so, a socket
 * takes and gives what the script says. How the server may use them is asserted here:
 * it reads only what it polls for and has been told of, closes everything once, and says
 * nothing after it has said that it will not.
 */
#ifndef FUZZ_FAKE_NET_H
#define FUZZ_FAKE_NET_H

#include "base/base.h"

enum {
    FAKE_SOCKETS = 8,
    FAKE_IN_MAX = 40 * 1024, // bytes on their way to the server, on one connection
};

/* One connection. The peer's side is the script's to set, the server's to look at. */
struct fake_socket {
    bool connected; // seen from the peer; false: the slot is free
    bool waiting;   // to be accepted
    uint8_t host;   // last byte of the peer's address
    bool ended;     // the peer sends no more
    bool reset;     // the peer is gone
    bool slow;      // it takes no more than `room`
    size_t room;
    size_t untaken;    // bytes sent that a slow peer has not taken
    size_t short_read; // at most so many bytes come at a time; 0: any number
    int recv_error;    // of the next call
    int send_error;
    uint64_t heard_ms; // when the server sent, or its peer took something, last

    bool open;     // the server holds its descriptor
    bool shut;     // the server has sent its end
    bool abortive; // closing it will be a reset
    size_t in_len;
    char in[FAKE_IN_MAX];
};

extern struct fake_socket fake_sockets[FAKE_SOCKETS];
extern uint64_t fake_now_ms;
extern bool fake_descriptors_gone;  // accept4() and open() find none
extern bool fake_descriptors_taken; // nor what is closed meanwhile: others are quicker

/* To be defined by the target: bytes that the server sends, and that it closes. */
void fake_on_sent(struct fake_socket *socket, struct span bytes);
void fake_on_closed(struct fake_socket *socket);

void fake_reset(void);
bool fake_all_released(void); // no handle, descriptor or timer is left

void fake_connect(struct fake_socket *socket, uint8_t host);
void fake_deliver(struct fake_socket *socket,
                  struct span bytes);                 // as much as there is room
void fake_take(struct fake_socket *socket, size_t n); // by a slow peer

/* The connection whose callback runs, or NULL. */
struct fake_socket *fake_current(void);

/* Run what is ready until nothing is; then the same as time passes. */
void fake_turn(void);
void fake_pass(uint64_t ms);

/* Call its callback although there is nothing to read; or with an error. */
void fake_disturb(struct fake_socket *socket, int status);

#endif
