// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_get.h"

#include "cli/cli_output.h"
#include "wire/json.h"

static const struct json_limits limits = {
    .bytes = 8 << 20,
    .depth = 16,
    .values = 262144,
};

int cli_get(const struct cli *cli, const char *url, const char *path,
            struct vramscope_answer **ret)
{
    struct vramscope_options options = cli_stream_options(cli);
    char source[CLI_SOURCE_SIZE];
    struct complaint why = {""};
    int r =
        vramscope_get(url, &options, path, CLI_GET_MS, ret, why.text, sizeof(why.text));

    cli_source_name(source, cli, url);
    if (r < 0)
        cli_message("%s: %s", source, *why.text ? why.text : strerror(-r));
    return r;
}

json_t *cli_answer_json(const struct vramscope_answer *answer)
{
    struct span body = {answer->body, answer->body_len};
    struct complaint why;
    json_t *object;

    return json_read(body, &limits, &object, &why) == 0 ? object : NULL;
}

bool cli_answer_error(const struct vramscope_answer *answer, struct complaint *reason,
                      struct complaint *remedy)
{
    json_t *object = cli_answer_json(answer);
    const json_t *error = json_object_get(object, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *help = json_string_value(json_object_get(error, "remedy"));

    if (message)
        (void)complain(reason, 0, "%s (HTTP status %d)", message, answer->status);
    else
        (void)complain(reason, 0, "HTTP status %d", answer->status);
    (void)complain(remedy, 0, "%s", help ? help : "");
    json_decref(object);
    return help != NULL;
}

json_t *cli_take_object(const char *url, const struct vramscope_answer *answer)
{
    struct complaint reason, remedy;
    json_t *object = answer->status == 200 ? cli_answer_json(answer) : NULL;
    bool has_remedy;

    if (object)
        return object;
    if (answer->status == 200) {
        cli_message("%s: its answer is not understood", url);
        return NULL;
    }
    has_remedy = cli_answer_error(answer, &reason, &remedy);
    cli_message("%s: %s%s%s", url, reason.text, has_remedy ? ". " : "", remedy.text);
    return NULL;
}

const char *cli_text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}
