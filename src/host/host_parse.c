// SPDX-License-Identifier: Apache-2.0
#include "host/host_parse.h"

#include "base/number.h"
#include "base/text.h"

/* Take everything up to the next blank, skipping blanks before it; empty at the end. */
static struct span take_field(struct span *text)
{
    struct span field;

    while (text->len > 0 && *text->at == ' ') {
        text->at++;
        text->len--;
    }
    field = (struct span){text->at, 0};
    while (text->len > 0 && *text->at != ' ') {
        text->at++;
        text->len--;
        field.len++;
    }
    return field;
}

static struct span skip_fields(struct span *text, int n)
{
    struct span field = {text->at, 0};

    while (n-- > 0)
        field = take_field(text);
    return field;
}

static const char *find_last(struct span text, char c)
{
    return text.len ? memrchr(text.at, c, text.len) : NULL;
}

static int read_pid(struct span text, uint32_t *ret)
{
    uint64_t value;

    if (number_read_u64(text, INT32_MAX, &value) < 0)
        return -EBADMSG;
    *ret = (uint32_t)value;
    return 0;
}

/*
 * 4711 (VLLM::EngineCor) S 4700 4700 1 0 -1 4194304 ... 0 20 0 12 0 987654 ...
 *       ^ any bytes      ^ field 3, and field 22 ----------------> ^
 *
 * A name may hold blanks and brackets of its own, so that only the last ')' ends it. More
 * fields follow the start time; without one the time itself may have been cut.
 */
int host_parse_stat(struct span text, struct host_process *ret)
{
    enum { FIELDS_TO_PARENT = 2, FIELDS_FROM_PARENT_TO_START = 18 };
    const char *close = find_last(text, ')');
    const char *open = close ? memchr(text.at, '(', (size_t)(close - text.at)) : NULL;
    struct host_process process = {0};
    struct span rest;

    if (!open || open == text.at || open[-1] != ' ')
        return -EBADMSG;
    if (read_pid((struct span){text.at, (size_t)(open - 1 - text.at)}, &process.pid) <
            0 ||
        process.pid == 0)
        return -EBADMSG;

    rest = (struct span){close + 1, text.len - (size_t)(close + 1 - text.at)};
    if (read_pid(skip_fields(&rest, FIELDS_TO_PARENT), &process.parent_pid) < 0)
        return -EBADMSG;
    if (number_read_u64(skip_fields(&rest, FIELDS_FROM_PARENT_TO_START), UINT64_MAX - 1,
                        &process.start_ticks) < 0 ||
        rest.len == 0)
        return -EBADMSG;

    (void)text_clean(process.comm, sizeof(process.comm),
                     (struct span){open + 1, (size_t)(close - open - 1)});
    *ret = process;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* All of `text`, which must be `digits` long and at most 8. */
static int read_hex(struct span text, size_t digits, uint32_t *ret)
{
    uint32_t value = 0;

    if (text.len != digits)
        return -EBADMSG;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_digit(text.at[i]);

        if (digit < 0)
            return -EBADMSG;
        value = value << 4 | (uint32_t)digit;
    }
    *ret = value;
    return 0;
}

/* "0100007F:1F40", or with 32 digits before the colon. */
static int read_port(struct span address, uint16_t *ret)
{
    enum { V4_DIGITS = 8, V6_DIGITS = 32 };
    const char *colon = find_last(address, ':');
    size_t digits = colon ? (size_t)(colon - address.at) : 0;
    uint32_t ignored, port;

    if (digits != V4_DIGITS && digits != V6_DIGITS)
        return -EBADMSG;
    for (size_t i = 0; i < digits; i += V4_DIGITS)
        if (read_hex((struct span){address.at + i, V4_DIGITS}, V4_DIGITS, &ignored) < 0)
            return -EBADMSG;
    if (read_hex((struct span){colon + 1, address.len - digits - 1}, 4, &port) < 0)
        return -EBADMSG;
    *ret = (uint16_t)port;
    return 0;
}

static bool is_slot(struct span field)
{
    uint64_t number;

    return field.len > 1 && field.at[field.len - 1] == ':' &&
           number_read_u64((struct span){field.at, field.len - 1}, UINT64_MAX, &number) ==
               0;
}

/*
 * 0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 12345 1
 * ^  ^ local       ^ remote      ^ state: 0A listens                     uid    ^ inode
 */
int host_parse_tcp_line(struct span line, struct host_socket *ret)
{
    enum { FIELDS_FROM_STATE_TO_INODE = 6 };
    struct host_socket found = {0};
    uint32_t state;
    uint16_t remote_port;

    if (!is_slot(take_field(&line)) || read_port(take_field(&line), &found.port) < 0 ||
        read_port(take_field(&line), &remote_port) < 0 ||
        read_hex(take_field(&line), 2, &state) < 0)
        return -EBADMSG;
    if (number_read_u64(skip_fields(&line, FIELDS_FROM_STATE_TO_INODE), UINT64_MAX,
                        &found.inode) < 0 ||
        line.len == 0) // more fields follow; without them the inode may have been cut
        return -EBADMSG;
    found.state = (uint8_t)state;
    *ret = found;
    return 0;
}

int host_parse_socket_link(struct span link, uint64_t *ret)
{
    static const char prefix[] = "socket:[";
    const size_t len = sizeof(prefix) - 1;

    if (link.len <= len || memcmp(link.at, prefix, len) != 0 ||
        link.at[link.len - 1] != ']')
        return -EBADMSG;
    if (number_read_u64((struct span){link.at + len, link.len - len - 1}, UINT64_MAX,
                        ret) < 0)
        return -EBADMSG;
    return 0;
}
