// SPDX-License-Identifier: Apache-2.0
/*
 * past_points.h - points of what is remembered in memory, as the store has them
 *
 * Its caller's thread's. Where moments go while it reads, their points are left out.
 */
#ifndef HISTORY_PAST_POINTS_H
#define HISTORY_PAST_POINTS_H

#include "history/history_source.h"

struct past_points;

int past_points_new(struct past *past, struct past_points **ret) MUST_CHECK; // lent
void past_points_free(struct past_points *points);                           // takes NULL

struct history_source past_points_source(struct past_points *points);

#endif
