// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics_accept.h"

#include "serve/accept.h"

static const struct {
    struct accept_type type;
    const char *content_type;
} formats[METRICS_FORMATS] = {
    [METRICS_TEXT] = {{"text/plain", "text/*", "0.0.4"},
                      "text/plain; version=0.0.4; charset=utf-8"},
    [METRICS_OPENMETRICS] = {{"application/openmetrics-text", "application/*", "1.0.0"},
                             "application/openmetrics-text; version=1.0.0; "
                             "charset=utf-8"},
};

const char *metrics_content_type(enum metrics_format format)
{
    return formats[format].content_type;
}

enum metrics_format metrics_accept(struct span accept)
{
    return accept_prefers(accept, &formats[METRICS_OPENMETRICS].type,
                          &formats[METRICS_TEXT].type)
               ? METRICS_OPENMETRICS
               : METRICS_TEXT;
}
