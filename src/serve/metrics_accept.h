// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_accept.h - which of the two formats of /metrics a request asks for
 */
#ifndef SERVE_METRICS_ACCEPT_H
#define SERVE_METRICS_ACCEPT_H

#include "encode/metrics.h"

/*
 * By an Accept field (RFC 9110 section 12.5.1). OpenMetrics is for those who give it the
 * greater weight, or the same one under its own name; all others get the older format,
 * those too who take neither, as Prometheus has always had it.
 */
enum metrics_format metrics_accept(struct span accept);

const char *metrics_content_type(enum metrics_format format);

#endif
