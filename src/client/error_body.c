// SPDX-License-Identifier: Apache-2.0
#include "client/error_body.h"

#include "base/text.h"
#include "wire/json.h"

static void copy_text(char *dst, size_t room, const json_t *from)
{
    struct span text = json_text(from);

    (void)text_clean(dst, room, text);
}

int error_body_read(struct span body, struct error_body *ret)
{
    static const struct json_limits limits = {
        .bytes = ERROR_BODY_MAX, .depth = 4, .values = 64};
    struct error_body error = {0};
    struct complaint why;
    json_t *root = NULL, *member;
    int r = json_read(body, &limits, &root, &why);

    if (r < 0)
        return r == -ENOMEM ? r : -EBADMSG;
    member = json_object_get(root, "error");
    copy_text(error.code, sizeof(error.code), json_object_get(member, "code"));
    copy_text(error.message, sizeof(error.message), json_object_get(member, "message"));
    copy_text(error.remedy, sizeof(error.remedy), json_object_get(member, "remedy"));
    json_decref(root);
    if (!error.code[0] || !error.message[0])
        return -EBADMSG;
    *ret = error;
    return 0;
}
