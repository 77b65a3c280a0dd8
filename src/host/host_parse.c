// SPDX-License-Identifier: Apache-2.0
#include "host/host_parse.h"

#include "base/number.h"
#include "base/text.h"
#include "host/host_text.h"

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
    if (read_pid(host_skip_fields(&rest, FIELDS_TO_PARENT), &process.parent_pid) < 0)
        return -EBADMSG;
    if (number_read_u64(host_skip_fields(&rest, FIELDS_FROM_PARENT_TO_START),
                        UINT64_MAX - 1, &process.start_ticks) < 0 ||
        rest.len == 0)
        return -EBADMSG;

    (void)text_clean(process.comm, sizeof(process.comm),
                     (struct span){open + 1, (size_t)(close - open - 1)});
    *ret = process;
    return 0;
}

/*
 * Field 9 has a flag for what runs in the kernel only. Field 38 is the signal that the
 * parent gets at the end: -1 for a thread, whose end no parent is told of.
 */
enum host_task host_parse_task(struct span text)
{
    enum { FIELDS_TO_FLAGS = 7, FIELDS_FROM_FLAGS_TO_SIGNAL = 29, PF_KTHREAD = 0x200000 };
    const char *close = find_last(text, ')');
    struct span rest = {NULL, 0};
    uint64_t flags;

    if (close)
        rest = (struct span){close + 1, text.len - (size_t)(close + 1 - text.at)};
    if (number_read_u64(host_skip_fields(&rest, FIELDS_TO_FLAGS), UINT32_MAX, &flags) ==
            0 &&
        flags & PF_KTHREAD)
        return HOST_TASK_KERNEL;
    if (span_is(host_skip_fields(&rest, FIELDS_FROM_FLAGS_TO_SIGNAL), "-1"))
        return HOST_TASK_THREAD;
    return HOST_TASK_PROCESS;
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

void host_map_v4(uint8_t ret[HOST_ADDRESS_SIZE], const void *address)
{
    static const uint8_t prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    memcpy(ret, prefix, sizeof(prefix));
    memcpy(ret + sizeof(prefix), address, HOST_ADDRESS_SIZE - sizeof(prefix));
}

/*
 * "0100007F:1F40", or with 32 digits before the colon. Each 8 digits are 4 bytes of the
 * address, printed as if they were one number of this machine.
 */
static int read_endpoint(struct span text, uint8_t ret_address[HOST_ADDRESS_SIZE],
                         uint16_t *ret_port)
{
    enum { WORD_DIGITS = 8, WORDS = HOST_ADDRESS_SIZE / sizeof(uint32_t) };
    const char *colon = find_last(text, ':');
    size_t digits = colon ? (size_t)(colon - text.at) : 0;
    uint32_t words[WORDS] = {0}, port;

    if (digits != WORD_DIGITS && digits != WORDS * WORD_DIGITS)
        return -EBADMSG;
    for (size_t i = 0; i < digits / WORD_DIGITS; i++)
        if (read_hex((struct span){text.at + i * WORD_DIGITS, WORD_DIGITS}, WORD_DIGITS,
                     &words[i]) < 0)
            return -EBADMSG;
    if (read_hex((struct span){colon + 1, text.len - digits - 1}, 4, &port) < 0)
        return -EBADMSG;
    if (digits == WORD_DIGITS)
        host_map_v4(ret_address, words);
    else
        memcpy(ret_address, words, sizeof(words));
    *ret_port = (uint16_t)port;
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
    enum { FIELDS_FROM_STATE_TO_UID = 4, FIELDS_FROM_UID_TO_INODE = 2 };
    struct host_socket found = {0};
    uint8_t remote[HOST_ADDRESS_SIZE];
    uint16_t remote_port;
    uint32_t state;
    uint64_t uid;

    if (!is_slot(host_take_field(&line)) ||
        read_endpoint(host_take_field(&line), found.address, &found.port) < 0 ||
        read_endpoint(host_take_field(&line), remote, &remote_port) < 0 ||
        read_hex(host_take_field(&line), 2, &state) < 0)
        return -EBADMSG;
    if (number_read_u64(host_skip_fields(&line, FIELDS_FROM_STATE_TO_UID), UINT32_MAX,
                        &uid) < 0 ||
        number_read_u64(host_skip_fields(&line, FIELDS_FROM_UID_TO_INODE), UINT64_MAX,
                        &found.inode) < 0 ||
        line.len == 0) // more fields follow; without them the inode may have been cut
        return -EBADMSG;
    found.state = (uint8_t)state;
    found.uid = (uint32_t)uid;
    *ret = found;
    return 0;
}

/* "socket:[12345]" */
static int read_link(struct span link, const char *prefix, uint64_t *ret)
{
    const size_t len = strlen(prefix);

    if (link.len <= len || !host_starts_with(link, prefix) ||
        link.at[link.len - 1] != ']')
        return -EBADMSG;
    if (number_read_u64((struct span){link.at + len, link.len - len - 1}, UINT64_MAX,
                        ret) < 0)
        return -EBADMSG;
    return 0;
}

int host_parse_socket_link(struct span link, uint64_t *ret)
{
    return read_link(link, "socket:[", ret);
}

int host_parse_net_link(struct span link, uint64_t *ret)
{
    return read_link(link, "net:[", ret);
}

/* 0.51 0.14 0.19 4/106 19559 */
int host_parse_newest_pid(struct span loadavg, uint32_t *ret)
{
    enum { FIELDS = 5 };
    struct span line;
    uint32_t pid;

    if (!host_take_until(&loadavg, '\n', &line) ||
        read_pid(host_skip_fields(&line, FIELDS), &pid) < 0 || pid == 0 || line.len > 0)
        return -EBADMSG;
    *ret = pid;
    return 0;
}
