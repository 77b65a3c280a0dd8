// SPDX-License-Identifier: Apache-2.0
#include "model/server_answers.h"

#include "model/launch_option.h"

int server_read_version(struct span json, enum kv_rule *ret, struct complaint *why)
{
    OWNED(json_decrefp) json_t *root = NULL;
    struct span version;
    int r = json_read(json, &model_json_limits, &root, why);

    if (r < 0)
        return r;
    version = json_text(json_object_get(root, "version"));
    if (!version.at)
        return complain(why, -EBADMSG, "\"version\" is not there, or no text");
    *ret = kv_rule_of_version(version);
    return 0;
}

/* What it serves itself: the first that is no adapter. */
static const json_t *find_model(const json_t *root)
{
    const json_t *list = json_object_get(root, "data"), *model;
    size_t i;

    json_array_foreach(list, i, model)
    {
        const json_t *parent = json_object_get(model, "parent");

        if (json_is_object(model) && (!parent || json_is_null(parent)))
            return model;
    }
    return NULL;
}

int server_read_models(struct span json, struct server_model *ret, struct complaint *why)
{
    OWNED(json_decrefp) json_t *root = NULL;
    const json_t *model, *len;
    int r = json_read(json, &model_json_limits, &root, why);

    if (r < 0)
        return r;
    model = find_model(root);
    if (!model || !option_keep_text(ret->root, LAUNCH_TEXT_MAX,
                                    json_text(json_object_get(model, "root"))))
        return complain(why, -EBADMSG, "no model with a \"root\" in \"data\"");
    ret->id[0] = '\0';
    (void)option_keep_text(ret->id, LAUNCH_TEXT_MAX,
                           json_text(json_object_get(model, "id")));
    len = json_object_get(model, "max_model_len");
    ret->max_model_len = UNKNOWN;
    if (json_is_integer(len) && json_integer_value(len) > 0)
        ret->max_model_len = (uint64_t)json_integer_value(len);
    return 0;
}

/*
 * transformers prints a config as "Qwen3Config {...}", without what is as its class has
 * it. Of the outermost class that leaves out nothing we read; of one nested in it, such as
 * the text model of a multimodal one, it does.
 */
static bool read_config(const json_t *printed, struct model_config *ret)
{
    struct span text = json_text(printed);
    const char *brace = text.at ? memchr(text.at, '{', text.len) : NULL;
    struct complaint ignored; // then there is none

    if (!brace)
        return false;
    text.len -= (size_t)(brace - text.at);
    text.at = brace;
    return model_config_read(text, ret, &ignored) == 0 && !ret->nested;
}

static bool is_env_unclear(const json_t *environment)
{
    const json_t *partition = json_object_get(environment, "VLLM_PP_LAYER_PARTITION");

    return json_is_true(json_object_get(environment, "VLLM_MLA_DISABLE")) ||
           (partition && !json_is_null(partition));
}

static void apply_parts(const json_t *config, struct launch *launch)
{
    const json_t *scheduler = json_object_get(config, "scheduler_config");
    const json_t *draft = json_object_get(config, "speculative_config");

    option_apply_json(launch_info_model, json_object_get(config, "model_config"), launch);
    option_apply_json(launch_info_cache, json_object_get(config, "cache_config"), launch);
    option_apply_json(launch_info_parallel, json_object_get(config, "parallel_config"),
                      launch);
    option_apply_json(launch_info_scheduler, scheduler, launch);
    launch->hybrid_on =
        json_is_false(json_object_get(scheduler, "disable_hybrid_kv_cache_manager"));
    if (json_is_object(draft))
        option_apply_draft(draft, launch);
    if (json_is_object(json_object_get(config, "kv_transfer_config")))
        launch->kv_transfer = true;
}

int server_read_settings(struct span json, struct launch *launch,
                         struct model_config *config, struct server_settings *ret,
                         struct complaint *why)
{
    OWNED(json_decrefp) json_t *root = NULL;
    const json_t *settings, *model, *environment;
    int r = json_read(json, &model_json_limits, &root, why);

    if (r < 0)
        return r;
    settings = json_object_get(root, "vllm_config");
    model = json_object_get(settings, "model_config");
    environment = json_object_get(root, "vllm_env");
    if (!json_is_object(model) ||
        !json_is_object(json_object_get(settings, "parallel_config")))
        return complain(why, -EBADMSG, "no \"model_config\" and \"parallel_config\"");
    apply_parts(settings, launch);
    ret->has_config = read_config(json_object_get(model, "hf_config"), config);
    ret->has_environment = json_is_object(environment);
    ret->env_unclear = is_env_unclear(environment);
    return 0;
}
