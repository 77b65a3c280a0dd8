// SPDX-License-Identifier: Apache-2.0
#include "tui/table_shape.h"

int table_shape_width(const struct table_shape *shape)
{
    int width = 1;

    for (size_t i = 0; i < shape->n; i++)
        width += shape->width[shape->shown[i]] + shape->gap;
    return width;
}

bool table_shape_drop(struct table_shape *shape)
{
    size_t first = shape->n;

    for (size_t i = 0; i < shape->n; i++)
        if (shape->drop[shape->shown[i]] > 0 &&
            (first == shape->n ||
             shape->drop[shape->shown[i]] < shape->drop[shape->shown[first]]))
            first = i;
    if (first == shape->n)
        return false;
    shape->n--;
    for (size_t i = first; i < shape->n; i++)
        shape->shown[i] = shape->shown[i + 1];
    return true;
}

bool table_shape_has(const struct table_shape *shape, int column)
{
    for (size_t i = 0; i < shape->n; i++)
        if (shape->shown[i] == column)
            return true;
    return false;
}
