// SPDX-License-Identifier: Apache-2.0
#include "answer_reader.h"

#include "base/number.h"

#include <assert.h>
#include <strings.h>

enum state {
    IN_HEAD,
    IN_BODY,
    IN_SIZE, // of a chunk
    IN_CHUNK,
    IN_CHUNK_END,
    IN_LAST_END, // of the chunk of size 0
    TO_THE_END,  // a body that ends with the connection
    NOTHING_MORE,
};

/* The fields of one head that say how it goes on. */
struct facts {
    bool length_given, chunked, close, keep_alive;
    uint64_t length;
};

char answer_body_byte(enum answer_body body, uint64_t at)
{
    if (body == BODY_STREAM)
        return 's';
    return (char)('a' + at % (body == BODY_BIG ? 23 : 1));
}

void answer_expect(struct answer_reader *reader, struct answer_request request)
{
    assert(reader->n_pending < ANSWERS_PENDING_MAX && !reader->last);
    reader->pending[reader->n_pending++] = request;
}

static struct span line_of(struct span *text)
{
    const char *end = memmem(text->at, text->len, "\r\n", 2);
    struct span line;

    assert(end);
    line = (struct span){text->at, (size_t)(end - text->at)};
    *text = (struct span){end + 2, text->len - line.len - 2};
    for (size_t i = 0; i < line.len; i++)
        assert(line.at[i] >= ' ' && line.at[i] <= '~');
    return line;
}

static bool starts_with(struct span text, const char *word)
{
    return text.len >= strlen(word) && memcmp(text.at, word, strlen(word)) == 0;
}

static int read_status(struct span line)
{
    assert(starts_with(line, "HTTP/1.1 ") && line.len > 13 && line.at[12] == ' ');
    for (size_t i = 9; i < 12; i++)
        assert(line.at[i] >= '0' && line.at[i] <= '9');
    assert(line.at[9] >= '2' && line.at[9] <= '5'); // nobody asked for a 1xx
    return (line.at[9] - '0') * 100 + (line.at[10] - '0') * 10 + line.at[11] - '0';
}

static void read_field(struct span line, struct facts *facts)
{
    const char *colon = memchr(line.at, ':', line.len);
    struct span name, value;

    assert(colon && colon > line.at && colon + 2 < line.at + line.len && colon[1] == ' ');
    name = (struct span){line.at, (size_t)(colon - line.at)};
    value = (struct span){colon + 2, line.len - name.len - 2};
    assert(!memchr(name.at, ' ', name.len) && value.at[0] != ' ');

    if (span_is(name, "Content-Length")) {
        assert(!facts->length_given);
        facts->length_given = true;
        assert(number_read_u64(value, UINT32_MAX, &facts->length) == 0);
    } else if (span_is(name, "Transfer-Encoding")) {
        assert(!facts->chunked && span_is(value, "chunked"));
        facts->chunked = true;
    } else if (span_is(name, "Connection")) {
        assert(!facts->close && !facts->keep_alive);
        facts->close = span_is(value, "close");
        facts->keep_alive = span_is(value, "keep-alive");
        assert(facts->close || facts->keep_alive);
    }
}

static int state_after(const struct answer_reader *reader)
{
    return reader->last ? NOTHING_MORE : IN_HEAD;
}

/* The request that this answer is for; without one it refuses what was sent. */
static void take_request(struct answer_reader *reader, int status, bool close)
{
    reader->refusal = reader->n_pending == 0;
    reader->now = (struct answer_request){0};
    if (reader->refusal) {
        assert(status >= 400 && close);
        return;
    }
    reader->now = reader->pending[0];
    reader->n_pending--;
    memmove(reader->pending, reader->pending + 1,
            reader->n_pending * sizeof(reader->pending[0]));
}

static void end_head(struct answer_reader *reader)
{
    struct span text = {reader->head, reader->head_len - 2};
    struct facts facts = {0};
    int status = read_status(line_of(&text));

    while (text.len)
        read_field(line_of(&text), &facts);
    take_request(reader, status, facts.close);
    reader->head_len = 0;
    reader->any = true;
    reader->last = facts.close;
    reader->at = 0;
    reader->left = facts.length;

    assert(!(facts.length_given && facts.chunked));
    assert(!(facts.chunked && reader->now.http_10));
    assert(status != 204 || (!facts.length_given && !facts.chunked));
    if (reader->now.head || status == 204 || (facts.length_given && facts.length == 0))
        reader->state = state_after(reader);
    else if (facts.length_given)
        reader->state = IN_BODY;
    else if (facts.chunked)
        reader->state = IN_SIZE;
    else
        reader->state = TO_THE_END;
    assert(reader->state != TO_THE_END || facts.close);
}

