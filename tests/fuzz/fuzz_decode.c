// SPDX-License-Identifier: Apache-2.0
/* Whatever the bytes are: refused with a word why, or decoded whole and within bounds. */
#include "client/decode.h"
#include "client/decode_shape.h"

#include <assert.h>
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t touched; // so that reading is not optimized away

static void check_struct(const struct shape *shape, const char *base);

static void check_whole(const struct member *member, const char *at)
{
    int64_t number;

    memcpy(&number, at, sizeof(number));
    if (number != VRAMSCOPE_UNKNOWN && member->kind != MEMBER_SIGNED)
        assert(number >= 0);
    if (member->kind == MEMBER_PORT)
        assert(number <= UINT16_MAX);
}

static void check_decimal(const struct member *member, const char *at)
{
    double number;

    memcpy(&number, at, sizeof(number));
    assert(isnan(number) || (isfinite(number) && number >= 0));
    if (member->kind != MEMBER_DECIMAL)
        assert(isnan(number) || number <= 100);
}

static void check_text(const char *at)
{
    const char *text;

    memcpy(&text, at, sizeof(text));
    touched += text ? strlen(text) : 0;
}

static void check_array(const struct member *member, const char *base)
{
    const void *array;
    size_t n;

    memcpy(&n, base + member->n_offset, sizeof(n));
    memcpy(&array, base + member->offset, sizeof(array));
    assert(n <= member->max && (n == 0) == (array == NULL));
    for (size_t i = 0; i < n; i++) {
        if (member->kind == MEMBER_LIST)
            check_struct(member->shape, ((const char *const *)array)[i]);
        else if (member->kind == MEMBER_INDICES)
            assert(((const int64_t *)array)[i] >= 0);
        else
            touched += strlen(((const struct vramscope_limit *const *)array)[i]->name);
    }
}

static void check_struct(const struct shape *shape, const char *base)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct member *member = &shape->members[i];
        const char *at = base + member->offset;

        switch (member->kind) {
        case MEMBER_COUNT:
        case MEMBER_SIGNED:
        case MEMBER_PORT:
            check_whole(member, at);
            break;
        case MEMBER_DECIMAL:
        case MEMBER_RATIO:
        case MEMBER_PERCENT:
            check_decimal(member, at);
            break;
        case MEMBER_TEXT:
            check_text(at);
            break;
        case MEMBER_OBJECT:
            check_struct(member->shape, at);
            break;
        case MEMBER_POINTER:
            check_struct(member->shape, *(const char *const *)(const void *)at);
            break;
        case MEMBER_LIST:
        case MEMBER_INDICES:
        case MEMBER_TOTALS:
            check_array(member, base);
            break;
        default:
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span json = {(const char *)data, size};
    const struct vramscope_snapshot *snapshot;
    const struct vramscope_detail *detail;
    struct complaint why = {""};

    if (decode_detail(json, &detail, &why) == 0) {
        check_struct(&shape_detail, (const char *)detail);
        assert(detail->tells_events || detail->n_events == 0);
        for (size_t i = 0; i < detail->n_models; i++)
            for (size_t k = 0; k < detail->models[i]->n_devices; k++)
                assert((size_t)detail->models[i]->devices[k] < detail->n_devices);
        vramscope_detail_unref(detail);
    } else {
        assert(why.text[0]);
    }
    why.text[0] = '\0';
    if (decode_snapshot(json, &snapshot, &why) == 0) {
        check_struct(&shape_snapshot, (const char *)snapshot);
        decode_snapshot_free(snapshot);
    } else {
        assert(why.text[0]);
    }
    return 0;
}
