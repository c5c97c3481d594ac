/* The peer of tests/bench/hive_walk.rs: the same work with libhivex, whose package libhivex-dev has the header.
 *
 *   libhivex_driver walk REPEAT HIVE          open, visit every key and value, add up all name and data bytes
 *   libhivex_driver parents REPEAT HIVE OUT   100 keys with 100 keys each, two values in each; written to OUT
 *   libhivex_driver one REPEAT HIVE OUT       10,000 keys under one, one value in each; written to OUT
 */
#include <hivex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t keys, values, bytes, sum;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void add(const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum += (unsigned char)data[i];
}

static void walk(hive_h *hive, hive_node_h node)
{
    char *name = hivex_node_name(hive, node);
    hive_value_h *list = hivex_node_values(hive, node);
    hive_node_h *children = hivex_node_children(hive, node);
    if (!name || !list || !children)
        die("node");
    keys++;
    add(name, strlen(name));
    free(name);
    for (hive_value_h *value = list; *value; value++) {
        hive_type type;
        size_t length;
        char *key = hivex_value_key(hive, *value);
        char *data = hivex_value_value(hive, *value, &type, &length);
        if (!key || !data)
            die("value");
        values++;
        bytes += length;
        add(key, strlen(key));
        add(data, length);
        free(key);
        free(data);
    }
    free(list);
    for (hive_node_h *child = children; *child; child++)
        walk(hive, *child);
    free(children);
}

static hive_node_h child(hive_h *hive, hive_node_h parent, const char *format, int number)
{
    char name[32];
    snprintf(name, sizeof name, format, number);
    hive_node_h node = hivex_node_add_child(hive, parent, name);
    if (!node)
        die(name);
    return node;
}

static void set(hive_h *hive, hive_node_h node, int number, size_t count)
{
    uint32_t start = number;
    char text[] = "t\0e\0x\0t\0\0";
    hive_set_value both[2] = {
        {"Start", hive_t_REG_DWORD, sizeof start, (char *)&start},
        {"Description", hive_t_REG_SZ, 10, text},
    };
    if (hivex_node_set_values(hive, node, count, both, 0) == -1)
        die("values");
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    int walking = strcmp(argv[1], "walk") == 0;
    int one = strcmp(argv[1], "one") == 0;
    for (int round = atoi(argv[2]); round > 0; round--) {
        hive_h *hive = hivex_open(argv[3], walking ? 0 : HIVEX_OPEN_WRITE);
        if (!hive)
            die(argv[3]);
        hive_node_h root = hivex_root(hive);
        if (walking) {
            keys = values = bytes = sum = 0;
            walk(hive, root);
        } else if (one) {
            hive_node_h parent = child(hive, root, "Bench", 0);
            for (int i = 0; i < 10000; i++)
                set(hive, child(hive, parent, "Key%05d", i), i, 1);
        } else {
            for (int i = 0; i < 100; i++) {
                hive_node_h parent = child(hive, root, "Bench%03d", i);
                for (int j = 0; j < 100; j++)
                    set(hive, child(hive, parent, "Key%05d", j), j, 2);
            }
        }
        if (!walking && hivex_commit(hive, argv[4], 0) == -1)
            die(argv[4]);
        hivex_close(hive);
    }
    if (walking)
        printf("keys %llu values %llu bytes %llu sum %llu\n", (unsigned long long)keys, (unsigned long long)values,
               (unsigned long long)bytes, (unsigned long long)sum);
    return 0;
}
