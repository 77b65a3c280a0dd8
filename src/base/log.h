// SPDX-License-Identifier: Apache-2.0
/*
 * log.h - one line per event on stderr
 *
 * The layer that decides to go on logs, once, on the edge; the layers below return.
 * Every byte of a message that could move a cursor or forge a line is written as \xNN.
 * Under systemd the lines carry its level prefix ("<4>"), elsewhere the level's name.
 * Of one format at most 64 lines are written at once and 5 a second over time; the next
 * that is written says how many were left out. Any thread may log.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);

void log_error(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
