/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical CPUs in an order, as people write them: "1-2", "1,3", "0,4-6". */
#ifndef LIB_CPU_LIST_H
#define LIB_CPU_LIST_H

#include "lib/types.h"

#define CPU_LIST_MAX      16 /* CPUs in a list */
#define CPU_LIST_CPUS     64 /* they are numbered below that */
#define CPU_LIST_TEXT_MAX (CPU_LIST_MAX * 3)

struct cpu_list {
	u8 count;
	u8 cpu[CPU_LIST_MAX];
};

/* Fill @list with what @text says. NULL; or what is wrong and what was expected, and @list is empty. */
const char *cpu_list_parse(struct cpu_list *list, const char *text);

/* @list as text, neighbours as a range. @size: CPU_LIST_TEXT_MAX holds any. Returns @buf. */
const char *cpu_list_text(const struct cpu_list *list, char *buf, size_t size);

static inline bool cpu_list_has(const struct cpu_list *list, unsigned int cpu)
{
	for (unsigned int i = 0; i < list->count; i++) {
		if (list->cpu[i] == cpu)
			return true;
	}
	return false;
}

#endif
