// SPDX-License-Identifier: Apache-2.0
#include "model/launch_option.h"

#include "base/number.h"

#define BYTES_MAX (UINT64_C(1) << 60)

#define OPTION(name, brief, kind, member)                           \
    {                                                               \
        name, brief, OPTION_##kind, offsetof(struct launch, member) \
    }

// clang-format off
static const struct option options[] = {
    OPTION("model", NULL, TEXT, model),
    OPTION("served-model-name", NULL, FIRST, served_name),
    OPTION("revision", NULL, WORD, revision),
    OPTION("config", NULL, TEXT, config_file),
    OPTION("download-dir", NULL, TEXT, download_dir),
    OPTION("hf-config-path", NULL, TEXT, hf_config_path),
    OPTION("tensor-parallel-size", "tp", COUNT, tp),
    OPTION("pipeline-parallel-size", "pp", COUNT, pp),
    OPTION("data-parallel-size", "dp", COUNT, dp),
    OPTION("decode-context-parallel-size", "dcp", COUNT, dcp),
    OPTION("prefill-context-parallel-size", "pcp", COUNT, pcp),
    OPTION("block-size", NULL, COUNT, block_size),
    OPTION("kv-cache-memory-bytes", NULL, BYTES, kv_cache_memory_bytes),
    OPTION("kv-cache-memory", NULL, BYTES, kv_cache_memory_bytes),
    OPTION("num-gpu-blocks-override", NULL, COUNT, num_gpu_blocks_override),
    OPTION("max-model-len", NULL, LENGTH, max_model_len),
    OPTION("gpu-memory-utilization", NULL, RATIO, gpu_memory_utilization),
    OPTION("kv-cache-dtype", NULL, WORD, cache_dtype),
    OPTION("kv-cache-dtype-skip-layers", NULL, GIVEN, skips_layers),
    OPTION("dtype", NULL, WORD, dtype),
    OPTION("quantization", "q", WORD, quantization),
    OPTION("speculative-config", "sc", SPECULATIVE, speculative),
    OPTION("speculative-model", NULL, TEXT, draft_model),
    OPTION("num-speculative-tokens", NULL, COUNT, speculative_tokens),
    OPTION("speculative-draft-tensor-parallel-size", NULL, COUNT, draft_tp),
    OPTION("host", NULL, TEXT, host),
    OPTION("uds", NULL, TEXT, uds),
    OPTION("root-path", NULL, TEXT, root_path),
    OPTION("port", NULL, COUNT, port),
    OPTION("api-server-count", "asc", COUNT, api_servers),
    OPTION("ssl-keyfile", NULL, GIVEN, tls),
    OPTION("ssl-certfile", NULL, GIVEN, tls),
    OPTION("hf-overrides", NULL, GIVEN, hf_overrides),
    OPTION("kv-transfer-config", NULL, GIVEN, kv_transfer),
    OPTION("disable-hybrid-kv-cache-manager", NULL, FLAG, hybrid_off),
    OPTION("enable-expert-parallel", "ep", FLAG, expert_parallel),
    OPTION("disable-log-stats", NULL, FLAG, stats_off),
    OPTION("cpu-offload-gb", NULL, GIVEN, offloads_weights),
    OPTION("enable-lora", NULL, FLAG, lora),
};

/* Parts of the speculative configuration. */
static const struct option draft_options[] = {
    OPTION("method", NULL, WORD, draft_method),
    OPTION("model", NULL, TEXT, draft_model),
    OPTION("num-speculative-tokens", NULL, COUNT, speculative_tokens),
    OPTION("draft-tensor-parallel-size", NULL, COUNT, draft_tp),
};

/* What /server_info says, part by part. */
static const struct option info_model[] = {
    OPTION("model", NULL, TEXT, model),
    OPTION("dtype", NULL, WORD, dtype),
    OPTION("quantization", NULL, WORD, quantization),
    OPTION("max-model-len", NULL, COUNT, max_model_len),
};
static const struct option info_cache[] = {
    OPTION("block-size", NULL, COUNT, block_size),
    OPTION("cache-dtype", NULL, WORD, cache_dtype),
    OPTION("kv-cache-memory-bytes", NULL, BYTES, kv_cache_memory_bytes),
    OPTION("num-gpu-blocks-override", NULL, COUNT, num_gpu_blocks_override),
};
static const struct option info_parallel[] = {
    OPTION("tensor-parallel-size", NULL, COUNT, tp),
    OPTION("pipeline-parallel-size", NULL, COUNT, pp),
    OPTION("data-parallel-size", NULL, COUNT, dp),
    OPTION("decode-context-parallel-size", NULL, COUNT, dcp),
    OPTION("prefill-context-parallel-size", NULL, COUNT, pcp),
};
static const struct option info_scheduler[] = {
    OPTION("disable-hybrid-kv-cache-manager", NULL, FLAG, hybrid_off),
};
// clang-format on

const struct option_table launch_options = {options, ARRAY_LEN(options)};
const struct option_table launch_draft_options = {draft_options,
                                                  ARRAY_LEN(draft_options)};
const struct option_table launch_info_model = {info_model, ARRAY_LEN(info_model)};
const struct option_table launch_info_cache = {info_cache, ARRAY_LEN(info_cache)};
const struct option_table launch_info_parallel = {info_parallel,
                                                  ARRAY_LEN(info_parallel)};
const struct option_table launch_info_scheduler = {info_scheduler,
                                                   ARRAY_LEN(info_scheduler)};

