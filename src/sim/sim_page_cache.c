// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_expo.h"
#include "sim/sim_page.h"

#include <inttypes.h>
#include <stdio.h>

enum { TEXT_MAX = 24 };

/* Labels of vllm:cache_config_info that depend on the options. */
struct facts {
    char block_size[TEXT_MAX];
    char pool_bytes[TEXT_MAX];
    char size_tokens[TEXT_MAX];
    char blocks[TEXT_MAX];
    double max_concurrency;
};

static const struct {
    const char *name, *text;
} constants[] = {
    {"_block_size_resolved", "True"},
    {"cache_dtype", "auto"},
    {"enable_mamba_fine_grained_prefix_cache", "False"},
    {"enable_prefix_caching", "True"},
    {"gpu_memory_utilization", "0.92"},
    {"is_attention_free", "False"},
    {"kv_cache_dtype_skip_layers", "[]"},
    {"kv_cache_layout", "None"},
    {"kv_offloading_backend", "native"},
    {"kv_offloading_size", "None"},
    {"kv_sharing_fast_prefill", "False"},
    {"mamba_block_size", "None"},
    {"mamba_cache_dtype", "auto"},
    {"mamba_cache_mode", "none"},
    {"mamba_page_size_padded", "None"},
    {"mamba_ssm_cache_dtype", "auto"},
    {"num_cpu_blocks", "None"},
    {"num_gpu_blocks_override", "None"},
    {"prefix_cache_retention_interval", "0"},
    {"prefix_caching_hash_algo", "sha256"},
    {"prefix_match_unit", "None"},
    {"replayssm_buffer_len", "16"},
    {"skip_page_size_padded", "None"},
    {"sliding_window", "None"},
    {"use_kda_recoverssm", "False"},
    {"use_replayssm", "False"},
    {"user_specified_block_size", "False"},
    {"user_specified_mamba_block_size", "False"},
};

static void print_u64(char text[TEXT_MAX], uint64_t value)
{
    (void)snprintf(text, TEXT_MAX, "%" PRIu64, value);
}

/* The number of blocks is the sum over all engines, the size in tokens is of one. */
static void find_facts(const struct sim_page *page, struct facts *facts)
{
    const struct sim_load_options *options = sim_load_options(page->load);
    uint64_t tokens = options->kv_blocks * options->block_size;

    print_u64(facts->block_size, options->block_size);
    print_u64(facts->size_tokens, tokens);
    print_u64(facts->blocks, options->kv_blocks * options->engines);
    facts->max_concurrency = (double)tokens / (double)sim_page_max_model_len(options);
    if (page->kv_pool_bytes == UNKNOWN)
        (void)snprintf(facts->pool_bytes, TEXT_MAX, "None");
    else
        print_u64(facts->pool_bytes, page->kv_pool_bytes);
}

static void add_labels(struct sim_labels *labels, const struct facts *facts)
{
    for (size_t i = 0; i < ARRAY_LEN(constants); i++)
        sim_labels_add(labels, constants[i].name, constants[i].text);
    sim_labels_add(labels, "block_size", facts->block_size);
    sim_labels_add(labels, "kv_cache_memory_bytes", facts->pool_bytes);
    sim_labels_add(labels, "kv_cache_size_tokens", facts->size_tokens);
    sim_labels_add(labels, "num_gpu_blocks", facts->blocks);
    sim_labels_add(labels, "kv_cache_max_concurrency", NULL);
    labels->at[labels->n - 1].number = facts->max_concurrency;
}

void sim_page_write_cache_config(struct buf *out, const struct sim_page *page)
{
    struct sim_name name = {"vllm:cache_config_info", ""};
    struct facts facts;

    find_facts(page, &facts);
    sim_expo_head(out, name, "Information of the LLMEngine CacheConfig", "gauge");
    for (size_t i = 0; i < sim_load_options(page->load)->engines; i++) {
        struct sim_labels labels = {0};
        char engine[TEXT_MAX];

        print_u64(engine, i);
        sim_labels_add(&labels, "engine", engine);
        add_labels(&labels, &facts);
        sim_expo_sample(out, name, &labels, 1);
    }
}