/* Collect a line, or a head; true when it ends with `end`. */
static bool collect(struct answer_reader *reader, char byte, const char *end)
{
    size_t n = strlen(end);

    assert(reader->head_len < ANSWER_HEAD_MAX);
    reader->head[reader->head_len++] = byte;
    return reader->head_len >= n &&
           memcmp(reader->head + reader->head_len - n, end, n) == 0;
}

static void end_size(struct answer_reader *reader)
{
    size_t digits = reader->head_len - 2;

    assert(digits > 0 && digits <= 8);
    reader->left = 0;
    for (size_t i = 0; i < digits; i++) {
        static const char hexadecimal[] = "0123456789abcdef";
        const char *digit = strchr(hexadecimal, reader->head[i]);

        assert(digit && *digit);
        reader->left = reader->left * 16 + (uint64_t)(digit - hexadecimal);
    }
    reader->head_len = 0;
    reader->state = reader->left ? IN_CHUNK : IN_LAST_END;
}

static bool is_text(struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if ((bytes.at[i] < ' ' || bytes.at[i] > '~') && bytes.at[i] != '\n')
            return false;
    return true;
}

static bool is_body(struct span bytes, enum answer_body body, uint64_t at)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.at[i] != answer_body_byte(body, at + i))
            return false;
    return true;
}

/* Read what of `bytes` is of the body; how much it was. */
static size_t read_body(struct answer_reader *reader, struct span bytes)
{
    if (reader->state != TO_THE_END)
        bytes.len = MIN(bytes.len, reader->left);
    if (reader->at == 0 && reader->state == IN_BODY && bytes.at[0] == '{')
        reader->refusal = true; // what the server says by itself
    if (reader->refusal)
        assert(is_text(bytes));
    else
        assert(is_body(bytes, reader->now.body, reader->at));

    reader->at += bytes.len;
    reader->left -= MIN(bytes.len, reader->left);
    if (reader->left == 0 && reader->state != TO_THE_END)
        reader->state = reader->state == IN_CHUNK ? IN_CHUNK_END : state_after(reader);
    return bytes.len;
}

static void read_byte(struct answer_reader *reader, char byte)
{
    switch ((enum state)reader->state) {
    case IN_HEAD:
        if (collect(reader, byte, "\r\n\r\n"))
            end_head(reader);
        break;
    case IN_SIZE:
        if (collect(reader, byte, "\r\n"))
            end_size(reader);
        break;
    case IN_CHUNK_END:
    case IN_LAST_END:
        if (!collect(reader, byte, "\r\n"))
            break;
        assert(reader->head_len == 2);
        reader->head_len = 0;
        reader->state = reader->state == IN_CHUNK_END ? IN_SIZE : NOTHING_MORE;
        break;
    case IN_BODY:
    case IN_CHUNK:
    case TO_THE_END:
    case NOTHING_MORE:
        assert(false); // bytes behind the last answer
    }
}

void answer_read(struct answer_reader *reader, struct span bytes)
{
    while (bytes.len) {
        bool body = reader->state == IN_BODY || reader->state == IN_CHUNK ||
                    reader->state == TO_THE_END;
        size_t n = 1;

        if (body)
            n = read_body(reader, bytes);
        else
            read_byte(reader, bytes.at[0]);
        bytes = (struct span){bytes.at + n, bytes.len - n};
    }
}

bool answer_is_whole(const struct answer_reader *reader)
{
    switch ((enum state)reader->state) {
    case IN_HEAD:
    case IN_SIZE:
        return reader->head_len == 0 && reader->n_pending == 0;
    case IN_BODY: // that of a refused HEAD is left out
        return reader->refusal && reader->at == 0;
    case IN_CHUNK:
    case IN_CHUNK_END:
    case IN_LAST_END:
        return false;
    case TO_THE_END:
    case NOTHING_MORE:
        return true;
    }
    return false;
}
