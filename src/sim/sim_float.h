// SPDX-License-Identifier: Apache-2.0
/*
 * sim_float.h - floats as a Python exporter prints them
 *
 * The shortest digits that read back as the same double, laid out as Python's repr() does
 * and then as prometheus_client changes it towards Go: 0.5, 603.0, 1e+06, 1.5e-05, +Inf.
 */
#ifndef SIM_SIM_FLOAT_H
#define SIM_SIM_FLOAT_H

#include "base/buf.h"

void sim_float_write(struct buf *out, double value);

#endif
