// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_get.h"

#include "cli/cli_json.h"
#include "cli/cli_output.h"
#include "wire/json.h"

static const struct json_limits limits = {
    .bytes = 8 << 20,
    .depth = 16,
    .values = 131072,
};

int cli_get(const struct cli *cli, const char *url, const char *path,
            struct vramscope_answer **ret)
{
    struct vramscope_options options = cli_connection(cli);
    struct complaint why = {""};
    int r =
        vramscope_get(url, &options, path, CLI_GET_MS, ret, why.text, sizeof(why.text));

    if (r < 0)
        cli_message("%s: %s", url, *why.text ? why.text : strerror(-r));
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

/* The first of the keys that is a text; NULL: none. */
static const char *text_of(const json_t *item, const char *const *keys)
{
    for (; *keys; keys++) {
        const char *text = json_string_value(json_object_get(item, *keys));

        if (text)
            return text;
    }
    return NULL;
}

int cli_print_item(json_t *item, bool as_json)
{
    static const char *const kinds[] = {"kind", "type", "level", "code", NULL};
    static const char *const texts[] = {"text", "message", "summary", "title", NULL};
    const json_t *time = json_object_get(item, "unix_ms");
    const char *kind = text_of(item, kinds), *text = text_of(item, texts);
    char when[CLI_TIME_SIZE] = "";

    if (as_json || !text)
        return cli_print_value(json_incref(item));
    if (json_is_integer(time))
        cli_time_text(when, json_integer_value(time));
    cli_print("%s%s%s%s%s", when, *when ? " " : "", kind ? kind : "", kind ? " " : "",
              text);
    return 0;
}

/* The list of that name, or the only one there is. */
static json_t *find_list(json_t *object, const char *name)
{
    json_t *list = json_object_get(object, name), *value;
    const char *key;

    if (json_is_array(list))
        return list;
    json_object_foreach(object, key, value) if (json_is_array(value)) return value;
    return NULL;
}

static int print_list(const struct cli *cli, json_t *list)
{
    size_t n = json_array_size(list);

    if (cli->count && (uint64_t)cli->count < n)
        n = (size_t)cli->count;
    for (size_t i = 0; i < n; i++)
        if (cli_print_item(json_array_get(list, i), cli->json) < 0)
            return CLI_FAILED;
    return CLI_OK;
}

int cli_print_items(const struct cli *cli, const char *url, const char *key,
                    const struct vramscope_answer *answer)
{
    struct span body = {answer->body, answer->body_len};
    struct complaint reason, remedy;
    json_t *object, *list;
    int status = CLI_OK;

    if (answer->status != 200) {
        bool has_remedy = cli_answer_error(answer, &reason, &remedy);

        cli_message("%s: %s%s%s", url, reason.text, has_remedy ? ". " : "", remedy.text);
        return CLI_FAILED;
    }
    object = cli_answer_json(answer);
    list = find_list(object, key);
    while (body.len > 0 && body.at[body.len - 1] == '\n')
        body.len--;
    if (!object) {
        cli_message("%s: its answer is not understood", url);
        status = CLI_FAILED;
    } else if (!list || (cli->json && cli->command != CLI_EVENTS)) {
        cli_print_document(url, key, body, cli->n_urls > 1);
    } else {
        status = print_list(cli, list);
    }
    json_decref(object);
    return status;
}