void *option_member(struct launch *launch, const struct option *option)
{
    return (char *)launch + option->offset;
}

bool option_keep_text(char *ret, size_t max, struct span value)
{
    if (!value.at || value.len > max || memchr(value.at, '\0', value.len))
        return false;
    memcpy(ret, value.at, value.len);
    ret[value.len] = '\0';
    return true;
}

static bool read_count(struct span value, uint64_t max, uint64_t *ret)
{
    return number_read_u64(value, max, ret) == 0;
}

/* 8589934592, 8g (decimal), 8G (binary); fractions of decimal units only. */
static bool read_bytes(struct span value, uint64_t *ret)
{
    static const char units[] = "kmgtKMGT";
    static const double decimal[] = {1e3, 1e6, 1e9, 1e12};
    const char *unit = value.len ? memchr(units, value.at[value.len - 1], 8) : NULL;
    struct span digits = {value.at, value.len - (unit != NULL)};
    uint64_t whole;
    double number;

    if (!unit)
        return read_count(value, BYTES_MAX, ret);
    if (unit >= units + 4) {
        unsigned shift = 10 * (unsigned)(unit - units - 3);

        if (!read_count(digits, BYTES_MAX >> shift, &whole))
            return false;
        *ret = whole << shift;
        return true;
    }
    if (number_read(digits, &number) < 0 || memchr(digits.at, 'e', digits.len) ||
        memchr(digits.at, 'E', digits.len))
        return false;
    number *= decimal[unit - units];
    if (!(number >= 0) || number > (double)BYTES_MAX)
        return false;
    *ret = (uint64_t)number;
    return true;
}

/* What was given before counts no more when the length is left to the server. */
static bool read_length(struct span value, uint64_t *ret)
{
    if (!span_is(value, "-1") && !span_is(value, "auto"))
        return read_bytes(value, ret);
    *ret = UNKNOWN;
    return true;
}

static bool read_ratio(struct span value, double *ret)
{
    double ratio;

    if (number_read(value, &ratio) < 0 || ratio < 0 || ratio > 1)
        return false;
    *ret = ratio;
    return true;
}

static bool read_speculative(struct span json, struct launch *launch);

bool option_read(const struct option *option, struct span value, struct launch *launch)
{
    void *at = option_member(launch, option);

    switch (option->kind) {
    case OPTION_TEXT:
    case OPTION_FIRST:
        return option_keep_text(at, LAUNCH_TEXT_MAX, value);
    case OPTION_WORD:
        return option_keep_text(at, LAUNCH_WORD_MAX, value);
    case OPTION_COUNT:
        return read_count(value, UINT32_MAX, at);
    case OPTION_BYTES:
        return read_bytes(value, at);
    case OPTION_LENGTH:
        return read_length(value, at);
    case OPTION_RATIO:
        return read_ratio(value, at);
    case OPTION_SPECULATIVE:
        launch->speculative = true;
        return read_speculative(value, launch);
    case OPTION_FLAG:
    case OPTION_GIVEN:
        *(bool *)at = true;
        return true;
    }
    return false;
}

static bool take_json(const struct option *option, const json_t *value,
                      struct launch *launch)
{
    void *at = option_member(launch, option);

    if (json_is_string(value))
        return option_read(option, json_text(value), launch);
    if (option->kind == OPTION_FLAG && json_is_boolean(value)) {
        *(bool *)at = json_is_true(value);
        return true;
    }
    if (option->kind == OPTION_FIRST && json_is_array(value) && json_array_size(value))
        return option_read(option, json_text(json_array_get(value, 0)), launch);
    if (option->kind == OPTION_RATIO && json_is_real(value)) {
        *(double *)at = json_real_value(value);
        return true;
    }
    if (option->kind == OPTION_GIVEN) {
        *(bool *)at = !json_is_false(value) &&
                      !(json_is_array(value) && json_array_size(value) == 0);
        return true;
    }
    if (option->kind < OPTION_COUNT || option->kind > OPTION_LENGTH ||
        !json_is_integer(value))
        return false;
    if (option->kind == OPTION_LENGTH && json_integer_value(value) == -1)
        return true;
    if (json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) >
            (option->kind == OPTION_COUNT ? UINT32_MAX : BYTES_MAX))
        return false;
    *(uint64_t *)at = (uint64_t)json_integer_value(value);
    return true;
}

/* "block-size" is "block_size" there. */
static const json_t *find_json(const json_t *object, const char *name)
{
    char key[OPTION_NAME_MAX + 1];
    size_t len = strlen(name);

    for (size_t i = 0; i <= len; i++)
        key[i] = name[i] == '-' ? '_' : name[i];
    return json_find(object, key);
}

void option_apply_json(struct option_table table, const json_t *object,
                       struct launch *launch)
{
    for (size_t i = 0; i < table.n; i++) {
        const struct option *option = &table.at[i];
        const json_t *value = find_json(object, option->name);

        if (!value)
            continue;
        if (option->kind == OPTION_SPECULATIVE && json_is_object(value))
            option_apply_draft(value, launch);
        else if (!take_json(option, value, launch))
            launch->unclear = true;
    }
}

void option_apply_draft(const json_t *object, struct launch *launch)
{
    launch->speculative = true;
    option_apply_json(launch_draft_options, object, launch);
}

static bool read_speculative(struct span json, struct launch *launch)
{
    OWNED(json_decrefp) json_t *root = NULL;
    struct complaint why;

    if (json_read(json, &model_json_limits, &root, &why) < 0)
        return false;
    option_apply_draft(root, launch);
    return true;
}
