// SPDX-License-Identifier: Apache-2.0
/*
 * terminal_signals.h - signals while the terminal is ours
 *
 * Handlers only note what came; whoever polls the descriptor takes it from there. Two kinds
 * cannot wait for that and put the terminal right themselves: a crash, and an end that was
 * asked for a second ago and did not come, as when the terminal takes no output.
 *
 * There is one terminal, so all of this is one per process. To be opened before curses is,
 * which then leaves these signals alone.
 */
#ifndef TUI_TERMINAL_SIGNALS_H
#define TUI_TERMINAL_SIGNALS_H

#include "base/base.h"

#include <termios.h>

enum {
    SIGNALS_LEAVE = 1,    // SIGINT, SIGTERM, SIGHUP, SIGQUIT
    SIGNALS_STOP = 2,     // SIGTSTP
    SIGNALS_CONTINUE = 4, // SIGCONT
    SIGNALS_RESIZE = 8,   // SIGWINCH
};

enum { RESCUE_TEXT_SIZE = 512 };

/* What puts the terminal right without curses. */
struct rescue {
    int fd;
    struct termios before;
    size_t len;
    char text[RESCUE_TEXT_SIZE];
};

/* Gives a descriptor that is readable when a signal has come; it is signals_close()'s. */
int signals_open(void) MUST_CHECK;
void signals_close(void);

/* Which have come since the last call. */
unsigned signals_take(void);

/* Stop as SIGTSTP does by default; returns when we are continued. */
void signals_stop_self(void);

/* From here on the terminal needs this; NULL: nothing any more. Copied. */
void signals_set_rescue(const struct rescue *rescue);

#endif
