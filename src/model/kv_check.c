// SPDX-License-Identifier: Apache-2.0
#include "base/number.h"
#include "model/kv_shape.h"

enum {
    CLAIM_SLACK = 100, // 1 % of difference, when the longest request is not known
    VERSION_PART_MAX = 1000000,
};

/* The first 0.minor with the rule; UNKNOWN where not every patch release has the same. */
static const struct release {
    uint64_t minor;
    enum kv_rule rule;
} releases[] = {
    // clang-format off
    {19, KV_RULE_HALF},
    {17, KV_RULE_UNKNOWN},  // changed in one of these two
    {12, KV_RULE_QUARTER},
    {10, KV_RULE_LEAST},
    {9,  KV_RULE_UNKNOWN},  // 0.9.1 groups layers, 0.9.0 does not
    {0,  KV_RULE_ALL_FULL},
    // clang-format on
};

/* The number up to the next dot, which is taken off. */
static int next_part(struct span *version, uint64_t *ret)
{
    const char *dot = version->len ? memchr(version->at, '.', version->len) : NULL;
    size_t len = dot ? (size_t)(dot - version->at) : version->len;
    int r = number_read_u64((struct span){version->at, len}, VERSION_PART_MAX, ret);

    if (r < 0 || !dot)
        return r < 0 ? r : -EINVAL;
    *version = (struct span){dot + 1, version->len - len - 1};
    return 0;
}

enum kv_rule kv_rule_of_version(struct span version)
{
    uint64_t major, minor;

    if (next_part(&version, &major) < 0 || next_part(&version, &minor) < 0)
        return KV_RULE_UNKNOWN;
    if (major > 0)
        return KV_RULE_UNKNOWN;
    for (size_t i = 0; i < ARRAY_LEN(releases); i++)
        if (minor >= releases[i].minor)
            return releases[i].rule;
    return KV_RULE_UNKNOWN;
}

static int contradicts(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -EBADMSG;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* Blocks that a request of the greatest length takes in a group of full layers. */
static uint64_t blocks_of_longest(const struct kv_claim *claim)
{
    return divide_up(divide_up(claim->max_model_len, claim->dcp), claim->block_size);
}

/* Do all tokens of all blocks make the capacity, as the engine itself computes it? */
static bool is_claim_of_one_group(const struct kv_claim *claim, uint64_t tokens)
{
    if (claim->max_model_len != UNKNOWN) {
        double requests = (double)claim->blocks / (double)blocks_of_longest(claim);
        uint64_t expected = (uint64_t)(requests * (double)claim->max_model_len);

        return claim->size_tokens + 1 >= expected && claim->size_tokens <= expected + 1;
    }
    return claim->size_tokens <= tokens &&
           tokens - claim->size_tokens <= tokens / CLAIM_SLACK;
}

static bool is_comparable(const struct kv_claim *claim)
{
    const uint64_t counts[] = {claim->blocks, claim->block_size, claim->size_tokens,
                               claim->dcp};

    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i] == UNKNOWN || counts[i] == 0 || counts[i] > UINT32_MAX)
            return false;
    return claim->max_model_len == UNKNOWN ||
           (claim->max_model_len > 0 && claim->max_model_len <= UINT32_MAX);
}

int kv_shape_check(const struct kv_shape *shape, const struct kv_claim *claim,
                   const char **ret_why)
{
    uint64_t tokens;
    bool fits;

    if (!is_comparable(claim) || (shape->groups == 1 && !shape->uniform) ||
        shape->groups == 0)
        return 0;
    if (__builtin_mul_overflow(claim->blocks * claim->block_size, claim->dcp, &tokens))
        return 0;
    fits = is_claim_of_one_group(claim, tokens);
    if (shape->uniform)
        return fits ? 1
                    : contradicts(ret_why, "its capacity in tokens is not what blocks of "
                                           "its one kind of layer would hold");
    if (fits || claim->size_tokens > tokens)
        return contradicts(ret_why, "its capacity in tokens shows that its unlike layers "
                                    "do not share blocks");
    return 1;
}
