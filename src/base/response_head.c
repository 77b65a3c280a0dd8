// SPDX-License-Identifier: Apache-2.0
#include "base/response_head.h"

#include "base/text.h"

#include <strings.h>

static bool is_field(struct span line, const char *name)
{
    size_t len = strlen(name);

    return line.len > len && line.at[len] == ':' && strncasecmp(line.at, name, len) == 0;
}

/* Does the line name a coding that was not asked for? */
static bool is_encoded(struct span line)
{
    static const struct {
        const char *name, *only;
    } fields[] = {{"Content-Encoding", "identity"}, {"Transfer-Encoding", "chunked"}};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        size_t name_len = strlen(fields[i].name) + 1;
        struct span value;

        if (!is_field(line, fields[i].name))
            continue;
        value = text_trim((struct span){line.at + name_len, line.len - name_len});
        return value.len != strlen(fields[i].only) ||
               strncasecmp(value.at, fields[i].only, value.len) != 0;
    }
    return false;
}

const char *response_head_take(struct response_head *head, struct span line)
{
    head->bytes += line.len;
    if (head->bytes > RESPONSE_HEAD_MAX)
        return RESPONSE_HEAD_TOO_LARGE;
    if (line.len > 5 && memcmp(line.at, "HTTP/", 5) == 0) {
        head->ended = false;
        if (++head->status_lines > RESPONSE_INTERIM_MAX + 1)
            return "too many interim responses";
    } else if (line.len && (*line.at == '\r' || *line.at == '\n')) {
        head->ended = true;
    } else if (++head->fields > RESPONSE_FIELDS_MAX) {
        return "the answer has more than 100 fields";
    }
    return is_encoded(line) ? "the answer is encoded, which was not asked for" : NULL;
}
