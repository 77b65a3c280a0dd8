// SPDX-License-Identifier: Apache-2.0
/*
 * key.h - keys as a terminal gives them and a view takes them: characters of Unicode, or these
 */
#ifndef TUI_KEY_H
#define TUI_KEY_H

enum view_key {
    KEY_CODE_NONE = 0,
    KEY_CODE_ESCAPE = 27,
    KEY_CODE_FIRST = 0x110000, // beyond Unicode
    KEY_CODE_UP,
    KEY_CODE_DOWN,
    KEY_CODE_LEFT,
    KEY_CODE_RIGHT,
    KEY_CODE_PAGE_UP,
    KEY_CODE_PAGE_DOWN,
    KEY_CODE_HOME,
    KEY_CODE_END,
    KEY_CODE_ENTER,
    KEY_CODE_TAB,
    KEY_CODE_BACK_TAB,
    KEY_CODE_BACKSPACE,
    KEY_CODE_F1,
    KEY_CODE_F10 = KEY_CODE_F1 + 9,
};

#endif
